"""The names of tiers and lanes for people, in the languages of the console, whose tables of texts have them."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Literal

from domains.patternClassifier.model import Tier
from domains.pomodoro.model import Lane
from infrastructure.http import schemas
from infrastructure.http.page import console_files

Language = Literal["en", "ko"]


@cache
def texts(language: Language) -> Mapping[str, str]:
    """All texts of the console by their keys."""
    found: dict[str, str] = json.loads(console_files()[f"{language}.json"].body)
    return found


def labels(language: Language, zone: str) -> schemas.Labels:
    """Tiers in the order in which they are asked. A tier without a label is shown by its value."""
    return schemas.Labels(
        tiers=[_label("tier", tier.value, language) for tier in Tier],
        lanes=[_label("lane", lane.value, language) for lane in Lane],
        zone=zone,
    )


def _label(kind: str, name: str, language: Language) -> schemas.Label:
    said = texts(language)
    key = f"{kind}.{name}"
    return schemas.Label(name=name, label=said.get(key, name), meaning=said.get(f"{key}.meaning", ""))
