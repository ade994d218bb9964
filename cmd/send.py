"""Sends a command to the running pipeline, as the Spring server does, and shows what becomes of it.

python -m cmd.send TASK
"""

import asyncio
import json
from cmd._output import Json, fail, print_json, say, shown
from cmd._run import run, settings_or_exit
from contextlib import suppress
from typing import Annotated, Any
from uuid import uuid4

import typer

from infrastructure.composition.container import running_container
from infrastructure.operations.task_runner import command_of
from infrastructure.redis.task_queue import RedisTaskQueue

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_ENDS = ("completed", "failed")


@app.command()
def main(
    task: Annotated[
        str, typer.Argument(help="ping, reload_patterns, replay_dead_letters, reclassify or rebuild_leaderboard")
    ],
    param: Annotated[
        list[str] | None, typer.Option(help="key=value, as often as needed; the value is JSON, or else text")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="show what is told of it until it is completed or failed")
    ] = False,
    timeout: Annotated[float, typer.Option(help="seconds to wait at the most", min=0.1)] = 600.0,
    as_json: Json = False,
) -> None:
    """Puts a command on the list COMMANDS_KEY.

    Parameters: replay_dead_letters takes reason, older_than (7d) and ids; rebuild_leaderboard takes period (day, week
    or month; not given: all three) and date (2025-09-02; not given: today). Exit codes: 0 sent or completed, 1 failed
    or not completed in time, 2 wrong arguments.
    """
    settings, command_id = settings_or_exit(), f"cmd.send:{uuid4().hex}"
    command = command_of(task, command_id, dict(map(_pair, param or ())))

    async def work() -> int:
        async with running_container(settings) as container:
            if wait:
                return await _followed(container.command_queue(), command, command_id, timeout, as_json)
            await container.command_queue().send(command)
        if as_json:
            print_json({"id": command_id})
        else:
            say(f"sent as {command_id}")
        return 0

    run(work)


async def _followed(queue: RedisTaskQueue, command: str, command_id: str, seconds: float, as_json: bool) -> int:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), queue.told() as statuses:
            await queue.send(command)
            async for status in statuses:
                if status["id"] != command_id:
                    continue
                if as_json:
                    print_json(status)
                else:
                    say(_line(status))
                if status["status"] in _ENDS:
                    return 0 if status["status"] == "completed" else 1
    say(f"{command_id} was not completed within {seconds:g} s; it stays on the list, or goes on", err=True)
    return 1


def _line(status: dict[str, Any]) -> str:
    data = "  ".join(f"{name}: {shown(str(value))}" for name, value in status["data"].items())
    return f"{status['status']:<10}{data}".rstrip()


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
