"""The one place where everything is built: all of it can be, and all of it can be replaced."""

import asyncio
import inspect
import os
import re
import sys
import time
from pathlib import Path

import pytest
from dependency_injector import providers
from redis.asyncio import Redis

from domains.categoryPattern.model import CategoryPattern
from domains.pomodoro.model import Session
from infrastructure.composition import from_settings
from infrastructure.composition.container import Container, running_container
from infrastructure.memory.leaderboard import InMemoryLeaderboard
from infrastructure.memory.repositories import (
    InMemoryCategorizedDataRepository,
    InMemoryCategoryPatternRepository,
    InMemoryPomodoroUsageLogRepository,
)
from infrastructure.memory.stream import InMemoryCommit, InMemoryMessageSource, InMemorySessionEnds, InMemoryStream
from infrastructure.settings import Settings, SettingsError
from tests.integration.conftest import DEADLINE, Pipeline, StartPipeline
from tests.messages import DEVELOPMENT, SNS, categorized, linked_message, message, parser, patterns, usage_log

NOWHERE = "127.0.0.1:1"
"""Nothing listens there: what is built must not connect."""

MONGO_NOWHERE = "mongodb://127.0.0.1:1"


@pytest.mark.parametrize("llm", [None, "sk-test"], ids=["no_llm", "llm"])
@pytest.mark.parametrize("driver", [None, "motor", "pymongo"])
async def test_every_provider_can_be_resolved_and_none_connects(
    tmp_path: Path, driver: str | None, llm: str | None
) -> None:
    mongo = {"mongo_uri": MONGO_NOWHERE, "mongo_driver": driver} if driver else {}
    # a client cannot be made for a server that no setting names
    absent = {"postgres"} if driver else {"postgres", "mongo", "mongo_database"}
    settings = Settings(redis_addr=NOWHERE, data_dir=tmp_path, openai_api_key=llm, **mongo)  # type: ignore[arg-type]

    async with running_container(settings) as container:
        built = {name: provider() for name, provider in container.providers.items() if name not in absent}
        of_partition = {name: provider() for name, provider in container.partition().providers.items()}

    without_llm = set() if llm else {"openai", "llm", "llm_queue"}
    without_mongo = set() if driver else {"field_names"}  # earlier versions spelled names otherwise in MongoDB alone
    unused = (
        {"local_classifier", "tracing", "postings", "site_tier", "site_sightings", "card_webhooks"}
        | without_llm
        | without_mongo
    )
    assert {name for name, made in built.items() if made is None} == unused
    assert [tier.name for tier in built["tiers"]] == (["cache", "documents"] if llm else [])
    assert not [name for name, made in of_partition.items() if made is None]
    futures = [
        name
        for name, made in [*built.items(), *of_partition.items()]
        if asyncio.isfuture(made) or inspect.iscoroutine(made)
    ]
    assert futures == []


def test_traces_without_their_packages_are_warned_of_and_done_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "infrastructure.observing.tracing", raising=False)
    settings = Settings(otel_exporter_otlp_endpoint="http://127.0.0.1:4318")  # type: ignore[arg-type]

    assert Container(settings=providers.Object(settings)).tracing() is None
    assert re.search("Tracing .*pip install opentelemetry-sdk .* not loaded", capsys.readouterr().out)


async def test_an_llm_that_cannot_be_built_is_warned_of_and_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.delitem(sys.modules, "infrastructure.openai.client", raising=False)
    settings = Settings(redis_addr=NOWHERE, data_dir=tmp_path, openai_api_key="sk-test")  # type: ignore[arg-type]

    async with running_container(settings) as container:
        assert container.llm_queue() is None

    told = capsys.readouterr().out
    assert "LLM not loaded" in told
    assert "sk-test" not in told


async def test_what_others_read_in_the_environment_does_not_reach_the_llm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    surprises = {
        "OPENAI_BASE_URL": "http://elsewhere.invalid",
        "OPENAI_ORG_ID": "org",
        "OPENAI_PROJECT_ID": "project",
        "OPENAI_CUSTOM_HEADERS": "X-Surprise: header",
        "ALL_PROXY": "socks5://127.0.0.1:1",
    }
    settings = Settings(redis_addr=NOWHERE, data_dir=tmp_path, openai_api_key="sk-test")  # type: ignore[arg-type]
    for name, value in surprises.items():
        monkeypatch.setenv(name, value)
    async with running_container(settings) as container:
        client = container.openai()

        assert str(client.base_url) == "https://api.openai.com/v1/"
        assert (client.organization, client.project) == (None, None)
        assert "X-Surprise" not in client.default_headers
    assert {name: os.environ[name] for name in surprises} == surprises, "children of this process may want them"


async def test_the_lane_is_closed_before_the_clients_that_it_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    class Queue:
        async def aclose(self) -> None:
            closed.append("queue")

    async def aclose(self: Redis) -> None:
        closed.append("redis")

    monkeypatch.setattr(Redis, "aclose", aclose)
    async with running_container(Settings(redis_addr=NOWHERE, data_dir=tmp_path)) as container:
        container.llm_queue.override(providers.Object(Queue()))

    assert closed == ["queue", "redis", "redis"]


async def test_what_is_built_once_is_shared(tmp_path: Path) -> None:
    async with running_container(Settings(redis_addr=NOWHERE, data_dir=tmp_path)) as container:
        singletons = {
            name: provider
            for name, provider in container.providers.items()
            if isinstance(provider, providers.Singleton)
        }
        shared = singletons.keys() - {"mongo", "mongo_database", "openai", "postgres"}  # which no setting names here

        assert [name for name in shared if singletons[name]() is not singletons[name]()] == []


async def test_partitions_share_what_a_process_has_once_and_have_the_rest_of_their_own(tmp_path: Path) -> None:
    async with running_container(Settings(redis_addr=NOWHERE, data_dir=tmp_path, stream_partitions=2)) as container:
        one, two = container.partitions()

        assert one.shared.classifier() is two.shared.classifier() is container.classifier()
        assert [part.keys() for part in (one, two)] == container.partition_keys()
        for name, provider in one.providers.items():
            if isinstance(provider, providers.Singleton):
                assert provider() is not two.providers[name]()


async def test_repositories_can_be_replaced(pipeline_on: StartPipeline, settings: Settings) -> None:
    windows, logs = InMemoryCategorizedDataRepository(), InMemoryPomodoroUsageLogRepository()
    own = CategoryPattern("f" * 24, "Game", 1, ("Visual Studio Code",))

    async def replace(container: Container) -> None:
        container.category_patterns.override(providers.Object(InMemoryCategoryPatternRepository([own])))
        container.categorized_data.override(providers.Object(windows))
        container.usage_logs.override(providers.Object(logs))

    async with pipeline_on(settings, replace) as pipeline:
        await pipeline.process(message(isEnd="true"))

        assert [window.category_id for window in windows.documents.values()] == [own.id]
        assert [log.category_id for log in logs.documents.values()] == [own.id]
        assert pipeline.board("leaderboard:Game:2025-09-02") == {"user-1": 120.0}
        ((windows_in_sqlite,),) = await pipeline.container.sqlite().read("SELECT count(*) FROM categorized_data")
        assert windows_in_sqlite == 0


async def test_the_whole_pipeline_runs_on_adapters_in_memory(tmp_path: Path) -> None:
    stream, boards = InMemoryStream(), InMemoryLeaderboard()
    windows, logs = InMemoryCategorizedDataRepository(), InMemoryPomodoroUsageLogRepository()
    await windows.save_all([categorized(1, "카카오톡", "", "방")])
    await logs.save_all([usage_log(1)])
    async with running_container(
        Settings(redis_addr=NOWHERE, data_dir=tmp_path, block_ms=50, announce_delay_ms=0)
    ) as container:
        container.category_patterns.override(providers.Object(InMemoryCategoryPatternRepository(patterns())))
        container.categorized_data.override(providers.Object(windows))
        container.usage_logs.override(providers.Object(logs))
        container.partition().source.override(providers.Object(InMemoryMessageSource(stream, parser(), "one")))
        container.partition().commits.override(providers.Object(InMemoryCommit(stream, boards)))
        container.partition().session_ends.override(providers.Object(InMemorySessionEnds(stream)))
        container.leaderboard.override(providers.Object(boards))
        for entry in (linked_message(1, app="카카오톡", title="방"), message(userId=""), message(isEnd="true")):
            stream.add(entry)

        await _run_until(container, lambda: not stream.undelivered and not stream.pending)
        assert await container.partition().announcer().announce_all() == 1

        assert [row.user_id for row in await container.leaderboard().top("leaderboard:work:2025-09-02", 5)] == [
            "user-1"
        ]
    assert boards.boards["leaderboard:SNS:2025-M9"] == {"user-1": 120.0}
    assert sorted(str(log.category_id) for log in logs.documents.values()) == [DEVELOPMENT, SNS]
    assert stream.ended == [Session("user-1", usage_log(1).session_date, 3)]
    assert [letter.entry_id for letter in stream.dead_letters] == ["2-0"]


async def _run_until(container: Container, done: object) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(container.partition().consumer().run(stop))
    deadline = time.monotonic() + DEADLINE
    while not done():  # type: ignore[operator]
        assert time.monotonic() < deadline, "not all is committed"
        assert not running.done(), "the consumer has ended"
        await asyncio.sleep(0.005)
    stop.set()
    assert await asyncio.wait_for(running, DEADLINE) == 0


async def test_an_override_ends_with_its_container(pipeline: Pipeline, tmp_path: Path) -> None:
    async with running_container(Settings(redis_addr=NOWHERE, data_dir=tmp_path)) as other:
        other.usage_logs.override(providers.Object(InMemoryPomodoroUsageLogRepository()))

    assert not isinstance(pipeline.container.usage_logs(), InMemoryPomodoroUsageLogRepository)


async def test_site_profiles_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_settings, "find_spec", lambda name: None if name == "protego" else object())

    settings = Settings(redis_addr=NOWHERE, data_dir=tmp_path, site_profiles=True)

    with pytest.raises(SettingsError, match=r"SITE_PROFILES: pip install protego\Z"):
        async with running_container(settings) as container:
            container.site_tier()


async def test_with_site_profiles_their_tier_is_asked_before_all_others(tmp_path: Path) -> None:
    async with running_container(Settings(redis_addr=NOWHERE, data_dir=tmp_path, site_profiles=True)) as container:
        assert container.tiers()[0] is container.site_tier()
        assert "crawl_sites" in container.settings().schedule
    assert "crawl_sites" not in Settings(redis_addr=NOWHERE).schedule
