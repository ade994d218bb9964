"""The boards as ZSETs, read as Spring reads them."""

from collections.abc import Collection, Sequence
from typing import Any

from redis.asyncio import Redis

from domains.leaderboard.model import LeaderboardEntry, LeaderboardResult, Neighbourhood
from infrastructure.redis import scripts
from infrastructure.redis.client import translated_errors


class LeaderboardCacheAdapter:
    """LeaderboardCachePort on Redis."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._around = client.register_script(scripts.AROUND_USER)

    async def batch_increase_score(self, entries: Sequence[LeaderboardEntry]) -> int:
        scores: dict[tuple[str, str], float] = {}
        for entry in entries:
            for board in entry.boards:
                scores[board, entry.user_id] = scores.get((board, entry.user_id), 0.0) + entry.score
        with translated_errors():
            async with self._client.pipeline(transaction=True) as pipeline:
                for (board, user_id), score in scores.items():
                    pipeline.zincrby(board, score, user_id)
                await pipeline.execute()
        return len(scores)

    async def top(self, board: str, limit: int, offset: int = 0) -> list[LeaderboardResult]:
        if limit <= 0:
            return []
        with translated_errors():
            rows: Any = await self._client.zrevrange(board, offset, offset + limit - 1, withscores=True)
        return [LeaderboardResult(user, float(score), offset + i) for i, (user, score) in enumerate(rows, 1)]

    async def rank(self, board: str, user_id: str) -> LeaderboardResult:
        return (await self.around(board, user_id, 0)).user

    async def around(self, board: str, user_id: str, distance: int) -> Neighbourhood:
        with translated_errors():
            reply = scripts.named(await self._around(keys=[board], args=[user_id, distance]))
        rank, first, rows = reply["rank"], reply["first"], reply["rows"]
        found = [
            LeaderboardResult(user, float(score), first + i)
            for i, (user, score) in enumerate(zip(rows[::2], rows[1::2], strict=True))
        ]
        own = found[rank - first] if rank else LeaderboardResult(user_id, 0.0, 0)
        return Neighbourhood(own, found)

    async def having(self, scores: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        with translated_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                for board, user_id in scores:
                    pipeline.zscore(board, user_id)
                found = await pipeline.execute(raise_on_error=False)
            for reply in found:
                if isinstance(reply, Exception) and "WRONGTYPE" not in str(reply):
                    raise reply
        return {score for score, reply in zip(scores, found, strict=True) if reply is not None}

    async def size(self, board: str) -> int:
        with translated_errors():
            return int(await self._client.zcard(board))
