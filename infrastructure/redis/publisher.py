"""Puts entries on the activity stream, as the Spring server does; for trials, tests and replays."""

from collections.abc import Mapping, Sequence

from redis.asyncio import Redis

from infrastructure.redis.client import translated_errors
from infrastructure.redis.keys import SAMPLE_PROGRESS


class StreamPublisher:
    def __init__(self, client: Redis, stream: str) -> None:
        self._client = client
        self._stream = stream

    async def publish(self, entries: Sequence[Mapping[str, str]]) -> list[str]:
        """Adds the entries in their order, in one round trip. Returns their ids."""
        with translated_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                for fields in entries:
                    pipeline.xadd(self._stream, dict(fields))  # type: ignore[arg-type]
                return list(await pipeline.execute())

    async def published_of_sample(self) -> int:
        """How many spans of the bundled sample are on the stream."""
        with translated_errors():
            return int(await self._client.hget(SAMPLE_PROGRESS, self._stream) or 0)

    async def publish_of_sample(self, entries: Sequence[Mapping[str, str]]) -> None:
        """Adds spans of the sample and counts them in the same step, so that none is ever published twice."""
        with translated_errors():
            async with self._client.pipeline(transaction=True) as pipeline:
                for fields in entries:
                    pipeline.xadd(self._stream, dict(fields))  # type: ignore[arg-type]
                pipeline.hincrby(SAMPLE_PROGRESS, self._stream, len(entries))
                await pipeline.execute()
