"""Work queues on Redis streams."""

import json
from collections.abc import Collection, Sequence
from time import time

from redis.asyncio import Redis

from domains.pomodoro.model import DeadLetterKind
from domains.workQueue.model import Job, NewJob, QueueFigures
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import WORKERS, WorkQueueKeys
from infrastructure.redis.stream_figures import RedisStreamFigures

_REMEMBER_RUN_SECONDS = 7 * 86_400
_AT_ONCE = 1000
"""Jobs that one call adds."""
_GONE_AFTER = 10
"""A worker that holds nothing is forgotten when it has been silent for so many times `claim_idle_ms`."""
_HELD = ""


class RedisWorkQueue:
    """WorkQueuePort of one worker, whose name is its own. Jobs that are idle for `claim_idle_ms` are claimed.

    A job that failed stays pending, with an idle time such that it is claimed when its delay is over: so what is not
    done is always what the group has not been given or has not acknowledged.
    """

    def __init__(
        self, client: Redis, keys: WorkQueueKeys, worker: str, claim_idle_ms: int, dead_letters_max: int
    ) -> None:
        self.name = keys.stream
        self._client = client
        self._keys = keys
        self._worker = worker
        self._claim_idle_ms = claim_idle_ms
        self._dead_letters_max = dead_letters_max
        self._cursor = "0-0"
        self._figures = RedisStreamFigures(client, [keys], WORKERS)
        self._add = client.register_script(scripts.ADD_JOBS)
        self._take = client.register_script(scripts.TAKE_JOBS)
        self._finish_job = client.register_script(scripts.FINISH_JOB)
        self._retry = client.register_script(scripts.RETRY_JOB)
        self._keep = client.register_script(scripts.KEEP_JOBS)
        self._leave = client.register_script(scripts.LEAVE)
        self._tidy = client.register_script(scripts.TIDY)

    @property
    def longest_delay(self) -> float:
        return self._claim_idle_ms / 1000

    async def add(self, jobs: Sequence[NewJob]) -> int:
        added = 0
        for run in dict.fromkeys(job.run for job in jobs):
            flat = [text for job in jobs if job.run == run for text in (job.key, json.dumps(dict(job.data)))]
            for first in range(0, len(flat), 2 * _AT_ONCE):
                some = flat[first : first + 2 * _AT_ONCE]
                call = self._add(keys=self._of_run(run, self._keys.jobs), args=[run, _REMEMBER_RUN_SECONDS, *some])
                added += int(await guarded(self._client, call))
        return added

    async def hold(self, run: str) -> None:
        await guarded(self._client, self._client.sadd(self._keys.run(run), _HELD))
        await guarded(self._client, self._client.expire(self._keys.run(run), _REMEMBER_RUN_SECONDS))

    async def release(self, run: str) -> None:
        await self._finish(Job("", _HELD, run=run))

    async def open_jobs(self, run: str) -> int:
        return int(await guarded(self._client, self._client.scard(self._keys.run(run))))

    async def take(self, limit: int) -> list[Job]:
        arguments: list[str | int] = [WORKERS, self._worker, limit, self._claim_idle_ms, self._cursor]
        call = self._take(keys=[self._keys.stream, self._keys.tries], args=arguments)
        self._cursor, *found = await guarded(self._client, call)
        return [_job(*each) for each in found]

    async def keep(self, jobs: Collection[Job]) -> None:
        if jobs:
            arguments = [WORKERS, self._worker, *(job.id for job in jobs)]
            await guarded(self._client, self._keep(keys=[self._keys.stream], args=arguments))

    async def done(self, job: Job) -> bool:
        return await self._finish(job)

    async def retry(self, job: Job, delay_seconds: float) -> None:
        idle = max(0, self._claim_idle_ms - round(delay_seconds * 1000))
        call = self._retry(keys=[self._keys.stream, self._keys.tries], args=[WORKERS, self._worker, job.id, idle])
        await guarded(self._client, call)

    async def bury(self, job: Job, reason: str) -> bool:
        data = json.dumps(dict(job.data))
        fields = {"key": job.key, "run": job.run, "data": data} | ({"closes": "1"} if job.closes else {})
        letter = {
            "kind": DeadLetterKind.FAILED.value,
            "reason": reason,
            "publicReason": "a job failed at every try",
            "originalId": job.id,
            "deliveryCount": str(job.deliveries),
            "time": repr(time()),
            "truncated": "false",
            "userId": "",
            "fields": json.dumps(fields),
        }
        return await self._finish(job, *(text for pair in letter.items() for text in pair))

    async def tidy(self) -> None:
        keys = [self._keys.stream, self._keys.rebuild]
        call = self._tidy(keys=keys, args=[WORKERS, self._worker, self._claim_idle_ms * _GONE_AFTER, 1])
        await guarded(self._client, call)

    async def leave(self) -> None:
        arguments: list[str | int] = [WORKERS, self._worker, self._claim_idle_ms]
        if await guarded(self._client, self._client.exists(self._keys.stream)):
            await guarded(self._client, self._leave(keys=[self._keys.stream], args=arguments))

    async def figures(self) -> QueueFigures:
        (found,) = await self._figures.streams()
        oldest = max(found.oldest_undelivered_seconds, found.oldest_pending_seconds)
        dead = found.dead_letters
        workers = sum(it.idle_seconds <= self.longest_delay for it in found.instances)
        return QueueFigures(self.name, found.undelivered, found.pending, oldest, dead, workers)

    async def _finish(self, job: Job, *letter: str) -> bool:
        keys = self._of_run(job.run, self._keys.jobs, self._keys.tries, self._keys.dead_letters)
        run = "" if job.closes else job.run
        arguments: list[str | int] = [WORKERS, job.id, job.key, run, self._dead_letters_max, *letter]
        return bool(await guarded(self._client, self._finish_job(keys=keys, args=arguments)))

    def _of_run(self, run: str, *between: str) -> list[str]:
        return [self._keys.stream, *between, self._keys.run(run) if run else self._keys.stream]


def _job(entry_id: str, flat: Sequence[str], tries: int, deliveries: int) -> Job:
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    try:
        data = json.loads(fields.get("data", "{}"))
    except ValueError:
        data = None
    if not isinstance(data, dict):  # somebody else's: it fails where its data are looked for
        data = {}
    return Job(
        entry_id, fields.get("key", ""), data, fields.get("run", ""), int(tries), int(deliveries), "closes" in fields
    )
