"""What this process adds to the counters of the deployment."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from time import time
from uuid import uuid4

from typing_extensions import override

from domains.kernel.errors import RedisOutage
from domains.kernel.resilience import pause
from domains.operations.counters import CATEGORY, COMMITTED, DEAD_LETTERS, LANE, PEAK, TIER, Flush, latency_bound
from domains.operations.model import StreamFigures
from domains.operations.ports import CountersPort
from domains.patternClassifier.model import Tier
from domains.pomodoro.model import CommitResult, DeadLetter, Lane
from infrastructure.observing.observers import Observer

_FLUSH_SECONDS = 2.0


class DeploymentCounters(Observer):
    """Counts in memory, and hands over what it has counted every two seconds and at the end of `run`."""

    def __init__(self, counters: CountersPort) -> None:
        self._counters = counters
        self._process = uuid4().hex
        self._number = 0
        self._counts = defaultdict[str, float](float)
        self._unsent: Flush | None = None

    async def run(self, ended: asyncio.Event) -> None:
        """Runs until `ended` is set. During an outage of Redis the counts stay here."""
        while not ended.is_set():
            try:
                await pause(ended, _FLUSH_SECONDS)
            finally:  # also where it is cancelled, as by an error or by `cmd.sample | head -1`
                await self.flush()

    async def flush(self) -> None:
        try:
            while self._unsent is not None or self._counts:
                if self._unsent is None:
                    self._number += 1
                    self._unsent = Flush(self._process, self._number, time(), dict(self._counts))
                    self._counts.clear()
                await self._counters.add(self._unsent)
                self._unsent = None
        except RedisOutage:  # the breakers tell of it; the same flush is sent again, in case its reply alone was lost
            return

    def backlog_seen(self, streams: Sequence[StreamFigures]) -> None:
        ages = (max(it.oldest_undelivered_seconds, it.oldest_pending_seconds) for it in streams)
        seen = {
            "waiting": sum(it.undelivered for it in streams),
            "working": sum(it.pending for it in streams),
            "oldest": max(ages, default=0.0),
        }
        for name, value in seen.items():
            self._counts[PEAK + name] = max(self._counts[PEAK + name], value)

    @override
    def classified(self, tier_counts: Mapping[Tier, int]) -> None:
        for tier, count in tier_counts.items():
            self._counts[f"{TIER}{tier}"] += count

    @override
    def categorised(self, seconds: Mapping[str, float]) -> None:
        for category, value in seconds.items():
            self._counts[CATEGORY + category] += value

    @override
    def batch_committed(self, result: CommitResult, seconds: float, lane: Lane = Lane.FAST) -> None:
        if not result.messages:
            return
        self._counts[COMMITTED] += result.messages
        self._counts[f"{LANE}{lane}:messages"] += result.messages
        self._counts[f"{LANE}{lane}:batches"] += 1
        self._counts[f"{LANE}{lane}:seconds"] += seconds
        self._counts[f"{LANE}{lane}:le:{latency_bound(seconds)}"] += result.messages

    @override
    def dead_lettered(self, letters: Sequence[DeadLetter]) -> None:
        self._counts[DEAD_LETTERS] += len(letters)
