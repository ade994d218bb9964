"""The dead-letter streams: looking at them, putting messages back, dropping them; and scores kept for replay."""

import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Any

from redis.asyncio import Redis

from domains.pomodoro.model import DeadLetterKind
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import StreamKeys, split_score_name
from infrastructure.spring.message_parser import ORIGIN_FIELD

_PAGE = 500
_PAGES_BACK = 10
_NOT_PUBLIC = "an earlier version has parked it; its reason is shown with the token"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """An entry of a dead-letter stream. `time` is in Unix seconds, `fields` are those of the message."""

    stream: str
    id: str
    kind: DeadLetterKind
    reason: str
    public_reason: str
    original_id: str
    deliveries: int
    time: float
    truncated: bool
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FailedScore:
    """Seconds that a board could not take. `stream` is where they came from."""

    stream: str
    board: str
    user_id: str
    seconds: float


class Selection:
    """Letters that have one of the `ids` and `reason` in theirs, in any case, and are older than 90s, 15m, 12h or 7d.

    What is empty does not matter. Raises ValueError where `older_than` is no such time.
    """

    def __init__(self, ids: Collection[str] = (), reason: str = "", older_than: str = "") -> None:
        self._ids = frozenset(ids)
        self._reason = reason.casefold()
        self._before = time() - _seconds(older_than) if older_than else float("inf")

    def __contains__(self, letter: StoredDeadLetter) -> bool:
        by_id = not self._ids or letter.id in self._ids
        return by_id and self._reason in letter.reason.casefold() and letter.time < self._before


class DeadLetterStreams:
    """Of all partitions. All methods raise RedisOutage where Redis is away; each of them can then be called again."""

    def __init__(self, client: Redis, partitions: Sequence[StreamKeys], boards_elsewhere: bool) -> None:
        self._client = client
        self._keys = {keys.stream: keys for keys in partitions}
        self._boards_elsewhere = boards_elsewhere
        self._replay = client.register_script(scripts.REPLAY_LETTER)
        self._replay_score = client.register_script(
            scripts.REQUEUE_SCORE if boards_elsewhere else scripts.REPLAY_SCORE
        )

    async def all(self) -> AsyncIterator[StoredDeadLetter]:
        """Oldest first within each partition."""
        for stream in self._keys:
            start = "-"
            while page := await self._page(stream, start, "+", _PAGE):
                for letter in page:
                    yield letter
                start = f"({page[-1].id}"

    async def latest(self, limit: int, wanted: Callable[[StoredDeadLetter], bool]) -> list[StoredDeadLetter]:
        """The latest `limit` that are wanted, the latest first, among the last few thousand of each partition."""
        found: list[StoredDeadLetter] = []
        for stream, keys in self._keys.items():
            last, of_stream = "+", list[StoredDeadLetter]()
            for _ in range(_PAGES_BACK):
                call = self._client.xrevrange(keys.dead_letters, max=last, count=_PAGE)
                page = [_stored(stream, *entry) for entry in await guarded(self._client, call)]
                of_stream += filter(wanted, page)
                if len(page) < _PAGE or len(of_stream) >= limit:
                    break
                last = f"({page[-1].id}"
            found += of_stream[:limit]
        return sorted(found, key=lambda letter: letter.time, reverse=True)[:limit]

    async def chosen(self, selection: Selection) -> list[StoredDeadLetter]:
        return [letter async for letter in self.all() if letter in selection]

    async def get(self, letter_id: str) -> StoredDeadLetter | None:
        for stream in self._keys:
            if found := await self._page(stream, letter_id, letter_id, 1):
                return found[0]
        return None

    async def replay(self, letter: StoredDeadLetter) -> str | None:
        """Puts the message back on its stream, once, however often it is called. Returns its new entry id.

        None where the letter is no longer there. The message carries the id under which it first came, so that
        its documents keep their ids.
        """
        fields = {**letter.fields, ORIGIN_FIELD: letter.fields.get(ORIGIN_FIELD) or letter.original_id}
        flat = [text for pair in fields.items() for text in pair]
        keys = self._keys[letter.stream]
        new_id: str | None = await guarded(
            self._client, self._replay(keys=[keys.dead_letters, keys.stream], args=[letter.id, *flat])
        )
        return new_id

    async def replay_all(self, selection: Selection) -> tuple[dict[str, str], int]:
        """Replays the chosen letters. Returns {id: new entry id}, and how many were left: their fields are cut."""
        replayed, cut = {}, 0
        for letter in await self.chosen(selection):  # first: what fails again comes back behind
            if letter.truncated:
                cut += 1
            elif new_id := await self.replay(letter):
                replayed[letter.id] = new_id
        return replayed, cut

    async def drop(self, letters: Sequence[StoredDeadLetter]) -> int:
        """Deletes letters for good. Returns how many were still there."""
        dropped = 0
        for stream, keys in self._keys.items():
            if ids := [letter.id for letter in letters if letter.stream == stream]:
                dropped += int(await guarded(self._client, self._client.xdel(keys.dead_letters, *ids)))
        return dropped

    async def failed_scores(self) -> list[FailedScore]:
        """By partition, board and user."""
        return [score for keys in self._keys.values() for score in await self._failed_scores(keys)]

    async def replay_score(self, score: FailedScore) -> bool:
        """Raises the board by what was kept, once. False where the board still cannot take it.

        On a cluster it goes through the outbox, with the next commit, and comes back if the board cannot take it.
        """
        keys = self._keys[score.stream]
        if self._boards_elsewhere:
            call = self._replay_score(keys=[keys.failed_scores, keys.outbox], args=[score.board, score.user_id])
        else:
            call = self._replay_score(keys=[keys.failed_scores, score.board], args=[score.user_id])
        return bool(await guarded(self._client, call))

    async def _failed_scores(self, keys: StreamKeys) -> list[FailedScore]:
        kept: dict[str, str] = await guarded(self._client, self._client.hgetall(keys.failed_scores))
        scores = []
        for name, seconds in sorted(kept.items()):
            scores.append(FailedScore(keys.stream, *split_score_name(name), float(seconds)))
        return scores

    async def _page(self, stream: str, first: str, last: str, count: int) -> list[StoredDeadLetter]:
        key = self._keys[stream].dead_letters
        entries: Any = await guarded(self._client, self._client.xrange(key, min=first, max=last, count=count))
        return [_stored(stream, letter_id, fields) for letter_id, fields in entries]


def _seconds(text: str) -> int:
    if not (match := re.fullmatch(r"(\d{1,9})([smhd])", text)):
        raise ValueError(f"{text}: not a time such as 90s, 15m, 12h or 7d")
    return int(match[1]) * _UNITS[match[2]]


def _kind(text: str) -> DeadLetterKind:
    """Unknown where an earlier version wrote none, or a later one has more of them."""
    return DeadLetterKind(text) if text in set(DeadLetterKind) else DeadLetterKind.UNKNOWN


def _stored(stream: str, letter_id: str, fields: Mapping[str, str]) -> StoredDeadLetter:
    return StoredDeadLetter(
        stream=stream,
        id=letter_id,
        kind=_kind(fields.get("kind", "")),
        reason=fields["reason"],
        public_reason=fields.get("publicReason", _NOT_PUBLIC),
        original_id=fields["originalId"],
        deliveries=int(fields["deliveryCount"]),
        time=float(fields["time"]),
        truncated=fields["truncated"] == "true",
        fields=json.loads(fields["fields"]),
    )
