"""The LLM's budget, shared by all instances: requests in this minute and tokens on this day (UTC)."""

from datetime import UTC, datetime

from redis.asyncio import Redis

from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import LLMKeys

_DAY = 86_400


class RedisLLMBudget:
    """LLMBudgetPort. A limit of 0 means no limit."""

    def __init__(self, client: Redis, keys: LLMKeys, calls_per_minute: int, tokens_per_day: int) -> None:
        self._client = client
        self._keys = keys
        self._limits = [calls_per_minute, tokens_per_day]
        self._take = client.register_script(scripts.TAKE_BUDGET)

    async def take(self) -> float:
        now = datetime.now(UTC)
        keys = [self._keys.calls(f"{now:%H:%M}"), self._keys.tokens(f"{now:%Y-%m-%d}")]
        spent = await guarded(self._client, self._take(keys=keys, args=self._limits))
        if spent == 0:
            return 0.0
        return 60 - now.timestamp() % 60 if spent == 1 else _DAY - now.timestamp() % _DAY

    async def book(self) -> None:
        await self._add(self._keys.calls(f"{datetime.now(UTC):%H:%M}"), 1, 120)

    async def spend(self, tokens: int) -> None:
        await self._add(self._keys.tokens(f"{datetime.now(UTC):%Y-%m-%d}"), tokens, 2 * _DAY)

    async def _add(self, key: str, number: int, seconds: int) -> None:
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.incrby(key, number)
            pipeline.expire(key, seconds)
            await guarded(self._client, pipeline.execute())
