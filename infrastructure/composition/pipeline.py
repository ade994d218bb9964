"""The whole pipeline: the tasks of one process, and several such processes on one machine."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domains.kernel.resilience import cancel_all
from infrastructure.composition.container import Container, running_container, task_runner
from infrastructure.http.door import open_door
from infrastructure.http.listening import child_ports
from infrastructure.observing.logs import announce_shared_data, announce_stores
from infrastructure.operations.health import warn_of_eviction
from infrastructure.process.data_dir import pipeline_of
from infrastructure.process.signals import stop_when_orphaned
from infrastructure.process.supervisor import SUPERVISOR_PID, Supervisor
from infrastructure.settings import Settings

SUPERVISED_SECONDS = 5
"""Seconds that a supervisor gives its children beyond SHUTDOWN_TIMEOUT before it kills them."""

_CHILD = [sys.executable, "-m", "cmd.stream_consumer"]


@asynccontextmanager
async def running_pipeline(
    settings: Settings, stop: asyncio.Event, reload: asyncio.Event
) -> AsyncIterator[tuple[Container, str | None]]:
    """The pipeline of this process: its container, and the address of its console, if it has one.

    The block ends after `stop` is set and everything is drained. `reload` makes it load the patterns.
    """
    async with _alone(settings), running_container(settings) as container:
        announce_stores(settings)
        consumers = [part.consumer() for part in container.partitions()]
        async with (
            open_door(container.state(), container.api, consumers, stop) as address,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(_run(container, stop, reload), name="pipeline")
            yield container, address


@asynccontextmanager
async def _alone(settings: Settings) -> AsyncIterator[None]:
    """Warns where another pipeline works on the same embedded stores: both would share the work, as instances do."""
    is_child = SUPERVISOR_PID in os.environ
    if is_child or not (settings.embeds_redis or settings.mongo_uri is None):
        yield
        return
    with pipeline_of(settings.data_dir) as other:
        if other is not None:
            announce_shared_data(settings, other)
        yield


async def _run(container: Container, stop: asyncio.Event, reload: asyncio.Event) -> None:
    """Runs all tasks of one process until `stop` is set."""
    classifier, seconds = container.classifier(), container.settings().pattern_refresh_seconds
    async with asyncio.TaskGroup() as group:
        if parent := os.environ.get(SUPERVISOR_PID):
            group.create_task(stop_when_orphaned(stop, int(parent)), name="orphan")
        beside = [group.create_task(classifier.keep_fresh(stop, reload, seconds), name="patterns")]
        beside.append(group.create_task(container.stream_choice().warn(), name="stream choice"))
        beside.append(group.create_task(warn_of_eviction(container.figures()), name="eviction"))
        consumers = []
        for part in container.partitions():
            name = part.keys().stream
            consumers.append(group.create_task(part.consumer().run(stop), name=f"consumer of {name}"))
            beside.append(group.create_task(part.announcer().run(stop), name=f"announcer of {name}"))
            reclassifying = part.reclassification().run(stop)
            beside.append(group.create_task(reclassifying, name=f"reclassification of {name}"))
        if container.settings().commands:
            running = task_runner(container).run(stop, reload)
            beside.append(group.create_task(running, name="tasks"))
            if container.settings().schedule:
                beside.append(group.create_task(_run_schedule(container), name="schedule"))
        await asyncio.wait(consumers)
        await cancel_all(beside)  # they can be cancelled at any point, and may be waiting for a stalled server


async def _run_schedule(container: Container) -> None:
    from infrastructure.operations.schedule import Schedule  # imported only if there is a schedule

    settings = container.settings()
    await Schedule(container.task_queue(), settings.schedule, settings.zone, container.observer()).run()


async def supervise(settings: Settings, stop: asyncio.Event, reload: asyncio.Event) -> None:
    """Runs CONSUMER_PROCESSES pipelines as child processes until `stop` is set.

    An embedded redis-server is started once for all of them. Raises SettingsError if a child's port is not available.
    """
    environments = [
        {
            "CONSUMER_PROCESSES": "1",
            "INSTANCE_ID": f"{settings.instance_id}-{number}",
            "HTTP_PORT": "" if port is None else str(port),
        }
        for number, port in enumerate(child_ports(settings), 1)
    ]
    async with _alone(settings), running_container(settings):
        announce_stores(settings)
        seconds = settings.shutdown_timeout + SUPERVISED_SECONDS
        await Supervisor(_CHILD, environments, seconds).run(stop, reload)
