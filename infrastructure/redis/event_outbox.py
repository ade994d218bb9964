"""The postings that `commit.lua` puts beside the stream, for the exporter."""

from collections.abc import Iterable, Mapping, Sequence
from time import time
from typing import TypeVar

from msgspec import MsgspecError, msgpack
from redis.asyncio import Redis

from domains.activityEvent.model import OutboxEntry, OutboxState
from domains.activityEvent.quality import Hours, Tally
from domains.pomodoro.model import Posting
from domains.pomodoro.posting import SOURCES
from infrastructure.redis import scripts
from infrastructure.redis.client import Entries, guarded, pipelined
from infrastructure.redis.keys import StreamKeys

_GAP = "gap:"
_QUALITY_SECONDS = 90 * 86_400
_SESSION_SECONDS = 3 * 86_400
_SOURCES = sorted({*SOURCES, "other"})

T = TypeVar("T")


class RedisEventOutbox:
    """EventOutboxPort. `owner` is the name under which the lease is taken."""

    def __init__(self, client: Redis, keys: StreamKeys, owner: str) -> None:
        self.stream = keys.stream
        self._client = client
        self._keys = keys
        self._owner = owner
        self._settle = client.register_script(scripts.SETTLE_EVENTS)

    async def lease(self, seconds: float) -> bool:
        key, milliseconds = self._keys.events_lease, int(seconds * 1000)
        if await guarded(self._client, self._client.set(key, self._owner, nx=True, px=milliseconds)):
            return True
        if await guarded(self._client, self._client.get(key)) != self._owner:
            return False
        return bool(await guarded(self._client, self._client.pexpire(key, milliseconds)))

    async def release(self) -> None:
        if await guarded(self._client, self._client.get(self._keys.events_lease)) == self._owner:
            await guarded(self._client, self._client.delete(self._keys.events_lease))

    async def after(self, position: str, limit: int) -> list[OutboxEntry]:
        reading = self._client.xrange(self._keys.events, min=f"({position}", count=limit)
        entries: Entries = await guarded(self._client, reading)
        return [entry_of(entry_id, fields) for entry_id, fields in entries]

    async def settle(self, position: str, counted: Tally | None = None) -> int:
        counted = counted or Tally()
        sessions = {f"seen:{name}": [*them] for name, them in counted.seen.items()}
        sessions |= {f"ended:{name}": [*them] for name, them in counted.ended.items()}
        arguments = position, _QUALITY_SECONDS, _SESSION_SECONDS, msgpack.encode([counted.counts, sessions])
        call = self._settle(keys=[self._keys.events, self._keys.events_state, self._keys.quality], args=arguments)
        return int(await guarded(self._client, call))

    async def quality(self, hours: Sequence[str]) -> Hours:
        async with pipelined(self._client) as pipeline:
            for hour in hours:
                pipeline.hgetall(f"{self._keys.quality}:{hour}")
            found = await guarded(self._client, pipeline.execute())
        made: dict[str, dict[str, dict[str, float]]] = {}
        for hour, counts in zip(hours, found, strict=True):
            for name, number in counts.items():
                source, _, what = name.partition("|")
                made.setdefault(hour, {}).setdefault(source, {})[what] = float(number)
        return made

    async def sessions(self, day: str) -> dict[str, tuple[int, int]]:
        async with pipelined(self._client) as pipeline:
            for source in _SOURCES:
                for kind in ("seen", "ended"):
                    pipeline.scard(f"{self._keys.quality}:{kind}:{day}|{source}")
            found = await guarded(self._client, pipeline.execute())
        counts = zip(_SOURCES, found[::2], found[1::2], strict=True)
        return {source: (seen, ended) for source, seen, ended in counts if seen}

    async def keep_report(self, day: str, report: bytes) -> None:
        keeping = self._client.set(f"{self._keys.quality}:report:{day}", report, nx=True, ex=_QUALITY_SECONDS)
        await guarded(self._client, keeping)

    async def report(self, day: str) -> bytes | None:
        found: str | None = await guarded(self._client, self._client.get(f"{self._keys.quality}:report:{day}"))
        return found.encode() if found else None

    async def settled(self) -> str:
        return await guarded(self._client, self._client.hget(self._keys.events_state, "settled")) or "0-0"

    async def state(self) -> OutboxState:
        async with pipelined(self._client) as pipeline:
            pipeline.hgetall(self._keys.events_state)
            pipeline.xrange(self._keys.events, count=1)
            pipeline.smembers(self._keys.events_stale)
            found, oldest, stale = await guarded(self._client, pipeline.execute())
        age = time() - int(oldest[0][0].partition("-")[0]) / 1000 if oldest else 0.0
        gaps = {name.removeprefix(_GAP): int(count) for name, count in found.items() if name.startswith(_GAP)}
        return OutboxState(int(found.get("waiting", 0)), int(found.get("gap", 0)), gaps, max(age, 0.0), sorted(stale))

    async def filled(self, days: Iterable[str]) -> None:
        await guarded(self._client, self._client.srem(self._keys.events_stale, *days))
        await guarded(self._client, self._client.hdel(self._keys.events_state, *(_GAP + day for day in days)))


def entry_of(entry_id: str, fields: Mapping[str, str]) -> OutboxEntry:
    """An entry that somebody else has put there is none that can be read."""
    try:
        moves = _counting(fields, "moves", list[tuple[Posting, ...]])
        moved = [posting for move in moves for posting in move]
        repeated = _counting(fields, "spans", list[Posting], "_repeated") if "spans_repeated" in fields else []
        spans = _counting(fields, "spans", list[Posting])
        return OutboxEntry(entry_id, [*spans, *moved], "", moved, [posting.source for posting in repeated])
    except (MsgspecError, IndexError, UnicodeError) as error:
        return OutboxEntry(entry_id, (), f"{type(error).__name__}: {error}")


def _counting(fields: Mapping[str, str], name: str, kind: type[list[T]], which: str = "_of") -> list[T]:
    """Those of the items of a field that count."""
    if name not in fields:
        return []
    items = msgpack.decode(_bytes(fields[name]), type=kind)
    if name + which not in fields:
        return items
    return [items[position] for position in msgpack.decode(_bytes(fields[name + which]), type=list[int])]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
