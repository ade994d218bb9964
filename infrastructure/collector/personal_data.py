"""What a collector has of a user: in the archive, and in the log on this machine that is on its way there."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import time

import msgspec

from domains.collector.erasures import Erasures, erasure_key, erasures_of
from domains.collector.model import Form, Record
from domains.userData.model import PersonalItem
from infrastructure.collector.archive import Archive
from infrastructure.collector.events import BodyError, split, user_of
from infrastructure.collector.record_format import decode
from infrastructure.collector.sealing import gzipped
from infrastructure.replay.archived_spans import PREFIX, ArchivedLine, lines_of

_ARCHIVE, _LOG = "archive of collected spans", "log of collected spans"


class CollectedPersonalData:
    """PersonalDataPort. Objects and segments never change: a tombstone hides what they have of the user.

    A collector leaves it out when it archives its log, and a replay when it reads the archive.
    """

    def __init__(self, archive: Archive, log: Path) -> None:
        self._archive = archive
        self._log = log

    async def of_user(self, user_id: str) -> AsyncIterator[PersonalItem]:
        erasures = await erasures_of(self._archive)
        async for key in self._archive.keys(PREFIX):
            data = await self._archive.get(key)
            for item in await asyncio.to_thread(lambda: [*_of_object(key, data, user_id, erasures)]):  # noqa: B023
                yield item
        for item in await asyncio.to_thread(lambda: [*_of_log(self._log, user_id, erasures)]):
            yield item

    async def erase(self, user_id: str) -> Counter[str]:
        found = Counter[str]()
        async for item in self.of_user(user_id):
            found[item.place] += 1
        if found:
            now = time()
            await self._archive.put(erasure_key(user_id, now), gzipped(b"{}\n"))
        return found


def _of_object(key: str, data: bytes, user_id: str, erasures: Erasures) -> Iterator[PersonalItem]:
    for line in lines_of(data):
        archived = ArchivedLine.of(line)
        (event,) = split(Form.JSON, bytes(archived.event))
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
            if not isinstance(record, Record) or erasures.cover(user_id, record.post.received):
                continue
            try:
                events = split(record.post.form, record.post.body)
            except BodyError:
                continue
            for event in events:
                if user_of(record.post.source, event) == user_id:
                    place = {"segment": path.name, "receivedAt": record.post.received, "source": record.post.source}
                    yield PersonalItem(_LOG, {**place, "event": event.given})
