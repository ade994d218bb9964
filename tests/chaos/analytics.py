"""Messages → real Kafka → real Druid → real Superset: sums are the boards, every chart has rows.

Meanwhile the consumer, the exporter, the broker and Druid's indexer are killed by turns, boards are lost and rebuilt,
messages are classified otherwise by a new pattern, and the archive is replayed.

python -m tests.chaos.analytics --broker KAFKA_TOOL --druid DRUID_TOOL [--superset VENV] [--pictures DIRECTORY]

The tools start a server in the foreground: `BROKER PORT DIRECTORY`, and `DRUID DIRECTORY`, which prints
"SQL OVERLORD". VENV is made if it is missing (0.9 GB of packages).
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from math import isclose
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import Request, urlopen

from deploy.analytics import apply
from domains.activityEvent.model import EventMaker
from domains.leaderboard.model import Period
from infrastructure.collector.archive import FileArchive
from infrastructure.redis.client import make_client
from infrastructure.redis.collected_spans import RedisSpanPublisher
from infrastructure.redis.keys import StreamKeys
from infrastructure.settings import Settings
from tests.chaos.exporters import KEY, STREAM, Process, _drained, _publish, _tamper
from tests.integration.test_replay import APP, POSTS, SEGMENTS, collect_spans
from tests.messages import SEOUL
from tests.servers import RedisServer, free_port

SUPERSET_PACKAGES = ["apache-superset==6.1.0", "pydruid", "rich", "cachetools", "flask-caching==2.3.1"]


class Indexer:
    """Druid's indexer among the processes of the session of `druid`, started anew as it was."""

    def __init__(self, druid: Process, log: Path) -> None:
        self._pid = next(pid for pid in _session(druid.pid) if _command(pid)[-2:] == [b"server", b"indexer"])
        self._log, self._again = log, None

    def kill(self) -> None:
        self._command, self._directory = _command(self._pid), os.readlink(f"/proc/{self._pid}/cwd")
        os.kill(self._pid, signal.SIGKILL)
        if self._again:
            self._again.wait()

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [part.decode() for part in self._command]
            self._again = subprocess.Popen(command, cwd=self._directory, stdout=log, stderr=log)
        self._pid = self._again.pid

    def close(self) -> None:
        if self._again:
            self._again.kill()
            self._again.wait()


def _session(leader: int) -> list[int]:
    """All processes of the session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[3]) == leader:
            found.append(int(path.parent.name))
    return found


def _command(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")


def query(druid_sql: str, sql: str) -> list[dict[str, Any]]:
    body = json.dumps({"query": sql}).encode()
    request = Request(f"http://{druid_sql}/druid/v2/sql", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        return list(json.loads(answer.read()))


def until(done: Callable[[], object], what: str, seconds: float = 180) -> float:
    """Waits, and returns how long."""
    started = time.monotonic()
    while True:
        try:
            if done():
                return time.monotonic() - started
        except OSError:
            pass
        assert time.monotonic() - started < seconds, what
        time.sleep(0.25)


def check_boards(client: Any, druid_sql: str) -> int:
    """Each score of each board is the sum in Druid. Returns how many scores there are; raises AssertionError."""
    pseudonym = EventMaker(KEY.encode(), SEOUL).pseudonym
    sums: defaultdict[tuple[str, str], float] = defaultdict(float)
    sql = 'SELECT category, "user", "day", work, SUM(seconds) AS s FROM pomocore_spans GROUP BY 1, 2, 3, 4'
    for row in query(druid_sql, sql):
        for period in Period:
            for name in [row["category"], *(["work"] if row["work"] == "true" else [])]:
                sums[f"leaderboard:{name}:{period.label(date.fromisoformat(row['day']))}", row["user"]] += row["s"]
    boards = {
        (key, pseudonym(user)): score
        for key in client.scan_iter("leaderboard:*", count=1000)
        for user, score in client.zrange(key, 0, -1, withscores=True)
    }
    for key in sums.keys() | boards.keys():
        have, want = sums.get(key, 0.0), boards.get(key, 0.0)
        assert isclose(have, want, rel_tol=1e-9, abs_tol=1e-5), f"{key}: {have} in Druid, {want} on the board"
    return len(boards)


def check_superset(stack: ExitStack, venv: Path, directory: Path, druid_sql: str, pictures: Path | None) -> None:
    if not (venv / "bin" / "superset").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "-q", *SUPERSET_PACKAGES], check=True)
    config = directory / "superset_config.py"
    config.write_text(
        f"SECRET_KEY = 'a key of this run'\nSQLALCHEMY_DATABASE_URI = 'sqlite:///{directory}/superset.db'\n"
        "TALISMAN_ENABLED = False\nWTF_CSRF_ENABLED = True\n"
    )
    environment = {"SUPERSET_CONFIG_PATH": str(config), "FLASK_APP": "superset"}
    superset = str(venv / "bin" / "superset")
    admin = "fab create-admin --username admin --firstname a --lastname b --email a@b.c --password admin"
    for command in ("db upgrade", admin, "init"):
        subprocess.run([superset, *command.split()], env=os.environ | environment, check=True, capture_output=True)
    port = free_port()
    server = Process(superset, "run", "-p", str(port), environment=environment, log=directory / "superset.log")
    stack.callback(server.kill)
    address = f"http://127.0.0.1:{port}"
    until(lambda: urlopen(f"{address}/health", timeout=5), "Superset does not start")
    client = apply.Superset(address, "admin", "admin")
    for _ in range(2):
        client.load(apply.bundle(f"druid://{druid_sql}/druid/v2/sql/"))
    charts = client.all("chart", "id,uuid,slice_name")
    assert {chart["uuid"] for chart in charts} == apply.uuids("charts")
    for chart in charts:
        context = json.loads(client.call("GET", f"/api/v1/chart/{chart['id']}")["result"]["query_context"])
        (result,) = client.call("POST", "/api/v1/chart/data", context)["result"]
        assert result["rowcount"] > 0, f"{chart['slice_name']}: {result}"
        print(f"  {chart['slice_name']}: {result['rowcount']} rows")
    extra = {"slice_name": "old", "viz_type": "table", "datasource_id": 1, "datasource_type": "table", "params": "{}"}
    client.call("POST", "/api/v1/chart/", extra)
    assert client.prune() == 1
    assert {chart["uuid"] for chart in client.all("chart", "id,uuid")} == apply.uuids("charts")
    assert client.prune() == 0
    print(f"Superset: {len(charts)} charts with rows, twice imported, the one that is not in the bundle is gone")
    if pictures:
        take_pictures(address, pictures)


def take_pictures(address: str, directory: Path) -> None:
    from playwright.sync_api import sync_playwright

    from tests.browser import find_browser

    directory.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser())
        page = browser.new_page(viewport={"width": 1440, "height": 1800})
        page.goto(f"{address}/login/")
        page.fill("#username", "admin")
        page.fill("#password", "admin")
        page.keyboard.press("Enter")
        page.wait_for_load_state("networkidle")
        for slug in ("pomocore-focus", "pomocore-quality"):
            page.goto(f"{address}/superset/dashboard/{slug}/?standalone=1")
            page.wait_for_timeout(15_000)
            page.screenshot(path=directory / f"{slug}.png")
        browser.close()


_WORK = {1: "boards", 3: "reclassify", 5: "replay", 7: "boards"}
"""What goes on while the process of that turn (of ten) is killed."""


def is_as_boards(client: Any, druid_sql: str) -> bool:
    try:
        check_boards(client, druid_sql)
    except AssertionError:
        return False
    return True


async def _collect(redis_address: str, archive: Path) -> None:
    client = make_client(Settings(redis_addr=redis_address))
    await collect_spans(RedisSpanPublisher(client, [StreamKeys(STREAM)]), FileArchive(archive))
    await client.aclose()


def _run_beside(work: str, environment: dict[str, str], directory: Path, log: Path) -> subprocess.Popen[bytes]:
    """Adds a pattern that changes what was committed, and decides it again."""
    app = {"reclassify": "Nobody Knows This", "replay": APP}[work]
    patterns = directory / f"{work}.json"
    patterns.write_text(
        json.dumps([{"category": "Design", "priority": 1, "appPatterns": [app], "domainPatterns": []}])
    )
    then = {
        "reclassify": "cmd.send reclassify_period --param from=2025-09-01 --param to=2025-09-08 --param force=true",
        "replay": "cmd.replay --from 2025-09-01 --to 2025-09-08 --force",
    }[work]
    script = f'"$0" -m cmd.patterns import {patterns} && sleep 3 && until "$0" -m {then}; do sleep 1; done'
    with log.open("ab") as out:
        return subprocess.Popen(
            ["sh", "-c", script, sys.executable], env=os.environ | environment, stdout=out, stderr=out
        )


def run(options: argparse.Namespace, directory: Path, stack: ExitStack) -> None:
    rng, log = Random(1), directory / "processes.log"
    redis = RedisServer(directory).start()
    stack.callback(redis.stop)
    kafka = f"127.0.0.1:{free_port()}"
    broker = Process(options.broker, kafka.partition(":")[2], str(directory / "kafka"), environment={}, log=log)
    stack.callback(broker.kill)
    druid_log = directory / "druid.log"
    druid = Process(options.druid, str(directory / "druid"), environment={}, log=druid_log)
    stack.callback(druid.kill)
    environment = {
        "REDIS_ADDR": redis.address,
        "DATA_DIR": str(directory / "data"),
        "EVENTS": "true",
        "EVENTS_USER_KEY": KEY,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "HTTP_PORT": "",
        "CLAIM_IDLE_MS": "2000",
        "ARCHIVE_URL": (directory / "archive").as_uri(),
        "PATTERN_REFRESH_SECONDS": "2",
        "STREAM_KEY": STREAM,
    }
    consumer = Process(sys.executable, "-m", "cmd.stream_consumer", environment=environment, log=log)
    stack.callback(consumer.kill)

    exporter = Process(sys.executable, "-m", "cmd.export", environment=environment, log=log)
    stack.callback(exporter.kill)

    def address_of_druid() -> list[str]:
        found = re.search(r"(127\.0\.0\.1:\d+) (?:http://)?(127\.0\.0\.1:\d+)\s", druid_log.read_text())
        return [*found.groups()] if found else []

    print(f"Druid answers after {until(address_of_druid, 'Druid does not start'):.0f} s")
    druid_sql, overlord = address_of_druid()
    with redis.client() as client:
        for number in range(1, 501):
            _publish(client, rng, number)
        until(lambda: client.hget(f"{STREAM}:events:state", "settled"), "nothing is exported")
        apply.apply_supervisor(f"http://{overlord}", kafka)

        def events_in_druid() -> int:
            sql = "SELECT COUNT(*) AS n FROM pomocore_spans"
            return int(query(druid_sql, sql)[0]["n"])

        until(lambda: events_in_druid() == 500, "the first messages do not come to Druid")
        indexer = Indexer(druid, druid_log)
        stack.callback(indexer.close)
        asyncio.run(_collect(redis.address, directory / "archive"))
        victims = [broker, consumer, exporter, indexer] * (-(-options.kills // 4))
        rng.shuffle(victims)
        background: list[subprocess.Popen[bytes]] = []
        for turn, victim in enumerate(victims[: options.kills]):
            for number in range(501 + 50 * turn, 551 + 50 * turn):
                _publish(client, rng, number)
            work = _WORK.get(turn % 10)
            if work == "boards":
                _tamper(client, rng)
            elif work:
                background.append(_run_beside(work, environment, directory, log))
            victim.kill()
            time.sleep(rng.uniform(0, 1))
            victim.start()
            time.sleep(1)
        for process in background:
            assert process.wait(120) == 0, f"{process.args} failed"
        asyncio.run(_drained(client, StreamKeys(STREAM), time.monotonic() + 240))
        # five minutes where Druid gives a task to the indexer that was just killed; see docs/analytics.md, Limits
        caught_up = until(lambda: is_as_boards(client, druid_sql), "Druid does not become what the boards are", 900)
        scores, before = check_boards(client, druid_sql), events_in_druid()
        rows = query(
            druid_sql, "SELECT COUNT(*) AS n, COUNT(DISTINCT event_id) AS ids, SUM(sign) AS logs FROM pomocore_spans"
        )
        twice = query(druid_sql, "SELECT event_id FROM pomocore_spans GROUP BY 1 HAVING COUNT(*) > 1 LIMIT 3")
        assert not twice, f"events that came twice: {twice}"
        count = 500 + 50 * options.kills + SEGMENTS * POSTS
        assert rows[0]["logs"] == count, f"{rows[0]['logs']} of {count} messages"
        moved = query(druid_sql, "SELECT COUNT(*) AS n FROM pomocore_spans WHERE sign < 0")[0]["n"]
        assert moved, "nothing was classified otherwise"
        print(
            f"{count:,} messages, {options.kills} kills, {before:,} events, {moved} of them negative: Druid is as "
            f"the boards {caught_up:.1f} s after all was exported; {scores} scores are equal"
        )
        for number in range(100):
            _publish(client, rng, 1_000_000 + number)
        late = until(lambda: events_in_druid() == before + 100, "further messages do not come to Druid")
        check_boards(client, druid_sql)
        print(f"100 more messages can be asked for {late:.1f} s after the last")
    if options.superset:
        check_superset(stack, Path(options.superset).resolve(), directory, druid_sql, options.pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--druid", required=True)
    parser.add_argument("--superset", help="a venv with Superset; made if it is missing")
    parser.add_argument("--kills", type=int, default=20, help="of consumer, exporter, broker and indexer")
    parser.add_argument("--pictures", type=Path, help="where to put pictures of both dashboards")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="pomocore-analytics-", ignore_cleanup_errors=True) as directory,
        ExitStack() as stack,
    ):
        try:
            run(options, Path(directory), stack)
        except BaseException:
            for name in ("processes.log", "superset.log"):
                if (path := Path(directory) / name).exists():
                    print(path.read_text()[-3000:])
            raise


if __name__ == "__main__":
    main()
