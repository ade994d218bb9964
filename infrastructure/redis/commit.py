"""The commit of a batch as one call of `commit.lua`, in which the guarantee lies."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from time import time

from msgspec import msgpack
from redis.asyncio import Redis

from domains.pomodoro.model import Commit, CommitResult, DeadLetter
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.deferred import record_of
from infrastructure.redis.keys import StreamKeys

_ANNOUNCED_SECONDS = 14 * 86_400
"""How long a session is remembered as announced: longer than any redelivery of its end can take."""


class RedisCommit:
    """CommitPort where one script reaches all keys: on a single node, or with a prefix that puts them in one slot.

    `dead_letters_max` bounds the dead-letter stream, `deferred_max` the records of deferred messages (both
    approximately): the oldest go first.

    One script at a time: Redis runs them one by one anyway, and it answers a read that came among several only when
    it is through with all of them; until then nothing new could be parsed.
    """

    with_outbox = False

    def __init__(self, client: Redis, keys: StreamKeys, group: str, dead_letters_max: int, deferred_max: int) -> None:
        self._client = client
        self._script = client.register_script(scripts.COMMIT)
        self._keys = [
            keys.stream,
            keys.ends,
            keys.announced,
            keys.dead_letters,
            keys.failed_scores,
            keys.deferred,
            keys.outbox if self.with_outbox else keys.session_scores,
            keys.rebuild,
        ]
        self._one_at_a_time = asyncio.Lock()
        self._settings: list[str | int] = [group, dead_letters_max, deferred_max, _ANNOUNCED_SECONDS]

    async def commit(self, commit: Commit) -> CommitResult:
        arguments = [*self._settings, _payload(commit), int(self.with_outbox)]
        async with self._one_at_a_time:
            reply = await guarded(self._client, self._script(keys=self._keys, args=arguments))
        return CommitResult(**scripts.named(reply))


def _payload(commit: Commit) -> bytes:
    """The commit as `commit.lua` describes it; every board's key stands in it once."""
    boards: dict[str, int] = {}

    def indexes(keys: Iterable[str]) -> list[int]:
        return [boards.setdefault(key, len(boards)) for key in keys]

    entries = [(entry.user_id, indexes(entry.boards), entry.message_ids, entry.durations) for entry in commit.entries]
    moves = [
        (move.deferred_id, move.user_id, move.seconds, indexes(move.from_boards), indexes(move.to_boards))
        for move in commit.moves
    ]
    ends = [(end.entry_id, end.user_id, end.session_date.isoformat(), str(end.session)) for end in commit.ends]
    letters = [(letter.entry_id, _fields_of(letter)) for letter in commit.dead_letters]
    return msgpack.encode(
        {
            "boards": list(boards),
            "entries": entries,
            "ends": ends,
            "letters": letters,
            "deferred": [(message.id, record_of(message)) for message in commit.deferred],
            "moves": moves,
        }
    )


def _fields_of(letter: DeadLetter) -> list[str]:
    fields = {
        "kind": letter.kind,
        "reason": letter.reason,
        "publicReason": letter.public_reason,
        "originalId": letter.entry_id,
        "deliveryCount": str(letter.deliveries),
        "time": f"{time():.3f}",
        "truncated": "true" if letter.truncated else "false",
        "fields": fields_to_json(letter.fields),
    }
    return [text for pair in fields.items() for text in pair]


def fields_to_json(fields: Mapping[str, str]) -> str:
    """Readable JSON; in ASCII with escapes where some bytes are no UTF-8, so that these survive as surrogates."""
    text = json.dumps(fields, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(fields)
    return text
