"""What is to be seen of the streams, their groups and their bookkeeping: for metrics, readiness and status."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from redis.asyncio import Redis

from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import StreamKeys

_COUNTED = 500
"""Entries that are counted on either side of the last delivered one: a few milliseconds of Redis at the most."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A consumer of the group. `idle_seconds`: since it last asked for entries."""

    name: str
    pending: int
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """Sizes in entries, ages in seconds and 0 where nothing is waiting. NaN: the key is of the wrong type.

    `undelivered` is a bound or Redis' own figure where `undelivered_exact` is false. The age of a pending or
    undelivered entry is the time since it was published.
    """

    stream: str
    entries: int
    undelivered: int
    undelivered_exact: bool
    oldest_undelivered_seconds: float
    pending: int
    oldest_pending_seconds: float
    dead_letters: float
    failed_scores: float
    unannounced_sessions: float
    deferred: float
    instances: Sequence[Instance] = ()


class RedisStreamFigures:
    """Of all partitions, one script call each."""

    def __init__(self, client: Redis, partitions: Sequence[StreamKeys], group: str) -> None:
        self._client = client
        self._partitions = partitions
        self._group = group
        self._script = client.register_script(scripts.FIGURES)

    async def streams(self) -> list[StreamFigures]:
        """Raises RedisOutage."""
        return [await self._of(keys) for keys in self._partitions]

    async def ping(self) -> None:
        """Raises RedisOutage."""
        await guarded(self._client, self._client.ping())

    async def _of(self, keys: StreamKeys) -> StreamFigures:
        names = [keys.stream, keys.dead_letters, keys.failed_scores, keys.ends, keys.deferred]
        call = self._script(keys=names, args=[self._group, _COUNTED])
        found = scripts.named(await guarded(self._client, call))
        return StreamFigures(
            stream=keys.stream,
            entries=found["entries"],
            undelivered=found["undelivered"],
            undelivered_exact=bool(found["exact"]),
            oldest_undelivered_seconds=_age(found["first_undelivered"], found["now"]),
            pending=found["pending"],
            oldest_pending_seconds=_age(found["oldest_pending"], found["now"]),
            dead_letters=_size(found["dead_letters"]),
            failed_scores=_size(found["failed_scores"]),
            unannounced_sessions=_size(found["ends"]),
            deferred=_size(found["deferred"]),
            instances=[Instance(name, held, idle / 1000) for name, held, idle in found["consumers"]],
        )


def _size(count: int) -> float:
    return nan if count < 0 else count


def _age(entry_id: str, now: str) -> float:
    """Seconds since the entry was published; ids that a producer chose may lie in the future."""
    return max(0.0, (int(now) - int(entry_id.partition("-")[0])) / 1000) if entry_id else 0.0
