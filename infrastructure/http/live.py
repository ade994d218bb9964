"""The state of the pipeline every second: one task reads it, and all listeners get it."""

import asyncio
from contextlib import suppress
from time import time

import structlog
from aiohttp import web

from domains.kernel.errors import RedisOutage
from domains.kernel.resilience import pause
from infrastructure.http.endpoint import EVENT_STREAM, json_text
from infrastructure.http.schemas import State
from infrastructure.operations.health import PipelineHealth

LISTENERS = 50

_EVERY_SECONDS = 1.0
_HEARTBEAT_SECONDS = 10.0
_PATIENCE_SECONDS = 10.0


class Live:
    """Listeners get events while `run` is running. It asks Redis and the store only while somebody listens."""

    def __init__(self, state: PipelineHealth) -> None:
        self._state = state
        self._listeners = 0
        self._latest = b""
        self._seen = asyncio.Event()
        self._closing = asyncio.Event()

    @property
    def listeners(self) -> int:
        return self._listeners

    async def document(self) -> State:
        settings, now = self._state.settings, time()
        described = {"time": now, "taken": now, "instance": settings.consumer_name, "llm": settings.asks_llm}
        return State.model_validate(described | {"metrics": {}} | await self._state.snapshot())

    async def run(self, closing: asyncio.Event) -> None:
        """Reads the state every second until `closing` is set. Errors here stop nothing else."""
        while not closing.is_set():
            try:
                await self._look()
            except Exception:
                structlog.stdlib.get_logger("pomocore").exception("No figures for the console", action="console")
            await pause(closing, _EVERY_SECONDS)

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """Sends server-sent events: a `state` each second, and `end` when the server stops."""
        if self._listeners >= LISTENERS:
            raise web.HTTPServiceUnavailable(text=f"{LISTENERS} listen already", headers={"Retry-After": "10"})
        response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no"})
        self._listeners += 1
        try:
            await response.prepare(request)
            await self._tell(response)
        except (ConnectionError, TimeoutError):  # the listener has gone, or is too slow
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._listeners -= 1
        return response

    async def end(self, app: web.Application) -> None:
        """Ends all listeners."""
        self._closing.set()
        self._seen.set()

    async def _tell(self, response: web.StreamResponse) -> None:
        while not self._closing.is_set():
            seen = self._seen
            try:
                async with asyncio.timeout(_HEARTBEAT_SECONDS):
                    await seen.wait()
            except TimeoutError:
                await _write(response, b": still here\n\n")
                continue
            if not self._closing.is_set():
                await _write(response, _event("state", self._latest))
        await _write(response, _event("end", b"{}"))

    async def _look(self) -> None:
        if not self._listeners:
            return
        with suppress(RedisOutage):  # the checks report the outage
            await self._state.refresh()
        self._latest = json_text(await self.document()).encode()
        seen, self._seen = self._seen, asyncio.Event()
        seen.set()


async def _write(response: web.StreamResponse, event: bytes) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await response.write(event)


def _event(name: str, data: bytes) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
