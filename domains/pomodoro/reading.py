"""Reading and claiming: which messages a consumer takes from the stream, and when it takes none."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic

from domains.kernel.errors import GroupMissing, NoPatterns, Outage, RedisOutage
from domains.kernel.resilience import pause
from domains.pomodoro.capacity import AdaptiveBatch, ConsumerContext
from domains.pomodoro.model import Commit, ReadBatch
from domains.pomodoro.ports import CommitPort, MessageSourcePort

_OUTAGE_PAUSE_SECONDS = 0.05
_PATTERNS_SECONDS = 1.0
_READ_GATHERS_SECONDS = 0.005
"""The pause after a read that emptied the stream.

A batch costs as much as a hundred messages, so a few messages should
share one batch."""


class StreamReader:
    """Gives `work` each batch of entries that are not in flight yet.

    One loop reads new entries while there is a free worker and room in flight. Another loop claims entries that other
    instances left behind, and tidies the stream. Neither takes entries during an outage of the store, or before
    `load` has loaded the patterns, which returns the same object as long as they are the same.
    """

    def __init__(
        self,
        context: ConsumerContext,
        source: MessageSourcePort,
        commits: CommitPort,
        load: Callable[[], Awaitable[object]],
        work: Callable[[ReadBatch], Awaitable[None]],
    ) -> None:
        self._context = context
        self._source = source
        self._commits = commits
        self._load = load
        self._work = work
        self._workers = asyncio.Semaphore(context.limits.worker_pool_size)
        self._batch = AdaptiveBatch(context.limits.batch_size, context.limits.batch_max)
        self._own_pending: str | None = "0"
        self._group_missing = False
        self._patterns_loaded = False
        self._turned: dict[str, float] = {}
        self.begun = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether there is no room for more messages now."""
        return self._workers.locked() or self._context.in_flight.free <= 0

    def silent_seconds(self) -> dict[str, float]:
        """The seconds since the last turn of each running loop, by name."""
        now = monotonic()
        return {loop: now - turned for loop, turned in self._turned.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Reads until `stop` is set. The claim loop runs as a task of its own."""
        self._turned["start"] = monotonic()
        try:
            await self._context.redis.run(self._source.ensure_group, stop)
            self._context.tasks.spawn(
                self._claim_loop(stop), "claim"
            )  # it is also the sign of life during an outage of the store
            await self._load_patterns(stop)
            self._turned.pop("start", None)
            await self._read_loop(stop)
        except Outage:
            if not stop.is_set():
                raise

    async def _load_patterns(self, stop: asyncio.Event) -> None:
        """Waits until there are patterns: without any, everything would be committed as Uncategorized.

        Patterns that appear meanwhile come one category after another: it waits until two looks have found the same.
        """
        told, seen = False, object()
        while not (stop.is_set() or self._patterns_loaded):
            self._turned["start"] = monotonic()
            try:
                before, seen = seen, await self._context.store.run(self._load, stop)
                self._patterns_loaded = not told or seen is before
            except NoPatterns as cause:
                if not told:
                    self._context.observer.waits_for_patterns(cause)
                told = True
            if not self._patterns_loaded:
                await pause(stop, _PATTERNS_SECONDS)

    async def _read_loop(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._turned["read"] = monotonic()
            await self._workers.acquire()
            room = await self._context.in_flight.room()
            asked, batch = 0, ReadBatch()
            if self._context.store.is_open:
                await pause(stop, _OUTAGE_PAUSE_SECONDS)
            elif not stop.is_set():
                asked = min(self._batch.size, room)
                self.begun.set()
                batch = await self._context.redis.run(partial(self._read, asked), stop)
                self._batch.read(asked, len(batch))
            if not self._start(batch, after=self._workers.release):
                self._workers.release()
            elif len(batch) < asked:
                await pause(stop, _READ_GATHERS_SECONDS)
        self._turned.pop("read", None)

    async def _read(self, limit: int) -> ReadBatch:
        """Reads new entries. The own pending ones come first after a start or a fault: a lost reply hides them."""
        try:
            if self._group_missing:
                await self._source.ensure_group()
                self._group_missing = False
            if self._own_pending is None:
                return await self._source.read_new(limit, self._context.limits.block_ms)
            batch = await self._source.read_pending(self._own_pending, limit)
        except RedisOutage as cause:
            self._group_missing = isinstance(cause, GroupMissing)
            self._own_pending = "0"
            raise
        self._own_pending = batch.cursor or None
        return batch

    async def _claim_loop(self, stop: asyncio.Event) -> None:
        """Claims entries and tidies the stream, also while nothing can be read."""
        try:
            while not stop.is_set():
                self._turned["claim"] = monotonic()
                if await self._claim(stop):
                    continue
                # on a cluster, scores may have been left in the outbox
                await self._context.redis.run(lambda: self._commits.commit(Commit()), stop)
                self._context.observer.stream_tidied(await self._context.redis.run(self._source.tidy, stop))
                await pause(stop, self._context.limits.claim_interval_seconds)
        except Outage:
            if not stop.is_set():
                raise
        self._turned.pop("claim", None)

    async def _claim(self, stop: asyncio.Event) -> bool:
        """Claims one batch, if it can be processed now. Returns whether there may be more."""
        limit = min(self._context.in_flight.free, self._context.limits.batch_max)
        if limit <= 0 or self._context.store.is_open or not self._patterns_loaded:
            return False
        batch = await self._context.redis.run(
            lambda: self._source.claim_abandoned(limit, self._context.in_flight.sizes), stop
        )
        self._start(batch)
        return bool(batch.cursor)

    def _start(self, batch: ReadBatch, after: Callable[[], None] | None = None) -> bool:
        """Starts processing the entries of a batch that are not in flight yet. Returns False if there are none."""
        busy, fresh = self._context.in_flight.sizes, batch
        sizes = {message.entry_id: message.size for message in batch.messages}
        sizes |= {letter.entry_id: letter.size for letter in batch.rejected}
        if not sizes.keys().isdisjoint(busy):
            messages = [message for message in batch.messages if message.entry_id not in busy]
            rejected = [letter for letter in batch.rejected if letter.entry_id not in busy]
            fresh = ReadBatch(messages, rejected)
            sizes = {entry_id: size for entry_id, size in sizes.items() if entry_id not in busy}
        if not sizes:
            return False
        self._context.in_flight.enter(sizes)
        self._context.observer.batch_read(len(fresh))
        task = self._context.tasks.spawn(self._process(fresh), f"batch of {len(fresh)}")
        if after is not None:
            task.add_done_callback(lambda _: after())
        return True

    async def _process(self, batch: ReadBatch) -> None:
        started = monotonic()
        await self._work(batch)
        self._batch.took(monotonic() - started)
