"""The dead-letter streams: listing letters, putting their messages back, and dropping them."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import asdict

from redis.asyncio import Redis

from domains.operations.model import Entry, LetterPage, LetterSummary, Outcomes, StoredDeadLetter
from domains.operations.ports import NO_CHANGES
from domains.pomodoro.model import DeadLetterKind
from infrastructure.redis import scripts
from infrastructure.redis.client import Entries, guarded, pipelined
from infrastructure.redis.keys import WORKERS, StreamKeys, WorkQueueKeys
from infrastructure.spring.replayed_message import replayed_fields

_PAGE = 16
"""Letters of a first call: Redis holds all of them whole for a moment."""
_LARGEST_PAGE = 128
_PAGE_BYTES = 1_048_576
"""Of a later call, by the size of those before."""
_LOOK_BACK = 5000
"""How many letters are looked at for those that are wanted."""
_KINDS = {kind.value: kind for kind in DeadLetterKind}
_NOT_OURS = "not a dead letter of the pipeline"
_NOT_PUBLIC = "an earlier version has parked it; its reason is shown with the token"


class RedisDeadLetters:
    """DeadLettersPort."""

    def __init__(self, client: Redis, partitions: Sequence[StreamKeys], group: str) -> None:
        self._client = client
        self._group = group
        self._keys = {keys.stream: keys for keys in partitions}
        self._list = client.register_script(scripts.LETTER_SUMMARIES)
        self._replay = client.register_script(scripts.REPLAY_LETTER)

    @property
    def streams(self) -> Collection[str]:
        return self._keys

    async def all(self) -> AsyncIterator[LetterSummary]:
        for stream in self._keys:
            async for letter in self._walk(stream, "XRANGE", "-", "+"):
                yield letter

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

    async def page(
        self, limit: int, wanted: Callable[[LetterSummary], bool], before: str | None = None
    ) -> LetterPage:
        walks = [
            self._walk(stream, "XREVRANGE", _start(before, position), "-")
            for position, stream in enumerate(self._keys)
        ]
        heads = [(_place(head, n), head) for n, walk in enumerate(walks) if (head := await anext(walk, None))]
        found, looked_at, last = list[LetterSummary](), 0, None
        while heads and len(found) < limit and looked_at < _LOOK_BACK:
            last, letter = max(heads)
            heads.remove((last, letter))
            position, looked_at = last[2], looked_at + 1
            if following := await anext(walks[position], None):
                heads.append((_place(following, position), following))
            if wanted(letter):
                found.append(letter)
        return LetterPage(found, "{}-{}@{}".format(*last) if last and heads else None)

    async def get(self, letter_id: str) -> StoredDeadLetter | None:
        for stream in self._keys:
            if letter := await self._letter(stream, letter_id):
                return letter
        return None

    async def replay(self, letter: LetterSummary, changes: Mapping[str, str | None] = NO_CHANGES) -> str | None:
        whole = await self._letter(letter.stream, letter.id)
        if whole is None or whole.truncated:
            return None
        flat = [text for pair in replayed_fields(whole, changes).items() for text in pair]
        keys = self._keys[letter.stream]
        new_id: str | None = await guarded(
            self._client, self._replay(keys=[keys.dead_letters, keys.stream], args=[letter.id, *flat])
        )
        return new_id

    async def outcomes(self, replayed: Collection[Entry]) -> Outcomes:
        found = dict[Entry, LetterSummary | None]()
        for stream in {entry.stream for entry in replayed}:
            ids = [entry.id for entry in replayed if entry.stream == stream]
            if not (done := await self._acknowledged(self._keys[stream], ids)):
                continue
            found |= {Entry(stream, entry_id): None for entry_id in done}
            first = min(int(entry_id.partition("-")[0]) for entry_id in done)
            async for letter in self._walk(stream, "XRANGE", str(first), "+"):
                if letter.original_id in done:  # it was parked in the step that acknowledged it
                    found[Entry(stream, letter.original_id)] = letter
        return found

    async def _acknowledged(self, keys: StreamKeys, ids: Sequence[str]) -> set[str]:
        """Those that were delivered, and are pending no longer."""
        group = WORKERS if isinstance(keys, WorkQueueKeys) else self._group
        groups = await guarded(self._client, self._client.xinfo_groups(keys.stream))
        delivered = next((it["last-delivered-id"] for it in groups if it["name"] == group), "0-0")
        ids = [entry_id for entry_id in ids if _order(entry_id) <= _order(delivered)]
        async with pipelined(self._client) as pipeline:
            for entry_id in ids:
                pipeline.xpending_range(keys.stream, group, min=entry_id, max=entry_id, count=1)
            pending = await guarded(self._client, pipeline.execute())
        return {entry_id for entry_id, held in zip(ids, pending, strict=True) if not held}

    async def drop(self, letters: Sequence[LetterSummary]) -> int:
        dropped = 0
        for stream, keys in self._keys.items():
            if ids := [letter.id for letter in letters if letter.stream == stream]:
                dropped += int(await guarded(self._client, self._client.xdel(keys.dead_letters, *ids)))
        return dropped

    async def _walk(self, stream: str, command: str, first: str, last: str) -> AsyncGenerator[LetterSummary]:
        """The letters of a stream from `first` to `last`; pages of small letters are larger."""
        count = _PAGE
        while page := await self._summaries(stream, command, first, last, count):
            for letter in page:
                yield letter
            if len(page) < count:
                return
            first = f"({page[-1].id}"
            size = sum(letter.size for letter in page) // len(page) + 1
            count = max(_PAGE, min(_PAGE_BYTES // size, _LARGEST_PAGE))

    async def _summaries(self, stream: str, command: str, first: str, last: str, count: int) -> list[LetterSummary]:
        call = self._list(keys=[self._keys[stream].dead_letters], args=[command, first, last, count, "fields"])
        return [
            _summary(stream, letter_id, dict(zip(flat[::2], flat[1::2], strict=True)), int(size))
            for letter_id, flat, size in await guarded(self._client, call)
        ]

    async def _letter(self, stream: str, letter_id: str) -> StoredDeadLetter | None:
        key = self._keys[stream].dead_letters
        entries: Entries = await guarded(self._client, self._client.xrange(key, letter_id, letter_id, count=1))
        return _stored(stream, *entries[0]) if entries else None


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)


def _place(letter: LetterSummary, position: int) -> tuple[int, int, int]:
    """Its place among the letters of all streams: `position` is its stream's."""
    return *_order(letter.id), position


def _start(cursor: str | None, position: int) -> str:
    """Where the stream at `position` goes on behind a letter, "ID@POSITION OF ITS STREAM"."""
    if cursor is None:
        return "+"
    if not (match := re.fullmatch(r"(\d{1,20}-\d{1,20})@(\d{1,5})", cursor, re.ASCII)):
        raise ValueError(f"{cursor}: not a cursor")
    return match[1] if position < int(match[2]) else f"({match[1]}"


def _kind(text: str) -> DeadLetterKind:
    """The kind of a letter. It is unknown if another version wrote none, or one that does not exist here."""
    return _KINDS.get(text, DeadLetterKind.UNKNOWN)


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
