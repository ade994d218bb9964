"""Both cursors of the collector, while the stream and the archive come and go."""

import asyncio
import errno
import gzip
import json
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domains.collector.model import ArchiveOutage, Bound, Durability, Form, Position, Post
from domains.collector.ports import CollectorObserver
from domains.collector.service import Bounds, Collector
from domains.kernel.errors import Outage, RedisOutage
from domains.kernel.resilience import cancel_all
from infrastructure.collector.events import known_ids, split
from infrastructure.collector.record_format import encode
from infrastructure.collector.span_log import SegmentedSpanLog
from infrastructure.memory.collector import InMemoryArchive, InMemorySpanPublisher

BOUNDS = Bounds(100, 2**20, 2**20, 1e10)


class Seen(CollectorObserver):
    def __init__(self) -> None:
        self.dropped_segments = 0
        self.late = 0
        self.damaged_records = 0
        self.outages: list[tuple[str, bool]] = []
        self.changed = asyncio.Event()

    def stored(self, events: int, was_late: bool) -> None:
        self.late += was_late
        self.changed.set()

    def damaged(self, records: int) -> None:
        self.damaged_records += records

    def dropped(self, segments: int) -> None:
        self.dropped_segments += segments
        self.changed.set()

    def published(self, events: int, repeated: int) -> None:
        self.changed.set()

    def outage(self, service: str, cause: Exception | None) -> None:
        self.outages.append((service, cause is not None))
        self.changed.set()


class World:
    def __init__(self, directory: Path, bounds: Bounds = BOUNDS, durability: Durability = Durability.DISK) -> None:
        self.publisher, self.archive, self.seen = InMemorySpanPublisher(), InMemoryArchive(), Seen()
        self.log = SegmentedSpanLog(directory, "one", 2**20, 3600)
        self.collector = Collector(self.log, self.publisher, self.archive, self.seen, bounds, durability)

    def begin(self, number: int) -> "asyncio.Future[Position | Outage]":
        future = asyncio.get_running_loop().create_future()
        body = json.dumps({"userId": "ann", "eventId": f"e{number}"}).encode()
        self.collector.accept(Post(1.0, "", "", Form.JSON, body), 1, future.set_result)
        return future

    async def accept(self, number: int) -> Position | Outage:
        return await self.begin(number)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await self.seen.changed.wait()
                self.seen.changed.clear()

    @property
    def archived(self) -> list[str]:
        objects = [data for key, data in self.archive.objects.items() if key.endswith(".gz")]
        return [json.loads(line)["eventId"] for data in objects for line in gzip.decompress(data).splitlines()]


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    tasks = [asyncio.create_task(world.log.run()), asyncio.create_task(world.collector.run())]
    try:
        yield world
    finally:
        await cancel_all(tasks)
        world.log.close()


async def test_what_is_accepted_is_published_archived_and_then_gone(tmp_path: Path) -> None:
    async with running(World(tmp_path)) as world:
        await world.accept(0)
        await world.accept(1)

        assert await world.collector.drain(10)
        assert [json.loads(it.post.body)["eventId"] for it in world.publisher.records] == ["e0", "e1"]
        assert world.archived == ["e0", "e1"]
        assert world.log.spooled_files == 0


async def test_without_redis_and_archive_posts_are_accepted_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domains.collector.service._LONGEST_DELAY", 0.05)
    world = World(tmp_path)
    world.publisher.outage, world.archive.outage = RedisOutage("away"), ArchiveOutage("away")
    async with running(world):
        for number in range(3):
            assert isinstance(await world.accept(number), Position)
            await world.log.roll()
        await world.until(lambda: {("redis", True), ("archive", True)} <= set(world.seen.outages))
        world.publisher.outage = world.archive.outage = None

        assert await world.collector.drain(20)
        assert len(world.publisher.records) == 3
        assert sorted(world.archived) == ["e0", "e1", "e2"]
        assert world.seen.late >= 1


async def test_what_the_drain_leaves_is_there_at_the_next_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.archive.outage = ArchiveOutage("away")
    async with running(world):
        await world.accept(0)
        assert not await world.collector.drain(0.2)
    again = World(tmp_path)
    again.publisher = again.collector._publisher = world.publisher
    async with running(again):
        assert await again.collector.drain(10)

    assert again.archived == ["e0"]
    assert len(world.publisher.records) == 1


async def test_in_a_segment_that_is_damaged_the_other_records_go_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    records = [encode(Post(1.0, "", "", Form.JSON, b'{"eventId":"e%d"}' % number)) for number in range(3)]
    (tmp_path / "1700000000000.log").write_bytes(records[0] + records[1][:-1] + b"?" + records[2])
    world.log.close()
    again = World(tmp_path)
    async with running(again):
        assert await again.collector.drain(10)

    assert again.archived == ["e0", "e2"]
    assert again.seen.damaged_records == 1
    assert (tmp_path / "corrupt" / "1700000000000.log").is_file()


async def test_a_record_that_is_damaged_when_it_has_been_published_is_counted_all_the_same(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with running(world):
        await world.accept(0)
        await world.until(lambda: world.publisher.records)
        (path,) = tmp_path.glob("*.log")
        with path.open("r+b") as segment:
            segment.seek(-1, os.SEEK_END)
            segment.write(b"?")
        assert await world.collector.drain(10)

    assert world.seen.damaged_records == 1
    assert world.archived == []


async def test_a_segment_that_cannot_be_read_for_a_while_is_published_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "I/O error")

    async with running(World(tmp_path)) as world:
        with monkeypatch.context() as patched:
            patched.setattr(os, "pread", failing)
            assert isinstance(await world.accept(0), Position)
            await world.until(lambda: ("disk", True) in world.seen.outages)

        assert await world.collector.drain(20)
        assert len(world.publisher.records) == 1
        assert world.archived == ["e0"]


async def test_what_cannot_be_encoded_is_archived_raw(tmp_path: Path) -> None:
    world = World(tmp_path)
    posts = [Post(1.0, "", "", Form.JSON, body) for body in (b"not json", b'{"eventId":"e1"}')]
    (tmp_path / "1700000000000.log").write_bytes(b"".join(map(encode, posts)))
    world.log.close()
    again = World(tmp_path)
    async with running(again):
        assert await again.collector.drain(10)

    assert again.archived == ["e1"]
    assert again.archive.objects["raw_dlq/date=2023-11-14/hour=22/one-1700000000000.raw"] == encode(posts[0])


async def test_what_the_archive_does_not_take_for_too_long_is_dropped_if_the_stream_has_it(tmp_path: Path) -> None:
    world = World(tmp_path, BOUNDS._replace(spool_seconds=0.0))
    world.archive.outage, world.publisher.outage = ArchiveOutage("away"), RedisOutage("away")
    async with running(world):
        await world.accept(0)
        await world.log.roll()
        await world.until(lambda: ("archive", True) in world.seen.outages)
        assert world.seen.dropped_segments == 0
        world.publisher.outage = None
        await world.until(lambda: world.seen.dropped_segments)

        assert len(world.publisher.records) == 1
        assert world.log.spooled_files == 0


@pytest.mark.parametrize(
    ("bounds", "bound"),
    [
        (BOUNDS._replace(waiting=1), Bound.WAITING),
        (BOUNDS._replace(waiting_bytes=10), Bound.WAITING),
    ],
)
async def test_what_waits_for_the_disk_is_bounded(tmp_path: Path, bounds: Bounds, bound: Bound) -> None:
    async with running(World(tmp_path, bounds)) as world:
        waiting = world.begin(0)
        assert world.collector.refusal() is bound
        await waiting
        assert world.collector.refusal() is None


async def test_a_full_spool_and_a_full_disk_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, BOUNDS._replace(spool_bytes=50))
    world.archive.outage = ArchiveOutage("away")
    async with running(world):
        await world.accept(0)
        assert world.collector.refusal() is Bound.SPOOL
    monkeypatch.setattr(SegmentedSpanLog, "free_bytes", lambda _: -1)
    world = World(tmp_path)

    assert world.collector.refusal() is Bound.DISK
    world.log.close()


async def test_202_of_redis_waits_for_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domains.collector.service._REDIS_SECONDS", 0.1)
    world = World(tmp_path, durability=Durability.REDIS)
    async with running(world):
        assert isinstance(await world.accept(0), Position)
        assert len(world.publisher.records) == 1
        world.publisher.outage = RedisOutage("away")

        assert isinstance(await world.accept(1), RedisOutage)
        assert world.collector.refusal() is Bound.REDIS


def test_ids_of_clients_are_remembered_in_bounded_memory(tmp_path: Path) -> None:
    world = World(tmp_path)
    ids = [number.to_bytes(16) for number in range(300_000)]
    tracemalloc.start()
    for start in range(0, len(ids), 1000):
        world.collector.remember(b"".join(ids[start : start + 1000]))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert all(map(world.collector.is_known, ids[-65_536:]))
    assert not world.collector.is_known(ids[0])
    assert held < 20e6
    world.log.close()


def test_what_is_remembered_of_a_client_with_a_token_stays_the_same_over_versions() -> None:
    """An upgrade would else let in again what comes twice."""
    post = Post(1.0, "ann", "k", Form.JSON, b'{"eventId":"a"}')
    of_key, of_events = known_ids(post, split(post.form, post.body))

    assert [it.hex() for it in of_events] == ["7f8bb1ba7527cdd3cc7e88900be71e01"]
    assert [it.hex() for it in of_key] == ["f1fd1b39ec5a0243eaf111227225f327", "2e6955a029bec048743bd78cda99f11f"]
