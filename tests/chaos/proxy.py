"""A TCP proxy that misbehaves on command, as networks do."""

import asyncio
import contextlib
import socket
from asyncio import StreamReader, StreamWriter
from typing import Any

_CHUNK = 65_536


class FaultyProxy:
    """Forwards 127.0.0.1:`port` to `upstream`. Faults can be switched while connections are open.

    `delay`         seconds that each chunk waits, in both directions
    `refuse`        new connections are closed at once
    `drop_every`    each n-th chunk from the server is dropped, over all connections; 0: none. The connection is then
                    cut, or with `mute` stays open and silent until the client gives up: TCP never delivers bytes
                    after a gap
    """

    def __init__(self, host: str, port: int) -> None:
        self.upstream = (host, port)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.delay = 0.0
        self.refuse = False
        self.drop_every = 0
        self.mute = False
        self.dropped = 0
        self._replies = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._writers: set[StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._socket)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._socket.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Resets all open connections."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def stall(self) -> None:
        """Accepts connections and bytes, and forwards nothing until `resume`."""
        self._flowing.clear()

    def resume(self) -> None:
        """Forwards what was held back, also for clients that gave up meanwhile, as a slow network would."""
        self._flowing.set()

    def heal(self) -> None:
        self.delay, self.refuse, self.drop_every, self.mute = 0.0, False, 0, False
        self.resume()

    async def read(self, reader: StreamReader, replies: bool, connection: dict[int, Any]) -> bytes:
        """The next bytes, which are forwarded, delayed or dropped together; empty at the end.

        `connection` carries notes from one direction of a connection to the other.
        """
        return await reader.read(_CHUNK)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        up: StreamWriter | None = None
        connection: dict[int, Any] = {}
        try:
            if self.refuse:
                return
            up_reader, up = await asyncio.open_connection(*self.upstream)
            self._writers.add(up)
            requests = asyncio.create_task(self._forward(reader, up, False, connection))
            try:
                await self._forward(up_reader, writer, True, connection)
            finally:
                await _ended(requests)
        except OSError:
            pass
        except asyncio.CancelledError:
            pass  # only `close` cancels
        finally:
            for end in (writer, up):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()
            self._tasks.discard(task)

    async def _forward(
        self, reader: StreamReader, writer: StreamWriter, replies: bool, connection: dict[int, Any]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await self.read(reader, replies, connection):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flowing.wait()
                if replies and self._swallows():
                    if not self.mute:
                        return
                    while await reader.read(_CHUNK):
                        pass
                    return
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    def _swallows(self) -> bool:
        if not self.drop_every:
            return False
        self._replies += 1
        if self._replies % self.drop_every:
            return False
        self.dropped += 1
        return True


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
