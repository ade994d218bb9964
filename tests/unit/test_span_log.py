"""The log on disk: what a crash, a flipped byte, a full disk and a failed sync leave of it."""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domains.collector.model import START, Form, LogOutage, Position, Post
from domains.collector.ports import Pages
from domains.kernel.errors import Outage
from domains.kernel.resilience import cancel_all
from infrastructure.collector.span_log import LogInUse, SegmentedSpanLog

NEVER = 3600.0


def post(number: int, size: int = 0) -> Post:
    return Post(1_800_000_000.0 + number, "ann", "", Form.JSON, f'{{"n":{number}}}'.encode() + b" " * size)


@asynccontextmanager
async def running(
    directory: Path, datasync: Callable[[int], None] = os.fdatasync, batch_bytes: int = 2**20
) -> AsyncIterator[SegmentedSpanLog]:
    log = SegmentedSpanLog(directory, "one", batch_bytes, NEVER, datasync=datasync)
    task = asyncio.create_task(log.run())
    try:
        yield log
    finally:
        await cancel_all([task])
        log.close()


async def append(log: SegmentedSpanLog, *posts: Post) -> list[Position | Outage]:
    """Appends all of them at once."""
    futures = [asyncio.get_running_loop().create_future() for _ in posts]
    for each, future in zip(posts, futures, strict=True):
        log.append(each, future.set_result)
    return list(await asyncio.gather(*futures))


async def all_of(log: SegmentedSpanLog) -> tuple[list[bytes], int]:
    """The bodies in the log, and how many records are damaged."""
    bodies, damaged, position = list[bytes](), 0, START
    while (pages := await log.read(position, 1)) != Pages([], position, 0):
        bodies += [record.post.body for record in pages.records]
        damaged, position = damaged + pages.damaged, pages.behind
    return bodies, damaged


def segment_of(directory: Path) -> Path:
    (path,) = directory.glob("*.log")
    return path


async def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    posts = [post(number) for number in range(5)]
    async with running(tmp_path) as log:
        await append(log, *posts)
    async with running(tmp_path) as log:
        await append(log, post(5))
        read = [record.post for record in (await log.read(START, 2**20)).records]

        assert read == posts
        assert await all_of(log) == ([it.body for it in [*posts, post(5)]], 0)


async def test_posts_that_wait_together_share_a_sync(tmp_path: Path) -> None:
    syncs: list[int] = []
    async with running(tmp_path, syncs.append) as log:
        await append(log, *(post(number) for number in range(100)))

    assert len(syncs) == 1


async def test_a_record_that_a_crash_cut_off_is_not_there_and_no_damage(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        positions = await append(log, post(0), post(1))
    path, last = segment_of(tmp_path), positions[1]
    assert isinstance(last, Position)
    whole = path.read_bytes()
    for size in range(last.offset + 1, len(whole)):
        path.write_bytes(whole[:size])
        async with running(tmp_path) as log:
            assert await all_of(log) == ([post(0).body], 0), size
    assert not (tmp_path / "corrupt").exists()


async def test_of_a_flipped_byte_only_its_record_suffers(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        positions = await append(log, *(post(number) for number in range(3)))
    path = segment_of(tmp_path)
    whole, (_, second, third) = path.read_bytes(), positions
    assert isinstance(second, Position)
    assert isinstance(third, Position)
    for place in range(second.offset, third.offset):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        async with running(tmp_path) as log:
            assert await all_of(log) == ([post(0).body, post(2).body], 1), place
    aside = tmp_path / "corrupt" / path.name

    assert len(aside.read_bytes()) == len(whole)


async def damaged(log: SegmentedSpanLog, directory: Path) -> Path:
    """A segment of two posts, the first of which is damaged."""
    await append(log, post(0), post(1))
    with segment_of(directory).open("r+b") as segment:
        segment.write(b"?")
    assert await all_of(log) == ([post(1).body], 1)
    return segment_of(directory)


async def test_a_damaged_segment_is_set_aside_without_taking_space(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        path = await damaged(log, tmp_path)
        aside = tmp_path / "corrupt" / path.name

        assert aside.samefile(path)
        await append(log, post(2))
        whole = path.read_bytes()
        await log.roll()
        (segment,) = log.closed()
        log.stored(segment)
        log.published(segment.end)
        assert aside.read_bytes() == whole
        assert not [*tmp_path.glob("*.stored")]


async def test_a_damaged_segment_that_cannot_be_set_aside_stays_until_it_can(tmp_path: Path) -> None:
    obstacle = tmp_path / "corrupt"
    obstacle.touch()
    async with running(tmp_path) as log:
        path = await damaged(log, tmp_path)
        whole = path.read_bytes()
        await log.roll()
        (segment,) = log.closed()
        log.stored(segment)
        log.published(segment.end)
        assert path.with_suffix(".stored").read_bytes() == whole

        obstacle.unlink()
        log.published(segment.end)
        assert (tmp_path / "corrupt" / path.name).read_bytes() == whole
        assert log.spooled_files == log.spooled_bytes == 0


async def test_a_segment_that_cannot_be_read_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as log:
        await append(log, post(0))
        await log.roll()
        (segment,) = log.closed()
        with monkeypatch.context() as patched:
            patched.setattr(os, "pread", failing)
            for reading in (log.read(START, 2**20), log.seal(segment)):
                with pytest.raises(LogOutage):
                    await reading
            assert [*log.recent(2**20)] == []

        assert await all_of(log) == ([post(0).body], 0)


def failing(*_: object) -> None:
    raise OSError(errno.EIO, "I/O error")


async def test_a_flipped_byte_in_the_last_record_is_no_crash(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        positions = await append(log, post(0), post(1))
    path, last = segment_of(tmp_path), positions[1]
    assert isinstance(last, Position)
    whole = path.read_bytes()
    for place in range(last.offset, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x80]) + whole[place + 1 :])
        async with running(tmp_path) as log:
            assert await all_of(log) == ([post(0).body], 1), place


async def test_after_a_failed_sync_nothing_counts_and_the_file_is_never_synced_again(tmp_path: Path) -> None:
    synced: list[str] = []
    fails = True

    def datasync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        if fails and len(synced) == 2:
            raise OSError(errno.EIO, "I/O error")

    async with running(tmp_path, datasync) as log:
        await append(log, post(0))
        failed = await append(log, post(1), post(2))
        await append(log, post(3))

        assert [type(result) for result in failed] == [LogOutage, LogOutage]
        assert await all_of(log) == ([post(0).body, post(3).body], 0)
    assert synced[0] == synced[1] != synced[2]
    async with running(tmp_path) as log:
        assert await all_of(log) == ([post(0).body, post(3).body], 0)


async def test_a_full_disk_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def half(fd: int, data: bytes) -> int:
        if len(data) < 1000:
            return write(fd, data)
        if len(data) == 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[:-1000])

    async with running(tmp_path) as log:
        await append(log, post(0))
        monkeypatch.setattr(os, "write", half)
        (failed,) = await append(log, post(1, size=5000))
        await append(log, post(2))

        assert isinstance(failed, LogOutage)
        assert await all_of(log) == ([post(0).body, post(2).body], 0)


async def test_a_segment_leaves_once_it_is_stored_and_published(tmp_path: Path) -> None:
    async with running(tmp_path, batch_bytes=1) as log:
        await append(log, post(0))
        await log.roll()
        (first,) = log.closed()
        log.stored(first)

        assert log.closed() == []
        assert log.unpublished(START) == [first]
        log.published(first.end)
        assert list(tmp_path.glob("*.stored")) == []
        assert log.spooled_bytes == 0


async def test_a_segment_that_is_old_is_closed_though_nothing_comes(tmp_path: Path) -> None:
    log = SegmentedSpanLog(tmp_path, "one", 2**20, 0.05)
    task = asyncio.create_task(log.run())
    await append(log, post(0))
    while not log.closed():
        await log.until_closed(20)

    assert log.unpublished(START) == log.closed()
    await cancel_all([task])
    log.close()


async def test_a_segment_whose_directory_cannot_be_synced_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as log:
        files = len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as patched:
            patched.setattr("infrastructure.collector.span_log._sync_directory", failing)
            assert isinstance((await append(log, post(0)))[0], LogOutage)

        assert len(os.listdir("/proc/self/fd")) <= files
        assert (log.spooled_files, [*tmp_path.glob("*.log")]) == (0, [])
        assert isinstance((await append(log, post(1)))[0], Position)


async def test_a_log_that_is_ended_during_a_sync_lets_it_end(tmp_path: Path) -> None:
    ended, results = list[bool](), list[object]()
    loop, is_over = asyncio.get_running_loop(), threading.Event()

    def datasync(fd: int) -> None:
        loop.call_soon_threadsafe(task.cancel)
        ended.append(not is_over.wait(0.2))
        os.fdatasync(fd)

    log = SegmentedSpanLog(tmp_path, "one", 2**20, NEVER, datasync=datasync)
    log.append(post(0), results.append)
    task = asyncio.create_task(log.run())
    with pytest.raises(asyncio.CancelledError):
        await task
    is_over.set()
    log.close()

    assert ended == [True]
    assert results == []


async def test_the_numbers_of_segments_rise_though_the_clock_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as log:
        (before,) = await append(log, post(0))
    monkeypatch.setattr("infrastructure.collector.span_log.time", lambda: 0.001)
    async with running(tmp_path) as log:
        (after,) = await append(log, post(1))

    assert isinstance(before, Position)
    assert isinstance(after, Position)
    assert after > before
    assert str(after) > str(before)


async def test_a_directory_has_one_log_at_a_time_and_keeps_its_name(tmp_path: Path) -> None:
    async with running(tmp_path):
        with pytest.raises(LogInUse):
            SegmentedSpanLog(tmp_path, "other", 1, NEVER)
    log = SegmentedSpanLog(tmp_path, "other", 1, NEVER)

    assert log.instance == "one"
    log.close()


async def test_the_same_segment_is_sealed_to_the_same_bytes(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        await append(log, post(0), post(1))
        await log.roll()
        (segment,) = log.closed()

        assert await log.seal(segment) == await log.seal(segment)
