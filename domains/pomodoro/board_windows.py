"""What made the hours of a user on a board: the windows behind a score."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from domains.categoryPattern.ports import CategoryPatternRepositoryPort
from domains.kernel.window import Window
from domains.leaderboard.model import OVERALL_BOARD, Period
from domains.leaderboard.service import BoardCalendar
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.model import Classification, Tier
from domains.pomodoro.model import CategorizedData, start_of_day
from domains.pomodoro.ports import CategorizedDataRepositoryPort, PomodoroUsageLogRepositoryPort
from domains.pomodoro.rebuild import Sum


class CountedWindow(NamedTuple):
    """`log_id` is that of the latest of its usage logs. `window` is None where no document says what it was.

    `tier` is who says so now; None where nobody does any more, since patterns or answers have changed.
    """

    category: str
    window: Window | None
    log_id: str
    logs: int
    seconds: float
    tier: Tier | None


class _Counted:
    def __init__(self) -> None:
        self.sum, self.logs, self.latest, self.log_id = Sum(), 0, 0.0, ""
        self.data: CategorizedData | None = None


class BoardWindows:
    """Reads usage logs, as a rebuild of the board does, so that what is not committed yet is there already."""

    def __init__(
        self,
        logs: PomodoroUsageLogRepositoryPort,
        categorized: CategorizedDataRepositoryPort,
        patterns: CategoryPatternRepositoryPort,
        classifier: PatternClassifier,
        calendar: BoardCalendar,
    ) -> None:
        self._logs = logs
        self._categorized = categorized
        self._patterns = patterns
        self._classifier = classifier
        self._calendar = calendar

    async def find(self, board: str, user_id: str, period: Period, day: date) -> list[CountedWindow]:
        """The windows of the user that count on the board `board`, a category or `work`; the longest first."""
        first, last = period.days(day)
        start, end = (
            start_of_day(each, self._calendar.zone).timestamp() for each in (first, last + timedelta(days=1))
        )
        names = {pattern.id: pattern.category for pattern in await self._patterns.find_all()}
        logs = [
            (log, name)
            for log in await self._logs.find_of_users([user_id], start, end)
            if (name := names.get(log.category_id or "")) is not None and self._counts_on(board, name)
        ]
        documents = await self._categorized.find_by_ids({log.categorized_data_id for log, _ in logs})
        counted: dict[tuple[str, Window | None], _Counted] = {}
        for log, name in logs:
            data = documents.get(log.categorized_data_id)
            each = counted.setdefault((name, data.window if data else None), _Counted())
            each.sum.add(log.duration)
            each.logs += 1
            if log.timestamp >= each.latest or not each.log_id:
                each.latest, each.log_id, each.data = log.timestamp, log.id, data
        found = [
            CountedWindow(name, window, each.log_id, each.logs, each.sum.value, self._tier(user_id, name, each.data))
            for (name, window), each in counted.items()
        ]
        return sorted(found, key=lambda each: (-each.seconds, each.log_id))

    def _counts_on(self, board: str, category: str) -> bool:
        return category == board or (board == OVERALL_BOARD and category in self._calendar.work_categories)

    def _tier(self, user_id: str, category: str, data: CategorizedData | None) -> Tier | None:
        if data is None:
            return None
        snapshot = self._classifier.snapshot
        candidates: Iterable[Classification | None] = (
            self._classifier.corrected(user_id, data.window),
            snapshot.by_rules(data.window),
            snapshot.by_tier[Tier.LLM].get(category) if data.is_llm_based else None,
            self._classifier.at_once(data.window),
            snapshot.fallback(data.window),
        )
        return next((it.tier for it in candidates if it is not None and it.category == category), None)
