"""Runs what was archived through the rules of now: first what would change, then documents and boards.

It may be interrupted anywhere and run again: a document that has its category already does not change, and boards are
recomputed from the logs.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, Protocol

from domains.collector.erasures import NOBODY, Erasures
from domains.leaderboard.model import Period
from domains.pomodoro.model import PomodoroUsageLog
from domains.pomodoro.period_reclassification import Changed, PeriodReclassification, days_between
from domains.pomodoro.ports import PomodoroUsageLogRepositoryPort
from domains.pomodoro.rebuild import Rebuilt, Sum

_REPEATED_DAYS = 3
"""How long events are remembered: the stream takes one again after two days, or three."""


class ReplayedSpan(NamedTuple):
    """A span of the archive. `category` is what the rules of now say of it alone; `log_id` is the id of its log.

    `event` is the same for an event that its client has sent again, and 0 where the client has given it no id. It was
    received on `day`, counted since 1970.
    """

    log_id: str
    user_id: str
    category: str
    seconds: float
    event: int
    day: int


class DamagedObject(NamedTuple):
    """An object of the archive that cannot be read to its end. What stands before the damage has come by then."""

    key: str
    reason: str


class Wanted(NamedTuple):
    """The spans from the day `first` to `last`, local dates, that are not erased; of one user, or of all (None)."""

    first: date
    last: date
    user_id: str | None
    erasures: Erasures = NOBODY
    """The engine reads them in the archive."""


class ReplayEnginePort(Protocol):
    def spans(self, wanted: Wanted) -> AsyncIterator[list[ReplayedSpan | DamagedObject]]:
        """All spans of the archive that are `wanted`, in pages, in the order of its objects; what breaks the contract
        is left out.

        Raises ArchiveOutage.
        """


@dataclass(slots=True)
class Amount:
    spans: int = 0
    seconds: Sum = field(default_factory=Sum)

    def add(self, seconds: float) -> None:
        self.spans += 1
        self.seconds.add(seconds)


@dataclass(slots=True)
class Replayed:
    """`archived` by user and category of now; `moved` by user, category before and category now.

    A span that is archived more than once counts once. `missing` spans have no log: they are not yet processed.
    `damaged` says of objects, by their keys, why they cannot be read to their end.
    """

    archived: dict[tuple[str, str], Amount] = field(default_factory=dict)
    moved: dict[tuple[str, str, str], Amount] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    missing: int = 0
    changed: int = 0
    refused: int = 0
    boards: int = 0

    @property
    def spans(self) -> int:
        return sum(amount.spans for amount in self.archived.values())


class Events:
    """Of the events of the last days that clients gave an id: whether one with a log has come.

    A client may send an event again to another collector, and both archive it. The stream takes one of them, within
    two days, and it alone has a log.
    """

    def __init__(self) -> None:
        self.days: dict[int, dict[int, bool]] = {}

    def count(self, span: ReplayedSpan, has_log: bool, done: Replayed) -> None:
        known = next((it for it in self.days.values() if span.event in it), None)
        if known is None or (has_log and known[span.event]):
            done.archived.setdefault((span.user_id, span.category), Amount()).add(span.seconds)
            done.missing += not has_log
            if span.event:
                self._of(span.day)[span.event] = has_log
        elif has_log:
            known[span.event] = True
            done.missing -= 1

    def _of(self, day: int) -> dict[int, bool]:
        if day not in self.days:
            self.days = {it: events for it, events in self.days.items() if it >= day - _REPEATED_DAYS}
        return self.days.setdefault(day, {})


class Replay:
    def __init__(
        self,
        engine: ReplayEnginePort,
        logs: PomodoroUsageLogRepositoryPort,
        reclassification: PeriodReclassification,
    ) -> None:
        self._engine = engine
        self._logs = logs
        self._reclassification = reclassification

    async def run(
        self,
        wanted: Wanted,
        dry_run: bool,
        boards_of: Callable[[Period, date], bool],
        progress: Callable[[Replayed], Awaitable[None]],
    ) -> Replayed:
        """Says what changes, and changes it unless it is a `dry_run`; `boards_of` says which boards may be made anew.

        Raises Outage, StoreRefused and TaskRefused; what was written before stays written.
        """
        done = Replayed()

        def moved(log: PomodoroUsageLog, before: str, now: str) -> None:
            done.moved.setdefault((log.user_id, before, now), Amount()).add(log.duration)

        async def decided(state: Changed) -> None:
            done.changed, done.refused = state.changed, state.refused
            await progress(done)

        async def rebuilt(state: Rebuilt) -> None:
            await progress(done)

        async with aclosing(self._logs_of(wanted, done)) as pages:
            await self._reclassification.decide_logs(pages, dry_run, decided, moved)
        if not dry_run and done.archived:
            done.boards = await self._reclassification.rebuild(
                days_between(wanted.first, wanted.last), boards_of, rebuilt
            )
        return done

    async def _logs_of(self, wanted: Wanted, done: Replayed) -> AsyncGenerator[list[PomodoroUsageLog], None]:
        events = Events()
        async for page in self._engine.spans(wanted):
            done.damaged |= {it.key: it.reason for it in page if isinstance(it, DamagedObject)}
            spans = [it for it in page if isinstance(it, ReplayedSpan)]
            logs = await self._logs.find_by_ids({span.log_id for span in spans})
            found = {log.id for log in logs}
            for span in spans:
                events.count(span, span.log_id in found, done)
            yield logs
