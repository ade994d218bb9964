"""A backlog and the pipeline that consumes it, watched from outside."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from compileall import compile_dir
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from sysconfig import get_path
from typing import Any

import redis
from pymongo import MongoClient

from bench.processes import (
    PIPELINE,
    ROOT,
    PipelineProcess,
    cpu_seconds,
    machine_seconds,
    module,
    peak_mb,
    wait_for,
)
from bench.workload import GROUP, STREAM, Workload, fill_stream
from infrastructure.redis.keys import StreamKeys
from tests.servers import RedisServer

_POLL_SECONDS = 0.015
_START_SECONDS = 60
_STUCK_SECONDS = 60

DATABASE = "pomocore_bench"


class Testbed:
    """A private redis-server, with or without AOF, and MongoDB: our stand-in, or the server of MONGO_TEST_URI."""

    def __init__(self, directory: Path, stack: ExitStack, aof: bool = False) -> None:
        self.directory = directory
        server = RedisServer(directory, "--appendonly", "yes" if aof else "no").start()
        stack.callback(server.stop)
        self.redis_port = server.port
        self.redis_address = server.address
        self.redis = stack.enter_context(server.client())
        self.real_mongo = os.environ.get("MONGO_TEST_URI")
        self.stand_in_pid: int | None = None
        if self.real_mongo:
            self.mongo_uri = self.real_mongo
        else:
            port, self.stand_in_pid = stack.enter_context(module("bench.mongo_stand_in"))
            self.mongo_uri = f"mongodb://127.0.0.1:{port}"
        self.mongo: Any = stack.enter_context(MongoClient(self.mongo_uri))
        self._runs = 0

    def variables(self, **more: str) -> dict[str, str]:
        """The settings of a deployment on these servers."""
        deployed = {
            "APP_ENV": "prod",
            "REDIS_ADDR": self.redis_address,
            "MONGO_URI": self.mongo_uri,
            "MONGO_DATABASE": DATABASE,
            "DATA_DIR": str(self.directory / "data"),
        }
        return deployed | more

    def log(self) -> Path:
        self._runs += 1
        return self.directory / f"pipeline-{self._runs}.log"

    def fill(self, workload: Workload, count: int) -> None:
        """Empties Redis and puts `count` messages on the stream."""
        self.redis.flushall()
        fill_stream(self.redis_port, workload, count)
        found = self.redis.xlen(STREAM)
        assert found == count, f"{found} of {count} messages are on the stream"
        self.fill_documents(workload, count)

    def mongo_requests(self) -> int | None:
        """The number of requests so far; None if the server does not count them."""
        try:
            status = self.mongo.admin.command("serverStatus")
        except Exception:
            return None
        return status.get("network", {}).get("numRequests")  # type: ignore[no-any-return]

    def fill_documents(self, workload: Workload, count: int) -> None:
        """Inserts Spring's documents, unless the server is the stand-in, which keeps nothing."""
        if not self.real_mongo:
            return
        from bench.documents import fill_mongo

        self.mongo.drop_database(DATABASE)
        fill_mongo(self.mongo[DATABASE], workload, count)


@contextmanager
def testbed(aof: bool) -> Iterator[Testbed]:
    """Where the processes under test have their bytecode, ours and that of all packages, as in the image."""
    for directory in (*(ROOT / package for package in ("domains", "infrastructure", "cmd")), get_path("purelib")):
        compile_dir(directory, quiet=2, workers=0)
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="pomocore-bench-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        bed = Testbed(directory, stack, aof)
        yield bed
        if bed.real_mongo:
            bed.mongo.drop_database(DATABASE)


@dataclass(frozen=True)
class Eaten:
    """The cost of consuming a backlog, from when all instances had begun to read until the last commit."""

    messages: int
    seconds: float
    pipeline_cpu: float
    redis_cpu: float
    store_cpu: float
    peak_mb: float
    machine_share: float
    requests: int | None
    """The increase of `counter` during `eat`."""

    @property
    def rate(self) -> float:
        return self.messages / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.pipeline_cpu / self.messages * 1e6

    @property
    def redis_us(self) -> float:
        return self.redis_cpu / self.messages * 1e6

    @property
    def redis_share(self) -> float:
        """The share of one core."""
        return self.redis_cpu / self.seconds

    def as_json(self) -> dict[str, Any]:
        figures = {"rate": self.rate, "cpu_us": self.cpu_us, "redis_us": self.redis_us}
        return asdict(self) | figures | {"redis_share": self.redis_share}


@dataclass(frozen=True)
class _Moment:
    time: float
    done: int
    pipeline_cpu: float
    redis_cpu: float
    store_cpu: float
    machine: tuple[float, float]
    requests: int | None


class Watch:
    """Watches a group's progress by XINFO every few milliseconds, which costs Redis about a thousandth of its core.

    `streams` has a client of its server for each stream; `servers` are all servers that share the work.
    """

    def __init__(self, streams: Sequence[tuple[StreamKeys, redis.Redis]], servers: Sequence[redis.Redis]) -> None:
        self._streams: Sequence[tuple[StreamKeys, Any]] = streams
        self._servers: Sequence[Any] = servers

    @classmethod
    def on(cls, client: redis.Redis) -> "Watch":
        """One stream on one server."""
        return cls([(StreamKeys(STREAM), client)], [client])

    def done(self) -> int:
        """Messages delivered and acknowledged."""
        return sum(
            int(group.get("entries-read") or 0) - int(group["pending"])
            for keys, client in self._streams
            for group in _groups(client, keys.stream)
            if group["name"] == GROUP
        )

    def redis_cpu(self) -> float:
        cpu = [client.info("cpu") for client in self._servers]
        return sum(float(info["used_cpu_user"]) + float(info["used_cpu_sys"]) for info in cpu)

    def dead_letters(self) -> int:
        return sum(client.xlen(keys.dead_letters) for keys, client in self._streams)


def _groups(client: Any, stream: str) -> list[dict[str, Any]]:
    try:
        return list(client.xinfo_groups(stream))
    except redis.ResponseError:  # the stream does not exist yet
        return []


def eat(
    watch: Watch,
    count: int,
    variables: Mapping[str, str],
    log: Callable[[], Path],
    instances: int = 1,
    store_pid: int | None = None,
    counter: Callable[[], int | None] = lambda: None,
    command: Sequence[str] = PIPELINE,
) -> Eaten:
    """Starts the pipeline, or the peer that `command` runs, and waits until all `count` messages are committed."""
    pipelines = [PipelineProcess(variables, log(), command) for _ in range(instances)]
    pids = [pipeline.pid for pipeline in pipelines]

    def moment() -> _Moment:
        return _Moment(
            time.perf_counter(),
            watch.done(),
            sum(map(cpu_seconds, pids)),
            watch.redis_cpu(),
            cpu_seconds(store_pid) if store_pid else 0.0,
            machine_seconds(),
            counter(),
        )

    try:
        first = _first(pipelines, moment)
        last = _last(watch, pipelines, moment, count)
        peak = sum(map(peak_mb, pids))
        assert not watch.dead_letters(), "messages of the benchmark ended as dead letters"
        for pipeline in pipelines:
            pipeline.stop()
    finally:
        for pipeline in pipelines:
            pipeline.kill()
    busy, all_cores = (b - a for a, b in zip(first.machine, last.machine, strict=True))
    counted = first.requests is not None and last.requests is not None
    return Eaten(
        messages=last.done - first.done,
        seconds=last.time - first.time,
        pipeline_cpu=last.pipeline_cpu - first.pipeline_cpu,
        redis_cpu=last.redis_cpu - first.redis_cpu,
        store_cpu=last.store_cpu - first.store_cpu,
        peak_mb=peak,
        machine_share=busy / all_cores if all_cores else 0.0,
        requests=(last.requests or 0) - (first.requests or 0) if counted else None,
    )


def _first(pipelines: list[PipelineProcess], moment: Callable[[], _Moment]) -> _Moment:
    """Returns when every instance has begun to read.

    The first commit would be too late: work on later batches is done by then.
    """
    wait_for(lambda: all(p.has_begun() for p in pipelines), _START_SECONDS, "the pipeline does not begin")
    return moment()


def _last(watch: Watch, pipelines: list[PipelineProcess], moment: Callable[[], _Moment], count: int) -> _Moment:
    done, changed = 0, time.monotonic()
    while done < count:
        time.sleep(_POLL_SECONDS)
        now = watch.done()
        if now != done:
            done, changed = now, time.monotonic()
        elif time.monotonic() - changed > _STUCK_SECONDS:
            for pipeline in pipelines:
                pipeline.check()
            raise TimeoutError(f"stuck at {done} of {count} messages")
    return moment()


def eat_on(
    bed: Testbed, count: int, instances: int = 1, command: Sequence[str] = PIPELINE, **variables: str
) -> Eaten:
    variables, requests = bed.variables(**variables), bed.mongo_requests
    return eat(Watch.on(bed.redis), count, variables, bed.log, instances, bed.stand_in_pid, requests, command)
