"""Events and their outbox in memory."""

from collections.abc import AsyncIterator, Collection, Sequence

from domains.activityEvent.model import ActivityEvent
from domains.activityEvent.ports import Fenced, Rejected


class InMemoryEvents:
    """What all sinks of one place have in common: `written` has (stream, event)."""

    def __init__(self) -> None:
        self.written: list[tuple[str, ActivityEvent]] = []
        self.rejected: list[Rejected] = []
        self.positions: dict[str, str] = {}
        self.owners: dict[str, InMemoryEventSink] = {}


class InMemoryEventSink:
    """EventSinkPort on InMemoryEvents."""

    def __init__(self, events: InMemoryEvents) -> None:
        self._events = events

    async def position(self, stream: str) -> str:
        self._events.owners[stream] = self
        return self._events.positions.get(stream, "0-0")

    async def write(
        self, stream: str, events: Sequence[ActivityEvent], rejected: Sequence[Rejected], position: str
    ) -> int:
        if self._events.owners.get(stream) is not self:
            raise Fenced(f"another exporter writes the events of {stream}")
        known = {event.event_id for _, event in self._events.written}
        self._events.written += [(stream, event) for event in events if event.event_id not in known]
        self._events.rejected += rejected
        self._events.positions[stream] = position
        return len(rejected)

    async def of_days(self, days: Collection[str]) -> AsyncIterator[tuple[str, ActivityEvent]]:
        for stream, event in self._events.written:
            if event.day in days:
                yield stream, event

    async def close(self) -> None: ...
