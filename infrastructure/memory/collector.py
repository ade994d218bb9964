"""The collector's stream and archive in memory, for tests and trials."""

from collections.abc import AsyncIterator, Sequence

from domains.collector.model import START, ArchiveOutage, Position, Record
from domains.collector.ports import Published
from domains.kernel.errors import Outage


class InMemorySpanPublisher:
    """SpanPublisherPort. `records` are those of the stream; each call raises `outage` while it is set."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.outage: Outage | None = None
        self._cursors: dict[str, Position] = {}

    async def position(self, instance: str) -> Position:
        self._raise()
        return self._cursors.get(instance, START)

    async def publish(self, instance: str, records: Sequence[Record], behind: Position) -> Published:
        self._raise()
        cursor = await self.position(instance)
        new = [record for record in records if record.position >= cursor]
        self.records += new
        self._cursors[instance] = max(cursor, behind)
        return Published(len(new), 0)

    def _raise(self) -> None:
        if self.outage is not None:
            raise self.outage


class InMemoryArchive:
    """ArchivePort. Each call raises `outage` while it is set."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.outage: ArchiveOutage | None = None

    async def put(self, key: str, data: bytes) -> None:
        if self.outage is not None:
            raise self.outage
        self.objects.setdefault(key, data)

    async def replace(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    async def keys(self, prefix: str, ending: str = ".jsonl.gz") -> AsyncIterator[str]:
        for key in sorted(self.objects):
            if key.startswith(prefix) and key.endswith(ending):
                yield key

    async def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise ArchiveOutage(f"{key}: there is no such object")
        return self.objects[key]
