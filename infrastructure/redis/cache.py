"""The LLM's answers in Redis, shared by all instances."""

from collections.abc import Collection, Mapping

from redis.asyncio import Redis

from domains.pomodoro.model import ActivityKey, categorized_data_id
from infrastructure.redis.client import translated_errors
from infrastructure.redis.keys import CLASSIFICATION_PREFIX


class RedisClassificationCache:
    """ClassificationCachePort. Keys are digests: titles and URLs do not show in Redis. `ttl` is in seconds."""

    def __init__(self, client: Redis, ttl: int) -> None:
        self._client = client
        self._ttl = ttl

    async def get_many(self, keys: Collection[ActivityKey]) -> dict[ActivityKey, str]:
        if not keys:
            return {}
        with translated_errors():
            async with self._client.pipeline(transaction=False) as pipeline:  # no MGET: the keys lie in many slots
                for key in keys:
                    pipeline.get(_name(key))
                names = await pipeline.execute()
        return {key: str(name) for key, name in zip(keys, names, strict=True) if name is not None}

    async def put_many(self, answers: Mapping[ActivityKey, str]) -> None:
        with translated_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                for key, name in answers.items():
                    pipeline.set(_name(key), name, ex=self._ttl)
                await pipeline.execute()


def _name(key: ActivityKey) -> str:
    return CLASSIFICATION_PREFIX + categorized_data_id(key)
