"""The consumer as it is deployed: real servers, settings from the environment, JSON logs."""

import json
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
from tests.e2e.processes import Running, until
from tests.messages import data_id, linked_message, log_id, message, spring_data, spring_log
from tests.servers import RedisServer, free_port

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


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[tuple[RedisServer, int, Path]]:
    """A redis-server with TLS, its port, and the CA that has signed its certificate."""
    if not _has_tls(find_redis_server()):
        pytest.skip(f"{find_redis_server()} was built without TLS")
    certificate, key, port = tmp_path / "ca.pem", tmp_path / "key.pem", free_port()
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
                *(
                    "-addext",
                    "subjectAltName=IP:127.0.0.1,DNS:localhost",
                    "-keyout",
                    str(key),
                    "-out",
                    str(certificate),
                ),
            ],
            capture_output=True,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("there is no openssl on PATH to make a certificate with")
    options = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate]
    server = RedisServer(tmp_path, "--tls-port", str(port), *map(str, options), "--tls-auth-clients", "no").start()
    yield server, port, certificate
    server.stop()


def test_by_tls(place: Places, tls_redis: tuple[RedisServer, int, Path]) -> None:
    server, port, certificate = tls_redis
    pipeline = place(REDIS_ADDR=f"localhost:{port}", REDIS_TLS="true", REDIS_TLS_CA=str(certificate))
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
