"""The whole pipeline: the tasks of one process, and several such processes on one machine."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from domains.kernel.resilience import cancel_all
from domains.workQueue.ports import WorkQueuePort
from infrastructure.composition.container import (
    Container,
    card_worker,
    event_exporter,
    running_container,
    task_runner,
)
from infrastructure.http.door import open_door
from infrastructure.http.listening import child_ports
from infrastructure.observing.logs import announce_shared_data, announce_stores
from infrastructure.operations.health import warn_of_eviction
from infrastructure.operations.queue_watch import QueueWatch
from infrastructure.process.data_dir import pipeline_of
from infrastructure.process.signals import stop_when_orphaned
from infrastructure.process.supervisor import SUPERVISOR_PID, Supervisor
from infrastructure.settings import Settings

if TYPE_CHECKING:
    from infrastructure.composition.collector import RunningCollector

SUPERVISED_SECONDS = 5
"""Seconds that a supervisor gives its children beyond SHUTDOWN_TIMEOUT before it kills them."""

_ENDING_SECONDS = 2.0
"""What is committed is exported and counted within that time."""

_CHILD = [sys.executable, "-m", "cmd.stream_consumer"]


class RunningPipeline(NamedTuple):
    """The addresses of its console and of its collector; None where it has none."""

    container: Container
    address: str | None
    collector: str | None


@asynccontextmanager
async def running_pipeline(
    settings: Settings, stop: asyncio.Event, reload: asyncio.Event
) -> AsyncIterator["RunningPipeline"]:
    """The pipeline of this process.

    The block ends after `stop` is set and everything is drained. `reload` makes it load the patterns.
    """
    async with _alone(settings), running_container(settings) as container:
        announce_stores(settings)
        collector = await _collector(settings, container)
        consumers = [part.consumer() for part in container.partitions()]
        async with (
            open_door(container.state(), container.api, consumers, stop) as address,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(_run(container, stop, reload), name="pipeline")
            if collector is not None:
                group.create_task(collector.run(stop), name="collector")
            yield RunningPipeline(container, address, collector.address if collector else None)


async def _collector(settings: Settings, container: Container) -> "RunningCollector | None":
    if settings.collect_port == 0:
        return None
    from infrastructure.composition.collector import open_beside_consumer  # imported only where posts may come

    return await open_beside_consumer(settings, container)


@asynccontextmanager
async def _alone(settings: Settings) -> AsyncIterator[None]:
    """Warns where another pipeline works on the same embedded stores: both would share the work, as instances do."""
    is_child = SUPERVISOR_PID in os.environ
    if is_child or not (settings.embeds_redis or settings.embeds_store):
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
        beside.append(group.create_task(container.telling().run(stop), name="instance snapshot"))
        consumers, workers = [], _site_work(container, stop, group, beside)
        for part in container.partitions():
            name = part.keys().stream
            consumers.append(group.create_task(part.consumer().run(stop), name=f"consumer of {name}"))
            beside.append(group.create_task(part.announcer().run(stop), name=f"announcer of {name}"))
            reclassifying = part.reclassification().run(stop)
            beside.append(group.create_task(reclassifying, name=f"reclassification of {name}"))
        exporting, all_committed = list[asyncio.Task[None]](), asyncio.Event()
        if container.settings().events and (exporter := event_exporter(container)) is not None:
            exporting.append(group.create_task(exporter.run(all_committed), name="export of events"))
        counting = group.create_task(container.counting().run(all_committed), name="counters")
        if container.settings().commands:
            running = task_runner(container).run(stop, reload)
            beside.append(group.create_task(running, name="tasks"))
            if container.settings().schedule:
                beside.append(group.create_task(_run_schedule(container), name="schedule"))
        if container.settings().cards:
            for stage in ("boards", "users"):
                working = card_worker(container, stage).run(stop)
                workers.append(group.create_task(working, name=f"cards: {stage}"))
        beside.append(group.create_task(_queue_watch(container).run(), name="queue watch"))
        await asyncio.wait([*consumers, *workers])
        all_committed.set()
        ending = [*exporting, counting]  # what is not exported in that time is exported by the next instance
        await asyncio.wait(ending, timeout=_ENDING_SECONDS)
        # they can be cancelled at any point, and may be waiting for a stalled server
        await cancel_all([*beside, *ending])


def _queue_watch(container: Container) -> QueueWatch:
    """Also where CARDS=false or SITE_WORKERS=false: others may work on the queues, or nobody."""
    queues: list[WorkQueuePort] = [container.card_boards_queue(), container.card_users_queue()]
    if container.settings().site_profiles:
        queues += container.sites_new_queue(), container.sites_fetched_queue()
    return QueueWatch(queues, container.card_run_notes(), container.observer())


def _site_work(
    container: Container, stop: asyncio.Event, group: asyncio.TaskGroup, beside: list[asyncio.Task[None]]
) -> list[asyncio.Task[None]]:
    """Starts what SITE_PROFILES asks for. Returns the tasks that finish what they have in hand by themselves."""
    if (sightings := container.site_sightings()) is None:
        return []
    noting = sightings.run(stop, container.classifier(), container.observer())
    beside.append(group.create_task(noting, name="site sightings"))
    if not container.settings().site_workers:
        return []
    from infrastructure.composition.sites import work_on_sites  # imported only where sites are visited

    return [group.create_task(work_on_sites(container, stop), name="site work")]


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
            **({} if number == 1 else {"COLLECT_PORT": "0"}),  # a log has one writer
        }
        for number, port in enumerate(child_ports(settings), 1)
    ]
    async with _alone(settings), running_container(settings):
        announce_stores(settings)
        seconds = settings.shutdown_timeout + SUPERVISED_SECONDS
        await Supervisor(_CHILD, environments, seconds).run(stop, reload)
