"""ClassificationCachePort in memory and on Redis."""

import pytest

from domains.errors import RedisOutage
from domains.patternClassifier.ports import ClassificationCachePort
from domains.pomodoro.model import ActivityKey
from infrastructure.redis.cache import RedisClassificationCache
from infrastructure.redis.client import make_client
from infrastructure.settings import Settings
from tests.contract.conftest import NOWHERE, RedisSide

WINDOW = ActivityKey("카카오톡", "https://비밀.example/1?token=s3cret", "김민수 — 점심 🍜")


async def test_nothing_is_remembered_at_first(cache: ClassificationCachePort) -> None:
    assert await cache.get_many([WINDOW]) == {}


async def test_asking_for_nothing_answers_nothing(cache: ClassificationCachePort) -> None:
    assert await cache.get_many([]) == {}


async def test_what_was_put_is_remembered_and_nothing_else(cache: ClassificationCachePort) -> None:
    other = ActivityKey("Zoom", "", "")
    await cache.put_many({WINDOW: "SNS", other: "E-commerce & Shopping"})

    assert await cache.get_many([other, ActivityKey("absent", "", ""), WINDOW]) == {
        WINDOW: "SNS",
        other: "E-commerce & Shopping",
    }


async def test_a_later_answer_replaces_the_earlier(cache: ClassificationCachePort) -> None:
    await cache.put_many({WINDOW: "SNS"})
    await cache.put_many({WINDOW: "Communication"})

    assert await cache.get_many([WINDOW]) == {WINDOW: "Communication"}


async def test_putting_nothing_is_no_failure(cache: ClassificationCachePort) -> None:
    await cache.put_many({})

    assert await cache.get_many([WINDOW]) == {}


async def test_hundreds_of_windows_are_remembered_at_once(cache: ClassificationCachePort) -> None:
    answers = {ActivityKey("Chrome", f"https://example.com/{number}", ""): f"c{number}" for number in range(500)}
    await cache.put_many(answers)

    assert await cache.get_many(answers.keys()) == answers


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ActivityKey("ab", "c", ""), ActivityKey("a", "bc", "")),
        (ActivityKey("", "a", ""), ActivityKey("a", "", "")),
        (ActivityKey("a\0b", "", ""), ActivityKey("a", "b\0", "")),
        (ActivityKey("a\nb", "", ""), ActivityKey("a", "b\n", "")),
        (ActivityKey("Slack", "", ""), ActivityKey("slack", "", "")),
    ],
    ids=["letters_move", "parts_swapped", "zero_bytes_move", "newlines_move", "case"],
)
async def test_windows_that_look_alike_are_kept_apart(
    cache: ClassificationCachePort, one: ActivityKey, other: ActivityKey
) -> None:
    await cache.put_many({one: "SNS"})

    assert await cache.get_many([other]) == {}


# Redis alone


async def test_answers_expire(redis_side: RedisSide) -> None:
    await RedisClassificationCache(redis_side.make(), ttl=3600).put_many({WINDOW: "SNS"})

    (key,) = redis_side.client.keys("*")

    assert 0 < redis_side.client.ttl(key) <= 3600


async def test_titles_and_urls_do_not_show_in_redis(redis_side: RedisSide) -> None:
    await RedisClassificationCache(redis_side.make(), ttl=3600).put_many({WINDOW: "SNS"})

    (key,) = redis_side.client.keys("*")

    assert key.isascii()
    assert "s3cret" not in key


async def test_a_cache_that_is_away_is_an_outage() -> None:
    client = make_client(Settings(redis_addr=NOWHERE))
    cache = RedisClassificationCache(client, ttl=3600)

    for call in (cache.get_many([WINDOW]), cache.put_many({WINDOW: "SNS"})):
        with pytest.raises(RedisOutage):
            await call

    await client.aclose()
