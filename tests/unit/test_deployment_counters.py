"""What a process adds to the counters of the deployment, and what its figures say of a lane's latency."""

import asyncio
from time import time

import pytest
from typing_extensions import override

from domains.kernel.errors import RedisOutage
from domains.operations.counters import LATENCY_BOUNDS, Flush, Resolution, percentile
from domains.operations.model import StreamFigures
from domains.pomodoro.model import DeadLetter
from infrastructure.memory.operations import InMemoryCounters
from infrastructure.observing.deployment_counters import DeploymentCounters
from tests.messages import message
from tests.unit.pipeline_in_memory import Instance, World, until


class Unreliable(InMemoryCounters):
    """Takes a flush and loses its reply, as often as it is told to."""

    lost = 0

    @override
    async def add(self, flush: Flush) -> None:
        await super().add(flush)
        if self.lost:
            self.lost -= 1
            raise RedisOutage("the reply was lost")


async def test_a_lost_reply_doubles_nothing_and_loses_nothing() -> None:
    counters = Unreliable()
    counting = DeploymentCounters(counters)
    counters.lost = 2
    for letters in (2, 3, 4):
        counting.dead_lettered([DeadLetter("1-1", "why", {})] * letters)
        await counting.flush()

    assert (await counters.totals()).counts == {"dead_letters": 9}


async def test_messages_count_by_tier_lane_and_category() -> None:
    counters, world = InMemoryCounters(), World()
    counting = DeploymentCounters(counters)
    world.llm.gate.set()
    world.add(message(duration="1.5"), message(app="Frobnicator", duration="2.5"), message(duration="-1"))
    async with Instance(world, other=counting).running() as task:
        await until(lambda: not world.stream.pending and not world.stream.undelivered, task)
    await counting.flush()

    counts = (await counters.totals()).counts
    assert {name: value for name, value in counts.items() if not name.startswith("lane:")} == {
        "committed": 2, "dead_letters": 1, "tier:app": 1, "tier:llm": 1,
        "category:Development": 1.5, "category:Documentation": 2.5,
    }  # fmt: skip
    for lane in ("fast", "slow"):
        assert counts[f"lane:{lane}:messages"] == counts[f"lane:{lane}:batches"] == 1
        assert percentile(counts, lane, 0.5) is not None


async def test_of_the_backlog_the_most_is_kept_over_all_streams() -> None:
    counters = InMemoryCounters()
    counting = DeploymentCounters(counters)
    for waiting, working, unread, unsettled in ((5, 1, 9.0, 2.0), (2, 4, 3.0, 12.0)):
        counting.backlog_seen([figures(waiting, working, unread, unsettled), figures(1, 1, 0.0, 0.0)])
    await counting.flush()

    (bucket,) = await counters.history(Resolution(3600, 1), time())
    assert bucket.counts == {"peak:waiting": 6, "peak:working": 5, "peak:oldest": 12.0}


def figures(undelivered: int, pending: int, undelivered_seconds: float, pending_seconds: float) -> StreamFigures:
    return StreamFigures("s", 9, undelivered, True, undelivered_seconds, pending, pending_seconds, 0, 0, 0, 0)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_was_counted_last_is_handed_over_at_the_end(cancelled: bool) -> None:
    counters, ended = InMemoryCounters(), asyncio.Event()
    counting = DeploymentCounters(counters)
    running = asyncio.create_task(counting.run(ended))
    await asyncio.sleep(0)
    counting.dead_lettered([DeadLetter("1-1", "why", {})])
    running.cancel() if cancelled else ended.set()
    await asyncio.wait([running])

    assert (await counters.totals()).counts == {"dead_letters": 1}


@pytest.mark.parametrize(
    ("messages_within", "share", "seconds"),
    [
        ({}, 0.5, None),
        ({0.01: 10}, 0.5, 0.0075),
        ({0.01: 10}, 1.0, 0.01),
        ({0.001: 50, 1.0: 50}, 0.5, 0.001),
        ({0.001: 50, 1.0: 50}, 0.95, 0.95),
    ],
)
def test_a_percentile_is_interpolated_within_its_class(
    messages_within: dict[float, int], share: float, seconds: float | None
) -> None:
    assert messages_within.keys() <= set(LATENCY_BOUNDS)
    counts = {f"lane:fast:le:{bound}": float(count) for bound, count in messages_within.items()}

    assert percentile(counts, "fast", share) == (None if seconds is None else pytest.approx(seconds))
    assert percentile(counts, "slow", share) is None
