"""Spans of the collector on the activity stream, each once."""

import hashlib
from collections.abc import Sequence
from itertools import chain

import msgspec
from redis.asyncio import Redis

from domains.collector.model import START, Position, Record, archive_key
from domains.collector.ports import Published
from infrastructure.collector.events import BodyError, at, ids_of, place_of, split, stream_fields
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import StreamKeys
from infrastructure.redis.publisher import partition_of

_DAYS = 3
"""An id is remembered on the day of its event and on those after it: for 48 hours at least."""
_DAY = 86_400

_Span = tuple[str, int, str, list[str]]


class RedisSpanPublisher:
    """SpanPublisherPort. Each partition of the stream has a cursor of its own, in the slot of the stream."""

    def __init__(self, client: Redis, partitions: Sequence[StreamKeys]) -> None:
        self._client = client
        self._partitions = partitions
        self._publish = client.register_script(scripts.PUBLISH_COLLECTED)

    async def position(self, instance: str) -> Position:
        cursors = [await guarded(self._client, self._client.hget(it.collected, instance)) for it in self._partitions]
        return min((Position.parse(cursor) if cursor else START for cursor in cursors), default=START)

    async def publish(self, instance: str, records: Sequence[Record], behind: Position) -> Published:
        spans: dict[str, list[_Span]] = {keys.stream: [] for keys in self._partitions}
        for record in records:
            for fields, span in _spans(instance, record):
                spans[partition_of(fields.get("userId", ""), self._partitions).stream].append(span)
        added = repeated = 0
        for keys in self._partitions:
            arguments: list[str | int | bytes] = [
                instance,
                str(behind),
                _DAYS,
                msgspec.msgpack.encode(spans[keys.stream]),
            ]
            call = self._publish(keys=[keys.stream, keys.collected, f"{keys.collected}:"], args=arguments)
            reply = await guarded(self._client, call)
            added, repeated = added + reply[0], repeated + reply[1]
        return Published(added, repeated)


def _spans(instance: str, record: Record) -> list[tuple[dict[str, str], _Span]]:
    """The fields of each event, and what the script gets of it."""
    try:
        events = split(record.post.form, record.post.body)
    except BodyError:  # it is archived as it is
        return []
    position, post = record.position, record.post
    day, shown, spans = int(post.received // _DAY), str(position), []
    key = archive_key(instance, position.segment)
    for event, id_ in zip(events, ids_of(instance, position, post, events), strict=True):
        fields = stream_fields(place_of(key, at(record, event)), post.source, event, id_)
        digest = _digest(post.source or fields.get("userId", ""), id_) if event.own_id is not None or post.key else ""
        spans.append((fields, (shown, day, digest, list(chain.from_iterable(fields.items())))))
    return spans


def _digest(user: str, id_: str) -> str:
    """Of one user's id: what one of them sends never counts as another's repetition."""
    return hashlib.blake2b(f"{user}\n{id_}".encode(), digest_size=15).hexdigest()
