"""Consumers, exporters and a Kafka broker die, boards are lost and rebuilt; the sums of the topic are the boards.

python -m tests.chaos.exporters --broker ../shared/tools/kafka-broker [--kills 20] [--seconds 40]
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from datetime import date
from math import isclose
from pathlib import Path
from random import Random
from typing import Any

from domains.activityEvent.model import EventMaker
from domains.kernel.errors import PipelineError
from domains.leaderboard.model import Period
from infrastructure.kafka.event_sink import KafkaEventSink
from infrastructure.redis.keys import StreamKeys
from tests.messages import SEOUL, message
from tests.servers import RedisServer, free_port

STREAM, KEY = "pomodoro_pattern_match_stream", "the key of the fault suite"
APPS = ["Visual Studio Code", "Figma", "Slack", "Steam", "Nobody Knows This", "카카오톡"]
URLS = ["", "https://github.com/pomocore/pipeline", "https://www.youtube.com/watch?v=1"]
_RUNNING_SECONDS = 240


class Process:
    """Started, and killed with all its children."""

    def __init__(self, *command: str, environment: dict[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, environment, log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._command,
                env=os.environ | self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def kill(self) -> None:
        os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


def _publish(client: Any, rng: Random, number: int) -> None:
    at = 1756771234 + rng.randrange(5 * 86_400)
    fields = message(
        userId=f"user-{rng.randrange(20)}",
        app=rng.choice(APPS),
        url=rng.choice(URLS),
        duration=repr(round(rng.uniform(0, 300), 3)),
        timestamp=repr(float(at)),
        chaosNumber=str(number),
    )
    client.xadd(STREAM, fields)


async def _run(broker_tool: str, kills: int, seconds: float, seed: int, directory: Path) -> list[str]:
    rng = Random(seed)
    redis = RedisServer(directory).start()
    kafka_port = free_port()
    bootstrap = f"127.0.0.1:{kafka_port}"
    environment = {
        "REDIS_ADDR": redis.address,
        "DATA_DIR": str(directory / "data"),
        "EVENTS": "true",
        "EVENTS_USER_KEY": KEY,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "HTTP_PORT": "",
        "CLAIM_IDLE_MS": "2000",
        "STREAM_KEY": STREAM,
    }
    log = directory / "processes.log"
    broker = Process(broker_tool, str(kafka_port), str(directory / "kafka"), environment={}, log=log)
    python = [sys.executable, "-m"]
    consumers = [Process(*python, "cmd.stream_consumer", environment=environment, log=log) for _ in range(2)]
    exporters = [Process(*python, "cmd.export", environment=environment, log=log) for _ in range(2)]
    every = [broker, *consumers, *exporters]
    try:
        with redis.client() as client:
            number, killed, started = 0, 0, time.monotonic()
            while time.monotonic() - started < seconds or killed < kills:
                for _ in range(rng.randrange(60)):
                    _publish(client, rng, number := number + 1)
                await asyncio.sleep(0.1)
                if killed < kills and time.monotonic() - started > 5 + seconds * killed / kills:
                    victim = rng.choice([broker, *consumers * 2, *exporters * 2])
                    victim.kill()
                    await asyncio.sleep(rng.uniform(0, 1))
                    victim.start()
                    killed += 1
                    if killed % 3 == 0:
                        _tamper(client, rng)
            published = time.monotonic()
            await _drained(client, StreamKeys(STREAM), started + _RUNNING_SECONDS)
            print(
                f"{number} messages, {killed} kills; all events in Kafka {time.monotonic() - published:.1f} s later"
            )
            return await _differences(client, bootstrap, number)
    finally:
        for process in every:
            process.kill()
        redis.stop()


def _tamper(client: Any, rng: Random) -> None:
    """A board is lost or wrong, and is rebuilt while all goes on: its days are then compared with the logs."""
    board = rng.choice(sorted(client.scan_iter("leaderboard:*:2025-09-*", count=1000)) or [None])
    if board and rng.random() < 0.5:
        client.delete(board)
    elif board:
        client.zincrby(board, 1000, "user-1")
    for day in range(2, 8):
        params = {"date": f"2025-09-{day:02}", "force": True}
        client.rpush("pomocore:commands", json.dumps({"task_type": "rebuild_leaderboard", "params": params}))


async def _drained(client: Any, keys: StreamKeys, deadline: float) -> None:
    def left() -> int:
        (group,) = client.xinfo_groups(keys.stream) or [{"pending": 1}]
        behind = len(client.xrange(keys.stream, f"({group.get('last-delivered-id', '0-0')}", count=1))
        waiting = client.llen("pomocore:commands") + client.llen("pomocore:commands:processing")
        return int(group["pending"]) + behind + client.xlen(keys.events) + waiting + client.scard(keys.events_stale)

    while left():
        assert time.monotonic() < deadline, "not all is committed and exported"
        await asyncio.sleep(0.05)


async def _differences(client: Any, bootstrap: str, number: int) -> list[str]:
    """What of the topic differs from the boards, and from what was published."""
    sink, pseudonym = KafkaEventSink(bootstrap_servers=bootstrap), EventMaker(KEY.encode(), SEOUL).pseudonym
    days = [f"2025-09-{day:02}" for day in range(1, 9)]
    for attempt in range(5):
        try:
            events = [event async for _, event in sink.of_days(days)]
            break
        except PipelineError:
            if attempt == 4:
                raise
            await asyncio.sleep(2)
    sums: defaultdict[tuple[str, str], float] = defaultdict(float)
    for event in events:
        for period in Period:
            for name in [event.category, *(["work"] if event.work else [])]:
                sums[f"leaderboard:{name}:{period.label(date.fromisoformat(event.day))}", event.user] += event.seconds
    boards = {
        (key, pseudonym(user)): score
        for key in client.scan_iter("leaderboard:*", count=1000)
        for user, score in client.zrange(key, 0, -1, withscores=True)
    }
    twice = [event_id for event_id, count in Counter(event.event_id for event in events).items() if count > 1]
    logs = {event.log_id for event in events}
    print(f"{len(events)} events of {len(logs)} logs, {len(boards)} scores")
    wrong = [f"{key}: {sums.get(key)} in Kafka, {boards.get(key)} on the board" for key in sums.keys() | boards.keys()
             if not isclose(sums.get(key, 0.0), boards.get(key, 0.0), rel_tol=1e-9, abs_tol=1e-5)]  # fmt: skip
    if twice:
        wrong.append(f"events that came twice: {twice[:3]}")
    if len(logs) != number:
        wrong.append(f"{number} logs were published, and {len(logs)} have events")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", required=True, help="starts a Kafka broker: BROKER PORT DIRECTORY")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--seed", type=int, default=Random().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="pomocore-exporters-", ignore_cleanup_errors=True) as directory:
        work = _run(
            str(Path(options.broker).resolve()), options.kills, options.seconds, options.seed, Path(directory)
        )
        try:
            wrong = asyncio.run(work)
        except BaseException:
            print((Path(directory) / "processes.log").read_text()[-6000:])
            raise
    print(*wrong[:10], sep="\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
