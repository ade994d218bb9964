"""The records of deferred messages: written by `commit.lua`, read here, deleted by the commit that moves them."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date

import structlog
from redis.asyncio import Redis

from domains.kernel.window import Window
from domains.pomodoro.model import DeferredMessage, Session
from infrastructure.redis.client import Entries, guarded
from infrastructure.redis.keys import StreamKeys

_KEPT = 2000
"""Characters of a title or URL: more than anybody looks at to tell what a window is."""


class RedisDeferredMessages:
    """DeferredMessagesPort. `consumer` is the name under which the lease is taken."""

    def __init__(self, client: Redis, keys: StreamKeys, consumer: str) -> None:
        self._client = client
        self._keys = keys
        self._consumer = consumer

    async def lease(self, seconds: float) -> bool:
        key, milliseconds = self._keys.deferred_lease, int(seconds * 1000)
        if await guarded(self._client, self._client.set(key, self._consumer, nx=True, px=milliseconds)):
            return True
        if await guarded(self._client, self._client.get(key)) != self._consumer:
            return False
        return bool(await guarded(self._client, self._client.pexpire(key, milliseconds)))

    async def after(self, record_id: str, limit: int) -> list[DeferredMessage]:
        while True:
            reading = self._client.xrange(self._keys.deferred, min=f"({record_id}", count=limit)
            records: Entries = await guarded(self._client, reading)
            messages = [message for found in records if (message := readable_message(*found))]
            if messages or not records:
                return messages
            record_id = records[-1][0]


def record_of(message: DeferredMessage) -> list[str]:
    """The fields of its record, flat."""
    fields = {
        "userId": message.user_id,
        "app": message.window.app[:_KEPT],
        "title": message.window.title[:_KEPT],
        "url": message.window.url[:_KEPT],
        "duration": repr(message.duration),
        "timestamp": repr(message.timestamp),
        "category": message.category,
        "categorizedDataId": message.categorized_data_id,
        "pomodoroUsageLogId": message.pomodoro_usage_log_id,
    }
    if message.tier:
        fields |= {"tier": message.tier, "source": message.source}
    if message.session:
        fields |= {"sessionDate": message.session.session_date.isoformat(), "session": str(message.session.number)}
    return [text for pair in fields.items() for text in pair]


def readable_message(record_id: str, fields: Mapping[str, str]) -> DeferredMessage | None:
    """The message of a record; None, and a line in the log, for what is none."""
    try:
        return message_of(record_id, fields)
    except (KeyError, ValueError) as error:
        log = structlog.stdlib.get_logger("pomocore")
        cause = f"{type(error).__name__} {error}"
        log.warning("A record of a deferred message cannot be read", action="unreadable", id=record_id, cause=cause)
        return None


def message_of(record_id: str, fields: Mapping[str, str]) -> DeferredMessage:
    """The message of a record."""
    return DeferredMessage(
        id=record_id,
        user_id=fields["userId"],
        window=Window(fields["app"], fields["url"], fields["title"]),
        duration=float(fields["duration"]),
        timestamp=float(fields["timestamp"]),
        category=fields["category"],
        categorized_data_id=fields["categorizedDataId"],
        pomodoro_usage_log_id=fields["pomodoroUsageLogId"],
        session=_session_of(fields),
        tier=fields.get("tier", ""),
        source=fields.get("source", ""),
    )


def _session_of(fields: Mapping[str, str]) -> Session | None:
    with suppress(KeyError, ValueError):  # of an earlier version
        return Session(fields["userId"], date.fromisoformat(fields["sessionDate"]), int(fields["session"]))
    return None
