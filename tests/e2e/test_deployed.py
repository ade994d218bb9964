"""The consumer as it is deployed: real servers, settings from the environment, JSON logs."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from infrastructure.process.embedded_redis import find_redis_server
from tests.e2e.conftest import Places
from tests.e2e.processes import ROOT, Running, until
from tests.messages import data_id, linked_message, log_id, message, spring_data, spring_log
from tests.servers import RedisServer, free_port, redis_with_sentinels

NAMES = {
    "today's documents": {},
    "the server's current release": {
        "STREAM_KEY": "pattern_match_stream",
        "STREAM_GROUP": "pattern_match_group",
        "STREAM_CONSUMER": "pattern_match_consumer",
    },
}
BOARD = "leaderboard:work:2025-09-02"
PASSWORD = "s3cret-redis"


@pytest.fixture
def guarded_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server that wants a password."""
    server = RedisServer(tmp_path).start()
    with server.client() as client:
        client.config_set("requirepass", PASSWORD)
    yield server
    server.stop()


def json_lines(running: Running) -> list[dict[str, Any]]:
    return [json.loads(line) for line in running.log.splitlines()]


@pytest.mark.mongo
@pytest.mark.parametrize("names", NAMES.values(), ids=list(NAMES))
def test_beside_a_spring_server(
    place: Places, guarded_redis: RedisServer, mongo_uri: str, mongo_database: str, names: dict[str, str]
) -> None:
    pipeline = place(
        APP_ENV="prod",
        REDIS_ADDR=guarded_redis.address,
        REDIS_PASSWORD=PASSWORD,
        MONGO_URI=mongo_uri,
        MONGO_DATABASE=mongo_database,
        INSTANCE_ID="blue",
        **names,
    )
    stream = names.get("STREAM_KEY", "pomodoro_pattern_match_stream")
    group = names.get("STREAM_GROUP", "pomodoro_pattern_match_group")
    name = names.get("STREAM_CONSUMER", "pomodoro_pattern_match_consumer")
    with MongoClient(mongo_uri, tz_aware=True) as mongo, guarded_redis.client(password=PASSWORD) as client:
        database = mongo[mongo_database]
        development = ObjectId()
        database.category_pattern.insert_one(
            {
                "_id": development,
                "category": "Development",
                "priority": 1,
                "appPatterns": ["Visual Studio Code"],
                "domainPatterns": [],
            }
        )
        database.categorized_data.insert_one(spring_data(1))
        database.pomodoro_usage_log.insert_one(spring_log(1))
        client.xadd(stream, linked_message(1))  # published before the group is there
        consumer = pipeline.consumer()
        client.xadd(stream, message(userId="ann", isEnd="true"))
        consumer.until(lambda: client.zcard(BOARD) == 2, "both kinds are counted")
        until(lambda: client.xlen("session_score_stream") == 1, "the session has ended")

        assert [consumer["name"] for consumer in client.xinfo_consumers(stream, group)] == [f"{name}-blue"]
        assert client.zrange(BOARD, 0, -1, withscores=True) == [("ann", 120.0), ("user-1", 120.0)]
        assert database.categorized_data.find_one({"_id": ObjectId(data_id(1))})["categoryId"] == development
        assert database.pomodoro_usage_log.find_one({"_id": ObjectId(log_id(1))})["categoryId"] == development
        log = database.pomodoro_usage_log.find_one({"userId": "ann"})
        assert log["categoryId"] == development
        assert log["sessionDate"] == datetime(2025, 9, 1, 15, tzinfo=UTC)
        assert sorted(pattern["category"] for pattern in database.category_pattern.find()) == [
            "Development",
            "Uncategorized",
        ]

    assert consumer.stop() == 0
    lines = json_lines(consumer)
    assert {"start", "patterns", "commit", "leaderboard", "session_end", "stopping", "stopped"} <= {
        line["action"] for line in lines
    }
    assert "s3cret" not in consumer.log
    assert "pomocore — README" not in consumer.log
    assert not pipeline.redis_runs(), "nothing is embedded here"
    assert list(pipeline.directory.iterdir()) == []


def test_a_wrong_password_is_an_outage_that_is_told_of(place: Places, guarded_redis: RedisServer) -> None:
    pipeline = place(REDIS_ADDR=guarded_redis.address, REDIS_PASSWORD="s3cret-wrong", SHUTDOWN_TIMEOUT="0.2")
    consumer = pipeline.start("stream_consumer")
    consumer.until_log("Outage, waiting")
    with guarded_redis.client(password=PASSWORD) as client:
        client.config_set("requirepass", "s3cret-wrong")
    consumer.until_log("Outage is over")

    assert consumer.stop() == 0
    assert "s3cret" not in consumer.log


def _has_tls(executable: str) -> bool:
    tried = subprocess.run(
        [executable, "--port", "0", "--tls-port", "1"], capture_output=True, text=True, timeout=20, check=False
    )
    return "tls-cert-file" in tried.stdout


class Authority:
    """A CA of the test's own. Files have the name that was asked for, and `.pem` and `.key`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._openssl(
            "req", "-x509", *self._new_key("ca"), "-subj", "/CN=CA", "-days", "2", "-out", self.certificate("ca")
        )

    def certificate(self, name: str) -> str:
        return str(self._directory / f"{name}.pem")

    def key(self, name: str) -> str:
        return str(self._directory / f"{name}.key")

    def issue(self, name: str) -> None:
        request, extensions = self._directory / f"{name}.csr", self._directory / "extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
        self._openssl("req", *self._new_key(name), "-subj", f"/CN={name}", "-out", str(request))
        self._openssl(
            *("x509", "-req", "-in", str(request), "-days", "2", "-extfile", str(extensions), "-CAcreateserial"),
            *("-CA", self.certificate("ca"), "-CAkey", self.key("ca"), "-out", self.certificate(name)),
        )

    def _new_key(self, name: str) -> tuple[str, ...]:
        return ("-newkey", "rsa:2048", "-nodes", "-keyout", self.key(name))

    def _openssl(self, *arguments: str) -> None:
        try:
            subprocess.run(["openssl", *arguments], capture_output=True, check=True)
        except FileNotFoundError:
            pytest.skip("there is no openssl on PATH to make certificates with")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path)
    for name in ("server", "client"):
        authority.issue(name)
    return authority


@pytest.fixture(params=["no", "yes"])
def tls_redis(
    request: pytest.FixtureRequest, tmp_path: Path, authority: Authority
) -> Iterator[tuple[RedisServer, int]]:
    """A redis-server with TLS that asks clients for a certificate or does not, and its port for TLS."""
    if not _has_tls(find_redis_server()):
        pytest.skip(f"{find_redis_server()} was built without TLS")
    port = free_port()
    files = (authority.certificate("server"), authority.key("server"), authority.certificate("ca"))
    options = zip(("--tls-cert-file", "--tls-key-file", "--tls-ca-cert-file"), files, strict=True)
    arguments = [part for option in options for part in option]
    server = RedisServer(tmp_path, "--tls-port", str(port), *arguments, "--tls-auth-clients", request.param).start()
    yield server, port
    server.stop()


@pytest.mark.parametrize("tls_redis", ["no"], indirect=True)
def test_by_tls(place: Places, tls_redis: tuple[RedisServer, int], authority: Authority) -> None:
    server, port = tls_redis
    pipeline = place(REDIS_ADDR=f"localhost:{port}", REDIS_TLS="true", REDIS_TLS_CA=authority.certificate("ca"))
    consumer = pipeline.consumer()
    with server.client() as client:
        client.xadd("pomodoro_pattern_match_stream", message())
        consumer.until(lambda: client.zscore(BOARD, "user-1") == 120.0, "it is counted")
    assert pipeline.board("work") == {"user-1": 120.0}

    consumer.send(signal.SIGTERM)
    stranger = pipeline.run("leaderboard", "work", REDIS_TLS_CA="")
    assert stranger.code == 1, "a certificate that nobody vouches for is not accepted"
    assert "Traceback" not in stranger.err
    assert consumer.wait() == 0


@pytest.mark.parametrize("tls_redis", ["yes"], indirect=True)
def test_by_tls_with_a_client_certificate(
    place: Places, tls_redis: tuple[RedisServer, int], authority: Authority
) -> None:
    server, port = tls_redis
    pipeline = place(
        REDIS_ADDR=f"localhost:{port}",
        REDIS_TLS="true",
        REDIS_TLS_CA=authority.certificate("ca"),
        REDIS_TLS_CERT=authority.certificate("client"),
        REDIS_TLS_KEY=authority.key("client"),
    )
    consumer = pipeline.consumer()
    with server.client() as client:
        client.xadd("pomodoro_pattern_match_stream", message())
        consumer.until(lambda: client.zscore(BOARD, "user-1") == 120.0, "it is counted")
    assert consumer.stop() == 0

    stranger = pipeline.run("leaderboard", "work", REDIS_TLS_CERT="", REDIS_TLS_KEY="")
    assert stranger.code == 1, "this server asks for a certificate"
    assert "Traceback" not in stranger.err


def test_sentinels_and_a_failover(place: Places, tmp_path: Path) -> None:
    with redis_with_sentinels(tmp_path) as (master, replica, sentinels):
        pipeline = place(REDIS_SENTINELS=", ".join(sentinel.address for sentinel in sentinels), APP_ENV="dev")
        consumer = pipeline.consumer()
        with master.client() as client:
            client.xadd("pomodoro_pattern_match_stream", message())
            consumer.until(lambda: client.zscore(BOARD, "user-1") == 120.0, "it is counted")
            client.wait(1, 0)
        master.kill()
        sentinels[0].kill()
        with replica.client() as client:
            consumer.until(lambda: client.role()[0] == "master", "the replica is promoted")
            client.xadd("pomodoro_pattern_match_stream", message())
            consumer.until(lambda: client.zscore(BOARD, "user-1") == 240.0, "it goes on there")
        assert pipeline.board("work") == {"user-1": 240.0}
        assert not pipeline.redis_runs(), "nothing is embedded here"
        assert consumer.stop() == 0


def test_what_restores_redis_in_its_container_works_as_typed(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    (script,) = re.findall(r"run --rm -T redis sh -c '(.*?)' < redis-backup.rdb", page, re.DOTALL)
    data, bin_, port = tmp_path / "data", tmp_path / "bin", free_port()
    for directory in (data, bin_):
        directory.mkdir()
    for name, option in (("redis-server", "--port"), ("redis-cli", "-p")):  # a container has a port of its own
        command = f"{Path(find_redis_server()).with_name(name)} {option} {port}"
        (bin_ / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (bin_ / name).chmod(0o755)
    server = RedisServer(data).start()
    with server.client() as client:
        client.zadd("board", {"user": 1.5})
        client.save()
    backup = (data / "dump.rdb").read_bytes()
    with server.client() as client:
        client.zadd("board", {"user": 9.0})
    server.stop()
    environment = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "REDISCLI_AUTH": "of the container"}

    subprocess.run(["sh", "-c", script], cwd=data, env=environment, input=backup, check=True, timeout=60)

    server = RedisServer(data).start()
    with server.client() as client:
        assert client.zscore("board", "user") == 1.5
    server.stop()


def test_boards_are_whole_again_after_redis_was_lost(place: Places, tmp_path: Path) -> None:
    """The drill of docs/operations.md: a backup, a loss, a restore, and boards recomputed from the usage logs."""
    directory, backup = tmp_path / "redis", tmp_path / "redis-backup.rdb"
    directory.mkdir()
    server = RedisServer(directory).start()
    pipeline = place(REDIS_ADDR=server.address)
    consumer = pipeline.consumer()

    def send(users: range) -> None:
        with server.client() as client:
            for user in users:
                client.xadd("pomodoro_pattern_match_stream", message(userId=f"user-{user}"))
        consumer.until(lambda: len(boards()["leaderboard:work:2025-M9"]) == users.stop, "all are counted")

    def boards() -> dict[str, dict[str, float]]:
        with server.client() as client:
            keys = {"leaderboard:work:2025-M9", *client.keys("leaderboard:*")}
            return {key: dict(client.zrange(key, 0, -1, withscores=True)) for key in keys}

    try:
        send(range(10))
        with server.client() as client:
            client.save()
        shutil.copy(directory / "dump.rdb", backup)
        send(range(10, 30))
        whole = boards()

        server.kill()
        shutil.rmtree(directory)
        directory.mkdir()
        shutil.copy(backup, directory / "dump.rdb")
        port, server = server.port, RedisServer(directory, "--appendonly", "no")
        server.port, server.address = port, f"127.0.0.1:{port}"
        server.start()
        with server.client() as client:
            client.config_set("appendonly", "yes")
        assert len(boards()["leaderboard:work:2025-M9"]) == 10

        consumer.until(lambda: "Outage is over" in consumer.log, "it has reconnected")
        rebuilt = pipeline.run(
            "send", "rebuild_leaderboard", "--param", "date=2025-09-02", "--param", "force=true", "--wait"
        )
        assert rebuilt.code == 0, rebuilt
        assert boards() == whole
        send(range(30, 31))
        assert consumer.stop() == 0
    finally:
        server.stop()
