"""How many may be connected: whoever opens sockets and leaves them must not take those that the pipeline needs."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import cast

IN_ALL = 200
OF_ONE_ADDRESS = 50


class Connections:
    """A factory of protocols that pass all on to those of `make`.

    Where there is one too many, the one makes room that has been silent for longest. `is_exempt` are addresses behind
    which there are many, such as those of proxies: of these only the number in all is bounded.
    """

    def __init__(self, make: Callable[[], asyncio.Protocol], is_exempt: Callable[[str], bool]) -> None:
        self.make = make
        self._is_exempt = is_exempt
        self._open: OrderedDict[_Connection, str] = OrderedDict()
        """{connection: address}, the one that was heard last at the end."""

    def __call__(self) -> asyncio.Protocol:
        return _Connection(self)

    def opened(self, connection: "_Connection", address: str) -> None:
        self._open[connection] = address
        same = [other for other, theirs in self._open.items() if theirs == address]
        if len(same) > OF_ONE_ADDRESS and not self._is_exempt(address):
            self._close(same[0])
        elif len(self._open) > IN_ALL:
            self._close(next(iter(self._open)))

    def heard(self, connection: "_Connection") -> None:
        if connection in self._open:
            self._open.move_to_end(connection)

    def closed(self, connection: "_Connection") -> None:
        self._open.pop(connection, None)

    def _close(self, connection: "_Connection") -> None:
        del self._open[connection]
        connection.abort()


class _Connection(asyncio.Protocol):
    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._inner = connections.make()
        self._transport: asyncio.Transport | None = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        address, *_ = transport.get_extra_info("peername") or ("",)
        self._inner.connection_made(transport)
        self._connections.opened(self, address)

    def data_received(self, data: bytes) -> None:
        self._connections.heard(self)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.closed(self)
        self._inner.connection_lost(error)
