"""A worker: takes jobs, does several at once, tries again what failed, and ends when told to or when all is done."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from time import monotonic

from domains.kernel.errors import Outage
from domains.kernel.resilience import Breaker, DrainableTaskGroup, cancel_all, pause
from domains.workQueue.model import MAX_DELIVERIES, MAX_TRIES, Job, JobFailed
from domains.workQueue.ports import WorkObserver, WorkQueuePort

_IDLE_SECONDS = 0.2
_TIDY_SECONDS = 10.0
_FIRST_DELAY = 0.5
_DRAIN_SECONDS = 20.0


def backoff(tries: int, first: float = _FIRST_DELAY) -> float:
    """Seconds before the next try, after `tries` have failed: doubling, with jitter."""
    ceiling = first * 2**tries
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, no secret


class Worker:
    """Does the jobs of a queue by `do`, up to `concurrency` of them at once.

    An Outage in `do` is waited out and counts as no failed try; JobFailed buries the job at once; any other error is
    tried again, up to MAX_TRIES tries.
    """

    def __init__(
        self,
        queue: WorkQueuePort,
        do: Callable[[Job], Awaitable[None]],
        observer: WorkObserver,
        concurrency: int,
        first_delay: float = _FIRST_DELAY,
    ) -> None:
        self._queue = queue
        self._do = do
        self._observer = observer
        self._concurrency = concurrency
        self._first_delay = first_delay
        self._in_hand: dict[str, Job] = {}
        self._freed = asyncio.Event()
        self._breaker = Breaker(partial(observer.work_breaker_changed, queue.name))

    async def run(self, stop: asyncio.Event, until_drained: bool | asyncio.Event = False) -> None:
        """Works until `stop` is set, then finishes what it has in hand; what takes too long is left to others.

        With `until_drained`, or once it is set, it also ends when nothing waits and nobody, here or elsewhere, has a
        job in hand.
        """
        beside = [asyncio.create_task(self._look_after(stop), name=f"look after {self._queue.name}")]
        try:
            async with DrainableTaskGroup() as tasks:
                with suppress(Outage):  # once `stop` is set
                    await self._take_jobs(tasks, stop, until_drained)
                await tasks.drain(_DRAIN_SECONDS)
        finally:
            await cancel_all(beside)
        with suppress(Outage):
            await self._queue.leave()

    async def _take_jobs(
        self, tasks: DrainableTaskGroup, stop: asyncio.Event, until_drained: bool | asyncio.Event
    ) -> None:
        while not stop.is_set():
            self._freed.clear()
            if (free := self._concurrency - len(self._in_hand)) <= 0:
                await pause(self._freed, 1.0)
                continue
            all_added = until_drained if isinstance(until_drained, bool) else until_drained.is_set()
            taken = await self._breaker.run(partial(self._queue.take, free), stop)
            jobs = [job for job in taken if job.id not in self._in_hand]  # of a machine that slept: thought abandoned
            for job in jobs:
                self._in_hand[job.id] = job
                tasks.spawn(self._finish(job, stop), f"{self._queue.name} {job.key}")
            if not jobs and self._in_hand:
                await pause(self._freed, _IDLE_SECONDS)
            elif not jobs:
                if all_added and await self._is_drained(stop):
                    return
                await pause(stop, _IDLE_SECONDS)

    async def _is_drained(self, stop: asyncio.Event) -> bool:
        return (await self._breaker.run(self._queue.figures, stop)).drained

    async def _finish(self, job: Job, stop: asyncio.Event) -> None:
        try:
            with suppress(Outage):  # once `stop` is set: the job stays pending
                await self._try(job, stop)
        finally:
            del self._in_hand[job.id]
            self._freed.set()

    async def _try(self, job: Job, stop: asyncio.Event) -> None:
        started = monotonic()
        try:
            if job.deliveries > MAX_DELIVERIES:
                raise JobFailed(f"it was handed out {job.deliveries} times and never came to an end")
            await self._breaker.run(lambda: self._do(job), stop)
        except Outage:
            raise
        except Exception as cause:  # whatever it is, it is this job's, and must not end the others
            await self._failed(job, cause, stop)
        else:
            await self._breaker.run(lambda: self._queue.done(job), stop)
            self._observer.job_done(self._queue.name, monotonic() - started)

    async def _failed(self, job: Job, cause: Exception, stop: asyncio.Event) -> None:
        if isinstance(cause, JobFailed) or job.tries + 1 >= MAX_TRIES:
            reason = str(cause) if isinstance(cause, JobFailed) else f"{type(cause).__name__}: {cause}"
            await self._breaker.run(lambda: self._queue.bury(job, reason), stop)
            self._observer.job_failed(self._queue.name, job.key, cause, None)
            return
        delay = min(backoff(job.tries, self._first_delay), self._queue.longest_delay)
        await self._breaker.run(lambda: self._queue.retry(job, delay), stop)
        self._observer.job_failed(self._queue.name, job.key, cause, delay)

    async def _look_after(self, stop: asyncio.Event) -> None:
        """Keeps what is in hand from being taken for abandoned, and tidies the queue."""
        tidied = 0.0
        while True:
            with suppress(Outage):
                await self._queue.keep(list(self._in_hand.values()))
                if monotonic() - tidied > _TIDY_SECONDS:
                    await self._queue.tidy()
                    tidied = monotonic()
            await asyncio.sleep(self._queue.longest_delay / 4)
