"""The pipeline's instances as an operator runs them: processes that are controlled only by signals."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.chaos.report import Report

ROOT = Path(__file__).parents[2]
_STARTING_SECONDS = 15
"""Seconds. A younger process may not have installed its handler for SIGTERM yet."""


class Instance:
    """A consumer process and its successors. Every start writes a log of its own in `directory`."""

    def __init__(self, name: str, environment: Mapping[str, str], directory: Path, report: Report) -> None:
        self.name = name
        self._environment = environment
        self._directory = directory
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._starts = 0
        self.lock = asyncio.Lock()
        """A fault holds this while it acts on the process, so that two faults never act on the same one."""

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def logs(self) -> list[Path]:
        return sorted(self._directory.glob(f"{self.name}.*.log"))

    @property
    def resident_megabytes(self) -> float:
        """Memory with its children; 0 if it is not running, or if the system has no /proc."""
        if self._process is None:
            return 0.0
        try:
            pids = [self._process.pid, *_children(self._process.pid)]
            lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        except OSError:
            return 0.0
        return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def start(self, instance_id: str | None = None) -> None:
        self._starts += 1
        environment = {**self._environment, "INSTANCE_ID": instance_id or self.name}
        with (self._directory / f"{self.name}.{self._starts:03}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cmd.stream_consumer"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the suite's, which then ends its processes itself
            )
        self._started = time.monotonic()

    def check(self) -> None:
        """Reports an instance that has ended by itself: no fault around it may end it."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self._report.diverged(f"instance {self.name} ended by itself with exit code {code}")
            self._process = None

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    async def kill(self) -> None:
        self.check()
        if (process := self._process) is not None:
            self._process = None
            _kill(process)
            await asyncio.to_thread(process.wait)

    async def terminate(self, deadline: float) -> None:
        """Sends SIGTERM, and reports a divergence if the process does not end with 0 within `deadline` seconds."""
        self.check()
        if (process := self._process) is None:
            return
        self.resume()
        self._process = None
        young = time.monotonic() - self._started < _STARTING_SECONDS
        process.terminate()
        try:
            code = await asyncio.to_thread(process.wait, deadline)
        except subprocess.TimeoutExpired:
            _kill(process)
            await asyncio.to_thread(process.wait)
            self._report.diverged(f"instance {self.name} did not end within {deadline:.0f} s of SIGTERM")
            return
        except asyncio.CancelledError:
            _kill(process)
            raise
        if code and not (code == -signal.SIGTERM and young):
            self._report.diverged(f"instance {self.name} ended with exit code {code} after SIGTERM")

    def destroy(self) -> None:
        """Kills the process without any check, at the end of the run."""
        if self._process is not None:
            _kill(self._process)
            self._process.wait()
            self._process = None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and its children of CONSUMER_PROCESSES, which are in sessions of their own."""
    for pid in (process.pid, *_children(process.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    """None if the system has no /proc."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def base_environment(**settings: str) -> dict[str, str]:
    """The environment of a process: what it needs of this machine's, and `settings`, but no other variable."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    plain = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "TYPER_STANDARD_TRACEBACK": "1"}
    return {**kept, **plain, **settings}
