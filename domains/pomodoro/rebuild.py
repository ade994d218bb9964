"""Recomputes boards from the usage logs; the result is exact while messages keep coming.

When the rebuild began, the boards had counted the usage logs, with three exceptions, which the stream knows. Messages
that are not acknowledged yet do not count, although their log may have a category already. The same holds for parked
messages. Deferred messages count on the boards that their record names. Later commits note what they add to the
boards, and this is added when the new boards replace the old ones.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domains.categoryPattern.model import LLM_ONLY_CATEGORIES, PATTERN_CATEGORIES
from domains.categoryPattern.ports import CategoryPatternRepositoryPort
from domains.kernel.errors import RedisOutage, TaskRefused
from domains.kernel.resilience import cancel_all
from domains.leaderboard.model import Period
from domains.leaderboard.service import BoardCalendar
from domains.pomodoro.model import PomodoroUsageLog, start_of_day
from domains.pomodoro.ports import BoardRebuildPort, PomodoroUsageLogRepositoryPort

_RENEWED_SECONDS = 5.0


class Rebuilt(NamedTuple):
    """The numbers of logs read and boards made.

    `unknown` logs have a category that the store no longer has. `unreadable` documents are no logs; the first of them
    is named.
    """

    logs: int = 0
    boards: int = 0
    unknown: int = 0
    unreadable: int = 0
    first_unreadable: str = ""


class LeaderboardRebuild:
    """`make` returns a new BoardRebuildPort for each call of `rebuild`."""

    def __init__(
        self,
        make: Callable[[], BoardRebuildPort],
        logs: PomodoroUsageLogRepositoryPort,
        patterns: CategoryPatternRepositoryPort,
        calendar: BoardCalendar,
    ) -> None:
        self._make = make
        self._logs = logs
        self._patterns = patterns
        self._calendar = calendar

    @property
    def zone(self) -> ZoneInfo:
        return self._calendar.zone

    def ensure_possible(self) -> None:
        """Raises TaskRefused where the boards cannot be rebuilt at all."""
        self._make().ensure_possible()

    async def rebuild(
        self, periods: Collection[Period], day: date, progress: Callable[[Rebuilt], Awaitable[None]]
    ) -> Rebuilt:
        """Recomputes all boards of the `periods` that contain `day`, and calls `progress` after each page of logs.

        Raises Outage and TaskRefused. The boards are unchanged then, unless the reply to the last step was lost.
        Raises ValueError and OverflowError for a day at the end of the calendar.
        """
        bounds = {period: period.days(day) for period in periods}
        rebuild = self._make()
        await rebuild.begin()
        renewing = asyncio.create_task(keep_renewed(rebuild))
        try:
            sums = Sums(self._calendar, bounds)
            done = await self._count(rebuild, sums, progress)
            for board, scores in sums.boards.items():
                await rebuild.put(board, {user: score.value for user, score in scores.items()})
            boards = {*sums.boards, *await self._all_boards(periods, day)}
            return done._replace(boards=await rebuild.swap(boards, sums.days))
        except Exception:
            with suppress(RedisOutage):
                await rebuild.abandon()
            raise
        finally:
            await cancel_all([renewing])

    async def _count(
        self, rebuild: BoardRebuildPort, sums: "Sums", progress: Callable[[Rebuilt], Awaitable[None]]
    ) -> Rebuilt:
        names, done = await self._names(), Rebuilt()
        deferred = set()
        async for message in rebuild.deferred():
            deferred.add(message.pomodoro_usage_log_id)
            sums.add(message.category, message.timestamp, message.user_id, message.duration)

        def set_aside(log_id: str, reason: str) -> None:
            nonlocal done
            first = done.first_unreadable or f"{log_id}: {reason}"
            done = done._replace(unreadable=done.unreadable + 1, first_unreadable=first)

        async for page in self._logs.find_in_period(sums.range[0], sums.range[1], set_aside):
            uncounted = await rebuild.uncounted()
            counted = [log for log in page if log.category_id and log.id not in uncounted and log.id not in deferred]
            if any(log.category_id not in names for log in counted):
                names = await self._names()
            unknown = _add(sums, counted, names)
            done = done._replace(logs=done.logs + len(page), unknown=done.unknown + unknown)
            await progress(done)
        return done

    async def _names(self) -> dict[str | None, str]:
        return {pattern.id: pattern.category for pattern in await self._patterns.find_all()}

    async def _all_boards(self, periods: Iterable[Period], day: date) -> list[str]:
        """All boards that commits may write to, including empty ones."""
        names = {*(await self._names()).values(), *PATTERN_CATEGORIES, *LLM_ONLY_CATEGORIES}
        return [board for period in periods for board in self._calendar.boards_of_period(names, period, day)]


@dataclass(slots=True)
class Sum:
    """A sum of floating-point numbers, with the rounding errors summed separately (Neumaier)."""

    total: float = 0.0
    lost: float = 0.0

    @property
    def value(self) -> float:
        return self.total + self.lost

    def add(self, number: float) -> None:
        total = self.total + number
        larger, smaller = (self.total, number) if abs(self.total) >= abs(number) else (number, self.total)
        self.lost += larger - total + smaller
        self.total = total


class Sums:
    """Seconds by board and user. `bounds` has the first and the last day of each period to rebuild."""

    def __init__(self, calendar: BoardCalendar, bounds: Mapping[Period, tuple[date, date]]) -> None:
        self._calendar = calendar
        self._bounds = bounds
        self.boards: dict[str, dict[str, Sum]] = {}
        first, last = min(first for first, _ in bounds.values()), max(last for _, last in bounds.values())
        ends = first, last + timedelta(days=1)
        self.days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        self.range = [start_of_day(day, calendar.zone).timestamp() for day in ends]

    def add(self, category: str, timestamp: float, user_id: str, seconds: float) -> None:
        day, boards = self._calendar.day(timestamp), self._calendar.boards(category, timestamp)
        for period, (first, last) in self._bounds.items():
            if first <= day <= last:
                for board in boards.by_period[period]:
                    self.boards.setdefault(board, {}).setdefault(user_id, Sum()).add(seconds)


def _add(sums: Sums, logs: Sequence[PomodoroUsageLog], names: dict[str | None, str]) -> int:
    """Adds logs to the sums. Returns how many have a category that is not among `names`."""
    known = [log for log in logs if log.category_id in names]
    for log in known:
        sums.add(names[log.category_id], log.timestamp, log.user_id, log.duration)
    return len(logs) - len(known)


async def keep_renewed(rebuild: BoardRebuildPort) -> None:
    """Renews the rebuild until cancelled, or until it has expired, which `swap` then reports."""
    with suppress(TaskRefused):
        while True:
            await asyncio.sleep(_RENEWED_SECONDS)
            with suppress(RedisOutage):
                await rebuild.renew()
