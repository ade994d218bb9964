"""CategoryPatternRepositoryPort on every store."""

import asyncio
from typing import Any

import pytest
from bson import Int64, ObjectId

from domains.categoryPattern.model import CategoryPattern, category_id
from tests.contract.conftest import MongoStores, Stores
from tests.messages import hex_id, patterns


async def test_a_new_store_has_no_patterns(stores: Stores) -> None:
    assert await stores.patterns.find_all() == []


@pytest.mark.parametrize(
    "pattern",
    [
        CategoryPattern(hex_id(7), "Development", 1, ("Visual Studio Code", "Xcode"), ("github.com",)),
        CategoryPattern(hex_id(7), "SNS", 0, ("카카오톡", "라인 💬"), ("네이버.한국",)),
        CategoryPattern(hex_id(7), "E-commerce & Shopping", None, (), ("쿠팡.com/'\"%_$",)),
        CategoryPattern(hex_id(7), "AFK", -5, (), ()),
    ],
    ids=["ascii", "korean_and_emoji", "no_priority_and_quotes", "no_patterns"],
)
async def test_a_pattern_comes_back_as_it_was_saved(stores: Stores, pattern: CategoryPattern) -> None:
    await stores.patterns.save_all([pattern])

    assert await stores.patterns.find_all() == [pattern]


async def test_saving_leaves_what_is_there_and_adds_what_is_not(stores: Stores) -> None:
    old, new = patterns()[:2]
    await stores.patterns.save_all([old])

    await stores.patterns.save_all([CategoryPattern(old.id, "Renamed", 99, ("other",), ()), new])

    assert await stores.patterns.find_all() == [old, new]


async def test_documents_are_counted(stores: Stores) -> None:
    assert await stores.patterns.count() == 0
    await stores.patterns.save_all(patterns())

    assert await stores.patterns.count() == len(patterns())


async def test_an_id_that_stands_twice_in_one_call_is_saved_once(stores: Stores) -> None:
    one, other = CategoryPattern(hex_id(7), "Development"), CategoryPattern(hex_id(7), "Design")
    neighbour = CategoryPattern(hex_id(8), "Game")

    await stores.patterns.save_all([one, other, neighbour])

    first, second = await stores.patterns.find_all()
    assert first in (one, other)
    assert second == neighbour


async def test_the_order_does_not_depend_on_the_order_of_saving(stores: Stores) -> None:
    first, second, third, fourth = patterns()
    await stores.patterns.save_all([third, first])
    await stores.patterns.save_all([fourth, second])

    found = await stores.patterns.find_all()

    assert found == [first, second, third, fourth]
    assert found == await stores.patterns.find_all()


async def test_saving_nothing_changes_nothing(stores: Stores) -> None:
    await stores.patterns.save_all([])

    assert await stores.patterns.find_all() == []


async def test_patterns_may_come_from_a_generator(stores: Stores) -> None:
    await stores.patterns.save_all(pattern for pattern in patterns())

    assert await stores.patterns.find_all() == patterns()


# Adding patterns


async def test_patterns_are_added_behind_the_others_once(stores: Stores) -> None:
    await stores.patterns.save_all(patterns())

    for _ in range(2):
        await stores.patterns.add_patterns("SNS", ["라인 💬", "카카오톡", "라인 💬"], ["'\"%_$.com"])

    found = await stores.patterns.find_all()
    assert found[2] == CategoryPattern(hex_id(3), "SNS", 3, ("카카오톡", "라인 💬"), ("instagram.com", "'\"%_$.com"))
    assert [*found[:2], found[3]] == [*patterns()[:2], patterns()[3]]


async def test_patterns_go_to_the_lowest_of_several_documents(stores: Stores) -> None:
    high, low = CategoryPattern(hex_id(9), "Game", 1, ("a",)), CategoryPattern(hex_id(8), "Game", 2)
    await stores.patterns.save_all([high, low])

    await stores.patterns.add_patterns("Game", domain_patterns=["a.com"])

    assert await stores.patterns.find_all() == [CategoryPattern(hex_id(8), "Game", 2, (), ("a.com",)), high]


async def test_a_category_that_is_missing_is_created_for_its_patterns(stores: Stores) -> None:
    for pattern in ("a", "b"):
        await stores.patterns.add_patterns("Game", [pattern])

    assert await stores.patterns.find_all() == [CategoryPattern(category_id("Game"), "Game", None, ("a", "b"))]


async def test_additions_at_the_same_time_are_all_there(stores: Stores) -> None:
    await asyncio.gather(*(stores.patterns.add_patterns("Game", [f"app {number}"]) for number in range(10)))

    (game,) = await stores.patterns.find_all()
    assert sorted(game.app_patterns) == [f"app {number}" for number in range(10)]


# MongoDB's documents


async def test_mongodb_documents_have_the_fields_of_the_contract(mongo: MongoStores) -> None:
    await mongo.patterns.save_all([CategoryPattern(hex_id(7), "SNS", 3, ("카카오톡",), ("instagram.com",))])

    assert list(mongo.raw.category_pattern.find()) == [
        {
            "_id": ObjectId(hex_id(7)),
            "category": "SNS",
            "priority": 3,
            "appPatterns": ["카카오톡"],
            "domainPatterns": ["instagram.com"],
        }
    ]


async def test_mongodb_stores_a_priority_that_is_not_set_as_null(mongo: MongoStores) -> None:
    await mongo.patterns.save_all([CategoryPattern(hex_id(7), "SNS")])

    assert list(mongo.raw.category_pattern.find({}, {"priority": 1})) == [
        {"_id": ObjectId(hex_id(7)), "priority": None}
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"priority": 2, "appPatterns": ["a"], "domainPatterns": ["b.c"]}, (2, ("a",), ("b.c",))),
        ({"priority": None, "appPatterns": None, "domainPatterns": None}, (None, (), ())),
        ({}, (None, (), ())),
        ({"priority": Int64(4), "appPatterns": [], "domainPatterns": []}, (4, (), ())),
        ({"priority": 4.0, "appPatterns": ["a", None, 7]}, (4, ("a",), ())),
    ],
    ids=["all", "nulls", "absent", "a_long", "foreign_types"],
)
async def test_mongodb_reads_what_springs_admin_api_writes(
    mongo: MongoStores, fields: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    mongo.raw.category_pattern.insert_one(
        {"_id": ObjectId(hex_id(7)), "category": "SNS", "_class": "com.pomocore.CategoryPattern", **fields}
    )

    assert await mongo.patterns.find_all() == [CategoryPattern(hex_id(7), "SNS", *expected)]


async def test_patterns_that_spring_removes_are_gone(mongo: MongoStores) -> None:
    await mongo.patterns.save_all(patterns())
    mongo.raw.category_pattern.delete_one({"category": "SNS"})

    assert [pattern.category for pattern in await mongo.patterns.find_all()] == [
        "Development",
        "Documentation",
        "Entertainment",
    ]
