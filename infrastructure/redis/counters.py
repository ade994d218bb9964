"""The counters of the deployment: a hash for each bucket of time, with a TTL, and one of the totals."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from redis.asyncio import Redis

from domains.operations.counters import HOURLY, SPANS, Bucket, Flush, Resolution, Totals, starts
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded, pipelined
from infrastructure.redis.keys import CounterKeys

_NUMBER_KEPT_MS = 86_400_000
"""No process repeats a flush for that long."""
_PAGE = 100
"""Buckets a call: their reply is read on the consumers' event loop."""


class RedisCounters:
    """CountersPort. Buckets of an hour are kept for `days`."""

    def __init__(self, client: Redis, keys: CounterKeys, days: float) -> None:
        self._client = client
        self._keys = keys
        self._kept = {step: 2 * step * points for step, points in SPANS.values()} | {HOURLY: int(days * 86_400)}
        self._count = client.register_script(scripts.COUNT)

    async def add(self, flush: Flush) -> None:
        buckets = [self._keys.bucket(step, int(flush.time) // step * step) for step in self._kept]
        counts = list(flush.counts.items())
        arguments: list[str | float] = [
            flush.number,
            _NUMBER_KEPT_MS,
            flush.time,
            len(counts),
            *(name for name, _ in counts),
        ]
        arguments += [round(value, 6) for _, value in counts]
        call = self._count(
            keys=[self._keys.flushed(flush.process), self._keys.totals, *buckets],
            args=[*arguments, *(seconds * 1000 for seconds in self._kept.values())],
        )
        await guarded(self._client, call)

    async def totals(self) -> Totals:
        found = _numbers(await guarded(self._client, self._client.hgetall(self._keys.totals)))
        return Totals(found.pop("since", None), found)

    async def history(self, resolution: Resolution, now: float) -> Sequence[Bucket]:
        made, at = list[Bucket](), starts(resolution, now)
        for first in range(0, len(at), _PAGE):
            some = at[first : first + _PAGE]
            async with pipelined(self._client) as pipeline:
                for start in some:
                    pipeline.hgetall(self._keys.bucket(resolution.step, start))
                found = await guarded(self._client, pipeline.execute())
            made += [Bucket(start, _numbers(counts)) for start, counts in zip(some, found, strict=True)]
        return made


def _numbers(counts: Mapping[str, str]) -> dict[str, float]:
    """Without what somebody else has written there and is no number."""
    made = dict[str, float]()
    for name, text in counts.items():
        with suppress(ValueError):
            made[name] = float(text)
    return made
