"""The schedule sends requests for tasks at their times, as Spring does, so that all tasks run in the same way."""

import asyncio
from datetime import datetime
from functools import partial

from domains.kernel.resilience import Breaker
from domains.operations.ports import TaskQueuePort
from infrastructure.operations.task_runner import request_for
from infrastructure.settings import Settings

_LATE_SECONDS = 30
"""Seconds by which a busy event loop may be late. Beyond, the run is missed."""


async def run_schedule(queue: TaskQueuePort, settings: Settings) -> None:
    """Runs until cancelled. Every instance sends requests; only one for the same task and minute is accepted."""
    if not settings.schedule:
        return
    from apscheduler.schedulers.asyncio import AsyncIOScheduler  # imported only if there is a schedule
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


async def _send(queue: TaskQueuePort, redis: Breaker, settings: Settings, task: str) -> None:
    request_id = f"schedule:{task}:{datetime.now(settings.zone):%Y-%m-%dT%H:%M}"
    await redis.run(lambda: queue.send_once(request_id, request_for(task, request_id)))
