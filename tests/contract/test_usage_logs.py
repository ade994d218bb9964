"""PomodoroUsageLogRepositoryPort on every store."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from bson import ObjectId

from domains.kernel.errors import StoreOutage, StoreRefused
from domains.pomodoro.model import CategoryUpdate, PomodoroUsageLog, Session
from infrastructure.mongo.repositories import PomodoroUsageLogRepositoryAdapter
from tests.contract.conftest import MongoStores, Stores
from tests.contract.refusing import NOT_WRITABLE_PRIMARY, REASON, RefusingDatabase
from tests.messages import DEVELOPMENT, SEOUL, SNS, data_id, log_id, spring_log, usage_log

DAY = date(2025, 9, 2)


async def session_of(stores: Stores, log: PomodoroUsageLog) -> list[PomodoroUsageLog]:
    return await stores.logs.find_by_session(log.user_id, log.session_date, log.session)


# Saving and finding


async def test_the_logs_of_some_users_in_a_period(stores: Stores) -> None:
    logs = [usage_log(n, user_id=user, timestamp=float(n)) for n, user in enumerate("abcabcabc", 1)]
    await stores.logs.save_all(logs)

    found = await stores.logs.find_of_users(["a", "c", "nobody"], 3.0, 7.0)

    assert sorted(found, key=lambda log: log.timestamp) == [logs[2], logs[3], logs[5]]
    assert await stores.logs.find_of_users([], 0.0, 10.0) == []


@pytest.mark.parametrize(
    "log",
    [
        usage_log(1, category_id=SNS),
        usage_log(1),
        usage_log(1, user_id="김민수 🍅"),
        usage_log(1, user_id="a'b\"c$.{}\n"),
        usage_log(1, timestamp=1756771234.123456, duration=0.1 + 0.2),
        usage_log(1, timestamp=-1.5, duration=0.0, session=0, session_minutes=0),
        usage_log(1, session=2**31 - 1, session_minutes=2**31 - 1),
        usage_log(1, session_date=date(2024, 2, 29)),
        usage_log(1, session_date=date(1988, 7, 1)),  # Seoul kept summer time then
        usage_log(1, session_date=date(1970, 1, 1)),
        usage_log(1, session_date=date(2100, 12, 31)),
    ],
    ids=[
        "with_category",
        "without_category",
        "korean_user",
        "odd_user",
        "fractions",
        "zeros_and_negative_time",
        "largest_ints",
        "leap_day",
        "summer_time",
        "epoch",
        "far_future",
    ],
)
async def test_a_log_comes_back_as_it_was_saved(stores: Stores, log: PomodoroUsageLog) -> None:
    assert await stores.logs.save_all([log]) == {}

    assert await session_of(stores, log) == [log]


async def test_the_logs_of_a_session_come_by_timestamp(stores: Stores) -> None:
    times = {1: 30.0, 2: 10.0, 3: 20.5, 4: 20.25}
    await stores.logs.save_all([usage_log(number, timestamp=time) for number, time in times.items()])

    found = await stores.logs.find_by_session("user-1", DAY, 3)

    assert [log.timestamp for log in found] == [10.0, 20.25, 20.5, 30.0]


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 2001])
async def test_the_logs_of_a_period_come_in_pages(stores: Stores, count: int) -> None:
    logs = {log_id(n): usage_log(n, timestamp=100.0 + n, category_id=SNS if n % 2 else None) for n in range(count)}
    early, late = usage_log(5000, timestamp=99.999), usage_log(5001, timestamp=100.0 + count)
    await stores.logs.save_all([*logs.values(), early, late])

    pages = [page async for page in stores.logs.find_in_period(100.0, 100.0 + count)]

    assert all(pages), "no page is empty"
    found = [log for page in pages for log in page]
    assert {log.id: log for log in found} == logs
    assert len(found) == count


@pytest.mark.parametrize(
    "other",
    [
        usage_log(2, user_id="user-2"),
        usage_log(2, session=4),
        usage_log(2, session_date=date(2025, 9, 1)),
        usage_log(2, session_date=date(2025, 9, 3)),
    ],
    ids=["user", "session", "the_day_before", "the_day_after"],
)
async def test_another_session_is_not_mixed_in(stores: Stores, other: PomodoroUsageLog) -> None:
    await stores.logs.save_all([usage_log(1), other])

    assert await session_of(stores, usage_log(1)) == [usage_log(1)]


async def test_an_unknown_session_is_empty(stores: Stores) -> None:
    assert await stores.logs.find_by_session("nobody", DAY, 1) == []


@pytest.mark.parametrize(
    ("first", "second", "provisional", "after"),
    [
        (SNS, DEVELOPMENT, False, DEVELOPMENT),
        (SNS, DEVELOPMENT, True, SNS),
        (None, DEVELOPMENT, False, DEVELOPMENT),
        (SNS, SNS, False, SNS),
    ],
    ids=["decided_anew", "provisional", "none_yet", "the_same"],
)
async def test_saving_again_sets_the_category_and_keeps_all_else(
    stores: Stores, first: str | None, second: str, provisional: bool, after: str
) -> None:
    """A delivery that was not committed has left its log; the next one may decide otherwise."""
    await stores.logs.save_all([usage_log(1, category_id=first)])
    neighbour = usage_log(2, category_id=SNS, timestamp=1756771235.0)

    failures = await stores.logs.save_all(
        [usage_log(1, category_id=second, duration=999.0), neighbour], {log_id(1)} if provisional else frozenset()
    )

    assert failures == {}
    assert await session_of(stores, usage_log(1)) == [usage_log(1, category_id=after), neighbour]


async def test_a_provisional_log_that_is_not_there_yet_is_saved(stores: Stores) -> None:
    log = usage_log(1, category_id=SNS)
    await stores.logs.save_all([log], {log.id})

    assert await session_of(stores, log) == [log]


async def test_a_provisional_category_is_set_where_there_is_none(stores: Stores) -> None:
    logs = [usage_log(number, timestamp=float(number), category_id=(None, SNS)[number % 2]) for number in range(4)]
    await stores.logs.save_all(logs)
    provisional = [
        CategoryUpdate([log_id(number)], DEVELOPMENT, False, provisional=number < 2) for number in range(4)
    ]

    assert await stores.logs.update_category_all(provisional) == {}
    categories = [log.category_id for log in await session_of(stores, usage_log(0))]
    assert categories == [DEVELOPMENT, SNS, DEVELOPMENT, DEVELOPMENT]


async def test_an_id_that_stands_twice_in_one_call_is_saved_once_and_is_no_failure(stores: Stores) -> None:
    neighbour = usage_log(2, timestamp=1756771235.0)

    assert await stores.logs.save_all([usage_log(1), usage_log(1), neighbour]) == {}

    assert await session_of(stores, usage_log(1)) == [usage_log(1), neighbour]


async def test_saving_nothing_is_no_failure(stores: Stores) -> None:
    assert await stores.logs.save_all([]) == {}


async def test_hundreds_of_logs_are_saved_at_once(stores: Stores) -> None:
    logs = [usage_log(number, timestamp=float(number)) for number in range(500)]

    assert await stores.logs.save_all(logs) == {}

    assert await session_of(stores, logs[0]) == logs


# Categories


async def test_categories_are_set_by_id(stores: Stores) -> None:
    await stores.logs.save_all([usage_log(number, timestamp=float(number)) for number in range(4)])

    failures = await stores.logs.update_category_all(
        [
            CategoryUpdate([log_id(0)], SNS, False),
            CategoryUpdate([log_id(1)], SNS, True),
            CategoryUpdate([log_id(2)], DEVELOPMENT, False),
        ]
    )

    assert failures == {}
    categories = [log.category_id for log in await session_of(stores, usage_log(0))]
    assert categories == [SNS, SNS, DEVELOPMENT, None]


async def test_setting_a_category_changes_nothing_else(stores: Stores) -> None:
    await stores.logs.save_all([usage_log(1)])
    update = CategoryUpdate([log_id(1)], SNS, True)

    assert [await stores.logs.update_category_all([update, update]) for _ in range(2)] == [{}, {}]

    assert await session_of(stores, usage_log(1)) == [usage_log(1, category_id=SNS)]


async def test_an_unknown_id_is_no_failure_and_creates_nothing(stores: Stores) -> None:
    await stores.logs.save_all([usage_log(1)])

    failures = await stores.logs.update_category_all(
        [CategoryUpdate([log_id(404)], SNS, False), CategoryUpdate([log_id(1)], SNS, False)]
    )

    assert failures == {}
    assert await session_of(stores, usage_log(1)) == [usage_log(1, category_id=SNS)]


async def test_updating_nothing_is_no_failure(stores: Stores) -> None:
    assert await stores.logs.update_category_all([]) == {}


# MongoDB's documents


async def test_mongodb_documents_have_the_fields_and_types_of_the_contract(mongo: MongoStores) -> None:
    await mongo.logs.save_all([usage_log(1, category_id=SNS, duration=120.0)])

    (document,) = mongo.raw.pomodoro_usage_log.find()

    assert document == {
        "_id": ObjectId(log_id(1)),
        "userId": "user-1",
        "CategorizedDataId": ObjectId(data_id(1)),
        "categoryId": ObjectId(SNS),
        "session": 3,
        "sessionMinutes": 25,
        "sessionDate": datetime(2025, 9, 1, 15, tzinfo=UTC),
        "timestamp": 1756771234.0,
        "duration": 120.0,
    }


@pytest.mark.parametrize(
    ("stored_as", "fields"),
    [
        (float, ("timestamp", "duration")),
        (int, ("session", "sessionMinutes")),  # a BSON long would come back as bson.Int64
        (datetime, ("sessionDate",)),
        (ObjectId, ("_id", "CategorizedDataId", "categoryId")),
    ],
    ids=["double", "int", "date", "objectId"],
)
async def test_mongodb_documents_have_the_bson_types_that_java_reads(
    mongo: MongoStores, stored_as: type, fields: tuple[str, ...]
) -> None:
    await mongo.logs.save_all([usage_log(1, category_id=SNS, timestamp=1756771234.0, duration=120.0)])

    document = mongo.raw.pomodoro_usage_log.find_one()

    assert {field: type(document[field]) for field in fields} == dict.fromkeys(fields, stored_as)


@pytest.mark.parametrize(
    ("zone", "day", "instant"),
    [
        ("Asia/Seoul", date(2025, 9, 2), datetime(2025, 9, 1, 15, tzinfo=UTC)),
        ("Asia/Seoul", date(2025, 1, 1), datetime(2024, 12, 31, 15, tzinfo=UTC)),
        ("Asia/Seoul", date(1988, 7, 1), datetime(1988, 6, 30, 14, tzinfo=UTC)),
        ("UTC", date(2025, 9, 2), datetime(2025, 9, 2, tzinfo=UTC)),
        ("America/New_York", date(2025, 3, 9), datetime(2025, 3, 9, 5, tzinfo=UTC)),
        ("America/New_York", date(2025, 3, 10), datetime(2025, 3, 10, 4, tzinfo=UTC)),
    ],
)
async def test_mongodb_stores_a_date_as_midnight_in_the_servers_zone(
    mongo: MongoStores, zone: str, day: date, instant: datetime
) -> None:
    repository = PomodoroUsageLogRepositoryAdapter(mongo.database, ZoneInfo(zone))
    log = usage_log(1, session_date=day)

    await repository.save_all([log])

    assert mongo.raw.pomodoro_usage_log.find_one()["sessionDate"] == instant
    assert await repository.find_by_session("user-1", day, 3) == [log]


async def test_springs_query_for_a_session_finds_the_pipelines_logs(mongo: MongoStores) -> None:
    mongo.raw.pomodoro_usage_log.create_index([("userId", 1), ("sessionDate", 1), ("session", 1)])
    await mongo.logs.save_all([usage_log(1), usage_log(2, session_date=date(2025, 9, 3))])
    local_date = datetime(2025, 9, 2, tzinfo=SEOUL)

    found = mongo.raw.pomodoro_usage_log.find({"userId": "user-1", "sessionDate": local_date, "session": 3})

    assert [str(document["_id"]) for document in found] == [log_id(1)]


async def test_mongodb_updates_set_one_field_of_springs_document_and_no_other(mongo: MongoStores) -> None:
    mongo.raw.pomodoro_usage_log.insert_many([spring_log(1), spring_log(2)])

    await mongo.logs.update_category_all([CategoryUpdate([log_id(1)], DEVELOPMENT, True)])

    assert list(mongo.raw.pomodoro_usage_log.find().sort("_id", 1)) == [
        spring_log(1, categoryId=ObjectId(DEVELOPMENT)),
        spring_log(2),
    ]


async def test_mongodb_reads_springs_document(mongo: MongoStores) -> None:
    document = spring_log(1)
    del document["sessionMinutes"]
    mongo.raw.pomodoro_usage_log.insert_one(document)

    assert await session_of(mongo, usage_log(1)) == [usage_log(1, session_minutes=0)]


# Refusals


async def test_mongodb_reports_a_refused_log_and_inserts_the_others(mongo: MongoStores) -> None:
    repository = PomodoroUsageLogRepositoryAdapter(RefusingDatabase(mongo.database, {ObjectId(log_id(2))}), SEOUL)

    failures = await repository.save_all([usage_log(1), usage_log(2), usage_log(3)])

    assert failures == {log_id(2): REASON}
    assert {str(document["_id"]) for document in mongo.raw.pomodoro_usage_log.find()} == {log_id(1), log_id(3)}


async def test_mongodb_takes_a_primary_that_steps_down_for_an_outage(mongo: MongoStores) -> None:
    database = RefusingDatabase(mongo.database, {ObjectId(log_id(2))}, code=NOT_WRITABLE_PRIMARY)

    with pytest.raises(StoreOutage):
        await PomodoroUsageLogRepositoryAdapter(database, SEOUL).save_all([usage_log(1), usage_log(2)])


async def test_a_number_that_no_store_takes_is_refused_and_no_outage(mongo: MongoStores) -> None:
    with pytest.raises(StoreRefused):
        await mongo.logs.save_all([usage_log(1, session=2**64)])


async def test_sessions_without_category_are_those_with_a_log_that_has_none(stores: Stores) -> None:
    await stores.logs.save_all(
        [
            usage_log(1, category_id=DEVELOPMENT),
            usage_log(2),
            usage_log(3, user_id="two\nlines", category_id=DEVELOPMENT),
            usage_log(4, session=4),
            usage_log(5, session_date=date(2025, 9, 3)),
        ]
    )
    day = date(2025, 9, 2)
    asked = [Session("user-1", day, 3), Session("two\nlines", day, 3), Session("nobody", day, 3)]

    assert await stores.logs.sessions_without_category(asked) == {Session("user-1", day, 3)}
    assert await stores.logs.sessions_without_category([]) == set()


async def test_a_document_that_is_no_log_is_set_aside_with_its_reason_and_hinders_none(mongo: MongoStores) -> None:
    await mongo.logs.save_all([usage_log(1, timestamp=100.0)])
    foreign = mongo.raw.pomodoro_usage_log.insert_one({"userId": "user-1", "timestamp": 100.0, "session": 1})
    set_aside: dict[str, str] = {}

    pages = [page async for page in mongo.logs.find_in_period(100.0, 101.0, set_aside.__setitem__)]

    assert [log.id for page in pages for log in page] == [log_id(1)]
    assert set_aside.keys() == {str(foreign.inserted_id)}
    assert "sessionDate" in set_aside[str(foreign.inserted_id)]


async def test_logs_are_found_by_their_ids(stores: Stores) -> None:
    await stores.logs.save_all([usage_log(1), usage_log(2), usage_log(3)])

    found = await stores.logs.find_by_ids([log_id(1), log_id(3), log_id(9)])

    assert sorted(log.id for log in found) == [log_id(1), log_id(3)]
    assert await stores.logs.find_by_ids([]) == []
