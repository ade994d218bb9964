"""What the export of events wants from the outbox, and from where the events go."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from domains.activityEvent.model import ActivityEvent, OutboxEntry, OutboxState
from domains.activityEvent.quality import Hours, SourceQuality, Tally
from domains.kernel.errors import Outage, PipelineError


class EventsOutage(Outage):
    """Where events go cannot be used now. What was being written may be there or not: its position says."""


class Fenced(PipelineError):
    """Another exporter has taken over the stream; nothing of what was being written is there."""


class EventOutboxPort(Protocol):
    """The postings of one activity stream that wait to be exported. Methods raise RedisOutage."""

    stream: str

    async def lease(self, seconds: float) -> bool:
        """Whether this exporter is to export for the next `seconds`: one does."""

    async def release(self) -> None:
        """Gives the lease up, so that another exporter need not wait for its end."""

    async def after(self, position: str, limit: int) -> list[OutboxEntry]:
        """Up to `limit` entries behind the one of that id ("0-0": from the first), oldest first."""

    async def settle(self, position: str, counted: Tally | None = None) -> int:
        """Drops what was exported, up to and with the entry of that id, and adds to the counts what it says of it.

        Again, it changes nothing. Returns how many events were dropped.
        """

    async def quality(self, hours: Sequence[str]) -> Hours:
        """What was counted in those hours."""

    async def sessions(self, day: str) -> dict[str, tuple[int, int]]:
        """{source: (how many sessions of that date were seen, how many of them ended)}, while they are remembered."""

    async def keep_report(self, day: str, report: bytes) -> None:
        """Keeps the report of a day for 90 days, unless there is one."""

    async def report(self, day: str) -> bytes | None:
        """The report that is kept of a day."""

    async def settled(self) -> str:
        """The last entry that was dropped ("0-0": none)."""

    async def state(self) -> OutboxState: ...

    async def filled(self, days: Iterable[str]) -> None:
        """Forgets that events of the days are missing or have to be compared with the logs."""


class Rejected(NamedTuple):
    """What could not become an event, with the entry that it is from and the reason."""

    stream: str
    entry_id: str
    reason: str
    text: str


class EventSinkPort(Protocol):
    """Where events go. Methods raise EventsOutage, and Fenced where another exporter has taken over the stream."""

    async def position(self, stream: str) -> str:
        """The last entry of the stream whose events are there ("0-0": none). Fences all who asked before."""

    async def write(
        self, stream: str, events: Sequence[ActivityEvent], rejected: Sequence[Rejected], position: str
    ) -> int:
        """Writes all of it and moves the position, in one atomic step.

        An event that cannot be encoded is rejected, too.
        Returns how many were rejected. It must not be called again after an error: the position says what is there.
        """

    def of_days(self, days: Collection[str]) -> AsyncIterator[tuple[str, ActivityEvent]]:
        """(stream, event) for all events of local days (yyyy-MM-dd), in any order."""

    async def close(self) -> None: ...


class EventObserver:
    """Told what happens to events. Must not raise; see ConsumerObserver."""

    def events_exported(self, stream: str, count: int, rejected: int, seconds: float) -> None:
        """`seconds`: since the oldest of them was committed."""

    def events_waiting(self, states: Mapping[str, OutboxState]) -> None: ...

    def export_failed(self, stream: str, cause: PipelineError) -> None: ...

    def quality_assessed(self, sources: Sequence[SourceQuality]) -> None: ...

    def events_rebuilt(self, day: str, added: int) -> None: ...
