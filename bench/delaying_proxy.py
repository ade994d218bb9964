"""A network of a given round trip in front of servers, which also counts the round trips.

python -m bench.delaying_proxy ROUND_TRIP_MS HOST:PORT …    prints the ports that stand for them, and a control port

All bytes that arrive together are delayed by half of the round trip, in each direction and in order. The proxy counts
a round trip for each request that is the first on its connection or follows a reply: a waiting client pays for these,
whether it sent one command or a pipeline of them. The control port answers each connection with the count so far.

It uses select(), since the timeouts of epoll, and so the timers of uvloop and asyncio, are whole milliseconds.
"""

import asyncio
import selectors
import sys
from collections import deque
from contextlib import suppress
from typing import Any


class Network:
    def __init__(self, one_way: float) -> None:
        self.one_way = one_way
        self.round_trips = 0


class _Way:
    """One direction of one connection."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._under_way: deque[tuple[float, bytes]] = deque()
        self.exit: Any = None

    def send(self, data: bytes) -> None:
        if not self._network.one_way and self.exit is not None and not self._under_way:
            self.exit.write(data)
            return
        self._under_way.append((self._loop.time() + self._network.one_way, data))
        if len(self._under_way) == 1 and self.exit is not None:
            self.arrive()

    def arrive(self) -> None:
        while self._under_way:
            due, data = self._under_way[0]
            if due > self._loop.time():
                self._loop.call_at(due, self.arrive)
                return
            self._under_way.popleft()
            self.exit.write(data)


class _End(asyncio.Protocol):
    """One end of a connection. Bytes that arrive here go out at the other end, `onward`."""

    def __init__(self, onward: _Way, back: _Way) -> None:
        self._onward, self._back = onward, back

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._back.exit = transport
        self._back.arrive()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._onward.exit is not None:
            self._onward.exit.close()

    def data_received(self, data: bytes) -> None:
        self._onward.send(data)


class _ServerEnd(_End):
    replied = True

    def data_received(self, data: bytes) -> None:
        self.replied = True
        super().data_received(data)


class _ClientEnd(_End):
    def __init__(self, network: Network, host: str, port: int) -> None:
        super().__init__(_Way(network), _Way(network))
        self._network = network
        self._server = _ServerEnd(self._back, self._onward)
        self._address = host, port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._connecting = loop.create_task(loop.create_connection(lambda: self._server, *self._address))

    def data_received(self, data: bytes) -> None:
        if self._server.replied:
            self._server.replied = False
            self._network.round_trips += 1
        super().data_received(data)


async def serve(one_way: float, targets: list[str]) -> None:
    network = Network(one_way)
    loop = asyncio.get_running_loop()
    ports = []
    for target in targets:
        host, _, port = target.rpartition(":")
        server = await loop.create_server(lambda h=host, p=int(port): _ClientEnd(network, h, p), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(network.round_trips).encode())
        writer.close()

    control = await asyncio.start_server(tell, "127.0.0.1", 0)
    print(*ports, control.sockets[0].getsockname()[1], flush=True)
    await control.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())).run(
            serve(float(sys.argv[1]) / 2000, sys.argv[2:])
        )
