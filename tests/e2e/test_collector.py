"""The collector as a user runs it, and as production kills it."""

import gzip
import http.client
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.collector.tokens import Tokens
from tests.e2e.conftest import Places
from tests.e2e.processes import Pipeline, Running, until
from tests.servers import free_port

KILLS = int(os.environ.get("COLLECT_KILLS", "2"))
"""How often the collector is killed; tests.chaos.collector kills it more often, and Redis and S3 beside it."""


def collector(place: Pipeline, **settings: str) -> Running:
    running = place.start("collector", **settings)
    running.until_log("Serving POST /collect")
    return running


def span(user: str, **fields: object) -> dict[str, object]:
    return {
        "userId": user,
        "app": "Visual Studio Code",
        "duration": 60,
        "timestamp": 1756771234,
        "session": 1,
        "sessionDate": "2025-09-02",
    } | fields


def post(port: int, body: object, **headers: str) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/collect", json.dumps(body), {"Content-Type": "application/json"} | headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def http_get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def archived(directory: Path) -> list[str]:
    """The ids in the archive; fails where an object is not whole."""
    objects = sorted((directory / "archive").glob("collect/date=*/hour=*/*.jsonl.gz"))
    return [json.loads(line)["eventId"] for it in objects for line in gzip.decompress(it.read_bytes()).splitlines()]


def on_stream(place: Pipeline) -> list[str]:
    with place.redis() as client:
        return [fields["eventId"] for _, fields in client.xrange("pomodoro_pattern_match_stream")]


class Clients:
    """Threads that post, each event until it gets a 202; `said` has the ids of those."""

    def __init__(self, port: int) -> None:
        self.said: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(4)]
        for thread in self._threads:
            thread.start()

    def _run(self, client: int) -> None:
        number = 0
        while not self._stop.is_set():
            ids = [f"{client}-{number}-{n}" for n in range(3)]
            if self._post([span("ann", eventId=id_) for id_ in ids]):
                self.said += ids
                number += 1
            else:
                time.sleep(0.01)

    def _post(self, body: object) -> bool:
        try:
            return post(self._port, body)[0] == 202
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def test_a_span_that_is_posted_beside_the_consumer_is_on_a_board(place: Places) -> None:
    """And what breaks the contract is a dead letter with its place in the archive."""
    pipeline, port = place(), free_port()
    running = pipeline.consumer(COLLECT_PORT=str(port))
    running.until_log("Serving POST /collect")
    status, _ = post(port, span("ann"))
    with pipeline.redis() as client:
        until(lambda: client.zscore("leaderboard:Development:2025-09-02", "ann") == 60.0, "the span is on a board")
        assert post(port, span("ann", duration=-1))[0] == 202
        until(lambda: client.xlen("pomodoro_pattern_match_stream:dlq"), "the dead letter is there")
        ((_, letter),) = client.xrange("pomodoro_pattern_match_stream:dlq")
    key, _, _ = json.loads(letter["fields"])["pomocoreOriginalId"].partition("#")

    assert status == 202
    assert running.stop() == 0
    assert (pipeline.directory / "archive" / key).is_file()
    assert len(archived(pipeline.directory)) == 2


def test_what_a_client_sends_again_after_a_kill_is_archived_once(place: Places) -> None:
    pipeline, port = place(), free_port()
    for _ in range(2):
        running = collector(pipeline, COLLECT_PORT=str(port))
        assert post(port, [span("ann", eventId="named"), span("ann", eventId="too")])[0] == 202
        assert post(port, [span("ann"), span("ann")], **{"Idempotency-Key": "key"})[0] == 202
        running.kill()
    running = collector(pipeline, COLLECT_PORT=str(port))
    assert post(port, [span("ann")], **{"Idempotency-Key": "key"})[0] == 422
    until(lambda: len(on_stream(pipeline)) == 4, "all is on the stream")
    assert running.stop() == 0

    assert sorted(archived(pipeline.directory)) == ["key-0", "key-1", "named", "too"]


def test_what_a_client_sends_again_is_archived_once_though_its_segment_has_left(place: Places) -> None:
    pipeline, port = place(), free_port()
    for _ in range(2):
        running = collector(pipeline, COLLECT_PORT=str(port))
        assert post(port, span("ann", eventId="named"))[0] == 202
        assert post(port, span("ann"), **{"Idempotency-Key": "key"})[0] == 202
        assert post(port, span("bob"), **{"Idempotency-Key": "key"})[0] == 422
        assert running.stop() == 0
        assert not [*pipeline.directory.glob("collector/*.log")]

    assert archived(pipeline.directory) == ["named", "key"]


def test_where_202_means_the_stream_a_log_that_was_left_is_not_enough(place: Places) -> None:
    pipeline, port = place(COLLECT_DURABILITY="redis"), free_port()
    running = collector(pipeline, COLLECT_PORT=str(port))
    assert post(port, span("ann", eventId="named"))[0] == 202
    with pipeline.redis() as client:
        client.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
        assert post(port, span("ann", eventId="unsaid"))[0] == 503
        running.kill()
        client.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
        running = collector(pipeline, COLLECT_PORT=str(port))
        assert post(port, span("ann", eventId="unsaid"))[0] == 503


def test_whatever_is_killed_what_got_a_202_is_on_the_stream_once_and_in_the_archive_once(place: Places) -> None:
    pipeline, port = place(COLLECT_FLUSH_SECONDS="0.2"), free_port()
    running = collector(pipeline, COLLECT_PORT=str(port))
    clients = Clients(port)
    for _ in range(KILLS):
        before = len(clients.said)
        until(lambda before=before: len(clients.said) > before + 30, "further posts are accepted")
        running.kill()
        running = collector(pipeline, COLLECT_PORT=str(port))
    clients.stop()
    until(lambda: set(clients.said) <= set(on_stream(pipeline)), "all that got a 202 is on the stream")
    stream = Counter(on_stream(pipeline))
    assert running.stop() == 0

    archive = Counter(archived(pipeline.directory))
    assert set(clients.said) - archive.keys() == set()
    assert [id_ for id_, count in stream.items() if count > 1] == []
    assert [id_ for id_, count in archive.items() if count > 1] == []


def test_a_file_that_cannot_grow_refuses_and_what_got_a_202_is_kept(place: Places) -> None:
    """As on a full disk, without one: what a process may write to a file is limited."""
    pipeline, port = place(COLLECT_FLUSH_SECONDS="60"), free_port()
    said: list[str] = []

    def posted(number: int) -> int:
        ids = [f"{number}-{n}" for n in range(10)]
        status, _ = post(port, [span("ann", eventId=id_, title="t" * 1000) for id_ in ids])
        said.extend(ids if status == 202 else [])
        return status

    running = collector(pipeline, COLLECT_PORT=str(port))
    statuses = [posted(0)]
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
    statuses += [posted(number) for number in range(1, 20)]
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    statuses.append(posted(20))
    until(lambda: set(said) <= set(on_stream(pipeline)), "all that got a 202 is on the stream")
    stream = Counter(on_stream(pipeline))
    assert running.stop() == 0

    assert set(statuses) == {202, 503}
    assert statuses[0] == statuses[-1] == 202
    assert stream == Counter(archived(pipeline.directory)) == Counter(said)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "small disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here: a full disk was not tried")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="a tmpfs is Linux's")
def test_a_full_disk_refuses_and_what_got_a_202_is_kept(place: Places, small_disk: Path) -> None:
    pipeline, port = place(COLLECT_DIR=str(small_disk), COLLECT_FLUSH_SECONDS="0.2"), free_port()
    said: list[str] = []

    def posted(number: int, size: int) -> int:
        ids = [f"{number}-{n}" for n in range(10)]
        status, answer = post(port, [span("ann", eventId=id_, title="t" * size) for id_ in ids])
        if status == 202:
            said.extend(ids)
        else:
            assert (status, list(answer)) == (503, ["error"])
        return status

    (pipeline.directory / "archive").touch()  # it is no directory, so nothing can be archived
    running = collector(pipeline, COLLECT_PORT=str(port))
    statuses = [posted(number, 10_000) for number in range(60)]
    until(lambda: http_get(port, "/readyz") == 503, "it is not ready")
    assert statuses[0] == 202
    assert 503 in statuses
    running.kill()
    (pipeline.directory / "archive").unlink()
    running = collector(pipeline, COLLECT_PORT=str(port))
    until(lambda: posted(len(said) + 100, 100) == 202, "posts are accepted again")
    until(lambda: set(said) <= set(on_stream(pipeline)), "all that got a 202 is on the stream")
    stream = Counter(on_stream(pipeline))
    assert running.stop() == 0

    archive = Counter(archived(pipeline.directory))
    assert set(said) - archive.keys() == set()
    assert [id_ for id_, count in (stream | archive).items() if count > 1] == []


def test_the_command_makes_a_token_of_a_user(place: Places) -> None:
    pipeline = place()

    token = pipeline.run("collector", "token", "--user", "ann", COLLECT_TOKEN_KEY="a-key-of-the-collector")
    assert Tokens(["a-key-of-the-collector"]).user_of(token.out.strip()) == "ann"
    assert pipeline.run("collector", "token", "--user", "ann").code == 2
