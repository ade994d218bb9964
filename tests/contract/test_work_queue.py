"""The work queue, in memory and on Redis: every job done, once as far as anybody can tell."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from domains.kernel.errors import StoreOutage
from domains.operations.model import Entry
from domains.workQueue.model import MAX_DELIVERIES, MAX_TRIES, Job, JobFailed, NewJob
from domains.workQueue.ports import WorkObserver, WorkQueuePort
from domains.workQueue.worker import Worker
from infrastructure.memory.work_queue import InMemoryJobs, InMemoryWorkQueue
from infrastructure.redis.dead_letters import RedisDeadLetters
from infrastructure.redis.keys import WorkQueueKeys
from infrastructure.redis.work_queue import RedisWorkQueue
from tests.contract.conftest import RedisSide, _redis_side

MakeQueue = Callable[..., WorkQueuePort]
KEYS = WorkQueueKeys("contract:jobs")


@pytest.fixture(params=["memory", "redis-resp3", "redis-6.2-resp2"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[MakeQueue]:
    """Makes workers' ends of one queue: (name of the worker, milliseconds after which a job is abandoned)."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            jobs = InMemoryJobs()
            yield lambda worker="one", idle_ms=30_000: InMemoryWorkQueue(jobs, idle_ms)
        else:
            side = await _redis_side(request, request.param, stack)
            yield lambda worker="one", idle_ms=30_000: RedisWorkQueue(side.make(), KEYS, worker, idle_ms, 100)


def jobs(*keys: str, run: str = "") -> list[NewJob]:
    return [NewJob(key, {"of": f"{key} 김\udcff"}, run) for key in keys]


async def drained(queue: WorkQueuePort) -> bool:
    return (await queue.figures()).drained


async def test_jobs_come_in_their_order_with_their_data_and_once(make: MakeQueue) -> None:
    one, two = make("one"), make("two")
    assert await one.add(jobs("a", "b", "c")) == 3

    taken, others = await one.take(2), await two.take(5)

    assert [(job.key, job.data, job.tries, job.deliveries) for job in taken] == [
        ("a", {"of": "a 김\udcff"}, 0, 1),
        ("b", {"of": "b 김\udcff"}, 0, 1),
    ]
    assert [job.key for job in others] == ["c"]
    figures = await one.figures()
    assert (figures.lag, figures.pending) == (0, 3)
    assert [await one.done(job) for job in [*taken, *others]] == [True] * 3
    assert not await one.done(taken[0])
    assert await drained(one)


async def test_of_the_jobs_with_one_key_there_is_one_until_it_is_done(make: MakeQueue) -> None:
    queue = make()
    assert await queue.add(jobs("a", "a", "b")) == 2
    (job,) = await queue.take(1)
    assert await queue.add(jobs("a", "b")) == 0
    await queue.done(job)
    assert await queue.add(jobs("a", "b")) == 1


async def test_a_failed_job_comes_again_after_its_delay_with_its_tries(make: MakeQueue) -> None:
    queue, other = make("one"), make("two")
    await queue.add(jobs("a"))
    (job,) = await queue.take(1)

    await queue.retry(job, 30.0)
    assert await other.take(1) == []
    assert (await queue.figures()).pending == 1
    await queue.retry(job, 0.0)

    (again,) = await make("three", 0).take(1)
    assert (again.key, again.tries, again.deliveries) == ("a", 1 if again.tries == 1 else 2, 2)


async def test_a_dead_worker_loses_its_job_and_cannot_delay_it_afterwards(make: MakeQueue) -> None:
    dead, heir = make("dead", 0), make("heir", 0)
    await dead.add(jobs("a"))
    (job,) = await dead.take(1)
    (claimed,) = await heir.take(1)

    await dead.retry(job, 30.0)
    await dead.keep([job])

    assert (claimed.key, claimed.tries, claimed.deliveries) == ("a", 0, 2)
    assert await heir.done(claimed)
    assert not await dead.done(job)


async def test_what_is_kept_is_not_abandoned(make: MakeQueue) -> None:
    queue, other = make("one", 1500), make("two", 1500)
    await queue.add(jobs("a"))
    held = await queue.take(1)
    for _ in range(3):
        await asyncio.sleep(0.6)
        await queue.keep(held)
        assert await other.take(1) == []


async def test_who_leaves_leaves_its_jobs_to_others_at_once(make: MakeQueue) -> None:
    queue, other = make("one"), make("two")
    await queue.add(jobs("a"))
    await queue.take(1)
    await queue.leave()
    assert [job.key for job in await other.take(1)] == ["a"]


async def test_the_last_job_of_a_run_adds_the_one_that_closes_it(make: MakeQueue) -> None:
    queue = make()
    await queue.hold("r1")
    await queue.add([*jobs("a", "b", run="r1"), *jobs("c", run="r2")])
    first, second, third = await queue.take(3)
    await queue.done(first)
    await queue.done(second)
    assert await queue.open_jobs("r1") == 1
    assert await queue.take(1) == []

    await queue.release("r1")
    await queue.release("r1")

    (closing,) = await queue.take(5)
    assert (closing.closes, closing.run) == (True, "r1")
    assert await queue.done(closing)
    assert await queue.bury(third, "no")
    (closing,) = await queue.take(5)
    assert (closing.closes, closing.run) == (True, "r2")
    await queue.done(closing)
    assert await drained(queue)


async def test_a_run_without_jobs_closes_too(make: MakeQueue) -> None:
    queue = make()
    await queue.hold("r1")
    await queue.release("r1")
    assert [job.closes for job in await queue.take(5)] == [True]


# The worker


class Told(WorkObserver):
    def __init__(self) -> None:
        self.failures: list[tuple[str, bool]] = []

    def job_failed(self, queue: str, key: str, cause: Exception, retry_in: float | None) -> None:
        self.failures.append((key, retry_in is not None))


async def test_a_worker_does_everything_and_ends_when_all_is_drained(make: MakeQueue) -> None:
    queue, done, told = make("one"), list[str](), Told()
    await queue.add(jobs("good", "bad", "hopeless", "flaky"))

    async def do(job: Job) -> None:
        done.append(job.key)
        if job.key == "bad" or (job.key == "flaky" and job.tries == 0):
            raise ValueError("이유")
        if job.key == "hopeless":
            raise JobFailed("never")

    await Worker(queue, do, told, concurrency=2, first_delay=0.02).run(asyncio.Event(), until_drained=True)

    assert sorted(done) == ["bad"] * MAX_TRIES + ["flaky"] * 2 + ["good", "hopeless"]
    assert sorted(told.failures) == [
        ("bad", False),
        ("bad", True),
        ("bad", True),
        ("flaky", True),
        ("hopeless", False),
    ]
    figures = await queue.figures()
    assert (figures.lag, figures.pending, figures.dead_letters) == (0, 0, 2)


async def test_an_outage_counts_as_no_try(make: MakeQueue) -> None:
    queue, told, outages = make(), Told(), [StoreOutage("away")] * (MAX_TRIES + 1)
    await queue.add(jobs("a"))

    async def do(job: Job) -> None:
        if outages:
            raise outages.pop()

    worker = Worker(queue, do, told, concurrency=1)
    worker._breaker._longest_delay = 0.01
    await worker.run(asyncio.Event(), until_drained=True)

    assert (outages, told.failures) == ([], [])


async def test_a_job_that_kills_its_workers_becomes_a_dead_letter(make: MakeQueue) -> None:
    killed = make("killed", 0)
    await killed.add(jobs("a"))
    for _ in range(MAX_DELIVERIES):
        await killed.take(1)
    told = Told()

    async def do(job: Job) -> None:
        raise AssertionError("it is not handed out again")

    queue = make("one", 50)
    await asyncio.sleep(0.06)
    await Worker(queue, do, told, concurrency=1).run(asyncio.Event(), until_drained=True)

    assert told.failures == [("a", False)]


async def test_a_worker_that_has_slept_does_the_job_in_its_hand_once(
    make: MakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, done, taken = make("one", 0), list[str](), list[str]()
    await queue.add(jobs("a"))
    take = queue.take

    async def taking(limit: int) -> list[Job]:
        found = await take(limit)
        taken.extend(job.key for job in found)
        return found

    async def do(job: Job) -> None:
        async with asyncio.timeout(30):
            while len(taken) < 2:  # until it is thought abandoned, by ourselves
                await asyncio.sleep(0.001)
        done.append(job.key)

    monkeypatch.setattr(queue, "take", taking)
    await Worker(queue, do, WorkObserver(), concurrency=2).run(asyncio.Event(), until_drained=True)

    assert done == ["a"]


async def test_a_stopped_worker_ends_what_it_has_in_hand(make: MakeQueue) -> None:
    queue, stop, begun, done = make(), asyncio.Event(), asyncio.Event(), list[str]()
    await queue.add(jobs("a", "b"))

    async def do(job: Job) -> None:
        begun.set()
        await stop.wait()
        done.append(job.key)

    running = asyncio.create_task(Worker(queue, do, WorkObserver(), concurrency=1).run(stop))
    await begun.wait()
    stop.set()
    await running

    figures = await queue.figures()
    assert (done, figures.lag, figures.pending) == (["a"], 1, 0)


# On Redis


async def test_dead_letters_are_those_of_the_pipeline_and_are_replayed_as_they_are(redis_side: RedisSide) -> None:
    queue = RedisWorkQueue(redis_side.make(), KEYS, "one", 30_000, 100)
    letters = RedisDeadLetters(redis_side.make(), [KEYS], "a group of other streams")
    await queue.add(jobs("a"))
    (job,) = await queue.take(1)
    await queue.bury(job, "ValueError: 이유")

    (letter,) = [letter async for letter in letters.all()]
    assert (letter.reason, letter.original_id, letter.deliveries) == ("ValueError: 이유", job.id, 1)
    replayed = Entry(letter.stream, str(await letters.replay(letter)))

    (again,) = await queue.take(1)
    assert (again.key, again.data) == (job.key, job.data)
    assert await letters.outcomes([replayed]) == {}
    assert await queue.done(again)
    assert await letters.outcomes([replayed]) == {replayed: None}


async def test_a_group_that_is_gone_is_made_anew(redis_side: RedisSide) -> None:
    queue = RedisWorkQueue(redis_side.make(), KEYS, "one", 30_000, 100)
    await queue.add(jobs("a"))
    (job,) = await queue.take(1)
    redis_side.client.flushall()

    assert not await queue.done(job)
    await queue.add(jobs("b"))
    assert [found.key for found in await queue.take(5)] == ["b"]


async def test_lag_is_that_of_the_server_after_tidying(redis_side: RedisSide) -> None:
    queue = RedisWorkQueue(redis_side.make(), KEYS, "one", 30_000, 100)
    await queue.add(jobs(*"abcde"))
    for job in await queue.take(3):
        await queue.done(job)
    await queue.tidy()

    figures = await queue.figures()
    assert (figures.lag, figures.pending, figures.workers) == (2, 0, 1)
    assert redis_side.client.xlen(KEYS.stream) == 3  # the last one that was delivered stays


async def test_a_worker_that_is_silent_for_too_long_is_not_counted(redis_side: RedisSide) -> None:
    one = RedisWorkQueue(redis_side.make(), KEYS, "one", 30_000, 100)
    hasty = RedisWorkQueue(redis_side.make(), KEYS, "hasty", 1, 100)
    await one.take(1)
    await one.tidy()

    assert (await one.figures()).workers == 1, "though there was nothing to take"
    while (await hasty.figures()).workers:
        await asyncio.sleep(0.001)
