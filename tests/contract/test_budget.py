"""LLMBudgetPort in memory and on Redis."""

from datetime import UTC, datetime, tzinfo

import pytest

from domains.kernel.errors import RedisOutage
from infrastructure.redis.budget import RedisLLMBudget
from infrastructure.redis.client import make_client
from infrastructure.redis.keys import LLMKeys
from infrastructure.settings import Settings
from tests.contract.conftest import NOWHERE, MakeBudget, RedisSide


async def test_without_limits_there_is_always_budget(make_budget: MakeBudget) -> None:
    budget = make_budget(0, 0)
    for _ in range(50):
        assert await budget.take() == 0
        await budget.spend(1_000_000)


async def test_the_calls_of_a_minute_are_bounded(make_budget: MakeBudget) -> None:
    budget = make_budget(3, 0)
    waits = [await budget.take() for _ in range(10)]

    assert waits.count(0.0) in (3, 6), "6 where a minute has begun meanwhile"
    assert all(0 <= wait <= 60 for wait in waits)


async def test_the_tokens_of_a_day_are_bounded(make_budget: MakeBudget) -> None:
    budget = make_budget(0, 100)
    assert await budget.take() == 0
    await budget.spend(99)
    assert await budget.take() == 0
    await budget.spend(1)

    assert 0 < await budget.take() <= 86_400


# Redis alone


class Clock:
    """The adapter's `datetime`, whose time goes on only when it is told to."""

    def __init__(self) -> None:
        self.time = datetime(2025, 9, 2, 23, 58, 20, tzinfo=UTC)

    def now(self, zone: tzinfo) -> datetime:
        return self.time.astimezone(zone)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("infrastructure.redis.budget.datetime", clock)
    return clock


def budget_of(redis_side: RedisSide, calls: int = 0, tokens: int = 0) -> RedisLLMBudget:
    return RedisLLMBudget(redis_side.make(), LLMKeys(), calls, tokens)


async def test_instances_share_the_calls_and_the_next_minute_has_its_own(redis_side: RedisSide, clock: Clock) -> None:
    one, two = budget_of(redis_side, calls=3), budget_of(redis_side, calls=3)

    assert [await one.take(), await two.take(), await one.take()] == [0, 0, 0]
    assert [await one.take(), await two.take()] == [40, 40]
    clock.time = clock.time.replace(minute=59, second=0)
    assert await two.take() == 0


async def test_instances_share_the_tokens_and_the_next_day_has_its_own(redis_side: RedisSide, clock: Clock) -> None:
    one, two = budget_of(redis_side, tokens=100), budget_of(redis_side, tokens=100)
    await one.spend(60)
    assert await two.take() == 0
    await two.spend(60)

    assert [await one.take(), await two.take()] == [100, 100], "seconds to midnight"
    clock.time = clock.time.replace(day=3, hour=0, minute=0)
    assert await one.take() == 0


async def test_what_is_refused_is_not_booked(redis_side: RedisSide, clock: Clock) -> None:
    budget = budget_of(redis_side, calls=2)
    for _ in range(5):
        await budget.take()

    assert redis_side.client.get(LLMKeys().calls("23:58")) == "2"


async def test_what_is_booked_is_forgotten_after_its_time(redis_side: RedisSide, clock: Clock) -> None:
    budget = budget_of(redis_side, calls=2)
    await budget.take()
    await budget.spend(5)

    assert 60 <= redis_side.client.ttl(LLMKeys().calls("23:58")) <= 120
    assert 86_400 <= redis_side.client.ttl(LLMKeys().tokens("2025-09-02")) <= 2 * 86_400


async def test_a_budget_that_is_away_is_an_outage() -> None:
    client = make_client(Settings(redis_addr=NOWHERE))
    budget = RedisLLMBudget(client, LLMKeys(), 1, 1)

    for call in (budget.take(), budget.spend(1)):
        with pytest.raises(RedisOutage):
            await call

    await client.aclose()
