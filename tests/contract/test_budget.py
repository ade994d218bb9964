"""LLMBudgetPort in memory and on Redis."""

import asyncio
from datetime import UTC, datetime, tzinfo

import pytest

from domains.kernel.errors import RedisOutage
from domains.patternClassifier.model import BudgetLimit
from domains.patternClassifier.ports import BudgetRefusal, LLMBudgetPort, Reservation
from infrastructure.redis.budget import RedisLLMBudget
from infrastructure.redis.client import make_client
from infrastructure.redis.keys import LLMKeys
from infrastructure.settings import Settings
from tests.contract.conftest import NOWHERE, MakeBudget, RedisSide


async def reserved(budget: LLMBudgetPort, tokens: int, user: str = "user-1") -> Reservation:
    found = await budget.reserve(user, tokens)
    assert isinstance(found, Reservation), found
    return found


async def refused(budget: LLMBudgetPort, tokens: int, user: str = "user-1") -> BudgetLimit:
    found = await budget.reserve(user, tokens)
    assert isinstance(found, BudgetRefusal), found
    assert 0 <= found.seconds <= 86_400
    return found.limit


async def test_without_limits_there_is_always_budget(make_budget: MakeBudget) -> None:
    budget = make_budget()
    for _ in range(50):
        await budget.settle(await reserved(budget, 1_000_000), 2_000_000)


async def test_the_calls_of_a_minute_are_bounded(make_budget: MakeBudget) -> None:
    budget = make_budget(3)
    found = [await budget.reserve("user-1", 1) for _ in range(10)]

    refusals = [each for each in found if isinstance(each, BudgetRefusal)]
    assert 4 <= len(refusals) <= 7, "fewer than 7 where a minute has begun meanwhile"
    assert {each.limit for each in refusals} == {BudgetLimit.CALLS}
    assert all(0 <= each.seconds <= 60 for each in refusals)


async def test_what_is_reserved_is_spent_until_it_is_settled(make_budget: MakeBudget) -> None:
    budget = make_budget(tokens=100)
    first = await reserved(budget, 60)
    assert await refused(budget, 60) is BudgetLimit.TOKENS
    await budget.settle(first, 40)

    await reserved(budget, 60)
    assert await refused(budget, 1) is BudgetLimit.TOKENS


async def test_all_of_the_budget_can_be_reserved_and_no_more(make_budget: MakeBudget) -> None:
    budget = make_budget(tokens=100)
    await reserved(budget, 100)

    assert await refused(budget, 1, "user-2") is BudgetLimit.TOKENS


async def test_what_costs_more_than_was_reserved_is_spent_too(make_budget: MakeBudget) -> None:
    budget = make_budget(tokens=100)
    await budget.settle(await reserved(budget, 10), 95)

    assert await refused(budget, 10, "user-2") is BudgetLimit.TOKENS


async def test_a_user_has_a_share_and_the_others_have_the_rest(make_budget: MakeBudget) -> None:
    budget = make_budget(0, 100, 0.3)
    first = await reserved(budget, 20)
    assert await refused(budget, 20) is BudgetLimit.USER_SHARE
    await reserved(budget, 20, "user-2")
    await budget.settle(first, 10)

    await reserved(budget, 20)
    assert await refused(budget, 1) is BudgetLimit.USER_SHARE
    await reserved(budget, 30, "user-3")


async def test_reservations_at_once_never_exceed_the_budget(make_budget: MakeBudget) -> None:
    budget = make_budget(tokens=1000)
    found = await asyncio.gather(*(budget.reserve(f"user-{number % 20}", 30) for number in range(100)))

    assert sum(isinstance(each, Reservation) for each in found) == 33


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


def budget_of(redis_side: RedisSide, calls: int = 0, tokens: int = 0, share: float = 1.0) -> RedisLLMBudget:
    return RedisLLMBudget(redis_side.make(), LLMKeys(), calls, tokens, share)


async def test_instances_share_the_calls_and_the_next_minute_has_its_own(redis_side: RedisSide, clock: Clock) -> None:
    one, two = budget_of(redis_side, calls=3), budget_of(redis_side, calls=3)
    for budget in (one, two, one):
        await reserved(budget, 1)

    for budget in (one, two):
        assert await budget.reserve("user-1", 1) == BudgetRefusal(BudgetLimit.CALLS, 40)
    clock.time = clock.time.replace(minute=59, second=0)
    await reserved(two, 1)


async def test_instances_share_the_tokens_and_the_next_day_has_its_own(redis_side: RedisSide, clock: Clock) -> None:
    one, two = budget_of(redis_side, tokens=100), budget_of(redis_side, tokens=100)
    await reserved(one, 60, "user-1")
    await reserved(two, 40, "user-2")

    for budget in (one, two):
        refusal = await budget.reserve("user-3", 1)
        assert refusal == BudgetRefusal(BudgetLimit.TOKENS, 100), "seconds to midnight"
    clock.time = clock.time.replace(day=3, hour=0, minute=0)
    await reserved(one, 100)


async def test_instances_share_what_a_user_has_spent(redis_side: RedisSide, clock: Clock) -> None:
    one, two = (budget_of(redis_side, tokens=100, share=0.5) for _ in range(2))
    await reserved(one, 50)

    assert await two.reserve("user-1", 1) == BudgetRefusal(BudgetLimit.USER_SHARE, 100)


async def test_what_is_settled_after_midnight_is_booked_where_it_was_reserved(
    redis_side: RedisSide, clock: Clock
) -> None:
    budget = budget_of(redis_side, tokens=100)
    before = await reserved(budget, 100)
    clock.time = clock.time.replace(day=3, hour=0, minute=0)
    await budget.settle(before, 10)

    assert redis_side.client.get(LLMKeys().tokens("2025-09-02")) == "10"
    await reserved(budget, 100)


async def test_a_budget_that_was_deleted_meanwhile_does_not_grow(redis_side: RedisSide, clock: Clock) -> None:
    budget = budget_of(redis_side, tokens=100)
    before = await reserved(budget, 100)
    redis_side.client.flushall()
    await budget.settle(before, 0)

    await reserved(budget, 100)
    assert await refused(budget, 1, "user-2") is BudgetLimit.TOKENS


async def test_what_is_refused_is_not_booked(redis_side: RedisSide, clock: Clock) -> None:
    budget = budget_of(redis_side, calls=2, tokens=100)
    for _ in range(5):
        await budget.reserve("user-1", 10)

    assert redis_side.client.get(LLMKeys().calls("23:58")) == "2"
    assert redis_side.client.get(LLMKeys().tokens("2025-09-02")) == "20"


async def test_what_is_booked_is_forgotten_after_its_time(redis_side: RedisSide, clock: Clock) -> None:
    budget = budget_of(redis_side, calls=2, tokens=100)
    await budget.settle(await reserved(budget, 5), 4)

    keys = LLMKeys()
    assert 60 <= redis_side.client.ttl(keys.calls("23:58")) <= 120
    for key in (keys.tokens("2025-09-02"), keys.users("2025-09-02")):
        assert 86_400 <= redis_side.client.ttl(key) <= 2 * 86_400


async def test_no_user_id_shows_in_redis(redis_side: RedisSide, clock: Clock) -> None:
    await reserved(budget_of(redis_side, tokens=100), 5, "minjun")

    assert "minjun" not in str(redis_side.client.hgetall(LLMKeys().users("2025-09-02")))


async def test_a_budget_that_is_away_is_an_outage() -> None:
    client = make_client(Settings(redis_addr=NOWHERE))
    budget = RedisLLMBudget(client, LLMKeys(), 1, 1)

    for call in (budget.reserve("user-1", 1), budget.settle(Reservation("user-1", 1, "2025-09-02"), 1)):
        with pytest.raises(RedisOutage):
            await call

    await client.aclose()
