"""(collect): posts to the collector, by turns with a Go server that syncs them and does nothing else."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any, NamedTuple

from bench.figures import Outcome, Row, Spread, ratios_of, turns
from bench.measure import Testbed
from bench.processes import ROOT, PipelineProcess, cpu_seconds, wait_for

_CONNECTIONS = 64
_SECONDS = 5.0
_QUICK_SECONDS = 1.5
_BATCH = 100
_COLLECTOR = (sys.executable, "-m", "cmd.collector")


class Load(NamedTuple):
    """`rate` in events a second, `cpu` in µs of the server an event, times of the answers in ms."""

    rate: float
    cpu: float
    p50: float
    p99: float


class _Client(asyncio.Protocol):
    """Posts one after the other on a connection, each when the one before is answered."""

    def __init__(self, request: bytes, until: float, took: list[float], done: asyncio.Future[None]) -> None:
        self._request, self._until, self._took, self._done = request, until, took, done
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._post()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if not found or length is None or len(body) < int(length[1]):
            return
        assert head.startswith(b"HTTP/1.1 202"), self._answer[:300]
        now = perf_counter()
        self._took.append(now - self._posted)
        self._answer = b""
        if now < self._until:
            self._post()
        else:
            self._transport.close()
            self._done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or ConnectionError("the server has closed"))

    def _post(self) -> None:
        self._posted = perf_counter()
        self._transport.write(self._request)


async def _load(port: int, request: bytes, seconds: float) -> list[float]:
    loop, took = asyncio.get_running_loop(), list[float]()
    until = perf_counter() + seconds
    done = [loop.create_future() for _ in range(_CONNECTIONS)]
    for each in done:
        await loop.create_connection(lambda each=each: _Client(request, until, took, each), "127.0.0.1", port)
    await asyncio.gather(*done)
    return took


def _request(events: int) -> bytes:
    """A post of about 1 KB an event."""
    span = {
        "userId": "9f3c7a", "app": "Google Chrome", "title": "x" * 700, "url": "https://docs.python.org/" + "y" * 60,
        "duration": 60.5, "timestamp": 1756771234.5, "session": 3, "sessionDate": "2025-09-02",
    }  # fmt: skip
    body = json.dumps(span if events == 1 else [span] * events).encode()
    head = (
        f"POST /collect HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body


@contextmanager
def _serving(command: tuple[str, ...], variables: dict[str, str], log: Path) -> Iterator[tuple[int, int]]:
    """The port and the process id of a server, which logs its address."""
    log.unlink(missing_ok=True)
    process = PipelineProcess(variables, log, command)
    try:

        def address() -> re.Match[str] | None:
            process.check()
            return re.search(r"address\W+http://127.0.0.1:(\d+)", log.read_text())

        wait_for(address, 30, "the server does not serve")
        match = address()
        assert match is not None
        yield int(match[1]), process.pid
    finally:
        process.kill()


def _measured(server: tuple[int, int], events: int, seconds: float) -> Load:
    port, pid = server
    asyncio.run(_load(port, _request(events), seconds / 5))  # connections, first segments
    before, started = cpu_seconds(pid), perf_counter()
    took = asyncio.run(_load(port, _request(events), seconds))
    elapsed, count = perf_counter() - started, len(took) * events
    hundredths = quantiles(took, n=100)
    return Load(
        count / elapsed, (cpu_seconds(pid) - before) / count * 1e6, hundredths[49] * 1e3, hundredths[98] * 1e3
    )


def collect(bed: Testbed, options: Any, say: Any) -> Outcome:
    """Single posts and batches of 100, with publishing and the archive on, and with the door and the log alone."""
    directory = bed.directory / "collect"
    directory.mkdir(exist_ok=True)
    seconds = _QUICK_SECONDS if options.repeats == 1 else _SECONDS
    peer = _build_peer(directory)
    common = {
        "APP_ENV": "prod",
        "MONGO_URI": "mongodb://localhost:1",
        "COLLECT_PORT": "0",
        "DATA_DIR": str(directory),
    }
    servers = {
        "whole": (
            _COLLECTOR,
            common | {"REDIS_ADDR": bed.redis_address, "ARCHIVE_URL": (directory / "archive").as_uri()},
        ),
        "door": (_COLLECTOR, common | {"REDIS_ADDR": "127.0.0.1:1"}),
    }
    if peer is not None:
        servers["go"] = ((str(peer), str(directory / "go.log")), {})
    loads: dict[str, dict[int, list[Load]]] = {name: {1: [], _BATCH: []} for name in servers}
    for events in (1, _BATCH):
        for name in turns(options.repeats, tuple(servers)):
            say(f"{name}, {events} a post")
            shutil.rmtree(directory / "collector", ignore_errors=True)
            with _serving(*servers[name], directory / f"{name}.txt") as server:
                loads[name][events].append(_measured(server, events, seconds))
            bed.redis.flushall()
    outcome = Outcome(
        {name: {str(n): [it._asdict() for it in them] for n, them in of.items()} for name, of in loads.items()}
    )
    for name, label in (("whole", "the collector"), ("door", "its door and log alone"), ("go", "Go, synced alone")):
        for events, them in loads.get(name, {}).items():
            outcome.rows += _rows(label, events, them)
    outcome.rows += _ratio_rows(loads)
    return outcome


def _build_peer(directory: Path) -> Path | None:
    if not (go := shutil.which("go")):
        return None
    program = directory / "go-collect"
    built = subprocess.run([go, "build", "-o", str(program), "./collect"], cwd=ROOT / "bench" / "go", check=False)
    return None if built.returncode else program


def _rows(label: str, events: int, loads: list[Load]) -> list[Row]:
    what = f"{label}, {events} a post"
    return [
        Row("collect", f"{what}: events/s", Spread([it.rate for it in loads]).show(0)),
        Row("collect", f"{what}: CPU an event", Spread([it.cpu for it in loads]).show(1, " µs")),
        Row("collect", f"{what}: answer p50", Spread([it.p50 for it in loads]).show(1, " ms")),
        Row("collect", f"{what}: answer p99", Spread([it.p99 for it in loads]).show(1, " ms")),
    ]


def _ratio_rows(loads: dict[str, dict[int, list[Load]]]) -> list[Row]:
    def a_core(name: str, events: int) -> list[float]:
        return [1e6 / it.cpu for it in loads[name][events]]

    batches = ratios_of(a_core("door", _BATCH), a_core("door", 1))
    rows = [Row("collect", "events a core, batches / single posts", batches.show(), "≥ 5", batches.median >= 5)]
    if "go" in loads:
        single = ratios_of(a_core("door", 1), a_core("go", 1))
        rows.append(Row("collect", "single posts a core / Go", single.show(), "≥ 1", single.median >= 1))
    return rows
