"""The archive replayed in process: interrupted, run again, and while messages keep coming."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import date
from pathlib import Path

import pytest

from domains.categoryPattern.model import CategoryPattern
from domains.collector.model import ArchiveOutage, Form, Position, Post, Record, archive_key
from domains.replay.service import Events, Replay, Replayed, ReplayedSpan, Wanted
from infrastructure.collector.archive import FileArchive
from infrastructure.collector.sealing import seal_records
from infrastructure.composition.replay import span_reader
from infrastructure.redis.collected_spans import RedisSpanPublisher
from infrastructure.replay.local_engine import LocalEngine
from infrastructure.settings import Settings
from tests.integration.conftest import Pipeline
from tests.messages import hex_id, message

DAY = date(2025, 9, 2)
APP = "An app that a rule will know"
FIRST, SEGMENTS, POSTS = 1_756_800_000_000, 3, 20


class Between(LocalEngine):
    """Calls `between` behind each page."""

    between: Callable[[int], object]

    async def spans(self, wanted: Wanted) -> AsyncIterator[list[ReplayedSpan]]:
        number = 0
        async for page in super().spans(wanted):
            yield page
            number += 1
            if (awaitable := self.between(number)) is not None:
                await awaitable  # type: ignore[misc]


async def _collected(pipeline: Pipeline, archive: FileArchive) -> None:
    container = pipeline.container
    await collect_spans(RedisSpanPublisher(container.redis(), container.partition_keys()), archive)
    await pipeline.settled()


async def collect_spans(publisher: RedisSpanPublisher, archive: FileArchive) -> None:
    """Spans of APP, 1 second each, on the stream and in the archive, as the collector puts them there."""
    body = json.dumps(dict(message(app=APP, duration="1.0", userId="ann"))).encode()
    for segment in range(FIRST, FIRST + SEGMENTS):
        records = [
            Record(Position(segment, n), Position(segment, n + 1), Post(2e9, "", "", Form.JSON, body))
            for n in range(POSTS)
        ]
        await publisher.publish("one", records, Position(segment, POSTS))
        await archive.put(archive_key("one", segment), seal_records("one", segment, records, 0).data)


async def test_a_replay_that_was_interrupted_is_exact_once_it_has_run_under_load(
    pipeline_on: Callable[..., AbstractAsyncContextManager[Pipeline]], settings: Settings, tmp_path: Path
) -> None:
    archive = FileArchive(tmp_path / "archive")
    async with pipeline_on(settings) as pipeline:
        container = pipeline.container
        await _collected(pipeline, archive)
        assert pipeline.board("leaderboard:Uncategorized:2025-09-02") == {"ann": float(SEGMENTS * POSTS)}
        await container.category_patterns().save_all([CategoryPattern(hex_id(9), "Design", 1, (APP,), ())])
        await container.classifier().load()
        patterns = container.classifier().snapshot.patterns

        async def run(between: Callable[[int], object]) -> Replayed:
            engine = Between(archive, span_reader(settings, patterns))
            engine.between = between
            replay = Replay(engine, container.usage_logs(), container.period_reclassification())
            wanted = Wanted(DAY, DAY, None)
            return await replay.run(wanted, False, lambda period, start: True, _silent)

        def break_off(number: int) -> None:
            raise ArchiveOutage("away")

        with pytest.raises(ArchiveOutage):
            await run(break_off)

        def load(number: int) -> object:
            return pipeline.publish(message(app=APP, duration="1.0", userId="ann", title=f"{number}"))

        done = await run(load)
        await pipeline.settled()
        total = float(SEGMENTS * POSTS + SEGMENTS)

        assert done.changed == (SEGMENTS - 1) * POSTS, "the first page was written before the interruption"
        assert done.missing == 0
        for period in ("2025-09-02", "2025-W36", "2025-M9"):
            assert pipeline.board(f"leaderboard:Design:{period}") == {"ann": total}
            assert pipeline.board(f"leaderboard:work:{period}") == {"ann": total}
            assert pipeline.board(f"leaderboard:Uncategorized:{period}") == {}
        assert (await run(lambda number: None)).changed == 0


@pytest.mark.parametrize(("first", "second"), [("one", "two"), ("two", "one")])
async def test_an_event_that_two_collectors_have_archived_counts_once(
    pipeline_on: Callable[..., AbstractAsyncContextManager[Pipeline]],
    settings: Settings,
    tmp_path: Path,
    first: str,
    second: str,
) -> None:
    """Whichever of them the stream took, and wherever in the archive it is. Two events have no log."""

    def records(segment: int, *ids: str) -> list[Record]:
        bodies = [json.dumps(dict(message(app=APP, duration="1.0", userId="ann")) | {"eventId": id_}) for id_ in ids]
        return [
            Record(Position(segment, n), Position(segment, n + 1), Post(2e9, "", "", Form.JSON, body.encode()))
            for n, body in enumerate(bodies)
        ]

    once, twice = FileArchive(tmp_path / "once"), FileArchive(tmp_path / "twice")
    published, unpublished = [f"e{n}" for n in range(POSTS)], ["lost", "also lost"]
    async with pipeline_on(settings) as pipeline:
        container = pipeline.container
        publisher = RedisSpanPublisher(container.redis(), container.partition_keys())
        for instance, archives in ((first, (once, twice)), (second, (twice,))):
            done = await publisher.publish(instance, records(FIRST, *published), Position(FIRST, POSTS))
            assert done == ((POSTS, 0) if instance == first else (0, POSTS))
            for archive in archives:
                for segment, ids in ((FIRST, published), (FIRST + 1, unpublished)):
                    sealed = seal_records(instance, segment, records(segment, *ids), 0)
                    await archive.put(archive_key(instance, segment), sealed.data)
        await pipeline.settled()
        await container.category_patterns().save_all([CategoryPattern(hex_id(9), "Design", 1, (APP,), ())])
        await container.classifier().load()
        reader = span_reader(settings, container.classifier().snapshot.patterns)

        async def replayed(archive: FileArchive, dry_run: bool) -> tuple[object, ...]:
            engine = LocalEngine(archive, reader)
            replay = Replay(engine, container.usage_logs(), container.period_reclassification())
            done = await replay.run(Wanted(DAY, DAY, None), dry_run, lambda period, start: True, _silent)
            amounts = [(key, it.spans, it.seconds.value) for key, it in (done.archived | done.moved).items()]
            return done.spans, done.missing, done.changed, amounts

        assert await replayed(twice, dry_run=True) == await replayed(once, dry_run=True)
        assert (await replayed(twice, dry_run=False))[:3] == (POSTS + 2, 2, POSTS)
        assert pipeline.board("leaderboard:Design:2025-09-02") == {"ann": float(POSTS)}


def test_events_of_two_users_with_the_same_id_are_two(settings: Settings) -> None:
    bodies = [json.dumps(dict(message(userId=user)) | {"eventId": "1"}).encode() for user in ("kim", "lee", "kim")]
    records = [
        Record(Position(FIRST, n), Position(FIRST, n + 1), Post(2e9, "", "", Form.JSON, body))
        for n, body in enumerate(bodies)
    ]
    data = seal_records("one", FIRST, records, 0).data
    reader = span_reader(settings, (CategoryPattern(hex_id(9), "Uncategorized", 1, (), ()),))
    spans = reader.spans(archive_key("one", FIRST), data, Wanted(DAY, DAY, None))
    kim, lee, again = [it.event for it in spans if isinstance(it, ReplayedSpan)]

    assert kim == again != lee


def test_a_replay_remembers_the_events_of_four_days() -> None:
    events, done = Events(), Replayed()
    for day in range(100):
        for has_log in (False, True):
            events.count(ReplayedSpan("", "ann", "Design", 1.0, day + 1, day), has_log, done)
    held = [event for event in range(1, 101) if any(event in day for day in events.days.values())]

    assert (done.spans, done.missing, held) == (100, 0, [97, 98, 99, 100])


async def _silent(state: Replayed) -> None:
    return
