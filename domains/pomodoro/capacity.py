"""Limits: how much is in flight, how much the next read asks for, and what the parts of a consumer share."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Generic, TypeVar

from domains.kernel.resilience import Breaker, DrainableTaskGroup, Spawn
from domains.pomodoro.ports import ConsumerObserver

T = TypeVar("T")

_READ_BYTES = 4 * 2**20
"""How much one read is to bring at the most."""


@dataclass(frozen=True, slots=True)
class ConsumerLimits:
    """Sizes are in messages, times in the unit that their names say.

    The settings of the same names have the defaults.
    """

    batch_size: int
    batch_max: int
    worker_pool_size: int
    max_in_flight: int
    max_in_flight_bytes: int
    largest_message_bytes: int
    block_ms: int
    claim_interval_seconds: float
    max_deliveries: int
    shutdown_timeout_seconds: float


class InFlight:
    """The messages that this instance is working on, by entry id, bounded in number and in bytes.

    The size of messages is not known before they are read, so the mean of the last reads is taken, and
    `largest_bytes` before there is one. A read may therefore exceed `max_bytes` by what it brings.
    """

    def __init__(self, max_messages: int, max_bytes: int, largest_bytes: float = 1.0) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._changed = asyncio.Event()
        self._mean_bytes = largest_bytes
        self.sizes: dict[str, int] = {}
        self.bytes = 0

    @property
    def free(self) -> int:
        """How many more messages there is room for.

        With no message in flight it is at least one, whatever its size.
        """
        by_bytes = int((self._max_bytes - self.bytes) / self._mean_bytes)
        in_one_read = max(1, int(_READ_BYTES / self._mean_bytes))
        room = min(self._max_messages - len(self.sizes), by_bytes, in_one_read)
        return room if self.sizes else max(1, room)

    def enter(self, sizes: Mapping[str, int]) -> None:
        """Adds messages that are not in flight yet; `sizes` has the bytes of each by entry id."""
        if sizes:
            total = sum(sizes.values())
            self.sizes |= sizes
            self.bytes += total
            self._mean_bytes = max(1.0, total / len(sizes), self._mean_bytes / 2)

    def leave(self, entry_ids: Iterable[str]) -> None:
        self.bytes -= sum(map(self.sizes.pop, entry_ids, repeat(0)))
        self._changed.set()

    async def room(self) -> int:
        """Waits until at least one more message may be read. Returns how many may be."""
        while self.free <= 0:
            self._changed.clear()
            await self._changed.wait()
        return self.free


class Gathering(Generic[T]):
    """Collects items and works on them in groups of at most `most`, one group after the other.

    A group waits `seconds` for more items. `work` gets the group and the earliest of its items' times; it must not
    raise.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T], float], Awaitable[None]],
        spawn: Spawn,
        seconds: float,
        most: int,
    ) -> None:
        self._work = work
        self._spawn = spawn
        self._seconds = seconds
        self._most = most
        self._items: list[T] = []
        self._since = 0.0
        self._working = False

    def add(self, items: Sequence[T], since: float) -> None:
        if not items:
            return
        self._since = min(self._since, since) if self._items else since
        self._items += items
        if not self._working:
            self._working = True
            self._spawn(self._run(), "gather")

    async def _run(self) -> None:
        try:
            while self._items:
                await asyncio.sleep(self._seconds)
                group, self._items = self._items[: self._most], self._items[self._most :]
                await self._work(group, self._since)
        finally:
            self._working = False


class AdaptiveBatch:
    """How many messages the next read asks for.

    The size grows while reads come back full, and returns to the smallest when they do not. It shrinks when a batch
    takes longer than `slow_seconds`: the store or Redis is then slow, and a large batch would only delay its
    messages.
    """

    def __init__(self, smallest: int, largest: int, slow_seconds: float = 1.0) -> None:
        self._smallest = smallest
        self._largest = max(smallest, largest)
        self._slow_seconds = slow_seconds
        self.size = smallest

    def read(self, asked: int, got: int) -> None:
        """Adapts the size to the last read: how many messages it asked for and got."""
        if got < asked:
            self.size = self._smallest
        elif asked >= self.size:
            self.size = min(self.size * 2, self._largest)

    def took(self, seconds: float) -> None:
        """Adapts the size to the time of a batch from its reading to its commit."""
        if seconds > self._slow_seconds:
            self.size = max(self._smallest, self.size // 2)


class ConsumerContext:
    """The objects that reading, lanes and isolation of one consumer share."""

    def __init__(self, observer: ConsumerObserver, limits: ConsumerLimits) -> None:
        self.observer = observer
        self.limits = limits
        self.tasks = DrainableTaskGroup()
        self.redis = Breaker(partial(observer.breaker_changed, "redis"))
        self.store = Breaker(partial(observer.breaker_changed, "store"))
        self.in_flight = InFlight(limits.max_in_flight, limits.max_in_flight_bytes, limits.largest_message_bytes)
