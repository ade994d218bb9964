"""The cost of each stage of the hot path for a message: `python -m bench.stages`.

Each stage runs the pipeline's own code on one batch of 1,000 messages, without sockets and event loop. Its CPU time
is that of the best of many runs, since disturbances only add to it. Redis's share is the CPU time that Redis reports,
as the median of 20 batches. A whole process needs more than the sum (see (a): CPU a message), for its event loop,
drivers, sockets and logs.
"""

import socket
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from statistics import median
from typing import Any

import bson
import hiredis
from rich.console import Console
from rich.table import Table

from bench.parts import NullStore, Parts, payloads
from bench.workload import GROUP, STREAM, Kind, Workload, command, fill_stream
from domains.pomodoro.model import Commit
from domains.pomodoro.service import BatchClassification
from infrastructure.mongo.repositories import CategorizedDataRepositoryAdapter, PomodoroUsageLogRepositoryAdapter
from infrastructure.redis import scripts
from infrastructure.redis.keys import StreamKeys
from infrastructure.redis.stream import RedisStreamConsumer
from tests.servers import RedisServer

MESSAGES = 1000
_RUNS = 40
_BATCHES = 20


class RawClient:
    """Answers every read with the same reply."""

    def __init__(self) -> None:
        self.reply: Any = None

    def set_response_callback(self, *_: Any) -> None: ...

    def register_script(self, _: str) -> None: ...

    async def execute_command(self, *_: Any, **__: Any) -> Any:
        return self.reply


class EncodingCollection:
    """A MongoDB collection that encodes documents as the driver does and discards them."""

    async def bulk_write(self, operations: Any, ordered: bool) -> None:
        for operation in operations:
            bson.encode({"q": operation._filter, "u": operation._doc, "multi": True})

    async def insert_many(self, documents: Any, ordered: bool) -> None:
        for document in documents:
            bson.encode(document)


class Stages:
    def __init__(self, reply: bytes) -> None:
        null: Any = NullStore()
        self._reply = reply
        self._parts = Parts()
        self._client: Any = RawClient()
        self._client.reply = self._decode()
        self._source = RedisStreamConsumer(
            self._client, self._parts.parser, StreamKeys(STREAM), GROUP, "stages", 30_000, 600_000, trim=True
        )
        calendar, classifier = self._parts.calendar, self._parts.classifier
        self._batches = BatchClassification(classifier, null, null, calendar, STREAM)
        encoding: Any = {"categorized_data": EncodingCollection(), "pomodoro_usage_log": EncodingCollection()}
        self._encoding = BatchClassification(
            classifier,
            CategorizedDataRepositoryAdapter(encoding, create_index=False),
            PomodoroUsageLogRepositoryAdapter(encoding, calendar.zone),
            calendar,
            STREAM,
        )

    def timed(self) -> dict[str, float]:
        """µs a message of each stage, in the order in which a message passes them."""
        messages = _result(self._source.read_new(MESSAGES, 0)).messages
        assert len(messages) == MESSAGES
        decided = self._parts.decided(messages)
        commit = self._batches.commit_of(decided)
        write_set = _best(lambda: _result(self._batches.write(decided)))
        writes = _best(lambda: _result(self._encoding.write(decided)))
        return {
            "RESP decode (hiredis)": _best(self._decode),
            "parse and validate": _best(lambda: _result(self._source.read_new(MESSAGES, 0))),
            "decide (rules)": _best(lambda: self._parts.decided(messages)),
            "write set": write_set,
            "ObjectIds and BSON": writes - write_set,
            "aggregation": _best(lambda: self._batches.commit_of(decided)),
            "payload (msgpack)": _best(lambda: self._payload(commit)),
        }

    def _decode(self) -> Any:
        reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        reader.feed(self._reply)
        return reader.gets(False)

    def _payload(self, commit: Commit) -> None:
        _result(self._parts.commits.commit(commit))
        self._parts.script.calls.clear()


def in_redis(server: RedisServer, kind: Kind) -> tuple[dict[str, float], bytes]:
    """µs a message that redis-server spends on the read and on the commit, and the raw reply of one read."""
    fill_stream(server.port, Workload(kind), MESSAGES * _BATCHES)
    with server.client() as client:
        parts = Parts()
        calls = payloads(client, MESSAGES, parts)
        script: Any = client.register_script(scripts.COMMIT)
        client.xgroup_create(STREAM, GROUP, id="0")
        reads, commits = [], []
        for keys, arguments in calls:
            before = _cpu_seconds(client)
            client.xreadgroup(GROUP, "stages", {STREAM: ">"}, count=MESSAGES)
            between = _cpu_seconds(client)
            script(keys=keys, args=arguments)
            reads.append(between - before)
            commits.append(_cpu_seconds(client) - between)
        raw = _raw_reply(server.port)
    scale = 1e6 / MESSAGES
    return {"XREADGROUP": median(reads) * scale, "commit script": median(commits) * scale}, raw


def _cpu_seconds(client: Any) -> float:
    info = client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def _raw_reply(port: int) -> bytes:
    """The reply of XREADGROUP for the first batch, in RESP2."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(command("XGROUP", "CREATE", STREAM, "again", "0"))
        assert connection.recv(64) == b"+OK\r\n"
        connection.sendall(command("XREADGROUP", "GROUP", "again", "c", "COUNT", MESSAGES, "STREAMS", STREAM, ">"))
        reply, reader = b"", hiredis.Reader()
        while reader.gets() is False:
            received = connection.recv(1 << 20)
            reply += received
            reader.feed(received)
    return reply


def _best(work: Callable[[], Any]) -> float:
    best = float("inf")
    for _ in range(_RUNS):
        started = time.thread_time()
        work()
        best = min(best, time.thread_time() - started)
    return best / MESSAGES * 1e6


def _result(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits, without the cost of an event loop."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def main(kind: Kind) -> None:
    with tempfile.TemporaryDirectory(prefix="pomocore-stages-") as directory:
        server = RedisServer(Path(directory), "--appendonly", "no").start()
        try:
            redis_stages, reply = in_redis(server, kind)
        finally:
            server.stop()
    stages = Stages(reply).timed()
    total = sum(stages.values())
    table = Table("stage", "µs a message", "share", title=f"{kind} messages, batches of {MESSAGES:,}")
    for name, spent in stages.items():
        table.add_row(name, f"{spent:.2f}", f"{spent / total:.0%}")
    table.add_row("sum, in Python", f"{total:.2f}", "100%", style="bold", end_section=True)
    redis_total = sum(redis_stages.values())
    for name, spent in redis_stages.items():
        table.add_row(f"in Redis: {name}", f"{spent:.2f}", f"{spent / redis_total:.0%}")
    Console().print(table)


if __name__ == "__main__":
    wanted: Any = sys.argv[1] if len(sys.argv) > 1 else "linked"
    main(wanted)
