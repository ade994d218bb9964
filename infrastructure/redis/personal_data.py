"""What Redis has of a user: entries of streams, members of other keys, and postings that wait to be exported."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

from msgspec import MsgspecError, msgpack
from redis.asyncio import Redis

from domains.kernel.errors import RedisOutage
from domains.userData.model import PersonalItem
from infrastructure.redis import scripts
from infrastructure.redis.client import Entries, guarded
from infrastructure.redis.event_outbox import entry_of
from infrastructure.redis.keys import AUDIT, CARD_USERS, CardRunKeys, StreamKeys, WorkQueueKeys

_PAGE = 500
_REWRITE_SECONDS = 60.0
_OF_SPRING = ("sessionCount", "sessionScore")
"""Boards that Spring keeps by itself. Source: contract."""

Fields = Mapping[str, str]


class _Stream(NamedTuple):
    """A stream, and whether an entry of it is about a user. Entries that are `kept` go by themselves later."""

    place: str
    key: str
    is_about: Callable[[Fields, str], bool]
    is_kept: bool = False


class _Members(NamedTuple):
    """A ZSET or HASH, or all with names that match a glob, and whose a member (a field) is."""

    place: str
    kind: str
    keys: str
    user_of: Callable[[str], str | None]
    is_glob: bool = False


class RedisPersonalData:
    """PersonalDataPort. `partitions` and `queues` are all streams of messages and of jobs.

    `settle` brings scores that are on their way to the boards there.
    """

    def __init__(
        self,
        client: Redis,
        partitions: Sequence[StreamKeys],
        queues: Sequence[WorkQueueKeys],
        prefix: str,
        settle: Callable[[], Awaitable[object]],
    ) -> None:
        self._settle = settle
        self._client = client
        self._partitions = partitions
        self._prefix = prefix
        self._streams = [*_streams(partitions, queues, prefix)]
        self._members = [*_members(partitions, prefix)]
        self._drop = client.register_script(scripts.DROP_POSTINGS)

    async def of_user(self, user_id: str) -> AsyncIterator[PersonalItem]:
        for stream in self._streams:
            async for entry_id, fields in self._entries(stream, user_id):
                yield PersonalItem(stream.place, {"key": stream.key, "id": entry_id, "fields": fields})
        for members in self._members:
            async for key, member, value in self._found(members, user_id):
                is_ours = members.place != "boards" or not self._is_of_spring(key)
                data = {"key": key, "member": _readable(member), "value": value}
                yield PersonalItem(members.place, data, is_ours)
        for key in await self._marks(user_id):
            yield PersonalItem("sessions under way", {"key": key})
        async for keys, entry_id, postings, _ in self._postings(user_id):
            for posting in postings:
                yield PersonalItem("events that wait", {"key": keys.events, "id": entry_id, **posting})

    async def erase(self, user_id: str) -> Counter[str]:
        erased = Counter[str]()
        for stream in self._streams:
            if not stream.is_kept:
                ids = [entry_id async for entry_id, _ in self._entries(stream, user_id)]
                erased[stream.place] += await self._drop_entries(stream.key, ids)
        for keys in self._partitions:  # a rebuild of boards that is under way may have read what is gone now
            erased["a rebuild of boards"] += await self._delete_if_about(keys.rebuild, user_id)
        await self._settle()
        for members in self._members:
            found = [(key, member) async for key, member, _ in self._found(members, user_id)]
            for key, member in found:
                if members.place != "boards" or not self._is_of_spring(key):
                    remove = self._client.zrem if members.kind == "zset" else self._client.hdel
                    erased[members.place] += int(await guarded(self._client, remove(key, member)))
        for key in await self._marks(user_id):
            erased["sessions under way"] += int(await guarded(self._client, self._client.delete(key)))
        async for keys, entry_id, postings, days in self._postings(user_id):
            entries = msgpack.encode([[entry_id, days]])
            call = self._drop(keys=[keys.events, keys.events_state, keys.events_stale], args=[entries])
            erased["events that wait"] += len(postings) * int(await guarded(self._client, call))
        return +erased

    async def _entries(self, stream: _Stream, user_id: str) -> AsyncIterator[tuple[str, Fields]]:
        start = "-"
        while True:
            reading = self._client.xrange(stream.key, min=start, count=_PAGE)
            page: Entries = await guarded(self._client, reading)
            for entry_id, fields in page:
                if stream.is_about(fields, user_id):
                    yield entry_id, {name: _readable(value) for name, value in fields.items()}
            if len(page) < _PAGE:
                return
            start = f"({page[-1][0]}"

    async def _drop_entries(self, stream: str, ids: Sequence[str]) -> int:
        """Acknowledges them first, so that who works on them now commits nothing."""
        if not ids:
            return 0
        with suppress(RedisOutage):  # a stream without groups, or in Redis 6 without entries
            for group in await guarded(self._client, self._client.xinfo_groups(stream)):
                await guarded(self._client, self._client.xack(stream, group["name"], *ids))
        return int(await guarded(self._client, self._client.xdel(stream, *ids)))

    async def _found(self, members: _Members, user_id: str) -> AsyncIterator[tuple[str, str, float | str]]:
        keys = [members.keys]
        if members.is_glob:
            scan = self._client.scan_iter(match=members.keys, count=1000, _type=members.kind)
            keys = sorted({key async for key in _guarded_items(self._client, scan)})
        for key in keys:
            if members.user_of is _itself:
                value = await self._value(members.kind, key, user_id)
                if value is not None:
                    yield key, user_id, value
                continue
            match = f"*{_glob(user_id)}*"
            scan_members = self._client.zscan_iter if members.kind == "zset" else self._client.hscan_iter
            async for found in _guarded_items(self._client, scan_members(key, match=match, count=1000)):
                member, value = found
                if members.user_of(member) == user_id:
                    yield key, member, value

    async def _value(self, kind: str, key: str, member: str) -> float | str | None:
        call = self._client.zscore(key, member) if kind == "zset" else self._client.hget(key, member)
        found: float | str | None = await guarded(self._client, call)
        return found

    async def _marks(self, user_id: str) -> list[str]:
        """Keys of the user's sessions of which messages are being deferred."""
        found: list[str] = []
        for keys in self._partitions:
            head = f"{keys.deferred_sessions}:"
            scan = self._client.scan_iter(match=f"{_glob(head)}{_glob(user_id)}\n*", count=1000)
            names = [key async for key in _guarded_items(self._client, scan)]
            found += [key for key in names if _of_session(key.removeprefix(head)) == user_id]
        return sorted(set(found))

    async def _delete_if_about(self, rebuild: str, user_id: str) -> int:
        """Where a rebuild is under way, it is overtaken: it may hold what the user's logs said."""
        if not await guarded(self._client, self._client.exists(rebuild)):
            return 0
        return int(await guarded(self._client, self._client.delete(rebuild)))

    async def _postings(
        self, user_id: str
    ) -> AsyncIterator[tuple[StreamKeys, str, list[dict[str, object]], list[str]]]:
        """Entries of events with postings of the user: keys, entry, these postings, the days of all postings."""
        for keys in self._partitions:
            start = "-"
            while page := await guarded(self._client, self._client.xrange(keys.events, min=start, count=_PAGE)):
                for entry_id, fields in page:
                    entry = entry_of(entry_id, fields)
                    about = [each._asdict() for each in entry.postings if each.user_id == user_id]
                    if about:
                        yield keys, entry_id, about, sorted({each.day for each in entry.postings})
                start = f"({page[-1][0]}"

    def _is_of_spring(self, board: str) -> bool:
        return re.match(rf"{re.escape(self._prefix)}leaderboard:({'|'.join(_OF_SPRING)})\b", board) is not None


def _streams(partitions: Sequence[StreamKeys], queues: Sequence[WorkQueueKeys], prefix: str) -> Iterator[_Stream]:
    for keys in partitions:
        yield _Stream("messages on the stream", keys.stream, _is_of)
        yield _Stream("dead letters", keys.dead_letters, _is_letter_of)
        yield _Stream("deferred messages", keys.deferred, _is_of)
    for queue in queues:
        if queue.stream.endswith(CARD_USERS):
            yield _Stream("jobs under way", queue.stream, _is_job_of, is_kept=True)
            yield _Stream("dead letters", queue.dead_letters, _is_letter_of)
    for key in dict.fromkeys(keys.session_scores for keys in partitions):
        yield _Stream("session events", key, _is_of)
    yield _Stream("audit", prefix + AUDIT, _is_change_of)


def _members(partitions: Sequence[StreamKeys], prefix: str) -> Iterator[_Members]:
    yield _Members("boards", "zset", f"{_glob(prefix)}leaderboard:*", _itself, is_glob=True)
    for keys in partitions:
        yield _Members("kept scores", "hash", keys.failed_scores, _of_score)
        yield _Members("ended sessions", "zset", keys.ends, _of_end)
        yield _Members("ended sessions", "zset", keys.announced, _of_session)
        yield _Members("sessions under way", "hash", keys.deferred_sessions, _of_session)
        yield _Members("boards", "zset", f"{_glob(keys.rebuild)}:*", _itself, is_glob=True)
    yield _Members("card claims", "zset", f"{_glob(CardRunKeys(prefix).claimed(''))}*", _itself, is_glob=True)


def _is_of(fields: Fields, user_id: str) -> bool:
    return fields.get("userId") == user_id


def _is_letter_of(fields: Fields, user_id: str) -> bool:
    message = _json(fields.get("fields"))
    return _is_of(fields, user_id) or (
        isinstance(message, dict) and (message.get("userId") == user_id or _is_job_of(message, user_id))
    )


def _is_job_of(fields: Mapping[str, Any], user_id: str) -> bool:
    """A job of the focus cards has a chunk of users, in JSON in its own JSON."""
    data = _json(fields.get("data"))
    users = _json(data.get("users")) if isinstance(data, dict) else None
    return isinstance(users, list) and user_id in users


def _is_change_of(fields: Fields, user_id: str) -> bool:
    """Whether an entry of the audit names the user, alone or among others."""
    named = rf"(?<![^\s\"',:/]){re.escape(user_id)}(?![^\s\"',:/])"
    return any(re.search(named, fields.get(name, "")) for name in ("item", "outcome"))


def _itself(member: str) -> str | None:
    return member


def _of_score(member: str) -> str | None:
    return member.partition("\n")[2]


def _of_session(member: str) -> str | None:
    return member.rpartition("\n")[0].rpartition("\n")[0]


def _of_end(member: str) -> str | None:
    with suppress(MsgspecError, UnicodeError, IndexError, TypeError):
        packed = member.encode("utf-8", "surrogateescape").partition(b"|")[2]
        return str(msgpack.decode(packed)[0])
    return None


def _json(text: object) -> Any:
    with suppress(ValueError, RecursionError, TypeError):
        return json.loads(text)  # type: ignore[arg-type]
    return None


def _glob(text: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


def _readable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


async def _guarded_items(client: Redis, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    while True:
        try:
            yield await guarded(client, anext(items))
        except StopAsyncIteration:
            return


async def rewrite_file(client: Redis) -> None:
    """Rewrites the append-only file, which has every change since it was last rewritten. Raises RedisOutage.

    As commands, until the server ends: the binary form has the memory of streams, in which deleted entries are only
    marked as deleted.
    """
    await guarded(client, client.config_set("aof-use-rdb-preamble", "no"))
    await guarded(client, client.bgrewriteaof())
    deadline = monotonic() + _REWRITE_SECONDS
    while monotonic() < deadline:
        state = await guarded(client, client.info("persistence"))
        if not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"]):
            return
        await asyncio.sleep(0.05)
    raise RedisOutage("the append-only file is not rewritten yet")
