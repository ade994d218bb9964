"""The whole consumer on in-memory adapters that can be told to fail, with an observer that tests can wait on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.errors import Outage, PipelineError
from domains.kernel.window import Window
from domains.leaderboard.service import BoardCalendar
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.llm_queue import LLMQueue, LLMQueueLimits
from domains.patternClassifier.ports import LLMAnswers
from domains.patternClassifier.questions import Question, Questions
from domains.patternClassifier.snapshot import PatternSnapshot
from domains.patternClassifier.tiers import AnswerMemory, CacheTier, DocumentsTier
from domains.pomodoro.announcing import SessionAnnouncer
from domains.pomodoro.consumer import PomodoroPatternConsumer
from domains.pomodoro.model import (
    CategorizedData,
    CategoryUpdate,
    Commit,
    CommitResult,
    DeadLetter,
    Lane,
    PomodoroUsageLog,
    ReadBatch,
)
from domains.pomodoro.reclassification import Reclassification
from domains.pomodoro.service import BatchClassification
from infrastructure.composition.from_settings import consumer_limits, llm_queue_limits
from infrastructure.memory.leaderboard import InMemoryLeaderboard
from infrastructure.memory.repositories import (
    InMemoryCategorizedDataRepository,
    InMemoryCategoryPatternRepository,
    InMemoryClassificationCache,
    InMemoryLLMBudget,
    InMemoryPomodoroUsageLogRepository,
)
from infrastructure.memory.stream import (
    InMemoryCommit,
    InMemoryDeferredMessages,
    InMemoryMessageSource,
    InMemorySessionEnds,
    InMemoryStream,
)
from infrastructure.observing.observers import Observer, Observers
from infrastructure.settings import Settings
from tests.messages import SEOUL, parser, patterns

STREAM = "stream"
DEFAULTS = Settings.model_construct()
LIMITS = replace(
    consumer_limits(DEFAULTS),
    block_ms=20,
    claim_interval_seconds=0.02,
    shutdown_timeout_seconds=5.0,
    max_deliveries=3,
)
LLM_LIMITS = replace(llm_queue_limits(DEFAULTS), batch=5, linger_seconds=0.0, first_pause_seconds=0.01)
"""A failing LLM is tried again soon."""


class Source(InMemoryMessageSource):
    """Raises `error` as long as it is set, and counts its calls."""

    error: Exception | None = None

    def __init__(self, stream: InMemoryStream, consumer: str) -> None:
        super().__init__(stream, parser(), consumer)
        self.calls: Counter[str] = Counter()

    async def ensure_group(self) -> None:
        self._call("ensure_group")

    async def read_new(self, limit: int, block_ms: int) -> ReadBatch:
        self._call("read_new")
        return await super().read_new(limit, block_ms)

    async def read_pending(self, after: str, limit: int) -> ReadBatch:
        self._call("read_pending")
        return await super().read_pending(after, limit)

    async def claim_abandoned(self, limit: int, exclude: Collection[str]) -> ReadBatch:
        self._call("claim_abandoned")
        return await super().claim_abandoned(limit, exclude)

    async def leave(self) -> int:
        self._call("leave")
        return await super().leave()

    def _call(self, name: str) -> None:
        self.calls[name] += 1
        if self.error is not None:
            raise self.error


class Commits(InMemoryCommit):
    error: Exception | None = None
    lose_replies = False
    """A commit that takes effect but whose reply is lost."""

    def __init__(self, stream: InMemoryStream, boards: InMemoryLeaderboard) -> None:
        super().__init__(stream, boards)
        self.parked: list[Sequence[DeadLetter]] = []

    async def commit(self, commit: Commit) -> CommitResult:
        if commit.dead_letters:
            self.parked.append(commit.dead_letters)
        if self.error is not None and not self.lose_replies:
            raise self.error
        result = await super().commit(commit)
        if self.error is not None and (commit.entries or commit.moves):
            raise self.error
        return result


class Store:
    """The faults of both repositories: an `error` for every call, `failing` {document id: reason}, a `poison` app."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.failing: dict[str, str] = {}
        self.poison: Exception | None = None
        self.calls = 0

    def check(self, apps: Collection[str] = ()) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error
        if self.poison is not None and "poison" in apps:
            raise self.poison

    def failures(self, ids: Collection[str]) -> dict[str, str]:
        return {document_id: reason for document_id, reason in self.failing.items() if document_id in ids}


class Categorized(InMemoryCategorizedDataRepository):
    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    async def find_many_by_app_url_title_batch(self, windows: Collection[Window]) -> dict[Window, CategorizedData]:
        self._store.check()
        return await super().find_many_by_app_url_title_batch(windows)

    async def save_all(self, documents: Sequence[CategorizedData]) -> dict[str, str]:
        self._store.check([document.window.app for document in documents])
        failed = self._store.failures([document.id for document in documents])
        await super().save_all([document for document in documents if document.id not in failed])
        return failed

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        self._store.check()
        failed = self._store.failures([id_ for update in updates for id_ in update.ids])
        left = [update._replace(ids=[id_ for id_ in update.ids if id_ not in failed]) for update in updates]
        await super().update_category_all(left)
        return failed


class Logs(InMemoryPomodoroUsageLogRepository):
    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    async def save_all(
        self, documents: Sequence[PomodoroUsageLog], provisional: Collection[str] = frozenset()
    ) -> dict[str, str]:
        self._store.check()
        failed = self._store.failures([document.id for document in documents])
        await super().save_all([document for document in documents if document.id not in failed], provisional)
        return failed

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        self._store.check()
        failed = self._store.failures([id_ for update in updates for id_ in update.ids])
        left = [update._replace(ids=[id_ for id_ in update.ids if id_ not in failed]) for update in updates]
        await super().update_category_all(left)
        return failed


class LLM:
    """Answers every question with `name` once `gate` is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked = 0
        self.requests = 0
        self.name: str | None = "Documentation"
        self.error: Exception | None = None

    def most_tokens(self, questions: Sequence[Question], categories: Sequence[str]) -> int:
        return 2 * len(questions)

    async def classify(self, questions: Sequence[Question], categories: Sequence[str]) -> LLMAnswers:
        self.asked += len(questions)
        self.requests += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return LLMAnswers([self.name] * len(questions), tokens=len(questions))


class Seen(Observer):
    """Records all calls."""

    def __init__(self) -> None:
        self.committed = 0
        self.letters: list[DeadLetter] = []
        self.failed: list[tuple[str, int, str]] = []
        self.breakers: list[tuple[str, bool]] = []
        self.left: int | None = None
        self.in_flight: int | None = None
        self.paused: list[str] = []
        self.moved: list[CommitResult] = []
        self.waiting: list[PipelineError] = []
        self.away: list[tuple[str, Exception]] = []
        self.llm: list[tuple[int, Exception]] = []
        self.shares_spent = 0

    def batch_committed(self, result: CommitResult, seconds: float, lane: str = Lane.FAST) -> None:
        self.committed += result.messages

    def dead_lettered(self, letters: Sequence[DeadLetter]) -> None:
        self.letters += letters

    def message_failed(self, entry_id: str, attempt: int, reason: str) -> None:
        self.failed.append((entry_id, attempt, reason))

    def breaker_changed(self, name: str, is_open: bool, cause: Outage | None) -> None:
        self.breakers.append((name, is_open))

    def stopping(self, in_flight: int) -> None:
        self.in_flight = in_flight

    def stopped(self, left_pending: int) -> None:
        self.left = left_pending

    def tier_failed(self, tier: str, cause: Exception) -> None:
        self.away.append((tier, cause))

    def llm_failed(self, windows: int, cause: Exception) -> None:
        self.llm.append((windows, cause))

    def llm_share_spent(self, seconds: float) -> None:
        self.shares_spent += 1

    def llm_paused(self, reason: str, seconds: float) -> None:
        self.paused.append(reason)

    def reclassified(self, result: CommitResult) -> None:
        self.moved.append(result)

    def reclassification_failed(self, cause: PipelineError) -> None:
        self.waiting.append(cause)


@dataclass
class World:
    """Everything that instances share."""

    stream: InMemoryStream = field(default_factory=InMemoryStream)
    boards: InMemoryLeaderboard = field(default_factory=InMemoryLeaderboard)
    store: Store = field(default_factory=Store)
    llm: LLM = field(default_factory=LLM)
    stored_patterns: Sequence[CategoryPattern] = field(default_factory=patterns)

    def __post_init__(self) -> None:
        self.categorized, self.logs = Categorized(self.store), Logs(self.store)
        self.patterns = InMemoryCategoryPatternRepository(self.stored_patterns)
        self.cache = InMemoryClassificationCache()
        self.budget = InMemoryLLMBudget()
        self.questions = Questions()

    def add(self, *messages: Mapping[str, str]) -> list[str]:
        return [self.stream.add(fields) for fields in messages]

    def seconds(self, user: str = "user-1", board: str = "work", day: str = "2025-09-02") -> float:
        return self.boards.boards.get(f"leaderboard:{board}:{day}", {}).get(user, 0.0)


class Instance:
    """One consumer in a world."""

    def __init__(
        self,
        world: World,
        name: str = "one",
        other: Observer | None = None,
        llm_limits: LLMQueueLimits = LLM_LIMITS,
        snapshot_of: Callable[[Sequence[CategoryPattern]], PatternSnapshot] = PatternSnapshot,
        **limits: Any,
    ) -> None:
        self.world = world
        self.source = Source(world.stream, name)
        self.commits = Commits(world.stream, world.boards)
        self.seen = Seen()
        observer = Observers(self.seen, other or Observer())
        self.memory = AnswerMemory(observer, world.cache, limit=1000)
        self.llm_queue = LLMQueue(world.llm, world.budget, self.memory, observer, llm_limits)
        self.classifier = PatternClassifier(
            world.patterns,
            observer,
            questions=world.questions,
            memory=self.memory,
            tiers=[CacheTier(self.memory), DocumentsTier(world.categorized)],
            llm_queue=self.llm_queue,
            snapshot_of=snapshot_of,
        )
        calendar = BoardCalendar(SEOUL)
        batches = BatchClassification(self.classifier, world.categorized, world.logs, calendar, STREAM)
        self.consumer = PomodoroPatternConsumer(
            self.source, self.commits, batches, self.classifier, observer, replace(LIMITS, **limits)
        )
        self.announcer = SessionAnnouncer(
            InMemorySessionEnds(world.stream), world.logs, observer, delay_ms=0, patience_seconds=3600.0
        )
        self.reclassification = Reclassification(
            InMemoryDeferredMessages(world.stream),
            self.commits,
            self.classifier,
            world.categorized,
            world.logs,
            world.boards,
            calendar,
            observer,
            interval_seconds=0.001,
        )
        self.stop = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[int]]:
        """Runs the consumer and the announcer, and stops them in order at the end of the block."""
        task = asyncio.create_task(self.consumer.run(self.stop))
        announcing = asyncio.create_task(self.announcer.run(self.stop))
        try:
            yield task
        finally:
            self.stop.set()
            if not task.done():
                self.world.llm.gate.set()
            await asyncio.wait_for(task, 60)
            await asyncio.wait_for(announcing, 60)
            await self.llm_queue.aclose()


async def until(condition: Callable[[], bool], *watched: asyncio.Task[Any]) -> None:
    """Lets other tasks run until `condition` holds."""
    async with asyncio.timeout(60):
        while not condition():
            for task in watched:
                if task.done():
                    task.result()
                    raise AssertionError("the consumer has ended")
            await asyncio.sleep(0.001)


async def turns(count: int = 50) -> None:
    """Lets other tasks run for so many turns, so that they could do something that they should not."""
    for _ in range(count):
        await asyncio.sleep(0)
