"""How much is under way at once, how large the bites are, and what happens while nothing works."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from domains.kernel.errors import Outage, RedisOutage, StoreOutage, StoreRefused
from domains.kernel.resilience import Breaker, DrainableTaskGroup
from domains.pomodoro.capacity import AdaptiveBatch, InFlight

# InFlight


async def test_one_message_larger_than_all_that_may_be_in_flight_is_no_end() -> None:
    in_flight = InFlight(10, 1000)
    in_flight.enter({"large": 50_000})
    assert in_flight.free <= 0

    in_flight.leave(["large"])
    assert await asyncio.wait_for(in_flight.room(), 60) == 1


async def test_room_is_what_is_left() -> None:
    in_flight = InFlight(3, 1000)
    in_flight.enter({"1-0": 10, "2-0": 10})

    assert in_flight.free == 1
    assert await in_flight.room() == 1


async def test_who_was_never_in_flight_can_leave() -> None:
    in_flight = InFlight(3, 1000)
    in_flight.enter({"1-0": 10})

    in_flight.leave(["1-0", "1-0", "unknown"])
    assert in_flight.free == 3


async def test_who_finds_no_room_waits_until_there_is_some() -> None:
    in_flight = InFlight(2, 1000)
    in_flight.enter({"1-0": 1, "2-0": 1, "3-0": 1})  # a claim may overshoot
    waiting = asyncio.create_task(in_flight.room())
    await _settle()
    assert not waiting.done()

    in_flight.leave(["1-0"])
    await _settle()
    assert not waiting.done(), "two are still in flight, as many as may be"

    in_flight.leave(["2-0"])
    assert await waiting == 1


async def test_room_is_bounded_in_bytes_by_what_messages_were_like() -> None:
    in_flight = InFlight(100, 1000)
    in_flight.enter({"1-0": 300, "2-0": 100})
    assert in_flight.free == 3  # 600 bytes, and 200 for each

    in_flight.enter({"3-0": 700})
    waiting = asyncio.create_task(in_flight.room())
    await _settle()
    assert not waiting.done()

    in_flight.leave(["1-0", "2-0", "3-0"])
    assert await waiting == 1  # 1000 bytes, and 700 for each
    assert in_flight.bytes == 0


def test_a_read_brings_some_mebibytes_at_the_most() -> None:
    in_flight = InFlight(10_000, 2**30, largest_bytes=2**18)
    assert in_flight.free == 16, "as if all were as large as they may be"

    for _ in range(20):
        in_flight.enter({"1-0": 500})
        in_flight.leave(["1-0"])
    assert in_flight.free > 8000

    in_flight.enter({"2-0": 2**20})
    assert in_flight.free == 4, "after a large one, fewer at once"


# AdaptiveBatch


def test_full_reads_double_the_size_up_to_the_largest() -> None:
    batch = AdaptiveBatch(50, 300)
    sizes = []
    for _ in range(5):
        batch.read(batch.size, batch.size)
        sizes.append(batch.size)

    assert sizes == [100, 200, 300, 300, 300]


def test_a_read_that_is_not_full_goes_back_to_the_least() -> None:
    batch = AdaptiveBatch(50, 300)
    batch.read(50, 50)
    batch.read(100, 99)

    assert batch.size == 50


def test_a_full_read_that_lack_of_room_had_made_small_says_nothing() -> None:
    batch = AdaptiveBatch(50, 300)
    batch.read(50, 50)
    batch.read(10, 10)

    assert batch.size == 100


def test_the_largest_is_never_below_the_smallest() -> None:
    batch = AdaptiveBatch(50, 10)
    batch.read(50, 50)

    assert batch.size == 50


# Breaker


class Service:
    """Works or not, as told, and knows how many calls there are at once."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls = self.now = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def call(self) -> str:
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if self.error is not None:
                raise self.error
            return "answer"
        finally:
            self.now -= 1


class Changes(list[tuple[bool, Outage | None]]):
    def __call__(self, is_open: bool, cause: Outage | None) -> None:
        self.append((is_open, cause))


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def breaker(changes: Changes) -> Breaker:
    return Breaker(changes, first_delay=0.001, longest_delay=0.004)


async def test_a_call_that_works_passes(breaker: Breaker, changes: Changes) -> None:
    assert await breaker.run(Service().call) == "answer"
    assert not breaker.is_open
    assert changes == []


async def test_an_outage_opens_it_once_and_an_answer_closes_it(breaker: Breaker, changes: Changes) -> None:
    service = Service()
    service.error = cause = StoreOutage("away")
    waiting = asyncio.create_task(breaker.run(service.call))
    await _until(lambda: service.calls > 3)
    assert breaker.is_open
    assert changes == [(True, cause)]

    service.error = None
    assert await waiting == "answer"
    assert not breaker.is_open
    assert changes == [(True, cause), (False, None)]


async def test_another_error_passes_and_opens_nothing(breaker: Breaker, changes: Changes) -> None:
    service = Service()
    service.error = StoreRefused("bad data")

    with pytest.raises(StoreRefused):
        await breaker.run(service.call)
    assert service.calls == 1
    assert changes == []


async def test_another_error_is_an_answer_and_closes_it(breaker: Breaker, changes: Changes) -> None:
    service = Service()
    service.error = RedisOutage("away")
    waiting = asyncio.create_task(breaker.run(service.call))
    await _until(lambda: breaker.is_open)

    service.error = StoreRefused("bad data")
    with pytest.raises(StoreRefused):
        await waiting
    assert not breaker.is_open
    assert [is_open for is_open, _ in changes] == [True, False]


async def test_one_at_a_time_asks_whether_it_is_over(breaker: Breaker) -> None:
    service = Service()
    service.error = StoreOutage("away")
    waiting = [asyncio.create_task(breaker.run(service.call)) for _ in range(20)]
    await _until(lambda: breaker.is_open and service.now <= 1)
    service.most = 0
    before = service.calls
    await _until(lambda: service.calls > before + 5)
    assert service.most == 1

    service.error = None
    assert await asyncio.gather(*waiting) == ["answer"] * 20


async def test_those_who_waited_out_an_outage_then_work_side_by_side(breaker: Breaker) -> None:
    """Else a slow call of one of them would hold up all the others: the fast lane would wait for the slow one."""
    service = Service()
    service.error = StoreOutage("away")
    waiting = [asyncio.create_task(breaker.run(service.call)) for _ in range(3)]
    await _until(lambda: breaker.is_open and service.calls > 3)
    service.error = None
    await _until(lambda: not breaker.is_open)
    service.gate.clear()
    late = [asyncio.create_task(breaker.run(service.call)) for _ in range(2)]
    try:
        await _until(lambda: service.now + sum(task.done() for task in waiting) == 5)
    finally:
        service.gate.set()
    assert await asyncio.gather(*waiting, *late) == ["answer"] * 5


async def test_who_is_told_to_stop_gets_the_outage(breaker: Breaker) -> None:
    service, stop = Service(), asyncio.Event()
    service.error = StoreOutage("away")
    calling = asyncio.create_task(breaker.run(service.call, stop))
    await _until(lambda: breaker.is_open)
    await _settle()
    assert not calling.done()

    stop.set()
    with pytest.raises(StoreOutage):
        await calling


async def test_who_gives_up_does_not_hold_up_the_others(breaker: Breaker) -> None:
    service = Service()
    service.error = StoreOutage("away")
    tasks = [asyncio.create_task(breaker.run(service.call)) for _ in range(3)]
    await _until(lambda: breaker.is_open)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]

    service.error = None
    assert await asyncio.gather(*tasks[1:]) == ["answer"] * 2


async def test_probes_back_off_with_jitter_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    service = Service()
    service.error = StoreOutage("away")

    async def sleep(seconds: float) -> None:
        delays.append(seconds)
        if len(delays) == 12:
            service.error = None

    breaker = Breaker(Changes(), first_delay=0.1, longest_delay=5.0)
    monkeypatch.setattr(service, "call", _without_sleep(service))
    monkeypatch.setattr("domains.pomodoro.capacity.asyncio.sleep", sleep)
    await breaker.run(service.call)

    ceilings = [min(5.0, 0.1 * 2**i) for i in range(12)]
    assert all(low / 2 <= delay <= low for delay, low in zip(delays, ceilings, strict=True)), delays
    assert len(set(delays)) > 6


def _without_sleep(service: Service) -> Callable[[], Awaitable[str]]:
    async def call() -> str:
        if service.error is not None:
            raise service.error
        return "answer"

    return call


# Draining


async def test_a_drain_waits_also_for_the_tasks_that_tasks_start() -> None:
    done: list[str] = []
    async with DrainableTaskGroup() as group:

        async def child() -> None:
            await asyncio.sleep(0)
            done.append("child")

        async def parent() -> None:
            await asyncio.sleep(0)
            group.spawn(child(), "child")
            done.append("parent")

        group.spawn(parent(), "parent")
        await group.drain(10)
        assert done == ["parent", "child"]


async def test_a_drain_ends_what_is_late_before_it_returns() -> None:
    ended = asyncio.Event()

    async def late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    async with DrainableTaskGroup() as group:
        group.spawn(late(), "late")
        await group.drain(0.01)
        assert ended.is_set()


async def _settle() -> None:
    """Lets every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)
