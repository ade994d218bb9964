"""PersonalDocumentsPort on every store."""

import pytest
from bson import ObjectId

from domains.userData.model import USAGE_LOGS, WINDOWS, PersonalItem, Scope
from domains.userData.ports import PersonalDocumentsPort
from tests.contract.conftest import MongoStores, Stores
from tests.messages import DEVELOPMENT, categorized, data_id, log_id, spring_data, spring_log, usage_log

ODD = "a'b\"c$.{}%_\n"


@pytest.fixture
async def filled(stores: Stores) -> Stores:
    """Windows 1 (ann's), 2 (of both), 3 (of the odd user); ann's logs 1 (of day 10), 2 (of day 20)."""
    await stores.categorized.save_all([categorized(n, "App", "", f"title {n}") for n in (1, 2, 3)])
    await stores.logs.save_all(
        [
            usage_log(1, user_id="ann", categorized_data_id=data_id(1), timestamp=10.0, category_id=DEVELOPMENT),
            usage_log(2, user_id="ann", categorized_data_id=data_id(2), timestamp=20.0),
            usage_log(3, user_id=ODD, categorized_data_id=data_id(2), timestamp=5.0),
            usage_log(4, user_id=ODD, categorized_data_id=data_id(3), timestamp=30.0),
        ]
    )
    return stores


async def found(documents: PersonalDocumentsPort, scope: Scope) -> list[PersonalItem]:
    return [item async for item in documents.find(scope)]


def ids(items: list[PersonalItem], place: str) -> set[object]:
    return {item.data["id"] for item in items if item.place == place}


async def test_the_logs_of_a_user_and_the_windows_that_nobody_else_had(filled: Stores) -> None:
    items = await found(filled.personal, Scope("ann"))

    assert ids(items, USAGE_LOGS) == {log_id(1), log_id(2)}
    assert ids(items, WINDOWS) == {data_id(1)}
    assert all(item.is_ours for item in items)


async def test_a_log_has_its_fields_and_its_window(filled: Stores) -> None:
    (first, *_) = [item.data for item in await found(filled.personal, Scope("ann")) if item.data["id"] == log_id(1)]

    assert first == {
        "id": log_id(1),
        "userId": "ann",
        "categorizedDataId": data_id(1),
        "categoryId": DEVELOPMENT,
        "session": 3,
        "sessionMinutes": 25,
        "sessionDate": "2025-09-02",
        "timestamp": 10.0,
        "duration": 120.0,
        "window": {"app": "App", "url": "", "title": "title 1"},
    }


async def test_a_log_without_its_window_is_found(stores: Stores) -> None:
    await stores.logs.save_all([usage_log(1, user_id="ann")])

    (item,) = await found(stores.personal, Scope("ann"))

    assert (item.place, item.data["window"]) == (USAGE_LOGS, None)


async def test_more_than_a_page_is_found(stores: Stores) -> None:
    await stores.logs.save_all([usage_log(n, user_id="ann", categorized_data_id=data_id(n)) for n in range(1, 1102)])

    assert len(await found(stores.personal, Scope("ann"))) == 1101


@pytest.mark.parametrize(
    ("scope", "logs", "windows"),
    [
        (Scope("ann"), {1, 2}, {1}),
        (Scope(ODD), {3, 4}, {3}),
        (Scope("an"), set(), set()),
        (Scope(before=20.0), {1, 3}, {1}),
        (Scope(before=21.0), {1, 2, 3}, {1, 2}),
        (Scope("ann", 20.0), {1}, {1}),
    ],
    ids=["user", "odd user", "another id", "before", "a shared window", "user and before"],
)
async def test_what_is_erased_is_what_was_counted(
    filled: Stores, scope: Scope, logs: set[int], windows: set[int]
) -> None:
    expected = {place: len(them) for place, them in ((USAGE_LOGS, logs), (WINDOWS, windows)) if them}

    assert await filled.personal.count(scope) == expected
    assert await filled.personal.erase(scope) == expected
    assert await filled.personal.erase(scope) == {}, "again, there is nothing"

    left = {log.id for log in await filled.logs.find_by_ids([log_id(n) for n in range(1, 5)])}
    assert left == {log_id(n) for n in {1, 2, 3, 4} - logs}
    assert (await filled.categorized.find_by_ids([data_id(n) for n in (1, 2, 3)])).keys() == {
        data_id(n) for n in {1, 2, 3} - windows
    }


async def test_a_log_that_was_erased_after_its_window_is_found_again(filled: Stores) -> None:
    """As after a kill between the two."""
    await filled.personal.erase(Scope("ann"))
    await filled.logs.save_all([usage_log(1, user_id="ann", categorized_data_id=data_id(1))])

    assert await filled.personal.erase(Scope("ann")) == {USAGE_LOGS: 1}


# What Spring owns


async def test_what_spring_wrote_is_listed_and_stays(mongo: MongoStores) -> None:
    mongo.raw["categorized_data"].insert_one({**spring_data(1), "_class": "com.pomocore.CategorizedData"})
    mongo.raw["pomodoro_usage_log"].insert_one({**spring_log(1), "_class": "com.pomocore.PomodoroUsageLog"})
    await mongo.categorized.save_all([categorized(2)])
    await mongo.logs.save_all([usage_log(2, categorized_data_id=data_id(2))])

    items = await found(mongo.personal, Scope("user-1"))

    assert {(item.data["id"], item.is_ours) for item in items} == {
        (log_id(1), False), (data_id(1), False), (log_id(2), True), (data_id(2), True)
    }  # fmt: skip
    assert await mongo.personal.erase(Scope("user-1")) == {USAGE_LOGS: 1, WINDOWS: 1}
    assert [document["_id"] for document in mongo.raw["pomodoro_usage_log"].find()] == [ObjectId(log_id(1))]
    assert [document["_id"] for document in mongo.raw["categorized_data"].find()] == [ObjectId(data_id(1))]


async def test_a_log_of_an_earlier_version_keeps_its_window(mongo: MongoStores) -> None:
    await mongo.categorized.save_all([categorized(1)])
    await mongo.logs.save_all([usage_log(1, user_id="ann", categorized_data_id=data_id(1))])
    other = spring_log(2) | {"userId": "ben", "categorizedDataId": ObjectId(data_id(1))}
    mongo.raw["pomodoro_usage_log"].insert_one(
        {name: it for name, it in other.items() if name != "CategorizedDataId"}
    )

    assert await mongo.personal.erase(Scope("ann")) == {USAGE_LOGS: 1}


async def test_a_document_that_is_no_log_is_the_users_all_the_same(mongo: MongoStores) -> None:
    mongo.raw["pomodoro_usage_log"].insert_one({"userId": "ann", "duration": "long"})

    (item,) = await found(mongo.personal, Scope("ann"))

    assert item.data["duration"] == "long"
    assert await mongo.personal.erase(Scope("ann")) == {USAGE_LOGS: 1}
