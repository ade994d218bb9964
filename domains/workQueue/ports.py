"""What work wants from its queue. All methods raise RedisOutage; all may be cancelled, and are safe to repeat."""

from collections.abc import Collection, Sequence
from typing import Protocol

from domains.kernel.errors import Outage
from domains.workQueue.model import Job, NewJob, QueueFigures


class WorkQueuePort(Protocol):
    """A queue of jobs. Every object is a worker of its own; a job is done by one of them at a time.

    A job may all the same be done twice: its worker was thought dead, or died before it told of the end. What a job
    does must therefore be idempotent.
    """

    name: str

    async def add(self, jobs: Sequence[NewJob]) -> int:
        """Adds the jobs whose keys do not wait already, in their order. Returns how many were added."""

    async def hold(self, run: str) -> None:
        """Begins a run: it does not close, even if all its jobs are done, before `release`."""

    async def release(self, run: str) -> None:
        """Ends the hold: who began the run adds no more. The job that `closes` it comes when the last is done."""

    async def open_jobs(self, run: str) -> int:
        """How many jobs of the run are not done yet, a hold included."""

    async def take(self, limit: int) -> list[Job]:
        """Up to `limit` jobs, at once: those that a dead worker left or that are due again, and then new ones."""

    async def keep(self, jobs: Collection[Job]) -> None:
        """Says that these jobs are still being done, so that nobody takes them for abandoned."""

    async def done(self, job: Job) -> bool:
        """Acknowledges the job; False if somebody else did so before.

        In the same step, the last job of a run adds the job that closes it.
        """

    async def retry(self, job: Job, delay_seconds: float) -> None:
        """Counts a failed try. The job is taken again after the delay, at most `longest_delay`, by any worker."""

    async def bury(self, job: Job, reason: str) -> bool:
        """Makes the job a dead letter and acknowledges it in the same step, as `done` does."""

    async def tidy(self) -> None:
        """Forgets workers that are gone and entries that nobody needs."""

    async def leave(self) -> None:
        """The worker ends: what it holds may be taken at once."""

    async def figures(self) -> QueueFigures: ...

    @property
    def longest_delay(self) -> float:
        """Seconds: a worker that is silent for so long is thought dead."""


class WorkObserver:
    """Gets what happens to jobs, for logs and metrics. A base class; must not raise. `queue` is the queue's name."""

    def job_done(self, queue: str, seconds: float) -> None: ...

    def job_failed(self, queue: str, key: str, cause: Exception, retry_in: float | None) -> None:
        """A try has failed. `retry_in` is in seconds; None: the job has become a dead letter."""

    def queue_seen(self, figures: QueueFigures) -> None:
        """The figures of a queue at this moment."""

    def work_breaker_changed(self, queue: str, is_open: bool, cause: Outage | None) -> None:
        """Jobs cannot be taken or done, because a server is away; or they can again."""
