"""The counters of the deployment as the series that plots need."""

import asyncio
from collections.abc import Sequence
from time import time

from domains.operations.counters import (
    CATEGORY,
    COMMITTED,
    DEAD_LETTERS,
    LANE,
    PEAK,
    SPANS,
    TIER,
    Bucket,
    named,
    percentile,
)
from domains.operations.ports import CountersPort
from domains.pomodoro.model import Lane
from infrastructure.http import schemas

_KEPT_SHARE = 0.2
"""A series is read again after that share of a step, however many look at it."""


class DeploymentHistory:
    def __init__(self, counters: CountersPort) -> None:
        self._counters = counters
        self._reading = asyncio.Lock()
        self._kept: dict[str, schemas.History] = {}

    async def over(self, span: str) -> schemas.History:
        """Raises RedisOutage."""
        async with self._reading:
            kept, now = self._kept.get(span), time()
            if kept is None or not 0 <= now - kept.now < kept.step * _KEPT_SHARE:
                kept = self._kept[span] = await self._read(span, now)
            return kept

    async def _read(self, span: str, now: float) -> schemas.History:
        resolution, totals = SPANS[span], await self._counters.totals()
        buckets = await self._counters.history(resolution, now)
        return schemas.History(
            span=span,
            step=resolution.step,
            start=buckets[0].start,
            now=now,
            since=totals.since,
            committed=_series(buckets, COMMITTED),
            dead_letters=_series(buckets, DEAD_LETTERS),
            tiers=_all_series(buckets, TIER),
            categories=_all_series(buckets, CATEGORY),
            lanes={lane: _lane(buckets, lane) for lane in Lane},
            backlog=schemas.BacklogHistory(
                waiting=_peaks(buckets, "waiting"),
                working=_peaks(buckets, "working"),
                oldest=_peaks(buckets, "oldest"),
            ),
        )


def _series(buckets: Sequence[Bucket], name: str) -> list[float]:
    return [bucket.counts.get(name, 0.0) for bucket in buckets]


def _peaks(buckets: Sequence[Bucket], name: str) -> list[float | None]:
    return [bucket.counts.get(PEAK + name) for bucket in buckets]


def _all_series(buckets: Sequence[Bucket], prefix: str) -> dict[str, list[float]]:
    names = sorted({name for bucket in buckets for name in named(bucket.counts, prefix)})
    return {name: _series(buckets, prefix + name) for name in names}


def _lane(buckets: Sequence[Bucket], lane: str) -> schemas.LaneHistory:
    return schemas.LaneHistory(
        messages=_series(buckets, f"{LANE}{lane}:messages"),
        batches=_series(buckets, f"{LANE}{lane}:batches"),
        seconds=_series(buckets, f"{LANE}{lane}:seconds"),
        p50=[percentile(bucket.counts, lane, 0.5) for bucket in buckets],
        p95=[percentile(bucket.counts, lane, 0.95) for bucket in buckets],
    )
