"""Makes the events of days what their usage logs say: after a gap, or after boards were rebuilt.

It compares what the boards would be by the logs with the events that are there, log by log, adds what is missing, and
takes back what is too much. Both are looked at as of one moment, when a rebuild of boards begins (see
BoardRebuildPort): what is committed later is left out on both sides. So it changes nothing where nothing is wrong,
and may be repeated.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from time import time

from domains.activityEvent.model import ActivityEvent, EventMaker, iso, order_of
from domains.activityEvent.ports import EventObserver, EventOutboxPort, EventSinkPort
from domains.categoryPattern.ports import CategoryPatternRepositoryPort
from domains.kernel.errors import RedisOutage, TaskRefused
from domains.kernel.resilience import cancel_all, pause
from domains.leaderboard.model import NOTHING_SECONDS
from domains.patternClassifier.model import Classification
from domains.pomodoro.model import start_of_day
from domains.pomodoro.ports import (
    BoardRebuildPort,
    CategorizedDataRepositoryPort,
    PomodoroUsageLogRepositoryPort,
)
from domains.pomodoro.posting import Postings
from domains.pomodoro.rebuild import keep_renewed

REBUILT = "rebuild"
"""The stream, for the sink, of events that a rebuild has added."""
DAYS_AT_ONCE = 7
_PATIENCE_SECONDS = 60


@dataclass(slots=True)
class _Balance:
    """Of a log and category: the seconds that the events have, those that they should have, and an event of both."""

    there: float = 0.0
    wanted: float = 0.0
    events: list[ActivityEvent] = field(default_factory=list)


class EventRebuild:
    """`make` returns a new BoardRebuildPort that gives way to a rebuild of boards that is under way."""

    def __init__(
        self,
        make: Callable[[], BoardRebuildPort],
        outboxes: Sequence[EventOutboxPort],
        sink: EventSinkPort,
        logs: PomodoroUsageLogRepositoryPort,
        categorized: CategorizedDataRepositoryPort,
        patterns: CategoryPatternRepositoryPort,
        postings: Postings,
        maker: EventMaker,
        observer: EventObserver,
    ) -> None:
        self._make = make
        self._outboxes = outboxes
        self._sink = sink
        self._logs = logs
        self._categorized = categorized
        self._patterns = patterns
        self._postings = postings
        self._maker = maker
        self._observer = observer

    async def rebuild(self, days: Collection[str]) -> dict[str, int]:
        """Returns how many events it has added to each day. An exporter must be at work.

        All of their logs are in memory meanwhile: DAYS_AT_ONCE is the most that should be given.

        Raises Outage, Fenced, and TaskRefused where it cannot be done now. Then the events are as they were.
        """
        rebuild = self._make()
        await rebuild.begin()
        renewing = asyncio.create_task(keep_renewed(rebuild))
        try:
            await self._exported(rebuild)
            balances: dict[tuple[str, str], _Balance] = {}
            await self._add_wanted(rebuild, days, balances)
            async for stream, event in self._sink.of_days(days):
                if stream == REBUILT or order_of(event.revision) <= order_of(rebuild.posted.get(stream, "0-0")):
                    balance = balances.setdefault((event.log_id, event.category), _Balance())
                    balance.there += event.seconds
                    balance.events = [*balance.events[-1:], event]
            added = self._differences(balances)
            await rebuild.renew()  # nobody else may be at it
            if added:
                await self._sink.position(REBUILT)
                await self._sink.write(REBUILT, added, [], "0-0")
            for outbox in self._outboxes:
                await outbox.filled(days)
        finally:
            await cancel_all([renewing])
            with suppress(RedisOutage):
                await rebuild.abandon()
        counts = Counter(event.day for event in added)
        for day in sorted(days):
            self._observer.events_rebuilt(day, counts[day])
        return {day: counts[day] for day in sorted(days)}

    async def _exported(self, rebuild: BoardRebuildPort) -> None:
        """Waits until all that was committed when the rebuild began is where the events go."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                for outbox in self._outboxes:
                    while order_of(await outbox.settled()) < order_of(rebuild.posted[outbox.stream]):
                        await pause(None, 0.1)
        except TimeoutError:
            raise TaskRefused("events that were committed earlier are not exported yet") from None

    async def _add_wanted(
        self, rebuild: BoardRebuildPort, days: Collection[str], balances: dict[tuple[str, str], _Balance]
    ) -> None:
        deferred: set[str] = set()
        async for message in rebuild.deferred():
            deferred.add(message.pomodoro_usage_log_id)
            posting = self._postings.moved(message, Classification(message.category, ""))[1]
            if posting.day in days:
                event = self._maker.event(posting._replace(source=REBUILT, tier=message.tier), "", "")
                _want(balances, message.pomodoro_usage_log_id, event)
        first, last, zone = date.fromisoformat(min(days)), date.fromisoformat(max(days)), self._maker.zone
        start, end = (start_of_day(each, zone).timestamp() for each in (first, last + timedelta(days=1)))
        names = {pattern.id: pattern.category for pattern in await self._patterns.find_all()}
        async for page in self._logs.find_in_period(start, end):
            left_out = deferred.union(await rebuild.uncounted())
            counted = [log for log in page if log.category_id in names and log.id not in left_out]
            windows = await self._categorized.find_by_ids({log.categorized_data_id for log in counted})
            for log in counted:
                data = windows.get(log.categorized_data_id)
                posting = self._postings.of_log(log, names[log.category_id or ""], data.window if data else None)
                if posting.day in days:
                    _want(balances, log.id, self._maker.event(posting, "", ""))

    def _differences(self, balances: dict[tuple[str, str], _Balance]) -> list[ActivityEvent]:
        """What is missing, as the log has it, and what is too much, as the event that is there has it."""
        now, revision = iso(time()), f"r{int(time() * 1000)}"
        numbers: dict[str, int] = {}
        added = []
        for (log_id, _), balance in balances.items():
            seconds = balance.wanted - balance.there
            if abs(seconds) < NOTHING_SECONDS:
                continue
            number = numbers[log_id] = numbers.get(log_id, -1) + 1
            added.append(
                replace(
                    balance.events[-1 if seconds < 0 else 0],
                    event_id=f"{log_id}:{revision}:{number}",
                    seconds=seconds,
                    sign=-1 if seconds < 0 else 1,
                    source=REBUILT,
                    committed_at=now,
                )
            )
        return added


def _want(balances: dict[tuple[str, str], _Balance], log_id: str, event: ActivityEvent) -> None:
    balance = balances.setdefault((log_id, event.category), _Balance())
    balance.wanted += event.seconds
    balance.events.append(event)
