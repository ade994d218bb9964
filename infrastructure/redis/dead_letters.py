"""The dead-letter stream: looking at it, putting messages back, dropping them; and scores kept for replay."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from infrastructure.redis.client import guarded
from infrastructure.redis.keys import REPLAY_SCORES_SCRIPT, REPLAY_SCRIPT, StreamKeys
from infrastructure.wire import ORIGIN_FIELD

_PAGE = 500


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """An entry of the dead-letter stream. `time` is in Unix seconds, `fields` are those of the message."""

    id: str
    reason: str
    original_id: str
    deliveries: int
    time: float
    truncated: bool
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FailedScore:
    """Seconds that a board could not take."""

    board: str
    user_id: str
    seconds: float


class DeadLetterStream:
    """All methods raise RedisOutage where Redis is away; each of them can then be called again."""

    def __init__(self, client: Redis, keys: StreamKeys) -> None:
        self._client = client
        self._keys = keys
        self._replay = client.register_script(REPLAY_SCRIPT)
        self._replay_score = client.register_script(REPLAY_SCORES_SCRIPT)

    async def all(self) -> AsyncIterator[StoredDeadLetter]:
        """Oldest first."""
        start = "-"
        while page := await self._page(start, "+", _PAGE):
            for letter in page:
                yield letter
            start = f"({page[-1].id}"

    async def get(self, letter_id: str) -> StoredDeadLetter | None:
        found = await self._page(letter_id, letter_id, 1)
        return found[0] if found else None

    async def replay(self, letter: StoredDeadLetter) -> str | None:
        """Puts the message back on its stream, once, however often it is called. Returns its new entry id.

        None where the letter is no longer there. The message carries the id under which it first came, so that
        its documents keep their ids.
        """
        fields = {**letter.fields, ORIGIN_FIELD: letter.fields.get(ORIGIN_FIELD) or letter.original_id}
        flat = [text for pair in fields.items() for text in pair]
        new_id: str | None = await guarded(
            self._client, self._replay(keys=[self._keys.dead_letters, self._keys.stream], args=[letter.id, *flat])
        )
        return new_id

    async def drop(self, letter_ids: Sequence[str]) -> int:
        """Deletes letters for good. Returns how many were still there."""
        return int(await guarded(self._client, self._client.xdel(self._keys.dead_letters, *letter_ids)))

    async def failed_scores(self) -> list[FailedScore]:
        kept: dict[str, str] = await guarded(self._client, self._client.hgetall(self._keys.failed_scores))
        return sorted(
            (_failed_score(name, float(seconds)) for name, seconds in kept.items()),
            key=lambda score: (score.board, score.user_id),
        )

    async def replay_score(self, score: FailedScore) -> bool:
        """Raises the board by what was kept, once. False where the board still cannot take it."""
        name = f"{score.board}\n{score.user_id}"
        reply = await guarded(
            self._client,
            self._replay_score(keys=[self._keys.failed_scores, score.board], args=[name, score.user_id]),
        )
        return bool(reply)

    async def _page(self, first: str, last: str, count: int) -> list[StoredDeadLetter]:
        entries: Any = await guarded(
            self._client, self._client.xrange(self._keys.dead_letters, min=first, max=last, count=count)
        )
        return [_stored(letter_id, fields) for letter_id, fields in entries]


def _failed_score(name: str, seconds: float) -> FailedScore:
    board, _, user_id = name.partition("\n")
    return FailedScore(board, user_id, seconds)


def _stored(letter_id: str, fields: Mapping[str, str]) -> StoredDeadLetter:
    return StoredDeadLetter(
        id=letter_id,
        reason=fields["reason"],
        original_id=fields["originalId"],
        deliveries=int(fields["deliveryCount"]),
        time=float(fields["time"]),
        truncated=fields["truncated"] == "true",
        fields=json.loads(fields["fields"]),
    )
