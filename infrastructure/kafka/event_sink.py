"""EventSinkPort on Kafka: exactly once, by one transactional producer a stream.

A transaction holds the events and an offset of a group of its own, in whose metadata the position in the outbox
stands. A producer that starts fences the one before it, and ends its transaction.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError, ProducerFenced, TopicAlreadyExistsError
from aiokafka.structs import OffsetAndMetadata

from domains.activityEvent.model import ActivityEvent
from domains.activityEvent.ports import EventsOutage, Fenced, Rejected

SPANS = "pomocore.spans.v1"
REJECTED = "pomocore.spans.dlq"
_PARTITIONS, _COPIES = 3, 3
_PATIENCE_SECONDS = 30.0
_STREAM = "stream"
"""A header of each message."""


class KafkaEventSink:
    """`connection` is how aiokafka connects, `bootstrap_servers` at least. Makes its topics if they are missing."""

    def __init__(self, **connection: Any) -> None:
        self._connection = connection
        self._producers: dict[str, AIOKafkaProducer] = {}

    async def position(self, stream: str) -> str:
        await self._drop(stream)
        name = f"pomocore-export-{stream}"
        with _translated():
            async with asyncio.timeout(_PATIENCE_SECONDS), self._admin() as admin:
                producer = self._producers[stream] = AIOKafkaProducer(
                    **self._connection, transactional_id=name, compression_type="gzip", linger_ms=20
                )
                await producer.start()
                await producer.begin_transaction()  # waits for the end of a predecessor's
                await producer.abort_transaction()
                offsets = await _offsets(admin, name)
        found = offsets.get(TopicPartition(SPANS, 0))
        return found.metadata or "0-0" if found else "0-0"

    async def write(
        self, stream: str, events: Sequence[ActivityEvent], rejected: Sequence[Rejected], position: str
    ) -> int:
        producer = self._producers.get(stream)
        if producer is None:
            raise Fenced(f"no producer for {stream}")
        headers, refused = [(_STREAM, stream.encode())], list(rejected)
        try:
            with _translated():
                async with asyncio.timeout(_PATIENCE_SECONDS), producer.transaction():
                    for event in events:
                        try:
                            value = msgspec.json.encode(asdict(event))
                        except UnicodeEncodeError as error:
                            reason = f"{event.log_id}: {error.reason}"
                            refused.append(Rejected(stream, event.revision, reason, ascii(event)))
                            continue
                        await producer.send(SPANS, value, key=event.user.encode(), headers=headers)
                    for each in refused:
                        await producer.send(REJECTED, msgspec.json.encode(each._asdict()), headers=headers)
                    offset = {TopicPartition(SPANS, 0): OffsetAndMetadata(0, position)}
                    await producer.send_offsets_to_transaction(offset, f"pomocore-export-{stream}")
        except BaseException:
            await self._drop(stream)
            raise
        return len(refused)

    async def of_days(self, days: Collection[str]) -> AsyncIterator[tuple[str, ActivityEvent]]:
        """Reads the whole topic: a span may be committed long after its day.

        Waits for what is still open: a broker says that a transaction is committed a moment before that can be read,
        and to a reader of what is committed the topic ends before it.
        """
        with _translated():
            partitions = await self._partitions()
            async with AIOKafkaConsumer(**self._connection) as uncommitted:
                ends = await uncommitted.end_offsets(partitions)
            async with AIOKafkaConsumer(
                **self._connection, isolation_level="read_committed", enable_auto_commit=False
            ) as consumer:
                consumer.assign(partitions)
                await consumer.seek_to_beginning(*partitions)
                while [each for each in partitions if await consumer.position(each) < ends[each]]:
                    for messages in (await consumer.getmany(timeout_ms=1000)).values():
                        for message in messages:
                            event = msgspec.json.decode(message.value)
                            if event["day"] in days:
                                yield dict(message.headers)[_STREAM].decode(), ActivityEvent(**event)

    async def _partitions(self) -> list[TopicPartition]:
        async with self._admin() as admin:
            (topic,) = await admin.describe_topics([SPANS])
        return [TopicPartition(SPANS, each["partition"]) for each in topic["partitions"]]

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._connection)
        try:
            await admin.start()
            await _make_topics(admin)
            yield admin
        finally:
            await admin.close()

    async def close(self) -> None:
        for stream in [*self._producers]:
            await self._drop(stream)

    async def _drop(self, stream: str) -> None:
        if producer := self._producers.pop(stream, None):
            with suppress(KafkaError, TimeoutError, asyncio.InvalidStateError):
                async with asyncio.timeout(5):
                    await producer.stop()


async def _offsets(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, OffsetAndMetadata]:
    """Those of a group. A broker that is new needs a moment before it knows any group."""
    while True:
        try:
            return await admin.list_consumer_group_offsets(group)  # type: ignore[no-any-return]
        except GroupCoordinatorNotAvailableError:
            await asyncio.sleep(0.2)


async def _make_topics(admin: AIOKafkaAdminClient) -> None:
    """On as many brokers as there are, up to three. What is there is kept for ever: sums need all of it."""
    if missing := {SPANS, REJECTED} - set(await admin.list_topics()):
        copies = min(_COPIES, len((await admin.describe_cluster())["brokers"]))
        topics = [NewTopic(name, _PARTITIONS, copies, topic_configs={"retention.ms": "-1"}) for name in missing]
        with suppress(TopicAlreadyExistsError):
            await admin.create_topics(topics)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ProducerFenced as error:
        raise Fenced(f"another exporter is at work: {error}") from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise EventsOutage(f"Kafka: {type(error).__name__} {error}") from error
