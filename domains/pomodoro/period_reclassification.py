"""Decides again, by the rules of now, what was committed in a period: patterns were missing or wrong, say.

First the documents, then the boards, which are recomputed from the logs. So it may be repeated, and is exact however
often it was interrupted.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from domains.kernel.window import Window
from domains.leaderboard.model import Period
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.model import Classification
from domains.pomodoro.model import CategorizedData, CategoryUpdate, PomodoroUsageLog, start_of_day
from domains.pomodoro.ports import (
    CategorizedDataRepositoryPort,
    DeferredMessagesPort,
    PomodoroUsageLogRepositoryPort,
)
from domains.pomodoro.rebuild import LeaderboardRebuild, Rebuilt

_PAGE = 1000


class Changed(NamedTuple):
    """`moved` has the seconds by the categories before and now. A log without its window is `unknown`."""

    logs: int
    changed: int
    unknown: int
    moved: Counter[tuple[str, str]]


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
        zone, done = self._boards.zone, Changed(0, 0, 0, Counter())
        start, end = (start_of_day(day, zone).timestamp() for day in (first, last + timedelta(days=1)))
        waiting = await self._waiting()
        async for logs in self._logs.find_in_period(start, end):
            found = await self._categorized.find_by_ids({log.categorized_data_id for log in logs})
            now = await self._decided(found.values())
            changes = [
                (log, data, now[data.id])
                for log in logs
                if (data := found.get(log.categorized_data_id)) is not None
                and log.category_id is not None
                and log.id not in waiting
                and now[data.id].category_id != log.category_id
            ]
            if not dry_run:
                await self._write(changes)
            names = {pattern.id: pattern.category for pattern in self._classifier.snapshot.patterns}
            for log, _, decided in changes:
                done.moved[names.get(log.category_id or "", "?"), decided.category] += log.duration  # type: ignore[assignment]
            unknown = sum(log.categorized_data_id not in found for log in logs)
            done = done._replace(
                logs=done.logs + len(logs), changed=done.changed + len(changes), unknown=done.unknown + unknown
            )
            await progress(done)
        return done

    async def rebuild(
        self,
        first: date,
        last: date,
        wanted: Callable[[Period, date], bool],
        progress: Callable[[Rebuilt], Awaitable[None]],
    ) -> int:
        """Recomputes the boards of the periods that hold a day from `first` to `last`. Returns how many there are."""
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        starts = dict.fromkeys((period, period.days(day)[0]) for day in days for period in Period)
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

    async def _write(self, changes: Collection[tuple[PomodoroUsageLog, CategorizedData, Classification]]) -> None:
        groups: dict[Classification, tuple[set[str], list[str]]] = {}
        for log, data, decided in changes:
            data_ids, log_ids = groups.setdefault(decided, (set(), []))
            data_ids.add(data.id)
            log_ids.append(log.id)
        updates = [(decided.category_id, decided.is_llm_based, ids) for decided, ids in groups.items()]
        if updates:
            await self._categorized.update_category_all(
                [CategoryUpdate(sorted(data_ids), category, by_llm) for category, by_llm, (data_ids, _) in updates]
            )
            await self._logs.update_category_all(
                [CategoryUpdate(log_ids, category, by_llm) for category, by_llm, (_, log_ids) in updates]
            )
