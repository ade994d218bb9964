"""The schedule sends requests for tasks at their times, as Spring does, so that all tasks run in the same way.

A time at which no instance was at work is caught up, once: whoever starts asks for the last one that was missed.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from domains.kernel.resilience import Breaker
from domains.operations.ports import TaskObserver, TaskQueuePort
from infrastructure.operations.task_runner import SCHEDULED, request_for

_LATE = timedelta(seconds=30)
"""By so much a busy event loop may be late. Beyond, the time was missed."""
_LOOKS_SECONDS = 60.0
"""The clock is looked at so often at least: it may be set, and a machine may sleep."""


class Schedule:
    """`crons` is {task: cron expression}; an expression is in the local time of `zone`."""

    def __init__(
        self, queue: TaskQueuePort, crons: Mapping[str, str], zone: ZoneInfo, observer: TaskObserver
    ) -> None:
        self._queue = queue
        self._zone = zone
        self._observer = observer
        self._triggers = {(task, cron): CronTrigger.from_crontab(cron, timezone=zone) for task, cron in crons.items()}
        self._redis = Breaker(partial(observer.breaker_changed, "schedule"))

    async def run(self) -> None:
        """Runs until cancelled. Every instance sends requests; of those for the same time one is accepted."""
        while self._triggers:
            seconds = await self._redis.run(lambda: self.send_due(datetime.now(self._zone)))
            await asyncio.sleep(min(seconds, _LOOKS_SECONDS))

    async def send_due(self, now: datetime) -> float:
        """Sends what is due and was not sent yet. Returns the seconds until the next time. Raises RedisOutage."""
        coming = []
        for (task, cron), trigger in self._triggers.items():
            name = f"{task} {cron}"  # with another expression it begins anew: nothing was missed then
            since = datetime.fromtimestamp(await self._queue.scheduled_until(name, now.timestamp()), self._zone)
            if (due := _last_time(trigger, since, now)) is not None:
                request = request_for(task, f"{SCHEDULED}{task}:{due:%Y-%m-%dT%H:%M}")
                if await self._queue.send_scheduled(name, due.timestamp(), request) and now - due > _LATE:
                    self._observer.schedule_caught_up(task, due)
            if (following := trigger.get_next_fire_time(due, now)) is not None:
                coming.append((following - now).total_seconds())
        return max(0.0, min(coming, default=_LOOKS_SECONDS))


def next_time(cron: str, now: datetime) -> float | None:
    """When a task of that expression is due next (Unix seconds), in the zone of `now`."""
    found = CronTrigger.from_crontab(cron, timezone=now.tzinfo).get_next_fire_time(None, now)
    return None if found is None else found.timestamp()


def _last_time(trigger: CronTrigger, since: datetime, now: datetime) -> datetime | None:
    """The last time of the trigger after `since` and up to `now`.

    A trigger only looks forward. It is asked from ever
    earlier moments, so that few times lie behind the first answer.
    """
    back = timedelta(minutes=1)
    while True:
        found = _next_time(trigger, max(since, now - back))
        if found is not None and found <= now:
            break
        if now - back <= since:
            return None
        back *= 2
    while (later := _next_time(trigger, found)) is not None and later <= now:
        found = later
    return found


def _next_time(trigger: CronTrigger, moment: datetime) -> datetime | None:
    """The first time after `moment`."""
    found: datetime | None = trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))
    return found
