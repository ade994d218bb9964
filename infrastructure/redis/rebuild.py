"""Recomputes boards next to the old ones while commits go on, and replaces the old ones in one step."""

import re
from binascii import unhexlify
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import chain
from typing import TypeVar
from uuid import uuid4

from msgspec import msgpack
from redis.asyncio import Redis

from domains.kernel.errors import TaskRefused
from domains.pomodoro.model import DeadLetterKind, DeferredMessage
from infrastructure.redis import scripts
from infrastructure.redis.client import Entries, guarded, pipelined
from infrastructure.redis.commit import counted_logs
from infrastructure.redis.dead_letters import RedisDeadLetters
from infrastructure.redis.deferred import readable_message
from infrastructure.redis.keys import StreamKeys
from infrastructure.spring.message_parser import log_id_of

_KEPT_MS = 30_000
"""How long the notes of a rebuild are kept after it was last renewed."""
_SHADOW_MS = 3_600_000
"""How long a new board is kept; it is not renewed. The swap notices a board that has expired."""
_PAGE = 500
_LOG_ID = re.compile("[0-9a-f]{24}")
_LOST = "another rebuild has begun, or this one stalled for too long; the boards are as they were"

T = TypeVar("T")


class RedisBoardRebuild:
    """BoardRebuildPort on a single node, or with a prefix that puts all keys into one slot."""

    def __init__(
        self,
        client: Redis,
        partitions: Sequence[StreamKeys],
        group: str,
        boards_elsewhere: bool,
        with_events: bool = False,
        gives_way: bool = False,
    ) -> None:
        self._client = client
        self._partitions = partitions
        self._group = group
        self._boards_elsewhere = boards_elsewhere
        self._with_events = with_events
        self._gives_way = gives_way
        self.posted: dict[str, str] = {}
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

    def ensure_possible(self) -> None:
        if self._boards_elsewhere:
            raise TaskRefused(
                "boards and stream lie in different slots of the cluster, where no step reaches all of them; "
                "a hash tag in KEY_PREFIX puts them into one"
            )

    async def begin(self) -> None:
        self.ensure_possible()
        for keys in self._partitions:
            beginning = self._begin(
                keys=[keys.stream, keys.rebuild, keys.deferred, keys.events, keys.events_state],
                args=[self._group, self._token, _KEPT_MS, int(self._gives_way)],
            )
            reply = scripts.named(await guarded(self._client, beginning))
            if not reply:
                await self.abandon()
                raise TaskRefused("boards are being rebuilt just now")
            self.posted[keys.stream] = reply["posted"]
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
            async for page in self._pages_of(keys.stream, self._read_to[keys.stream]):
                await self._add_uncounted(keys, page)
                self._read_to[keys.stream] = page[-1][0]
        return self._uncounted

    async def deferred(self) -> AsyncIterator[DeferredMessage]:
        for keys in self._partitions:
            last = self._last_record[keys.stream]
            async for page in self._pages_of(keys.deferred, "0-0", last):
                for record_id, fields in page:
                    if message := readable_message(record_id, fields):
                        yield message

    async def put(self, board: str, scores: Mapping[str, float]) -> None:
        shadow = f"{self._partitions[0].rebuild}:{self._token}:{board}"
        async with pipelined(self._client) as pipeline:
            for some in _pages(list(scores.items())):
                pipeline.zadd(shadow, dict(some))
            pipeline.pexpire(shadow, _SHADOW_MS)
            await guarded(self._client, pipeline.execute())
        self._shadows[board] = shadow, len(scores)

    async def swap(self, boards: Iterable[str], days: Iterable[date] = ()) -> int:
        nobody = f"{self._partitions[0].rebuild}:{self._token}:"
        items = [(board, *self._shadows.get(board, (nobody + board, 0))) for board in boards]
        keys = [keys.rebuild for keys in self._partitions] + [keys.failed_scores for keys in self._partitions]
        stale = [day.isoformat() for day in days] if self._with_events else []
        if stale:
            keys.append(self._partitions[0].events_stale)
        count = int(
            await guarded(self._client, self._swap(keys=keys, args=[self._token, msgpack.encode(items), *stale]))
        )
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
            async with pipelined(self._client) as pipeline:
                for entry_id in ids:
                    pipeline.xrange(keys.stream, entry_id, entry_id)
                found: list[Entries] = await guarded(self._client, pipeline.execute())
            await self._add_uncounted(keys, list(chain.from_iterable(found)))

    async def _look_at_dead_letters(self, keys: StreamKeys) -> None:
        async for letter in RedisDeadLetters(self._client, [keys], self._group).whole():
            if letter.kind is not DeadLetterKind.UNKNOWN or letter.original_id != letter.id:
                await self._add_uncounted(keys, [(letter.original_id, dict(letter.fields))])

    async def _add_uncounted(self, keys: StreamKeys, entries: Entries) -> None:
        """Adds the logs of entries that are not committed, apart from those that an earlier message had counted."""
        log_ids = {log_id_of(keys.stream, entry_id, fields) for entry_id, fields in entries}
        given = {fields.get("pomodoroUsageLogId", "").lower() for _, fields in entries}
        counted = list(await counted_logs(self._client, keys.counted, filter(_LOG_ID.fullmatch, given)))
        if counted:  # but what was counted since the rebuild began is noted, and added at its end
            noted_key = f"{keys.rebuild}:{self._token}:logs"
            noted = await guarded(self._client, self._client.smismember(noted_key, list(map(unhexlify, counted))))
            log_ids -= {log_id for log_id, is_noted in zip(counted, noted, strict=True) if not is_noted}
        self._uncounted |= log_ids

    async def _pages_of(self, stream: str, after: str, last: str = "+") -> AsyncIterator[Entries]:
        while True:
            reading = self._client.xrange(stream, f"({after}", last, count=_PAGE)
            page: Entries = await guarded(self._client, reading)
            if page:
                after = page[-1][0]
                yield page
            if len(page) < _PAGE:
                return


def _pages(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _PAGE] for start in range(0, len(items), _PAGE))
