"""What each instance tells of itself: a key each, which ends with the instance."""

from redis.asyncio import Redis

from infrastructure.redis.client import guarded
from infrastructure.redis.keys import INSTANCE

_KEPT_SECONDS = 20
"""Four heartbeats."""


class RedisInstanceSnapshots:
    """InstanceSnapshotsPort."""

    def __init__(self, client: Redis, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix + INSTANCE

    async def put(self, name: str, snapshot: str) -> None:
        await guarded(self._client, self._client.set(self._prefix + name, snapshot, ex=_KEPT_SECONDS))

    async def get(self, name: str) -> str | None:
        found: str | None = await guarded(self._client, self._client.get(self._prefix + name))
        return found
