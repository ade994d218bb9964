"""How much of the activity stream is still to be done."""

from redis.asyncio import Redis

from infrastructure.redis.client import translated_errors
from infrastructure.redis.keys import StreamKeys


class StreamBacklog:
    def __init__(self, client: Redis, keys: StreamKeys, group: str) -> None:
        self._client = client
        self._stream = keys.stream
        self._group = group

    async def uncommitted(self, at_most: int) -> int:
        """Entries not yet committed: pending, and not yet delivered; of the latter, `at_most` are counted.

        Counted and not taken from `lag`, which Redis 6.2 does not have and which XDEL makes unknown.
        """
        with translated_errors():
            pending, delivered = await self._group_state()
            waiting = await self._client.xrange(self._stream, min=f"({delivered}", count=at_most)
        return pending + len(waiting or ())

    async def seconds_since_seen(self, *names: str) -> float | None:
        """Since a consumer named so, or so with `-` and more, last asked for entries; None: there is none."""
        with translated_errors():
            if not await self._client.exists(self._stream):
                return None
            consumers = await self._client.xinfo_consumers(self._stream, self._group)
        prefixes = tuple(f"{name}-" for name in names)
        idle = [consumer["idle"] for consumer in consumers if f"{consumer['name']}-".startswith(prefixes)]
        return min(idle) / 1000 if idle else None

    async def _group_state(self) -> tuple[int, str]:
        if await self._client.exists(self._stream):
            for group in await self._client.xinfo_groups(self._stream):
                if group["name"] == self._group:
                    return int(group["pending"]), str(group["last-delivered-id"])
        return 0, "0-0"
