"""The suite's own way to Redis, past every fault but the server's own death: publisher, Spring's reader, others."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.chaos.model import Published, Session
from tests.chaos.report import Report

STREAM = "pomodoro_pattern_match_stream"
GROUP = "pomodoro_pattern_match_group"
DEAD_LETTERS = f"{STREAM}:dlq"
FAILED_SCORES = f"{STREAM}:failed_scores"
EVENTS = "session_score_stream"
AUDIT_GROUP = "audit"
LEDGER = "chaos:published"

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
"""Publishes a message once however often it is sent: a reply that dies with the server says nothing."""

T = TypeVar("T")


def make_client(port: int) -> Redis:
    return Redis(
        host="127.0.0.1", port=port, decode_responses=True, socket_timeout=10, retry=Retry(NoBackoff(), 0), protocol=2
    )


async def insist(call: Callable[[], Awaitable[T]], seconds: float = 60) -> T:
    """Repeats what can be repeated while the server is down or loading, for a minute at most."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await call()
        except (RedisError, OSError):
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.05)


async def publish(client: Redis, arguments: Sequence[str]) -> list[str]:
    """The ids of the entries. Each argument is JSON: [number, [field, value, …]]."""
    script = client.register_script(_PUBLISH)
    return await insist(lambda: script(keys=[STREAM, LEDGER], args=arguments))


async def read_and_die(client: Redis, name: str, count: int) -> int:
    """A consumer of somebody else's that takes messages and is never heard of again."""
    try:
        reply: Any = await client.xreadgroup(GROUP, name, {STREAM: ">"}, count=count)
    except (RedisError, OSError):
        return 0
    return sum(len(entries) for _, entries in reply)


async def backlog(client: Redis) -> tuple[int, bool]:
    """(how many entries are pending, whether all were delivered)."""
    info: Any = await client.xinfo_stream(STREAM)
    for group in await client.xinfo_groups(STREAM):
        if group["name"] == GROUP:
            return int(group["pending"]), group["last-delivered-id"] == info["last-generated-id"]
    return 0, False


class SpringReader:
    """Reads the session events while they come and lets `judge` look at once at what Spring would score."""

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
            except (RedisError, OSError):
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


def arguments_of(messages: Sequence[Published]) -> list[str]:
    return [
        json.dumps([str(message.number), [text for pair in message.fields.items() for text in pair]])
        for message in messages
    ]
