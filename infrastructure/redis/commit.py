"""The commit of a batch as one call of `commit.lua`, in which the guarantee lies."""

import asyncio
import json
from binascii import unhexlify
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from time import time
from typing import NamedTuple

from msgspec import msgpack
from redis.asyncio import Redis

from domains.leaderboard.model import LeaderboardEntry
from domains.pomodoro.model import Commit, CommitResult, DeadLetter, Session
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.deferred import record_of
from infrastructure.redis.keys import StreamKeys, session_name

_DEFERRING_SECONDS = 120
"""Longer than it takes to write and commit, unless the instance has died: then its messages are deferred anew."""
_NO_LOG = "0" * 24
_USER_ID_CHARACTERS = 500
"""Of a letter's summary; a message may come with any."""


class CommitLimits(NamedTuple):
    """`dead_letters_max` bounds the dead-letter stream, `deferred_max` the records of deferred messages (both
    approximately): the oldest go first. For `remember_days` it is remembered which logs were counted; 0: not at all.
    What archived boards would get, if `is_archived` (board, Unix time) is given, is kept for replay. Up to
    `events_max` postings wait for the exporter; 0: nothing is posted.
    """

    dead_letters_max: int
    deferred_max: int
    remember_days: int
    is_archived: Callable[[str, float], bool] | None = None
    events_max: int = 0


class RedisCommit:
    """CommitPort where one script reaches all keys: on a single node, or with a prefix that puts them in one slot.

    `consumer` gets back what cannot be committed after all.

    One script at a time: Redis runs them one by one anyway, and it answers a read that came among several only when
    it is through with all of them; until then nothing new could be parsed.
    """

    with_outbox = False

    def __init__(
        self,
        client: Redis,
        keys: StreamKeys,
        group: str,
        consumer: str,
        limits: CommitLimits,
    ) -> None:
        self._client = client
        self._script = client.register_script(scripts.COMMIT)
        self._mark_script = client.register_script(scripts.MARK_DEFERRING)
        self._keys = [
            keys.stream,
            keys.ends,
            keys.dead_letters,
            keys.failed_scores,
            keys.deferred,
            keys.deferred_sessions,
            keys.rebuild,
        ]
        self._events_max = limits.events_max
        if self._events_max:
            self._keys += [keys.events, keys.events_state]
        if self.with_outbox:
            self._keys.append(keys.outbox)
        self._one_at_a_time = asyncio.Lock()
        self._is_archived = limits.is_archived
        self._remember = limits.remember_days > 0
        self._counted = keys.counted
        self._deferred_sessions = keys.deferred_sessions
        self._settings: list[str | int] = [
            group,
            consumer,
            limits.dead_letters_max,
            limits.deferred_max,
            limits.remember_days * 86_400,
            keys.counted,
        ]

    async def commit(self, commit: Commit) -> CommitResult:
        logs = _logs(commit.entries) if self._remember else []
        packed = unhexlify("".join([log_id or _NO_LOG for log_id in logs]))
        arguments = [*self._settings, _payload(commit, _days(logs), self._is_archived), packed]
        if self._events_max:
            arguments += [self._events_max, *_postings(commit)]
        async with self._one_at_a_time:
            reply = await guarded(self._client, self._script(keys=self._keys, args=arguments))
        return CommitResult(**scripts.named(reply))

    async def deferring(self, messages: Mapping[str, Session]) -> None:
        marks = msgpack.encode([(session_name(session), entry_id) for entry_id, session in messages.items()])
        call = self._mark_script(keys=[self._deferred_sessions], args=[_DEFERRING_SECONDS, marks])
        await guarded(self._client, call)

    async def counted(self, log_ids: Collection[str]) -> set[str]:
        if not self._remember:
            return set()
        return await counted_logs(self._client, self._counted, log_ids)


async def counted_logs(client: Redis, prefix: str, log_ids: Iterable[str]) -> set[str]:
    """Those of the logs that were counted; `prefix` is that of the sets (see StreamKeys.counted)."""
    days: dict[int, list[str]] = {}
    for log_id in log_ids:
        days.setdefault(_day_of(log_id), []).append(log_id)
    found: set[str] = set()
    for day, ids in days.items():
        members = [unhexlify(log_id) for log_id in ids]
        known = await guarded(client, client.smismember(f"{prefix}{day}", members))
        found |= {log_id for log_id, is_known in zip(ids, known, strict=True) if is_known}
    return found


def _postings(commit: Commit) -> tuple[bytes, bytes]:
    """The postings of the messages in the order of the payload's `ids`, and those of the moves; empty for none."""
    spans = [commit.postings[id_] for entry in commit.entries for id_ in entry.message_ids] if commit.postings else []
    moves = [move.postings for move in commit.moves]
    return msgpack.encode(spans) if spans else b"", msgpack.encode(moves) if any(moves) else b""


def _logs(entries: Iterable[LeaderboardEntry]) -> list[str | None]:
    """The ids of the messages' logs; empty if none has one."""
    ids = chain.from_iterable(entry.log_ids or [None] * len(entry.message_ids) for entry in entries)
    logs = list(ids)
    return logs if any(logs) else []


def _days(logs: Sequence[str | None]) -> int | list[int]:
    """The day of each log since 1970, or that of all: they are mostly the same."""
    given = list(filter(None, logs))
    if not given or _day_of(min(given)) == _day_of(max(given)):
        return _day_of(given[0]) if given else 0
    return [_day_of(log_id or _NO_LOG) for log_id in logs]


def _day_of(log_id: str) -> int:
    return int(log_id[:8], 16) // 86_400


def _payload(commit: Commit, days: int | list[int], is_archived: Callable[[str, float], bool] | None = None) -> bytes:
    """The commit as `commit.lua` describes it; every board's key and every set of boards stand in it once."""
    boards: dict[str, int] = {}
    sets: dict[tuple[str, ...], int] = {}
    entries = commit.entries

    def indexes(keys: Iterable[str]) -> list[int]:
        return [boards.setdefault(key, len(boards)) for key in keys]

    raises = [sets.setdefault(entry.boards, len(sets)) for entry in entries]
    moves = [
        (
            move.deferred_id,
            session_name(move.session) if move.session else "",
            move.user_id,
            move.seconds,
            indexes(move.from_boards),
            indexes(move.to_boards),
        )
        for move in commit.moves
    ]
    ends = [(end.entry_id, *_spelled(end.session)) for end in commit.ends]
    ends += [(letter.entry_id, *_spelled(letter.ends)) for letter in commit.dead_letters if letter.ends]
    return msgpack.encode(
        {
            "sets": list(map(indexes, sets)),
            "boards": list(boards),
            "archived": [index for board, index in boards.items() if is_archived and is_archived(board, time())],
            "users": [entry.user_id for entry in entries],
            "raises": raises,
            "counts": [len(entry.message_ids) for entry in entries],
            "ids": list(chain.from_iterable([entry.message_ids for entry in entries])),
            "days": days,
            "seconds": list(chain.from_iterable([entry.durations for entry in entries])),
            "ends": ends,
            "letters": [(letter.entry_id, _fields_of(letter)) for letter in commit.dead_letters],
            "deferred": [
                (message.id, session_name(message.session) if message.session else "", record_of(message))
                for message in commit.deferred
            ],
            "moves": moves,
        }
    )


def _spelled(session: Session) -> tuple[str, str, str]:
    return session.user_id, session.session_date.isoformat(), str(session.number)


def _fields_of(letter: DeadLetter) -> list[str]:
    fields = {
        "kind": letter.kind,
        "reason": letter.reason,
        "publicReason": letter.public_reason,
        "originalId": letter.entry_id,
        "deliveryCount": str(letter.deliveries),
        "time": f"{time():.3f}",
        "truncated": "true" if letter.truncated else "false",
        "userId": letter.fields.get("userId", "")[:_USER_ID_CHARACTERS].encode("utf-8", "replace").decode(),
        "fields": fields_to_json(letter.fields),
    }
    return [text for pair in fields.items() for text in pair]


def fields_to_json(fields: Mapping[str, str]) -> str:
    """Readable JSON; in ASCII with escapes where some bytes are no UTF-8, so that these survive as surrogates."""
    fields = dict(fields)
    text = json.dumps(fields, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(fields)
    return text
