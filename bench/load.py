"""A load test of the whole: clients post spans, operators look, Spring publishes, all at once and for a bounded time.

python -m bench.load [--seconds 30] [--users 50] [--posts 2] [--rate 500]

Writes report.md and report.html to .data/load: offered and reached rates, latencies from XADD to the board and from
POST to 202, CPU and memory of each process, what is at its limit first, and how all of it compares with the report
before. The collector and the console are in the consumer's process. Locust gets a venv of its own in .data/locust.
"""

import argparse
import asyncio
import csv
import html
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import quantiles
from typing import Any, BinaryIO
from urllib.request import urlopen

from tests.messages import message
from tests.servers import RedisServer, free_port

STREAM = "pomodoro_pattern_match_stream"
_TICK = 0.01
_NEAR_LIMIT = 0.9
"""Of a core: a process of one event loop, or redis-server, can do no more."""


class Watched:
    """A process whose CPU and memory are taken from /proc."""

    def __init__(self, name: str, pid: int) -> None:
        self.name, self._pid = name, pid
        self._began, self._cpu = time.monotonic(), self._cpu_seconds()
        self.peak = 0.0

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def look(self) -> None:
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        self.peak = max(self.peak, pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    def cores(self) -> float:
        return (self._cpu_seconds() - self._cpu) / (time.monotonic() - self._began)


def locust(venv: Path) -> str:
    if not (venv / "bin" / "locust").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "-q", "locust>=2.47"], check=True)
    return str(venv / "bin" / "locust")


async def publish(client: Any, rate: float, seconds: float, latencies: list[float]) -> int:
    """Adds messages at a steady rate. Every tenth of a second it is measured when the board has one."""
    probes: set[asyncio.Task[None]] = set()
    started, sent, probed = time.monotonic(), 0, 0.0
    while (passed := time.monotonic() - started) < seconds:
        due = int(passed * rate) - sent
        for _ in range(due):
            sent += 1
            client.xadd(STREAM, message(userId=f"spring-{sent % 1000}", timestamp=repr(time.time())))
        if passed - probed >= 0.1:
            probed = passed
            probes.add(asyncio.create_task(_probe(client, len(probes), latencies)))
        await asyncio.sleep(_TICK)
    await asyncio.gather(*probes)
    return sent


async def _probe(client: Any, number: int, latencies: list[float]) -> None:
    user, at = f"probe-{number}", time.time()
    day = time.strftime("%Y-%m-%d", time.gmtime(at + 9 * 3600))
    client.xadd(STREAM, message(userId=user, timestamp=repr(at), app="Visual Studio Code"))
    added = time.monotonic()
    while client.zscore(f"leaderboard:Development:{day}", user) is None:
        if time.monotonic() - added > 30:
            return
        await asyncio.sleep(0.002)
    latencies.append((time.monotonic() - added) * 1000)


def _percentiles(values: list[float]) -> list[float]:
    cuts = quantiles(values, n=100) if len(values) > 1 else [*values, 0.0] * 50
    return [round(cuts[49], 1), round(cuts[94], 1), round(cuts[98], 1)]


async def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    redis = RedisServer(directory).start()
    console, collector = free_port(), free_port()
    environment = {
        **os.environ,
        "REDIS_ADDR": redis.address,
        "DATA_DIR": str(directory / "data"),
        "HTTP_PORT": str(console),
        "COLLECT_PORT": str(collector),
        "COLLECT_RATE": "1000000",
        "LOG_LEVEL": "warning",
        "LOAD_COLLECTOR": f"http://127.0.0.1:{collector}",
        "LOAD_CONSOLE": f"http://127.0.0.1:{console}",
        "LOAD_POSTS": str(options.posts),
    }
    log = (directory / "log").open("wb")
    consumer = _start([sys.executable, "-m", "cmd.stream_consumer"], environment, log)
    try:
        with redis.client() as client:
            await asyncio.to_thread(_until_served, [console, collector], consumer)
            redis_pid = client.info("server")["process_id"]
            processes = [Watched("consumer", consumer.pid), Watched("redis-server", redis_pid)]
            command = [locust(options.venv), "-f", "bench/locustfile.py", "--headless", "--only-summary"]
            command += ["-u", str(options.users), "-r", str(options.users), "-t", f"{options.seconds:.0f}s"]
            command += ["--csv", str(directory / "locust")]
            users = _start(command, environment, log)
            latencies: list[float] = []
            watching = asyncio.create_task(_watch(processes))
            sent = await publish(client, options.rate, options.seconds, latencies)
            waiting = client.xinfo_groups(STREAM)[0]
            cores = {it.name: round(it.cores(), 2) for it in processes}
            watching.cancel()
            await asyncio.to_thread(users.wait, 60)
            behind = len(client.xrange(STREAM, f"({waiting['last-delivered-id']}", count=10_000))
    finally:
        consumer.terminate()
        await asyncio.to_thread(consumer.wait, 30)
        redis.stop()
    with (directory / "locust_stats.csv").open() as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    return {
        "offered a second": {"messages": options.rate, "posts": options.posts * options.users * 4 / 5},
        "reached a second": {"messages": round(sent / options.seconds)}
        | {name: round(float(row["Requests/s"]), 1) for name, row in rows.items() if name != "Aggregated"},
        "failures": {"messages not committed at the end": behind + waiting["pending"]}
        | {name: int(row["Failure Count"]) for name, row in rows.items() if name != "Aggregated"},
        "p50, p95, p99 in ms": {"XADD to board": _percentiles(latencies)}
        | {
            name: [float(row[percent]) for percent in ("50%", "95%", "99%")]
            for name, row in rows.items()
            if name != "Aggregated"
        },
        "cores": cores,
        "MB at most": {it.name: round(it.peak) for it in processes},
        "first limit": _limit(cores, behind, options.rate, sent / options.seconds),
    }


def _start(command: list[str], environment: dict[str, str], log: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def _until_served(ports: list[int], consumer: subprocess.Popen[bytes]) -> None:
    for port in ports:
        while True:
            assert consumer.poll() is None, "the consumer has ended"
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30):
                break  # the port is there before what serves on it
            time.sleep(0.1)


async def _watch(processes: list[Watched]) -> None:
    while True:
        for process in processes:
            process.look()
        await asyncio.sleep(0.5)


def _limit(cores: dict[str, float], behind: int, rate: float, reached: float) -> str:
    name, used = max(cores.items(), key=lambda item: item[1])
    if used >= _NEAR_LIMIT:
        return f"{name}: {used} of a core"
    if sum(cores.values()) >= _NEAR_LIMIT * (os.cpu_count() or 1):
        return f"the machine: {sum(cores.values()):.2f} of {os.cpu_count()} cores, without the clients"
    if reached < _NEAR_LIMIT * rate:
        return f"the machine: only {reached:.0f} of {rate:.0f} messages a second could be published"
    if behind > rate:
        return "the consumer is behind, and no process is at its limit: its store or its disk"
    return f"none; {name} would be the first, with {used} of a core"


def report(figures: dict[str, Any], before: dict[str, Any] | None) -> str:
    lines = ["# Load test", "", f"First limit: **{figures['first limit']}**", ""]
    for title, values in figures.items():
        if not isinstance(values, dict):
            continue
        lines += [f"## {title[0].upper()}{title[1:]}", "", "| what | now | before |", "|---|---|---|"]
        for name, value in values.items():
            was = (before or {}).get(title, {}).get(name, "")
            lines.append(f"| {name} | {_text(value)} | {_text(was)} |")
        lines.append("")
    return "\n".join(lines)


def _text(value: Any) -> str:
    return " / ".join(f"{each:g}" for each in value) if isinstance(value, list) else str(value)


def page(text: str) -> str:
    """The Markdown of `report` as a page."""
    parts = ["<!doctype html><meta charset=utf-8><title>Load test</title>"]
    parts.append(
        "<style>body{font:15px sans-serif;max-width:50em;margin:2em auto}td,th{padding:.2em 1em;text-align:left}"
    )
    parts.append("tr:nth-child(even){background:#f3f3f3}</style>")
    for line in text.splitlines():
        plain = html.escape(line.strip("#|- ")).replace("**", "")
        if line.startswith("## "):
            parts.append(f"</table><h2>{plain}</h2><table>")
        elif line.startswith("# "):
            parts.append(f"<h1>{plain}</h1>")
        elif line.startswith("| "):
            cells = [html.escape(cell.strip()) for cell in line.strip("|").split("|")]
            parts.append("<tr>" + "".join(f"<td>{cell}" for cell in cells))
        elif plain:
            parts.append(f"<p>{plain}")
    return "\n".join([*parts, "</table>"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--users", type=int, default=50, help="clients and operators, four to one")
    parser.add_argument("--posts", type=float, default=2.0, help="of each client, a second")
    parser.add_argument("--rate", type=float, default=500.0, help="messages that Spring publishes, a second")
    parser.add_argument("--output", type=Path, default=Path(".data/load"))
    parser.add_argument("--venv", type=Path, default=Path(".data/locust"))
    options = parser.parse_args()
    options.venv = options.venv.absolute()
    options.output.mkdir(parents=True, exist_ok=True)
    latest = options.output / "latest.json"
    before = json.loads(latest.read_text()) if latest.exists() else None
    with tempfile.TemporaryDirectory(prefix="pomocore-load-") as directory:
        figures = asyncio.run(run(options, Path(directory)))
    text = report(figures, before)
    (options.output / "report.md").write_text(text)
    (options.output / "report.html").write_text(page(text))
    latest.write_text(json.dumps(figures, indent=1))
    print(text)


if __name__ == "__main__":
    main()
