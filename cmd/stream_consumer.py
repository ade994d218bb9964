"""Runs the pipeline: consumes the activity stream until it is stopped.

python -m cmd.stream_consumer
"""

import asyncio
import os
import sys
from cmd._output import say
from cmd._run import run, settings_or_exit

import typer

from domains.kernel.resilience import cancel_all
from infrastructure.composition.container import Container, running_container, task_runner
from infrastructure.http.server import child_ports, open_door
from infrastructure.observing.logs import announce_stores, configure_logging
from infrastructure.operations.schedule import run_schedule
from infrastructure.process.signals import reload_on_signal, stop_on_signals, stop_when_orphaned
from infrastructure.process.supervisor import SUPERVISOR_PID, Supervisor
from infrastructure.settings import Settings, describe_settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


_HELP = """\
Usage: python -m cmd.stream_consumer

Reads activity messages from the Redis stream, classifies them, writes the categories, and raises the leaderboards,
until SIGTERM or SIGINT. With nothing configured it runs on embedded stores in DATA_DIR.

Settings, from the environment or from .env:
"""


def _show_help(wanted: bool) -> None:
    if not wanted:
        return
    say(_HELP)
    settings = describe_settings()
    width = max(len(setting.name) for setting in settings) + 2
    for setting in settings:
        default = f"{setting.default} {setting.unit}".strip() if setting.default else "not set"
        say(f"  {setting.name:<{width}}{default}\n      {setting.description}")
    say("\nExit codes: 0 stopped as asked, 1 it failed, 2 the settings are wrong.")
    raise typer.Exit


@app.command(add_help_option=False)
def main(help: bool = typer.Option(False, "--help", is_eager=True, callback=_show_help)) -> None:
    settings = settings_or_exit()
    configure_logging(settings)
    run(lambda: consume(settings), at_once=True)


async def consume(settings: Settings) -> int:
    stop, reload = stop_on_signals(), reload_on_signal()
    if settings.consumer_processes > 1:
        return await _supervise(settings, stop, reload)
    async with running_container(settings) as container:
        announce_stores(settings)
        consumers = [part.consumer() for part in container.partitions()]
        async with open_door(container.state(), container.api(), consumers, stop):
            await run_pipeline(container, stop, reload)
    return 0


async def run_pipeline(container: Container, stop: asyncio.Event, reload: asyncio.Event) -> None:
    """All that works side by side in one process, until `stop` is set."""
    classifier, seconds = container.classifier(), container.settings().pattern_refresh_seconds
    async with asyncio.TaskGroup() as group:
        if parent := os.environ.get(SUPERVISOR_PID):
            group.create_task(stop_when_orphaned(stop, int(parent)), name="orphan")
        beside = [group.create_task(classifier.keep_fresh(stop, reload, seconds), name="patterns")]
        consumers = []
        for part in container.partitions():
            name = part.keys().stream
            consumers.append(group.create_task(part.consumer().run(stop), name=f"consumer of {name}"))
            reclassifying = part.reclassification().run(stop)
            beside.append(group.create_task(reclassifying, name=f"reclassification of {name}"))
        if container.settings().commands:
            running = task_runner(container).run(stop, reload)
            beside.append(group.create_task(running, name="tasks"))
            scheduling = run_schedule(container.task_queue(), container.settings())
            beside.append(group.create_task(scheduling, name="schedule"))
        await asyncio.wait(consumers)
        await cancel_all(beside)  # they can be broken off anywhere, and may wait for a server that stalls


async def _supervise(settings: Settings, stop: asyncio.Event, reload: asyncio.Event) -> int:
    """Runs `CONSUMER_PROCESSES` consumers as children, and keeps an embedded redis-server for all of them."""
    command = [sys.executable, "-m", "cmd.stream_consumer"]
    environments = [
        {
            "CONSUMER_PROCESSES": "1",
            "INSTANCE_ID": f"{settings.instance_id}-{number}",
            "HTTP_PORT": "" if port is None else str(port),
        }
        for number, port in enumerate(child_ports(settings), 1)
    ]
    async with running_container(settings):
        announce_stores(settings)
        await Supervisor(command, environments, settings.shutdown_timeout + 5).run(stop, reload)
    return 0


if __name__ == "__main__":
    app()
