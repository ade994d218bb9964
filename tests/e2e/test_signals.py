"""Signals that come while a process is still being loaded, or has just begun."""

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.e2e.conftest import Places
from tests.e2e.processes import DEADLINE, Running

COMMANDS = [["cmd.stream_consumer"], ["cmd.sample"], ["cmd", "stream-consumer"], ["cmd", "sample"]]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A directory for PYTHONPATH in which `typer` does not finish loading before the pipe is written to."""
    os.mkfifo(tmp_path / "pipe")
    # No read that blocks: a signal right before it would be handled behind it.
    (tmp_path / "typer.py").write_text(
        f"import select\npipe = open({str(tmp_path / 'pipe')!r})\n"
        "while not select.select([pipe], [], [], 0.05)[0]:\n    pass\n"
    )
    return tmp_path


def until_it_loads(gate: Path, running: Running) -> None:
    """Returns when the process has opened the pipe, and so is in the middle of its imports."""
    opened: list[int] = []
    opening = threading.Thread(target=lambda: opened.append(os.open(gate / "pipe", os.O_WRONLY)), daemon=True)
    opening.start()
    opening.join(DEADLINE)
    assert opened, running.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_stop_while_it_loads_is_a_stop(place: Places, gate: Path, command: list[str], number: int) -> None:
    running = place().start_module(*command, PYTHONPATH=str(gate))
    until_it_loads(gate, running)

    assert running.stop(number) == 0
    assert running.log == ""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reload_while_it_loads_does_not_end_it(place: Places, gate: Path, command: list[str]) -> None:
    running = place().start_module(*command, PYTHONPATH=str(gate))
    until_it_loads(gate, running)
    running.send(signal.SIGHUP)

    assert running.stop(signal.SIGTERM) == 0  # the first of two signals would else have ended it
