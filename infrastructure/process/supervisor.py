"""Several consumers on one machine: child processes that are started again when they die."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from time import monotonic

import structlog

from domains.kernel.resilience import cancel_all, pause

SUPERVISOR_PID = "SUPERVISOR_PID"
"""Environment variable by which a child knows whose end is its own, too."""
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_WELL_AFTER = 60.0
"""Seconds: a child that lived longer was well, so its next start is not delayed by the failures before."""


class Supervisor:
    """Keeps one child a mapping of `environments` (added to our own environment) running, with backoff.

    `stop_seconds` is how long the children may take to stop before they are killed; they drain within their own
    SHUTDOWN_TIMEOUT, and what a killed one held is taken over by others.
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
        """Until `stop` is set and all children have ended. Each time `reload` is set, the children are told."""
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
                child.send_signal(signal.SIGHUP)

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
        """Starts a child and waits for its end, which it asks for once `stop` is set. Returns its exit code."""
        # a session of its own, so that Ctrl-C in a terminal reaches us alone and we pass it on, once
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
                child.send_signal(signal.SIGTERM)
                await asyncio.wait({ended}, timeout=self._stop_seconds)
        finally:
            self._children.discard(child)
            if not ended.done():
                child.kill()
            await cancel_all([stopping])
            await asyncio.wait({ended})
        return ended.result()
