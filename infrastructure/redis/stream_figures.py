"""Figures of the streams, their groups and their bookkeeping: for metrics, readiness and status."""

import re
from collections.abc import Sequence
from math import nan

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domains.kernel.errors import GroupMissing
from domains.operations.model import Instance, PendingMessage, StreamFigures
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded, pipelined, translated_errors
from infrastructure.redis.keys import StreamKeys

_IS_NO_STREAM = re.compile(r"no such key|WRONGTYPE")
_COUNTED = 500
"""How many entries are counted on either side of the last delivered one.

It takes Redis a few milliseconds at most.
"""


class RedisStreamFigures:
    """StreamFiguresPort by one call of a script for each partition."""

    def __init__(
        self, client: Redis, partitions: Sequence[StreamKeys], group: str, ignored_groups: Sequence[str] = ()
    ) -> None:
        self._client = client
        self._partitions = partitions
        self._group = group
        self._arguments: list[str | int] = [group, _COUNTED, *ignored_groups]
        self._script = client.register_script(scripts.FIGURES)

    async def streams(self) -> list[StreamFigures]:
        return [await self._of(keys) for keys in self._partitions]

    async def pending(self, limit: int) -> list[PendingMessage]:
        """What was delivered and is not committed, of each partition up to `limit`, the oldest first."""
        found = list[PendingMessage]()
        for keys in self._partitions:
            asked = self._client.xpending_range(keys.stream, self._group, "-", "+", limit)
            try:
                held = await guarded(self._client, asked)
            except GroupMissing:  # nothing was ever read
                continue
            async with pipelined(self._client) as pipeline:
                for each in held:
                    pipeline.xrange(keys.stream, each["message_id"], each["message_id"])
                entries = await guarded(self._client, pipeline.execute())
            for each, entry in zip(held, entries, strict=True):
                entry_id, fields = each["message_id"], entry[0][1] if entry else {}  # it may be committed by now
                sent = int(entry_id.partition("-")[0]) / 1000
                idle, tries = each["time_since_delivered"] / 1000, each["times_delivered"]
                whose = fields.get("userId", ""), fields.get("app", "")
                found.append(PendingMessage(keys.stream, entry_id, sent, *whose, each["consumer"], idle, tries))
        return sorted(found, key=lambda message: message.time)[:limit]

    async def ever_used(self, stream: str) -> bool:
        with translated_errors():
            try:
                found = await self._client.xinfo_stream(stream)
            except ResponseError as cause:
                if _IS_NO_STREAM.search(str(cause)):
                    return False
                raise
        return bool(found["last-generated-id"] != "0-0")

    async def may_lose_keys(self) -> str | None:
        """By INFO, which is allowed where CONFIG is not.

        The volatile policies drop keys with a TTL: no stream and no board, but the marks that keep what comes again
        from counting again.
        """
        found = await guarded(self._client, self._client.info("memory"))
        nodes = [found] if "maxmemory_policy" in found else list(found.values())  # a cluster answers by node
        policies = {str(node["maxmemory_policy"]) for node in nodes}
        return next(iter(policies - {"noeviction"}), None)

    async def ping(self) -> None:
        await guarded(self._client, self._client.ping())

    async def _of(self, keys: StreamKeys) -> StreamFigures:
        names = [keys.stream, keys.dead_letters, keys.failed_scores, keys.ends, keys.deferred]
        call = self._script(keys=names, args=self._arguments)
        found = scripts.named(await guarded(self._client, call))
        return StreamFigures(
            stream=keys.stream,
            entries=found["entries"],
            undelivered=found["undelivered"],
            undelivered_exact=bool(found["exact"]),
            oldest_undelivered_seconds=_age(found["first_undelivered"], found["now"]),
            pending=found["pending"],
            oldest_pending_seconds=_age(found["oldest_pending"], found["now"]),
            dead_letters=_size(found["dead_letters"]),
            failed_scores=_size(found["failed_scores"]),
            unannounced_sessions=_size(found["ends"]),
            deferred=_size(found["deferred"]),
            holding_back={name: _age(needed, found["now"]) for name, needed in found["holding_back"]},
            instances=[Instance(name, held, idle / 1000) for name, held, idle in found["consumers"]],
        )


def _size(count: int) -> float:
    return nan if count < 0 else count


def _age(entry_id: str, now: str) -> float:
    """Seconds since the entry was published; 0 for an id in the future, which a producer may have chosen."""
    return max(0.0, (int(now) - int(entry_id.partition("-")[0])) / 1000) if entry_id else 0.0
