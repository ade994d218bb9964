"""Two fields whose names earlier versions spelled otherwise than Spring's entities: read, written, repaired."""

from datetime import date
from typing import Any

import pytest
from bson import ObjectId

from domains.kernel.window import Window
from domains.pomodoro.model import CategoryUpdate, RepairedDocuments
from infrastructure.mongo.field_names import MongoFieldNames
from tests.contract.conftest import MongoStores
from tests.messages import DEVELOPMENT, SNS, data_id, log_id, spring_data, spring_log

CODE = Window("Visual Studio Code", "", "README.md — pomocore")


def earlier_data(number: int, **fields: Any) -> dict[str, Any]:
    """As an earlier version inserted it."""
    document = spring_data(number, **fields)
    del document["IsLLMBased"], document["_class"]
    return {"isLLMBased": False, **document}


def earlier_log(number: int) -> dict[str, Any]:
    document = spring_log(number)
    document["categorizedDataId"] = document.pop("CategorizedDataId")
    return document


SPELLINGS: dict[str, tuple[dict[str, bool], bool]] = {
    "springs": ({"IsLLMBased": True}, True),
    "earlier": ({"isLLMBased": True}, True),
    "springs, updated by an earlier version": ({"IsLLMBased": False, "isLLMBased": True}, True),
    "springs, given back to the rules by an earlier version": ({"IsLLMBased": True, "isLLMBased": False}, False),
    "neither": ({}, False),
}
spelled = pytest.mark.parametrize(("fields", "is_llm_based"), SPELLINGS.values(), ids=SPELLINGS.keys())


def window_with(fields: dict[str, bool]) -> dict[str, Any]:
    document = spring_data(1, categoryId=ObjectId(SNS))
    del document["IsLLMBased"]
    return document | fields


@spelled
async def test_who_named_a_category_is_read_in_either_spelling(
    mongo: MongoStores, fields: dict[str, bool], is_llm_based: bool
) -> None:
    mongo.raw.categorized_data.insert_one(window_with(fields))

    found = await mongo.categorized.find_many_by_app_url_title_batch([CODE])
    named = [document.id async for document in mongo.categorized.find_llm_based()]

    assert found[CODE].is_llm_based is is_llm_based
    assert named == [data_id(1)] * is_llm_based


@spelled
async def test_an_update_leaves_springs_spelling_alone(
    mongo: MongoStores, fields: dict[str, bool], is_llm_based: bool
) -> None:
    document = window_with(fields)
    mongo.raw.categorized_data.insert_one(document)

    await mongo.categorized.update_category_all([CategoryUpdate([data_id(1)], DEVELOPMENT, not is_llm_based)])

    after = {name: value for name, value in document.items() if name != "isLLMBased"}
    assert mongo.raw.categorized_data.find_one() == after | {
        "categoryId": ObjectId(DEVELOPMENT),
        "IsLLMBased": not is_llm_based,
    }


@pytest.mark.parametrize("document", [spring_log(1), earlier_log(1)], ids=["springs", "earlier"])
async def test_a_log_is_read_in_either_spelling(mongo: MongoStores, document: dict[str, Any]) -> None:
    mongo.raw.pomodoro_usage_log.insert_one(document)

    (log,) = await mongo.logs.find_by_session("user-1", date(2025, 9, 2), 3)

    assert log.categorized_data_id == data_id(1)


async def repaired(mongo: MongoStores) -> RepairedDocuments:
    steps = [done async for done in MongoFieldNames(mongo.database).repair()]
    return steps[-1] if steps else RepairedDocuments()


async def test_a_repair_gives_all_documents_springs_names(mongo: MongoStores) -> None:
    both = spring_data(3, isLLMBased=True)
    mongo.raw.categorized_data.insert_many([spring_data(1), earlier_data(2, isLLMBased=True), both])
    mongo.raw.pomodoro_usage_log.insert_many([spring_log(1), earlier_log(2)])

    assert await repaired(mongo) == RepairedDocuments(looked_at=5, repaired=3)

    del both["isLLMBased"]
    windows = list(mongo.raw.categorized_data.find().sort("_id", 1))
    assert windows[0] == spring_data(1)
    assert windows[1].keys() == earlier_data(2).keys() - {"isLLMBased"} | {"IsLLMBased"}
    assert [bool(window["IsLLMBased"]) for window in windows] == [False, True, True]
    assert windows[2] == both | {"IsLLMBased": windows[2]["IsLLMBased"]}
    logs = list(mongo.raw.pomodoro_usage_log.find().sort("_id", 1))
    assert logs == [spring_log(1), spring_log(2)]


async def test_a_repair_goes_on_where_another_one_was_given_up(
    mongo: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.mongo.field_names._PAGE", 10)
    mongo.raw.categorized_data.insert_many([earlier_data(number) for number in range(1, 36)])
    mongo.raw.pomodoro_usage_log.insert_one(earlier_log(1))

    repair = MongoFieldNames(mongo.database).repair()
    assert [await anext(repair) for _ in range(2)] == [RepairedDocuments(10, 10), RepairedDocuments(20, 20)]
    await repair.aclose()  # type: ignore[attr-defined]

    assert await repaired(mongo) == RepairedDocuments(looked_at=36, repaired=16)
    assert mongo.raw.categorized_data.count_documents({"isLLMBased": {"$exists": True}}) == 0
    assert str(mongo.raw.pomodoro_usage_log.find_one()["_id"]) == log_id(1)


async def test_a_repair_of_an_empty_store_has_nothing_to_do(mongo: MongoStores) -> None:
    assert await repaired(mongo) == RepairedDocuments()
