"""What the collector needs: a log on disk, the activity stream, an archive, and somebody who is told."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from domains.collector.erasures import NOBODY, Erasures, KeysPort
from domains.collector.model import Position, Post, Record, Sealed, Segment
from domains.kernel.errors import Outage

Done = Callable[[Position | Outage], None]


class Pages(NamedTuple):
    """Records in their order, and the position behind them. `damaged` of them are left out."""

    records: list[Record]
    behind: Position
    damaged: int


class SpanLogPort(Protocol):
    """The log of posts, in segments. Only whole segments leave it, once they are closed."""

    @property
    def instance(self) -> str:
        """The log's name, the same as long as its directory is."""

    @property
    def spooled_bytes(self) -> int: ...

    @property
    def spooled_files(self) -> int: ...

    @property
    def damaged(self) -> int:
        """How many damaged records have been found so far, each counted once."""

    def free_bytes(self) -> int:
        """How much the disk can take, less what has to stay free: negative if nothing more may be written."""

    def append(self, post: Post, done: Done) -> None:
        """Calls `done` with the post's position once it is durable, or with a LogOutage, and then it is not there."""

    async def roll(self) -> None:
        """Closes the segment that is being written, if it has anything."""

    def closed(self) -> list[Segment]:
        """The closed segments that are not stored yet, oldest first."""

    def unpublished(self, position: Position) -> list[Segment]:
        """All segments with anything behind `position`, oldest first, the one that is being written among them."""

    async def read(self, position: Position, max_bytes: int) -> Pages:
        """Records from `position` on, up to about `max_bytes`: at least one, unless there is none.

        A damaged segment is set aside as it is, and what can be read of it goes on. Raises LogOutage.
        """

    async def seal(self, segment: Segment, erasures: Erasures = NOBODY) -> Sealed:
        """The segment as the archive gets it, without what is erased: the same bytes for the same segment.

        Raises LogOutage.
        """

    def stored(self, segment: Segment) -> None:
        """The archive has it, or nobody wants it there. It goes once it is published, too."""

    def published(self, position: Position) -> None:
        """The stream has everything before `position`."""

    async def keep_ids(self, ids: bytes) -> None:
        """Keeps them beside the log, in the place of what was kept before, if the disk can take it."""

    def kept_ids(self) -> bytes: ...

    async def until_grown(self) -> None: ...

    async def until_closed(self, seconds: float) -> None:
        """Returns when a segment has been closed, or after `seconds`."""


class Published(NamedTuple):
    added: int
    repeated: int


class SpanPublisherPort(Protocol):
    async def position(self, instance: str) -> Position:
        """Behind what the stream has of this log; START if it has nothing. Raises RedisOutage."""

    async def publish(self, instance: str, records: Sequence[Record], behind: Position) -> Published:
        """Adds the spans that the stream does not have, and moves the log's cursor, in one step.

        May be repeated. An event whose client has given it an id that was there within 48 hours is `repeated`.
        Raises RedisOutage.
        """


class ArchivePort(KeysPort, Protocol):
    async def put(self, key: str, data: bytes) -> None:
        """Stores `data` under `key`, whole or not at all. What is there already stays. Raises ArchiveOutage."""


class CollectorObserver:
    """Told what happens. A base class: the methods that are not overridden do nothing."""

    def answered(self, outcome: str) -> None:
        """A request got an answer; `outcome` is its status, or what refused it."""

    def accepted(self, events: int, seconds: float) -> None:
        """A post became as durable as promised, `seconds` after it was complete."""

    def published(self, events: int, repeated: int) -> None:
        """The stream has further events; it had those that are `repeated`."""

    def stored(self, events: int, was_late: bool) -> None:
        """The archive has a segment; `was_late` if it did not take it at first."""

    def damaged(self, records: int) -> None:
        """Records of the log were damaged and set aside."""

    def dropped(self, segments: int) -> None:
        """Segments left the disk unarchived, since they were older than ARCHIVE_SPOOL_TTL_DAYS."""

    def outage(self, service: str, cause: Exception | None) -> None:
        """A service is away (`cause` says why), or back (None)."""
