"""The list of requests for tasks, the lease to run them, and the channel on which their status is published."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from uuid import uuid4

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from domains.kernel.errors import RedisOutage
from domains.operations.model import LEASE_SECONDS, TaskRun, TaskState, TaskStatus, Turn
from domains.operations.service import runs_of
from infrastructure.redis import scripts
from infrastructure.redis.client import Entries, guarded, translated_errors
from infrastructure.redis.keys import TaskQueueKeys

_KEPT = 400
"""Statuses: two of each of the last tasks."""
_LONGEST_KEPT = 4096
_TOO_LONG = {"left_out": "too long to be kept"}


class RedisTaskQueue:
    """TaskQueuePort."""

    def __init__(self, client: Redis, keys: TaskQueueKeys, channel: str) -> None:
        self._client = client
        self._keys = keys
        self._channel = channel
        self._name = uuid4().hex  # two processes may have the same INSTANCE_ID
        self._turn = client.register_script(scripts.TAKE_TURN)
        self._send_scheduled = client.register_script(scripts.SEND_SCHEDULED)

    async def turn(self) -> Turn:
        keys = [self._keys.lease, self._keys.processing, self._keys.patterns]
        call = self._turn(keys=keys, args=[self._name, int(LEASE_SECONDS * 1000)])
        turn = scripts.named(await guarded(self._client, call))
        return Turn(bool(turn["ours"]), turn["patterns"], turn["left_behind"])

    async def take(self, seconds: int) -> str | None:
        moving = self._client.blmove(self._keys.commands, self._keys.processing, seconds, "LEFT", "RIGHT")
        taken: str | None = await guarded(self._client, moving)
        return taken

    async def finished(self, request: str) -> None:
        await guarded(self._client, self._client.lrem(self._keys.processing, 1, request))

    async def send(self, request: str) -> None:
        await guarded(self._client, self._client.rpush(self._keys.commands, request))

    async def unserved(self) -> int:
        waiting = int(await guarded(self._client, self._client.llen(self._keys.commands)))
        served = waiting and await guarded(self._client, self._client.exists(self._keys.lease))
        return 0 if served else waiting

    async def scheduled_until(self, schedule: str, now: float) -> float:
        await guarded(self._client, self._client.hsetnx(self._keys.schedule, schedule, repr(now)))
        return _seconds(await guarded(self._client, self._client.hget(self._keys.schedule, schedule)), now)

    async def send_scheduled(self, schedule: str, due: float, request: str) -> bool:
        keys = [self._keys.commands, self._keys.schedule]
        return bool(await guarded(self._client, self._send_scheduled(keys=keys, args=[request, schedule, repr(due)])))

    async def patterns_changed(self) -> None:
        await guarded(self._client, self._client.incr(self._keys.patterns))

    async def publish(self, status: TaskStatus) -> None:
        text = json.dumps(asdict(status))
        if status.status is not TaskState.PROGRESS:
            kept = text if len(text) <= _LONGEST_KEPT else json.dumps(asdict(status) | {"data": _TOO_LONG})
            with suppress(RedisOutage):  # whoever listens hears it all the same
                keeping = self._client.xadd(self._keys.history, {"status": kept}, maxlen=_KEPT)
                await guarded(self._client, keeping)
        await guarded(self._client, self._client.publish(self._channel, text))

    async def runs(self, limit: int) -> list[TaskRun]:
        entries: Entries = await guarded(self._client, self._client.xrange(self._keys.history))
        statuses = [_status_of(fields.get("status", "")) for _, fields in entries]
        return runs_of(status for status in statuses if status is not None)[:limit]

    @asynccontextmanager
    async def statuses(self) -> AsyncIterator[AsyncIterator[TaskStatus]]:
        with translated_errors():
            await self._client.initialize()  # a cluster's client has to know a node before it can subscribe
        async with self._client.pubsub(ignore_subscribe_messages=True) as channel:
            with translated_errors():
                await channel.subscribe(self._channel)
            yield self._statuses(channel)

    async def _statuses(self, channel: PubSub) -> AsyncIterator[TaskStatus]:
        while True:
            with translated_errors():
                message = await channel.get_message(timeout=1.0)
            if message is not None and (status := _status_of(message["data"])) is not None:
                yield status


def _status_of(text: str) -> TaskStatus | None:
    """The status in a message; None for anything else, since anybody may publish anything."""
    try:
        return msgspec.convert(json.loads(text), TaskStatus)
    except (ValueError, RecursionError):
        return None


def _seconds(text: str | None, otherwise: float) -> float:
    """`otherwise` if somebody else has written what is no number, or has removed it."""
    try:
        return float(text or "")
    except ValueError:
        return otherwise
