"""Corrects the category of a window, of what comes and of what was committed.

A correction is stored first, and so decides messages from then on. Then the usage logs that there are get their
category, and the boards of their days are recomputed from the logs. So it may be repeated, and is exact however often
it was interrupted. Documents of windows stay as the tiers left them: when a correction is undone, they say what the
window was before.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import date
from time import time
from typing import NamedTuple

from domains.categoryPattern.model import new_category
from domains.categoryPattern.ports import CategoryPatternRepositoryPort, PatternProposalRepositoryPort
from domains.kernel.window import Window
from domains.leaderboard.model import Period
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.corrections import Correction, CorrectionRepositoryPort, CorrectionState
from domains.patternClassifier.learning import AnswerCounts, propose
from domains.patternClassifier.privacy import Privacy
from domains.patternClassifier.proposing import corrected_windows
from domains.pomodoro.model import PomodoroUsageLog, digest_of
from domains.pomodoro.period_reclassification import Changed, PeriodReclassification
from domains.pomodoro.ports import CategorizedDataRepositoryPort, PomodoroUsageLogRepositoryPort
from domains.pomodoro.rebuild import LeaderboardRebuild, Rebuilt


class Applied(NamedTuple):
    """`moved` has seconds by the categories before and now, `archived` boards that were left as they are."""

    corrections: int
    changed: int
    refused: int
    boards: int
    proposals: int
    moved: dict[tuple[str, str], float]
    archived: Sequence[str]


async def _silent(state: Changed | Rebuilt) -> None:
    return


class Corrections:
    """`archived` says of a period, by its first day, whether Spring has archived its boards."""

    def __init__(
        self,
        store: CorrectionRepositoryPort,
        classifier: PatternClassifier,
        categorized: CategorizedDataRepositoryPort,
        logs: PomodoroUsageLogRepositoryPort,
        reclassification: PeriodReclassification,
        boards: LeaderboardRebuild,
        patterns: CategoryPatternRepositoryPort,
        proposals: PatternProposalRepositoryPort,
        privacy: Privacy,
        archived: Callable[[Period, date], bool],
        day: Callable[[float], date],
    ) -> None:
        self._store = store
        self._classifier = classifier
        self._categorized = categorized
        self._logs = logs
        self._reclassification = reclassification
        self._boards = boards
        self._patterns = patterns
        self._proposals = proposals
        self._privacy = privacy
        self._archived = archived
        self._day = day

    async def find_all(self) -> list[Correction]:
        return await self._store.find_all()

    async def window_of(self, log_id: str) -> tuple[PomodoroUsageLog, Window] | None:
        """The log and its window; None where one of them is missing."""
        logs = await self._logs.find_by_ids([log_id])
        found = await self._categorized.find_by_ids([log.categorized_data_id for log in logs])
        return (logs[0], next(iter(found.values())).window) if found else None

    async def correct(self, user_id: str, window: Window, category: str, by: str) -> Correction:
        """Stores what the window is, for a user or for all (''). `apply` corrects what was committed.

        Raises TaskRefused where boards cannot be recomputed.
        """
        self._boards.ensure_possible()
        if category not in self._classifier.snapshot.categories:
            await self._patterns.save_all([new_category(category)])
        correction = Correction(digest_of("correction", user_id, *window), user_id, window, category, by, time())
        await self._store.save(correction)
        return correction

    async def undo(self, correction_id: str) -> Correction | None:
        """Stores that a correction holds no longer. None where there is no such correction."""
        self._boards.ensure_possible()
        for correction in await self._store.find_all():
            if correction.id == correction_id:
                undone = replace(correction, state=CorrectionState.UNDOING, time=time())
                await self._store.save(undone)
                return undone
        return None

    async def are_pending(self) -> bool:
        return any(each.state is not CorrectionState.APPLIED for each in await self._store.find_all())

    async def apply(self) -> Applied:
        """Does what is pending. Every instance has to know the corrections by then. Raises Outage and TaskRefused."""
        await self._classifier.load()
        pending = [each for each in await self._store.find_all() if each.state is not CorrectionState.APPLIED]
        done, days = Changed(0, 0, 0, 0, {}), set[date]()
        settled = []
        for correction in pending:
            self._boards.ensure_possible()
            found = [data.id for data in await self._categorized.find_of_window(correction.window)]
            logs, seconds = 0, 0.0

            async def pages(correction: Correction, ids: list[str]) -> AsyncIterator[list[PomodoroUsageLog]]:
                nonlocal logs, seconds
                async for page in self._logs.find_of_windows(ids, correction.user_id or None):
                    logs += len(page)
                    seconds += sum(log.duration for log in page)
                    days.update(self._day(log.timestamp) for log in page)
                    yield page

            made = await self._reclassification.decide_logs(pages(correction, found), False, _silent)
            done = done._replace(changed=done.changed + made.changed, refused=done.refused + made.refused)
            for move, amount in made.moved.items():
                done.moved[move] = done.moved.get(move, 0.0) + amount
            is_undone = correction.state is CorrectionState.UNDOING
            state = CorrectionState.UNDOING if is_undone else CorrectionState.APPLIED
            settled.append(replace(correction, state=state, logs=logs, seconds=seconds))
        left = list[str]()

        def wanted(period: Period, start: date) -> bool:
            if self._archived(period, start):
                left.append(f"{period.value} of {start}")
                return False
            return True

        boards = await self._reclassification.rebuild(days, wanted, _silent) if days else 0
        for correction in settled:
            await self._store.settle(correction)
        proposals = await self._propose() if settled else 0
        return Applied(len(settled), done.changed, done.refused, boards, proposals, done.moved, left)

    async def _propose(self) -> int:
        """Proposes patterns of hosts and apps whose windows were corrected alike. Returns how many."""
        rules, kept = self._classifier.snapshot.rules, await self._proposals.find_all()
        corrected = corrected_windows(await self._store.find_all(), self._privacy)
        found = propose(AnswerCounts(self._privacy), rules, kept, 1, 1.0, corrected=corrected)
        await self._proposals.save_all(found)
        return len(found)
