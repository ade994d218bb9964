"""The dead-letter streams: listing letters, putting their messages back, and dropping them."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict

from redis.asyncio import Redis

from domains.operations.model import LetterSummary, StoredDeadLetter
from domains.pomodoro.model import DeadLetterKind
from infrastructure.redis import scripts
from infrastructure.redis.client import Entries, guarded
from infrastructure.redis.keys import StreamKeys
from infrastructure.spring.message_parser import KNOWN_FIELDS, ORIGIN_FIELD

_PAGE = 16
"""Letters a call: Redis holds all of them whole for a moment."""
_LOOK_BACK = 5000
"""How many letters of a stream are looked at for those that are wanted."""
_MOST_FIELDS = 3000
"""A script can pass on about 8,000 values."""
_NOT_OURS = "not a dead letter of the pipeline"
_NOT_PUBLIC = "an earlier version has parked it; its reason is shown with the token"


class RedisDeadLetters:
    """DeadLettersPort."""

    def __init__(self, client: Redis, partitions: Sequence[StreamKeys]) -> None:
        self._client = client
        self._keys = {keys.stream: keys for keys in partitions}
        self._list = client.register_script(scripts.LETTER_SUMMARIES)
        self._replay = client.register_script(scripts.REPLAY_LETTER)

    async def all(self) -> AsyncIterator[LetterSummary]:
        for stream in self._keys:
            start = "-"
            while page := await self._summaries(stream, "XRANGE", start, "+"):
                for letter in page:
                    yield letter
                start = f"({page[-1].id}"

    async def whole(self) -> AsyncIterator[StoredDeadLetter]:
        """All letters, as in `all`, with the fields of their messages."""
        for stream, keys in self._keys.items():
            start = "-"
            while True:
                reading = self._client.xrange(keys.dead_letters, min=start, count=_PAGE)
                page: Entries = await guarded(self._client, reading)
                if not page:
                    break
                for letter_id, fields in page:
                    yield _stored(stream, letter_id, fields)
                start = f"({page[-1][0]}"

    async def latest(self, limit: int, wanted: Callable[[LetterSummary], bool]) -> list[LetterSummary]:
        found: list[LetterSummary] = []
        for stream in self._keys:
            last, of_stream = "+", list[LetterSummary]()
            for _ in range(_LOOK_BACK // _PAGE):
                page = await self._summaries(stream, "XREVRANGE", last, "-")
                of_stream += filter(wanted, page)
                if len(page) < _PAGE or len(of_stream) >= limit:
                    break
                last = f"({page[-1].id}"
            found += of_stream[:limit]
        return sorted(found, key=lambda letter: letter.time, reverse=True)[:limit]

    async def get(self, letter_id: str) -> StoredDeadLetter | None:
        for stream in self._keys:
            if letter := await self._letter(stream, letter_id):
                return letter
        return None

    async def replay(self, letter: LetterSummary) -> str | None:
        whole = await self._letter(letter.stream, letter.id)
        if whole is None or whole.truncated:
            return None
        fields = {**whole.fields, ORIGIN_FIELD: whole.fields.get(ORIGIN_FIELD) or whole.original_id}
        if len(fields) > _MOST_FIELDS:  # fields that the contract does not know mean nothing
            fields = {name: value for name, value in fields.items() if name in KNOWN_FIELDS}
        flat = [text for pair in fields.items() for text in pair]
        keys = self._keys[letter.stream]
        new_id: str | None = await guarded(
            self._client, self._replay(keys=[keys.dead_letters, keys.stream], args=[letter.id, *flat])
        )
        return new_id

    async def drop(self, letters: Sequence[LetterSummary]) -> int:
        dropped = 0
        for stream, keys in self._keys.items():
            if ids := [letter.id for letter in letters if letter.stream == stream]:
                dropped += int(await guarded(self._client, self._client.xdel(keys.dead_letters, *ids)))
        return dropped

    async def _summaries(self, stream: str, command: str, first: str, last: str) -> list[LetterSummary]:
        call = self._list(keys=[self._keys[stream].dead_letters], args=[command, first, last, _PAGE, "fields"])
        return [
            _summary(stream, letter_id, dict(zip(flat[::2], flat[1::2], strict=True)), int(size))
            for letter_id, flat, size in await guarded(self._client, call)
        ]

    async def _letter(self, stream: str, letter_id: str) -> StoredDeadLetter | None:
        key = self._keys[stream].dead_letters
        entries: Entries = await guarded(self._client, self._client.xrange(key, letter_id, letter_id, count=1))
        return _stored(stream, *entries[0]) if entries else None


def _kind(text: str) -> DeadLetterKind:
    """The kind of a letter. It is unknown if another version wrote none, or one that does not exist here."""
    return DeadLetterKind(text) if text in set(DeadLetterKind) else DeadLetterKind.UNKNOWN


def _stored(stream: str, letter_id: str, fields: Mapping[str, str]) -> StoredDeadLetter:
    summary = _summary(stream, letter_id, fields, len(fields.get("fields", "").encode("utf-8", "replace")))
    try:
        message = json.loads(fields["fields"])
        if not isinstance(message, dict) or not all(isinstance(value, str) for value in message.values()):
            raise ValueError("its fields are no texts by name")
    except (KeyError, ValueError, RecursionError) as error:
        summary, message = _foreign(stream, letter_id, summary.size, error), dict(fields)
    return StoredDeadLetter(**asdict(summary), fields=message)


def _summary(stream: str, letter_id: str, fields: Mapping[str, str], size: int) -> LetterSummary:
    try:
        if "fields" not in fields:
            raise KeyError("fields")
        return LetterSummary(
            stream=stream,
            id=letter_id,
            kind=_kind(fields.get("kind", "")),
            reason=fields["reason"],
            public_reason=fields.get("publicReason", _NOT_PUBLIC),
            user_id=fields.get("userId", ""),
            original_id=fields["originalId"],
            deliveries=int(fields["deliveryCount"]),
            time=float(fields["time"]),
            truncated=fields["truncated"] == "true",
            size=size,
        )
    except (KeyError, ValueError) as error:
        return _foreign(stream, letter_id, size, error)


def _foreign(stream: str, letter_id: str, size: int, error: Exception) -> LetterSummary:
    """What somebody else has put among the letters is one that cannot be replayed."""
    reason = f"{_NOT_OURS}: {type(error).__name__} {error}"
    time = int(letter_id.partition("-")[0]) / 1000
    return LetterSummary(
        stream, letter_id, DeadLetterKind.UNKNOWN, reason, _NOT_OURS, "", letter_id, 0, time, True, size
    )
