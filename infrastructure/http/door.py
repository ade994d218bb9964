"""The door: its port is taken at once, and what serves there is loaded once the consumers have begun to read.

aiohttp and the routes take as long to load as all the rest of a start, and nobody asks before there is something to
see. Who connects meanwhile waits.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import structlog

from domains.kernel.resilience import cancel_all
from domains.pomodoro.consumer import PomodoroPatternConsumer
from infrastructure.http.listening import Listener
from infrastructure.operations.health import PipelineHealth

if TYPE_CHECKING:
    from infrastructure.http.api import Api

_PATIENCE_SECONDS = 1.0
"""Where Redis or the store is away, nothing is read, and the health has to be told all the same."""


@asynccontextmanager
async def open_door(
    state: PipelineHealth,
    api: "Callable[[], Api]",
    consumers: Sequence[PomodoroPatternConsumer],
    stop: asyncio.Event,
) -> AsyncIterator[str | None]:
    """Serves HTTP until the block ends, also during the drain. Yields the address, or None if nothing is served.

    Raises SettingsError if HTTP_PORT is set and not available.
    """
    state.attend(consumers, stop)
    if state.settings.http_port == 0:
        yield None
        return
    listener, closing = Listener(state.settings), asyncio.Event()
    if not await listener.start():
        yield None
        return
    serving = asyncio.create_task(_serve(listener, state, api, consumers, closing), name="HTTP")
    try:
        yield listener.address
    finally:
        closing.set()
        await serving  # first: it may be about to listen
        await listener.stop()


async def _serve(
    listener: Listener,
    state: PipelineHealth,
    api: "Callable[[], Api]",
    consumers: Sequence[PomodoroPatternConsumer],
    closing: asyncio.Event,
) -> None:
    events = [closing, *(consumer.reading for consumer in consumers)]
    waiting = {asyncio.create_task(event.wait()) for event in events}
    patience = _PATIENCE_SECONDS if consumers else 0
    await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    await cancel_all(waiting)
    if closing.is_set():
        return
    try:
        server = await asyncio.to_thread(import_module, "infrastructure.http.server")
        await server.serve(listener, state, api(), closing)
    except Exception:  # no consumer ends because of it
        log = structlog.stdlib.get_logger("pomocore")
        log.exception("HTTP has failed", action="http")
