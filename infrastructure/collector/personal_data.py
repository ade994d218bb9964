"""What a collector has of a user: in the archive, and in the log on this machine that is on its way there."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import time

import msgspec

from domains.collector.erasures import NOBODY, Erasures, erasure_key, erasures_of
from domains.collector.model import RAW_PREFIX, Record
from domains.userData.model import PersonalItem
from infrastructure.collector.archive import Archive
from infrastructure.collector.events import BodyError, split, user_of
from infrastructure.collector.record_format import decode, encode
from infrastructure.collector.sealing import gzipped
from infrastructure.collector.span_log import CORRUPT
from infrastructure.replay.archived_spans import PREFIX, lines_of

_ARCHIVE, _LOG, _UNREADABLE = "archive of collected spans", "log of collected spans", "unreadable spans"


class CollectedPersonalData:
    """PersonalDataPort. Objects and segments never change: a tombstone hides what they have of the user.

    A collector leaves it out when it archives its log, and a replay when it reads the archive. What neither can read,
    and damaged segments, are searched for the bytes of the user's id, and are written anew without it.
    Where there is no archive, the log is left as it is: it lasts until the stream has it.
    """

    def __init__(self, archive: Archive | None, log: Path) -> None:
        self._archive = archive
        self._log = log

    async def of_user(self, user_id: str) -> AsyncIterator[PersonalItem]:
        erasures = NOBODY
        if self._archive is not None:
            erasures = await erasures_of(self._archive)
            async for key in self._archive.keys(PREFIX):
                data = await self._archive.get(key)
                for item in await asyncio.to_thread(lambda: [*_of_object(key, data, user_id, erasures)]):  # noqa: B023
                    yield item
        for item in await asyncio.to_thread(lambda: [*_of_log(self._log, user_id, erasures)]):
            yield item
        async for key, data in _unreadable(self._archive, user_id):
            yield PersonalItem(_UNREADABLE, {"key": key, "bytes": len(data)})
        for path, data in await asyncio.to_thread(_damaged, self._log, user_id):
            yield PersonalItem(_UNREADABLE, {"segment": f"{path.parent.name}/{path.name}", "bytes": len(data)})

    async def erase(self, user_id: str) -> Counter[str]:
        found = Counter[str]()
        if self._archive is not None:
            async for item in self.of_user(user_id):
                found[item.place] += 1
            if found:
                now = time()
                await self._archive.put(erasure_key(user_id, now), gzipped(b"{}\n"))
            del found[_UNREADABLE]  # some of it may be left
            async for key, data in _unreadable(self._archive, user_id):
                await self._archive.replace(key, _without(user_id, data))
                found[_UNREADABLE] += 1
        for path, data in await asyncio.to_thread(_damaged, self._log, user_id):
            await asyncio.to_thread(_replace, path, _without(user_id, data))
            found[_UNREADABLE] += 1
        return found


async def _unreadable(archive: Archive | None, user_id: str) -> AsyncIterator[tuple[str, bytes]]:
    """Objects of what a collector could not read that name the user."""
    if archive is not None:
        async for key in archive.keys(RAW_PREFIX, ".raw"):
            data = await archive.get(key)
            if _names(user_id, data):
                yield key, data


def _damaged(log: Path, user_id: str) -> list[tuple[Path, bytes]]:
    """Damaged segments that name the user, of those that are set aside."""
    found = ((path, path.read_bytes()) for path in sorted((log / CORRUPT).glob("*.log")))
    return [(path, data) for path, data in found if _names(user_id, data)]


def _replace(path: Path, data: bytes) -> None:
    """A collector may still read the file under another name."""
    new = path.with_suffix(".new")
    new.touch(0o600)
    new.write_bytes(data)
    new.replace(path)


def _names(user_id: str, data: bytes) -> bool:
    """Whether the id is in it, as it is or as JSON escapes it."""
    spellings = user_id.encode("utf-8", "surrogatepass"), json.dumps(user_id)[1:-1].encode()
    return any(spelling in data for spelling in spellings)


def _without(user_id: str, data: bytes) -> bytes:
    """The whole records in it that do not name the user. What is no record may be anybody's, and goes."""
    records = (encode(each.post) for each in decode(data, 0, 0, True) if isinstance(each, Record))
    return b"".join(record for record in records if not _names(user_id, record))


def _of_object(key: str, data: bytes, user_id: str, erasures: Erasures) -> Iterator[PersonalItem]:
    for line, archived, event in lines_of(key, data):
        if user_of(archived.source, event) == user_id and not erasures.cover(user_id, archived.received_at):
            yield PersonalItem(_ARCHIVE, {"key": key, **msgspec.json.decode(line)})


def _of_log(directory: Path, user_id: str, erasures: Erasures) -> Iterator[PersonalItem]:
    """Of what the archive does not have yet. Another process may be writing it: what is cut off is left out."""
    for path in sorted(directory.glob("*.log")) if directory.is_dir() else ():
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # it was archived just now
            continue
        for record in decode(data, int(path.stem), 0, False):
            if not isinstance(record, Record):
                continue
            received, source, _, form, body = record.post
            place = {"segment": path.name, "receivedAt": received}
            try:
                events = split(form, body)
            except BodyError:
                if _names(user_id, encode(record.post)) and not erasures.cover(source, received):
                    yield PersonalItem(_UNREADABLE, place)
                continue
            for event in () if erasures.cover(user_id, received) else events:
                if user_of(source, event) == user_id:
                    yield PersonalItem(_LOG, {**place, "source": source, "event": event.given})
