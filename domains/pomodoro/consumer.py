"""The way of a message: read, decide, write, commit.

No message is lost, because it is acknowledged only in its commit, after its documents are written.
No message counts twice, because the commit counts only messages that are still pending (see CommitPort).

The work is done in three places: `reading.py` takes messages from the stream, `lanes.py` decides, writes and commits
them, and `isolation.py` finds the message that is at fault if that fails.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from domains.kernel.errors import RedisOutage
from domains.patternClassifier.classifier import PatternClassifier
from domains.pomodoro.capacity import ConsumerContext, ConsumerLimits
from domains.pomodoro.lanes import Lanes
from domains.pomodoro.model import ReadBatch
from domains.pomodoro.ports import CommitPort, ConsumerObserver, MessageSourcePort
from domains.pomodoro.reading import StreamReader
from domains.pomodoro.service import BatchClassification


class ConsumerVitals(NamedTuple):
    """A consumer at one moment.

    `silent_seconds` is the time since the last turn of each of its loops. The loops rest on purpose during an
    `outage`, and for a while when there is no room for more work (`full`).
    """

    in_flight: int
    in_flight_bytes: int
    outage: bool
    full: bool
    silent_seconds: Mapping[str, float]


class PomodoroPatternConsumer:
    """Consumes the stream until it is told to stop. It runs once.

    Every message that was read is in exactly one of these states: in flight here; pending in the stream and not in
    flight, so that the claim loop of some instance finds it; or committed.
    """

    def __init__(
        self,
        source: MessageSourcePort,
        commits: CommitPort,
        batches: BatchClassification,
        classifier: PatternClassifier,
        observer: ConsumerObserver,
        limits: ConsumerLimits,
    ) -> None:
        self._source = source
        self._context = ConsumerContext(observer, limits)
        self._lanes = Lanes(self._context, batches, classifier, commits)
        self._reader = StreamReader(self._context, source, commits, classifier.load, self.process_batch_messages)

    @property
    def reading(self) -> asyncio.Event:
        """Set when it has begun to read."""
        return self._reader.begun

    def vitals(self) -> ConsumerVitals:
        context = self._context
        return ConsumerVitals(
            len(context.in_flight.sizes),
            context.in_flight.bytes,
            context.store.is_open or context.redis.is_open,
            self._reader.is_full,
            self._reader.silent_seconds(),
        )

    async def run(self, stop: asyncio.Event) -> int:
        """Consumes until `stop` is set, then finishes the messages in flight within the deadline.

        Returns how many messages it had to leave pending. An exception in a loop ends it at once and is raised.
        """
        context = self._context
        async with context.tasks as tasks:
            tasks.spawn(self._reader.run(stop), "read")
            await stop.wait()
            context.observer.stopping(len(context.in_flight.sizes))
            await tasks.drain(context.limits.shutdown_timeout_seconds)
        left = await self._leave_stream()
        context.observer.stopped(left)
        return left

    async def process_batch_messages(self, batch: ReadBatch) -> None:
        """Takes one batch through the fast lane, and hands its undecided messages to the slow lane."""
        if batch.rejected:
            await self._lanes.park(batch.rejected)
        if batch.messages:
            await self._lanes.process(batch.messages)

    async def _leave_stream(self) -> int:
        try:
            return await self._source.leave()
        except RedisOutage:  # other instances then find the remaining messages by themselves, a little later
            return len(self._context.in_flight.sizes)
