"""Puts entries on the activity stream, as the Spring server does; for trials, tests and replays."""

from collections.abc import Mapping, Sequence
from zlib import crc32

from redis.asyncio import Redis

from infrastructure.redis.client import translated_errors
from infrastructure.redis.keys import StreamKeys


class StreamPublisher:
    """Distributes messages over `partitions` by user, so that a session stays in one stream."""

    def __init__(self, client: Redis, partitions: Sequence[StreamKeys]) -> None:
        self._client = client
        self._partitions = partitions

    async def publish(self, entries: Sequence[Mapping[str, str]]) -> list[str]:
        """Adds the entries in their order, in one round trip. Returns their ids."""
        with translated_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                for fields in entries:
                    stream = partition_of(fields.get("userId", ""), self._partitions).stream
                    pipeline.xadd(stream, dict(fields))  # type: ignore[arg-type]
                return list(await pipeline.execute())

    async def published_of_sample(self) -> int:
        """How many spans of the bundled sample are on the first partition, which gets all of them."""
        with translated_errors():
            return int(await self._client.get(self._partitions[0].sample) or 0)

    async def publish_of_sample(self, entries: Sequence[Mapping[str, str]]) -> None:
        """Adds spans of the sample and counts them in the same step, so that none is ever published twice."""
        keys = self._partitions[0]
        with translated_errors():
            async with self._client.pipeline(transaction=True) as pipeline:
                for fields in entries:
                    pipeline.xadd(keys.stream, dict(fields))  # type: ignore[arg-type]
                pipeline.incrby(keys.sample, len(entries))
                await pipeline.execute()


def partition_of(user_id: str, partitions: Sequence[StreamKeys]) -> StreamKeys:
    """The partition of a user: the CRC-32 of the id in UTF-8 modulo their number.

    Every producer must use the same rule.
    """
    if len(partitions) == 1:
        return partitions[0]
    return partitions[crc32(user_id.encode("utf-8", "surrogateescape")) % len(partitions)]
