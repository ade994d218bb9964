"""Tombstones in the archive: whose spans, received up to when, nobody may use any more.

An archive has objects of many users, which never change. So an erased user is noted beside them, by a digest, and who
reads or writes spans leaves theirs out. Spans that are received later are those of somebody who has come back.
"""

from collections.abc import AsyncIterator, Mapping
from hashlib import blake2b
from typing import Protocol

PREFIX = "erased/"
_ENDING = ".jsonl.gz"


class KeysPort(Protocol):
    def keys(self, prefix: str) -> AsyncIterator[str]:
        """The keys of the objects whose keys begin so. Raises ArchiveOutage."""


class Erasures:
    """`times` are Unix seconds, by the users' digests."""

    def __init__(self, times: Mapping[str, float] | None = None) -> None:
        self._times = times or {}

    def __bool__(self) -> bool:
        return bool(self._times)

    def cover(self, user_id: str, received: float) -> bool:
        """Whether a span of the user that was received then (Unix seconds) is erased."""
        return bool(self._times) and received <= self._times.get(digest_of_user(user_id), -1.0)


NOBODY = Erasures()


def erasure_key(user_id: str, now: float) -> str:
    """The key of the tombstone of a user who is erased now (Unix seconds)."""
    return f"{PREFIX}{digest_of_user(user_id)}-{int(now * 1000):013d}{_ENDING}"


async def erasures_of(archive: KeysPort) -> Erasures:
    """All tombstones of an archive. Raises ArchiveOutage."""
    times: dict[str, float] = {}
    async for key in archive.keys(PREFIX):
        digest, _, milliseconds = key.removeprefix(PREFIX).removesuffix(_ENDING).partition("-")
        if milliseconds.isdecimal():
            times[digest] = max(times.get(digest, 0.0), (int(milliseconds) + 1) / 1000)
    return Erasures(times)


def digest_of_user(user_id: str) -> str:
    return blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=16, person=b"pomocore erased").hexdigest()
