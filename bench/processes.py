"""The processes of a measurement: servers, the pipeline as a user starts it, and their figures from /proc (Linux)."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from infrastructure.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 30
PIPELINE = (sys.executable, "-m", "cmd.stream_consumer")


@contextmanager
def module(name: str, *arguments: str) -> Iterator[list[int]]:
    """Runs one of our own servers. Yields the numbers that it prints at its start, followed by its process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", name, *arguments], cwd=ROOT, stdout=subprocess.PIPE, env=_environment({}), text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"{name} did not start"
        yield [*map(int, line.split()), process.pid]
    finally:
        process.kill()
        process.wait(_STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()


def output_of(name: str, *arguments: str, timeout: float = 600) -> str:
    """Runs one of our own programs and returns the JSON that it prints."""
    result = subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=ROOT,
        env=_environment({}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"{name} failed:\n{result.stderr}")
    return result.stdout


def build_go_peer(directory: Path) -> Path | None:
    """The program of bench/go, built into `directory`; None if Go or the program's modules are not available."""
    if not (go := shutil.which("go")):
        return None
    program = directory / "go-peer"
    built = subprocess.run([go, "build", "-o", str(program), "."], cwd=ROOT / "bench" / "go", check=False)
    return None if built.returncode else program


class PipelineProcess:
    """The consumer or its peer. Of our settings it gets only the given variables; its log goes to a file."""

    def __init__(self, variables: Mapping[str, str], log: Path, command: Sequence[str] = PIPELINE) -> None:
        self._log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=_environment(variables),
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_begun(self) -> bool:
        """Whether it has loaded its patterns, after which it reads."""
        self.check()
        return "Loaded category patterns" in self._log.read_text(encoding="utf-8", errors="replace")

    def check(self) -> None:
        """Raises an error if the process has ended by itself."""
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"the pipeline ended with {code}:\n{self._tail()}")

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            code = self._process.wait(_STOP_SECONDS)
            if code:
                raise RuntimeError(f"the pipeline ended with {code}:\n{self._tail()}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(_STOP_SECONDS)

    def _tail(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            pids += family(int(child))
    return pids


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children, including children that have ended."""
    total = 0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        own = slice(11, 15) if member == pid else slice(11, 13)
        total += sum(map(int, fields[own]))
    return total / _TICKS


def peak_mb(pid: int) -> float:
    """The highest resident size so far (VmHWM), of the process and its children together."""
    total = 0
    for member in family(pid):
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1])
    return total / 1024


def machine_seconds() -> tuple[float, float]:
    """Busy seconds and all seconds, summed over all cores, since the start of the machine."""
    values = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = values[3] + values[4]
    return (sum(values) - idle) / _TICKS, sum(values) / _TICKS


def read_number(port: int) -> int:
    """The number that a control port answers."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        data = b""
        while received := connection.recv(64):
            data += received
    return int(data)


def wait_for(condition: object, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.002)


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    settings = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in settings}
    return kept | dict(variables)
