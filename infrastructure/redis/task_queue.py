"""The list of commands, who runs them, and the channel on which is told what becomes of them."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import uuid4

from redis.asyncio import Redis

from infrastructure.redis import scripts
from infrastructure.redis.client import guarded, translated_errors
from infrastructure.redis.keys import TaskQueueKeys

TASKS = ("ping", "reload_patterns", "replay_dead_letters", "reclassify", "rebuild_leaderboard")
LEASE_SECONDS = 10.0
_REMEMBERED_SECONDS = 86_400


class Turn(NamedTuple):
    """Whether commands are this object's to run, the version of the patterns, and a command that was left behind."""

    ours: bool
    patterns: str
    left_behind: str | None


class RedisTaskQueue:
    """Methods raise RedisOutage. A command is text, as it was sent; bytes that are no UTF-8 are surrogates."""

    def __init__(self, client: Redis, keys: TaskQueueKeys, channel: str) -> None:
        self._client = client
        self._keys = keys
        self._channel = channel
        self._name = uuid4().hex  # two processes may have the same INSTANCE_ID
        self._turn = client.register_script(scripts.TAKE_TURN)
        self._send_once = client.register_script(scripts.SEND_ONCE)

    async def turn(self) -> Turn:
        """Takes the lease for LEASE_SECONDS, or renews it, unless somebody else has it."""
        keys = [self._keys.lease, self._keys.processing, self._keys.patterns]
        call = self._turn(keys=keys, args=[self._name, int(LEASE_SECONDS * 1000)])
        turn = scripts.named(await guarded(self._client, call))
        return Turn(bool(turn["ours"]), turn["patterns"], turn["left_behind"])

    async def take(self, seconds: int) -> str | None:
        """The next command, which stays among those being run until `finished`; waits up to `seconds` for it."""
        moving = self._client.blmove(self._keys.commands, self._keys.processing, seconds, "LEFT", "RIGHT")
        taken: str | None = await guarded(self._client, moving)
        return taken

    async def finished(self, command: str) -> None:
        await guarded(self._client, self._client.lrem(self._keys.processing, 1, command))

    async def send(self, command: str) -> None:
        await guarded(self._client, self._client.rpush(self._keys.commands, command))

    async def send_once(self, command_id: str, command: str) -> bool:
        """Sends it unless one with this id was sent in this way within a day."""
        keys = [self._keys.commands, self._keys.sent(command_id)]
        return bool(await guarded(self._client, self._send_once(keys=keys, args=[command, _REMEMBERED_SECONDS])))

    async def patterns_changed(self) -> None:
        """Makes every instance load the patterns within a second or so."""
        await guarded(self._client, self._client.incr(self._keys.patterns))

    async def tell(self, status: Mapping[str, Any]) -> None:
        await guarded(self._client, self._client.publish(self._channel, json.dumps(status)))

    @asynccontextmanager
    async def told(self) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """What is told from now on."""
        with translated_errors():
            await self._client.initialize()  # a cluster's client has to know a node before it can listen
        async with self._client.pubsub(ignore_subscribe_messages=True) as channel:
            with translated_errors():
                await channel.subscribe(self._channel)
            yield self._messages(channel)

    async def _messages(self, channel: Any) -> AsyncIterator[dict[str, Any]]:
        while True:
            with translated_errors():
                message = await channel.get_message(timeout=1.0)
            if message is not None:
                yield json.loads(message["data"])
