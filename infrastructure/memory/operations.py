"""What an operator looks at and asks for, in memory."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from time import monotonic

from domains.operations.counters import PEAK, SPANS, Bucket, Flush, Resolution, Totals, starts
from domains.operations.model import (
    LEASE_SECONDS,
    Entry,
    FailedScore,
    Instance,
    LetterPage,
    LetterSummary,
    Outcomes,
    StoredDeadLetter,
    StreamFigures,
    TaskRun,
    TaskState,
    TaskStatus,
    Turn,
)
from domains.operations.ports import NO_CHANGES
from domains.operations.service import runs_of
from domains.pomodoro.model import DeadLetter
from infrastructure.memory.leaderboard import InMemoryLeaderboard
from infrastructure.memory.stream import InMemoryStream
from infrastructure.spring.replayed_message import replayed_fields


class InMemoryDeadLetters:
    """DeadLettersPort on InMemoryStreams, the partitions."""

    def __init__(self, *partitions: InMemoryStream) -> None:
        self._partitions = {stream.name: stream for stream in partitions}

    @property
    def streams(self) -> Collection[str]:
        return self._partitions

    async def all(self) -> AsyncIterator[LetterSummary]:
        for letter in self._summaries():
            yield letter

    async def page(
        self, limit: int, wanted: Callable[[LetterSummary], bool], before: str | None = None
    ) -> LetterPage:
        letters = sorted(self._summaries(), key=_place, reverse=True)
        found = [letter for letter in letters if before is None or _place(letter) < before]
        chosen = list(filter(wanted, found))[:limit]
        return LetterPage(chosen, _place(chosen[-1]) if chosen and chosen[-1] != found[-1] else None)

    async def get(self, letter_id: str) -> StoredDeadLetter | None:
        return next((letter for letter in self._kept() if letter.id == letter_id), None)

    async def replay(self, letter: LetterSummary, changes: Mapping[str, str | None] = NO_CHANGES) -> str | None:
        whole = await self.get(letter.id)
        if whole is None or whole.truncated or not self._take(whole):
            return None
        return self._partitions[whole.stream].add(replayed_fields(whole, changes))

    async def outcomes(self, replayed: Collection[Entry]) -> Outcomes:
        letters = {Entry(letter.stream, letter.original_id): letter for letter in self._summaries()}
        return {entry: letters.get(entry) for entry in replayed if not self._partitions[entry.stream].needs(entry.id)}

    async def drop(self, letters: Sequence[LetterSummary]) -> int:
        return sum(map(self._take, letters))

    def _take(self, letter: LetterSummary) -> bool:
        stream = self._partitions[letter.stream]
        left = [kept for kept in stream.dead_letters if kept.entry_id != letter.id]
        taken = len(left) < len(stream.dead_letters)
        stream.dead_letters = left
        return taken

    def _summaries(self) -> list[LetterSummary]:
        return [
            LetterSummary(*(getattr(letter, field.name) for field in fields(LetterSummary)))
            for letter in self._kept()
        ]

    def _kept(self) -> list[StoredDeadLetter]:
        return [_stored(stream, letter) for stream in self._partitions.values() for letter in stream.dead_letters]


def _place(letter: LetterSummary) -> str:
    return f"{letter.time:020.9f} {letter.id} {letter.stream}"


def _stored(stream: InMemoryStream, letter: DeadLetter) -> StoredDeadLetter:
    return StoredDeadLetter(
        stream=stream.name,
        id=letter.entry_id,
        kind=letter.kind,
        reason=letter.reason,
        public_reason=letter.public_reason,
        user_id=letter.fields.get("userId", ""),
        original_id=letter.entry_id,
        deliveries=letter.deliveries,
        time=stream.parked[letter.entry_id],
        truncated=letter.truncated,
        size=letter.size,
        fields=letter.fields,
    )


class InMemoryFailedScores:
    """FailedScoresPort on InMemoryStreams, the partitions."""

    def __init__(self, boards: InMemoryLeaderboard, *partitions: InMemoryStream) -> None:
        self._boards = boards
        self._partitions = {stream.name: stream for stream in partitions}

    async def all(self) -> list[FailedScore]:
        return [
            FailedScore(stream.name, board, user, seconds)
            for stream in self._partitions.values()
            for (board, user), seconds in sorted(stream.failed_scores.items())
        ]

    async def replay(self, score: FailedScore) -> bool:
        kept, name = self._partitions[score.stream].failed_scores, (score.board, score.user_id)
        if score.board in self._boards.refusing:
            return name not in kept
        if (seconds := kept.pop(name, None)) is not None:
            self._boards.add(score.board, score.user_id, seconds)
        return True


class InMemoryStreamFigures:
    """StreamFiguresPort on InMemoryStreams, the partitions."""

    def __init__(self, *partitions: InMemoryStream) -> None:
        self._partitions = partitions

    async def streams(self) -> list[StreamFigures]:
        return [self._of(stream) for stream in self._partitions]

    async def ever_used(self, stream: str) -> bool:
        return any(partition.published for partition in self._partitions if partition.name == stream)

    async def may_lose_keys(self) -> str | None:
        return None

    async def ping(self) -> None:
        return

    def _of(self, stream: InMemoryStream) -> StreamFigures:
        now, held = monotonic(), list(stream.pending.values())
        return StreamFigures(
            stream=stream.name,
            entries=len(stream.entries),
            undelivered=len(stream.undelivered),
            undelivered_exact=True,
            oldest_undelivered_seconds=max((now - stream.published[it] for it in stream.undelivered), default=0.0),
            pending=len(held),
            oldest_pending_seconds=max((now - stream.published[it] for it in stream.pending), default=0.0),
            dead_letters=len(stream.dead_letters),
            failed_scores=len(stream.failed_scores),
            unannounced_sessions=len(stream.noted_ends),
            deferred=len(stream.deferred),
            instances=[Instance(name, held.count(name), now - asked) for name, asked in stream.asked.items()],
        )


class InMemoryCounters:
    """CountersPort. Buckets are kept for as long as the process lives."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._since: float | None = None
        self._totals = defaultdict[str, float](float)
        self._buckets = defaultdict[tuple[int, int], defaultdict[str, float]](lambda: defaultdict(float))

    async def add(self, flush: Flush) -> None:
        if self._numbers.get(flush.process, 0) >= flush.number:
            return
        self._numbers[flush.process] = flush.number
        counted = {name: value for name, value in flush.counts.items() if not name.startswith(PEAK)}
        if counted:
            self._since = self._since or flush.time
        buckets = [self._buckets[step, int(flush.time) // step * step] for step, _ in SPANS.values()]
        for counts in (self._totals, *buckets):
            for name, value in counted.items():
                counts[name] += value
        for counts in buckets:
            counts |= {name: max(counts[name], flush.counts[name]) for name in flush.counts.keys() - counted.keys()}

    async def totals(self) -> Totals:
        return Totals(self._since, dict(self._totals))

    async def history(self, resolution: Resolution, now: float) -> Sequence[Bucket]:
        return [
            Bucket(start, dict(self._buckets.get((resolution.step, start), {}))) for start in starts(resolution, now)
        ]


class InMemoryInstanceSnapshots:
    """InstanceSnapshotsPort. They are kept for as long as the process lives."""

    def __init__(self) -> None:
        self._snapshots: dict[str, str] = {}

    async def put(self, name: str, snapshot: str) -> None:
        self._snapshots[name] = snapshot

    async def get(self, name: str) -> str | None:
        return self._snapshots.get(name)


class InMemoryTasks:
    """The requests and what all instances share of them."""

    def __init__(self) -> None:
        self.waiting: deque[str] = deque()
        self.processing: list[str] = []
        self.scheduled: dict[str, float] = {}
        self.patterns = 0
        self.holder: object = None
        self.held_until = 0.0
        self.changed = asyncio.Condition()
        self.told: list[TaskStatus] = []
        self.listeners: list[asyncio.Queue[TaskStatus]] = []


class InMemoryTaskQueue:
    """TaskQueuePort of one instance. A request of one id is remembered for as long as the process lives."""

    def __init__(self, tasks: InMemoryTasks) -> None:
        self._tasks = tasks

    async def turn(self) -> Turn:
        tasks, now = self._tasks, monotonic()
        ours = tasks.holder in (None, self) or tasks.held_until < now
        if ours:
            tasks.holder, tasks.held_until = self, now + LEASE_SECONDS
        return Turn(ours, str(tasks.patterns), tasks.processing[0] if ours and tasks.processing else None)

    async def take(self, seconds: int) -> str | None:
        tasks = self._tasks
        try:
            async with asyncio.timeout(seconds), tasks.changed:
                await tasks.changed.wait_for(lambda: tasks.waiting)
                request = tasks.waiting.popleft()
        except TimeoutError:
            return None
        tasks.processing.append(request)
        return request

    async def finished(self, request: str) -> None:
        if request in self._tasks.processing:
            self._tasks.processing.remove(request)

    async def send(self, request: str) -> None:
        async with self._tasks.changed:
            self._tasks.waiting.append(request)
            self._tasks.changed.notify()

    async def unserved(self) -> int:
        return len(self._tasks.waiting) if self._tasks.held_until < monotonic() else 0

    async def scheduled_until(self, schedule: str, now: float) -> float:
        return self._tasks.scheduled.setdefault(schedule, now)

    async def send_scheduled(self, schedule: str, due: float, request: str) -> bool:
        if self._tasks.scheduled.get(schedule, float("-inf")) >= due:
            return False
        self._tasks.scheduled[schedule] = due
        await self.send(request)
        return True

    async def patterns_changed(self) -> None:
        self._tasks.patterns += 1

    async def publish(self, status: TaskStatus) -> None:
        if status.status is not TaskState.PROGRESS:
            self._tasks.told.append(status)
        for listener in self._tasks.listeners:
            listener.put_nowait(status)

    async def runs(self, limit: int) -> list[TaskRun]:
        return runs_of(self._tasks.told)[:limit]

    @asynccontextmanager
    async def statuses(self) -> AsyncIterator[AsyncIterator[TaskStatus]]:
        heard: asyncio.Queue[TaskStatus] = asyncio.Queue()
        self._tasks.listeners.append(heard)
        try:
            yield _heard(heard)
        finally:
            self._tasks.listeners.remove(heard)


async def _heard(queue: asyncio.Queue[TaskStatus]) -> AsyncIterator[TaskStatus]:
    while True:
        yield await queue.get()
