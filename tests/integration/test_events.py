"""From messages to events in DuckDB, whose sums are held to the boards whatever happens on the way."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from dependency_injector import providers

from domains.activityEvent.export import EventExporter
from domains.activityEvent.ports import EventsOutage
from domains.categoryPattern.model import CategoryPattern, category_id
from domains.kernel.errors import TaskRefused
from domains.kernel.window import Window
from domains.leaderboard.model import Period
from domains.pomodoro.model import CategoryUpdate
from domains.replay.service import Replay, Wanted
from infrastructure.collector.archive import FileArchive
from infrastructure.composition.container import Container, running_container
from infrastructure.composition.replay import span_reader
from infrastructure.duckdb.event_sink import DuckDbEventSink
from infrastructure.duckdb.questions import answer
from infrastructure.http.server import make_app
from infrastructure.replay.local_engine import LocalEngine
from infrastructure.settings import Settings
from tests.integration.conftest import DEADLINE, Pipeline, StartPipeline, other_instance
from tests.integration.test_reclassification import LLM, _reclassify, with_llm
from tests.integration.test_replay import APP, POSTS, SEGMENTS, _collected
from tests.messages import message

DAY, NEXT = "2025-09-02", "2025-09-03"
SPANS = [
    message(),
    message(userId="user-2", duration="0.1"),
    message(app="Figma", timestamp="1.75683E9", duration="60.5"),
    message(app="Slack", url="https://www.youtube.com/watch?v=1"),
    message(app="Nobody Knows This", duration="33.25"),
]


@pytest.fixture(autouse=True)
def exporters_look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domains.activityEvent.export._AWAY_SECONDS", 0.1)


@pytest.fixture
def settings_with_events(settings: Settings) -> Settings:
    return settings.model_copy(update={"events": True})


@asynccontextmanager
async def exporting(container: Container) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(container.event_exporter().run(stop))
    try:
        yield
    finally:
        stop.set()  # a cancellation may be lost in redis-py
        async with asyncio.timeout(DEADLINE):
            await task


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await done():
            await asyncio.sleep(0.05)


async def exported(container: Container) -> bool:
    states = [await outbox.state() for outbox in container.event_outboxes()]
    return not any(state.waiting or state.stale_days for state in states)


def check_sums(pipeline: Pipeline) -> None:
    """Each board of each period is the sum of the events, of all users."""
    container = pipeline.container
    calendar, pseudonym = container.calendar(), container.event_maker().pseudonym
    sums: defaultdict[tuple[str, str], float] = defaultdict(float)
    sql = "SELECT category, user, day::VARCHAR, work, sum(seconds) FROM spans GROUP BY ALL"
    for category, user, day, work, seconds in answer(pipeline.settings.analytics_path, sql)[1]:
        for period in Period:
            for name in [category, *(["work"] if work else [])]:
                sums[f"leaderboard:{name}:{period.label(date.fromisoformat(day))}", user] += seconds
    boards = {
        (key, pseudonym(user)): score for key in pipeline.boards() for user, score in pipeline.board(key).items()
    }
    assert calendar.zone.key == "Asia/Seoul"
    assert {key: value for key, value in sums.items() if abs(value) > 1e-6} == pytest.approx(boards, abs=1e-6)


async def export(pipeline: Pipeline) -> int:
    """All that waits, by an exporter that starts anew."""
    container = pipeline.container
    exporter = EventExporter(
        container.event_outboxes(),
        DuckDbEventSink(pipeline.settings.analytics_path),
        container.event_maker(),
        container.observer(),
        container.event_rebuild(),
        container.data_quality(),
    )
    return await exporter.drain()


async def test_the_sums_of_the_events_are_the_boards(
    pipeline_on: StartPipeline, settings_with_events: Settings
) -> None:
    async with pipeline_on(settings_with_events) as pipeline:
        await pipeline.process(*SPANS)

        assert await export(pipeline) == len(SPANS)
        assert await export(pipeline) == 0
        check_sums(pipeline)
        hosts = answer(settings_with_events.analytics_path, "SELECT DISTINCT host FROM spans ORDER BY 1")[1]
        assert hosts == [("",), ("www.youtube.com",)] or hosts == [("",), ("youtube.com",)]


async def test_the_sums_are_the_boards_after_each_kind_of_writer(
    pipeline_on: StartPipeline, settings_with_events: Settings, tmp_path: Path
) -> None:
    llm, settings, days = LLM(away=True), settings_with_events, (date(2025, 9, 2), date(2025, 9, 3))
    async with pipeline_on(settings, with_llm(llm)) as pipeline, exporting(pipeline.container):
        container = pipeline.container
        reclassification, periods = container.partition().reclassification(), container.period_reclassification()

        async def knows(app: str) -> None:
            pattern = CategoryPattern(category_id(app), "Design", 1, (app,))
            await container.category_patterns().save_all([pattern])
            await container.classifier().load()

        async def check(writer: str, **seconds: float) -> None:
            """The day's boards of user-1 have these `seconds`: the writer has done something."""
            await pipeline.settled()
            await until(lambda: exported(container))
            try:
                check_sums(pipeline)
            except AssertionError as error:
                raise AssertionError(f"after {writer}: {error}") from None
            boards = {name: pipeline.board(f"leaderboard:{name}:{DAY}").get("user-1", 0.0) for name in seconds}
            assert boards == pytest.approx(seconds), writer

        async def rebuilt(writer: str, **seconds: float) -> None:
            for day in days:
                await container.leaderboard_rebuild().rebuild(list(Period), day, silent)
            await check(writer, **seconds)

        await pipeline.process(*SPANS, message(duration="-5", userId="parked"))
        await check("a commit", Uncategorized=33.25, Development=120, work=120)

        await knows("Nobody Knows This")
        await reclassification.reclassify_all(asyncio.Event())
        await check("a move by a new pattern", Uncategorized=0, Design=33.25)

        await pipeline.process(message(app="Frobnicator", duration="7"))
        await check("a commit with an interim category", Uncategorized=7, Documentation=0)
        llm.away = False
        await _reclassify(container)
        await check("a move by the LLM", Uncategorized=0, Documentation=127)

        await knows("Slack")
        await periods.decide(*days, False, silent)
        await check("documents decided again")
        await periods.rebuild(days, lambda period, day: True, silent)
        await check("reclassify_period", Documentation=7, Design=153.25)

        pipeline.redis.delete(f"leaderboard:Design:{DAY}", "leaderboard:work:2025-M9")
        await rebuilt("a rebuild of lost boards", Design=153.25, work=280.25)

        (letter,) = [each async for each in container.dead_letters().all()]
        await container.dead_letters().replay(letter, {"duration": "5"})
        await check("a replayed dead letter")
        assert pipeline.board(f"leaderboard:Development:{DAY}")["parked"] == 5

        pipeline.redis.set(f"leaderboard:Development:{NEXT}", "no board")
        await pipeline.process(message(timestamp="1.75686E9", duration="9"))
        pipeline.redis.delete(f"leaderboard:Development:{NEXT}")
        for score in await container.failed_scores().all():
            await container.failed_scores().replay(score)
        await check("a replayed score")
        assert pipeline.board(f"leaderboard:Development:{NEXT}") == {"user-1": 9}

        window = Window("Frobnicator", "", "README.md — pomocore")
        await container.corrections().correct("user-1", window, "SNS", "min")
        assert (await container.corrections().apply()).changed == 1
        await check("a correction", Documentation=0, SNS=7)
        (correction,) = await container.corrections().find_all()
        await container.corrections().undo(correction.id)
        await container.corrections().apply()
        await check("a correction undone", Documentation=7, SNS=0)

        archive = FileArchive(tmp_path / "archive")
        await _collected(pipeline, archive)
        await check("spans of the collector")
        await knows(APP)
        engine = LocalEngine(archive, span_reader(settings, container.classifier().snapshot.patterns))
        wanted, replay = Wanted(days[0], days[0], None), Replay(engine, container.usage_logs(), periods)
        assert (await replay.run(wanted, False, lambda period, day: True, silent)).changed
        await check("a replay of the archive")
        assert pipeline.board(f"leaderboard:Design:{DAY}")["ann"] == SEGMENTS * POSTS


class Dying(DuckDbEventSink):
    """Its writes are there, or not, and the answer is lost."""

    written = True

    async def write(self, *arguments: Any) -> int:
        if self.written:
            await super().write(*arguments)
        raise EventsOutage("killed")


@pytest.mark.parametrize("written", [True, False])
async def test_an_exporter_that_dies_within_a_write_exports_nothing_twice_and_loses_nothing(
    pipeline_on: StartPipeline, settings_with_events: Settings, written: bool
) -> None:
    async with pipeline_on(settings_with_events) as pipeline:
        container = pipeline.container
        await pipeline.process(*SPANS)
        dying = Dying(settings_with_events.analytics_path)
        dying.written = written
        with container.event_sink.override(providers.Object(dying)), pytest.raises(EventsOutage):
            await container.event_exporter().drain()

        await export(pipeline)
        check_sums(pipeline)


async def test_an_exporter_that_cannot_write_leaves_the_work_to_another(
    pipeline_on: StartPipeline, settings_with_events: Settings
) -> None:
    async with pipeline_on(settings_with_events) as pipeline:
        container = pipeline.container
        await pipeline.process(*SPANS)
        cut_off = Dying(settings_with_events.analytics_path)
        cut_off.written, failed = False, asyncio.Event()
        container.observer().export_failed = lambda *_: failed.set()
        async with AsyncExitStack() as stack:
            with container.event_sink.override(providers.Object(cut_off)):
                await stack.enter_async_context(exporting(container))
            await asyncio.wait_for(failed.wait(), DEADLINE)
            another = await stack.enter_async_context(running_container(other_instance(settings_with_events)))
            await stack.enter_async_context(exporting(another))
            await until(lambda: exported(container))
        check_sums(pipeline)


async def test_a_rebuild_fills_a_gap_and_changes_nothing_more(
    pipeline_on: StartPipeline, settings_with_events: Settings
) -> None:
    settings = settings_with_events.model_copy(update={"events_max": 1, "batch_size": 1, "batch_max": 1})
    async with pipeline_on(settings) as pipeline:
        container = pipeline.container
        await pipeline.process(*SPANS)
        (state,) = [await outbox.state() for outbox in container.event_outboxes()]
        assert state.gap == sum(state.gap_by_day.values()) > 0

        async with exporting(container):
            days = sorted({*state.gap_by_day, DAY})
            added = await container.event_rebuild().rebuild(days)
            assert sum(added.values()) == state.gap
            check_sums(pipeline)
            assert (await container.event_outboxes()[0].state()).gap_by_day == {}
            assert await container.event_rebuild().rebuild(days) == dict.fromkeys(days, 0)


async def silent(_: Any) -> None: ...


@pytest.mark.parametrize("what", ["a category", "a board", "a score"])
async def test_after_boards_were_rebuilt_the_events_follow_the_logs(
    pipeline_on: StartPipeline, settings_with_events: Settings, what: str
) -> None:
    async with pipeline_on(settings_with_events) as pipeline:
        container = pipeline.container
        await pipeline.process(*SPANS)
        async with exporting(container):
            await until(lambda: exported(container))
            if what == "a category":
                logs = await container.usage_logs().find_by_session("user-1", date(2025, 9, 2), 3)
                await container.usage_logs().update_category_all(
                    [CategoryUpdate([logs[0].id], category_id("SNS"), False)]
                )
            elif what == "a board":
                pipeline.redis.delete(f"leaderboard:Development:{DAY}")
            else:
                pipeline.redis.zincrby(f"leaderboard:Development:{DAY}", 1000, "user-1")
            for day in (date(2025, 9, 2), date(2025, 9, 3)):
                await container.leaderboard_rebuild().rebuild(list(Period), day, silent)

            await until(lambda: exported(container))
            check_sums(pipeline)


async def test_a_comparison_gives_way_to_a_rebuild_of_boards(
    pipeline_on: StartPipeline, settings_with_events: Settings
) -> None:
    async with pipeline_on(settings_with_events) as pipeline:
        boards = pipeline.container.board_rebuild()
        await boards.begin()

        with pytest.raises(TaskRefused):
            await pipeline.container.event_rebuild().rebuild([DAY])

        await boards.renew()
        await boards.abandon()


async def test_the_page_and_the_api_show_what_the_events_say(
    pipeline_on: StartPipeline, settings_with_events: Settings
) -> None:
    async with pipeline_on(settings_with_events) as pipeline, AsyncExitStack() as stack:
        app = make_app(pipeline.container.state(), pipeline.container.api())
        client = await stack.enter_async_context(TestClient(TestServer(app)))
        empty = await (await client.get("/analytics/page")).text()
        assert "EVENTS=true makes the pipeline write events" in empty
        assert (await client.get("/api/analytics/heat-map")).status == 404

        await pipeline.process(*SPANS)
        await export(pipeline)

        answer = await (await client.get("/api/analytics/categories")).json()
        assert "Development" in {row[0] for row in answer["rows"]}
        assert (await (await client.get("/api/analytics/top-sites")).json())["rows"] == [], "of one user alone"
        assert (await (await client.get(f"/api/quality?date={DAY}")).json()) == {"sources": []}
        page = await (await client.get("/analytics/page")).text()
        assert "Tue 09:00, 4 min" in page, "as on the cards"
        shown = dict(re.findall(r'<rect class="(hue-\d+)" width="1" height="1"/></svg> ([^<]+)<', page))
        assert "Development" in shown.values()
        assert set(re.findall(r'<rect class="(hue-\d+)" x=', page)) == shown.keys(), "each colour has its name"
        assert "youtube" not in page
        assert "<p>2025-09-01</p>" in page, "the week of the only bar"
        korean = await (await client.get("/analytics/page?lang=ko")).text()
        assert "화요일 09시, 4분" in korean
        assert '<html lang="ko">' in korean
        of_browser = await client.get(f"/analytics/page?date={DAY}", headers={"Accept-Language": "ko-KR,ko;q=0.9"})
        assert f"{DAY}의 데이터 품질" in await of_browser.text()
        assert (await client.get("/analytics/page?date=x")).status == 400
