"""Files of patterns, and what they would add to a store."""

import json
from typing import Any

import pytest

from domains.categoryPattern.model import CategoryPattern, PatternKind, category_id
from infrastructure.patterns.pattern_file import (
    FilePattern,
    PatternFileError,
    compare,
    default_patterns,
    read_patterns,
    write_patterns,
)

STORE = [CategoryPattern("a" * 24, "Design", 1, ("Figma",), ("figma.com",)), CategoryPattern("b" * 24, "Pottery")]


def entry(category: Any = "Design", apps: Any = (), domains: Any = (), **fields: Any) -> dict[str, Any]:
    return {"category": category, "priority": None, "appPatterns": [*apps], "domainPatterns": [*domains]} | fields


def pattern(
    category: str = "Design", apps: Any = (), domains: Any = (), priority: int | None = None
) -> CategoryPattern:
    return CategoryPattern(category_id(category), category, priority, tuple(apps), tuple(domains))


def test_what_is_written_can_be_read() -> None:
    patterns = default_patterns()

    assert read_patterns(write_patterns(patterns).encode()) == patterns
    news = compare(read_patterns(write_patterns(patterns).encode()), patterns)
    assert (news.categories, news.added, news.broken) == ([], [], [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "not an array"),
        (b"[1]", "item 1: Expected `object`"),
        (b'[{"priority": 1}]', "item 1: Object missing required field `category`"),
        (json.dumps([entry(), entry(category=1)]).encode(), "item 2: Expected `str`, got `int`"),
        (json.dumps([entry(priority="1")]).encode(), r"item 1 \(Design\): Expected `int"),
        (json.dumps([entry(apps=[1])]).encode(), r"item 1 \(Design\): Expected `str`, got `int`"),
        (json.dumps([entry(domainPatterns="x")]).encode(), r"item 1 \(Design\): Expected `array"),
    ],
    ids=["empty", "no_text", "deep", "object", "number", "keys", "category", "priority", "apps", "domains"],
)
def test_a_file_of_another_form_is_refused(text: bytes, told: str) -> None:
    with pytest.raises(PatternFileError, match=told):
        read_patterns(text)


def test_every_wrong_item_is_named() -> None:
    with pytest.raises(PatternFileError) as error:
        compare(
            [pattern("Desing"), pattern(), pattern("Music", ["a"]), pattern("Uncategorized", domains=["a.com"])],
            STORE,
        )

    assert str(error.value).splitlines() == [
        "item 1: Desing: no such category",
        "item 3: Music is a category without patterns",
        "item 4: Uncategorized is a category without patterns",
    ]


def test_categories_of_the_contract_and_of_the_store_are_known() -> None:
    news = compare(
        [pattern("Pottery", ["Kiln"]), pattern("Game", priority=3), pattern("Music"), pattern("Game")], STORE
    )

    assert news.added == [FilePattern(PatternKind.APP, "Kiln", "Pottery")]
    assert news.categories == [
        CategoryPattern(category_id("Game"), "Game", 3),
        CategoryPattern(category_id("Music"), "Music"),
    ]


def test_patterns_are_new_or_there_in_whichever_spelling() -> None:
    entries = [
        pattern(apps=["FIGMA.exe", "Sketch", "sketch"], domains=["https://www.Figma.com/", "sketch.com"]),
        pattern("Game", ["Figma"]),
        pattern("Design", domains=["*.sketch.com"]),
    ]

    news = compare(entries, STORE)

    assert news.added == [
        FilePattern(PatternKind.APP, "Sketch", "Design"),
        FilePattern(PatternKind.DOMAIN, "sketch.com", "Design"),
        FilePattern(PatternKind.APP, "Figma", "Game"),
    ]
    assert news.already_there == 4


@pytest.mark.parametrize(
    ("kind", "text"),
    [("app", ""), ("app", "—"), ("app", "\ud800"), ("domain", ""), ("domain", "com"), ("domain", "a.*.com")],
)
def test_a_broken_pattern_is_left_out_with_its_reason(kind: str, text: str) -> None:
    good = {"apps": ["Sketch"]}
    broken = pattern("Game", [text]) if kind == "app" else pattern("Game", domains=[text])

    news = compare([broken, pattern(**good)], STORE)

    ((found, reason),) = news.broken
    assert (found.kind, found.pattern, found.category) == (kind, text, "Game")
    assert reason
    assert [each.pattern for each in news.added] == ["Sketch"]
