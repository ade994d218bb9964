"""The commit on a Redis Cluster whose boards are in other slots than the stream.

In one step, `commit.lua` acknowledges a batch and puts the increases of its boards into an outbox in the stream's
slot. From there `deliver.lua` raises each board in the board's own slot, at most once for each entry of the outbox,
and `settle.lua` removes delivered entries. A crash at any point leaves an entry in the outbox, and delivering it
again changes nothing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from msgspec import msgpack
from redis.asyncio import Redis

from domains.kernel.errors import RedisOutage
from domains.pomodoro.model import Commit, CommitResult
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.commit import CommitLimits, RedisCommit
from infrastructure.redis.keys import StreamKeys, applied_marker, score_name

_MARKER_SECONDS = 40 * 86_400
"""How long a marker is kept: longer than an entry can stay in the outbox, and longer than boards are raised."""
_ENTRIES = 100
_TARGETS_AT_ONCE = 50

_Outgoing = dict[str, Any]


@dataclass(slots=True)
class Delivered:
    scores: int = 0
    failed_scores: int = 0
    events: int = 0


class OutboxCommit(RedisCommit):
    """CommitPort on a cluster. Boards are raised right after the commit. If their nodes are away, reading stops."""

    with_outbox = True

    def __init__(self, client: Redis, keys: StreamKeys, group: str, consumer: str, limits: CommitLimits) -> None:
        super().__init__(client, keys, group, consumer, limits)
        self._outbox = keys.outbox
        self._failed_scores = keys.failed_scores
        self._session_scores = keys.session_scores
        self._deliver_script = client.register_script(scripts.DELIVER)
        self._settle_script = client.register_script(scripts.SETTLE)
        self._delivering = asyncio.Lock()

    async def commit(self, commit: Commit) -> CommitResult:
        await (
            self.deliver()
        )  # first the entries that are left: while they cannot be delivered, no more messages are acknowledged
        result = await super().commit(commit)
        try:
            delivered = await self.deliver()
        except RedisOutage:  # the batch is committed: the next commit, or the claim loop's, delivers its entry
            return result
        return replace(
            result,
            scores=delivered.scores,
            failed_scores=delivered.failed_scores,
            failure=result.failure or ("a board could not take a score" if delivered.failed_scores else ""),
        )

    async def deliver(self) -> Delivered:
        """Delivers all entries of the outbox, oldest first. Raises RedisOutage; delivered entries stay delivered."""
        delivered = Delivered()
        async with self._delivering:
            while entries := await guarded(self._client, self._client.xrange(self._outbox, count=_ENTRIES)):
                await self._serve({entry_id: _unpacked(fields) for entry_id, fields in entries}, delivered)
                if len(entries) < _ENTRIES:
                    break
        return delivered

    async def _serve(self, entries: Mapping[str, _Outgoing], delivered: Delivered) -> None:
        targets: dict[str, list[tuple[str, object]]] = {}
        for entry_id, outgoing in entries.items():
            for board, increments in dict(outgoing["boards"]).items():
                targets.setdefault(board, []).append((entry_id, increments))
            if outgoing["events"]:
                targets.setdefault(self._session_scores, []).append((entry_id, outgoing["events"]))
        served = await self._serve_all(targets)
        delivered.scores += sum(served[board][0] for board in targets if board != self._session_scores)
        for entry_id, outgoing in entries.items():
            refused = [
                (score_name(board, user), seconds)
                for board, increments in dict(outgoing["boards"]).items()
                for user in served[board][1].get(entry_id, ())
                if (seconds := increments.get(user)) is not None
            ]
            delivered.failed_scores += await self._settle(entry_id, refused)

    async def _serve_all(
        self, targets: Mapping[str, list[tuple[str, object]]]
    ) -> dict[str, tuple[int, dict[str, list[str]]]]:
        """The result for each target: (writes made, the users whose scores it could not take, by entry)."""
        bound = asyncio.Semaphore(_TARGETS_AT_ONCE)

        async def serve(target: str, deliveries: list[tuple[str, object]]) -> tuple[int, dict[str, list[str]]]:
            kind = "stream" if target == self._session_scores else "zset"
            arguments: list[str | int | bytes] = [self._outbox, _MARKER_SECONDS, msgpack.encode(deliveries), kind]
            async with bound:
                call = self._deliver_script(keys=[target, applied_marker(target)], args=arguments)
                reply = scripts.named(await guarded(self._client, call))
                return int(reply["writes"]), dict(reply["refused"])

        try:
            async with asyncio.TaskGroup() as group:
                tasks = {target: group.create_task(serve(target, items)) for target, items in targets.items()}
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        return {target: task.result() for target, task in tasks.items()}

    async def _settle(self, entry_id: str, refused: list[tuple[str, float]]) -> int:
        call = self._settle_script(keys=[self._outbox, self._failed_scores], args=[entry_id, msgpack.encode(refused)])
        return int(await guarded(self._client, call))


def _unpacked(fields: Mapping[str, str]) -> _Outgoing:
    """An entry of the outbox. Lua packs an empty table as an empty list."""
    return msgpack.decode(fields["commit"].encode("utf-8", "surrogateescape"), type=_Outgoing)
