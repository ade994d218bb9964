"""The activity stream, read through its consumer group."""

from collections.abc import Collection
from typing import Any

from redis.asyncio import Redis
from redis.client import NEVER_DECODE
from redis.exceptions import ResponseError

from domains.kernel.errors import RedisOutage
from domains.pomodoro.model import DeadLetter, ReadBatch, StreamState
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import StreamKeys
from infrastructure.spring.columns import ColumnParser
from infrastructure.spring.message_parser import MessageParser

_RawEntries = list[tuple[bytes, list[bytes] | None]]
"""Ids with a flat list of fields and values; None if the entry is no longer in the stream."""


_UNDECODED = {NEVER_DECODE: True}
_UNREAD_EVENTS = 1_000_000
"""How many events of ended sessions are kept as long as no group reads them."""


class RedisStreamConsumer:
    """MessageSourcePort on a Redis stream.

    `client` is used only for reading, and waits longer for a reply than a read may block. Its replies are raw, in the
    shape of either protocol, and in bytes: dictionaries and texts would cost more than parsing the messages.
    `claim_idle_ms` and `gone_after_ms` say when an entry and a consumer count as abandoned. The `ignored_groups` hold
    back no trimming.
    """

    def __init__(
        self,
        client: Redis,
        parser: MessageParser,
        keys: StreamKeys,
        group: str,
        consumer: str,
        claim_idle_ms: int,
        gone_after_ms: int,
        trim: bool,
        ignored_groups: Collection[str] = (),
    ) -> None:
        self._client = client
        self._parser = ColumnParser(parser)
        self._stream = keys.stream
        self._tidy_keys = [keys.stream, keys.rebuild]
        self._group = group
        self._consumer = consumer
        self._claim_idle_ms = claim_idle_ms
        self._tidy_arguments: list[str | int] = [group, consumer, gone_after_ms, int(trim), *ignored_groups]
        self._tidy = client.register_script(scripts.TIDY)
        self._trim_events = client.register_script(scripts.TRIM_EVENTS)
        self._events = keys.session_scores if trim else None
        self._event_arguments: list[str | int] = [_UNREAD_EVENTS, *ignored_groups]
        self._leave = client.register_script(scripts.LEAVE)
        self._claim_cursor = "0-0"
        for command in ("XREADGROUP", "XAUTOCLAIM"):
            client.set_response_callback(command, _raw)

    async def ensure_group(self) -> None:
        """Looks first: a full Redis refuses to make a group, also one that is there."""
        if await self._group_exists():
            return
        created = self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        try:
            await guarded(self._client, created)
        except RedisOutage as error:
            if not isinstance(error.__cause__, ResponseError) or not str(error.__cause__).startswith("BUSYGROUP"):
                raise

    async def _group_exists(self) -> bool:
        try:
            groups = await guarded(self._client, self._client.xinfo_groups(self._stream))
        except RedisOutage as error:
            if isinstance(error.__cause__, ResponseError):  # no such stream, or XINFO is not allowed
                return False
            raise
        return any(group["name"] == self._group for group in groups)

    async def read_new(self, limit: int, block_ms: int) -> ReadBatch:
        return await self._read(">", "COUNT", limit, "BLOCK", block_ms)

    async def read_pending(self, after: str, limit: int) -> ReadBatch:
        return await self._read(after, "COUNT", limit)

    async def claim_abandoned(self, limit: int, exclude: Collection[str]) -> ReadBatch:
        next_cursor, claimed, *_ = await self._command(
            "XAUTOCLAIM",
            self._stream,
            self._group,
            self._consumer,
            self._claim_idle_ms,
            self._claim_cursor,
            "COUNT",
            limit,
        )
        cursor = self._claim_cursor = next_cursor.decode()
        if None in claimed:  # 6.2: deleted from the stream but now pending here; 7.0 removes them by itself
            await self._forget_deleted()
        batch = await self._batch([entry for entry in claimed if entry and entry[0].decode() not in exclude])
        batch.cursor = "" if cursor == "0-0" else cursor
        return batch

    async def tidy(self) -> StreamState:
        reply = await guarded(self._client, self._tidy(keys=self._tidy_keys, args=self._tidy_arguments))
        if self._events is not None:
            await guarded(self._client, self._trim_events(keys=[self._events], args=self._event_arguments))
        return StreamState(**scripts.named(reply))

    async def leave(self) -> int:
        arguments: list[str | int] = [self._group, self._consumer, self._claim_idle_ms * 10]
        return int(await guarded(self._client, self._leave(keys=[self._stream], args=arguments)))

    async def _read(self, start: str, *options: str | int) -> ReadBatch:
        reply = await self._command(
            "XREADGROUP", "GROUP", self._group, self._consumer, *options, "STREAMS", self._stream, start
        )
        return await self._batch(_entries(reply))

    async def _batch(self, entries: _RawEntries) -> ReadBatch:
        there = entries
        deleted = [entry_id for entry_id, flat in entries if flat is None]
        if deleted:  # pending but no longer in the stream, so there is nothing to process
            await guarded(self._client, self._client.xack(self._stream, self._group, *deleted))
            there = [entry for entry in entries if entry[1] is not None]
        parsed = self._parser.parse(there)  # type: ignore[arg-type]  # none of them is None
        rejected = [item for item in parsed if isinstance(item, DeadLetter)]
        messages = [item for item in parsed if not isinstance(item, DeadLetter)] if rejected else parsed
        return ReadBatch(messages, rejected, entries[-1][0].decode() if entries else "")  # type: ignore[arg-type]

    async def _forget_deleted(self) -> None:
        """Reads the own pending list and acknowledges its deleted entries, which have only their ids."""
        after = "0"
        while after:
            after = (await self.read_pending(after, 1000)).cursor

    async def _command(self, *arguments: str | int) -> Any:
        reading = self._client.execute_command(*arguments, **_UNDECODED)  # type: ignore[no-untyped-call]
        return await guarded(self._client, reading)


def _entries(reply: Any) -> _RawEntries:
    """The entries of the one requested stream. RESP3 replies with a map, RESP2 with pairs."""
    if not reply:
        return []
    (_, entries), *_ = reply.items() if isinstance(reply, dict) else reply
    return entries  # type: ignore[no-any-return]


def _raw(response: object, **_: object) -> object:
    return response
