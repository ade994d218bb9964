"""Requests a task from the running pipeline, as the Spring server does, and shows its status.

python -m cmd.send TASK
"""

import asyncio
import json
from cmd._output import Json, fail, print_json, print_tables, say, table
from cmd._run import no_such, run, running_container, settings_or_exit, this_user
from contextlib import aclosing, suppress
from dataclasses import asdict
from datetime import datetime
from functools import partial
from secrets import token_hex
from typing import Annotated, Any

import msgspec
import typer

from domains.operations.model import ENDS, TaskState, TaskStatus
from domains.operations.ports import TaskQueuePort
from domains.operations.service import told_of
from infrastructure.observing.printable import printable
from infrastructure.observing.readable import local_time, plain
from infrastructure.operations.task_registry import TASKS, in_plain_words
from infrastructure.operations.task_runner import request_for

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_RUNS = 200


def _help() -> str:
    tasks = [
        f"{task.name}: {task.help}." + "".join(f"\n\n- {name}: {text}" for name, text in task.parameters.items())
        for task in TASKS.values()
    ]
    return "\n\n".join(
        (
            "Puts a request for a task on the list COMMANDS_KEY.",
            "Exit codes: 0 sent or completed, 1 failed or not completed in time, 2 wrong arguments.",
            "Tasks and their parameters:",
            *tasks,
        )
    )


@app.command(help=_help())
def main(
    task: Annotated[str, typer.Argument(help=f"one of {', '.join(TASKS)}")] = "",
    param: Annotated[
        list[str] | None,
        typer.Option(help="parameter as key=value, may be repeated; the value is JSON, or else text"),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="show its status until it is completed or failed")] = False,
    timeout: Annotated[float, typer.Option(help="greatest number of seconds to wait", min=0.1)] = 600.0,
    lists: Annotated[
        bool, typer.Option("--list", help="show all tasks, when the schedule runs them next, and their last runs")
    ] = False,
    as_json: Json = False,
) -> None:
    if lists:
        _list(as_json)
        return
    if not task:
        fail("Say which: TASK, or --list", 2)
    if task not in TASKS:
        no_such("task", task, TASKS)
    params = dict(map(_pair, param or ()))
    for name in params.keys() - TASKS[task].parameters.keys():
        no_such(f"parameter of {task}", name, TASKS[task].parameters)
    try:
        msgspec.convert(params, TASKS[task].params)
    except msgspec.ValidationError as fault:
        fail(f"{task}: {in_plain_words(fault)}", 2)
    settings, request_id = settings_or_exit(), f"cmd.send by {this_user()}: {token_hex(4)}"  # the audit shows it
    request = request_for(task, request_id, params)

    async def work() -> int:
        async with running_container(settings) as container:
            if wait:
                return await _followed(container.task_queue(), request, request_id, timeout, as_json)
            await container.task_queue().send(request)
        if as_json:
            print_json({"id": request_id})
        else:
            say(f"sent as {request_id}")
        return 0

    run(work)


def _list(as_json: bool) -> None:
    from infrastructure.operations.schedule import next_time

    settings = settings_or_exit()
    now, when = datetime.now(settings.zone), partial(local_time, zone=settings.zone)

    async def work() -> None:
        async with running_container(settings) as container:
            last = {run.task: run for run in reversed(await container.task_queue().runs(_RUNS))}
        due = {name: next_time(cron, now) for name, cron in settings.schedule.items() if settings.commands}
        if as_json:
            runs = {name: run._asdict() for name, run in last.items()}
            print_json([{"task": name, "next": due.get(name), "lastRun": runs.get(name)} for name in TASKS])
            return
        rows = []
        for name in TASKS:
            ended, next_run = last.get(name), due.get(name)
            started = when(datetime.fromisoformat(ended.started).timestamp()) if ended else ""
            rows.append((name, when(next_run) if next_run else "", started, ended.status if ended else ""))
        print_tables(table(("Task", "Next", "Last", "How it ended"), rows, whole=("Task", "Next", "Last")))

    run(work)


async def _followed(queue: TaskQueuePort, request: str, request_id: str, seconds: float, as_json: bool) -> int:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), aclosing(told_of(queue, request, request_id)) as statuses:
            async for status in statuses:
                if as_json:
                    print_json(asdict(status))
                else:
                    say(_line(status))
                if status.status in ENDS:
                    return 0 if status.status is TaskState.COMPLETED else 1
    say(f"{request_id} was not completed within {seconds:g} s; it stays on the list, or goes on", err=True)
    return 1


def _line(status: TaskStatus) -> str:
    data = "  ".join(f"{name}: {printable(plain(value))}" for name, value in status.data.items())
    return f"{status.status:<10}{data}".rstrip()


def _pair(text: str) -> tuple[str, Any]:
    name, found, value = text.partition("=")
    if not found or not name:
        fail(f"--param {text}: not key=value", 2)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    app()
