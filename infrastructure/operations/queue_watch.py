"""Looks at the work queues and at the age of the focus cards, for metrics."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from domains.focusCard.ports import CardRunsPort
from domains.kernel.errors import RedisOutage
from domains.workQueue.ports import WorkQueuePort
from infrastructure.observing.observers import Observer

_EVERY_SECONDS = 10.0


class QueueWatch:
    """`runs` are those of the focus cards."""

    def __init__(self, queues: Sequence[WorkQueuePort], runs: CardRunsPort, observer: Observer) -> None:
        self._queues = queues
        self._runs = runs
        self._observer = observer

    async def run(self) -> None:
        """Looks every ten seconds, until cancelled. During an outage the last figures stay."""
        while True:
            with suppress(RedisOutage):
                for queue in self._queues:
                    self._observer.queue_seen(await queue.figures())
                self._observer.cards_seen(await self._runs.last_end())
            await asyncio.sleep(_EVERY_SECONDS)
