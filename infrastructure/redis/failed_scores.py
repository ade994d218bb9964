"""Scores that boards could not take: listing them, and adding them to the boards."""

from collections.abc import Sequence
from contextlib import suppress

from redis.asyncio import Redis

from domains.operations.model import FailedScore
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import StreamKeys


class RedisFailedScores:
    """FailedScoresPort. On a cluster (`boards_elsewhere`) a score goes through the outbox, with the next commit."""

    def __init__(self, client: Redis, partitions: Sequence[StreamKeys], boards_elsewhere: bool) -> None:
        self._client = client
        self._keys = {keys.stream: keys for keys in partitions}
        self._boards_elsewhere = boards_elsewhere
        self._replay = client.register_script(scripts.REQUEUE_SCORE if boards_elsewhere else scripts.REPLAY_SCORE)

    async def all(self) -> list[FailedScore]:
        return [score for keys in self._keys.values() for score in await self._kept(keys)]

    async def replay(self, score: FailedScore) -> bool:
        keys = self._keys[score.stream]
        if self._boards_elsewhere:
            call = self._replay(keys=[keys.failed_scores, keys.outbox], args=[score.board, score.user_id])
        else:
            call = self._replay(keys=[keys.failed_scores, score.board], args=[score.user_id])
        return bool(await guarded(self._client, call))

    async def _kept(self, keys: StreamKeys) -> list[FailedScore]:
        kept: dict[str, str] = await guarded(self._client, self._client.hgetall(keys.failed_scores))
        scores = []
        for name, seconds in sorted(kept.items()):
            with suppress(ValueError):  # what is no number, or names no score, was put there by somebody else
                board, user_id = name.split("\n", 1)
                scores.append(FailedScore(keys.stream, board, user_id, float(seconds)))
        return scores
