"""The suite's own access to Redis: publisher, Spring's reader and others.

It bypasses all faults but a dead server.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from zlib import crc32

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from infrastructure.redis.keys import StreamKeys, TaskQueueKeys
from tests.chaos.model import Published, Session
from tests.chaos.report import Report

STREAM = "pomodoro_pattern_match_stream"
GROUP = "pomodoro_pattern_match_group"
EVENTS = "session_score_stream"
AUDIT_GROUP = "audit"
COMMANDS = "pomocore:commands"
ERRORS = (RedisError, RedisClusterException, OSError, AttributeError, RuntimeError)
"""Exceptions of a call while a server is away.

The last two come from redis-py's cluster client, which closes connections
that another task has just begun to use."""

_PUBLISH = """
local ids = {}
for i = 1, #ARGV do
  local message = cjson.decode(ARGV[i])
  local id = redis.call('HGET', KEYS[2], message[1])
  if not id then
    id = redis.call('XADD', KEYS[1], '*', unpack(message[2]))
    redis.call('HSET', KEYS[2], message[1], id)
  end
  ids[i] = id
end
return ids
"""
"""Publishes a message once, however often it is sent: after a lost reply, nobody knows whether it was published."""

T = TypeVar("T")


def streams_of(partitions: int, clustered: bool) -> list[StreamKeys]:
    names = [STREAM] if partitions == 1 else [f"{STREAM}:{number}" for number in range(partitions)]
    return [StreamKeys(name, clustered=clustered) for name in names]


def make_client(port: int) -> Redis:
    return Redis(
        host="127.0.0.1",
        port=port,
        decode_responses=True,
        encoding_errors="surrogateescape",
        socket_timeout=10,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


async def insist(call: Callable[[], Awaitable[T]], seconds: float = 60) -> T:
    """Repeats an idempotent call while the server is down or loading, for at most a minute."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await call()
        except ERRORS:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.05)


async def publish(client: Redis, streams: Sequence[StreamKeys], messages: Sequence[Published]) -> None:
    """Publishes each message on its user's partition: the CRC-32 of the id modulo the number of partitions."""
    script = client.register_script(_PUBLISH)
    shares: defaultdict[int, list[str]] = defaultdict(list)
    for message in messages:
        flat = [text for pair in message.fields.items() for text in pair]
        partition = crc32(message.fields.get("userId", "").encode()) % len(streams)
        shares[partition].append(json.dumps([str(message.number), flat]))
    for partition, share in shares.items():
        stream = streams[partition].stream
        await insist(lambda: script(keys=[stream, ledger(stream)], args=share))  # noqa: B023


def ledger(stream: str) -> str:
    """HASH in the slot of `stream`: the entry id of each message that was published, by its number."""
    return f"chaos:published:{{{stream}}}"


async def published_ids(client: Redis, streams: Sequence[StreamKeys]) -> dict[str, str]:
    ledgers = [await client.hgetall(ledger(keys.stream)) for keys in streams]
    return {number: entry_id for ids in ledgers for number, entry_id in ids.items()}


async def read_and_die(client: Redis, stream: str, name: str, count: int) -> int:
    """A foreign consumer that reads messages and never acknowledges them."""
    try:
        reply: Any = await client.xreadgroup(GROUP, name, {stream: ">"}, count=count)
    except ERRORS:
        return 0
    return sum(len(entries) for _, entries in reply)


async def backlog(client: Redis, streams: Sequence[StreamKeys]) -> str | None:
    """What is left to be done; None if nothing is.

    Done means that all entries are acknowledged, the outboxes are empty, and no message waits for its category.
    """
    left = [await _backlog(client, keys) for keys in streams]
    return "; ".join(filter(None, left)) or None


async def _backlog(client: Redis, keys: StreamKeys) -> str | None:
    info: Any = await client.xinfo_stream(keys.stream)
    outgoing, deferred = await client.xlen(keys.outbox), await client.xlen(keys.deferred)
    for group in await client.xinfo_groups(keys.stream):
        if group["name"] == GROUP:
            delivered = group["last-delivered-id"] == info["last-generated-id"]
            if delivered and not group["pending"] and not outgoing and not deferred:
                return None
            found = f"{group['pending']} entries are pending; all delivered: {delivered}"
            return f"{keys.stream}: {found}; {outgoing} in the outbox, {deferred} deferred"
    return f"{keys.stream}: there is no group"


async def deferred_ever(client: Redis, streams: Sequence[StreamKeys]) -> int:
    """How many messages the LLM did not answer in time, if the server can tell (Redis 7.0 or later)."""
    known = [await client.xinfo_stream(keys.deferred) for keys in streams if await client.exists(keys.deferred)]
    return sum(info.get("entries-added", 0) for info in known)


async def unfinished(client: Redis, streams: Sequence[StreamKeys], clustered: bool) -> str | None:
    """What is left of commands, and of messages that may still move from board to board; None: nothing."""
    keys = TaskQueueKeys(COMMANDS, clustered=clustered)
    commands = await client.llen(keys.commands) + await client.llen(keys.processing)
    deferred = sum([await client.xlen(each.deferred) for each in streams])
    return f"{commands} commands are left, {deferred} messages deferred" if commands or deferred else None


class SpringReader:
    """Reads session events as they come, and lets `judge` check at once what Spring would score."""

    def __init__(self, client: Redis, judge: Callable[[Session], Awaitable[str | None]], report: Report) -> None:
        self.client = client
        self._judge = judge
        self._report = report
        self.seen: list[Session] = []

    async def run(self, stop: asyncio.Event) -> None:
        last = "0"
        while not stop.is_set():
            try:
                reply: Any = await self.client.xread({EVENTS: last}, count=100, block=200)
            except ERRORS:
                await asyncio.sleep(0.05)
                continue
            for _, entries in reply:
                for entry_id, fields in entries:
                    last = entry_id
                    await self._take(entry_id, fields)

    async def _take(self, entry_id: str, fields: dict[str, str]) -> None:
        if set(fields) != {"userId", "sessionDate", "session"}:
            self._report.diverged(f"event {entry_id} has the fields {fields}")
            return
        session = Session(fields["userId"], fields["sessionDate"], fields["session"])
        self.seen.append(session)
        if fault := await self._judge(session):
            self._report.diverged(f"event {entry_id} of {session}: {fault}")
