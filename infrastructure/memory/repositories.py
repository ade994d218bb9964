"""The stores in memory, for trials and tests: the same ports and the same behaviour, gone with the process."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from domains.categoryPattern.model import CategoryPattern
from domains.pomodoro.model import (
    ActivityKey,
    CategorizedData,
    CategoryUpdate,
    PomodoroUsageLog,
    best_by_key,
)


class InMemoryCategoryPatternRepository:
    def __init__(self, patterns: Iterable[CategoryPattern] = ()) -> None:
        self.documents = {pattern.id: pattern for pattern in patterns}

    async def find_all(self) -> list[CategoryPattern]:
        return [self.documents[pattern_id] for pattern_id in sorted(self.documents)]

    async def save_all(self, patterns: Iterable[CategoryPattern]) -> None:
        for pattern in patterns:
            self.documents.setdefault(pattern.id, pattern)


class InMemoryCategorizedDataRepository:
    def __init__(self) -> None:
        self.documents: dict[str, CategorizedData] = {}

    async def find_many_by_app_url_title_batch(
        self, keys: Collection[ActivityKey]
    ) -> dict[ActivityKey, CategorizedData]:
        return best_by_key(document for document in self.documents.values() if document.key in keys)

    async def find_classified(self, category_ids: Collection[str], limit: int) -> list[CategorizedData]:
        found = [document for document in self.documents.values() if document.category_id in category_ids]
        return sorted(found, key=lambda data: data.id, reverse=True)[:limit]

    async def save_all(self, documents: Sequence[CategorizedData]) -> dict[str, str]:
        for document in documents:
            self.documents.setdefault(document.id, document)
        return {}

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        for document_id, category_id, is_llm_based in updates:
            if document := self.documents.get(document_id):
                self.documents[document_id] = replace(document, category_id=category_id, is_llm_based=is_llm_based)
        return {}


class InMemoryPomodoroUsageLogRepository:
    def __init__(self) -> None:
        self.documents: dict[str, PomodoroUsageLog] = {}

    async def save_all(self, documents: Sequence[PomodoroUsageLog]) -> dict[str, str]:
        for document in documents:
            self.documents.setdefault(document.id, document)
        return {}

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        for update in updates:
            if document := self.documents.get(update.id):
                self.documents[update.id] = replace(document, category_id=update.category_id)
        return {}

    async def find_by_session(self, user_id: str, session_date: date, session: int) -> list[PomodoroUsageLog]:
        wanted = (user_id, session_date, session)
        found = [log for log in self.documents.values() if (log.user_id, log.session_date, log.session) == wanted]
        return sorted(found, key=lambda log: (log.timestamp, log.id))


class InMemoryClassificationCache:
    """ClassificationCachePort without a time limit; the oldest of more than `limit` answers go first."""

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._answers: dict[ActivityKey, str] = {}

    async def get_many(self, keys: Collection[ActivityKey]) -> dict[ActivityKey, str]:
        return {key: self._answers[key] for key in keys if key in self._answers}

    async def put_many(self, answers: Mapping[ActivityKey, str]) -> None:
        self._answers |= answers
        while len(self._answers) > self._limit:
            del self._answers[next(iter(self._answers))]
