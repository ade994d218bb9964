"""How an outage is waited out, and how tasks are paused, drained and cancelled."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from time import monotonic
from typing import Any, TypeVar

from domains.kernel.errors import Outage

T = TypeVar("T")

Spawn = Callable[[Coroutine[None, None, None], str], asyncio.Task[None]]
"""Starts a task of that name, which its parent waits for."""


class Breaker:
    """A circuit breaker that waits instead of failing: messages stay pending, so waiting loses nothing.

    Each call has to reach the server, because its success is taken for the end of the outage. During an outage one
    caller at a time tries again, with jittered backoff. `on_change(open, cause)` is called when the breaker opens
    (with the error) and when it closes (with None). Times are in seconds.
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
        """Repeats `call` until it raises no Outage, and returns its result.

        Once `stop` is set, an Outage is raised. Other exceptions are raised at once.
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
            self._close()  # the server has answered, even if not as hoped
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


class DrainableTaskGroup(asyncio.TaskGroup):
    """A task group that need not wait for its tasks for ever. It is entered once."""

    def __init__(self) -> None:
        super().__init__()
        self._unfinished: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        try:
            task = self.create_task(work, name=name)
        except RuntimeError:  # one of the tasks has failed, and all others are being cancelled
            work.close()
            raise
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    async def drain(self, seconds: float) -> None:
        """Waits for all tasks, also for those that they start meanwhile, and cancels what is left after `seconds`."""
        deadline = monotonic() + seconds
        while self._unfinished and (left := deadline - monotonic()) > 0:
            await asyncio.wait(set(self._unfinished), timeout=left)
        await cancel_all(self._unfinished)


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
    """Cancels `tasks` and returns when all of them have ended.

    It cancels repeatedly, because a driver may take a cancellation for an error of its connection and go on.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.5)
