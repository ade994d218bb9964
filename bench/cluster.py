"""One stream on one node compared with other layouts: partitions, and a cluster of three masters on this machine."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import redis
from dependency_injector import providers
from redis.cluster import RedisCluster

from bench.measure import Eaten, Testbed, Watch, eat
from bench.workload import Workload, fill_stream
from infrastructure.composition.container import Container
from infrastructure.redis.keys import StreamKeys
from infrastructure.redis.publisher import partition_of
from infrastructure.settings import Settings
from tests.servers import redis_cluster


@dataclass(frozen=True)
class Layout:
    what: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def clustered(self) -> bool:
        return "REDIS_CLUSTER" in self.variables

    def partitions(self) -> list[StreamKeys]:
        """The streams, named as the pipeline names them."""
        given: dict[str, Any] = {name.lower(): value for name, value in self.variables.items()}
        settings = Settings(_env_file=None, **given)
        return list(Container(settings=providers.Object(settings)).partition_keys())


_CLUSTER = {"REDIS_CLUSTER": "true"}
ONE = "one"
LAYOUTS = {
    ONE: Layout("one node and stream"),
    "partitions": Layout("3 partitions on one node", {"STREAM_PARTITIONS": "3"}),
    "one slot": Layout("cluster, all keys in one slot", _CLUSTER | {"KEY_PREFIX": "{bench}:"}),
    "slots": Layout("cluster, boards in other slots", _CLUSTER),
    "slots and partitions": Layout(
        "cluster, boards in other slots, 3 partitions", _CLUSTER | {"STREAM_PARTITIONS": "3"}
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
        """Empties all nodes, fills each stream on its node, and lets the pipeline consume them."""
        bed = self._bed
        nodes = self._masters if layout.clustered else {bed.redis_port: bed.redis}
        for node in nodes.values():
            node.flushall()
        partitions = layout.partitions()
        streams: list[tuple[StreamKeys, redis.Redis]] = []
        for keys in partitions:
            port = self._slots.get_node_from_key(keys.stream).port if layout.clustered else bed.redis_port
            fill_stream(
                port, workload, count, keys.stream, lambda user, here=keys: partition_of(user, partitions) is here
            )
            streams.append((keys, nodes[port]))
        found = sum(client.xlen(keys.stream) for keys, client in streams)
        assert found == count, f"{found} of {count} messages are on the streams"
        bed.fill_documents(workload, count)
        address = f"127.0.0.1:{next(iter(nodes))}"
        return eat(
            Watch(streams, list(nodes.values())),
            count,
            bed.variables(REDIS_ADDR=address, **layout.variables),
            bed.log,
            store_pid=bed.stand_in_pid,
        )
