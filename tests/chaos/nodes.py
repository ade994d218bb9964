"""Redis in a round: one server, or a cluster of masters.

Each one is behind a proxy of its own, which it announces.
"""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from random import Random

from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.chaos import stream
from tests.chaos.proxy import FaultyProxy
from tests.servers import RedisServer

_SLOTS = 16_384
_MASTERS = 3


class RedisNode:
    """A server, the proxy through which instances reach it, and a client that bypasses the proxy."""

    def __init__(self, directory: Path, *cluster_options: str) -> None:
        directory.mkdir(parents=True)
        self.proxy = FaultyProxy("127.0.0.1", 0)
        # what CLUSTER SLOTS and MOVED name is the proxy; the nodes' own bus does not pass through it
        announced = ("--cluster-announce-port", str(self.proxy.port)) if cluster_options else ()
        self.server = RedisServer(directory, *cluster_options, *announced)
        self.proxy.upstream = ("127.0.0.1", self.server.port)
        self.client = stream.make_client(self.server.port)
        self.lock = asyncio.Lock()
        """A fault holds this while it acts on the server, so that two faults never act on the same one."""

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)
        await self.proxy.start()

    async def restart(self, kill: bool, seconds: float) -> None:
        async with self.lock:
            await asyncio.to_thread(self.server.kill if kill else self.server.stop)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.server.start)

    async def pause(self, seconds: float) -> None:
        async with self.lock:
            self.server.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.server.signal(signal.SIGCONT)

    async def lame(self, wrong: Sequence[str], right: Sequence[str], seconds: float) -> None:
        """Holds the lock over two commands, since a restart in between would undo the first one."""
        async with self.lock:
            await stream.insist(lambda: self.client.execute_command(*wrong))
            await asyncio.sleep(seconds)
            await stream.insist(lambda: self.client.execute_command(*right))


def one_node(directory: Path) -> list[RedisNode]:
    return [RedisNode(directory)]


def cluster_nodes(directory: Path, rng: Random) -> list[RedisNode]:
    """A cluster of masters without replicas.

    `rng` decides whether the other slots are served while one master is away.
    """
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", rng.choice(("1000", "2000"))]
    options += ["--cluster-require-full-coverage", rng.choice(("yes", "no"))]
    return [RedisNode(directory / str(number), *options) for number in range(_MASTERS)]


def cluster_client(nodes: Sequence[RedisNode]) -> RedisCluster:
    """A client that bypasses all proxies."""
    real = {node.proxy.port: node.server.port for node in nodes}
    return RedisCluster(
        host="127.0.0.1",
        port=nodes[0].server.port,
        decode_responses=True,
        encoding_errors="surrogateescape",
        socket_timeout=10,
        retry=Retry(NoBackoff(), 3),
        protocol=2,
        address_remap=lambda address: (address[0], real.get(address[1], address[1])),
    )


async def join(nodes: Sequence[RedisNode]) -> None:
    """Joins started nodes to a cluster that shares the slots evenly. Returns when each node knows all proxies."""
    first = nodes[0]
    for number, node in enumerate(nodes):
        slots = range(_SLOTS * number // len(nodes), _SLOTS * (number + 1) // len(nodes))
        await node.client.execute_command("CLUSTER", "ADDSLOTS", *slots)
        await node.client.execute_command(
            "CLUSTER", "MEET", "127.0.0.1", first.proxy.port, first.server.port + 10_000
        )
    async with asyncio.timeout(30):
        while not all([await _knows_all(node, nodes) for node in nodes]):
            await asyncio.sleep(0.05)


async def _knows_all(node: RedisNode, nodes: Sequence[RedisNode]) -> bool:
    info = str(await node.client.execute_command("CLUSTER", "INFO"))
    slots = str(await node.client.execute_command("CLUSTER", "SLOTS"))
    healthy = "cluster_state:ok" in info or "'cluster_state': 'ok'" in info
    return healthy and all(str(other.proxy.port) in slots for other in nodes)
