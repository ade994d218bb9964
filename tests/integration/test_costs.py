"""What a message may cost, in counts: they are the same on a busy machine, and a time is not.

The bounds stand about a quarter above what was counted when they were written; who makes the hot path cheaper may
lower them. The messages are the benchmark's, and so is the MongoDB server, which acknowledges and keeps nothing.
"""

import asyncio
import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from bench.processes import module
from bench.workload import Workload, fill_stream
from infrastructure.composition.container import Container, running_container
from infrastructure.settings import Settings
from tests.integration.conftest import DEADLINE
from tests.integration.counting_proxy import CountingProxy, counting_proxy, mongo_commands, redis_commands
from tests.servers import RedisServer

BATCH = 1000

REQUESTS = 8  # on the wire, a batch of 1,000: read, look up, two inserts, two updates, commit
COMMANDS_SPREAD = (
    7.3  # Redis commands in a commit, a message: 1,000 users, 3 or 6 boards each, one message in 10 ends
)
COMMANDS_GATHERED = 2.0  # the same, where all messages of a batch raise the same few scores
CALLS = {"linked": 105, "unlinked": 130}  # of functions, Python's and C's, a message, in the event loop's thread
PEAK_BYTES = 4_000  # of Python objects, a message, while its batch is worked on
BLOCKS_LEFT = 0.05  # allocated and not given back, a message

CONNECTING = ("HELLO", "CLIENT")


@pytest.fixture(scope="module")
def mongo_port() -> Iterator[int]:
    with module("bench.mongo_stand_in") as (port, _):
        yield port


@pytest.fixture
def deployed(settings: Settings, mongo_port: int) -> Settings:
    """The deployed defaults, but large batches from the start: how they grow is not what is counted."""
    return settings.model_copy(
        update={
            "mongo_uri": Settings(mongo_uri=f"mongodb://127.0.0.1:{mongo_port}").mongo_uri,
            "batch_size": BATCH,
            "batch_max": BATCH,
            "block_ms": 2000,
            "claim_idle_ms": 30_000,
        }
    )


class Batches:
    """Batches of the benchmark's messages, one after the other, through a container that reads `server`."""

    def __init__(self, container: Container, server: RedisServer) -> None:
        self._container = container
        self._server = server

    async def prepare(self, workload: Workload, batches: int) -> None:
        fill_stream(self._server.port, workload, batches * BATCH)
        await self._container.classifier().load()
        await self._container.partition().source().ensure_group()

    async def process(self, batches: int = 1) -> None:
        for _ in range(batches):
            batch = await self._container.partition().source().read_new(BATCH, block_ms=5000)
            assert len(batch.messages) == BATCH, "all of them in one batch, none rejected"
            await self._container.partition().consumer().process_batch_messages(batch)

    def commands(self) -> Counter[str]:
        """The commands that Redis has executed since `reset`, those of scripts included."""
        with self._server.client() as client:
            statistics: Any = client.info("commandstats")
        return Counter({name.removeprefix("cmdstat_"): int(found["calls"]) for name, found in statistics.items()})

    def reset(self) -> None:
        with self._server.client() as client:
            client.config_resetstat()


@pytest.fixture
async def batches(deployed: Settings, redis_server: RedisServer) -> AsyncIterator[Batches]:
    async with running_container(deployed) as container:
        yield Batches(container, redis_server)


@pytest.fixture
def wire(deployed: Settings, mongo_port: int) -> Iterator[tuple[Settings, CountingProxy, CountingProxy]]:
    """Settings that lead through proxies which count, and these."""
    assert deployed.redis_addr is not None
    host, _, port = deployed.redis_addr.rpartition(":")
    with (
        counting_proxy(host, int(port), redis_commands) as redis,
        counting_proxy("127.0.0.1", mongo_port, mongo_commands) as mongo,
    ):
        mongo_uri = Settings(mongo_uri=f"mongodb://{mongo.address}").mongo_uri
        yield deployed.model_copy(update={"redis_addr": redis.address, "mongo_uri": mongo_uri}), redis, mongo


async def test_a_batch_costs_at_most_eight_requests(
    wire: tuple[Settings, CountingProxy, CountingProxy], redis_server: RedisServer
) -> None:
    settings, redis, mongo = wire
    async with running_container(settings) as container:
        batches = Batches(container, redis_server)
        await batches.prepare(Workload("mixed", "random"), 2)
        await batches.process()  # makes the connections, the index and the script
        redis.counted()
        mongo.counted()

        await batches.process()

        cost = redis.counted() + mongo.counted()
    assert cost.total() <= REQUESTS, cost


async def test_a_whole_backlog_costs_at_most_eight_requests_per_thousand_messages(
    wire: tuple[Settings, CountingProxy, CountingProxy], redis_server: RedisServer
) -> None:
    """With start and housekeeping, and nothing but the consumer's own loop to drive it; connecting is not counted."""
    settings, redis, mongo = wire
    messages = 10 * BATCH
    fill_stream(redis_server.port, Workload("linked", "random"), messages)
    async with running_container(settings) as container:
        stop = asyncio.Event()
        running = asyncio.create_task(container.partition().consumer().run(stop))
        with redis_server.client() as client:
            await _until_committed(client, settings)
        cost = redis.counted() + mongo.counted()
        cost -= Counter({name: cost[name] for name in CONNECTING})
        stop.set()
        assert await asyncio.wait_for(running, DEADLINE) == 0

    assert cost.total() / messages * 1000 <= REQUESTS, cost


@pytest.mark.parametrize(
    ("workload", "bound"),
    [
        pytest.param(Workload("linked", "random"), COMMANDS_SPREAD, id="spread"),
        pytest.param(Workload("linked", "random", users=5, windows=1), COMMANDS_GATHERED, id="gathered"),
    ],
)
async def test_a_commit_executes_few_commands_a_message(batches: Batches, workload: Workload, bound: float) -> None:
    await batches.prepare(workload, 2)
    await batches.process()
    batches.reset()

    await batches.process()

    executed = batches.commands()
    assert executed["xack"] <= BATCH + 1  # which asks whether it is allowed
    assert executed.total() / BATCH <= bound, executed


@pytest.mark.parametrize("kind", ["linked", "unlinked"])
async def test_a_message_costs_few_function_calls(batches: Batches, kind: Any) -> None:
    await batches.prepare(Workload(kind, "random", windows=200), 4)
    await batches.process(3)  # fills the caches of windows, days and boards

    with _counted_calls() as calls:
        await batches.process()

    assert calls.total() / BATCH <= CALLS[kind], calls.most_common(20)


@pytest.mark.parametrize("kind", ["linked", "unlinked"])
async def test_a_batch_needs_little_memory_and_leaves_none(batches: Batches, kind: Any) -> None:
    await batches.prepare(Workload(kind, "random", windows=200), 12)
    await batches.process(3)

    gc.collect()
    before = sys.getallocatedblocks()
    await batches.process(8)
    gc.collect()
    left = sys.getallocatedblocks() - before
    tracemalloc.start()
    try:
        await batches.process()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert left / (8 * BATCH) <= BLOCKS_LEFT
    assert peak / BATCH <= PEAK_BYTES


async def _until_committed(client: Any, settings: Settings) -> None:
    last = client.xinfo_stream(settings.stream_key)["last-generated-id"]
    async with asyncio.timeout(DEADLINE):
        while True:
            for group in client.xinfo_groups(settings.stream_key):
                if group["last-delivered-id"] == last and group["pending"] == 0:
                    return
            await asyncio.sleep(0.005)


@contextmanager
def _counted_calls() -> Iterator[Counter[str]]:
    """Every function called in this thread meanwhile, by name."""
    counted: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            counted[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            counted[argument.__qualname__] += 1

    sys.setprofile(count)
    try:
        yield counted
    finally:
        sys.setprofile(None)
