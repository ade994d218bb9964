"""Who changed what: a bounded stream, written by the console, the commands and the tasks."""

from collections.abc import Mapping
from contextlib import suppress

import structlog
from redis.asyncio import Redis

from domains.kernel.errors import RedisOutage
from domains.operations.model import Change, ChangePage
from infrastructure.redis.client import Entries, guarded
from infrastructure.redis.keys import AUDIT

_KEPT = 10_000
_CHARACTERS = 500


class RedisAudit:
    """AuditPort."""

    def __init__(self, client: Redis, prefix: str = "") -> None:
        self._client = client
        self._key = prefix + AUDIT

    async def note(self, who: str, what: str, item: str, outcome: str) -> None:
        fields = {"who": who, "what": what, "item": item[:_CHARACTERS], "outcome": outcome[:_CHARACTERS]}
        try:
            adding = self._client.xadd(self._key, fields, maxlen=_KEPT)  # type: ignore[arg-type]
            await guarded(self._client, adding)
        except RedisOutage as cause:
            log = structlog.stdlib.get_logger("pomocore")
            log.warning("A change could not be noted", action="audit", cause=str(cause), **fields)

    async def page(self, limit: int, before: str | None = None) -> ChangePage:
        last = "+" if before is None else f"({before}"
        entries: Entries = await guarded(self._client, self._client.xrevrange(self._key, last, count=limit))
        following = entries[-1][0] if len(entries) == limit else None
        return ChangePage([_change(entry_id, fields) for entry_id, fields in entries], following)


def _change(entry_id: str, fields: Mapping[str, str]) -> Change:
    """Also of what somebody else has written there."""
    time = 0.0
    with suppress(ValueError):
        time = int(entry_id.partition("-")[0]) / 1000
    return Change(time, *(fields.get(name, "") for name in ("who", "what", "item", "outcome")))
