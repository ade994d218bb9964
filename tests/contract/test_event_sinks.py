"""EventSinkPort in memory, on DuckDB, and on Kafka where KAFKA_TEST_BOOTSTRAP names a broker."""

import gc
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from jsonschema import Draft202012Validator
from pydantic import SecretStr

from domains.activityEvent.model import ActivityEvent, EventMaker, OutboxEntry
from domains.activityEvent.ports import EventSinkPort, EventsOutage, Fenced, Rejected
from domains.pomodoro.model import Posting
from infrastructure.composition.from_settings import kafka_connection
from infrastructure.duckdb.event_sink import DuckDbEventSink
from infrastructure.duckdb.questions import QUESTIONS, NoEvents, WrongQuestion, answer
from infrastructure.memory.events import InMemoryEvents, InMemoryEventSink
from infrastructure.settings import Settings
from tests.messages import SEOUL

BOOTSTRAP = os.environ.get("KAFKA_TEST_BOOTSTRAP")
KINDS = ["memory", "duckdb", pytest.param("kafka", marks=pytest.mark.kafka)]
SCHEMA = Path(__file__).parents[2] / "deploy/analytics/pomocore.spans.v1.schema.json"
LOG = "68b6a3f00000000000000001"
POSTING = Posting(
    "user-1",
    LOG,
    "2025-09-02",
    1756771234.5,
    60.5,
    "2025-09-02",
    3,
    "Development",
    True,
    "url",
    "Code",
    "a.com",
    "spring",
)
Make = Callable[[], EventSinkPort]


@pytest.fixture(params=KINDS)
async def make_sink(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes sinks of one place, as if each were of another process."""
    made: list[EventSinkPort] = []
    events = InMemoryEvents()

    def make() -> EventSinkPort:
        sink: EventSinkPort
        if request.param == "memory":
            sink = InMemoryEventSink(events)
        elif request.param == "duckdb":
            sink = DuckDbEventSink(tmp_path / "analytics.duckdb")
        else:
            if BOOTSTRAP is None:
                pytest.skip("KAFKA_TEST_BOOTSTRAP names no broker")
            from infrastructure.kafka.event_sink import KafkaEventSink

            sink = KafkaEventSink(bootstrap_servers=BOOTSTRAP)
        made.append(sink)
        return sink

    yield make
    for sink in made:
        await sink.close()
    gc.collect()  # aiokafka leaves cycles; collected while pytest parses a module, they fail it on Python 3.11


@pytest.fixture
def stream() -> str:
    return f"stream-{uuid4().hex}"


@pytest.fixture
def day() -> str:
    """A day of the test's own: a topic is shared by all tests."""
    number = uuid4().int
    return f"{1000 + number % 8000}-{1 + number % 12:02}-{1 + number % 28:02}"


def maker() -> EventMaker:
    return EventMaker(b"a key of sixteen characters", SEOUL)


def event(number: int, day: str, **changes: Any) -> ActivityEvent:
    (made,), _ = maker().events(OutboxEntry(f"{number}-0", [POSTING]))
    return replace(made, event_id=f"{LOG}:{number}-0:{uuid4().int}", day=day, **changes)


async def of_day(sink: EventSinkPort, day: str) -> list[ActivityEvent]:
    return sorted([event async for _, event in sink.of_days([day])], key=lambda event: event.event_id)


async def test_what_is_written_is_there_with_its_position(make_sink: Make, stream: str, day: str) -> None:
    sink = make_sink()
    assert await sink.position(stream) == "0-0"
    events = [event(number, day, app="카카오톡") for number in range(3)]

    assert await sink.write(stream, events, [], "3-0") == 0

    assert await of_day(sink, day) == sorted(events, key=lambda each: each.event_id)
    assert [each async for each, _ in sink.of_days([day])] == [stream] * 3
    assert await make_sink().position(stream) == "3-0"
    assert await make_sink().position("another " + stream) == "0-0"


async def test_who_was_overtaken_writes_nothing(make_sink: Make, stream: str, day: str) -> None:
    one, two = make_sink(), make_sink()
    await one.position(stream)
    await one.write(stream, [first := event(1, day)], [], "1-0")
    assert await two.position(stream) == "1-0"

    with pytest.raises((Fenced, EventsOutage)):
        await one.write(stream, [event(2, day)], [], "2-0")

    await two.write(stream, [second := event(3, day)], [], "3-0")
    assert {each.event_id for each in await of_day(two, day)} == {first.event_id, second.event_id}
    assert await one.position(stream) == "3-0"


async def test_what_cannot_be_encoded_is_set_aside_and_holds_nothing_up(
    make_sink: Make, stream: str, day: str
) -> None:
    sink = make_sink()
    await sink.position(stream)
    bad = event(1, day, app="\udcff") if not isinstance(sink, InMemoryEventSink) else None

    refused = await sink.write(
        stream, [*filter(None, [bad]), good := event(2, day)], [Rejected(stream, "3-0", "no msgpack", "")], "3-0"
    )

    assert refused == (2 if bad else 1)
    assert await of_day(sink, day) == [good]


@pytest.mark.kafka
async def test_a_reader_waits_for_what_was_sent_and_cannot_be_read_yet(stream: str, day: str) -> None:
    if BOOTSTRAP is None:
        pytest.skip("KAFKA_TEST_BOOTSTRAP names no broker")
    from infrastructure.kafka.event_sink import SPANS, AIOKafkaProducer, KafkaEventSink

    sink = KafkaEventSink(bootstrap_servers=BOOTSTRAP)
    await sink.position(stream)
    await sink.write(stream, [first := event(1, day)], [], "1-0")
    later = event(2, day)
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=stream) as producer:
        async with producer.transaction():
            await producer.send_and_wait(
                SPANS, msgspec.json.encode(asdict(later)), key=later.user.encode(), headers=[("stream", b"another")]
            )
            reading = sink.of_days([day])
            found = [(await anext(reading))[1]]  # it knows by now where the topic ends
        found += [each async for _, each in reading]

    assert found == [first, later]
    await sink.close()


async def test_a_write_without_events_moves_the_position(make_sink: Make, stream: str) -> None:
    sink = make_sink()
    await sink.position(stream)
    await sink.write(stream, [], [], "7-1")
    assert await make_sink().position(stream) == "7-1"


# The event


def test_an_event_is_as_the_published_schema_says() -> None:
    events, reasons = maker().events(OutboxEntry("1756771300123-4", [POSTING, POSTING._replace(seconds=-60.5)]))

    assert reasons == []
    for made in events:
        Draft202012Validator(json.loads(SCHEMA.read_text())).validate(asdict(made))
    assert events[0].event_id == f"{LOG}:1756771300123-4:0"
    assert events[0].timestamp == "2025-09-02T00:00:34.500Z"
    assert (events[0].hour, events[0].committed_at) == (9, "2025-09-02T00:01:40.123Z")
    assert [(made.seconds, made.sign, made.event_id[-2:]) for made in events] == [(60.5, 1, ":0"), (-60.5, -1, ":1")]
    assert "user-1" not in str(events)
    assert events[0].user != EventMaker(b"another key of 16 chars", SEOUL).pseudonym("user-1")


def test_a_posting_whose_time_is_in_no_calendar_is_set_aside() -> None:
    events, reasons = maker().events(OutboxEntry("1-1", [POSTING._replace(timestamp=1e300), POSTING]))

    assert [made.seconds for made in events] == [60.5]
    assert reasons[0].startswith(LOG)


VERSION_1 = {
    "event_id": "string",
    "user": "string",
    "timestamp": "string",
    "day": "string",
    "hour": "integer",
    "session": "integer",
    "session_date": "string",
    "seconds": "number",
    "sign": None,
    "category": "string",
    "work": "boolean",
    "app": "string",
    "host": "string",
    "tier": "string",
    "source": None,
    "committed_at": "string",
}
"""As it was published. What is here never changes; further fields may come, and are optional."""


def test_version_1_of_the_schema_keeps_what_was_published() -> None:
    schema = json.loads(SCHEMA.read_text())

    assert {name: schema["properties"].get(name, {}).get("type") for name in VERSION_1} == VERSION_1
    assert set(schema["required"]) == set(VERSION_1)
    assert schema["additionalProperties"] is True
    assert [*asdict(event(1, "2025-09-02"))] == [*VERSION_1]


# Questions


async def test_all_ready_questions_have_an_answer(tmp_path: Path) -> None:
    sink = DuckDbEventSink(tmp_path / "analytics.duckdb")
    await sink.position("s")
    events = [event(number, "2025-09-02", category=name) for number, name in enumerate(["Design", "Uncategorized"])]
    await sink.write("s", [*events, replace(events[0], event_id="a:b:1", seconds=-60.5, sign=-1)], [], "1-1")

    for name, question in QUESTIONS.items():
        columns, rows = answer(tmp_path / "analytics.duckdb", question.sql)
        assert columns, name
        assert rows, name
    assert answer(tmp_path / "analytics.duckdb", QUESTIONS["categories"].sql)[1] == [
        ("Uncategorized", 60.5 / 3600, 1)
    ]


@pytest.mark.parametrize("sql", ["DELETE FROM spans", "SELECT * FROM read_text('/etc/hostname')", "SELEC 1"])
async def test_a_question_changes_nothing_and_reads_nothing_else(tmp_path: Path, sql: str) -> None:
    await DuckDbEventSink(tmp_path / "analytics.duckdb").position("s")
    with pytest.raises(WrongQuestion):
        answer(tmp_path / "analytics.duckdb", sql)


def test_before_there_are_events_a_question_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoEvents, match="EVENTS=true"):
        answer(tmp_path / "analytics.duckdb", "SELECT 1")


# Connections


def test_without_more_settings_kafka_is_spoken_to_in_the_clear() -> None:
    settings = Settings(kafka_bootstrap_servers="a:9092, b:9092")

    expected = {"bootstrap_servers": ["a:9092", "b:9092"], "security_protocol": "PLAINTEXT"}
    assert kafka_connection(settings) == expected


def test_a_user_and_tls_are_what_the_settings_say() -> None:
    settings = Settings(
        kafka_bootstrap_servers="a:9092",
        kafka_tls=True,
        kafka_username="pomocore",
        kafka_password=SecretStr("secret"),
    )

    connection = kafka_connection(settings)

    assert connection.pop("ssl_context").check_hostname
    assert connection == {
        "bootstrap_servers": ["a:9092"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "pomocore",
        "sasl_plain_password": "secret",
    }
