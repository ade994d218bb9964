"""Takes what commits have posted to where analysts look, exactly once.

The sink keeps the position in the outbox, and moves it in the same step that writes the events. So after a crash, and
after an answer that was lost, the position says what is there. Commits never wait for any of this.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, time

from domains.activityEvent.data_quality import DataQuality
from domains.activityEvent.model import ActivityEvent, EventMaker, OutboxEntry, order_of
from domains.activityEvent.ports import EventObserver, EventOutboxPort, EventSinkPort, Fenced, Rejected
from domains.activityEvent.quality import tally
from domains.activityEvent.rebuild import DAYS_AT_ONCE, EventRebuild
from domains.kernel.errors import Outage, PipelineError, RedisOutage
from domains.kernel.resilience import pause

_LEASE_SECONDS = 15.0
_IDLE_SECONDS = 0.5
_AWAY_SECONDS = 2.0
_ASSESSED_SECONDS = 60.0
_ENTRIES = 20
"""Of the outbox, written in one step: each has the events of a batch, up to a thousand and more."""


class EventExporter:
    """Exports the outboxes of all streams. One exporter at a time does each, and the sink fences all others."""

    def __init__(
        self,
        outboxes: Sequence[EventOutboxPort],
        sink: EventSinkPort,
        maker: EventMaker,
        observer: EventObserver,
        rebuild: EventRebuild,
        quality: DataQuality,
    ) -> None:
        self._quality = quality
        self._outboxes = outboxes
        self._sink = sink
        self._maker = maker
        self._observer = observer
        self._rebuild = rebuild
        self._is_at_work = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set and nothing waits that it may export, or it is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for outbox in self._outboxes:
                    group.create_task(self._run(outbox, stop), name=f"export of {outbox.stream}")
                group.create_task(self._watch(stop), name="watch over events")
        finally:
            await self.release()

    async def release(self) -> None:
        """Lets another exporter go on at once."""
        for outbox in self._outboxes:
            with suppress(RedisOutage, TimeoutError):
                async with asyncio.timeout(1):
                    await outbox.release()
        await self._sink.close()

    async def drain(self) -> int:
        """Exports what waits now, and returns how many events there were. Raises Outage, Fenced.

        Waits while another exporter has the lease.
        """
        count = 0
        for outbox in self._outboxes:
            while not await outbox.lease(_LEASE_SECONDS):
                await pause(None, _IDLE_SECONDS)
            position = await self._begin(outbox)
            while entries := await outbox.after(position, _ENTRIES):
                await outbox.lease(_LEASE_SECONDS)
                count += await self._export(outbox, entries)
                position = entries[-1].id
        return count

    async def _run(self, outbox: EventOutboxPort, stop: asyncio.Event) -> None:
        position: str | None = None
        seconds = 0.0
        while not (stop.is_set() and seconds):
            seconds = 0.0
            try:
                if not await outbox.lease(_LEASE_SECONDS):
                    position, seconds = None, _AWAY_SECONDS
                elif position is None:
                    position = await self._begin(outbox)
                elif entries := await outbox.after(position, _ENTRIES):
                    await self._export(outbox, entries)
                    position = entries[-1].id
                else:
                    seconds = _IDLE_SECONDS
            except (Outage, Fenced) as cause:
                position, seconds = None, _AWAY_SECONDS
                self._observer.export_failed(outbox.stream, cause)
                with suppress(RedisOutage):
                    await outbox.release()  # another exporter may reach what this one does not
            self._is_at_work = position is not None
            await pause(stop, seconds)

    async def _begin(self, outbox: EventOutboxPort) -> str:
        position = await self._sink.position(outbox.stream)
        settled = await outbox.settled()
        while left := await outbox.after(settled, _ENTRIES):  # what a predecessor has exported and not dropped
            done = [entry for entry in left if order_of(entry.id) <= order_of(position)]
            if done:
                settled = done[-1].id
                await outbox.settle(settled, tally(done, self._maker.zone))
            if len(done) < len(left):
                break
        return position

    async def _export(self, outbox: EventOutboxPort, entries: Sequence[OutboxEntry]) -> int:
        events: list[ActivityEvent] = []
        rejected: list[Rejected] = []
        for entry in entries:
            made, reasons = self._maker.events(entry)
            events += made
            rejected += [Rejected(outbox.stream, entry.id, reason, "") for reason in reasons]
        refused = await self._sink.write(outbox.stream, events, rejected, entries[-1].id)
        await outbox.settle(entries[-1].id, tally(entries, self._maker.zone))
        age = time() - int(entries[0].id.partition("-")[0]) / 1000
        self._observer.events_exported(outbox.stream, len(events), refused, max(age, 0.0))
        return len(events)

    async def _watch(self, stop: asyncio.Event) -> None:
        """Tells what waits, and compares days whose boards were rebuilt with the logs."""
        assessed = 0.0
        while not stop.is_set():
            await pause(stop, _AWAY_SECONDS)
            try:
                if self._is_at_work and monotonic() - assessed > _ASSESSED_SECONDS:
                    self._observer.quality_assessed(await self._quality.keep())
                    assessed = monotonic()
                states = {outbox.stream: await outbox.state() for outbox in self._outboxes}
                self._observer.events_waiting(states)
                days = sorted({day for state in states.values() for day in state.stale_days})
                while days and self._is_at_work:
                    await self._rebuild.rebuild(days[:DAYS_AT_ONCE])
                    del days[:DAYS_AT_ONCE]
            except PipelineError as cause:  # boards may be being rebuilt just now; later, then
                self._observer.export_failed("rebuild", cause)
