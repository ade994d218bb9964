"""SharedSitesPort in memory and on Redis."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from domains.siteProfile.ports import SharedSitesPort
from infrastructure.memory.site_profiles import InMemorySharedSites
from infrastructure.redis.keys import SiteKeys
from infrastructure.redis.shared_sites import RedisSharedSites
from tests.contract.conftest import REDIS_KINDS, RedisSide, _redis_side


@pytest.fixture(params=["memory", *REDIS_KINDS])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[SharedSitesPort]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield InMemorySharedSites()
        else:
            yield RedisSharedSites((await _redis_side(request, request.param, stack)).make(), SiteKeys())


async def test_sites_are_counted_by_their_users_and_those_with_the_most_come_first(shared: SharedSitesPort) -> None:
    await shared.note_seen([("a.com", "u1"), ("a.com", "u2"), ("a.com", "u2"), ("은행.한국", "u1"), ("c.com", "u1")])
    await shared.note_seen([("은행.한국", "u2"), ("은행.한국", "u3"), ("a.com", "u1")])

    assert await shared.seen_by(1, 10) == ["은행.한국", "a.com", "c.com"]
    assert await shared.seen_by(2, 10) == ["은행.한국", "a.com"]
    assert await shared.seen_by(3, 10) == ["은행.한국"]
    assert await shared.seen_by(1, 1) == ["은행.한국"]
    assert await shared.seen_by(4, 10) == []


async def test_a_forgotten_site_is_counted_anew(shared: SharedSitesPort) -> None:
    await shared.note_seen([("a.com", "u1"), ("a.com", "u2"), ("b.com", "u1")])

    await shared.forget_seen(["a.com", "never.com"])
    await shared.forget_seen([])
    await shared.note_seen([("a.com", "u3")])

    assert await shared.seen_by(2, 10) == []
    assert set(await shared.seen_by(1, 10)) == {"a.com", "b.com"}


async def test_categories_are_shared_and_withdrawn(shared: SharedSitesPort) -> None:
    await shared.share({"a.com": "Game", "b.com": "SNS", "c.com": ""})
    await shared.share({"b.com": "", "a.com": "Finance"})
    await shared.share({})

    assert await shared.categories_of(["a.com", "b.com", "c.com", "d.com"]) == {"a.com": "Finance"}
    assert await shared.categories_of([]) == {}


async def test_turns_of_all_instances_are_a_second_apart(redis_side: RedisSide) -> None:
    one, other = (RedisSharedSites(redis_side.make(), SiteKeys(), requests_per_second=0.1) for _ in range(2))

    waits = [await shared.seconds_to_wait() for shared in (one, other, one, other)]

    assert waits == pytest.approx([0, 10, 20, 30], abs=1.0)


async def test_redis_keeps_counts_of_users_and_not_the_users(redis_side: RedisSide) -> None:
    shared = RedisSharedSites(redis_side.make(), SiteKeys("p:"))

    await shared.note_seen([("a.com", "user-1")])

    keys = sorted(redis_side.client.keys())
    assert keys == ["p:{pomocore:sites}:seen", "p:{pomocore:sites}:users:a.com"]
    assert redis_side.client.zrange(keys[0], 0, -1, withscores=True) == [("a.com", 1.0)]
    assert redis_side.client.pfcount(keys[1]) == 1
    assert 0 < redis_side.client.ttl(keys[1]) <= 30 * 86_400


async def test_beyond_a_bound_the_sites_with_the_fewest_users_are_left_out(redis_side: RedisSide) -> None:
    shared = RedisSharedSites(redis_side.make(), SiteKeys(), most_sites=2)

    await shared.note_seen([("a.com", "u1"), ("a.com", "u2"), ("b.com", "u1"), ("b.com", "u2")])
    await shared.note_seen([("c.com", "u1")])

    assert set(await shared.seen_by(1, 10)) == {"a.com", "b.com"}
    assert not redis_side.client.exists("{pomocore:sites}:users:c.com")
