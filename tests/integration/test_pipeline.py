"""The whole way of a message: from the stream to documents, boards, session events and dead letters."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from structlog.testing import capture_logs

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.window import Window
from domains.leaderboard.model import OVERALL_BOARD
from domains.pomodoro.model import CategorizedData, Commit
from infrastructure.composition.container import Container, running_container
from infrastructure.patterns.pattern_file import default_patterns
from infrastructure.settings import Settings
from tests.integration.conftest import DEADLINE, Pipeline, StartPipeline, other_instance
from tests.messages import (
    DEVELOPMENT,
    DOCUMENTATION,
    ENTERTAINMENT,
    SNS,
    categorized,
    data_id,
    linked_message,
    log_id,
    message,
    patterns,
    spring_data,
    spring_log,
    unix_seconds,
    usage_log,
)

DAY = date(2025, 9, 2)
EDITOR = Window("Visual Studio Code", "", "README.md — pomocore")
UNKNOWN = "An app that no rule knows"


async def document(pipeline: Pipeline, key: Window) -> CategorizedData:
    found = await pipeline.container.categorized_data().find_many_by_app_url_title_batch([key])
    return found[key]


async def session(pipeline: Pipeline, user: str = "user-1", number: int = 3, day: date = DAY) -> list[Any]:
    return await pipeline.container.usage_logs().find_by_session(user, day, number)


# Documents


async def test_a_message_without_ids_gets_its_documents(any_pipeline: Pipeline) -> None:
    await any_pipeline.process(message())

    window = await document(any_pipeline, EDITOR)
    (log,) = await session(any_pipeline)
    assert (window.category_id, window.is_llm_based) == (DEVELOPMENT, False)
    assert log == usage_log(1, id=log.id, categorized_data_id=window.id, category_id=DEVELOPMENT)


async def test_a_message_with_ids_gets_its_category_into_springs_documents(any_pipeline: Pipeline) -> None:
    await any_pipeline.container.categorized_data().save_all([categorized(1, *EDITOR), categorized(2, "Notion")])
    await any_pipeline.container.usage_logs().save_all([usage_log(1), usage_log(2, timestamp=1756771300.0)])

    await any_pipeline.process(linked_message(1), linked_message(2, app="Notion", title=None, url=None))

    assert await document(any_pipeline, EDITOR) == categorized(1, *EDITOR, category_id=DEVELOPMENT)
    assert await session(any_pipeline) == [
        usage_log(1, category_id=DEVELOPMENT),
        usage_log(2, category_id=DOCUMENTATION, timestamp=1756771300.0),
    ]
    assert await any_pipeline.count("categorized_data") == await any_pipeline.count("pomodoro_usage_log") == 2


async def test_both_kinds_of_message_go_together_in_one_batch(any_pipeline: Pipeline) -> None:
    await any_pipeline.container.categorized_data().save_all([categorized(n, *EDITOR) for n in range(4)])
    await any_pipeline.container.usage_logs().save_all([usage_log(n, user_id=f"user-{n}") for n in range(4)])
    linked = [linked_message(n, userId=f"user-{n}") for n in range(4)]
    plain = [message(userId=f"user-{n}", app="카카오톡", title=f"방 {n}") for n in range(4, 8)]

    await any_pipeline.process(*(entry for pair in zip(linked, plain, strict=True) for entry in pair))

    logs = [(await session(any_pipeline, f"user-{n}"))[0] for n in range(8)]
    assert [log.category_id for log in logs] == [DEVELOPMENT] * 4 + [SNS] * 4
    assert [log.categorized_data_id for log in logs[:4]] == [data_id(n) for n in range(4)]
    assert await any_pipeline.count("categorized_data") == 8
    assert any_pipeline.board("leaderboard:work:2025-09-02") == {f"user-{n}": 120.0 for n in range(4)}
    assert any_pipeline.board("leaderboard:SNS:2025-09-02") == {f"user-{n}": 120.0 for n in range(4, 8)}


async def test_messages_of_one_window_share_its_document(any_pipeline: Pipeline) -> None:
    await any_pipeline.process(*(message(userId=f"user-{n}") for n in range(20)))

    window = await document(any_pipeline, EDITOR)
    logs = [(await session(any_pipeline, f"user-{n}"))[0] for n in range(20)]
    assert {log.categorized_data_id for log in logs} == {window.id}
    assert await any_pipeline.count("categorized_data") == 1
    assert await any_pipeline.count("pomodoro_usage_log") == 20


async def test_a_known_window_keeps_its_document_and_the_category_that_is_stored(any_pipeline: Pipeline) -> None:
    known = categorized(1, *EDITOR, category_id=ENTERTAINMENT)  # the rules would say Development
    await any_pipeline.container.categorized_data().save_all([known])

    await any_pipeline.process(message())

    assert await document(any_pipeline, EDITOR) == known
    (log,) = await session(any_pipeline)
    assert (log.categorized_data_id, log.category_id) == (known.id, ENTERTAINMENT)
    assert await any_pipeline.count("categorized_data") == 1
    assert any_pipeline.boards() == {
        "leaderboard:Entertainment:2025-09-02",
        "leaderboard:Entertainment:2025-W36",
        "leaderboard:Entertainment:2025-M9",
    }


async def test_a_known_window_that_an_llm_classified_stays_so(any_pipeline: Pipeline) -> None:
    known = categorized(1, UNKNOWN, category_id=SNS, is_llm_based=True)
    await any_pipeline.container.categorized_data().save_all([known])

    await any_pipeline.process(message(app=UNKNOWN, title=""))

    assert await document(any_pipeline, known.window) == known
    assert (await session(any_pipeline))[0].category_id == SNS


async def test_a_known_window_without_a_category_is_given_one(any_pipeline: Pipeline) -> None:
    await any_pipeline.container.categorized_data().save_all([categorized(2, *EDITOR), categorized(1, *EDITOR)])

    await any_pipeline.process(message())

    assert await document(any_pipeline, EDITOR) == categorized(1, *EDITOR, category_id=DEVELOPMENT)
    assert (await session(any_pipeline))[0].categorized_data_id == data_id(1)
    assert await any_pipeline.count("categorized_data") == 2


async def test_uncategorized_is_created_once_and_used_where_no_rule_knows(any_pipeline: Pipeline) -> None:
    await any_pipeline.process(message(app=UNKNOWN, userId="user-1"))
    await any_pipeline.process(message(app=UNKNOWN, userId="user-2", title="another"))

    found = await any_pipeline.container.category_patterns().find_all()
    (uncategorized,) = [pattern for pattern in found if pattern.category == "Uncategorized"]
    assert (await session(any_pipeline))[0].category_id == uncategorized.id
    assert (await document(any_pipeline, EDITOR._replace(app=UNKNOWN))).category_id == uncategorized.id
    assert any_pipeline.boards() == {
        "leaderboard:Uncategorized:2025-09-02",
        "leaderboard:Uncategorized:2025-W36",
        "leaderboard:Uncategorized:2025-M9",
    }


async def test_two_instances_that_start_together_create_uncategorized_once(
    pipeline_on: StartPipeline, any_settings: Settings
) -> None:
    async with pipeline_on(any_settings) as one, pipeline_on(other_instance(any_settings)) as two:
        await one.process(*(message(app=UNKNOWN, userId=f"user-{n}") for n in range(20)))

        names = [pattern.category for pattern in await two.container.category_patterns().find_all()]
        assert names.count("Uncategorized") == 1


# What Spring may write


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"unknownField": "whatever", "내용": "🍜"}, {}),
        ({"duration": "1.5E-1"}, {"duration": 0.15}),
        ({"duration": "1.2E2"}, {"duration": 120.0}),
        ({"duration": "0.0"}, {"duration": 0.0}),
        ({"duration": "120"}, {"duration": 120.0}),
        ({"timestamp": "1.756771234E9"}, {"timestamp": 1756771234.0}),
        ({"timestamp": "1.7567712345678E9"}, {"timestamp": 1756771234.5678}),
        ({"timestamp": "1756771234.25"}, {"timestamp": 1756771234.25}),
        ({"sessionMinutes": None}, {"session_minutes": 0}),
        ({"sessionMinutes": ""}, {"session_minutes": 0}),
        ({"isEnd": None}, {}),
        ({"isEnd": ""}, {}),
        ({"categorizedDataId": "", "pomodoroUsageLogId": ""}, {}),
        ({"sessionDate": "2025-09-02T00:00:00+09:00"}, {}),
        ({"sessionDate": "2025-09-01T15:00:00Z"}, {}),
        ({"sessionDate": "2025-09-01T15:00:00.000Z"}, {}),
    ],
    ids=lambda value: "-".join(f"{name}={text}" for name, text in value.items()) if isinstance(value, dict) else None,
)
async def test_a_message_is_understood_as_spring_means_it(
    pipeline: Pipeline, changes: dict[str, str | None], expected: dict[str, Any]
) -> None:
    await pipeline.process(message(**changes))

    (log,) = await session(pipeline)
    assert log == usage_log(
        1, id=log.id, categorized_data_id=log.categorized_data_id, category_id=DEVELOPMENT, **expected
    )
    assert pipeline.dead_letters() == []


@pytest.mark.parametrize("spelling", [None, ""], ids=["absent", "empty"])
async def test_absent_and_empty_optional_fields_are_the_same_window(
    any_pipeline: Pipeline, spelling: str | None
) -> None:
    await any_pipeline.process(message(app="Notion", title=spelling, url=spelling))
    await any_pipeline.process(message(app="Notion", title=None, url=""))

    assert (await document(any_pipeline, Window("Notion", "", ""))).category_id == DOCUMENTATION
    assert await any_pipeline.count("categorized_data") == 1
    assert await any_pipeline.count("pomodoro_usage_log") == 2


async def test_a_message_without_app_title_and_url_is_uncategorized(pipeline: Pipeline) -> None:
    await pipeline.process(message(app=None, title=None, url=None))

    assert pipeline.board("leaderboard:Uncategorized:2025-09-02") == {"user-1": 120.0}


# Boards


@pytest.mark.parametrize(
    ("local", "day", "week", "month"),
    [
        ("2025-09-02T09:00:34", "2025-09-02", "2025-W36", "2025-M9"),
        ("2024-12-29T23:59:59.999", "2024-12-29", "2024-W52", "2024-M12"),
        ("2024-12-30T00:00:00", "2024-12-30", "2025-W1", "2024-M12"),
        ("2024-12-31T12:00:00", "2024-12-31", "2025-W1", "2024-M12"),
        ("2025-12-28T23:59:59.999", "2025-12-28", "2025-W52", "2025-M12"),
        ("2025-12-29T00:00:00", "2025-12-29", "2026-W1", "2025-M12"),
        ("2027-01-01T00:00:00", "2027-01-01", "2026-W53", "2027-M1"),
        ("2027-01-03T23:59:59.999", "2027-01-03", "2026-W53", "2027-M1"),
        ("2027-01-04T00:00:00", "2027-01-04", "2027-W1", "2027-M1"),
        ("2025-08-31T23:59:59.999", "2025-08-31", "2025-W35", "2025-M8"),
        ("2025-09-01T00:00:00", "2025-09-01", "2025-W36", "2025-M9"),
        ("2025-09-30T23:59:59.999", "2025-09-30", "2025-W40", "2025-M9"),
        ("2025-10-01T00:00:00", "2025-10-01", "2025-W40", "2025-M10"),
        ("2024-02-29T12:00:00", "2024-02-29", "2024-W9", "2024-M2"),
    ],
)
async def test_a_span_counts_in_the_day_iso_week_and_month_of_seoul(
    pipeline: Pipeline, local: str, day: str, week: str, month: str
) -> None:
    await pipeline.process(message(timestamp=unix_seconds(local), duration="2.5E0"))

    expected = {f"leaderboard:{name}:{label}" for name in ("Development", "work") for label in (day, week, month)}
    assert pipeline.boards() == expected
    assert [key for key in expected if pipeline.board(key) != {"user-1": 2.5}] == []


async def test_the_zone_of_the_periods_is_a_setting(pipeline_on: StartPipeline, settings: Settings) -> None:
    async with pipeline_on(settings.model_copy(update={"timezone": "America/New_York"})) as pipeline:
        await pipeline.process(message(timestamp=unix_seconds("2025-09-01T12:59:59")))  # 23:59:59 the day before

        assert pipeline.board("leaderboard:work:2025-M8") == {"user-1": 120.0}


async def test_boards_hold_the_exact_sum_of_many_messages(any_pipeline: Pipeline) -> None:
    entries = [message(userId=f"user-{n % 7}", duration=f"{n}.1E0", title=f"t {n % 11}") for n in range(300)]

    await any_pipeline.process(*entries)

    expected = {f"user-{user}": sum(n + 0.1 for n in range(user, 300, 7)) for user in range(7)}
    for key in ("leaderboard:Development:2025-W36", "leaderboard:work:2025-M9"):
        assert any_pipeline.board(key) == pytest.approx(expected, rel=1e-9)


async def test_categories_that_are_no_work_do_not_count_as_work(pipeline: Pipeline) -> None:
    await pipeline.process(
        message(app="카카오톡"),
        message(app="Chrome", url="https://www.youtube.com/watch?v=1"),
        message(app="Chrome", url="https://github.com/a/b", duration="1.0"),
    )

    assert pipeline.board("leaderboard:work:2025-09-02") == {"user-1": 1.0}
    assert pipeline.board("leaderboard:SNS:2025-09-02") == {"user-1": 120.0}
    assert pipeline.board("leaderboard:Entertainment:2025-09-02") == {"user-1": 120.0}


async def test_boards_that_spring_reads_expire_not(pipeline: Pipeline) -> None:
    await pipeline.process(message())

    assert {pipeline.redis.ttl(key) for key in pipeline.boards()} == {-1}


# Session events


async def test_the_end_of_a_session_is_announced_once(any_pipeline: Pipeline) -> None:
    last = message(isEnd="true", timestamp="1.7567713E9")
    await any_pipeline.process(message(), message(app="카카오톡"), last)
    await any_pipeline.process(last)

    assert any_pipeline.events() == [{"userId": "user-1", "sessionDate": "2025-09-02", "session": "3"}]


async def test_an_event_names_the_session_date_and_not_the_day_of_the_timestamp(pipeline: Pipeline) -> None:
    await pipeline.process(
        message(isEnd="true", sessionDate="2025-09-01T15:00:00Z", timestamp=unix_seconds("2025-09-03"))
    )

    assert pipeline.events() == [{"userId": "user-1", "sessionDate": "2025-09-02", "session": "3"}]


async def test_every_session_of_a_batch_is_announced(pipeline: Pipeline) -> None:
    await pipeline.process(*(message(userId=f"user-{n}", session=str(n), isEnd="true") for n in range(120)))

    assert {(event["userId"], event["session"]) for event in pipeline.events()} == {
        (f"user-{n}", str(n)) for n in range(120)
    }
    assert len(pipeline.events()) == 120


async def test_no_event_comes_before_all_logs_of_its_session_are_categorised(
    pipeline_on: StartPipeline, any_settings: Settings
) -> None:
    """The first message is held by an instance that has stopped answering; its log has no category yet."""
    held: list[str] = []

    async def hold_the_first(container: Container) -> None:
        await container.usage_logs().save_all([usage_log(1)])
        held.extend(await container.publisher().publish([linked_message(1)]))
        await _read_as_another(any_settings)

    patient = any_settings.model_copy(update={"claim_idle_ms": 600_000})
    async with pipeline_on(patient, hold_the_first) as pipeline:
        await pipeline.publish(message(isEnd="true", timestamp="1.7567713E9"))
        await _until_pending_is(pipeline, held)
        assert pipeline.events() == []
        assert [log.category_id for log in await session(pipeline)] == [None, DEVELOPMENT]

    async with pipeline_on(any_settings) as pipeline:  # takes over what the other holds
        await pipeline.settled()
        assert [log.category_id for log in await session(pipeline)] == [DEVELOPMENT, DEVELOPMENT]
        assert len(pipeline.events()) == 1


async def _read_as_another(settings: Settings) -> None:
    async with running_container(other_instance(settings)) as other:
        await other.partition().source().ensure_group()
        assert len(await other.partition().source().read_new(10, 5000)) == 1


async def _until_pending_is(pipeline: Pipeline, ids: list[str]) -> None:
    """Returns when everything but the entries `ids` is committed."""
    stream, group = pipeline.settings.stream_key, pipeline.settings.stream_group
    deadline = time.monotonic() + DEADLINE
    while True:
        waiting = await pipeline.container.backlog().uncommitted(at_most=99)
        pending = [row["message_id"] for row in pipeline.redis.xpending_range(stream, group, "-", "+", 99)]
        if pending == ids and waiting == len(ids):
            return
        assert time.monotonic() < deadline, "the others are not committed"
        await asyncio.sleep(0.01)


# Redelivery


async def test_a_message_that_is_processed_again_after_a_crash_makes_no_second_document(
    pipeline_on: StartPipeline, any_settings: Settings
) -> None:
    """One instance dies between its writes and its commit; another takes its messages over."""
    entries = [message(userId=f"user-{n}", title=f"t {n % 3}", isEnd="true") for n in range(9)]
    async with running_container(other_instance(any_settings)) as crashing:
        await crashing.partition().source().ensure_group()
        await crashing.publisher().publish(entries)
        batch = await crashing.partition().source().read_new(50, 5000)
    uncommitted: list[Commit] = []

    async def crash(container: Container) -> None:
        await container.classifier().load()
        decided, undecided = container.partition().batches().decide(batch.messages, {})
        assert not undecided
        assert await container.partition().batches().write(decided) == {}
        uncommitted.append(container.partition().batches().commit_of(decided))

    async with pipeline_on(any_settings, crash) as pipeline:
        await pipeline.settled()

        assert await pipeline.count("pomodoro_usage_log") == 9
        assert await pipeline.count("categorized_data") == 3
        late = (
            await pipeline.container.partition().commits().commit(uncommitted[0])
        )  # the first one was not dead after all
        assert (late.messages, late.scores) == (0, 0)
        assert pipeline.board("leaderboard:work:2025-09-02") == {f"user-{n}": 120.0 for n in range(9)}
        assert len(pipeline.events()) == 9


async def test_a_replayed_message_makes_no_second_document(any_pipeline: Pipeline) -> None:
    (first,) = await any_pipeline.process(message())

    await any_pipeline.process(message(pomocoreOriginalId=first))

    assert await any_pipeline.count("pomodoro_usage_log") == 1
    assert await any_pipeline.count("categorized_data") == 1


async def test_a_restart_counts_nothing_twice(pipeline_on: StartPipeline, any_settings: Settings) -> None:
    async with pipeline_on(any_settings) as pipeline:
        await pipeline.process(message(), message(isEnd="true"))
    async with pipeline_on(any_settings) as pipeline:
        await pipeline.process(message(userId="user-2"))

        assert pipeline.board("leaderboard:work:2025-09-02") == {"user-1": 240.0, "user-2": 120.0}
        assert await pipeline.count("pomodoro_usage_log") == 3
        assert len(pipeline.events()) == 1


async def test_what_lies_on_the_stream_before_the_first_start_is_processed(
    pipeline_on: StartPipeline, sqlite_settings: Settings
) -> None:
    async def publish(container: Container) -> None:
        await container.publisher().publish([message(userId=f"user-{n}") for n in range(200)])

    async with pipeline_on(sqlite_settings, publish) as pipeline:
        await pipeline.settled()

        assert len(pipeline.board("leaderboard:work:2025-09-02")) == 200


async def test_a_flushed_redis_is_gone_on_with(pipeline: Pipeline) -> None:
    await pipeline.process(message(userId="before"))
    pipeline.redis.flushall()

    await pipeline.process(message(userId="after"))

    assert pipeline.board("leaderboard:work:2025-09-02") == {"after": 120.0}


# Streams


@pytest.mark.parametrize(
    ("stream", "group"),
    [
        ("pomodoro_pattern_match_stream", "pomodoro_pattern_match_group"),
        ("pattern_match_stream", "pattern_match_group"),
    ],
)
async def test_both_namings_of_the_stream_work(
    pipeline_on: StartPipeline, settings: Settings, stream: str, group: str
) -> None:
    names = {"stream_key": stream, "stream_group": group, "stream_consumer": "c", "instance_id": "1"}
    async with pipeline_on(settings.model_copy(update=names)) as pipeline:
        pipeline.redis.xadd(stream, message(isEnd="true"))
        pipeline.redis.xadd(stream, message(userId=""))
        await pipeline.settled()

        assert [row["name"] for row in pipeline.redis.xinfo_groups(stream)] == [group]
        assert [row["name"] for row in pipeline.redis.xinfo_consumers(stream, group)] == ["c-1"]
        assert pipeline.board("leaderboard:work:2025-09-02") == {"user-1": 120.0}
        assert len(pipeline.events()) == 1
        assert pipeline.redis.xlen(f"{stream}:dlq") == 1


def test_the_default_names_are_those_of_the_contract() -> None:
    settings = Settings(instance_id="1")

    assert (settings.stream_key, settings.stream_group, settings.consumer_name) == (
        "pomodoro_pattern_match_stream",
        "pomodoro_pattern_match_group",
        "pomodoro_pattern_match_consumer-1",
    )


# Bad input

BAD = [
    ({"userId": None}, "userId is missing"),
    ({"userId": ""}, "userId must be a text of 1 to 500 characters"),
    ({"duration": None}, "duration is missing"),
    ({"duration": ""}, "duration must be"),
    ({"duration": "-1.0"}, "duration must be a finite number of seconds, 0 or more, not '-1.0'"),
    ({"duration": "NaN"}, "duration must be"),
    ({"duration": "Infinity"}, "duration must be"),
    ({"duration": "1.0E400"}, "duration must be"),
    ({"duration": "two minutes"}, "duration must be"),
    ({"duration": "1_000"}, "duration must be"),
    ({"duration": "0x10"}, "duration must be"),
    ({"timestamp": None}, "timestamp is missing"),
    ({"timestamp": "NaN"}, "timestamp must be"),
    ({"timestamp": "-Infinity"}, "timestamp must be"),
    ({"timestamp": "1.0E300"}, "timestamp must lie between 2010-01-01"),
    ({"timestamp": "2025-09-02T00:00:00Z"}, "timestamp must be"),
    ({"session": None}, "session is missing"),
    ({"session": "-1"}, "session must be"),
    ({"session": "1.5"}, "session must be"),
    ({"session": "2147483648"}, "session must be"),
    ({"sessionMinutes": "-25"}, "sessionMinutes must be"),
    ({"sessionMinutes": "a"}, "sessionMinutes must be"),
    ({"sessionDate": None}, "sessionDate is missing"),
    ({"sessionDate": ""}, "sessionDate '' is no date"),
    ({"sessionDate": "2025-02-30"}, "sessionDate '2025-02-30' is no date"),
    ({"sessionDate": "2025-9-2"}, "sessionDate .* is no date"),
    ({"sessionDate": "yesterday"}, "sessionDate .* is no date"),
    ({"sessionDate": "0000-01-01"}, "sessionDate .* is no date"),
    ({"sessionDate": "2025-09-02T25:00:00Z"}, "sessionDate .* is no date"),
    ({"isEnd": "yes"}, "isEnd must be true or false"),
    ({"categorizedDataId": data_id(1)}, "categorizedDataId is given without pomodoroUsageLogId"),
    ({"pomodoroUsageLogId": log_id(1)}, "pomodoroUsageLogId is given without categorizedDataId"),
    ({"categorizedDataId": "", "pomodoroUsageLogId": log_id(1)}, "pomodoroUsageLogId is given without"),
    ({"categorizedDataId": "68b6", "pomodoroUsageLogId": log_id(1)}, "categorizedDataId must be 24 hex digits"),
    ({"categorizedDataId": "g" * 24, "pomodoroUsageLogId": log_id(1)}, "categorizedDataId must be 24 hex digits"),
    ({"categorizedDataId": data_id(1), "pomodoroUsageLogId": "0" * 25}, "pomodoroUsageLogId must be 24 hex digits"),
]


async def parked(pipeline: Pipeline, bad: Mapping[bytes, bytes]) -> dict[str, str]:
    """The dead letter that becomes of an entry, whose neighbours are unaffected while the process goes on."""
    await pipeline.publish(message(userId="before"))
    bad_id = pipeline.publish_raw(bad)
    await pipeline.process(message(userId="after"))
    assert pipeline.board("leaderboard:work:2025-09-02") == {"before": 120.0, "after": 120.0}
    await pipeline.process(message(userId="later"))
    assert pipeline.board("leaderboard:work:2025-M9") == {"before": 120.0, "after": 120.0, "later": 120.0}
    assert await pipeline.count("pomodoro_usage_log") == 3
    (letter,) = pipeline.dead_letters()
    assert letter["originalId"] == bad_id
    return letter


def raw(fields: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): text.encode() for name, text in fields.items()}


@pytest.mark.parametrize(
    ("changes", "reason"), BAD, ids=[" ".join(f"{k}={v}" for k, v in changes.items()) for changes, _ in BAD]
)
async def test_a_message_that_breaks_the_contract_is_parked_with_its_reason(
    pipeline: Pipeline, changes: dict[str, str | None], reason: str
) -> None:
    bad = message(**{"isEnd": "true"} | changes)

    letter = await parked(pipeline, raw(bad))

    assert re.search(reason, letter["reason"])
    assert letter["deliveryCount"] == "1"
    assert json.loads(letter["fields"]) == bad
    readable = not changes.keys() & {"userId", "session", "sessionDate", "isEnd"}
    assert len(pipeline.events()) == readable, "a session ends with its end, also with one that cannot be counted"


@pytest.mark.parametrize("field", ["userId", "title", "sessionDate", "categorizedDataId"])
async def test_bytes_that_are_no_utf_8_are_parked_and_kept(pipeline: Pipeline, field: str) -> None:
    letter = await parked(pipeline, raw(linked_message(1)) | {field.encode(): b"\xff\xfe caf\xe9"})

    assert field in letter["reason"]
    letters = pipeline.container.dead_letters()
    (kept,) = [await letters.get(letter.id) async for letter in letters.all()]
    assert kept.fields[field].encode("utf-8", "surrogateescape") == b"\xff\xfe caf\xe9"


async def test_a_title_of_ten_megabytes_is_parked_and_cut(pipeline: Pipeline) -> None:
    letter = await parked(pipeline, raw(message(title="제목" * 1_700_000)))

    assert "bytes long, more than" in letter["reason"]
    assert letter["truncated"] == "true"
    assert len(letter["fields"]) < 100_000


async def test_an_entry_without_any_known_field_is_parked(pipeline: Pipeline) -> None:
    letter = await parked(pipeline, {b"hello": b"world"})

    assert "userId is missing" in letter["reason"]


async def test_a_reason_does_not_quote_titles_and_urls(pipeline: Pipeline) -> None:
    letter = await parked(pipeline, raw(message(url="https://s3cret.example")) | {b"title": b"s3cret \xff"})

    assert "s3cret" not in letter["reason"]


async def test_a_hundred_bad_messages_among_good_ones_are_all_parked(pipeline: Pipeline) -> None:
    entries = [message(userId="" if n % 2 else f"user-{n}") for n in range(200)]

    await pipeline.process(*entries)

    assert len(pipeline.dead_letters()) == 100
    assert len(pipeline.board("leaderboard:work:2025-09-02")) == 100


async def test_a_board_of_the_wrong_type_stops_no_message(pipeline: Pipeline) -> None:
    pipeline.redis.set("leaderboard:work:2025-09-02", "no board")

    await pipeline.process(message(isEnd="true"))

    assert pipeline.board("leaderboard:Development:2025-09-02") == {"user-1": 120.0}
    assert pipeline.redis.hgetall(f"{pipeline.settings.stream_key}:failed_scores") == {
        "leaderboard:work:2025-09-02\nuser-1": "120"
    }
    assert len(pipeline.events()) == 1


async def test_a_category_named_work_raises_no_overall_board(pipeline: Pipeline) -> None:
    stored = CategoryPattern("e" * 24, OVERALL_BOARD, 1, ("Working Late",))
    await pipeline.container.category_patterns().save_all([stored])
    await pipeline.container.classifier().load()

    await pipeline.process(message(app="Working Late"))

    assert pipeline.boards() == set()
    assert pipeline.dead_letters() == []


# MongoDB's documents


async def test_mongodb_holds_what_the_contract_says_of_both_kinds(
    pipeline_on: StartPipeline, mongo_settings: Settings
) -> None:
    assert mongo_settings.mongo_uri is not None
    with MongoClient(mongo_settings.mongo_uri.get_secret_value(), tz_aware=True) as client:
        stored = client[mongo_settings.mongo_database]
        stored.categorized_data.insert_one(spring_data(1))
        stored.pomodoro_usage_log.insert_one(spring_log(1))
        async with pipeline_on(mongo_settings) as pipeline:
            await pipeline.process(linked_message(1), message(userId="user-2", app="카카오톡", title="방 🍜"))

        assert stored.categorized_data.find_one({"_id": ObjectId(data_id(1))}) == spring_data(
            1, categoryId=ObjectId(DEVELOPMENT), IsLLMBased=False
        )
        assert stored.pomodoro_usage_log.find_one({"_id": ObjectId(log_id(1))}) == spring_log(
            1, categoryId=ObjectId(DEVELOPMENT)
        )
        window = stored.categorized_data.find_one({"app": "카카오톡"})
        assert window == {
            "_id": window["_id"],
            "app": "카카오톡",
            "url": "",
            "title": "방 🍜",
            "categoryId": ObjectId(SNS),
            "IsLLMBased": False,
        }
        log = stored.pomodoro_usage_log.find_one({"userId": "user-2"})
        assert log == {
            "_id": log["_id"],
            "userId": "user-2",
            "CategorizedDataId": window["_id"],
            "categoryId": ObjectId(SNS),
            "session": 3,
            "sessionMinutes": 25,
            "sessionDate": datetime(2025, 9, 1, 15, tzinfo=UTC),
            "timestamp": 1756771234.0,
            "duration": 120.0,
        }
        assert stored.pomodoro_usage_log.count_documents({}) == stored.categorized_data.count_documents({}) == 2


async def test_ids_that_spring_has_no_documents_for_are_no_failure(any_pipeline: Pipeline) -> None:
    await any_pipeline.process(linked_message(1))

    assert any_pipeline.board("leaderboard:work:2025-09-02") == {"user-1": 120.0}
    assert await any_pipeline.count("categorized_data") == await any_pipeline.count("pomodoro_usage_log") == 0
    assert any_pipeline.dead_letters() == []


# A store without patterns


async def test_nothing_is_read_before_there_are_patterns(any_settings: Settings, redis_client: Any) -> None:
    async with running_container(any_settings) as container:
        container.default_patterns.override([])
        stop, consumer = asyncio.Event(), container.partition().consumer()
        with capture_logs() as logs:
            running = asyncio.create_task(consumer.run(stop))
            await container.publisher().publish([message()])
            while not any(log["action"] == "patterns" for log in logs):
                await asyncio.sleep(0.01)
        container.state().attend([consumer], stop)
        check = (await container.state().checks())["patterns"]
        waiting = await container.backlog().uncommitted(at_most=10)

        await container.category_patterns().save_all(patterns())
        while await container.backlog().uncommitted(at_most=10):
            await asyncio.sleep(0.01)
        stop.set()
        await running

    assert not check.ok
    assert "is MONGO_DATABASE right?" in check.why
    assert waiting == 1
    assert redis_client.zscore("leaderboard:Development:2025-09-02", "user-1") == 120.0


@pytest.mark.mongo
async def test_an_empty_store_gets_the_default_patterns_if_asked_to(mongo_settings: Settings) -> None:
    async with running_container(mongo_settings.model_copy(update={"seed_default_patterns": True})) as container:
        await container.classifier().load()
        await container.classifier().load()

        stored = await container.category_patterns().find_all()

    assert sorted(pattern.category for pattern in stored) == sorted(
        pattern.category for pattern in default_patterns()
    )
