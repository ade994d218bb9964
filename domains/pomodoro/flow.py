"""How much is under way at once, how large the bites are, and what happens while nothing works."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from domains.errors import Outage

T = TypeVar("T")


class InFlight:
    """The messages being worked on here, by entry id, bounded in number and in bytes.

    How large the next messages are is not known before they are read: it is taken to be the mean of those read last,
    so that a read may overshoot `max_bytes` by what it brought.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._changed = asyncio.Event()
        self._mean_bytes = 1.0
        self.sizes: dict[str, int] = {}
        self.bytes = 0

    @property
    def free(self) -> int:
        """How many more messages there is room for: at least one where there are none, however large it may be."""
        by_bytes = int((self._max_bytes - self.bytes) / self._mean_bytes)
        room = min(self._max_messages - len(self.sizes), by_bytes)
        return room if self.sizes else max(1, room)

    def enter(self, sizes: Mapping[str, int]) -> None:
        """`sizes`: entry ids that are not in flight yet, and the bytes of each."""
        if sizes:
            total = sum(sizes.values())
            self.sizes |= sizes
            self.bytes += total
            self._mean_bytes = max(1.0, total / len(sizes))

    def leave(self, entry_ids: Iterable[str]) -> None:
        for entry_id in entry_ids:
            self.bytes -= self.sizes.pop(entry_id, 0)
        self._changed.set()

    async def room(self) -> int:
        """How many more messages may be read; waits until it is at least one."""
        while self.free <= 0:
            self._changed.clear()
            await self._changed.wait()
        return self.free


class Gathering(Generic[T]):
    """Works on what comes in small pieces in groups, one after the other, of at most `most`.

    `work` is given a group and the earliest time that was given with any of it; it must not raise. A group waits
    `seconds` for others.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T], float], Awaitable[None]],
        spawn: Callable[[Coroutine[None, None, None], str], object],
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

    More while reads come back full; the least when they do not; less when a batch takes longer than
    `slow_seconds`, since then the store or Redis labours, and a large batch would only hold up what is in it.
    """

    def __init__(self, smallest: int, largest: int, slow_seconds: float = 1.0) -> None:
        self._smallest = smallest
        self._largest = max(smallest, largest)
        self._slow_seconds = slow_seconds
        self.size = smallest

    def read(self, asked: int, got: int) -> None:
        """Told what the last read asked for and brought."""
        if got < asked:
            self.size = self._smallest
        elif asked >= self.size:
            self.size = min(self.size * 2, self._largest)

    def took(self, seconds: float) -> None:
        """Told how long a batch took from its reading to its commit."""
        if seconds > self._slow_seconds:
            self.size = max(self._smallest, self.size // 2)


class Breaker:
    """A circuit breaker that waits instead of failing: messages stay pending, so patience loses nothing.

    Each call has to go to the other side: its success is taken for the end of the outage. During one, one caller at a
    time asks whether it is over, with jittered backoff. `on_change(open, cause)` is told when it opens (with the
    error) and when it closes (None). Times in seconds.
    """

    def __init__(
        self,
        on_change: Callable[[bool, Outage | None], None],
        first_delay: float = 0.1,
        longest_delay: float = 5.0,
    ) -> None:
        self._on_change = on_change
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._probes = 0
        self._closed = asyncio.Event()
        self._closed.set()
        self._probe = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        return not self._closed.is_set()

    async def run(self, call: Callable[[], Awaitable[T]], stop: asyncio.Event | None = None) -> T:
        """The result of `call`, repeated until it is no Outage; once `stop` is set the Outage passes.

        Other exceptions pass at once.
        """
        while True:
            try:
                if not self.is_open:
                    return await self._attempt(call)
                async with self._probe:
                    if self.is_open:
                        await pause(stop, self._delay())
                        self._probes += 1
                        return await self._attempt(call)
            except Outage:
                if stop is not None and stop.is_set():
                    raise

    async def _attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            result = await call()
        except Outage as cause:
            if not self.is_open:
                self._probes = 0
                self._closed.clear()
                self._on_change(True, cause)
            raise
        except Exception:
            self._close()  # an answer, if not the one that was hoped for
            raise
        self._close()
        return result

    def _close(self) -> None:
        if self.is_open:
            self._closed.set()
            self._on_change(False, None)

    def _delay(self) -> float:
        ceiling = min(self._longest_delay, self._first_delay * 2 ** min(self._probes, 16))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, no secret


async def pause(stop: asyncio.Event | None, seconds: float) -> None:
    """Returns after `seconds`, or as soon as `stop` is set."""
    if stop is None:
        await asyncio.sleep(seconds)
        return
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Returns when all have ended. Cancels again and again: a driver may take it for an error of its connection."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.5)
