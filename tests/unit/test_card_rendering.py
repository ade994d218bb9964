"""Cards in every format and both languages: only what all clients render, small enough, names escaped."""

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any, Literal

import pytest

from infrastructure.cards.adaptive import adaptive_card_of, plain
from infrastructure.cards.page import page_of
from infrastructure.cards.slack import escaped, slack_message_of
from infrastructure.cards.text import text_of
from infrastructure.cards.words import facts

NAMES = ["Development", "SNS", "[a](http://evil) *b* <script>", *(f"Category {n}" for n in range(20))]
FULL = {
    "user": "김민수 *1* <!channel> <b>",
    "as_of": "2025-09-07T12:00:00.000+09:00",
    "focus_seconds": 5000.0,
    "total_seconds": 9000.0,
    "categories": {name: 4000.0 / (n + 1) for n, name in enumerate(NAMES)},
    "work": ["Development"],
    "uncategorised_seconds": 61.0,
    "rank": 2,
    "users": 40,
    "previous_seconds": 6000.0,
    "same_weekday_seconds": None,
    "streak_days": 3,
    "longest_focus_seconds": 1500.0,
    "interruptions": 9,
    "sessions": 4,
    "days": {f"2025-09-{n:02}": 600.0 * n for n in range(1, 8)},
    "apps": [{"name": "앱" * 500, "seconds": 100.0}] * 5,
    "sites": [{"name": "docs_rs.example", "seconds": 100.0}] * 5,
    "timeline": [{"category": "SNS", "starts": "2025-09-07T09:00:00+09:00", "seconds": 600.0}] * 900,
}
EMPTY = FULL | {
    "focus_seconds": 0.0, "categories": {}, "work": [], "rank": 0, "apps": [], "sites": [], "timeline": [],
    "days": dict.fromkeys(FULL["days"], 0.0),
}  # fmt: skip
PERIODS = {
    "day": {"starts": "2025-09-07", "ends": "2025-09-07", "same_weekday_seconds": 100.0},
    "week": {"starts": "2025-09-01", "ends": "2025-09-07"},
    "month": {"starts": "2025-09-01", "ends": "2025-09-30"},
}
CARDS = [base | dates | {"period": period} for base in (FULL, EMPTY) for period, dates in PERIODS.items()]
cards = pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card['period']}-{len(card['categories'])}")
langs = pytest.mark.parametrize("lang", ["ko", "en"])
Lang = Literal["ko", "en"]


def elements(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from elements(value)
    elif isinstance(node, list):
        for each in node:
            yield from elements(each)


@cards
@langs
def test_an_adaptive_card_has_only_what_all_clients_render_alike(card: dict[str, Any], lang: Lang) -> None:
    made = adaptive_card_of(card, lang)

    assert made["version"] == "1.5"
    kinds = {each["type"] for each in elements(made["body"]) if "type" in each}
    assert kinds <= {"TextBlock", "ColumnSet", "Column", "FactSet", "Container"}
    assert all(1 <= each["width"] <= 100 for each in elements(made) if each.get("type") == "Column")
    assert len(json.dumps(made, ensure_ascii=False).encode()) < 20_000
    assert "{{" not in json.dumps(made)


@cards
@langs
def test_a_message_for_slack_keeps_its_limits(card: dict[str, Any], lang: Lang) -> None:
    blocks = slack_message_of(card, lang)["blocks"]

    assert len(blocks) <= 50
    assert all(len(block["text"]["text"]) <= 3000 for block in blocks if "text" in block)
    assert all(len(block["fields"]) <= 10 for block in blocks if "fields" in block)
    assert "<" not in json.dumps([block for block in blocks if block["type"] != "header"])


@cards
@langs
def test_text_and_page_say_the_user_and_the_moment(card: dict[str, Any], lang: Lang) -> None:
    assert "12:00" in text_of(card, lang)
    week = CARDS[1] if card["categories"] else CARDS[4]
    page = page_of(card, week, week, date(2025, 9, 7), lang)
    assert "<script>" not in page
    assert "<b>" not in re.sub("<b>[+−±]", "", page)
    assert "style=" not in page


def test_facts_read_as_a_person_would_say_them() -> None:
    card = CARDS[1] | {"previous_seconds": CARDS[1]["focus_seconds"]}
    said = dict(facts(card, "en"))
    assert (said["Days in a row"], said["vs the week before"]) == ("3", "±0 s")
    assert "Week 36 of 2025" in text_of(card, "en")


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a*b_c", r"a\*b\_c"), ("[x](y)", r"\[x\]\(y\)"), ("{{DATE(1)}}", r"\{\{DATE\(1\)\}\}"), ("a\nb", "a b")],
)
def test_no_client_takes_a_name_for_markdown(name: str, shown: str) -> None:
    assert plain(name) == shown


def test_slack_takes_no_name_for_a_mention() -> None:
    assert escaped("<!channel> & *b*") == "&lt;!channel&gt; &amp; *\u200bb*\u200b"


@pytest.mark.parametrize(
    ("lang", "said"), [("en", "As of Sep 7, 2025 12:00 UTC+09:00"), ("ko", "2025년 9월 7일 12:00 UTC+09:00 기준")]
)
def test_when_it_was_made_is_said_with_the_zone(lang: Lang, said: str) -> None:
    (week,) = (card for card in CARDS if card["period"] == "week" and card["categories"])

    assert text_of(week, lang).endswith(said)
    assert f"<footer>{said}</footer>" in page_of(CARDS[0], week, week, date(2025, 9, 7), lang)


def test_strips_stand_under_their_hours_where_the_clocks_go_back() -> None:
    starts = ["2025-11-02T00:30:00-04:00", "2025-11-02T12:00:00-05:00", "2025-11-02T23:20:00-05:00"]
    strips = [{"category": "SNS", "starts": it, "seconds": 600.0} for it in starts]
    page = page_of(CARDS[0] | {"timeline": strips}, CARDS[1], CARDS[1], date(2025, 11, 2), "en")
    assert re.findall(r' x="([\d.]+)" width="6.7"', page) == ["20.0", "480.0", "933.3"]


def test_the_page_of_a_user_says_what_its_figures_are_of() -> None:
    day, week, *_ = CARDS
    page = re.sub(r"<[^>]*>", "", page_of(day | {"focus_seconds": 60.0}, week, week, date(2025, 9, 7), "en"))

    assert "Focus · Week 36 of 2025, Sep 1 to Sep 7\n1 h 23 min" in page
    assert "The day · Sep 7, 2025 (Sun)\nFocus 1 min" in page
    assert "Where the time went · Week 36 of 2025, Sep 1 to Sep 7" in page


def test_how_often_work_was_broken_off_is_said_where_it_is_known() -> None:
    day, week, *_ = CARDS
    known = {name: value for name, value in week.items() if name != "interruptions"}

    assert dict(facts(day | {"days": {}}, "en"))["Interruptions"] == "9"
    assert dict(facts(week, "en"))["Interruptions"] == "9 (1.3 a day)"
    assert dict(facts(week, "ko"))["집중이 끊긴 횟수"] == "9 (하루 1.3)"
    assert "Interruptions" not in dict(facts(known, "en"))
