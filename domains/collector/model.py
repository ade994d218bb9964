"""Posts of spans, where they stand in the log, and why one is refused."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from domains.kernel.errors import Outage


class LogOutage(Outage):
    """The log cannot be written or read: the disk is full, or has failed. What was to be written does not count."""


class ArchiveOutage(Outage):
    """The archive is unreachable or refuses to write."""


class Durability(StrEnum):
    """What 202 promises: the post is on this machine's disk, or its spans are on the activity stream."""

    DISK = "disk"
    REDIS = "redis"


class Bound(StrEnum):
    """What is full, or away."""

    WAITING = "waiting"
    SPOOL = "spool"
    DISK = "disk"
    REDIS = "redis"


class Position(NamedTuple):
    """A place in the log. A segment's number is the time at which it was begun, in ms since 1970, or a little more
    where that would not be greater than the one before: numbers rise even if the log's volume is lost."""

    segment: int
    offset: int

    def __str__(self) -> str:
        """In the order of positions, also as text."""
        return f"{self.segment:013d}:{self.offset:012d}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        segment, _, offset = text.partition(":")
        return cls(int(segment), int(offset))


START = Position(0, 0)


class Form(StrEnum):
    """How a body is laid out: an object or an array of objects, or an object on each line."""

    JSON = "json"
    LINES = "lines"


class Post(NamedTuple):
    """A request as it came. `source` is the user whose token it had, empty without one; `received` in Unix seconds.

    `key` is the client's Idempotency-Key.
    """

    received: float
    source: str
    key: str
    form: Form
    body: bytes


class Record(NamedTuple):
    """A post in the log, and where the next record begins."""

    position: Position
    behind: Position
    post: Post


class Event(NamedTuple):
    """One span of a post. `own_id` is the id that its client has given, None if it has none; `raw` is its JSON, and
    `given` what that says."""

    number: int
    own_id: str | None
    raw: bytes
    given: dict[str, Any]

    @property
    def name(self) -> str | int:
        """What its id is made of: that of its client, else its number."""
        return self.own_id or self.number


class Segment(NamedTuple):
    """A part of the log: `size` in bytes, as far as it is durable."""

    number: int
    size: int

    @property
    def begun(self) -> datetime:
        return datetime.fromtimestamp(self.number / 1000, UTC)

    @property
    def end(self) -> Position:
        return Position(self.number, self.size)


class Sealed(NamedTuple):
    """A segment as the archive gets it. `data` is .jsonl.gz, `meta` JSON; `raw` is what could not be encoded."""

    data: bytes
    meta: bytes
    raw: bytes
    events: int
    damaged: int


@lru_cache(64)
def segment_name(instance: str, number: int) -> str:
    """The name of a segment's object in the archive, without its ending."""
    begun = Segment(number, 0).begun
    return f"date={begun:%Y-%m-%d}/hour={begun:%H}/{instance}-{number:013d}"


@lru_cache(64)
def archive_key(instance: str, number: int) -> str:
    return f"collect/{segment_name(instance, number)}.jsonl.gz"


RAW_PREFIX = "raw_dlq/"


def raw_key(instance: str, number: int) -> str:
    """Of the object that has those records of a segment that cannot be read."""
    return f"{RAW_PREFIX}{segment_name(instance, number)}.raw"


def stem_of(key: str) -> str:
    """What the ids that `event_ids` makes of places begin with, in the object `key` of the archive."""
    instance, _, number = key.rpartition("/")[2].removesuffix(".jsonl.gz").rpartition("-")
    return f"{instance}-{number.lstrip('0')}-"


ID_BYTES = 16
"""Of the digest of an id. Ids may be long; of this length, no two are the same by accident."""


def event_ids(instance: str, position: Position, key: str, names: Sequence[str | int], is_single: bool) -> list[str]:
    """Of each event: its client's id, else one made of the Idempotency-Key, else its place in the log."""
    stem = key or f"{instance}-{position.segment}-{position.offset}"
    return [it if isinstance(it, str) else stem if is_single else f"{stem}-{it}" for it in names]
