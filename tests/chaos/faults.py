"""The faults, and the schedule that a seed determines.

Each fault repairs what it broke, and may overlap with others.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Collection
from random import Random
from typing import NamedTuple

from tests.chaos import stream
from tests.chaos.llm import Trouble
from tests.chaos.model import local_day
from tests.chaos.proxy import FaultyProxy
from tests.chaos.workload import EDGES
from tests.chaos.world import TERM_SECONDS, World
from tests.chaos.write_faults import NO_MAJORITY, NOT_PRIMARY

Cause = Callable[[World, Random], Awaitable[None]]


class Planned(NamedTuple):
    at: float
    name: str
    seed: int


async def kill_instance(world: World, rng: Random) -> None:
    """kill -9, and later a successor under the same name or, as in most deployments, under another one."""
    instance = rng.choice(world.instances)
    async with instance.lock:
        await instance.kill()
        await asyncio.sleep(rng.choice((0, rng.uniform(0, 1.5))))
        instance.start(None if rng.random() < 0.5 else f"{instance.name}-{rng.getrandbits(32)}")


async def terminate_instance(world: World, rng: Random) -> None:
    instance = rng.choice(world.instances)
    async with instance.lock:
        await instance.terminate(TERM_SECONDS)
        await asyncio.sleep(rng.choice((0, rng.uniform(0, 0.5))))
        instance.start(None if rng.random() < 0.5 else f"{instance.name}-{rng.getrandbits(32)}")


async def pause_instance(world: World, rng: Random) -> None:
    """Stops an instance until others have taken over its messages; then it continues as if nothing had happened."""
    instance = rng.choice(world.instances)
    async with instance.lock:
        instance.pause()
        try:
            await asyncio.sleep(rng.uniform(0.3, 3))
        finally:
            instance.resume()


async def twin_instance(world: World, rng: Random) -> None:
    """Starts a second process with the name of a running instance, or with a name of its own."""
    twin = world.make_instance(f"twin{len(world.extras)}")
    world.extras.append(twin)
    async with twin.lock:
        twin.start(rng.choice((rng.choice(world.instances).name, None)))
        await asyncio.sleep(rng.uniform(1.5, 4))
        if rng.random() < 0.5:
            await twin.kill()
        else:
            await twin.terminate(TERM_SECONDS)


async def foreign_consumer(world: World, rng: Random) -> None:
    keys = world.any_of(world.streams, rng)
    await stream.read_and_die(world.client, keys.stream, f"foreign-{rng.getrandbits(16)}", rng.choice((1, 10, 100)))


async def redis_crash(world: World, rng: Random) -> None:
    await world.any_of(world.nodes, rng).restart(kill=True, seconds=rng.choice((0, rng.uniform(0, 1.5))))


async def redis_restart(world: World, rng: Random) -> None:
    await world.any_of(world.nodes, rng).restart(kill=False, seconds=rng.uniform(0, 0.5))


async def scripts_flushed(world: World, rng: Random) -> None:
    with contextlib.suppress(*stream.ERRORS):
        await world.any_of(world.nodes, rng).client.script_flush()


async def redis_paused(world: World, rng: Random) -> None:
    await world.any_of(world.nodes, rng).pause(rng.uniform(0.2, 3))


async def redis_read_only(world: World, rng: Random) -> None:
    """A failover as clients of the old master see it: it becomes a replica, and then a master again.

    Nodes of a cluster refuse REPLICAOF. There, a master is told to require replicas that it does not have before it
    writes.
    """
    node, seconds = world.any_of(world.nodes, rng), rng.uniform(0.2, 2)
    if world.clustered:
        setting = ("CONFIG", "SET", "min-replicas-to-write")
        await node.lame((*setting, "1"), (*setting, "0"), seconds)
    else:
        await node.lame(("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), seconds)


async def redis_out_of_memory(world: World, rng: Random) -> None:
    setting = ("CONFIG", "SET", "maxmemory")
    await world.any_of(world.nodes, rng).lame((*setting, "1"), (*setting, "0"), rng.uniform(0.2, 2))


async def replay(world: World, rng: Random) -> None:
    with contextlib.suppress(TimeoutError):
        done = await world.dead_letters("replay", "--all")
        world.replays += 1
        world.report.happened(f"replay: {done or 'failed'}")


async def rebuild(world: World, rng: Random) -> None:
    """Rebuilds boards, for one period of the workload or for all three of a day.

    Whether the rebuild completes depends on the other faults.
    """
    for _ in range(rng.choice((1, 1, 3))):
        params = {"date": str(local_day(rng.choice(EDGES)))}
        if period := rng.choice(("day", "week", "month", "")):
            params["period"] = period
        command = json.dumps(
            {"task_type": "rebuild_leaderboard", "params": {**params, "force": True}, "id": rng.getrandbits(32)}
        )
        with contextlib.suppress(*stream.ERRORS):
            await world.client.rpush(stream.COMMANDS, command)


async def refused_writes(world: World, rng: Random) -> None:
    await world.store.refuse(True)
    await asyncio.sleep(rng.uniform(1, 4))
    await world.store.refuse(False)


async def store_failover(world: World, rng: Random) -> None:
    """Answers writes with an error for which only the server is responsible."""
    await world.store.fail_writes(rng.choice((NOT_PRIMARY, NO_MAJORITY)))
    await asyncio.sleep(rng.uniform(0.3, 3))
    await world.store.fail_writes(None)


async def llm_fails(world: World, rng: Random, trouble: Trouble) -> None:
    if world.llm is not None:
        world.llm.fall_ill(trouble)
        await asyncio.sleep(rng.uniform(0.5, 4))
        world.llm.recover()


async def llm_back_without_store(world: World, rng: Random) -> None:
    """The LLM recovers, so that deferred messages can be reclassified, just when nothing can be written."""
    if world.llm is not None:
        world.llm.fall_ill(rng.choice(("errors", "hangs")))
        await asyncio.sleep(rng.uniform(1, 2.5))
        await world.store.fail_writes(NOT_PRIMARY)
        world.llm.recover()
        await asyncio.sleep(rng.uniform(1.5, 3))
        await world.store.fail_writes(None)


async def lease_lost(world: World, rng: Random) -> None:
    """Several instances reclassify at once, as if each took the others for dead."""
    until = asyncio.get_running_loop().time() + rng.uniform(2, 6)
    while asyncio.get_running_loop().time() < until:
        with contextlib.suppress(*stream.ERRORS):
            await world.end_leases()
        await asyncio.sleep(0.02)


def cut(proxy: FaultyProxy) -> Awaitable[None]:
    async def work() -> None:
        proxy.cut()

    return work()


async def stall(proxy: FaultyProxy, rng: Random) -> None:
    proxy.stall()
    await asyncio.sleep(rng.choice((rng.uniform(0.1, 1), rng.uniform(1, 4))))
    if rng.random() < 0.3:
        proxy.cut()
    proxy.resume()


async def slow(proxy: FaultyProxy, rng: Random) -> None:
    proxy.delay = rng.uniform(0.005, 0.2)
    await asyncio.sleep(rng.uniform(0.5, 2))
    proxy.delay = 0.0


async def away(proxy: FaultyProxy, rng: Random) -> None:
    proxy.refuse = True
    proxy.cut()
    await asyncio.sleep(rng.uniform(0.3, 4))
    proxy.refuse = False


async def drops(proxy: FaultyProxy, rng: Random) -> None:
    proxy.mute = rng.random() < 0.2
    proxy.drop_every = rng.choice((2, 5, 50))
    await asyncio.sleep(rng.uniform(1, 4))
    proxy.drop_every, proxy.mute = 0, False


FAULTS: dict[str, tuple[int, Cause]] = {
    "kill instance": (6, kill_instance),
    "terminate instance": (3, terminate_instance),
    "pause instance": (3, pause_instance),
    "twin instance": (2, twin_instance),
    "foreign consumer": (3, foreign_consumer),
    "redis crash": (2, redis_crash),
    "redis restart": (1, redis_restart),
    "redis paused": (1, redis_paused),
    "redis read-only": (1, redis_read_only),
    "redis out of memory": (1, redis_out_of_memory),
    "redis scripts flushed": (1, scripts_flushed),
    "redis cut": (2, lambda world, rng: cut(world.any_of(world.nodes, rng).proxy)),
    "redis stall": (2, lambda world, rng: stall(world.any_of(world.nodes, rng).proxy, rng)),
    "redis slow": (1, lambda world, rng: slow(world.any_of(world.nodes, rng).proxy, rng)),
    "redis away": (1, lambda world, rng: away(world.any_of(world.nodes, rng).proxy, rng)),
    "redis drops replies": (3, lambda world, rng: drops(world.any_of(world.nodes, rng).proxy, rng)),
    "store cut": (2, lambda world, rng: cut(world.store_proxy)),
    "store stall": (2, lambda world, rng: stall(world.store_proxy, rng)),
    "store slow": (1, lambda world, rng: slow(world.store_proxy, rng)),
    "store away": (2, lambda world, rng: away(world.store_proxy, rng)),
    "store drops replies": (2, lambda world, rng: drops(world.store_proxy, rng)),
    "store failover": (2, store_failover),
    "store refuses writes": (2, refused_writes),
    "llm errors": (3, lambda world, rng: llm_fails(world, rng, "errors")),
    "llm busy": (2, lambda world, rng: llm_fails(world, rng, "busy")),
    "llm prose": (2, lambda world, rng: llm_fails(world, rng, "prose")),
    "llm hangs": (3, lambda world, rng: llm_fails(world, rng, "hangs")),
    "llm slow": (3, lambda world, rng: llm_fails(world, rng, "slow")),
    "llm back without store": (3, llm_back_without_store),
    "lease lost": (4, lease_lost),
    "replay dead letters": (3, replay),
    "rebuild": (4, rebuild),
}
"""{name: (relative frequency, the fault)}."""

_OF_LLM = tuple(name for name in FAULTS if name.startswith("llm"))
_NEED_REPLAY = ("replay dead letters", "store refuses writes")


def schedule(
    rng: Random, seconds: float, every: float, with_replay: bool, with_llm: bool, only: Collection[str]
) -> list[Planned]:
    """Faults at random times, one in `every` seconds on average.

    They are chosen from `only`, or from all faults if it is empty; then one of the LLM's faults is always among them.
    """
    names = [name for name in only or FAULTS if with_replay or name not in _NEED_REPLAY]
    weights = [FAULTS[name][0] for name in names]
    count = max(1, round(seconds / every))
    chosen = rng.choices(names, weights, k=count)
    if with_llm and not only:
        chosen[0] = rng.choice(_OF_LLM)
    return sorted(Planned(rng.uniform(0.3, seconds), name, rng.getrandbits(32)) for name in chosen)


async def cause(world: World, planned: list[Planned]) -> None:
    """Causes all faults at their times. Returns when the last one is over."""
    started = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for fault in planned:
            await asyncio.sleep(max(0.0, started + fault.at - asyncio.get_running_loop().time()))
            world.report.happened(fault.name)
            group.create_task(_awaited(FAULTS[fault.name][1](world, Random(fault.seed))), name=fault.name)


async def _awaited(work: Awaitable[None]) -> None:
    await work
