"""What focus cards need of Redis: the scores of many users at once, and the run that is under way."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import date
from struct import pack
from time import time
from typing import Any

from redis.asyncio import Redis

from domains.focusCard.model import Run, RunFigures, Scores
from domains.kernel.errors import RedisOutage
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import CardRunKeys

_PAGE = 1000
"""Users of a board that are read at once."""
SCORES_AT_ONCE = 990
"""Scores that one call reads. It holds Redis for some 1.4 µs a score, and 0.3 ms beside."""
_OF_A_BOARD = 2**32
"""So many numbers has each board; as in claim_users.lua."""
_LEASE_SECONDS = 600
_REMEMBER_SECONDS = 7 * 86_400
_REMEMBER_MARK_SECONDS = 60 * 86_400


class RedisBoardScores:
    """BoardScoresPort. Where boards lie in different slots (`scattered`), each is asked by itself."""

    def __init__(self, client: Redis, scattered: bool = False) -> None:
        self._client = client
        self._scattered = scattered
        self._scores = client.register_script(scripts.CARD_SCORES)

    async def read(self, users: Sequence[str], boards: Sequence[str], ranked: Collection[str]) -> Scores:
        ordered = [*ranked, *(board for board in boards if board not in ranked)]
        users = users[:SCORES_AT_ONCE]
        if self._scattered:
            one_by_one = await asyncio.gather(*(self._ask([board], board in ranked, users) for board in ordered))
            as_of, found = min(reply[0] for reply in one_by_one), [reply[2] for reply in one_by_one]
        else:
            as_of, read, *found = await self._ask(ordered, len(ranked), users)
            users = users[:read]
        seconds, ranks, sizes = {}, {}, {}
        for board, (size, scores, places) in zip(ordered, found, strict=True):
            if size >= 0:
                sizes[board] = size
            if scores:  # of most boards there are none
                named = zip(scores[::2], scores[1::2], strict=True)
                seconds[board] = {users[i - 1]: float(score) for i, score in named}
                ranks[board] = {users[i - 1]: rank for i, rank in zip(places[::2], places[1::2], strict=True)}
        return Scores(int(as_of), seconds, ranks, sizes, users)

    async def members(self, board: str) -> AsyncIterator[list[str]]:
        cursor = 0
        while True:
            try:
                cursor, page = await guarded(self._client, self._client.zscan(board, cursor, count=_PAGE))
            except RedisOutage as error:
                if "WRONGTYPE" in str(error):  # what is no board has no users
                    return
                raise
            yield [user for user, _ in page]
            if not cursor:
                return

    async def _ask(self, boards: Sequence[str], ranked: int, users: Sequence[str]) -> Any:
        return await guarded(
            self._client, self._scores(keys=list(boards), args=[int(ranked), SCORES_AT_ONCE, _packed(users)])
        )


class RedisCardRuns:
    """CardRunsPort."""

    def __init__(self, client: Redis, keys: CardRunKeys) -> None:
        self._client = client
        self._keys = keys
        self._claim = client.register_script(scripts.CLAIM_USERS)

    async def begin(self, run: Run) -> bool:
        text = json.dumps([run.id, [day.isoformat() for day in run.anchors], run.started])
        if await guarded(self._client, self._client.set(self._keys.lease, text, nx=True, ex=_LEASE_SECONDS)):
            return True
        current = await self.current()
        return current is not None and current.id == run.id

    async def current(self) -> Run | None:
        text = await guarded(self._client, self._client.get(self._keys.lease))
        if text is None:
            return None
        run_id, anchors, started = json.loads(text)
        return Run(run_id, [date.fromisoformat(day) for day in anchors], started)

    async def claim(self, scope: str, board: str, users: Sequence[str]) -> int:
        keys = [self._keys.claimed(scope), self._keys.claim_counts(scope)]
        call = self._claim(keys=keys, args=[board, _REMEMBER_SECONDS, _packed(users)])
        return int(await guarded(self._client, call))

    async def claimed(self, scope: str, board: str, first: int, count: int) -> list[str]:
        following = await guarded(self._client, self._client.hget(self._keys.claim_counts(scope), board))
        first += int(following or 0) // _OF_A_BOARD * _OF_A_BOARD
        between = first, first + count - 1
        found = await guarded(self._client, self._client.zrangebyscore(self._keys.claimed(scope), *between))
        return [str(user) for user in found]

    async def note(self, run: str, job: str, figures: RunFigures) -> None:
        key = self._keys.figures(run)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hsetnx(key, job, " ".join(map(str, figures)))
        pipeline.expire(key, _REMEMBER_SECONDS)
        pipeline.expire(self._keys.lease, _LEASE_SECONDS)
        await guarded(self._client, pipeline.execute())

    async def figures(self, run: str) -> RunFigures:
        noted = await guarded(self._client, self._client.hvals(self._keys.figures(run)))
        rows = [tuple(map(int, text.split())) for text in noted]
        return RunFigures(*map(sum, zip(*rows, strict=True))) if rows else RunFigures()

    async def end(self, run: str) -> None:
        current = await self.current()
        if current is not None and current.id == run:
            await guarded(self._client, self._client.delete(self._keys.lease))
        await guarded(self._client, self._client.set(self._keys.last_end, repr(time())))
        if current is not None:
            for scope in [f"{run}:{anchor}" for anchor in current.anchors]:  # these may lie in different slots
                keys = self._keys.claimed(scope), self._keys.claim_counts(scope)
                await guarded(self._client, self._client.unlink(*keys))

    async def mark(self, name: str) -> bool:
        key = self._keys.mark(name)
        return bool(await guarded(self._client, self._client.set(key, "1", nx=True, ex=_REMEMBER_MARK_SECONDS)))

    async def is_marked(self, name: str) -> bool:
        return bool(await guarded(self._client, self._client.exists(self._keys.mark(name))))

    async def unmark(self, name: str) -> None:
        await guarded(self._client, self._client.delete(self._keys.mark(name)))

    async def last_end(self) -> float:
        return float(await guarded(self._client, self._client.get(self._keys.last_end)) or 0.0)


def _packed(texts: Sequence[str]) -> bytes:
    """An array of texts in msgpack, by hand: user ids need not be valid UTF-8. As arguments they take longer."""
    coded = [text.encode("utf-8", "surrogateescape") for text in texts]
    return b"\xdd%s%s" % (
        pack(">I", len(coded)),
        b"".join([b"\xdb" + pack(">I", len(each)) + each for each in coded]),
    )
