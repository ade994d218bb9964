"""Work queues in memory."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

from domains.workQueue.model import Job, NewJob, QueueFigures

_HELD = ""


@dataclass
class InMemoryJobs:
    """What the workers of a queue share: jobs by id, and who holds which of them.

    `held` is {job id: (worker, from when on others may take it, by time.monotonic)}.
    """

    name: str = "queue"
    waiting: dict[str, Job] = field(default_factory=dict)
    held: dict[str, tuple[object, float]] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    runs: dict[str, set[str]] = field(default_factory=dict)
    buried: list[tuple[Job, str]] = field(default_factory=list)
    added: int = 0

    def put(self, job: Job) -> None:
        self.added += 1
        job = replace(job, id=f"{self.added}-0")
        self.waiting[job.id] = job


class InMemoryWorkQueue:
    """WorkQueuePort of one worker."""

    def __init__(self, shared: InMemoryJobs, claim_idle_ms: int = 30_000) -> None:
        self.name = shared.name
        self._shared = shared
        self._idle = claim_idle_ms / 1000

    @property
    def longest_delay(self) -> float:
        return self._idle

    async def add(self, jobs: Sequence[NewJob]) -> int:
        shared, before = self._shared, self._shared.added
        for job in jobs:
            known = [*shared.waiting.values(), *shared.jobs.values()]
            if not any(other.key == job.key and not other.closes for other in known):
                shared.put(Job("", job.key, job.data, job.run))
                if job.run:
                    shared.runs.setdefault(job.run, set()).add(job.key)
        return shared.added - before

    async def hold(self, run: str) -> None:
        self._shared.runs.setdefault(run, set()).add(_HELD)

    async def release(self, run: str) -> None:
        self._leave_run(run, _HELD)

    async def open_jobs(self, run: str) -> int:
        return len(self._shared.runs.get(run, ()))

    async def take(self, limit: int) -> list[Job]:
        shared, now = self._shared, monotonic()
        due = [job_id for job_id, (_, until) in shared.held.items() if until <= now][:limit]
        for job_id in due:
            shared.jobs[job_id] = replace(shared.jobs[job_id], deliveries=shared.jobs[job_id].deliveries + 1)
        for job_id in list(shared.waiting)[: limit - len(due)]:
            shared.jobs[job_id] = shared.waiting.pop(job_id)
            due.append(job_id)
        shared.held |= dict.fromkeys(due, (self, now + self._idle))
        return [shared.jobs[job_id] for job_id in due]

    async def keep(self, jobs: Collection[Job]) -> None:
        for job in jobs:
            if self._shared.held.get(job.id, (None,))[0] is self:
                self._shared.held[job.id] = (self, monotonic() + self._idle)

    async def done(self, job: Job) -> bool:
        if self._shared.held.pop(job.id, None) is None:
            return False
        del self._shared.jobs[job.id]
        if not job.closes:
            self._leave_run(job.run, job.key)
        return True

    async def retry(self, job: Job, delay_seconds: float) -> None:
        shared = self._shared
        if shared.held.get(job.id, (None,))[0] is self:
            shared.jobs[job.id] = replace(shared.jobs[job.id], tries=job.tries + 1)
            shared.held[job.id] = (self, monotonic() + min(delay_seconds, self._idle))

    async def bury(self, job: Job, reason: str) -> bool:
        if ended := await self.done(job):
            self._shared.buried.append((job, reason))
        return ended

    async def tidy(self) -> None:
        return

    async def leave(self) -> None:
        held = self._shared.held
        self._shared.held = {job: (who, 0.0 if who is self else until) for job, (who, until) in held.items()}

    async def figures(self) -> QueueFigures:
        shared = self._shared
        workers = len({id(who) for who, _ in shared.held.values()})
        return QueueFigures(self.name, len(shared.waiting), len(shared.held), 0.0, len(shared.buried), workers)

    def _leave_run(self, run: str, key: str) -> None:
        members = self._shared.runs.get(run, set())
        if key in members:
            members.remove(key)
            if not members:
                self._shared.put(Job("", run, run=run, closes=True))
