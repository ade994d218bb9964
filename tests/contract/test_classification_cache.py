"""ClassificationCachePort in memory and on Redis."""

import pytest

from domains.kernel.errors import RedisOutage
from domains.patternClassifier.ports import ClassificationCachePort
from domains.patternClassifier.questions import Question
from infrastructure.redis.cache import RedisClassificationCache
from infrastructure.redis.client import make_client
from infrastructure.redis.keys import LLMKeys
from infrastructure.settings import Settings
from tests.contract.conftest import NOWHERE, RedisSide

WINDOW = Question("카카오톡", "https://비밀.example/1?token=s3cret", "김민수 — 점심 🍜")


async def test_nothing_is_remembered_at_first(cache: ClassificationCachePort) -> None:
    assert await cache.get_many([WINDOW]) == {}


async def test_asking_for_nothing_answers_nothing(cache: ClassificationCachePort) -> None:
    assert await cache.get_many([]) == {}


async def test_what_was_put_is_remembered_and_nothing_else(cache: ClassificationCachePort) -> None:
    other = Question("Zoom", "", "")
    await cache.put_many({WINDOW: "SNS", other: "E-commerce & Shopping"})

    assert await cache.get_many([other, Question("absent", "", ""), WINDOW]) == {
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
    answers = {Question("Chrome", f"https://example.com/{number}", ""): f"c{number}" for number in range(500)}
    await cache.put_many(answers)

    assert await cache.get_many(answers.keys()) == answers


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Question("ab", "c", ""), Question("a", "bc", "")),
        (Question("", "a", ""), Question("a", "", "")),
        (Question("a\0b", "", ""), Question("a", "b\0", "")),
        (Question("a\nb", "", ""), Question("a", "b\n", "")),
        (Question("Slack", "", ""), Question("slack", "", "")),
    ],
    ids=["letters_move", "parts_swapped", "zero_bytes_move", "newlines_move", "case"],
)
async def test_windows_that_look_alike_are_kept_apart(
    cache: ClassificationCachePort, one: Question, other: Question
) -> None:
    await cache.put_many({one: "SNS"})

    assert await cache.get_many([other]) == {}


# Redis alone

OTHER = Question("Zoom", "", "")


def cache_of(redis_side: RedisSide, prefix: str = "", **limits: int) -> RedisClassificationCache:
    return RedisClassificationCache(
        redis_side.make(), LLMKeys(prefix), **{"ttl": 3600, "negative_ttl": 60, "limit": 1000} | limits
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The adapter's time, in its one element."""
    now = [1_700_000_000.5]
    monkeypatch.setattr("infrastructure.redis.cache.time", lambda: now[0])
    return now


async def test_instances_share_the_answers(redis_side: RedisSide) -> None:
    await cache_of(redis_side).put_many({WINDOW: "SNS"})

    assert await cache_of(redis_side).get_many([WINDOW]) == {WINDOW: "SNS"}
    assert await cache_of(redis_side, "other:").get_many([WINDOW]) == {}


async def test_an_answer_lasts_for_its_time(redis_side: RedisSide, clock: list[float]) -> None:
    cache = cache_of(redis_side)
    await cache.put_many({WINDOW: "SNS"})

    clock[0] += 3599
    assert await cache.get_many([WINDOW]) == {WINDOW: "SNS"}
    clock[0] += 2
    assert await cache.get_many([WINDOW]) == {}


@pytest.mark.parametrize("name", ["", "Uncategorized"])
async def test_an_answer_that_says_nothing_lasts_for_less(
    redis_side: RedisSide, clock: list[float], name: str
) -> None:
    cache = cache_of(redis_side)
    await cache.put_many({WINDOW: name, OTHER: "SNS"})

    assert await cache.get_many([WINDOW, OTHER]) == {WINDOW: name, OTHER: "SNS"}
    clock[0] += 61
    assert await cache.get_many([WINDOW, OTHER]) == {OTHER: "SNS"}


async def test_what_has_expired_is_dropped(redis_side: RedisSide, clock: list[float]) -> None:
    cache = cache_of(redis_side)
    await cache.put_many({Question(f"app {number}", "", ""): "SNS" for number in range(20)})
    clock[0] += 3601
    await cache.put_many({WINDOW: "SNS"})

    assert redis_side.client.hlen(LLMKeys().answers) == redis_side.client.zcard(LLMKeys().expiries) == 1


async def test_of_too_many_answers_those_go_that_would_expire_first(
    redis_side: RedisSide, clock: list[float]
) -> None:
    cache = cache_of(redis_side, limit=3)
    apps = [Question(f"app {number}", "", "") for number in range(5)]
    for question in apps:
        await cache.put_many({question: "SNS"})
        clock[0] += 1
    await cache.put_many({WINDOW: ""})

    assert (await cache.get_many([*apps, WINDOW])).keys() == set(apps[2:])
    assert redis_side.client.hlen(LLMKeys().answers) == redis_side.client.zcard(LLMKeys().expiries) == 3


async def test_titles_and_sites_do_not_show_in_redis(redis_side: RedisSide) -> None:
    await cache_of(redis_side, "tenant:").put_many({WINDOW: "SNS"})

    assert sorted(redis_side.client.keys("*")) == ["tenant:{pomocore:llm}:answers", "tenant:{pomocore:llm}:expiries"]
    ((digest, kept),) = redis_side.client.hgetall("tenant:{pomocore:llm}:answers").items()
    assert len(digest) == 24
    assert set(digest) <= set("0123456789abcdef")
    assert kept.split(" ")[1] == "SNS"


async def test_a_prefix_with_a_hash_tag_keeps_all_keys_in_its_slot() -> None:
    keys = LLMKeys("{pomocore}:")

    assert {key.count("{") for key in (keys.answers, keys.expiries, keys.calls("09:00"), keys.tokens("d"))} == {1}
    assert all(key.startswith("{pomocore}:") for key in (keys.answers, keys.expiries, keys.calls("09:00")))


async def test_a_cache_that_is_away_is_an_outage() -> None:
    client = make_client(Settings(redis_addr=NOWHERE))
    cache = RedisClassificationCache(client, LLMKeys(), ttl=3600, negative_ttl=60, limit=10)

    for call in (cache.get_many([WINDOW]), cache.put_many({WINDOW: "SNS"})):
        with pytest.raises(RedisOutage):
            await call

    await client.aclose()
