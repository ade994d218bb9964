"""Decides again, by the rules of now, what was committed in a period: patterns were missing or wrong, say.

First the documents, then the boards, which are recomputed from the logs. So it may be repeated, and is exact however
often it was interrupted.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from domains.kernel.window import Window
from domains.leaderboard.model import Period
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.model import Classification, Tier
from domains.pomodoro.model import CategorizedData, CategoryUpdate, PomodoroUsageLog, start_of_day
from domains.pomodoro.ports import (
    CategorizedDataRepositoryPort,
    DeferredMessagesPort,
    PomodoroUsageLogRepositoryPort,
)
from domains.pomodoro.rebuild import LeaderboardRebuild, Rebuilt

_PAGE = 1000


class Changed(NamedTuple):
    """`moved` has the seconds by the categories before and now. A log without its window is `unknown`; `refused` are
    those whose documents the store did not take."""

    logs: int
    changed: int
    unknown: int
    refused: int
    moved: dict[tuple[str, str], float]


class _Change(NamedTuple):
    log: PomodoroUsageLog
    data: CategorizedData
    decided: Classification


class PeriodReclassification:
    """What the LLM has named stays, unless a rule decides; what waits for the LLM is left to `Reclassification`."""

    def __init__(
        self,
        logs: PomodoroUsageLogRepositoryPort,
        categorized: CategorizedDataRepositoryPort,
        deferred: Sequence[DeferredMessagesPort],
        classifier: PatternClassifier,
        boards: LeaderboardRebuild,
    ) -> None:
        self._logs = logs
        self._categorized = categorized
        self._deferred = deferred
        self._classifier = classifier
        self._boards = boards

    async def decide(
        self, first: date, last: date, dry_run: bool, progress: Callable[[Changed], Awaitable[None]]
    ) -> Changed:
        """Decides the logs from `first` to `last`, local dates, and writes what changes unless it is a `dry_run`.

        Raises Outage and StoreRefused; what was written before stays written.
        """
        zone = self._boards.zone
        start, end = (start_of_day(day, zone).timestamp() for day in (first, last + timedelta(days=1)))
        return await self.decide_logs(self._logs.find_in_period(start, end), dry_run, progress)

    async def decide_logs(
        self,
        pages: AsyncIterator[list[PomodoroUsageLog]],
        dry_run: bool,
        progress: Callable[[Changed], Awaitable[None]],
        moved: Callable[[PomodoroUsageLog, str, str], None] = lambda log, before, now: None,
    ) -> Changed:
        """The same for the logs in `pages`. Calls moved(log, category before, category now) for each that changes."""
        done, waiting = Changed(0, 0, 0, 0, {}), await self._waiting()
        corrected = self._classifier.corrected
        async for logs in pages:
            found = await self._categorized.find_by_ids({log.categorized_data_id for log in logs})
            now = await self._decided(found.values())
            changes = [
                _Change(log, data, decided)
                for log in logs
                if (data := found.get(log.categorized_data_id)) is not None
                and log.category_id is not None
                and log.id not in waiting
                and (decided := corrected(log.user_id, data.window) or now[data.id]).category_id != log.category_id
            ]
            made = changes if dry_run else await self._write(changes)
            names = {pattern.id: pattern.category for pattern in self._classifier.snapshot.patterns}
            for log, _, decided in made:
                move = names.get(log.category_id or "", "?"), decided.category
                done.moved[move] = done.moved.get(move, 0.0) + log.duration
                moved(log, *move)
            done = done._replace(
                logs=done.logs + len(logs),
                changed=done.changed + len(made),
                unknown=done.unknown + sum(log.categorized_data_id not in found for log in logs),
                refused=done.refused + len(changes) - len(made),
            )
            await progress(done)
        return done

    async def rebuild(
        self,
        days: Iterable[date],
        wanted: Callable[[Period, date], bool],
        progress: Callable[[Rebuilt], Awaitable[None]],
    ) -> int:
        """Recomputes the boards of the periods that hold one of `days`. Returns how many there are."""
        starts = dict.fromkeys((period, period.days(day)[0]) for day in sorted(days) for period in Period)
        boards = 0
        for period, start in starts:
            if wanted(period, start):
                boards += (await self._boards.rebuild([period], start, progress)).boards
        return boards

    async def _waiting(self) -> set[str]:
        """The logs of deferred messages: their boards follow their records."""
        waiting: set[str] = set()
        for deferred in self._deferred:
            after = "0"
            while page := await deferred.after(after, _PAGE):
                waiting |= {message.pomodoro_usage_log_id for message in page}
                after = page[-1].id
        return waiting

    async def _decided(self, documents: Iterable[CategorizedData]) -> dict[str, Classification]:
        """{id of the document: what its window is now}."""
        snapshot = self._classifier.snapshot
        decided: dict[str, Classification] = {}
        left: dict[str, Window] = {}
        for data in documents:
            known = snapshot.by_rules(data.window)
            if known is None and data.is_llm_based:
                known = snapshot.stored(data.category_id, True, data.window)
            if known is None:
                left[data.id] = data.window
            else:
                decided[data.id] = known
        further = await self._classifier.further(set(left.values()))
        return decided | {id_: further.get(window) or snapshot.fallback(window) for id_, window in left.items()}

    async def _write(self, changes: Sequence[_Change]) -> list[_Change]:
        """Writes the windows, then the logs of those that the store took. Returns the changes that it took.

        A correction changes logs alone.
        """
        of_tiers = [change for change in changes if change.decided.tier is not Tier.CORRECTION]
        failures = await self._categorized.update_category_all(_updates(of_tiers, lambda change: change.data.id))
        good = [change for change in changes if change.data.id not in failures]
        failures = await self._logs.update_category_all(_updates(good, lambda change: change.log.id))
        return [change for change in good if change.log.id not in failures]


def days_between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _updates(changes: Iterable[_Change], id_of: Callable[[_Change], str]) -> list[CategoryUpdate]:
    groups: dict[Classification, list[str]] = {}
    for change in changes:
        groups.setdefault(change.decided, []).append(id_of(change))
    return [CategoryUpdate(ids, decided.category_id, decided.is_llm_based) for decided, ids in groups.items()]
