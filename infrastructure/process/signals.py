"""SIGTERM and SIGINT set a stop event, and a second one ends the process at once. SIGHUP sets a reload event.

A supervisor that is killed cannot signal its children, so each child checks whether its parent is still there.
"""

import asyncio
import os
import signal

from domains.kernel.resilience import pause

_ORPHAN_SECONDS = 1.0


def stop_on_signals() -> asyncio.Event:
    """Returns the event that the first signal sets. Call this within the running loop (asyncio's or uvloop's)."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop


async def stop_when_orphaned(stop: asyncio.Event, parent: int) -> None:
    """Sets `stop` when the parent process `parent` has ended. Returns when `stop` is set."""
    while not stop.is_set():
        if os.getppid() != parent:
            stop.set()
        await pause(stop, _ORPHAN_SECONDS)


def reload_on_signal() -> asyncio.Event:
    """Returns the event that SIGHUP sets. The task that waits for it has to clear it."""
    reload = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.set)
    return reload
