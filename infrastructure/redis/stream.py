"""The activity stream, read through its consumer group."""

from collections.abc import Collection
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domains.pomodoro.model import DeadLetter, ReadBatch
from infrastructure.redis.client import translated_errors
from infrastructure.wire import MessageParser


class RedisStreamConsumer:
    """MessageSourcePort on a Redis stream.

    `client` is for reading alone and waits longer for a reply than a read may block. It gets the replies raw, in
    the shape of either protocol: building redis-py's dictionaries costs more than parsing the messages.
    """

    def __init__(
        self, client: Redis, parser: MessageParser, stream: str, group: str, consumer: str, claim_idle_ms: int
    ) -> None:
        self._client = client
        self._parser = parser
        self._stream = stream
        self._group = group
        self._consumer = consumer
        self._claim_idle_ms = claim_idle_ms
        self._claim_cursor = "0-0"
        for command in ("XREADGROUP", "XAUTOCLAIM"):
            client.set_response_callback(command, _raw)

    async def ensure_group(self) -> None:
        with translated_errors():
            try:
                await self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    async def read_new(self, limit: int, block_ms: int) -> ReadBatch:
        return await self._read(">", "COUNT", limit, "BLOCK", block_ms)

    async def read_pending(self, after: str, limit: int) -> ReadBatch:
        return await self._read(after, "COUNT", limit)

    async def claim_abandoned(self, limit: int, exclude: Collection[str]) -> ReadBatch:
        with translated_errors():
            reply: Any = await self._client.execute_command(  # type: ignore[no-untyped-call]
                "XAUTOCLAIM",
                self._stream,
                self._group,
                self._consumer,
                self._claim_idle_ms,
                self._claim_cursor,
                "COUNT",
                limit,
            )
        self._claim_cursor = reply[0]
        # 6.2 answers with nil for an entry that was deleted meanwhile, 7.0 removes it from the pending list itself
        entries = [entry for entry in reply[1] if entry and entry[0] not in exclude]
        batch = await self._batch(entries)
        batch.cursor = "" if reply[0] == "0-0" else reply[0]
        return batch

    async def _read(self, start: str, *options: str | int) -> ReadBatch:
        with translated_errors():
            reply: Any = await self._client.execute_command(  # type: ignore[no-untyped-call]
                "XREADGROUP", "GROUP", self._group, self._consumer, *options, "STREAMS", self._stream, start
            )
        return await self._batch(_entries(reply))

    async def _batch(self, entries: list[Any]) -> ReadBatch:
        batch = ReadBatch(cursor=entries[-1][0] if entries else "")
        deleted = []
        for entry_id, flat in entries:
            if flat is None:
                deleted.append(entry_id)
                continue
            parsed = self._parser.parse(entry_id, dict(zip(flat[::2], flat[1::2], strict=True)))
            if isinstance(parsed, DeadLetter):
                batch.rejected.append(parsed)
            else:
                batch.messages.append(parsed)
        if deleted:  # pending, but no longer in the stream: there is nothing left to process
            with translated_errors():
                await self._client.xack(self._stream, self._group, *deleted)
        return batch


def _entries(reply: Any) -> list[Any]:
    """The entries of the one stream that was asked for; RESP3 answers with a map, RESP2 with pairs."""
    if not reply:
        return []
    (_, entries), *_ = reply.items() if isinstance(reply, dict) else reply
    return entries  # type: ignore[no-any-return]


def _raw(response: Any, **_: Any) -> Any:
    return response
