"""The dead-letter streams: listing letters, putting their messages back, and dropping them."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from redis.asyncio import Redis

from domains.operations.model import StoredDeadLetter
from domains.pomodoro.model import DeadLetterKind
from infrastructure.redis import scripts
from infrastructure.redis.client import Entries, guarded
from infrastructure.redis.keys import StreamKeys
from infrastructure.spring.message_parser import KNOWN_FIELDS, ORIGIN_FIELD

_PAGE = 16
"""Letters a call: with all of them as large as messages may be, some MiB."""
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
        self._replay = client.register_script(scripts.REPLAY_LETTER)

    async def all(self) -> AsyncIterator[StoredDeadLetter]:
        for stream in self._keys:
            start = "-"
            while page := await self._page(stream, start, "+", _PAGE):
                for letter in page:
                    yield letter
                start = f"({page[-1].id}"

    async def latest(self, limit: int, wanted: Callable[[StoredDeadLetter], bool]) -> list[StoredDeadLetter]:
        found: list[StoredDeadLetter] = []
        for stream, keys in self._keys.items():
            last, of_stream = "+", list[StoredDeadLetter]()
            for _ in range(_LOOK_BACK // _PAGE):
                call = self._client.xrevrange(keys.dead_letters, max=last, count=_PAGE)
                page = [_stored(stream, *entry) for entry in await guarded(self._client, call)]
                of_stream += filter(wanted, page)
                if len(page) < _PAGE or len(of_stream) >= limit:
                    break
                last = f"({page[-1].id}"
            found += of_stream[:limit]
        return sorted(found, key=lambda letter: letter.time, reverse=True)[:limit]

    async def get(self, letter_id: str) -> StoredDeadLetter | None:
        for stream in self._keys:
            if found := await self._page(stream, letter_id, letter_id, 1):
                return found[0]
        return None

    async def replay(self, letter: StoredDeadLetter) -> str | None:
        fields = {**letter.fields, ORIGIN_FIELD: letter.fields.get(ORIGIN_FIELD) or letter.original_id}
        if len(fields) > _MOST_FIELDS:  # fields that the contract does not know mean nothing
            fields = {name: value for name, value in fields.items() if name in KNOWN_FIELDS}
        flat = [text for pair in fields.items() for text in pair]
        keys = self._keys[letter.stream]
        new_id: str | None = await guarded(
            self._client, self._replay(keys=[keys.dead_letters, keys.stream], args=[letter.id, *flat])
        )
        return new_id

    async def drop(self, letters: Sequence[StoredDeadLetter]) -> int:
        dropped = 0
        for stream, keys in self._keys.items():
            if ids := [letter.id for letter in letters if letter.stream == stream]:
                dropped += int(await guarded(self._client, self._client.xdel(keys.dead_letters, *ids)))
        return dropped

    async def _page(self, stream: str, first: str, last: str, count: int) -> list[StoredDeadLetter]:
        key = self._keys[stream].dead_letters
        entries: Entries = await guarded(self._client, self._client.xrange(key, min=first, max=last, count=count))
        return [_stored(stream, letter_id, fields) for letter_id, fields in entries]


def _kind(text: str) -> DeadLetterKind:
    """The kind of a letter. It is unknown if another version wrote none, or one that does not exist here."""
    return DeadLetterKind(text) if text in set(DeadLetterKind) else DeadLetterKind.UNKNOWN


def _stored(stream: str, letter_id: str, fields: Mapping[str, str]) -> StoredDeadLetter:
    """A letter. What somebody else has put among them is one that cannot be replayed."""
    try:
        return _letter_of(stream, letter_id, fields)
    except (KeyError, ValueError, TypeError) as error:
        reason = f"not a dead letter of the pipeline: {type(error).__name__} {error}"
        time = int(letter_id.partition("-")[0]) / 1000
        return StoredDeadLetter(
            stream, letter_id, DeadLetterKind.UNKNOWN, reason, _NOT_OURS, letter_id, 0, time, True, dict(fields)
        )


def _letter_of(stream: str, letter_id: str, fields: Mapping[str, str]) -> StoredDeadLetter:
    message = json.loads(fields["fields"])
    if not isinstance(message, dict) or not all(isinstance(value, str) for value in message.values()):
        raise ValueError("its fields are no texts by name")
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
        fields=message,
    )
