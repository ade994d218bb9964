"""How the pipeline is, as a real Redis tells it and as HTTP serves it."""

import asyncio
import json
import threading
from cmd import pending
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib import import_module
from math import isnan
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs
from typer.testing import CliRunner

from domains.kernel.errors import OutageKind, RedisOutage, StoreOutage
from domains.operations.model import StreamFigures
from infrastructure.composition.container import Container, running_container
from infrastructure.http.door import open_door
from infrastructure.http.listening import child_ports
from infrastructure.observing.metrics import values_of
from infrastructure.observing.readable import local_time
from infrastructure.operations.health import DOWN, HEALTHY, warn_of_eviction
from infrastructure.settings import Settings, SettingsError
from tests.integration.conftest import Pipeline, StartPipeline
from tests.messages import message
from tests.servers import RedisServer, free_port

FAR = 4_102_444_800_000
"""A stream id's milliseconds, of the year 2100."""


async def figures_of(container: Container) -> StreamFigures:
    (figures,) = await container.figures().streams()
    return figures


# Figures


async def test_where_there_is_nothing(container: Container) -> None:
    figures = await figures_of(container)

    assert (figures.entries, figures.undelivered, figures.pending, figures.dead_letters) == (0, 0, 0, 0)
    assert figures.oldest_undelivered_seconds == figures.oldest_pending_seconds == 0.0
    assert figures.instances == []


async def test_before_there_is_a_group_all_entries_wait(container: Container, redis_server: RedisServer) -> None:
    await container.publisher().publish([message()] * 3)

    assert (await figures_of(container)).undelivered == 3


async def test_what_is_delivered_and_what_waits(container: Container) -> None:
    await container.partition().source().ensure_group()
    await container.publisher().publish([message()] * 5)
    batch = await container.partition().source().read_new(2, 10)
    figures = await figures_of(container)

    assert len(batch) == 2
    assert (figures.entries, figures.undelivered, figures.pending) == (5, 3, 2)
    assert 0.0 <= figures.oldest_undelivered_seconds < 60
    assert 0.0 <= figures.oldest_pending_seconds < 60
    ((name, pending),) = ((it.name, it.pending) for it in figures.instances)
    assert (name, pending) == (container.settings().consumer_name, 2)


@pytest.mark.parametrize("read", [0, 3, 1900])
async def test_the_lag_does_not_lie_after_deletions(
    container: Container, redis_server: RedisServer, read: int
) -> None:
    """XINFO's own lag is unknown or wrong once unread entries were deleted."""
    await container.partition().source().ensure_group()
    ids = await container.publisher().publish([message()] * 2000)
    if read:
        await container.partition().source().read_new(read, 10)
    with redis_server.client() as client:
        deleted = client.xdel(container.settings().stream_key, *ids[read + 1 : read + 11])
    figures = await figures_of(container)

    assert (figures.undelivered, figures.undelivered_exact) == (2000 - read - deleted, True)


async def test_where_both_sides_are_long_it_says_that_it_does_not_know(container: Container) -> None:
    await container.partition().source().ensure_group()
    await container.publisher().publish([message()] * 1300)
    await container.partition().source().read_new(600, 10)
    figures = await figures_of(container)

    assert not figures.undelivered_exact
    assert figures.undelivered == 700


async def test_a_key_of_the_wrong_type_hides_only_itself(container: Container, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set(f"{container.settings().stream_key}:dlq", "x")
        client.hset(f"{container.settings().stream_key}:failed_scores", "board\nuser", "1")
    figures = await figures_of(container)

    assert isnan(figures.dead_letters)
    assert figures.failed_scores == 1


async def test_an_id_of_the_future_is_no_negative_age(container: Container, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.xadd(container.settings().stream_key, message(), id=f"{FAR}-0")

    assert (await figures_of(container)).oldest_undelivered_seconds == 0.0


async def test_each_partition_has_figures_of_its_own(settings: Settings) -> None:
    async with running_container(settings.model_copy(update={"stream_partitions": 3})) as container:
        await container.publisher().publish([message(userId=f"user-{number}") for number in range(9)])
        figures = await container.figures().streams()

    assert [it.stream for it in figures] == [f"{settings.stream_key}:{number}" for number in range(3)]
    assert sum(it.undelivered for it in figures) == 9


# State


async def test_a_pipeline_at_work_is_healthy(pipeline: Pipeline) -> None:
    state = pipeline.container.state()
    state.attend([pipeline.container.partition().consumer()], asyncio.Event())
    await pipeline.process(message(), message(duration="-1"))
    await state.refresh()
    document = await state.snapshot()

    assert (document["level"], document["problems"]) == (HEALTHY, [])
    assert document["streams"][0]["dead_letters"] == 1
    assert document["metrics"]["pomocore_messages_read_total"] == 2
    assert state.stuck() == []


async def test_without_patterns_and_consumers_it_is_down(container: Container) -> None:
    state = container.state()
    await state.refresh()
    document = await state.snapshot()

    assert document["level"] == DOWN
    patterns, consumer = document["problems"]
    assert patterns.startswith("patterns: no patterns in the embedded store: is MONGO_DATABASE right?")
    assert consumer == "no consumer is at work"


@pytest.mark.parametrize("is_trimmed", [False, True])
@pytest.mark.parametrize("partitions", [1, 2])
async def test_where_the_server_publishes_to_the_other_stream_it_says_so(
    settings: Settings, redis_server: RedisServer, is_trimmed: bool, partitions: int
) -> None:
    chosen = {"stream_key": "pomodoro_pattern_match_stream", "key_prefix": "other:", "stream_partitions": partitions}
    async with running_container(settings.model_copy(update=chosen)) as container:
        state = container.state()
        with redis_server.client() as client:
            client.xadd("other:pattern_match_stream", message())
            if is_trimmed:
                client.xtrim("other:pattern_match_stream", maxlen=0)
            await state.refresh()
            before = (await state.snapshot())["problems"]
            await container.publisher().publish([message()])
            await state.refresh()
            after = (await state.snapshot())["problems"]
            client.delete("other:pattern_match_stream")

    said = (
        "pomodoro_pattern_match_stream has never had an entry, but pattern_match_stream has: the server publishes "
        "there; set STREAM_KEY=pattern_match_stream and STREAM_GROUP=pattern_match_group"
    )
    assert said in before
    assert said not in after


async def test_a_server_that_publishes_elsewhere_is_logged_once(
    settings: Settings, redis_server: RedisServer
) -> None:
    chosen = {"stream_key": "pattern_match_stream", "key_prefix": "elsewhere:"}
    async with running_container(settings.model_copy(update=chosen)) as container:
        with redis_server.client() as client, capture_logs() as logs:
            client.xadd("elsewhere:pomodoro_pattern_match_stream", message())
            await container.stream_choice().warn()
            client.delete("elsewhere:pomodoro_pattern_match_stream")

    (event,) = logs
    assert (event["action"], event["log_level"]) == ("stream_choice", "warning")
    assert "STREAM_KEY=pomodoro_pattern_match_stream" in event["cause"]


async def test_a_group_that_holds_back_trimming_is_named_after_an_hour(
    container: Container, redis_server: RedisServer
) -> None:
    stream, group = container.settings().stream_key, container.settings().stream_group
    with redis_server.client() as client:
        for name in (group, "another_group", "leaderboard_group"):
            client.xgroup_create(stream, name, id="0", mkstream=True)
        published = [client.xadd(stream, message(), id=f"{milliseconds}-1") for milliseconds in (1, 2)]
        client.xreadgroup(group, "one", {stream: ">"})
        client.xack(stream, group, *published)
    await container.state().refresh()

    (figures,) = await container.figures().streams()
    assert figures.holding_back.keys() == {"another_group"}
    (problem,) = [it for it in (await container.state().snapshot())["problems"] if "trimming" in it]
    assert "another_group" in problem
    assert "STREAM_IGNORED_GROUPS" in problem


async def test_a_redis_that_may_drop_keys_is_told_of(container: Container, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            await container.state().refresh()
            with capture_logs() as logs:
                await warn_of_eviction(container.figures())
        finally:
            client.config_set("maxmemory-policy", "noeviction")

    assert [event["action"] for event in logs] == ["eviction"]
    assert any("allkeys-lru" in problem for problem in (await container.state().snapshot())["problems"])
    await container.state().refresh()
    assert not any("allkeys-lru" in problem for problem in (await container.state().snapshot())["problems"])


async def test_a_store_that_is_away_is_named(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> None:
        raise StoreOutage("no primary", OutageKind.READ_ONLY)

    monkeypatch.setattr(container.category_patterns(), "find_all", away)
    checks = await container.state().checks()

    place = container.settings().data_dir / "pomocore.db"
    said = f"SQLite at {place} has taken no writes. Messages stay on the stream and are committed once it is back."
    assert (checks["store"].ok, checks["store"].why, checks["store"].cause) == (
        False, f"{said} Nothing is lost.", "no primary",
    )  # fmt: skip
    assert checks["redis"].ok
    (problem,) = (await container.state().snapshot())["problems"]
    assert problem == checks["store"].why


async def test_a_redis_that_answers_but_takes_no_writes_is_not_ready(container: Container) -> None:
    container.observer().breaker_changed("redis", True, RedisOutage("READONLY", OutageKind.READ_ONLY))
    since = container.metrics().open_breakers["redis"].since

    checks, snapshot = await container.state().checks(), await container.state().snapshot()

    (outage,) = snapshot["outages"]
    assert outage | {"words": ""} == {
        "service": "redis", "kind": "read_only", "server": "Redis", "address": container.settings().redis_addr,
        "since": since, "words": "", "cause": "READONLY", "runbook": "deploy/runbook.md#pomocorebreakeropen",
    }  # fmt: skip
    assert checks["redis"].why == outage["words"] == snapshot["breakers"]["redis"]
    moment = local_time(since, container.settings().zone)
    assert f"Redis at {outage['address']} has taken no writes since {moment}." in outage["words"]
    assert moment.endswith(" KST")


# HTTP


def door_of(pipeline: Pipeline, stop: asyncio.Event) -> AbstractAsyncContextManager[str | None]:
    container = pipeline.container
    return open_door(container.state(), container.api, [container.partition().consumer()], stop)


@pytest.fixture
async def door(pipeline_on: StartPipeline, settings: Settings) -> AsyncIterator[tuple[Pipeline, str, asyncio.Event]]:
    """A pipeline, the address of its door, and what it takes for its stop."""
    stop = asyncio.Event()
    settings = settings.model_copy(update={"http_port": free_port()})
    async with (
        pipeline_on(settings) as pipeline,
        open_door(
            pipeline.container.state(), pipeline.container.api, [pipeline.container.partition().consumer()], stop
        ) as address,
    ):
        assert address is not None
        yield pipeline, address, stop


async def ask(address: str, path: str, **headers: str) -> tuple[int, str, str]:
    async with ClientSession() as session, session.get(address + path, headers=headers) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_metrics_agree_with_what_was_published(door: tuple[Pipeline, str, asyncio.Event]) -> None:
    pipeline, address, _ = door
    await pipeline.process(*[message()] * 7, message(duration="-1"))
    status, kind, text = await ask(address, "/metrics")
    values = values_of(text_string_to_metric_families(text))

    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert values["pomocore_messages_read_total"] == 8
    assert values['pomocore_messages_committed_total{lane="fast"}'] == 7
    assert values['pomocore_dead_letters_total{reason="invalid_field"}'] == 1
    assert "process_resident_memory_bytes" in text


async def test_a_scraper_may_ask_for_openmetrics(door: tuple[Pipeline, str, asyncio.Event]) -> None:
    status, kind, text = await ask(door[1], "/metrics", Accept="application/openmetrics-text; version=1.0.0")

    assert status == 200
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


async def test_a_pipeline_that_stops_is_alive_and_not_ready(door: tuple[Pipeline, str, asyncio.Event]) -> None:
    pipeline, address, stop = door
    await pipeline.process(message())
    assert (await ask(address, "/readyz"))[0] == 200
    stop.set()

    status, _, text = await ask(address, "/readyz")
    assert status == 503
    assert '"stopping"' in text
    assert (await ask(address, "/healthz"))[0] == 200


async def test_a_consumer_that_hangs_is_not_alive(
    door: tuple[Pipeline, str, asyncio.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, address, _ = door
    monkeypatch.setitem(pipeline.container.partition().consumer()._reader._turned, "tidy", -1e6)

    status, _, text = await ask(address, "/healthz")
    assert status == 503
    assert "the tidy loop has not turned" in text


async def test_other_paths_and_methods_are_refused(door: tuple[Pipeline, str, asyncio.Event]) -> None:
    assert (await ask(door[1], "/nowhere"))[0] == 404
    async with ClientSession() as session, session.post(door[1] + "/metrics", data=b"x") as answer:
        assert answer.status == 405


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error(container: Container, settings: Settings) -> None:
    port = free_port()
    wanted = settings.model_copy(update={"http_port": port})
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(running_container(wanted)) for _ in range(2)]
        await stack.enter_async_context(open_door(one.state(), one.api, [], asyncio.Event()))
        with pytest.raises(SettingsError, match=rf"^HTTP_PORT: 127\.0\.0\.1:{port}: "):
            await stack.enter_async_context(open_door(two.state(), two.api, [], asyncio.Event()))
        with pytest.raises(SettingsError, match="HTTP_PORT"):
            child_ports(wanted.model_copy(update={"consumer_processes": 2}))


async def test_the_default_port_may_be_taken(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infrastructure.http.listening.DEFAULT_PORT", free_port())
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(running_container(settings)) for _ in range(2)]
        assert await stack.enter_async_context(open_door(one.state(), one.api, [], asyncio.Event()))
        assert await stack.enter_async_context(open_door(two.state(), two.api, [], asyncio.Event())) is None


async def test_a_door_that_is_closed_while_it_is_loaded_has_not_failed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def load(name: str) -> object:
        begun.set()
        assert ended.wait(30)
        return import_module(name)

    monkeypatch.setattr("infrastructure.http.door.import_module", load)
    wanted = settings.model_copy(update={"http_port": free_port()})
    async with running_container(wanted) as container:
        with capture_logs() as logs:
            async with open_door(container.state(), container.api, [], asyncio.Event()):
                await asyncio.to_thread(begun.wait, 30)
                asyncio.get_running_loop().call_soon(ended.set)  # once the door waits for its server

    assert [log["event"] for log in logs] == ["Serving the console, /healthz, /readyz and /metrics"]


async def test_no_port_no_door(settings: Settings) -> None:
    async with (
        running_container(settings.model_copy(update={"http_port": 0})) as container,
        open_door(container.state(), container.api, [], asyncio.Event()) as address,
    ):
        assert address is None


@pytest.mark.parametrize(("port", "ports"), [(None, [None, 0, 0]), (0, [0, 0, 0])], ids=["not set", "none"])
def test_ports_of_several_processes(settings: Settings, port: int | None, ports: list[int | None]) -> None:
    assert child_ports(settings.model_copy(update={"http_port": port, "consumer_processes": 3})) == ports


def test_ports_follow_the_one_that_is_set(settings: Settings) -> None:
    port = free_port(also_free=1)

    found = child_ports(settings.model_copy(update={"http_port": port, "consumer_processes": 2}))

    assert found == [port, port + 1]


async def test_when_redis_goes_the_figures_go(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    state = pipeline.container.state()
    await state.refresh()
    stream = pipeline.settings.stream_key

    async def gone() -> list[StreamFigures]:
        raise RedisOutage("gone")

    monkeypatch.setattr(pipeline.container.figures(), "streams", gone)
    with pytest.raises(RedisOutage):
        await state.refresh()

    values = values_of(state.registry.collect())
    assert isnan(values[f'pomocore_pending_entries{{stream="{stream}"}}'])
    assert not isnan(values["pomocore_redis_figures_age_seconds"])


# Messages that are held


def test_messages_that_are_held_are_shown_with_who_holds_them(
    settings: Settings, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.model_dump(include={"redis_addr", "redis_db", "data_dir"}).items():
        monkeypatch.setenv(name.upper(), str(value))
    shown = CliRunner().invoke(pending.app, [])
    assert (shown.exit_code, shown.stdout) == (0, "0 messages\n"), "there is no group yet"

    redis_client.xgroup_create(settings.stream_key, settings.stream_group, "0", mkstream=True)
    ids = [
        redis_client.xadd(settings.stream_key, message(userId=user, app="Figma")) for user in ("ann", "ben", "eve")
    ]
    redis_client.xreadgroup(settings.stream_group, "gone", {settings.stream_key: ">"}, count=2)
    redis_client.xdel(settings.stream_key, ids[1])
    found = json.loads(CliRunner().invoke(pending.app, ["--json"]).stdout)

    assert [(it["id"], it["user_id"], it["app"], it["instance"], it["deliveries"]) for it in found] == [
        (ids[0], "ann", "Figma", "gone", 1), (ids[1], "", "", "gone", 1)
    ]  # fmt: skip
    assert all(0.0 <= it["idle_seconds"] < 60 for it in found)
    assert f"{ids[0]}  20" in CliRunner().invoke(pending.app, ["--limit", "1"]).stdout
