"""The ends that `commit.lua` has noted, and their announcement on the session score stream."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date

from redis.asyncio import Redis

from domains.pomodoro.model import NotedEnd, Session
from infrastructure.redis import scripts
from infrastructure.redis.client import guarded
from infrastructure.redis.keys import StreamKeys

_ANNOUNCED_SECONDS = 14 * 86_400
"""How long a session is remembered as announced: longer than any redelivery of its end can take."""
_PAGE = 500


class RedisSessionEnds:
    """SessionEndsPort. On a cluster events go through the outbox, and `deliver` brings them to their stream."""

    def __init__(
        self, client: Redis, keys: StreamKeys, group: str, deliver: Callable[[], Awaitable[object]] | None
    ) -> None:
        self._client = client
        self._due_keys = [keys.stream, keys.ends, keys.deferred_sessions]
        events = keys.outbox if deliver else keys.session_scores
        self._announce_keys = [keys.ends, keys.announced, events, keys.deferred_sessions]
        self._group = group
        self._deliver = deliver
        self._due = client.register_script(scripts.DUE_ENDS)
        self._announce = client.register_script(scripts.ANNOUNCE_ENDS)

    async def due(self, delay_seconds: float) -> AsyncIterator[list[NotedEnd]]:
        last: str | None = ""
        while last is not None:
            arguments: list[str | int] = [self._group, round(delay_seconds * 1000), last, _PAGE]
            reply = scripts.named(await guarded(self._client, self._due(keys=self._due_keys, args=arguments)))
            if reply["ends"]:
                yield [_noted_end(*end) for end in reply["ends"]]
            last = reply["last"] or None

    async def announce(self, ends: Sequence[NotedEnd], unless_deferred: bool = False) -> int:
        arguments: list[str | int] = [
            _ANNOUNCED_SECONDS,
            int(self._deliver is not None),
            int(unless_deferred),
            *(end.token for end in ends),
        ]
        announced = int(await guarded(self._client, self._announce(keys=self._announce_keys, args=arguments)))
        if self._deliver is not None:
            await self._deliver()
        return announced


def _noted_end(token: str, _: str, user_id: str, day: str, number: str, age_ms: int, deferred: int) -> NotedEnd:
    return NotedEnd(token, Session(user_id, date.fromisoformat(day), int(number)), age_ms / 1000, bool(deferred))
