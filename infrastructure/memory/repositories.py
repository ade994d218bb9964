"""The stores in memory, for trials and tests. They behave as the real ones do, and end with the process."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from time import monotonic

from domains.categoryPattern.model import CategoryPattern, PatternProposal, new_category
from domains.kernel.window import Window
from domains.patternClassifier.corrections import Correction, CorrectionState
from domains.patternClassifier.model import BudgetLimit
from domains.patternClassifier.ports import BudgetRefusal, Reservation
from domains.patternClassifier.questions import Question
from domains.pomodoro.model import CategorizedData, CategoryUpdate, PomodoroUsageLog, Session, best_by_window


class InMemoryCategoryPatternRepository:
    def __init__(self, patterns: Iterable[CategoryPattern] = ()) -> None:
        self.documents = {pattern.id: pattern for pattern in patterns}

    async def find_all(self) -> list[CategoryPattern]:
        return [self.documents[pattern_id] for pattern_id in sorted(self.documents)]

    async def count(self) -> int:
        return len(self.documents)

    async def save_all(self, patterns: Iterable[CategoryPattern]) -> None:
        for pattern in patterns:
            self.documents.setdefault(pattern.id, pattern)

    async def add_patterns(
        self, category: str, app_patterns: Sequence[str] = (), domain_patterns: Sequence[str] = ()
    ) -> None:
        same = [pattern for pattern in self.documents.values() if pattern.category == category]
        old = min(same, key=lambda pattern: pattern.id, default=new_category(category))
        self.documents[old.id] = replace(
            old,
            app_patterns=tuple(dict.fromkeys((*old.app_patterns, *app_patterns))),
            domain_patterns=tuple(dict.fromkeys((*old.domain_patterns, *domain_patterns))),
        )


class InMemoryPatternProposalRepository:
    def __init__(self) -> None:
        self.documents: dict[str, PatternProposal] = {}

    async def find_all(self) -> list[PatternProposal]:
        return [self.documents[proposal_id] for proposal_id in sorted(self.documents)]

    async def save_all(self, proposals: Sequence[PatternProposal]) -> None:
        self.documents |= {proposal.id: proposal for proposal in proposals}

    async def delete_all(self, ids: Collection[str]) -> None:
        for proposal_id in ids:
            self.documents.pop(proposal_id, None)


class InMemoryCorrectionRepository:
    def __init__(self) -> None:
        self.documents: dict[str, Correction] = {}

    async def find_all(self) -> list[Correction]:
        return sorted(self.documents.values(), key=lambda each: (-each.time, each.id))

    async def save(self, correction: Correction) -> None:
        self.documents[correction.id] = correction

    async def settle(self, correction: Correction) -> bool:
        kept = self.documents.get(correction.id)
        if kept is None or kept.time != correction.time:
            return False
        if correction.state is CorrectionState.UNDOING:
            del self.documents[correction.id]
        else:
            self.documents[correction.id] = correction
        return True

    async def delete(self, ids: Iterable[str]) -> int:
        return len([each for each in ids if self.documents.pop(each, None)])


class InMemoryCategorizedDataRepository:
    def __init__(self) -> None:
        self.documents: dict[str, CategorizedData] = {}

    async def find_many_by_app_url_title_batch(self, windows: Collection[Window]) -> dict[Window, CategorizedData]:
        return best_by_window(document for document in self.documents.values() if document.window in windows)

    async def find_by_ids(self, ids: Collection[str]) -> dict[str, CategorizedData]:
        return {id_: self.documents[id_] for id_ in ids if id_ in self.documents}

    async def find_of_window(self, window: Window) -> list[CategorizedData]:
        return [document for document in self.documents.values() if document.window == window]

    async def find_classified(self, category_ids: Collection[str], limit: int) -> list[CategorizedData]:
        found = [document for document in self.documents.values() if document.category_id in category_ids]
        return sorted(found, key=lambda data: data.id, reverse=True)[:limit]

    async def save_all(self, documents: Sequence[CategorizedData]) -> dict[str, str]:
        for document in documents:
            self.documents.setdefault(document.id, document)
        return {}

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        for document_id, update in _one_by_one(updates):
            document = self.documents.get(document_id)
            if document and not (update.provisional and document.category_id):
                self.documents[document_id] = replace(
                    document, category_id=update.category_id, is_llm_based=update.is_llm_based
                )
        return {}

    async def find_llm_based(self) -> AsyncIterator[CategorizedData]:
        for document in list(self.documents.values()):
            if document.is_llm_based:
                yield document


def _one_by_one(updates: Iterable[CategoryUpdate]) -> Iterator[tuple[str, CategoryUpdate]]:
    return ((document_id, update) for update in updates for document_id in update.ids)


class InMemoryPomodoroUsageLogRepository:
    def __init__(self) -> None:
        self.documents: dict[str, PomodoroUsageLog] = {}

    async def save_all(
        self, documents: Sequence[PomodoroUsageLog], provisional: Collection[str] = frozenset()
    ) -> dict[str, str]:
        for document in documents:
            known = self.documents.setdefault(document.id, document)
            if document.id not in provisional:
                self.documents[document.id] = replace(known, category_id=document.category_id)
        return {}

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        for document_id, update in _one_by_one(updates):
            document = self.documents.get(document_id)
            if document and not (update.provisional and document.category_id):
                self.documents[document_id] = replace(document, category_id=update.category_id)
        return {}

    async def find_by_session(self, user_id: str, session_date: date, session: int) -> list[PomodoroUsageLog]:
        wanted = (user_id, session_date, session)
        found = [log for log in self.documents.values() if (log.user_id, log.session_date, log.session) == wanted]
        return sorted(found, key=lambda log: (log.timestamp, log.id))

    async def find_of_users(self, user_ids: Collection[str], start: float, end: float) -> list[PomodoroUsageLog]:
        logs = self.documents.values()
        return [log for log in logs if log.user_id in user_ids and start <= log.timestamp < end]

    async def find_of_windows(
        self, data_ids: Collection[str], user_id: str | None = None
    ) -> AsyncIterator[list[PomodoroUsageLog]]:
        logs = [log for log in self.documents.values() if log.categorized_data_id in data_ids]
        if found := [log for log in logs if user_id in (None, log.user_id)]:
            yield found

    async def sessions_without_category(self, sessions: Collection[Session]) -> set[Session]:
        logs = self.documents.values()
        open_ = {Session(log.user_id, log.session_date, log.session) for log in logs if log.category_id is None}
        return open_ & set(sessions)

    async def find_by_ids(self, ids: Collection[str]) -> list[PomodoroUsageLog]:
        return [self.documents[id_] for id_ in ids if id_ in self.documents]

    async def find_in_period(
        self, start: float, end: float, unreadable: Callable[[str, str], None] = lambda log_id, reason: None
    ) -> AsyncIterator[list[PomodoroUsageLog]]:
        found = [log for log in self.documents.values() if start <= log.timestamp < end]
        if found:
            yield found


class InMemoryClassificationCache:
    """ClassificationCachePort without a time limit. Beyond `limit` answers, the oldest ones are dropped."""

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._answers: dict[Question, str] = {}

    async def get_many(self, questions: Collection[Question]) -> dict[Question, str]:
        return {question: self._answers[question] for question in questions if question in self._answers}

    async def put_many(self, answers: Mapping[Question, str]) -> None:
        self._answers |= answers
        while len(self._answers) > self._limit:
            del self._answers[next(iter(self._answers))]


class InMemoryLLMBudget:
    """LLMBudgetPort of one process. `tokens` is for its whole life; 0 means no limit."""

    def __init__(self, calls_per_minute: int = 0, tokens: int = 0, user_share: float = 1.0) -> None:
        self._calls_per_minute = calls_per_minute
        self._tokens = tokens
        self._most_of_user = int(tokens * user_share)
        self._of_users: Counter[str] = Counter()
        self._minute, self._calls = 0, 0
        self.spent = 0

    async def reserve(self, user: str, tokens: int) -> Reservation | BudgetRefusal:
        if self._tokens and self.spent + tokens > self._tokens:
            return BudgetRefusal(BudgetLimit.TOKENS, 86_400.0)
        if self._tokens and self._of_users[user] + tokens > self._most_of_user:
            return BudgetRefusal(BudgetLimit.USER_SHARE, 86_400.0)
        minute = int(monotonic() // 60)
        if minute != self._minute:
            self._minute, self._calls = minute, 0
        if self._calls_per_minute and self._calls >= self._calls_per_minute:
            return BudgetRefusal(BudgetLimit.CALLS, 60 - monotonic() % 60)
        self._calls += 1
        self._add(user, tokens)
        return Reservation(user, tokens, "")

    async def settle(self, reservation: Reservation, tokens: int) -> None:
        self._add(reservation.user, tokens - reservation.tokens)

    def _add(self, user: str, tokens: int) -> None:
        self.spent += tokens
        if self._tokens:
            self._of_users[user] += tokens
