"""The LLM's answers in Redis, shared by all instances."""

from collections.abc import Collection, Mapping
from time import time

from redis.asyncio import Redis

from domains.categoryPattern.model import UNCATEGORIZED
from domains.patternClassifier.questions import Question
from domains.pomodoro.model import digest_of
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import LLMKeys


class RedisClassificationCache:
    """ClassificationCachePort. Questions are kept as digests, so titles and sites cannot be read in Redis.

    An answer lasts `ttl` seconds, and an empty one `negative_ttl`. Beyond `limit` answers, those that expire first
    are dropped.
    """

    def __init__(self, client: Redis, keys: LLMKeys, ttl: int, negative_ttl: int, limit: int) -> None:
        self._client = client
        self._keys = keys
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self._limit = limit
        self._put = client.register_script(scripts.PUT_ANSWERS)

    async def get_many(self, questions: Collection[Question]) -> dict[Question, str]:
        if not questions:
            return {}
        digests = [digest_of(*question) for question in questions]
        found = await guarded(self._client, self._client.hmget(self._keys.answers, digests))
        answers = {}
        for question, kept in zip(questions, found, strict=True):
            until, _, name = (kept or "0 ").partition(" ")
            if int(until) > time():
                answers[question] = name
        return answers

    async def put_many(self, answers: Mapping[Question, str]) -> None:
        if not answers:
            return
        now = int(time())
        arguments: list[str | int] = [now, self._limit]
        for question, name in answers.items():
            ttl = self._negative_ttl if name in ("", UNCATEGORIZED) else self._ttl
            arguments += [digest_of(*question), now + ttl, name]
        await guarded(self._client, self._put(keys=[self._keys.answers, self._keys.expiries], args=arguments))
