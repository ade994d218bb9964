"""One log, two cursors: what is accepted goes to the activity stream, and in closed segments to the archive."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from time import monotonic, time
from typing import NamedTuple

from domains.collector.erasures import erasures_of
from domains.collector.model import (
    ID_BYTES,
    START,
    Bound,
    Durability,
    LogOutage,
    Position,
    Post,
    Segment,
    archive_key,
    raw_key,
)
from domains.collector.ports import ArchivePort, CollectorObserver, Done, SpanLogPort, SpanPublisherPort
from domains.kernel.errors import Outage, RedisOutage
from domains.kernel.resilience import Breaker

_DAY = 86_400
_READ_BYTES = 1_048_576
_FREE_SECONDS = 0.5
"""How old a look at the free disk may be."""
_IDLE_SECONDS = 5.0
_REDIS_SECONDS = 5.0
"""How long a 202 waits for the stream, if that is what it promises."""
_GENERATION = 65_536
"""So many ids of clients are remembered at least, and twice as many at most: about 12 MB."""
_GATHER_SECONDS = 0.02
"""How long spans gather before they are published: a call costs as much as a dozen spans."""
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 5.0


class Bounds(NamedTuple):
    """What may wait for the disk (posts; bytes, with those that are still coming) and lie on it (bytes), and how long
    without an archive (seconds)."""

    waiting: int
    waiting_bytes: int
    spool_bytes: int
    spool_seconds: float


class Collector:
    """Accepts posts into the log, and serves both cursors until it is drained."""

    def __init__(
        self,
        log: SpanLogPort,
        publisher: SpanPublisherPort,
        archive: ArchivePort | None,
        observer: CollectorObserver,
        bounds: Bounds,
        durability: Durability = Durability.DISK,
    ) -> None:
        self.log = log
        self.observer = observer
        self.draining = False
        self.position = START
        """Behind what is published."""
        self._publisher = publisher
        self._archive = archive
        self._bounds = bounds
        self._durability = durability
        self._waiting = 0
        self._waiting_bytes = 0
        self.receiving = 0
        """Bytes of posts of which more is to come."""
        self._damaged = 0
        self._free = (0.0, 0)
        kept = log.kept_ids() if durability is Durability.DISK else b""
        self._recent, self._before = set[bytes](), set(_parted(kept))
        self._unpublished: dict[Position, Done] = {}
        self._redis, self._disk = (Breaker(partial(self._told, service)) for service in ("redis", "disk"))
        self._gather_seconds = _GATHER_SECONDS if durability is Durability.DISK else 0.0

    # Accepting

    def refusal(self) -> Bound | None:
        """What is full, if anything is: then a post is refused at once."""
        if self._waiting >= self._bounds.waiting or self.is_holding_much:
            return Bound.WAITING
        if self.log.spooled_bytes >= self._bounds.spool_bytes:
            return Bound.SPOOL
        looked, free = self._free
        if monotonic() - looked > _FREE_SECONDS:
            free = self.log.free_bytes()
            self._free = (monotonic(), free)
        if free <= 0:
            return Bound.DISK
        return Bound.REDIS if self._durability is Durability.REDIS and self._redis.is_open else None

    @property
    def is_holding_much(self) -> bool:
        return self._waiting_bytes + self.receiving >= self._bounds.waiting_bytes

    def is_known(self, id_: bytes) -> bool:
        """Whether what has this digest has been accepted lately."""
        return id_ in self._recent or id_ in self._before

    def remember(self, ids: bytes) -> None:
        """Digests of ids, one behind the other."""
        if len(self._recent) >= _GENERATION:
            self._recent, self._before = set(), self._recent
        self._recent.update(_parted(ids))

    def accept(self, post: Post, events: int, done: Done) -> None:
        """Calls `done` with the post's position once it is as durable as promised, or with why it is not.

        After an error the post may be on the stream all the same, if 202 promises the stream.
        """
        started, size = monotonic(), len(post.body)

        def finish(result: Position | Outage) -> None:
            self._waiting -= 1
            self._waiting_bytes -= size
            if isinstance(result, Position):
                self.observer.accepted(events, monotonic() - started)
            done(result)

        self._waiting += 1
        self._waiting_bytes += size
        is_on_disk = self._durability is Durability.DISK
        self.log.append(post, finish if is_on_disk else partial(self._await_stream, finish))

    def _await_stream(self, finish: Done, result: Position | Outage) -> None:
        if not isinstance(result, Position):
            finish(result)
            return
        self._unpublished[result] = finish
        asyncio.get_running_loop().call_later(_REDIS_SECONDS, self._give_up, result)

    def _give_up(self, position: Position) -> None:
        if (finish := self._unpublished.pop(position, None)) is not None:
            finish(RedisOutage("the stream did not take the post in time"))

    def _published_to(self, position: Position) -> None:
        self.position = position
        while self._unpublished and (first := next(iter(self._unpublished))) < position:
            self._unpublished.pop(first)(first)
        self.log.published(position)

    # The cursors

    async def run(self) -> None:
        """Serves both cursors until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish(), name="publishing of collected spans")
            group.create_task(self._store_all(), name="archive of collected spans")

    async def drain(self, seconds: float) -> bool:
        """Publishes and stores what is accepted. Whether all of it was done within `seconds`; the rest stays."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self.log.roll()
                while self.log.unpublished(self.position) or self.log.closed():  # noqa: ASYNC110 - two cursors
                    await asyncio.sleep(0.02)
        except (TimeoutError, LogOutage):
            return False
        return True

    async def _publish(self) -> None:
        instance = self.log.instance
        self._published_to(await self._redis.run(lambda: self._publisher.position(instance)))
        while True:
            pages = await self._disk.run(lambda: self.log.read(self.position, _READ_BYTES))
            self._tell_damage()
            if pages.records:
                publish = partial(self._publisher.publish, instance, pages.records, pages.behind)
                added, repeated = await self._redis.run(publish)
                self.observer.published(added, repeated)
            if pages.behind > self.position:
                self._published_to(pages.behind)
            else:
                await self.log.until_grown()
                await asyncio.sleep(self._gather_seconds)

    async def _store_all(self) -> None:
        """What was closed last goes first; what has failed or was left by an earlier run, one at a time when idle."""
        late, delay = {segment.number for segment in self.log.closed()}, 0.0
        while True:
            waiting = self._without_old(self.log.closed())
            if not waiting:
                await self.log.until_closed(_IDLE_SECONDS)
                continue
            segment = next((it for it in waiting if it.number not in late), waiting[0])
            try:
                await self._store(segment, segment.number in late)
            except Outage as cause:
                if not delay:
                    self.observer.outage("archive", cause)
                late.add(segment.number)
                delay = min(max(_FIRST_DELAY, delay * 2), _LONGEST_DELAY)
                await asyncio.sleep(delay)
            else:
                if delay:
                    self.observer.outage("archive", None)
                late.discard(segment.number)
                delay = 0.0

    async def _store(self, segment: Segment, was_late: bool) -> None:
        if self._archive is None:
            self.log.stored(segment)
            return
        sealed = await self.log.seal(segment, await erasures_of(self._archive))
        self._tell_damage()
        instance = self.log.instance
        if sealed.raw:
            await self._archive.put(raw_key(instance, segment.number), sealed.raw)
        if sealed.events:
            key = archive_key(instance, segment.number)
            await self._archive.put(key, sealed.data)
            await self._archive.put(key.removesuffix(".jsonl.gz") + ".meta.json", sealed.meta)
        # what a client sends again after a restart must not be archived again, and the segment leaves
        await self.log.keep_ids(b"".join([*self._before, *self._recent]))
        self.log.stored(segment)
        self.observer.stored(sealed.events, was_late)

    def _without_old(self, waiting: Sequence[Segment]) -> list[Segment]:
        """Gives up archiving segments that have waited for too long, if the stream has them."""
        oldest = (time() - self._bounds.spool_seconds) * 1000
        old = {it.number for it in waiting if it.number < oldest and it.end <= self.position}
        for segment in waiting:
            if segment.number in old:
                self.log.stored(segment)
        if old:
            self.observer.dropped(len(old))
        return [it for it in waiting if it.number not in old]

    def _tell_damage(self) -> None:
        """Either cursor may be the only one that comes to a damaged record: a byte flips when it likes."""
        if new := self.log.damaged - self._damaged:
            self._damaged += new
            self.observer.damaged(new)

    def _told(self, service: str, is_open: bool, cause: Outage | None) -> None:
        self.observer.outage(service, cause if is_open else None)


def _parted(ids: bytes) -> Iterator[bytes]:
    return (ids[start : start + ID_BYTES] for start in range(0, len(ids), ID_BYTES))
