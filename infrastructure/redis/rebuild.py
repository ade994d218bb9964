"""Recomputes boards next to the old ones while commits go on, and replaces the old ones in one step."""

import json
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar
from uuid import uuid4

from msgspec import msgpack
from redis.asyncio import Redis

from domains.kernel.errors import TaskRefused
from domains.pomodoro.model import DeferredMessage
from infrastructure.redis import scripts
from infrastructure.redis.client import Entries, guarded
from infrastructure.redis.deferred import message_of
from infrastructure.redis.keys import StreamKeys
from infrastructure.spring.message_parser import log_id_of

_KEPT_MS = 30_000
"""How long the notes of a rebuild are kept after it was last renewed."""
_SHADOW_MS = 3_600_000
"""How long a new board is kept; it is not renewed. The swap notices a board that has expired."""
_PAGE = 500
_LOST = "another rebuild has begun, or this one stalled for too long; the boards are as they were"

T = TypeVar("T")


class RedisBoardRebuild:
    """BoardRebuildPort on a single node, or with a prefix that puts all keys into one slot."""

    def __init__(self, client: Redis, partitions: Sequence[StreamKeys], group: str, boards_elsewhere: bool) -> None:
        self._client = client
        self._partitions = partitions
        self._group = group
        self._boards_elsewhere = boards_elsewhere
        self._token = uuid4().hex
        self._read_to: dict[str, str] = {}
        self._last_record: dict[str, str] = {}
        self._pending: dict[str, list[str]] = {}
        self._uncounted: set[str] = set()
        self._shadows: dict[str, tuple[str, int]] = {}
        self._begin = client.register_script(scripts.BEGIN_REBUILD)
        self._renew = client.register_script(scripts.RENEW_REBUILD)
        self._abandon = client.register_script(scripts.ABANDON_REBUILD)
        self._swap = client.register_script(scripts.SWAP_BOARDS)

    async def begin(self) -> None:
        if self._boards_elsewhere:
            raise TaskRefused(
                "boards and stream lie in different slots of the cluster, where no step reaches all of them; "
                "a hash tag in KEY_PREFIX puts them into one"
            )
        for keys in self._partitions:
            beginning = self._begin(
                keys=[keys.stream, keys.rebuild, keys.deferred], args=[self._group, self._token, _KEPT_MS]
            )
            reply = scripts.named(await guarded(self._client, beginning))
            self._read_to[keys.stream] = reply["delivered"]
            self._last_record[keys.stream] = reply["record"]
            self._pending[keys.stream] = reply["pending"]
        for keys in self._partitions:
            await self._look_at_pending(keys)
            await self._look_at_dead_letters(keys)

    async def renew(self) -> None:
        for keys in self._partitions:
            renewed = await guarded(self._client, self._renew(keys=[keys.rebuild], args=[self._token, _KEPT_MS]))
            if not renewed:
                raise TaskRefused(_LOST)

    async def uncounted(self) -> Collection[str]:
        for keys in self._partitions:
            async for entry_id, fields in self._entries(keys.stream, self._read_to[keys.stream]):
                self._uncounted.add(log_id_of(keys.stream, entry_id, fields))
                self._read_to[keys.stream] = entry_id
        return self._uncounted

    async def deferred(self) -> AsyncIterator[DeferredMessage]:
        for keys in self._partitions:
            last = self._last_record[keys.stream]
            async for record_id, fields in self._entries(keys.deferred, "0-0", last):
                yield message_of(record_id, fields)

    async def put(self, board: str, scores: Mapping[str, float]) -> None:
        shadow = f"{self._partitions[0].rebuild}:{self._token}:{board}"
        async with self._client.pipeline(transaction=False) as pipeline:
            for some in _pages(list(scores.items())):
                pipeline.zadd(shadow, dict(some))
            pipeline.pexpire(shadow, _SHADOW_MS)
            await guarded(self._client, pipeline.execute())
        self._shadows[board] = shadow, len(scores)

    async def swap(self, boards: Iterable[str]) -> int:
        nobody = f"{self._partitions[0].rebuild}:{self._token}:"
        items = [(board, *self._shadows.get(board, (nobody + board, 0))) for board in boards]
        keys = [keys.rebuild for keys in self._partitions] + [keys.failed_scores for keys in self._partitions]
        count = int(await guarded(self._client, self._swap(keys=keys, args=[self._token, msgpack.encode(items)])))
        if count < 0:
            raise TaskRefused(_LOST)
        return count

    async def abandon(self) -> None:
        for keys in self._partitions:
            await guarded(self._client, self._abandon(keys=[keys.rebuild], args=[self._token]))
        if self._shadows:
            await guarded(self._client, self._client.unlink(*(shadow for shadow, _ in self._shadows.values())))

    async def _look_at_pending(self, keys: StreamKeys) -> None:
        for ids in _pages(self._pending.pop(keys.stream)):
            async with self._client.pipeline(transaction=False) as pipeline:
                for entry_id in ids:
                    pipeline.xrange(keys.stream, entry_id, entry_id)
                found: list[Entries] = await guarded(self._client, pipeline.execute())
            for entries in found:
                for entry_id, fields in entries:
                    self._uncounted.add(log_id_of(keys.stream, entry_id, fields))

    async def _look_at_dead_letters(self, keys: StreamKeys) -> None:
        async for _, letter in self._entries(keys.dead_letters, "0-0"):
            fields = json.loads(letter["fields"])
            self._uncounted.add(log_id_of(keys.stream, letter["originalId"], fields))

    async def _entries(self, stream: str, after: str, last: str = "+") -> AsyncIterator[tuple[str, dict[str, str]]]:
        while True:
            reading = self._client.xrange(stream, f"({after}", last, count=_PAGE)
            page: Entries = await guarded(self._client, reading)
            for entry_id, fields in page:
                after = entry_id
                yield entry_id, fields
            if len(page) < _PAGE:
                return


def _pages(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _PAGE] for start in range(0, len(items), _PAGE))
