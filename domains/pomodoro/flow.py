"""How much is under way at once, how large the bites are, and what happens while nothing works."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from domains.errors import Outage

T = TypeVar("T")


class InFlight:
    """The entry ids being worked on here, `limit` at most (a read may overshoot by its own size)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = asyncio.Event()
        self.ids: set[str] = set()

    @property
    def free(self) -> int:
        return self._limit - len(self.ids)

    def enter(self, entry_ids: Iterable[str]) -> None:
        self.ids.update(entry_ids)

    def leave(self, entry_ids: Iterable[str]) -> None:
        self.ids.difference_update(entry_ids)
        self._changed.set()

    async def room(self) -> int:
        """How many more may be read; waits until it is at least one."""
        while self.free <= 0:
            self._changed.clear()
            await self._changed.wait()
        return self.free


class AdaptiveBatch:
    """How many messages the next read asks for: more while reads come back full, the least when they do not."""

    def __init__(self, smallest: int, largest: int) -> None:
        self._smallest = smallest
        self._largest = max(smallest, largest)
        self.size = smallest

    def read(self, asked: int, got: int) -> None:
        """Told what the last read asked for and brought."""
        if got < asked:
            self.size = self._smallest
        elif asked >= self.size:
            self.size = min(self.size * 2, self._largest)


class Breaker:
    """A circuit breaker that waits instead of failing: messages stay pending, so patience loses nothing.

    During an outage one caller at a time asks whether it is over, with jittered backoff. `on_change(open, cause)` is
    told when it opens (with the error) and when it closes (None). Times in seconds.
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

    async def wait_closed(self) -> None:
        await self._closed.wait()

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`, repeated until it is no Outage. Other exceptions pass. Cancel it to give up."""
        while True:
            try:
                if not self.is_open:
                    return await self._attempt(call)
                async with self._probe:
                    if self.is_open:
                        await asyncio.sleep(self._delay())
                        self._probes += 1
                    return await self._attempt(call)
            except Outage:
                continue

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
