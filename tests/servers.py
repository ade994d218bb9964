"""Real servers for tests. They are private, listen on free ports, and end with the run."""

import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from infrastructure.process.embedded_redis import find_redis_server

_START_SECONDS = 60
_PORTS = range(10_000, 22_768)
"""The system gives none of these ports, nor those 10,000 above, to outgoing connections (Linux: from 32,768). Such a
connection could take the port of a server that is being restarted."""


def free_port(also_free: int = 0) -> int:
    """A free port. The port `also_free` above it is free, too (a cluster's bus is 10,000 above)."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, socket.socket() as above:
            try:
                probe.bind(("127.0.0.1", port))
                above.bind(("127.0.0.1", port + also_free if also_free else 0))
            except OSError:
                continue
            return port


class RedisServer:
    """A private redis-server with AOF on. It can be killed and restarted on the same port and data."""

    def __init__(self, directory: Path, *options: str, executable: str | None = None) -> None:
        self.port = free_port(also_free=10_000 if "--cluster-enabled" in options else 0)
        self.address = f"127.0.0.1:{self.port}"
        self._directory = directory
        self._options = options
        self._executable = executable or find_redis_server()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "RedisServer":
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        with self.client() as client:
            _until(lambda: client.ping(), redis.RedisError, "redis-server")
        return self

    @property
    def _command(self) -> list[str]:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory), "--save", ""]
        return [self._executable, *arguments, "--appendonly", "yes", "--appendfsync", "always", *self._options]

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True, **options)  # type: ignore[arg-type]

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None


def documented_user(password: str) -> list[str]:
    """ACL SETUSER with the arguments that docs/operations.md has for the pipeline's user, whose name is the first."""
    page = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^redis-cli ACL SETUSER (.*)$", page.replace("\\\n", " "), re.MULTILINE)
    return [word.replace("PASSWORD", password) for word in shlex.split(line)]


@contextmanager
def redis_cluster(directory: Path, *options: str, masters: int = 3) -> Iterator[list[RedisServer]]:
    """A cluster of masters without replicas that share the slots evenly."""
    servers = []
    try:
        for number in range(masters):
            (directory / str(number)).mkdir()
            clustered = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
            server = RedisServer(directory / str(number), *clustered, *options)
            servers.append(server.start())
        edges = [16384 * number // masters for number in range(masters + 1)]
        for server, first, after in zip(servers, edges, edges[1:], strict=False):
            with server.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *range(first, after))
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[0].port)
        for server in servers:
            with server.client() as client:
                _until(lambda: _cluster_is_up(client), AssertionError, "the cluster")
        yield servers
    finally:
        for server in servers:
            server.kill()


@contextmanager
def redis_with_sentinels(directory: Path) -> Iterator[tuple[RedisServer, RedisServer, list[RedisServer]]]:
    """A master named `mymaster`, its replica, and three sentinels that fail over within a second or two."""
    servers: list[RedisServer] = []
    for name in ("master", "replica"):
        (directory / name).mkdir()
    try:
        servers.append(master := RedisServer(directory / "master").start())
        follow = ("--replicaof", "127.0.0.1", str(master.port), "--repl-diskless-sync-delay", "0")
        servers.append(replica := RedisServer(directory / "replica", *follow).start())
        with replica.client() as client:
            _until(lambda: _follows(client), AssertionError, "the replica")
        watch = (
            f"sentinel monitor mymaster 127.0.0.1 {master.port} 2\n"
            "sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 5000\n"
        )
        sentinels = [Sentinel(directory / f"sentinel-{number}", watch) for number in range(3)]
        servers += sentinels
        for sentinel in sentinels:
            sentinel.start()
        for sentinel in sentinels:
            with sentinel.client() as client:
                _until(lambda: _sees_the_others(client), AssertionError, "the sentinels")
        yield master, replica, sentinels
    finally:
        for server in servers:
            server.kill()


class Sentinel(RedisServer):
    def __init__(self, directory: Path, config: str) -> None:
        super().__init__(directory)
        directory.mkdir()
        (directory / "sentinel.conf").write_text(f"port {self.port}\nbind 127.0.0.1\ndir {directory}\n{config}")

    @property
    def _command(self) -> list[str]:
        return [self._executable, str(self._directory / "sentinel.conf"), "--sentinel"]


def _follows(client: redis.Redis) -> None:
    assert client.info("replication")["master_link_status"] == "up"  # type: ignore[index]


def _sees_the_others(client: redis.Redis) -> None:
    state = client.sentinel_master("mymaster")
    assert (state["num-other-sentinels"], state["num-slaves"]) == (2, 1)  # type: ignore[index]


def _cluster_is_up(client: redis.Redis) -> None:
    assert "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO"))


@contextmanager
def mongo_server(directory: Path) -> Iterator[tuple[str, str]]:
    """Yields (URI, description): MONGO_TEST_URI, else a container if Docker runs, else nx-27017 from PyPI."""
    if uri := os.environ.get("MONGO_TEST_URI"):
        yield uri, "the server of MONGO_TEST_URI"
    elif shutil.which("docker") and _docker_answers():
        with _container() as uri:
            yield uri, "MongoDB 7 in a container"
    else:
        with _nx_27017(directory) as uri:
            yield uri, "nx-27017 (no MONGO_TEST_URI, no Docker that answers)"


def mongo_kind() -> str:
    """A description of what `mongo_server` will use, for the test header."""
    if os.environ.get("MONGO_TEST_URI"):
        return "the server of MONGO_TEST_URI"
    return "a container" if shutil.which("docker") and _docker_answers() else "nx-27017 (PyPI)"


def _docker_answers() -> bool:
    try:
        have = subprocess.run(["docker", "image", "inspect", "mongo:7"], capture_output=True, timeout=20, check=False)
        if have.returncode == 0:
            return True
        pull = subprocess.run(["docker", "pull", "-q", "mongo:7"], capture_output=True, timeout=180, check=False)
        return pull.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.mongodb import MongoDbContainer

    with MongoDbContainer("mongo:7") as container:
        yield container.get_connection_url()


@contextmanager
def _nx_27017(directory: Path) -> Iterator[str]:
    port = free_port()
    executable = Path(sys.executable).with_name("nx-27017")
    files = ["--data-dir", "memory", "--log-file", directory / "nx.log", "--pid-file", directory / "nx.pid"]
    process = subprocess.Popen(
        [executable, "--port", str(port), *files], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    uri = f"mongodb://127.0.0.1:{port}"
    try:
        with MongoClient(uri, serverSelectionTimeoutMS=500) as client:
            _until(lambda: client.admin.command("ping"), PyMongoError, "nx-27017")
        yield uri
    finally:
        process.terminate()
        process.wait(10)


def _until(answers: object, error: type[Exception], what: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            answers()  # type: ignore[operator]
        except error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} does not answer") from None
            time.sleep(0.02)
        else:
            return


def find_postgres() -> Path | None:
    """Where the programs of a PostgreSQL server are, if there is one on this machine."""
    on_path = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    places = [*on_path, *sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    needed = ("initdb", "postgres", "pg_isready")
    whole = [place for place in places if all((place / name).exists() for name in needed)]
    return whole[-1] if whole else None


@contextmanager
def postgres_server(directory: Path) -> Iterator[str]:
    """POSTGRES_TEST_URL, or the URL of a private server, which refuses to run as root: root starts it as postgres."""
    if url := os.environ.get("POSTGRES_TEST_URL"):
        yield url
        return
    programs, port, as_other = find_postgres(), free_port(), list[str]()
    assert programs is not None
    home = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # pytest's own directories are closed to other users
    if os.getuid() == 0:
        shutil.chown(home, "postgres")
        as_other = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]
    initdb = [
        *as_other,
        str(programs / "initdb"),
        "-D",
        f"{home}/data",
        "-A",
        "trust",
        "-U",
        "postgres",
        "-E",
        "UTF8",
    ]
    subprocess.run([*initdb, "--no-sync"], check=True, stdout=subprocess.DEVNULL)
    options = ["-D", f"{home}/data", "-p", str(port), "-k", str(home), "-c", "listen_addresses=127.0.0.1"]
    server = subprocess.Popen(
        [*as_other, str(programs / "postgres"), *options, "-c", "fsync=off"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ask = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        _until(lambda: subprocess.run(ask, check=True), subprocess.CalledProcessError, "PostgreSQL")
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(home, ignore_errors=True)
