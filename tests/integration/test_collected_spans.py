"""Spans of the collector on a real Redis: each once, however often it is said."""

import hashlib
import json
from typing import Any

import pytest

from domains.collector.model import START, Form, Position, Post, Record
from domains.kernel.errors import RedisOutage
from infrastructure.composition.container import Container
from infrastructure.redis.collected_spans import RedisSpanPublisher

DAY = 20_000 * 86_400.0


def record(offset: int, body: Any, received: float = DAY, source: str = "", key: str = "") -> Record:
    form, data = Form.JSON, json.dumps(body).encode()
    return Record(Position(1, offset), Position(1, offset + 1), Post(received, source, key, form, data))


def span(**fields: Any) -> dict[str, Any]:
    return {"userId": "ann", "duration": 120, "timestamp": 1756771234, "session": 1} | fields


@pytest.fixture
def publisher(container: Container) -> RedisSpanPublisher:
    return RedisSpanPublisher(container.redis(), container.partition_keys())


async def entries(container: Container) -> list[dict[str, str]]:
    return [fields for _, fields in await container.redis().xrange(container.keys().stream)]


async def test_a_span_is_spelled_as_spring_does(container: Container, publisher: RedisSpanPublisher) -> None:
    await publisher.publish("one", [record(7, [span(), span(app=["x"], usageId=1)])], Position(1, 8))
    first, second = await entries(container)

    assert first == {
        "userId": "ann",
        "duration": "120.0",
        "timestamp": "1.756771234E9",
        "session": "1",
        "eventId": "one-1-7-0",
        "pomocoreOriginalId": "collect/date=1970-01-01/hour=00/one-0000000000001.jsonl.gz#7-0",
    }
    assert second["app"] == '["x"]'
    assert "usageId" not in second


@pytest.mark.parametrize("value", [["x"], {"a": 1}, 10**400, 10**4000, True])
async def test_a_value_that_has_no_spelling_is_published_as_it_came(
    container: Container, publisher: RedisSpanPublisher, value: Any
) -> None:
    await publisher.publish("one", [record(0, span(duration=value, session=value), source="ann")], Position(1, 1))
    (fields,) = await entries(container)

    assert fields["session"] == json.dumps(value, separators=(", ", ": "))
    assert fields["userId"] == "ann"


async def test_nothing_before_the_cursor_is_added_again(container: Container, publisher: RedisSpanPublisher) -> None:
    records = [record(offset, span()) for offset in range(3)]

    assert await publisher.position("one") == START
    assert await publisher.publish("one", records[:2], Position(1, 2)) == (2, 0)
    assert await publisher.publish("one", records[:2], Position(1, 2)) == (0, 0)
    assert await publisher.publish("one", records, Position(1, 3)) == (1, 0)
    assert await publisher.position("one") == Position(1, 3)
    assert await publisher.publish("other", records, Position(1, 3)) == (3, 0)
    assert len(await entries(container)) == 6


async def test_the_ids_of_a_client_are_remembered_for_48_hours(
    container: Container, publisher: RedisSpanPublisher
) -> None:
    named, hours = span(eventId="a"), 3600.0

    async def publish(offset: int, body: Any, **post: Any) -> tuple[int, int]:
        return await publisher.publish("one", [record(offset, body, **post)], Position(1, offset + 1))

    assert await publish(0, named, received=DAY + 23 * hours) == (1, 0)
    assert await publish(1, named, received=DAY + 24 * hours) == (0, 1)
    assert await publish(2, named, received=DAY + 71 * hours) == (0, 1)
    assert await publish(3, span(userId="bob", eventId="a"), received=DAY) == (1, 0)
    assert await publish(4, [span(), span()], received=DAY, key="k") == (2, 0)
    assert await publish(5, [span(), span()], received=DAY, key="k") == (0, 2)
    assert await publish(6, [named, span()], received=DAY + 71 * hours) == (1, 1)


async def test_what_is_remembered_of_a_client_with_a_token_stays_the_same_over_versions(
    container: Container, publisher: RedisSpanPublisher
) -> None:
    """An upgrade would else let in again what comes twice."""
    digest = hashlib.blake2b(b"ann\na", digest_size=15).hexdigest()
    await container.redis().sadd(f"{container.keys().collected}:{int(DAY // 86_400)}", digest)

    records = [record(0, span(eventId="a"), source="ann")]
    assert await publisher.publish("one", records, Position(1, 1)) == (0, 1)


async def test_a_stream_that_cannot_take_a_span_keeps_the_cursor(
    container: Container, publisher: RedisSpanPublisher
) -> None:
    await container.redis().set(container.keys().stream, "no stream")
    with pytest.raises(RedisOutage):
        await publisher.publish("one", [record(0, span(eventId="a"))], Position(1, 1))
    await container.redis().delete(container.keys().stream)

    assert await publisher.publish("one", [record(0, span(eventId="a"))], Position(1, 1)) == (1, 0)


async def test_documents_are_not_for_clients_to_name(container: Container, publisher: RedisSpanPublisher) -> None:
    ids = {"categorizedDataId": "a" * 24, "pomodoroUsageLogId": "b" * 24, "pomocoreOriginalId": "1-1"}
    await publisher.publish("one", [record(0, span(**ids), source="ann")], Position(1, 1))

    (fields,) = await entries(container)
    assert fields.keys() & ids.keys() == {"pomocoreOriginalId"}
    assert fields["pomocoreOriginalId"].startswith("collect/")
