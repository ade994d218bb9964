"""The log of posts on this machine's disk: append-only segments, one fdatasync for all that wait.

    {directory}/{number}.log       a segment that the archive does not have yet
    {directory}/{number}.stored    one that it has, and the stream does not
    {directory}/corrupt/           damaged segments, as they are
    {directory}/ids                digests of ids that clients gave, of segments that have left as well
    {directory}/instance, lock     the log's name, and who uses it

docs/collector.md says why this is no SQLite database.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import time

import structlog

from domains.collector.erasures import NOBODY, Erasures
from domains.collector.model import LogOutage, Position, Post, Record, Sealed, Segment
from domains.collector.ports import Done, Pages
from domains.kernel.errors import Outage
from infrastructure.collector.record_format import Damage, decode, encode, wanted_bytes
from infrastructure.collector.sealing import seal_records

CORRUPT = "corrupt"
"""The directory of damaged segments, below that of the log."""
_MOST_FREE = 67_108_864
_FREE_SHARE = 0.05
"""So much of a disk stays free: this share of it, and not more than these bytes."""
_Group = tuple[int, bytes, "asyncio.Future[None]"]
"""The file, what is appended to it, and what is settled then."""


class LogInUse(Exception):
    """Another process uses the directory."""


class _File:
    """A segment: `size` is what is durable of it."""

    def __init__(self, number: int, path: Path, size: int, fd: int = -1) -> None:
        self.number, self.path, self.size, self.fd = number, path, size, fd
        self.is_damaged = self.is_aside = False
        self.due: asyncio.TimerHandle | None = None
        """Tells that it is as old as an open segment may be."""
        self.is_due = False

    @property
    def is_open(self) -> bool:
        return self.fd >= 0

    @property
    def is_stored(self) -> bool:
        return self.path.suffix == ".stored"

    @property
    def segment(self) -> Segment:
        return Segment(self.number, self.size)


class SegmentedSpanLog:
    """SpanLogPort. A segment is closed when it has `batch_bytes`, is `flush_seconds` old, or its hour has passed.

    Without `syncs`, posts are only written, for where 202 promises something else. `run` has to be running.
    """

    def __init__(
        self,
        directory: Path,
        instance: str,
        batch_bytes: int,
        flush_seconds: float,
        syncs: bool = True,
        datasync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        """Raises LogInUse, and OSError if the directory cannot be used."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._batch_bytes = batch_bytes
        self._flush_seconds = flush_seconds
        self._datasync = datasync if syncs else lambda _: None
        self._lock = _locked(directory / "lock")
        self.instance = _kept(directory / "instance", instance)
        self._files = {it.number: it for it in _found(directory)}
        self._damage = set[tuple[int, int]]()
        self._bytes = sum(file.size for file in self._files.values())
        self._groups = SimpleQueue[_Group | None]()
        self._open: _File | None = None
        self._published = Position(0, 0)
        self._records, self._dones = list[bytes](), list[Done]()
        """What waits, in its order."""
        self._wanted = asyncio.Event()
        self._grown = asyncio.Event()
        self._closed = asyncio.Event()
        self._rolled: asyncio.Future[None] | None = None
        self._is_failing = False
        self._log = structlog.stdlib.get_logger("pomocore")

    @property
    def spooled_bytes(self) -> int:
        return self._bytes

    @property
    def spooled_files(self) -> int:
        return len(self._files)

    @property
    def damaged(self) -> int:
        return len(self._damage)

    def free_bytes(self) -> int:
        disk = os.statvfs(self._directory)
        kept = min(_MOST_FREE, int(disk.f_blocks * disk.f_frsize * _FREE_SHARE))
        return disk.f_bavail * disk.f_frsize - kept

    # Writing

    def append(self, post: Post, done: Done) -> None:
        self._records.append(encode(post))
        self._dones.append(done)
        self._wanted.set()

    async def roll(self) -> None:
        self._rolled = self._rolled or asyncio.get_running_loop().create_future()
        self._wanted.set()
        await asyncio.shield(self._rolled)

    async def run(self) -> None:
        """Writes what waits, in groups: while one is synced, the next one gathers. Runs until it is cancelled."""
        writer = Thread(target=self._write_groups, name="span log")
        writer.start()
        try:
            await self._run()
        finally:
            self._groups.put(None)
            writer.join()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._open is not None and (self._rolled or self._is_full(self._open)):
                self._close()
            if self._records:
                await self._write()
            if self._rolled is not None and not self._records:
                self._close()
                self._rolled.set_result(None)
                self._rolled = None

    async def _write(self) -> None:
        lengths, data = [len(it) for it in self._records], b"".join(self._records)
        self._records.clear()
        dones, self._dones = self._dones, []
        results: list[Position | Outage] = []
        try:
            file = self._open or self._begun()
            offset = file.size
            for length in lengths:
                results.append(Position(file.number, offset))
                offset += length
            synced = asyncio.get_running_loop().create_future()
            self._groups.put((file.fd, data, synced))
            await synced
            self._bytes += len(data)
            file.size = offset
        except OSError as cause:
            self._abandon(cause)
            results = [LogOutage(f"the log cannot be written: {cause}")] * len(dones)
        else:
            self._is_failing = False
        self._grown.set()
        for done, result in zip(dones, results, strict=True):
            done(result)

    def _write_groups(self) -> None:
        """A thread of its own: an executor costs as much CPU a group as several posts."""
        while (group := self._groups.get()) is not None:
            fd, data, synced = group
            cause = None
            try:
                self._write_and_sync(fd, data)
            except Exception as error:
                cause = error
            synced.get_loop().call_soon_threadsafe(_settle, synced, cause)
            del group, data  # the next one may be long in coming

    def _write_and_sync(self, fd: int, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        self._datasync(fd)

    def _begun(self) -> _File:
        number = max(int(time() * 1000), max(self._files, default=0) + 1, self._published.segment + 1)
        path = self._directory / f"{number:013d}.log"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        file = self._open = self._files[number] = _File(number, path, 0, fd)
        _sync_directory(self._directory)
        file.due = asyncio.get_running_loop().call_later(self._flush_seconds, self._set_due, file)
        return file

    def _set_due(self, file: _File) -> None:
        file.is_due = True
        self._wanted.set()

    def _abandon(self, cause: OSError) -> None:
        """After a failed sync nobody knows what of the group is on the disk, so the file is never synced again."""
        if not self._is_failing:
            self._log.error("The span log cannot be written", action="span_log", cause=str(cause))
        self._is_failing = True
        if (file := self._open) is None:
            return
        self._close()
        with suppress(OSError):
            os.truncate(file.path, file.size)

    def _close(self) -> None:
        if (file := self._open) is None:
            return
        os.close(file.fd)
        if file.due is not None:
            file.due.cancel()
        self._open, file.fd = None, -1
        if not file.size:
            self._forget(file)
        self._grown.set()
        self._closed.set()

    def _is_full(self, file: _File) -> bool:
        if file.size >= self._batch_bytes:
            return True
        now, begun = datetime.now(UTC), file.segment.begun
        is_over = (now.date(), now.hour) > (begun.date(), begun.hour)
        return is_over or file.is_due

    # Reading

    def closed(self) -> list[Segment]:
        return [file.segment for file in self._ordered() if not file.is_open and not file.is_stored]

    def unpublished(self, position: Position) -> list[Segment]:
        return [file.segment for file in self._ordered() if file.size and file.segment.end > position]

    async def read(self, position: Position, max_bytes: int) -> Pages:
        for file in self._ordered():
            if not file.size or file.segment.end <= position:
                continue
            offset = position.offset if file.number == position.segment else 0
            records, behind, damaged = [], file.segment.end, 0
            for each in self._read(file, offset, max_bytes):
                if isinstance(each, Damage):
                    damaged += 1
                    behind = Position(file.number, each.end)
                else:
                    records.append(each)
                    behind = each.behind
            return Pages(records, behind, damaged)
        return Pages([], position, 0)

    def _read(self, file: _File, offset: int, max_bytes: int) -> list[Record | Damage]:
        """What stands in up to `max_bytes` of the segment. Nothing: only a cut record is left."""
        try:
            found = self._found(file, offset, max_bytes)
        except OSError as cause:
            raise LogOutage(f"a segment cannot be read: {cause}") from cause
        if damage := {(file.number, each.start) for each in found if isinstance(each, Damage)}:
            self._damage |= damage
            self._tell_damage(file)
        return found

    def _found(self, file: _File, offset: int, max_bytes: int) -> list[Record | Damage]:
        whole = file.size - offset
        with file.path.open("rb", buffering=0) as segment:
            data = os.pread(segment.fileno(), min(whole, max_bytes), offset)
            if len(data) < whole and wanted_bytes(data) > len(data):
                data = os.pread(segment.fileno(), whole, offset)
            found = list(decode(data, file.number, offset, len(data) == whole))
            if not found and len(data) < whole:  # damage that goes beyond
                data = os.pread(segment.fileno(), whole, offset)
                found = list(decode(data, file.number, offset, True))
        return found

    def _tell_damage(self, file: _File) -> None:
        if file.is_damaged:
            return
        file.is_damaged, aside = True, CORRUPT
        try:
            self._set_aside(file, os.link)  # takes no space, and what is appended later is aside, too
        except OSError as error:
            aside = f"once it leaves ({error})"
        said = "A segment of the span log is damaged"
        self._log.error(said, action="span_log_damaged", segment=file.number, aside=aside)

    def _set_aside(self, file: _File, put: Callable[[Path, Path], None]) -> None:
        aside = self._directory / CORRUPT / f"{file.number:013d}.log"
        aside.parent.mkdir(exist_ok=True, mode=0o700)
        aside.unlink(missing_ok=True)
        put(file.path, aside)
        file.is_aside = True

    async def seal(self, segment: Segment, erasures: Erasures = NOBODY) -> Sealed:
        return await asyncio.to_thread(self._seal, self._files[segment.number], erasures)

    def _seal(self, file: _File, erasures: Erasures) -> Sealed:
        found = self._read(file, 0, file.size)
        records = [each for each in found if isinstance(each, Record)]
        return seal_records(self.instance, file.number, records, len(found) - len(records), erasures)

    def recent(self, max_bytes: int) -> Iterator[Record]:
        """The records of the newest segments, without those that cannot be read now."""
        for file in reversed(self._ordered()):
            if (max_bytes := max_bytes - file.size) < 0:
                return
            with suppress(LogOutage):
                yield from (each for each in self._read(file, 0, file.size) if isinstance(each, Record))

    # Leaving

    def stored(self, segment: Segment) -> None:
        file = self._files[segment.number]
        path = file.path.with_suffix(".stored")
        file.path = file.path.rename(path)
        self._remove_done(file)

    def published(self, position: Position) -> None:
        self._published = max(self._published, position)
        for file in self._ordered():
            self._remove_done(file)

    async def keep_ids(self, ids: bytes) -> None:
        with suppress(OSError):  # a full disk must not hold up what frees it
            await asyncio.to_thread(self._keep_ids, ids)

    def _keep_ids(self, ids: bytes) -> None:
        unfinished = self._directory / "ids.new"
        try:
            unfinished.touch(0o600)
            unfinished.write_bytes(ids)
            unfinished.replace(self._directory / "ids")
        finally:
            unfinished.unlink(missing_ok=True)

    def kept_ids(self) -> bytes:
        try:
            return (self._directory / "ids").read_bytes()
        except OSError:
            return b""

    def _remove_done(self, file: _File) -> None:
        if not file.is_open and file.is_stored and file.segment.end <= self._published:
            self._forget(file)

    def _forget(self, file: _File) -> None:
        try:
            if file.is_damaged and not file.is_aside:
                self._set_aside(file, os.rename)
            file.path.unlink(missing_ok=True)
        except OSError:  # it stays until this works
            return
        del self._files[file.number]
        self._bytes -= file.size

    def _ordered(self) -> list[_File]:
        return [self._files[number] for number in sorted(self._files)]

    async def until_grown(self) -> None:
        await self._grown.wait()
        self._grown.clear()

    async def until_closed(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        self._closed.clear()

    def close(self) -> None:
        """Closes the files. What waits is not written."""
        self._close()
        os.close(self._lock)


def _settle(synced: "asyncio.Future[None]", cause: Exception | None) -> None:
    if synced.cancelled():
        return
    if cause is None:
        synced.set_result(None)
    else:
        synced.set_exception(cause)


def _locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise LogInUse(f"{path.parent} is used by another collector") from None
    return fd


def _kept(path: Path, instance: str) -> str:
    """The name in the file, which gets `instance` if it is new."""
    with suppress(FileNotFoundError):
        if name := path.read_text(encoding="utf-8").strip():
            return name
    path.touch(0o600)
    path.write_text(instance, encoding="utf-8")
    return instance


def _found(directory: Path) -> Iterator[_File]:
    for path in directory.iterdir():
        if path.suffix in (".log", ".stored") and path.stem.isdecimal():
            if size := path.stat().st_size:
                yield _File(int(path.stem), path, size)
            else:
                path.unlink()


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
