"""The way of a message: read, decide, write, commit, in two lanes of which the fast one never waits.

Why no message is lost: it is acknowledged in its commit and nowhere else, after its documents are written.
Why none counts twice: the commit counts only messages that are still pending (see CommitPort).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import NamedTuple, TypeVar

from domains.kernel.errors import GroupMissing, Outage, RedisOutage
from domains.kernel.resilience import Breaker, cancel_all, pause
from domains.kernel.window import Window
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.model import Classification
from domains.pomodoro.capacity import AdaptiveBatch, Gathering, InFlight
from domains.pomodoro.model import (
    Commit,
    CommitResult,
    DeadLetter,
    Lane,
    PomodoroPatternClassifyMessage,
    ReadBatch,
    Stage,
)
from domains.pomodoro.ports import CommitPort, ConsumerObserver, MessageSourcePort
from domains.pomodoro.service import BatchClassification, Decided, Span

T = TypeVar("T")

_RETRY_ALONE_SECONDS = 0.2
_OUTAGE_PAUSE_SECONDS = 0.05
_READ_GATHERS_SECONDS = 0.005
"""After a read that emptied the stream: a batch costs as much as a hundred messages, so that a few make one."""
_SLOW_LANE_GATHERS_SECONDS = 0.1
"""What is there has waited for a look-up or for the LLM; few batches of it keep few of the fast lane waiting."""


@dataclass(frozen=True, slots=True)
class ConsumerLimits:
    """Sizes in messages, times as named. See the settings of the same names."""

    batch_size: int = 50
    batch_max: int = 1000
    worker_pool_size: int = 10
    max_in_flight: int = 10_000
    max_in_flight_bytes: int = 67_108_864
    block_ms: int = 2000
    claim_interval_seconds: float = 5.0
    max_deliveries: int = 5
    shutdown_timeout_seconds: float = 10.0


class ConsumerVitals(NamedTuple):
    """A consumer at one moment.

    `silent_seconds`: since each of its loops last turned. They rest on purpose during an `outage`, and for a while
    where there is no room for more work (`full`).
    """

    in_flight: int
    in_flight_bytes: int
    outage: bool
    full: bool
    silent_seconds: Mapping[str, float]


class PomodoroPatternConsumer:
    """Consumes the stream until it is told to stop.

    Every message read is in exactly one of these states: in `_in_flight` here, pending in the stream and not in
    flight (then the claim loop of some instance finds it), or committed.
    """

    def __init__(
        self,
        source: MessageSourcePort,
        commits: CommitPort,
        batches: BatchClassification,
        classifier: PatternClassifier,
        observer: ConsumerObserver,
        limits: ConsumerLimits,
    ) -> None:
        self._source = source
        self._commits = commits
        self._batches = batches
        self._classifier = classifier
        self._observer = observer
        self._limits = limits
        self._redis = Breaker(partial(observer.breaker_changed, "redis"))
        self._store = Breaker(partial(observer.breaker_changed, "store"))
        self._in_flight = InFlight(limits.max_in_flight, limits.max_in_flight_bytes)
        self._workers = asyncio.Semaphore(limits.worker_pool_size)
        self._batch = AdaptiveBatch(limits.batch_size, limits.batch_max)
        self._attempts: dict[str, int] = {}
        self._unknown = Gathering(self._slow_lane, self._spawn, _SLOW_LANE_GATHERS_SECONDS, limits.batch_max)
        self._answered = Gathering(self._settle_slow, self._spawn, _SLOW_LANE_GATHERS_SECONDS, limits.batch_max)
        self._asking = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._own_pending: str | None = "0"
        self._group_missing = False
        self._patterns_loaded = False
        self._turned: dict[str, float] = {}

    def vitals(self) -> ConsumerVitals:
        now = monotonic()
        return ConsumerVitals(
            len(self._in_flight.sizes),
            self._in_flight.bytes,
            self._store.is_open or self._redis.is_open,
            self._workers.locked() or self._in_flight.free <= 0,
            {loop: now - turned for loop, turned in self._turned.items()},
        )

    async def run(self, stop: asyncio.Event) -> int:
        """Consumes until `stop` is set, then finishes what is in flight within the deadline.

        Returns how many messages it had to leave pending. An exception of a loop ends it at once and passes on.
        """
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._spawn(self._consume(stop), "consume")
            await stop.wait()
            self._observer.stopping(len(self._in_flight.sizes))
            await self._drain()
        left = await self._leave_stream()
        self._observer.stopped(left)
        return left

    async def process_batch_messages(self, batch: ReadBatch) -> None:
        """Takes one batch through the fast lane and hands what is left of it to the slow one."""
        if batch.rejected:
            await self._park(batch.rejected)
        if batch.messages:
            started = monotonic()
            await self._process(batch.messages, started)
            self._batch.took(monotonic() - started)

    # Reading

    async def _consume(self, stop: asyncio.Event) -> None:
        self._turned["start"] = monotonic()
        try:
            await self._redis.run(self._source.ensure_group, stop)
            self._spawn(self._claim_loop(stop), "claim")  # also a sign of life, while the store is away
            await self._store.run(self._classifier.load, stop)
            self._patterns_loaded = True
            del self._turned["start"]
            await self._read_loop(stop)
        except Outage:
            if not stop.is_set():
                raise

    async def _read_loop(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._turned["read"] = monotonic()
            await self._workers.acquire()
            room = await self._in_flight.room()
            asked, batch = 0, ReadBatch()
            if self._store.is_open:
                await pause(stop, _OUTAGE_PAUSE_SECONDS)
            elif not stop.is_set():
                asked = min(self._batch.size, room)
                batch = await self._redis.run(partial(self._read, asked), stop)
                self._batch.read(asked, len(batch))
            if not self._start(batch, after=self._workers.release):
                self._workers.release()
            elif len(batch) < asked:
                await pause(stop, _READ_GATHERS_SECONDS)
        self._turned.pop("read", None)

    async def _read(self, limit: int) -> ReadBatch:
        """The own pending entries first: after a start, and after a fault, since a lost reply leaves some unseen."""
        try:
            if self._group_missing:
                await self._source.ensure_group()
                self._group_missing = False
            if self._own_pending is None:
                return await self._source.read_new(limit, self._limits.block_ms)
            batch = await self._source.read_pending(self._own_pending, limit)
        except RedisOutage as cause:
            self._group_missing = isinstance(cause, GroupMissing)
            self._own_pending = "0"
            raise
        self._own_pending = batch.cursor or None
        return batch

    async def _claim_loop(self, stop: asyncio.Event) -> None:
        """Takes over what others left behind, and keeps the stream tidy; also while nothing can be read."""
        try:
            while not stop.is_set():
                self._turned["claim"] = monotonic()
                if await self._claim(stop):
                    continue
                # entries that vanished from the stream may have been the last thing a session's end waited for
                await self._redis.run(lambda: self._commits.commit(Commit()), stop)
                self._observer.stream_tidied(await self._redis.run(self._source.tidy, stop))
                await pause(stop, self._limits.claim_interval_seconds)
        except Outage:
            if not stop.is_set():
                raise
        self._turned.pop("claim", None)

    async def _claim(self, stop: asyncio.Event) -> bool:
        """Takes over one batch, if it can be worked on now. Returns whether there may be more."""
        limit = min(self._in_flight.free, self._limits.batch_max)
        if limit <= 0 or self._store.is_open or not self._patterns_loaded:
            return False
        batch = await self._redis.run(lambda: self._source.claim_abandoned(limit, self._in_flight.sizes), stop)
        self._start(batch)
        return bool(batch.cursor)

    async def _leave_stream(self) -> int:
        try:
            return await self._source.leave()
        except RedisOutage:  # then others find by themselves, a little later, what is left
            return len(self._in_flight.sizes)

    def _start(self, batch: ReadBatch, after: Callable[[], None] | None = None) -> bool:
        """Starts to work on those entries of a batch that are not in flight yet; False where there are none."""
        busy = self._in_flight.sizes
        messages = [message for message in batch.messages if message.entry_id not in busy]
        rejected = [letter for letter in batch.rejected if letter.entry_id not in busy]
        if not messages and not rejected:
            return False
        fresh = ReadBatch(messages, rejected)
        self._in_flight.enter({message.entry_id: message.size for message in messages})
        self._in_flight.enter({letter.entry_id: letter.size for letter in rejected})
        self._observer.batch_read(len(fresh))
        task = self._spawn(self.process_batch_messages(fresh), f"batch of {len(fresh)}")
        if after is not None:
            task.add_done_callback(lambda _: after())
        return True

    # Deciding, writing, committing

    async def _process(self, messages: Sequence[PomodoroPatternClassifyMessage], started: float) -> None:
        with self._observed(messages, started, Lane.FAST):
            await self._decide(messages, started)

    async def _decide(self, messages: Sequence[PomodoroPatternClassifyMessage], started: float) -> None:
        try:
            documents, missing = self._batches.documents_of(messages)
            if missing:
                documents |= await self._stage(Stage.LOOK_UP, self._store, lambda: self._batches.look_up(missing))
            deciding = monotonic()
            decided, undecided = self._batches.decide(messages, documents)
            self._observer.stage_done(Stage.DECIDE, monotonic() - deciding)
        except Exception as cause:
            self._isolate(messages, cause)
            return
        if undecided:
            self._unknown.add(undecided, started)
        if decided:
            await self._settle(decided, started)

    async def _settle(self, decided: Sequence[Decided], started: float, lane: Lane = Lane.FAST) -> None:
        """Writes and commits. What fails by itself goes on alone and does not hinder the others."""
        try:
            failed = await self._stage(Stage.WRITE, self._store, lambda: self._batches.write(decided))
            good = [item for item in decided if item.span.message.entry_id not in failed] if failed else decided
            self._observer.classified(Counter([item.classification.tier for item in good]))
            await self._commit(self._batches.commit_of(good), started, lane)
        except Exception as cause:
            self._isolate([item.span.message for item in decided], cause)
            return
        self._leave(item.span.message.entry_id for item in good)
        for item in decided if failed else ():
            if reason := failed.get(item.span.message.entry_id):
                self._retry(item.span.message, reason)

    async def _park(self, letters: Sequence[DeadLetter]) -> None:
        result = await self._commit(Commit(dead_letters=letters), monotonic())
        self._leave(letter.entry_id for letter in letters)
        if result.dead_letters:  # else another instance has parked them
            self._observer.dead_lettered(letters)

    async def _commit(self, commit: Commit, started: float, lane: Lane = Lane.FAST) -> CommitResult:
        result = await self._stage(Stage.COMMIT, self._redis, lambda: self._commits.commit(commit))
        self._observer.batch_committed(result, monotonic() - started, lane)
        return result

    async def _stage(self, stage: Stage, breaker: Breaker, call: Callable[[], Awaitable[T]]) -> T:
        started = monotonic()
        result = await breaker.run(call)
        self._observer.stage_done(stage, monotonic() - started)
        return result

    @contextmanager
    def _observed(
        self, messages: Sequence[PomodoroPatternClassifyMessage], started: float, lane: Lane
    ) -> Iterator[None]:
        self._observer.batch_started(messages, started, lane)
        try:
            yield
        finally:
            self._observer.batch_ended()

    def _leave(self, entry_ids: Iterable[str]) -> None:
        ids = list(entry_ids)
        self._in_flight.leave(ids)
        if self._attempts:
            for entry_id in ids:
                self._attempts.pop(entry_id, None)

    # The slow lane. Its messages are gathered: by itself, each would cost as much as a batch

    async def _slow_lane(self, spans: Sequence[Span], started: float) -> None:
        """First what others know of these windows; the LLM is asked for the rest, and not waited for here."""
        try:
            found = await self._classifier.further({span.message.window for span in spans})
        except Exception as cause:
            self._isolate([span.message for span in spans], cause)
            return
        unknown = [span for span in spans if span.message.window not in found]
        if unknown:
            self._spawn(self._ask(unknown, started), f"ask {unknown[0].message.entry_id}")
        self._answered.add([Decided(s, found[s.message.window]) for s in spans if s.message.window in found], started)

    async def _ask(self, spans: Sequence[Span], started: float) -> None:
        """Asks the LLM. What it does not answer now is committed all the same, with what can be said without it."""
        try:
            names = await self._names(spans)
            if missing := self._classifier.missing_categories(names.values()):
                await self._store.run(lambda: self._classifier.create_categories(missing))
            answers = self._classifier.accept(names)
        except Exception as cause:
            self._isolate([span.message for span in spans], cause)
            return
        self._answered.add([self._decided(span, answers.get(span.message.window)) for span in spans], started)

    async def _settle_slow(self, decided: Sequence[Decided], started: float) -> None:
        with self._observed([item.span.message for item in decided], started, Lane.SLOW):
            await self._settle(decided, started, Lane.SLOW)

    async def _names(self, spans: Sequence[Span]) -> dict[Window, str]:
        """What the LLM answers. Half of what may be in flight stays free of its waiting: that is the fast lane's."""
        if self._asking + len(spans) > self._limits.max_in_flight // 2:
            return {}
        self._asking += len(spans)
        try:
            return await self._classifier.ask({span.message.window for span in spans})
        finally:
            self._asking -= len(spans)

    def _decided(self, span: Span, answer: Classification | None) -> Decided:
        if answer is None:
            return Decided(span, self._classifier.snapshot.fallback(span.message.window), deferred=True)
        return Decided(span, answer)

    # Messages that fail alone

    def _isolate(self, messages: Sequence[PomodoroPatternClassifyMessage], cause: Exception) -> None:
        """Halves a batch that failed as a whole until the message to blame is alone."""
        self._observer.batch_failed(cause)
        if len(messages) == 1:
            self._retry(messages[0], f"{type(cause).__name__}: {cause}")
            return
        middle = len(messages) // 2
        for half in (messages[:middle], messages[middle:]):
            self._spawn(self._process(half, monotonic()), f"half {half[0].entry_id}")

    def _retry(self, message: PomodoroPatternClassifyMessage, reason: str) -> None:
        """Tries a failed message again, by itself, and parks it after `max_deliveries` failures."""
        attempt = self._attempts[message.entry_id] = self._attempts.get(message.entry_id, 0) + 1
        self._observer.message_failed(message.entry_id, attempt, reason)
        self._spawn(self._once_more(message, attempt, reason), f"retry {message.entry_id}")

    async def _once_more(self, message: PomodoroPatternClassifyMessage, attempt: int, reason: str) -> None:
        if attempt < self._limits.max_deliveries:
            await asyncio.sleep(_RETRY_ALONE_SECONDS * attempt)
            await self._process([message], monotonic())
        else:
            await self._park([DeadLetter(message.entry_id, reason, message.fields, attempt)])

    # Tasks

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        try:
            task = self._group.create_task(work, name=name)
        except RuntimeError:  # a loop has failed and everything is being cancelled
            work.close()
            raise
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _drain(self) -> None:
        """Waits for all tasks, also those that they start meanwhile, and cancels what is late: it stays pending."""
        deadline = monotonic() + self._limits.shutdown_timeout_seconds
        while self._tasks and (left := deadline - monotonic()) > 0:
            await asyncio.wait(set(self._tasks), timeout=left)
        await cancel_all(self._tasks)
