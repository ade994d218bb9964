"""The usage logs and windows of a user, or from before a time, of the stores in memory."""

from collections import Counter
from collections.abc import AsyncIterator

from domains.pomodoro.model import PomodoroUsageLog
from domains.userData.model import USAGE_LOGS, WINDOWS, PersonalItem, Scope, log_document, window_document
from infrastructure.memory.repositories import InMemoryCategorizedDataRepository, InMemoryPomodoroUsageLogRepository


class InMemoryPersonalDocuments:
    """PersonalDocumentsPort in memory."""

    def __init__(
        self, logs: InMemoryPomodoroUsageLogRepository, categorized: InMemoryCategorizedDataRepository
    ) -> None:
        self._logs = logs.documents
        self._windows = categorized.documents

    async def find(self, scope: Scope) -> AsyncIterator[PersonalItem]:
        logs, windows = self._wanted(scope)
        for log in logs:
            data = self._windows.get(log.categorized_data_id)
            yield PersonalItem(USAGE_LOGS, {**log_document(log), "window": data.window._asdict() if data else None})
        for id_ in windows:
            yield PersonalItem(WINDOWS, window_document(self._windows[id_]))

    async def count(self, scope: Scope) -> Counter[str]:
        logs, windows = self._wanted(scope)
        return +Counter({USAGE_LOGS: len(logs), WINDOWS: len(windows)})

    async def erase(self, scope: Scope) -> Counter[str]:
        counted = await self.count(scope)
        logs, windows = self._wanted(scope)
        for id_ in windows:
            del self._windows[id_]
        for log in logs:
            del self._logs[log.id]
        return counted

    def _wanted(self, scope: Scope) -> tuple[list[PomodoroUsageLog], set[str]]:
        def is_wanted(log: PomodoroUsageLog) -> bool:
            return scope.user_id in (None, log.user_id) and log.timestamp < scope.before

        logs = [log for log in self._logs.values() if is_wanted(log)]
        others = {log.categorized_data_id for log in self._logs.values() if not is_wanted(log)}
        return logs, {log.categorized_data_id for log in logs if log.categorized_data_id in self._windows} - others
