"""The schedule: it sends commands at their times, as anybody may, so that there is one way in which tasks run."""

import asyncio
from datetime import datetime
from functools import partial

from domains.kernel.resilience import Breaker
from infrastructure.operations.task_runner import command_of
from infrastructure.redis.task_queue import RedisTaskQueue
from infrastructure.settings import Settings

_LATE_SECONDS = 30
"""A busy loop may come so late; beyond, a time has been missed."""


async def run_schedule(queue: RedisTaskQueue, settings: Settings) -> None:
    """Until cancelled. Every instance sends; of the same task and minute one command gets through."""
    if not settings.schedule:
        return
    from apscheduler.schedulers.asyncio import AsyncIOScheduler  # only where there is a schedule
    from apscheduler.triggers.cron import CronTrigger

    scheduler = AsyncIOScheduler(timezone=settings.zone)
    redis = Breaker(lambda is_open, cause: None)
    for task, cron in settings.schedule.items():
        trigger = CronTrigger.from_crontab(cron, timezone=settings.zone)
        send = partial(_send, queue, redis, settings, task)
        scheduler.add_job(send, trigger, misfire_grace_time=_LATE_SECONDS, coalesce=True)
    scheduler.start()
    try:
        await asyncio.Event().wait()
    finally:
        scheduler.shutdown(wait=False)


async def _send(queue: RedisTaskQueue, redis: Breaker, settings: Settings, task: str) -> None:
    command_id = f"schedule:{task}:{datetime.now(settings.zone):%Y-%m-%dT%H:%M}"
    await redis.run(lambda: queue.send_once(command_id, command_of(task, command_id)))
