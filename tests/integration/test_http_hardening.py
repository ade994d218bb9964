"""What the door does with hostile clients: it serves the others, and the pipeline does not notice."""

import asyncio
import errno
import json
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs

from infrastructure.composition.container import running_container
from infrastructure.http import connections, dead_letters, listening, live
from infrastructure.http.door import open_door
from infrastructure.settings import Settings, load_settings
from tests.integration.conftest import DEADLINE, Pipeline, StartPipeline
from tests.messages import message
from tests.servers import free_port

TOKEN = "correct horse battery staple"


class Door:
    def __init__(self, pipeline: Pipeline, session: ClientSession, port: int) -> None:
        self.pipeline = pipeline
        self.session = session
        self.port = port
        self.address = f"http://127.0.0.1:{port}"

    async def status(self, path: str = "/healthz", **headers: str) -> int:
        async with self.session.get(self.address + path, headers=headers) as answer:
            return answer.status

    async def connect(self, own_address: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(own_address, 0))


@pytest.fixture
def options() -> dict[str, Any]:
    return {}


@pytest.fixture
async def door(pipeline_on: StartPipeline, settings: Settings, options: dict[str, Any]) -> AsyncIterator[Door]:
    port = free_port()
    kept = settings.model_dump(exclude_unset=True)
    chosen = load_settings(**kept, http_port=port, admin_token=TOKEN, **options)
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(pipeline_on(chosen))
        container = pipeline.container
        consumers = [container.partition().consumer()]
        await stack.enter_async_context(open_door(container.state(), container.api, consumers, asyncio.Event()))
        yield Door(pipeline, await stack.enter_async_context(ClientSession()), port)


async def test_only_who_looks_with_a_browser_gets_a_page_where_there_is_none(door: Door) -> None:
    async def kind(path: str, accept: str) -> tuple[int, str]:
        async with door.session.get(door.address + path, headers={"Accept": accept}) as answer:
            return answer.status, answer.content_type

    assert await kind("/bords", "text/html,*/*") == (404, "text/html")
    assert await kind("/bords", "*/*") == (404, "text/plain")
    assert await kind("/console/none.js", "text/html") == (404, "text/plain")
    assert await kind("/api/bords", "text/html") == (404, "application/problem+json")


# Connections


async def still_open(readers: Sequence[asyncio.StreamReader]) -> list[bool]:
    """Of each connection whether the other side has not closed it."""

    async def is_open(reader: asyncio.StreamReader) -> bool:
        try:
            async with asyncio.timeout(0.3):
                return bool(await reader.read(1))
        except TimeoutError:
            return True
        except ConnectionError:
            return False

    return list(await asyncio.gather(*map(is_open, readers)))


async def test_of_one_address_those_are_closed_that_have_been_silent_for_longest(door: Door) -> None:
    idle = [await door.connect() for _ in range(connections.OF_ONE_ADDRESS + 20)]

    assert await door.status() == 200
    found = await still_open([reader for reader, _ in idle])
    assert found == [False] * 21 + [True] * (connections.OF_ONE_ADDRESS - 1)
    for _, writer in idle:
        writer.close()


async def test_of_all_addresses_together_there_is_a_bound(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IN_ALL", 30)
    idle = [await door.connect(f"127.0.0.{2 + number % 8}") for number in range(40)]

    assert await door.status() == 200
    assert sum(await still_open([reader for reader, _ in idle])) == 29
    for _, writer in idle:
        writer.close()


@pytest.mark.parametrize("options", [{"http_trusted_proxies": "127.0.0.0/8"}])
async def test_behind_a_proxy_there_may_be_many(door: Door) -> None:
    idle = [await door.connect() for _ in range(connections.OF_ONE_ADDRESS + 20)]

    assert await door.status() == 200
    assert all(await still_open([reader for reader, _ in idle]))
    for _, writer in idle:
        writer.close()


async def test_a_listener_that_does_not_read_is_dropped(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(live, "_EVERY_SECONDS", 0.01)
    console = door.pipeline.container.api().live
    state = await console.document()

    async def long_document() -> Any:
        return state.model_copy(update={"problems": ["x" * 100_000]})

    monkeypatch.setattr(console, "document", long_document)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with deaf:
        deaf.connect(("127.0.0.1", door.port))
        deaf.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(DEADLINE):
            while console.listeners == 0:
                await asyncio.sleep(0.01)
            while console.listeners > 0:
                await asyncio.sleep(0.01)


# Hosts and addresses


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("[::1]:1", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.7", 421),
        ("console.corp.example", 421),
    ],
)
async def test_another_sites_name_is_refused(door: Door, host: str, status: int) -> None:
    assert await door.status(Host=host) == status
    assert await door.status("/api/state", Host=host) == status


@pytest.mark.parametrize("options", [{"http_allowed_hosts": "console.corp.example, Other.example"}])
@pytest.mark.parametrize(("host", "status"), [("console.corp.example:443", 200), ("other.example", 200), ("e", 421)])
async def test_names_can_be_allowed(door: Door, host: str, status: int) -> None:
    assert await door.status(Host=host) == status


@pytest.mark.parametrize("options", [{"http_host": "0.0.0.0"}])
@pytest.mark.parametrize(("host", "status"), [("10.0.0.7:8080", 200), ("[fd00::7]", 200), ("evil.example", 421)])
async def test_on_all_addresses_any_address_is_ours(door: Door, host: str, status: int) -> None:
    assert await door.status(Host=host) == status


@pytest.mark.parametrize("options", [{"http_host": "::"}])
@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
async def test_all_addresses_are_those_of_both_families(door: Door, address: str) -> None:
    if address == "[::1]" and not has_ipv6():
        pytest.skip("this machine has no ::1")
    door.address = f"http://{address}:{door.port}"
    with capture_logs() as logs:
        assert [await door.status(), await door.status("/api/access", Authorization="Bearer nonsense")] == [200, 401]

    (refused,) = [log for log in logs if log["action"] == "admin_refused"]
    assert refused["remote"] == address.strip("[]")


async def test_without_ipv6_all_addresses_are_those_of_ipv4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def of_family(family: int, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return socket.socket(family, *rest)

    without = SimpleNamespace(**vars(socket) | {"socket": of_family})
    monkeypatch.setattr(listening, "socket", without)
    (bound,) = listening._bound_sockets("::", 0)
    with bound:
        assert bound.getsockname()[0] == "0.0.0.0"


def has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as each:
        each.bind(("::1", 0))
        return True
    return False


async def wrong_token(door: Door, forwarded_for: str) -> int:
    return await door.status("/api/access", Authorization="Bearer nonsense", **{"X-Forwarded-For": forwarded_for})


@pytest.mark.parametrize("options", [{"http_trusted_proxies": "127.0.0.1, 10.0.0.0/8"}])
async def test_behind_a_trusted_proxy_guessing_slows_down_the_guesser_alone(door: Door) -> None:
    guesses = [await wrong_token(door, "1.2.3.4, 203.0.113.9, 10.1.1.1") for _ in range(4)]
    other = await wrong_token(door, "203.0.113.9, 203.0.113.10")

    assert guesses == [401, 401, 401, 429]
    assert other == 401


async def test_what_a_stranger_says_of_its_address_is_not_believed(door: Door) -> None:
    assert [await wrong_token(door, f"203.0.113.{number}") for number in range(4)] == [401, 401, 401, 429]


# The log


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
    ],
    ids=["tls", "version", "long header"],
)
async def test_what_is_no_http_fills_no_log(door: Door, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), capture_logs() as logs:
        for _ in range(50):
            reader, writer = await door.connect()
            writer.write(garbage)
            await reader.read()
            writer.close()
        assert await door.status() == 200

    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []
    assert [event for event in logs if event["action"].startswith("http")] == []


async def test_a_bug_is_logged_seldom_and_tells_the_client_nothing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(key: object) -> None:
        raise RuntimeError("an inner secret")

    await door.pipeline.process(message())
    monkeypatch.setattr(door.pipeline.container.classifier(), "at_once", bug)
    with capture_logs() as logs:
        for _ in range(5):
            async with door.session.post(f"{door.address}/api/classify", json={"app": "x"}) as answer:
                assert (answer.status, answer.content_type) == (500, "application/problem+json")
                assert "secret" not in await answer.text()

    (event,) = [event for event in logs if event.get("action") == "http_failed"]
    assert (event["path"], event["more"]) == ("/api/classify", 0)


# Size


async def test_answers_have_a_greatest_size(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "ANSWER_BYTES", 100_000)
    await door.pipeline.process(*(message(duration="-1", title="\x01" * 5_000) for _ in range(4)))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with door.session.get(f"{door.address}/api/dead-letters?limit=100", headers=headers) as answer:
        body = await answer.read()

    assert len(body) < 100_000
    assert [letter["fields"] is None for letter in json.loads(body)["content"]] == [False, True, True, True]


# The address


async def test_an_address_that_is_not_up_yet_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind, tries = listening._bound_sockets, 0

    def late(host: str, port: int) -> list[socket.socket]:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return bind(host, port)

    monkeypatch.setattr(listening, "_bound_sockets", late)
    monkeypatch.setattr(listening, "_RETRY_SECONDS", 0.02)
    chosen = settings.model_copy(update={"http_port": free_port()})
    with capture_logs() as logs:
        async with (
            running_container(chosen) as container,
            ClientSession() as session,
            open_door(container.state(), container.api, [], asyncio.Event()) as address,
            asyncio.timeout(DEADLINE),
        ):
            assert address is None
            while [event["action"] for event in logs] != ["http_waits", "http"]:
                await asyncio.sleep(0.01)
            async with session.get(f"http://127.0.0.1:{chosen.http_port}/healthz") as answer:
                assert answer.status == 200


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_without_its_address_the_door_stays_shut_and_the_pipeline_works(settings: Settings, host: str) -> None:
    chosen = settings.model_copy(update={"http_port": free_port(), "http_host": host})
    with capture_logs() as logs:
        async with (
            running_container(chosen) as container,
            open_door(container.state(), container.api, [], asyncio.Event()) as address,
        ):
            assert address is None
            assert listening.child_ports(chosen.model_copy(update={"consumer_processes": 2})) is not None

    assert [event["action"] for event in logs] == ["http_waits"]
