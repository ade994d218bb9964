"""Other layouts than one stream on one node: partitions, and a cluster of three masters on this machine."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import redis
from redis.cluster import RedisCluster

from bench.measure import Eaten, Testbed, Watch, eat
from bench.workload import STREAM, Workload, fill_stream
from infrastructure.redis.keys import StreamKeys
from tests.servers import redis_cluster


@dataclass(frozen=True)
class Layout:
    what: str
    variables: Mapping[str, str] = field(default_factory=dict)
    clustered: bool = False

    @property
    def streams(self) -> list[str]:
        stream = self.variables.get("KEY_PREFIX", "") + STREAM
        partitions = int(self.variables.get("STREAM_PARTITIONS", 1))
        return [f"{stream}:{number}" for number in range(partitions)] if partitions > 1 else [stream]


_CLUSTER = {"REDIS_CLUSTER": "true"}
LAYOUTS = {
    "partitions": Layout("3 partitions on one node", {"STREAM_PARTITIONS": "3"}),
    "one slot": Layout("cluster, all keys in one slot", _CLUSTER | {"KEY_PREFIX": "{bench}:"}, clustered=True),
    "slots": Layout("cluster, boards in other slots", _CLUSTER, clustered=True),
    "slots and partitions": Layout(
        "cluster, boards in other slots, 3 partitions", _CLUSTER | {"STREAM_PARTITIONS": "3"}, clustered=True
    ),
}


class Cluster:
    """Three masters without persistence, beside the one node of the test bed."""

    def __init__(self, bed: Testbed, stack: ExitStack) -> None:
        self._bed = bed
        directory = bed.directory / "cluster"
        directory.mkdir()
        masters = stack.enter_context(redis_cluster(directory, "--appendonly", "no"))
        self._masters = {master.port: stack.enter_context(master.client()) for master in masters}
        self._slots: RedisCluster = stack.enter_context(RedisCluster("127.0.0.1", masters[0].port))

    def eat(self, layout: Layout, workload: Workload, count: int) -> Eaten:
        """Empties all nodes, fills the streams, each where it belongs, and lets the pipeline eat them."""
        bed = self._bed
        nodes = self._masters if layout.clustered else {bed.redis_port: bed.redis}
        for node in nodes.values():
            node.flushall()
        streams: list[tuple[StreamKeys, redis.Redis]] = []
        for number, stream in enumerate(layout.streams):
            port = self._slots.get_node_from_key(stream).port if layout.clustered else bed.redis_port
            fill_stream(port, workload, count, stream, (number, len(layout.streams)))
            streams.append((StreamKeys(stream, clustered=layout.clustered), nodes[port]))
        bed.fill_documents(workload, count)
        address = f"127.0.0.1:{next(iter(nodes))}"
        return eat(
            Watch(streams, list(nodes.values())),
            count,
            bed.variables(REDIS_ADDR=address, **layout.variables),
            bed.log,
            store_pid=bed.stand_in_pid,
        )
