"""The pipeline's commands as a user starts them: as processes, from the root of the repository."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infrastructure.settings import Settings

ROOT = Path(__file__).parents[2]
DEADLINE = 120.0
"""Seconds after which a test gives up waiting, even on a busy machine."""


def environment(**settings: str) -> dict[str, str]:
    """The environment of a process: what it needs of this machine's, and `settings`.

    All other settings are empty, which means not set, so that neither the developer's variables nor a `.env` in the
    root reach a test.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    unset = {name.upper(): "" for name in Settings.model_fields}
    return {
        **kept,
        **unset,
        "HTTP_PORT": "0",
        "COLLECT_PORT": "0",
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "200",
        **settings,
    }


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Running:
    """A running process, and its output so far."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=dict(env),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")  # may end within a character

    def until_log(self, text: str) -> None:
        """Waits until it has written `text`."""
        self.until(lambda: text in self.log, f"{text!r} in the log")

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Waits for `condition`. Fails at once if the process ends before."""

        def holds() -> bool:
            ended = self._process.poll() is not None
            if condition():
                return True
            assert not ended, f"ended with {self._process.returncode} before: {what}\n{self.log}"
            return False

        until(holds, lambda: f"{what}\n{self.log}")

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        try:
            return self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self.log}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.send(number)
        return self.wait()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE)

    def end(self) -> None:
        """Kills the process, whatever its state."""
        if self._process.poll() is None:
            self.kill()
        self._log.close()


class Pipeline:
    """A place to run the pipeline in: settings, a directory for the embedded stores, and the processes on them."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        self.settings = {"DATA_DIR": str(directory), "BLOCK_MS": "100", "CLAIM_IDLE_MS": "500"} | settings
        self.running: list[Running] = []

    def run(
        self, command: str, *arguments: str, input: str | None = None, seconds: float = DEADLINE, **settings: str
    ) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", f"cmd.{command}", *arguments],
            cwd=ROOT,
            env=environment(**self.settings | settings),
            input=input if input is not None else "",
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, command: str, *arguments: str, **settings: str) -> Running:
        return self.start_module(f"cmd.{command}", *arguments, **settings)

    def start_module(self, *arguments: str, **settings: str) -> Running:
        running = Running(arguments, environment(**self.settings | settings))
        self.running.append(running)
        return running

    def consumer(self, **settings: str) -> Running:
        """Starts a consumer and returns when it has loaded its patterns: it then handles signals and reads."""
        running = self.start("stream_consumer", **settings)
        running.until_log("Loaded category patterns")
        return running

    def board(self, category: str, period: str = "day", date: str = "2025-09-02") -> dict[str, float]:
        """A board as `cmd.leaderboard --json` prints it."""
        rows = self.run(
            "leaderboard", category, "--period", period, "--date", date, "--limit", "10000", "--json"
        ).json()["rows"]
        return {row["userId"]: row["score"] for row in rows}

    def documents(self, collection: str) -> list[dict[str, Any]]:
        """The rows of an embedded store's table."""
        with closing(sqlite3.connect(f"file:{self.directory}/pomocore.db?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(f"SELECT * FROM {collection}")]

    def redis(self) -> redis.Redis:
        """The embedded redis-server, which has to be running."""
        socket, no_retry = str(self.directory / "redis.sock"), Retry(NoBackoff(), 0)
        return redis.Redis(unix_socket_path=socket, decode_responses=True, retry=no_retry)

    def redis_runs(self) -> bool:
        with self.redis() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def close(self) -> None:
        """Ends all processes, and the embedded redis-server, which killed processes leave running."""
        for running in self.running:
            running.end()
        with self.redis() as client:
            try:
                client.shutdown(nosave=True)
            except redis.RedisError:
                return
        until(lambda: not self.redis_runs(), "the embedded redis-server has ended")


def until(condition: Callable[[], Any], what: str | Callable[[], str], seconds: float = DEADLINE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"in {seconds:.0f} s it did not happen: {what if isinstance(what, str) else what()}")
        time.sleep(0.02)


def jsonl(*messages: Mapping[str, Any]) -> str:
    return "".join(json.dumps(message, ensure_ascii=False) + "\n" for message in messages)
