"""Several consumers on one machine: child processes that are restarted when they die."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic

import structlog

from domains.kernel.resilience import cancel_all, pause

SUPERVISOR_PID = "SUPERVISOR_PID"
"""Environment variable with the supervisor's process id: a child stops when its supervisor has ended."""
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_WELL_AFTER = 60.0
"""Seconds. A child that has run for longer was healthy, so its earlier failures no longer delay its next start."""


class Supervisor:
    """Keeps a child running for each mapping in `environments`, which is added to our own environment.

    A child that dies is restarted with backoff. Children may take `stop_seconds` to stop before they are killed; they
    drain within SHUTDOWN_TIMEOUT, and other instances take over the messages of a child that was killed.
    """

    def __init__(
        self, command: Sequence[str], environments: Sequence[Mapping[str, str]], stop_seconds: float
    ) -> None:
        self._command = command
        self._environments = environments
        self._stop_seconds = stop_seconds
        self._children: set[asyncio.subprocess.Process] = set()
        self._log = structlog.stdlib.get_logger("pomocore")

    async def run(self, stop: asyncio.Event, reload: asyncio.Event) -> None:
        """Runs until `stop` is set and all children have ended.

        Passes SIGHUP on to them each time `reload` is set.
        """
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._pass_on(reload), name="reload")
            children = [
                group.create_task(self._keep(number, environment, stop), name=f"child {number}")
                for number, environment in enumerate(self._environments, 1)
            ]
            await asyncio.wait(children)
            telling.cancel()

    async def _pass_on(self, reload: asyncio.Event) -> None:
        while True:
            await reload.wait()
            reload.clear()
            for child in self._children:
                _signal(child, signal.SIGHUP)

    async def _keep(self, number: int, environment: Mapping[str, str], stop: asyncio.Event) -> None:
        delay = _FIRST_DELAY
        while not stop.is_set():
            started = monotonic()
            code = await self._run_child(environment, stop)
            if stop.is_set():
                return
            if monotonic() - started > _WELL_AFTER:
                delay = _FIRST_DELAY
            self._log.error(
                "Consumer process ended, starting it again",
                action="child_ended",
                child=number,
                code=code,
                delay=delay,
            )
            await pause(stop, delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _run_child(self, environment: Mapping[str, str], stop: asyncio.Event) -> int:
        """Starts a child, stops it once `stop` is set, and waits for its end. Returns its exit code."""
        # a session of its own: Ctrl-C in a terminal then reaches only this process, which passes it on once
        child = await asyncio.create_subprocess_exec(
            *self._command,
            env={**os.environ, **environment, SUPERVISOR_PID: str(os.getpid())},
            start_new_session=True,
        )
        self._children.add(child)
        ended = asyncio.create_task(child.wait())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                _signal(child, signal.SIGTERM)
                await asyncio.wait({ended}, timeout=self._stop_seconds)
        finally:
            self._children.discard(child)
            if not ended.done():
                _signal(child, signal.SIGKILL)
            await cancel_all([stopping])
            await asyncio.wait({ended})
        return ended.result()


def _signal(child: asyncio.subprocess.Process, number: int) -> None:
    """Sends a signal to a child that may just have ended, of which its waiter hears a moment later."""
    with suppress(ProcessLookupError):
        child.send_signal(number)
