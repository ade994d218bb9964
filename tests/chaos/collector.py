"""Kills collectors again and again, with Redis and S3 stalled or gone or disks full in between, and counts.

python -m tests.chaos.collector --kills 50 --collectors 2 --without-s3 600

Then each is stopped by SIGTERM under load. Every id that got a 202 must be on the stream once and in the archive
once, and every object must decode.
"""

import argparse
import gzip
import http.client
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.e2e.processes import Running, environment, until
from tests.servers import RedisServer, free_port

_STREAM = "pomodoro_pattern_match_stream"
_FULL_DISK = "the disks are full"
_FAULTS = ["nothing", "redis stalls", "redis is killed", "s3 stalls", "s3 is killed", "both stall", _FULL_DISK]
_FULL_BYTES = 2048
"""So long may a file become on a full disk: some posts still fit."""


class S3:
    """The S3 server of the tests: it can be stalled, killed, and started again on its objects."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.s3_server", str(self.port), str(self.directory)]
        self._process = subprocess.Popen(command)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self) -> None:
        if self._process is not None:
            self.signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None


class Client(threading.Thread):
    """Posts batches, each until it gets a 202. `said` has the ids of those, `refused` counts the answers of 503."""

    def __init__(self, port: int, name: str, stop: threading.Event) -> None:
        super().__init__()
        self.said: list[str] = []
        self.refused = 0
        self.pause = 0.0
        self._port, self._client, self._stopped = port, name, stop

    def run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            ids = [f"{self._client}-{number}-{item}" for item in range(1 + number % 5)]
            if self._post([_span(id_) for id_ in ids]):
                self.said += ids
                number += 1
                time.sleep(self.pause)
            else:
                time.sleep(0.02)

    def _post(self, body: object) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("POST", "/collect", json.dumps(body), {"Content-Type": "application/json"})
            status = connection.getresponse().status
            self.refused += status == 503
            return status == 202
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _span(id_: str) -> dict[str, object]:
    return {"userId": "ann", "app": "Figma", "duration": 1, "timestamp": 1756771234, "session": 1,
            "sessionDate": "2025-09-02", "eventId": id_}  # fmt: skip


def archived(directory: Path) -> Counter[str]:
    """How often each id is in the archive. Raises where an object is not whole."""
    return Counter(
        json.loads(line)["eventId"]
        for path in directory.glob("**/*.jsonl.gz")
        for line in gzip.decompress(path.read_bytes()).splitlines()
    )


class Round:
    """One stretch with a fault, at the end of which the collector is killed."""

    def __init__(self, redis: RedisServer, s3: S3, collectors: "Collectors") -> None:
        self._redis, self._s3, self._collectors = redis, s3, collectors

    def begin(self, fault: str) -> None:
        if fault == _FULL_DISK:
            self._collectors.limit_files(_FULL_BYTES)
        if fault in ("redis stalls", "both stall"):
            self._redis.signal(signal.SIGSTOP)
        if fault in ("s3 stalls", "both stall"):
            self._s3.signal(signal.SIGSTOP)
        if fault == "redis is killed":
            self._redis.kill()
        if fault == "s3 is killed":
            self._s3.end()

    def end(self, fault: str) -> None:
        if fault == "redis is killed":
            self._redis.start()
        elif fault == "s3 is killed":
            self._s3.start()
        elif fault == _FULL_DISK:
            self._collectors.limit_files(resource.RLIM_INFINITY)
        else:
            self._redis.signal(signal.SIGCONT)
            self._s3.signal(signal.SIGCONT)


class Collectors:
    """Collectors of one stream and one archive, each with a disk and a port of its own."""

    def __init__(self, number: int, directory: Path, redis: RedisServer, s3: S3) -> None:
        common = environment(
            REDIS_ADDR=redis.address, COLLECT_FLUSH_SECONDS="0.3", ARCHIVE_URL="s3://pomocore",
            ARCHIVE_S3_ENDPOINT=f"http://127.0.0.1:{s3.port}",
        ) | {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "a", "AWS_REGION": "us-east-1"}  # fmt: skip
        self.ports = [free_port() for _ in range(number)]
        self._settings = [
            common | {"COLLECT_PORT": str(port), "DATA_DIR": str(directory / f"{n}"), "INSTANCE_ID": f"chaos-{n}"}
            for n, port in enumerate(self.ports)
        ]
        self.running = [Running(["cmd.collector"], settings) for settings in self._settings]

    def until_serving(self) -> None:
        for running in self.running:
            running.until_log("Serving POST /collect")

    def kill(self, number: int) -> None:
        self.running[number].kill()

    def start(self, number: int) -> None:
        self.running[number] = Running(["cmd.collector"], self._settings[number])

    def restart(self, number: int) -> None:
        """By SIGTERM, while posts keep coming."""
        stopped = self.running[number]
        assert stopped.stop() == 0, stopped.log
        self.start(number)

    def limit_files(self, size: int) -> None:
        """A file that would become longer cannot be written (EFBIG), as on a full disk, which would want a mount."""
        for running in self.running:
            with suppress(ProcessLookupError):  # it was killed
                resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def megabytes(self) -> list[float]:
        """Resident memory of each."""
        found = [Path(f"/proc/{it.pid}/status").read_text().partition("VmRSS:")[2].split()[0] for it in self.running]
        return [int(text) / 1024 for text in found]

    def spooled(self) -> int:
        return sum(len([*Path(it["DATA_DIR"], "collector").glob("*.log")]) for it in self._settings)


def without_s3(s3: S3, collectors: Collectors, clients: list[Client], seconds: float) -> None:
    """S3 is gone while posts keep coming: memory must be flat, and what waits is archived when it is back."""
    for client in clients:
        client.pause = 0.02
    s3.end()
    time.sleep(seconds / 4)
    early = collectors.megabytes()
    time.sleep(seconds * 3 / 4)
    late, waiting = collectors.megabytes(), collectors.spooled()
    s3.start()
    shown = ", ".join(f"{before:.0f} to {after:.0f} MB" for before, after in zip(early, late, strict=True))
    print(f"{seconds:.0f} s without S3: {waiting} segments waited, memory {shown}")
    assert waiting > len(collectors.running)
    assert all(after < before + 16 for before, after in zip(early, late, strict=True))


def run(kills: int, seed: int, directory: Path, number: int, seconds: float) -> None:
    dice = random.Random(seed)
    (directory / "redis").mkdir()
    redis, s3 = RedisServer(directory / "redis").start(), S3(directory / "s3")
    s3.start()
    collectors = Collectors(number, directory, redis, s3)
    stop = threading.Event()
    clients = [Client(collectors.ports[name % number], str(name), stop) for name in range(4)]
    try:
        for client in clients:
            client.start()
        faults = [it for _ in range(0, kills, len(_FAULTS)) for it in dice.sample(_FAULTS, len(_FAULTS))][:kills]
        for fault in faults:
            collectors.until_serving()
            each, killed = Round(redis, s3, collectors), dice.randrange(number)
            refused = [client.refused for client in clients]
            each.begin(fault)
            if fault == _FULL_DISK:
                until(lambda before=refused: [it.refused for it in clients] != before, "a full disk refuses posts")
            time.sleep(dice.uniform(0.05, 0.6))
            collectors.kill(killed)
            if dice.random() < 0.5:
                each.end(fault)
                collectors.start(killed)
            else:
                collectors.start(killed)
                collectors.until_serving()
                time.sleep(dice.uniform(0.05, 0.3))
                each.end(fault)
        for each_one in range(number):
            collectors.until_serving()
            collectors.restart(each_one)
        collectors.until_serving()
        if seconds:
            without_s3(s3, collectors, clients, seconds)
        stop.set()
        for client in clients:
            client.join()
        said = {id_ for client in clients for id_ in client.said}
        with redis.client() as reader:
            until(lambda: said <= {it["eventId"] for _, it in reader.xrange(_STREAM)}, "all is on the stream")
            stream = Counter(it["eventId"] for _, it in reader.xrange(_STREAM))
        patience = 40 + collectors.spooled() * 0.1  # one segment after the other, so that live traffic comes first
        until(lambda: collectors.spooled() == 0, "nothing waits for the archive", patience)
        for running in collectors.running:
            assert running.stop() == 0, running.log
        archive = archived(s3.directory)
        missing = said - archive.keys()
        twice = [id_ for counted in (stream, archive) for id_, count in counted.items() if count > 1]
        print(f"{kills} kills, {len(said)} ids said, {dict(Counter(faults))}")
        print(
            f"on the stream {stream.total()}, archived {archive.total()}, missing {len(missing)}, twice {len(twice)}"
        )
        assert not missing, sorted(missing)[:5]
        assert not twice, twice[:5]
    finally:
        stop.set()
        for running in collectors.running:
            running.end()
        s3.end()
        redis.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--collectors", type=int, default=1)
    parser.add_argument("--without-s3", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}")
    with tempfile.TemporaryDirectory(prefix="pomocore-") as directory:
        run(chosen.kills, chosen.seed, Path(directory), chosen.collectors, chosen.without_s3)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
