"""Announces ended sessions to Spring, apart from the commits, which only note their ends.

Spring scores a session when it is announced, from the session's usage logs. It publishes within a transaction, so
that for a moment it does not see the session itself; a failed send reverses its queue, so that an end can come before
other messages of its session. So an end has to be of some age, nothing below it may be uncommitted, and no log of its
session may be without its category. An end that waits for the latter is announced after `patience_seconds` all the
same.
"""

import asyncio
from collections.abc import Sequence

from domains.kernel.errors import PipelineError
from domains.kernel.resilience import pause
from domains.pomodoro.model import NotedEnd
from domains.pomodoro.ports import ConsumerObserver, PomodoroUsageLogRepositoryPort, SessionEndsPort

_SHORTEST_INTERVAL_SECONDS = 0.05
_LONGEST_INTERVAL_SECONDS = 1.0


class SessionAnnouncer:
    """Every instance announces. If two look at the same ends, that costs a query; each session is announced once."""

    def __init__(
        self,
        ends: SessionEndsPort,
        logs: PomodoroUsageLogRepositoryPort,
        observer: ConsumerObserver,
        delay_ms: int,
        patience_seconds: float,
    ) -> None:
        self._ends = ends
        self._logs = logs
        self._observer = observer
        self._delay_seconds = delay_ms / 1000
        self._patience_seconds = self._delay_seconds + patience_seconds

    async def run(self, stop: asyncio.Event) -> None:
        interval = min(max(self._delay_seconds / 4, _SHORTEST_INTERVAL_SECONDS), _LONGEST_INTERVAL_SECONDS)
        failing = False
        while not stop.is_set():
            await pause(stop, _LONGEST_INTERVAL_SECONDS if failing else interval)
            try:
                await self.announce_all()
                failing = False
            except PipelineError as cause:
                if not failing:  # told once an outage
                    self._observer.announcing_failed(cause)
                failing = True

    async def announce_all(self) -> int:
        """Announces what can be announced now. Returns how many sessions. Raises Outage and StoreRefused."""
        count = 0
        async for ends in self._ends.due(self._delay_seconds):
            complete, impatient = await self._chosen(ends)
            announced = 0
            if (
                complete
            ):  # a message may have got an interim category between the two looks: at its marks, and its log
                announced += await self._ends.announce(complete, unless_deferred=True)
            if impatient:
                announced += await self._ends.announce(impatient)
            if announced:
                self._observer.sessions_announced(announced, len(impatient))
                count += announced
        return count

    async def _chosen(self, ends: Sequence[NotedEnd]) -> tuple[list[NotedEnd], list[NotedEnd]]:
        """The ends whose sessions are complete, and of the others those that have waited for too long."""
        incomplete = {end.session for end in ends if end.deferred}
        incomplete |= await self._logs.sessions_without_category({end.session for end in ends} - incomplete)
        complete = [end for end in ends if end.session not in incomplete]
        late = [end for end in ends if end.session in incomplete and end.age > self._patience_seconds]
        return complete, late
