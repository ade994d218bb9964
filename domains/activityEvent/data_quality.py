"""The quality of each source, now and of a day; the report of a day is kept when the day is over."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from math import isnan
from time import time
from typing import Any
from zoneinfo import ZoneInfo

from domains.activityEvent.ports import EventOutboxPort
from domains.activityEvent.quality import WEEKS, SourceQuality, assess
from domains.pomodoro.model import start_of_day

_HOUR = "%Y-%m-%dT%H"

Invalid = Callable[[float, float], Awaitable[Mapping[str, Mapping[str, int]]]]
"""From one Unix time to another: {source: {kind: how many messages broke the contract}}."""


class DataQuality:
    """Methods raise RedisOutage."""

    def __init__(self, outboxes: Sequence[EventOutboxPort], invalid: Invalid, zone: ZoneInfo) -> None:
        self._outboxes = outboxes
        self._invalid = invalid
        self._zone = zone

    async def now(self) -> list[SourceQuality]:
        """Of the last full hour; open sessions are those of yesterday."""
        local = datetime.now(self._zone).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        yesterday = (local.date() - timedelta(days=1)).isoformat()
        return await self._assess([local.strftime(_HOUR)], local.timestamp(), yesterday)

    async def of_day(self, day: str) -> list[dict[str, Any]]:
        """The report that is kept of a local day, or one of what is known now."""
        for outbox in self._outboxes:
            if kept := await outbox.report(day):
                return json.loads(kept)  # type: ignore[no-any-return]
        return await self._report(day)

    async def keep(self) -> list[SourceQuality]:
        """What `now` says; and yesterday's report is kept from now on."""
        yesterday = (datetime.now(self._zone).date() - timedelta(days=1)).isoformat()
        if await self._outboxes[0].report(yesterday) is None:
            await self._outboxes[0].keep_report(yesterday, json.dumps(await self._report(yesterday)).encode())
        return await self.now()

    async def _report(self, day: str) -> list[dict[str, Any]]:
        start = start_of_day(date.fromisoformat(day), self._zone).timestamp()
        hours = [f"{day}T{hour:02}" for hour in range(24)]
        return [document(quality) for quality in await self._assess(hours, start, day)]

    async def _assess(self, hours: Sequence[str], start: float, session_day: str) -> list[SourceQuality]:
        wanted = list(hours)
        for week in range(1, WEEKS + 1):
            for hour in hours:
                past = datetime.strptime(hour, _HOUR) - timedelta(weeks=week)  # noqa: DTZ007 - local, as the hours
                wanted.append(past.strftime(_HOUR))
        counts: dict[str, dict[str, dict[str, float]]] = {}
        sessions: dict[str, tuple[int, int]] = {}
        for outbox in self._outboxes:
            for hour, sources in (await outbox.quality(wanted)).items():
                for source, numbers in sources.items():
                    place = counts.setdefault(hour, {}).setdefault(source, {})
                    for name, number in numbers.items():
                        place[name] = (
                            max(place.get(name, 0), number) if name == "last" else place.get(name, 0) + number
                        )
            for source, (seen, ended) in (await outbox.sessions(session_day)).items():
                before = sessions.get(source, (0, 0))
                sessions[source] = before[0] + seen, before[1] + ended
        invalid = await self._invalid(start, start + 3600 * len(hours))
        return assess(hours, counts, invalid, sessions, time())


def document(quality: SourceQuality) -> dict[str, Any]:
    """As JSON can have it: what is not known is null."""
    return {
        name: None if isinstance(value, float) and isnan(value) else value for name, value in asdict(quality).items()
    }
