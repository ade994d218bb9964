"""The LLM's budget, shared by all instances: requests in this minute and tokens on this day (UTC)."""

from datetime import UTC, datetime

from redis.asyncio import Redis

from domains.patternClassifier.model import BudgetLimit
from domains.patternClassifier.ports import BudgetRefusal, Reservation
from domains.pomodoro.model import digest_of
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import LLMKeys

_DAY = 86_400
_REFUSALS = {str(limit): limit for limit in BudgetLimit}


class RedisLLMBudget:
    """LLMBudgetPort. A limit of 0 means no limit; `user_share` is of the tokens. Users are kept as daily digests."""

    def __init__(
        self, client: Redis, keys: LLMKeys, calls_per_minute: int, tokens_per_day: int, user_share: float = 1.0
    ) -> None:
        self._client = client
        self._keys = keys
        self._limits = [calls_per_minute, tokens_per_day, int(tokens_per_day * user_share)]
        self._reserve = client.register_script(scripts.RESERVE_BUDGET)
        self._settle = client.register_script(scripts.SETTLE_BUDGET)

    async def reserve(self, user: str, tokens: int) -> Reservation | BudgetRefusal:
        now = datetime.now(UTC)
        day = f"{now:%Y-%m-%d}"
        keys = [self._keys.calls(f"{now:%H:%M}"), self._keys.tokens(day), self._keys.users(day)]
        arguments: list[int | str] = [*self._limits, tokens, digest_of(day, user)]
        refused = await guarded(self._client, self._reserve(keys=keys, args=arguments))
        if not refused:
            return Reservation(user, tokens, day)
        limit = _REFUSALS[refused]
        period = 60 if limit is BudgetLimit.CALLS else _DAY
        return BudgetRefusal(limit, period - now.timestamp() % period)

    async def settle(self, reservation: Reservation, tokens: int) -> None:
        user, reserved, day = reservation
        keys = [self._keys.tokens(day), self._keys.users(day)]
        await guarded(self._client, self._settle(keys=keys, args=[tokens - reserved, digest_of(day, user)]))
