"""A long outage of the store under load: nothing is acknowledged or parked meanwhile, and memory stays bounded."""

import asyncio

from tests.chaos import stream
from tests.chaos.suite import Round

_SETTLING_SECONDS = 4.0
"""Messages that were written before the outage are still committed, and the instances' buffers fill up once."""

_GROWTH_MEGABYTES = 32.0
_WARM = 100
"""Messages acknowledged before the store goes away."""


class OutageRound(Round):
    """A round with only this fault, for `seconds`: the store refuses connections, is silent, and refuses again."""

    broken = 0.0

    async def _faulty(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish(), name="publisher")
            await self._wait_for(self._working, "too few messages were acknowledged")
            await self._outage()

    async def _outage(self) -> None:
        proxy, third = self.world.store_proxy, self._options.seconds / 3
        proxy.refuse = True
        proxy.cut()
        await asyncio.sleep(_SETTLING_SECONDS)
        acknowledged, memory = await self._acknowledged(), self._memory()
        await asyncio.sleep(max(0.0, third - _SETTLING_SECONDS))
        proxy.refuse = False
        proxy.stall()
        await asyncio.sleep(third)
        proxy.cut()
        proxy.refuse = True
        proxy.resume()
        await asyncio.sleep(third)
        await self._compare(acknowledged, memory)
        proxy.refuse = False

    async def _compare(self, acknowledged: int, memory: list[float]) -> None:
        report = self.world.report
        if (now := await self._acknowledged()) != acknowledged:
            report.diverged(f"{now - acknowledged} messages were acknowledged while the store was away")
        if parked := sum([await self.world.client.xlen(keys.dead_letters) for keys in self.world.streams]):
            report.diverged(f"{parked} dead letters while the store was away")
        growth = max(after - before for after, before in zip(self._memory(), memory, strict=True))
        report.happened(f"{acknowledged} acknowledged; memory {memory} MB, grown by at most {growth:.1f} MB")
        if growth > _GROWTH_MEGABYTES:
            report.diverged(f"an instance grew by {growth:.1f} MB while the store was away")

    async def _working(self) -> str | None:
        """Waits until caches are filled and connections open, before the outage begins."""
        return None if (count := await self._acknowledged()) >= _WARM else f"{count}"

    async def _acknowledged(self) -> int:
        """The number of published entries up to the last delivered one that are not pending."""
        count, client = 0, self.world.client
        for name in (keys.stream for keys in self.world.streams):
            for group in await client.xinfo_groups(name):
                if group["name"] == stream.GROUP:
                    last = _sortable(group["last-delivered-id"])
                    ids = await client.hvals(stream.ledger(name))
                    count += sum(_sortable(entry_id) <= last for entry_id in ids) - int(group["pending"])
        return count

    def _memory(self) -> list[float]:
        return [round(instance.resident_megabytes, 1) for instance in self.world.instances]


def _sortable(entry_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in entry_id.split("-"))
