"""Children are kept running, started again when they die, and stopped together."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from infrastructure.process.supervisor import Supervisor

CHILD = """
import os, pathlib, signal, sys, time
run = pathlib.Path(os.environ["CHILD_DIRECTORY"]) / f"{os.environ['CHILD']}-{os.getpid()}"
signal.signal(signal.SIGHUP, lambda *_: run.with_suffix(".reloaded").touch())
signal.signal(signal.SIGTERM, lambda *_: (run.with_suffix(".stopped").touch(), sys.exit(0)))
run.touch()
while True:
    time.sleep(60)
"""


async def test_a_killed_child_is_started_again_and_a_stop_reaches_all(tmp_path: Path) -> None:
    environments = [{"CHILD": name, "CHILD_DIRECTORY": str(tmp_path)} for name in "ab"]
    supervisor = Supervisor([sys.executable, "-c", CHILD], environments, stop_seconds=10)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        group.create_task(supervisor.run(stop, asyncio.Event()))
        (first,) = await started(tmp_path, "a", 1)
        await started(tmp_path, "b", 1)
        os.kill(int(first.name.removeprefix("a-")), signal.SIGKILL)
        await started(tmp_path, "a", 2)
        stop.set()

    stopped = {path.stem for path in tmp_path.glob("*.stopped")}
    assert stopped == {path.name for path in tmp_path.iterdir() if not path.suffix} - {first.name}
    assert len(stopped) == 2


async def test_a_reload_reaches_all_children_each_time(tmp_path: Path) -> None:
    environments = [{"CHILD": name, "CHILD_DIRECTORY": str(tmp_path)} for name in "ab"]
    stop, reload = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        group.create_task(Supervisor([sys.executable, "-c", CHILD], environments, stop_seconds=10).run(stop, reload))
        await started(tmp_path, "a", 1)
        await started(tmp_path, "b", 1)
        for _ in range(2):
            reload.set()
            while len(reloaded := list(tmp_path.glob("*.reloaded"))) < 2:
                await asyncio.sleep(0.02)
            for path in reloaded:
                path.unlink()
        stop.set()


class JustEnded:
    """A child whose end the loop knows, and that nobody has heard of yet who waits for it."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()

    async def wait(self) -> int:
        await self._heard.wait()
        return 1

    def send_signal(self, number: int) -> None:
        self._heard.set()
        raise ProcessLookupError


@pytest.mark.parametrize("is_reload", [False, True])
async def test_a_signal_to_a_child_that_has_just_ended_ends_nothing_else(
    monkeypatch: pytest.MonkeyPatch, is_reload: bool
) -> None:
    stop, reload, started = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def start(*command: str, **options: object) -> JustEnded:
        started.set()
        return JustEnded()

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        group.create_task(Supervisor([], [{}], stop_seconds=10).run(stop, reload))
        await started.wait()
        if is_reload:
            started.clear()
            reload.set()
            await started.wait()
        stop.set()


async def test_a_child_that_does_not_stop_in_time_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"pathlib.Path({str(tmp_path / 'up')!r}).touch(); time.sleep(60)"
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        group.create_task(Supervisor([sys.executable, "-c", deaf], [{}], stop_seconds=0.2).run(stop, asyncio.Event()))
        await started(tmp_path, "up", 1)
        stop.set()


async def started(directory: Path, name: str, count: int) -> list[Path]:
    while len(found := [path for path in directory.glob(f"{name}*") if not path.suffix]) < count:
        await asyncio.sleep(0.02)
    return found


async def test_a_supervisor_that_is_cancelled_leaves_neither_child_nor_task(tmp_path: Path) -> None:
    environment = {"CHILD": "a", "CHILD_DIRECTORY": str(tmp_path)}
    before = asyncio.all_tasks()
    async with asyncio.timeout(30):
        supervisor = Supervisor([sys.executable, "-c", CHILD], [environment], stop_seconds=10)
        running = asyncio.create_task(supervisor.run(asyncio.Event(), asyncio.Event()))
        (child,) = await started(tmp_path, "a", 1)
        running.cancel()
        await asyncio.wait({running})

    assert asyncio.all_tasks() == before
    with pytest.raises(ProcessLookupError):
        os.kill(int(child.name.removeprefix("a-")), 0)
