"""POST /collect over a real socket: who may send, what is refused, and that a 202 is never said too early."""

import asyncio
import gzip
import json
import os
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import zstandard

from domains.collector.model import Durability
from domains.collector.ports import CollectorObserver
from domains.collector.service import Bounds, Collector
from domains.kernel.resilience import cancel_all
from infrastructure.collector.http import Door, DoorOptions
from infrastructure.collector.sealing import seal_records
from infrastructure.collector.span_log import SegmentedSpanLog
from infrastructure.collector.tokens import Tokens
from infrastructure.memory.collector import InMemorySpanPublisher
from infrastructure.replay.archived_spans import lines_of

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}
SPAN = {"userId": "ann", "duration": 1.5}


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]


class Place:
    def __init__(self, collector: Collector, door: Door, url: str, session: aiohttp.ClientSession) -> None:
        self.collector, self.door, self.url, self._session = collector, door, url, session

    async def post(self, body: Any, headers: Mapping[str, str] = JSON) -> Answer:
        data = body if isinstance(body, bytes) or hasattr(body, "__aiter__") else json.dumps(body).encode()
        async with self._session.post(f"{self.url}/collect", data=data, headers=headers) as response:
            return Answer(response.status, await response.json(), response.headers)

    def bodies(self) -> list[bytes]:
        return [record.post.body for record in self.collector.log.recent(2**30)]  # type: ignore[attr-defined]


@asynccontextmanager
async def served(
    directory: Path, keys: str = "", datasync: Callable[[int], None] = os.fdatasync, **options: Any
) -> AsyncIterator[Place]:
    chosen = {"max_body": 4096, "max_event": 512, "rate": 0.0, "origins": frozenset(["https://good"])} | options
    log = SegmentedSpanLog(directory, "one", 2**20, 3600, datasync=datasync)
    bounds = Bounds(100, 2**24, 2**30, 1e10)
    collector = Collector(log, InMemorySpanPublisher(), None, CollectorObserver(), bounds, Durability.DISK)
    door = Door(
        collector, Tokens(keys.split(",") if keys else []), DoorOptions(**chosen), {"/healthz": lambda: b"ok"}
    )
    server = await asyncio.get_running_loop().create_server(door, "127.0.0.1", 0)
    writing = asyncio.create_task(log.run())
    try:
        async with aiohttp.ClientSession() as session:
            yield Place(collector, door, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", session)
    finally:
        server.close()
        await door.close(0)
        await cancel_all([writing])
        log.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with served(tmp_path) as place:
        yield place


async def test_an_object_an_array_and_lines_are_kept_as_they_came(place: Place) -> None:
    bodies = [b' {"a": 1}', b'[{"a":1},\n {"b":2}]', b'{"a":1}\n\n{"b":2}']
    answers = [await place.post(body, LINES if body is bodies[2] else JSON) for body in bodies]

    assert [(it.status, it.body["accepted"]) for it in answers] == [(202, 1), (202, 2), (202, 2)]
    assert place.bodies() == bodies
    ids = [id_ for it in answers for id_ in it.body["eventIds"]]
    assert len(set(ids)) == 5
    assert all(id_.startswith("one-") for id_ in ids)


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
async def test_compressed_bodies_are_inflated_and_bounded(place: Place, encoding: str, compress: Any) -> None:
    headers = JSON | {"Content-Encoding": encoding}
    body = json.dumps([SPAN] * 20).encode()

    assert (await place.post(compress(body), headers)).status == 202
    assert place.bodies() == [body]
    assert (await place.post(compress(b" " * 100_000_000 + b"{}"), headers)).status == 413
    assert (await place.post(compress(body)[:-9], headers)).status == 400
    assert (await place.post(body, headers)).status == 400
    assert len(place.bodies()) == 1


@pytest.mark.parametrize(
    ("title", "text"),
    [
        (rb"\ud83d x", "? x"),
        (rb"x \ude00", "x ?"),
        (rb"\uD83D\uD83D\uDE00\uDE00", "?😀?"),
        (rb"\\ud83d \\\ud83d\n", "\\ud83d \\?\n"),
        (rb"\\ud83d\ude00", "\\ud83d?"),
    ],
)
async def test_half_a_surrogate_pair_is_a_question_mark_as_spring_has_it(
    place: Place, title: bytes, text: str
) -> None:
    """JSON.stringify and Python's json write it. Its neighbours are as they came."""
    event = b'{"title":"%b"}' % title
    bodies = [(event, JSON), (b'[{"n":1}, %b]' % event, JSON), (b'{"n":1}\n%b' % event, LINES)]
    for body, headers in bodies:
        assert (await place.post(body, headers)).status == 202
    records = [*place.collector.log.recent(2**30)]  # type: ignore[attr-defined]
    sealed = seal_records("one", 1, records, 0)

    assert place.bodies() == [body for body, _ in bodies]
    lines = [bytes(line.event) for _, line, _ in lines_of("", sealed.data)]
    assert [it.get("title") for it in map(json.loads, lines)] == [text, None, text, None, text]
    assert lines[1] == b'{"n":1}'


@pytest.mark.parametrize(
    ("body", "headers", "status", "text"),
    [
        (b"{", JSON, 400, "truncated"),
        (b"[]", JSON, 400, "no event"),
        (b"7", JSON, 400, "object"),
        (b'{"a":1}\n{"a":1}\n{"a":', LINES, 400, "line 3"),
        (b'{\n"a":1,\n"b":}', JSON, 400, "line 3"),
        (b'[{"a":1},7]', JSON, 400, "item 1"),
        (b'{"eventId":7}', JSON, 400, "eventId"),
        (b'{"eventId":""}', JSON, 400, "eventId"),
        (b'{"a":1}\n{"title":"\xff"}', LINES, 400, "line 2: a text is not UTF-8"),
        (b'{"title":"\\ud83d"}{', JSON, 400, "trailing"),
        (b'{"a":' + b"[" * 250 + b"1e999" + b"]" * 250 + b"}", JSON, 400, "range"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "Content-Type"),
        (b"{}", JSON | {"Content-Encoding": "br"}, 415, "Content-Encoding"),
        (b'{"a":"' + b"x" * 600 + b'"}', JSON, 413, "512"),
        (b" " * 5000, JSON, 413, "COLLECT_MAX_BODY"),
        (b"{}", JSON | {"Origin": "https://bad"}, 403, "origin"),
        (b"{}", JSON | {"X-Forwarded-For": "9.9.9.9"}, 403, "COLLECT_TOKEN_KEY"),
        (b"{}", JSON | {"Forwarded": "for=9.9.9.9"}, 403, "COLLECT_TOKEN_KEY"),
        (b"{}", JSON | {"X-Real-IP": "9.9.9.9"}, 403, "COLLECT_TOKEN_KEY"),
        (b"{}", JSON | {"Via": "1.1 proxy"}, 403, "COLLECT_TOKEN_KEY"),
        (b"{}", JSON | {"Host": "evil.example"}, 403, "COLLECT_TOKEN_KEY"),
    ],
)
async def test_what_is_refused(place: Place, body: bytes, headers: dict[str, str], status: int, text: str) -> None:
    answer = await place.post(body, headers)

    assert (answer.status, text in answer.body["error"]) == (status, True), answer
    assert place.bodies() == []


async def test_a_chunked_body_is_bounded_while_it_comes(place: Place) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b" " * 1000

    assert (await place.post(chunks())).status == 413


async def test_ids_of_clients_are_answered_and_a_repetition_is_not_kept_again(place: Place) -> None:
    spans = [SPAN | {"eventId": "a"}, SPAN | {"eventId": "b"}]
    first, again = await place.post(spans), await place.post(spans)
    keyed = [await place.post([SPAN, SPAN], JSON | {"Idempotency-Key": "k"}) for _ in range(2)]

    assert first.body == again.body == {"accepted": 2, "eventIds": ["a", "b"]}
    assert [it.body["eventIds"] for it in keyed] == [["k-0", "k-1"]] * 2
    assert len(place.bodies()) == 2


async def test_without_tokens_an_id_is_its_users(place: Place) -> None:
    users = ["kim", "lee", 7, ["kim"], 10**400, None]
    spans = [SPAN | {"userId": user, "eventId": "1"} for user in [*users, *users]]
    answers = [await place.post(it) for it in spans]

    assert [(it.status, it.body["eventIds"]) for it in answers] == [(202, ["1"])] * len(spans)
    assert [json.loads(it) for it in place.bodies()] == spans[: len(users)]


async def test_a_key_that_comes_with_another_body_is_refused(place: Place) -> None:
    keyed = JSON | {"Idempotency-Key": "k"}
    named = SPAN | {"eventId": "k-0"}
    answers = [await place.post(body, keyed) for body in ([SPAN], [SPAN, SPAN], [named], [SPAN])]

    assert [it.status for it in answers] == [202, 422, 422, 202]
    assert len(place.bodies()) == 1
    assert (await place.post([SPAN, SPAN], JSON | {"Idempotency-Key": "k2"})).status == 202


async def test_a_token_is_of_one_user(tmp_path: Path) -> None:
    async with served(tmp_path, "new-key-of-collector,old-key-of-collector") as place:
        token = Tokens(["old-key-of-collector"]).token_for("ann")
        named = JSON | {"Authorization": f"Bearer {token}"}
        forged = JSON | {"Authorization": f"Bearer {Tokens(['another-key-of-it']).token_for('ann')}"}

        assert (await place.post(SPAN, named)).status == 202
        assert (await place.post({"duration": 1}, named)).status == 202
        assert (await place.post(SPAN | {"userId": "bob"}, named)).status == 403
        assert (await place.post(SPAN, forged)).status == 401
        assert (await place.post(SPAN, JSON | {"Authorization": "Bearer x"})).status == 401
        assert (await place.post(SPAN)).status == 401
        assert len(place.bodies()) == 2


async def test_a_client_is_limited(tmp_path: Path) -> None:
    async with served(tmp_path, "key-of-the-collector", rate=1.0) as place:
        tokens = Tokens(["key-of-the-collector"])
        ann, bob = (JSON | {"Authorization": f"Bearer {tokens.token_for(user)}"} for user in ("ann", "bob"))
        statuses = [(await place.post({"duration": 1}, ann)).status for _ in range(4)]

        assert statuses[:2] == [202, 202]
        assert statuses[-1] == 429
        assert (await place.post({"duration": 1}, bob)).status == 202


async def test_browsers_of_allowed_origins_may_post(place: Place) -> None:
    origin = {"Origin": "https://good"}
    async with aiohttp.ClientSession() as session, session.options(f"{place.url}/collect", headers=origin) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://good"

    assert (await place.post(SPAN, JSON | origin)).headers["Access-Control-Allow-Origin"] == "https://good"
    place.collector.draining = True
    refused = (await place.post(SPAN, JSON | origin)).headers
    assert refused["Access-Control-Expose-Headers"] == "Retry-After", "else a browser's script cannot read it"
    assert "Retry-After" in refused


async def test_requests_on_a_connection_are_answered_in_their_order(place: Place) -> None:
    host, port = place.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for number in range(100):
        body = json.dumps({"eventId": str(number)} if number % 3 else "wrong").encode()
        head = "POST /collect HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answers = (await reader.read()).decode().split("HTTP/1.1 ")[1:]
    writer.close()

    assert [it[:3] for it in answers] == [*("202" if number % 3 else "400" for number in range(100)), "200"]
    assert [f'["{number}"]' in answer for number, answer in enumerate(answers[:-1]) if number % 3] == [True] * 66


async def test_what_follows_the_last_request_is_not_read(place: Place) -> None:
    head = b"POST /collect HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    wire, connection = Wire(), place.door()
    connection.connection_made(wire)
    connection.data_received(head + b"Connection: close\r\n\r\n{}" + head + b"\r\n{}")  # type: ignore[attr-defined]
    while not wire.written:
        await asyncio.sleep(0)

    assert [it[9:12] for it in wire.written] == [b"202"]
    assert place.bodies() == [b"{}"]


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_upgrade_is_ignored(place: Place, at_once: bool) -> None:
    """So Java's HttpClient posts."""
    head = (
        b"POST /collect HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: localhost\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAAB\r\nContent-Type: application/json\r\n"
    )
    bodies = [b'{"eventId":"%d"}' % number for number in range(3)]
    sized = [head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies[:2]]
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(bodies[2]), bodies[2])
    sent = b"".join([*sized, chunked, b"CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n"])
    wire, connection = Wire(), place.door()
    connection.connection_made(wire)
    for part in [sent] if at_once else [sent[n : n + 1] for n in range(len(sent))]:
        connection.data_received(part)  # type: ignore[attr-defined]
    while len(wire.written) < 4:
        await asyncio.sleep(0)

    assert [it[9:12] for it in wire.written] == [b"202", b"202", b"202", b"400"]
    assert place.bodies() == bodies
    assert place.collector.receiving == 0


class Wire(asyncio.Transport):
    """A connection from this machine. What is written to it is kept."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("event", "separator", "media"),
    [
        (b"{}", b",", "application/json"),
        (b'{"userId":"ann","duration":1.5,"session":1}', b",", "application/json"),
        (b'{"userId":"ann"}', b"\n", "application/x-ndjson"),
        (b'{"userId":"ann","eventId":"0123456789"}', b",", "application/json"),
    ],
    ids=["empty", "small", "lines", "ids of the client"],
)
async def test_what_waits_for_the_disk_holds_its_body_and_what_its_answer_is_made_of(
    tmp_path: Path, event: bytes, separator: bytes, media: str
) -> None:
    count, posts = 50_000 // len(event), 10
    body = separator.join([event] * count)
    body = b"[" + body + b"]" if separator == b"," else body
    head = f"POST /collect HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n"
    writing, may_end = threading.Event(), threading.Event()

    def datasync(fd: int) -> None:
        writing.set()
        assert may_end.wait(60)

    async with served(tmp_path, datasync=datasync, max_body=2**20) as place:
        wires = [Wire() for _ in range(posts + 2)]

        def send(wire: Wire) -> None:
            connection = place.door()
            connection.connection_made(wire)
            connection.data_received(head.encode() + b"\r\n" + body)  # type: ignore[attr-defined]

        send(wires[0])
        await asyncio.to_thread(writing.wait, 60)
        send(wires[1])  # this one waits already, and whatever is loaded once is loaded
        tracemalloc.start()
        try:
            for wire in wires[2:]:
                send(wire)
            held = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
            may_end.set()
        while not wires[-1].written:
            await asyncio.sleep(0)

    assert all(it.written[0].startswith(b"HTTP/1.1 202 Accepted") for it in wires)
    assert held < 3 * posts * len(body)


async def test_posts_that_are_still_coming_are_bounded_together(tmp_path: Path) -> None:
    head = b"POST /collect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n"
    wires, connections = [Wire() for _ in range(100)], list[Any]()
    async with served(tmp_path, max_body=2**20) as place:
        for wire in wires:
            connection = place.door()
            connection.connection_made(wire)
            connections.append(connection)
            for part in (head, b" " * 200_000, b" " * 200_000):
                connection.data_received(part)  # type: ignore[attr-defined]
        refused = [wire.written[0] for wire in wires if wire.written]

        assert place.collector.receiving < 2**24 + 400_000
        assert 0 < len(refused) < 100
        assert all(it.startswith(b"HTTP/1.1 503") and b"Retry-After" in it for it in refused)
        for connection in connections:
            connection.connection_lost(None)
        assert place.collector.receiving == 0
        assert (await place.post(SPAN)).status == 202


async def test_while_it_is_stopped_it_takes_nothing(place: Place) -> None:
    place.collector.draining = True
    answer = await place.post(SPAN)

    assert answer.status == 503
    assert "Retry-After" in answer.headers
