"""The console's texts: the same in each language, all of them there, and none that nothing shows."""

import json
import re
from dataclasses import fields
from itertools import product
from pathlib import Path
from string import Formatter

import pytest

from domains.activityEvent.quality import PROBLEMS, SourceQuality
from domains.kernel.errors import OutageKind
from domains.kernel.window import Window
from domains.patternClassifier.explain import explain
from domains.patternClassifier.model import Tier
from domains.patternClassifier.rules import RuleSet
from domains.pomodoro.model import DeadLetterKind, Lane
from infrastructure.http import analytics
from infrastructure.http.labels import texts
from infrastructure.http.page import console_files
from infrastructure.patterns.sites import known_sites
from tests.unit import test_explain as explained

FILES = {name: file.body.decode() for name, file in console_files().items()}
SOURCES = "\n".join(body for name, body in FILES.items() if name.endswith(".js"))
NAMED = {
    *re.findall(r'\bt\("([\w.-]+)"', SOURCES),
    *re.findall(r'data-t(?:-[\w-]+)?="([\w.-]+)"', FILES["console.html"]),
}
BEGUN = set(re.findall(r"`([a-z][\w.-]*\.(?:[\w-]*-)?)\$\{", SOURCES))
"""Beginnings of keys of which the scripts put together the rest."""
QUOTED = set(re.findall(r'"([a-z][\w.-]+)"', SOURCES))
OF_SERVER = {
    f"{kind}.{name}{what}"
    for kind, names in (("tier", Tier), ("lane", Lane))
    for name in names
    for what in ("", ".meaning")
}
OF_SERVER |= set(re.findall(r"""said\[["']([a-z][\w.-]+)["']\]""", Path(analytics.__file__).read_text()))
OF_SERVER |= {
    f"quality.{it.name}" for it in fields(SourceQuality) if it.name not in ("source", "invalid", "problems")
}
OF_SERVER |= {f"quality.problem.{name}" for name, *_ in PROBLEMS}


def names_in(text: str) -> set[str]:
    return {name for part in text.split("|") for _, name, _, _ in Formatter().parse(part) if name}


def test_languages_have_the_same_texts_with_the_same_figures_in_them() -> None:
    english, korean = texts("en"), texts("ko")

    assert english.keys() == korean.keys()
    assert {key for key in english if names_in(english[key]) != names_in(korean[key])} == set()


def test_each_text_that_is_asked_for_is_there() -> None:
    kinds = {f"outage.{kind}" for kind in OutageKind} | {f"died.{kind}" for kind in DeadLetterKind}

    assert (NAMED | OF_SERVER | kinds) - texts("en").keys() == set()


def test_no_text_is_left_over() -> None:
    shown = NAMED | OF_SERVER | QUOTED

    assert {key for key in texts("en") if key not in shown and not key.startswith(tuple(BEGUN))} == set()


KOREAN = [
    re.compile(json.loads(english)) for english in re.findall(r'^  \[("(?:[^"\\]|\\.)*"), ', FILES["said.js"], re.M)
]


def clauses(text: str) -> list[str]:
    """The sentence's clauses, and those within them, each of which is to be in the table."""
    found = []
    for part in text.split("; "):
        found.append(part)
        if inner := re.fullmatch(
            r"(?:provisional|the title was not read|the name read in another way \(.+\)): (.+)", part
        ):
            found.append(inner[1])
    return found


def test_every_reason_of_a_decision_can_be_said_in_korean() -> None:
    rules = RuleSet(explained.PATTERNS, explained.ADDITIONS, known_sites())
    words = ("", "Figma", "Google Chrome", "Figma Beta", "figma.com", "Code - Insiders", "!", "x" * 300, "구글 크롬")
    urls = (
        "",
        "figma.com/file/x",
        "docs.figma.com/file",
        "a.b/design-kit/kit",
        "x.io/a/b",
        "www.x.io/b",
        "file:",
        "docs.x.io",
    )
    said = set[str]()
    for app, url, title in product(words, urls, ("", "Sketch - Google Chrome", "a page")):
        trace = explain(rules, Window(app, url, title))
        said |= {trace.note, *(step.reason for step in (*trace.matched, *trace.missed))}

    unknown = {part for text in said - {""} for part in clauses(text) if not any(it.fullmatch(part) for it in KOREAN)}

    assert len(said) > 30
    assert unknown == set()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_text_is_empty(language: str) -> None:
    assert {key for key, text in texts(language).items() if not text} <= {"locked.open"}
