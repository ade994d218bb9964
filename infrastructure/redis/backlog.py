"""The part of the activity stream that is not committed yet."""

from redis.asyncio import Redis

from infrastructure.redis.client import translated_errors
from infrastructure.redis.keys import StreamKeys


class StreamBacklog:
    def __init__(self, client: Redis, keys: StreamKeys, group: str) -> None:
        self._client = client
        self._stream = keys.stream
        self._group = group

    async def uncommitted(self, at_most: int) -> int:
        """The number of entries that are not committed: pending ones, and undelivered ones up to `at_most`.

        They are counted, since Redis 6.2 has no `lag` and XDEL makes it unknown.
        """
        with translated_errors():
            pending, delivered = await self._group_state()
            waiting = await self._client.xrange(self._stream, min=f"({delivered}", count=at_most)
        return pending + len(waiting or ())

    async def seconds_since_seen(self, *names: str) -> float | None:
        """Seconds since one of `names`, or a consumer with such a prefix, asked for entries; None without any."""
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
