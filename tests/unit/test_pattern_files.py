"""Files of patterns, and what they would add to a store."""

import json
from typing import Any

import pytest

from domains.categoryPattern.model import CategoryPattern, PatternKind, category_id
from infrastructure.patterns import default_patterns
from infrastructure.patterns.pattern_file import FilePattern, PatternFileError, compare, parse, spelled

STORE = [CategoryPattern("a" * 24, "Design", 1, ("Figma",), ("figma.com",)), CategoryPattern("b" * 24, "Pottery")]


def entry(category: str = "Design", apps: Any = (), domains: Any = (), **fields: Any) -> dict[str, Any]:
    return {"category": category, "priority": None, "appPatterns": [*apps], "domainPatterns": [*domains]} | fields


def test_what_is_written_can_be_read() -> None:
    patterns = default_patterns()

    assert parse(spelled(patterns).encode()) == [
        entry(each.category, each.app_patterns, each.domain_patterns, priority=each.priority) for each in patterns
    ]
    news = compare(parse(spelled(patterns).encode()), patterns)
    assert (news.categories, news.added, news.broken) == ([], [], [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "not an array"),
        (b"[1]", "item 1: not an object"),
        (b'[{"category": "Design"}]', "item 1: the keys must be category, priority, appPatterns, domainPatterns"),
        (json.dumps([entry(), entry(category=1)]).encode(), "item 2: category is not a string"),
        (json.dumps([entry(priority="1")]).encode(), "item 1: priority is neither"),
        (json.dumps([entry(apps=[1])]).encode(), "item 1: appPatterns is not a list of strings"),
        (json.dumps([entry(domainPatterns=None)]).encode(), "item 1: domainPatterns is not a list of strings"),
    ],
    ids=["empty", "no_text", "deep", "object", "number", "keys", "category", "priority", "apps", "domains"],
)
def test_a_file_of_another_form_is_refused(text: bytes, told: str) -> None:
    with pytest.raises(PatternFileError, match=told):
        parse(text)


def test_every_wrong_item_is_named() -> None:
    with pytest.raises(PatternFileError) as error:
        compare([entry("Desing"), entry(), entry("Music", ["a"]), entry("Uncategorized", domains=["a.com"])], STORE)

    assert str(error.value).splitlines() == [
        "item 1: Desing: no such category",
        "item 3: Music is a category without patterns",
        "item 4: Uncategorized is a category without patterns",
    ]


def test_categories_of_the_contract_and_of_the_store_are_known() -> None:
    news = compare([entry("Pottery", ["Kiln"]), entry("Game", priority=3), entry("Music"), entry("Game")], STORE)

    assert news.added == [FilePattern(PatternKind.APP, "Kiln", "Pottery")]
    assert news.categories == [
        CategoryPattern(category_id("Game"), "Game", 3),
        CategoryPattern(category_id("Music"), "Music"),
    ]


def test_patterns_are_new_or_there_in_whichever_spelling() -> None:
    entries = [
        entry(apps=["FIGMA.exe", "Sketch", "sketch"], domains=["https://www.Figma.com/", "sketch.com"]),
        entry("Game", ["Figma"]),
        entry("Design", domains=["*.sketch.com"]),
    ]

    news = compare(entries, STORE)

    assert news.added == [
        FilePattern(PatternKind.APP, "Sketch", "Design"),
        FilePattern(PatternKind.DOMAIN, "sketch.com", "Design"),
        FilePattern(PatternKind.APP, "Figma", "Game"),
    ]
    assert news.already_there == 4


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [("app", ""), ("app", "—"), ("app", "\ud800"), ("domain", ""), ("domain", "com"), ("domain", "a.*.com")],
)
def test_a_broken_pattern_is_left_out_with_its_reason(kind: str, pattern: str) -> None:
    good = {"apps": ["Sketch"]}
    broken = entry("Game", [pattern]) if kind == "app" else entry("Game", domains=[pattern])

    news = compare([broken, entry(**good)], STORE)

    ((found, reason),) = news.broken
    assert (found.kind, found.pattern, found.category) == (kind, pattern, "Game")
    assert reason
    assert [each.pattern for each in news.added] == ["Sketch"]
