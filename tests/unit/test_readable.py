"""The one form of times, durations and shares."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from infrastructure.observing.readable import counted, duration, in_words, local_time, share


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.0004, "0.4 ms"), (0.0123, "12 ms"), (1, "1 s"), (9.96, "10 s"), (90.4, "90 s"), (120, "2 min"),
        (210, "3.5 min"), (7199, "120 min"), (7200, "2 h"), (36_000, "10 h"), (172_800, "2 days"),
        (86_400 * 1234, "1,234 days"),
    ],
)  # fmt: skip
def test_a_duration_is_one_number_with_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 %"), (0.0001, "<0.1 %"), (0.123456, "12.3 %"), (0.5, "50 %"), (1, "100 %")]
)
def test_a_share_is_in_percent(value: float, text: str) -> None:
    assert share(value) == text


def test_a_time_has_the_name_of_its_zone() -> None:
    assert local_time(1_756_771_234.9, ZoneInfo("Asia/Seoul")) == "2025-09-02 09:00:34 KST"
    assert local_time(1_756_771_234.9, ZoneInfo("Europe/Berlin")) == "2025-09-02 02:00:34 CEST"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 categories"), (1, "1 category"), (2, "2 categories"), (1234, "1,234 categories")]
)
def test_a_number_has_the_form_of_its_noun(number: int, text: str) -> None:
    assert counted(number, "category", "categories") == text


@pytest.mark.parametrize("path", sorted(Path("cmd").glob("*.py")), ids=lambda path: path.stem)
def test_no_command_says_1_messages(path: Path) -> None:
    counts = r"\{(?:len\(|sum\(|count|number|done\.)[^}:]*\} [a-z]+s\b"
    told = [line for line in path.read_text().splitlines() if "say(" in line or "note_change(" in line]

    assert [line for line in told if re.search(counts, line)] == []


def test_booleans_are_yes_and_no() -> None:
    assert in_words({"dry_run": True, "moved": {"boards": False}}) == "dry_run: yes; moved: boards no"
