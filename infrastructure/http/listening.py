"""The port on which HTTP is served: how it is taken, and what happens where it cannot be had."""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import structlog

from domains.kernel.resilience import pause
from infrastructure.settings import Settings, SettingsError

DEFAULT_PORT = 8080

_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_RETRY_SECONDS = 2.0
_BACKLOG = 128
_SEND_BUFFER = 65_536
"""Bytes that the kernel keeps for a client that does not read. Beyond, writing to it waits, and it is dropped."""


class Listener:
    """Takes the port at `start`, and serves by the protocols that `serve` gets, until `stop`.

    `address` is None while it has no port.
    """

    def __init__(self, settings: Settings) -> None:
        self.address: str | None = None
        self._factory: Callable[[], asyncio.Protocol] | None = None
        self._host = settings.http_host
        self._port = DEFAULT_PORT if settings.http_port is None else settings.http_port
        self._is_port_wanted = settings.http_port is not None
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._stopping = asyncio.Event()
        self._waiting: asyncio.Task[None] | None = None
        self._log = structlog.stdlib.get_logger("pomocore")

    async def start(self) -> bool:
        """Whether anything is served, or will be. Raises SettingsError where HTTP_PORT is set and somebody has it.

        An address that this machine does not have yet, or whose name is not known yet, is tried again and again: at a
        boot the network may come later than we do.
        """
        try:
            await self._listen()
        except OSError as error:
            if _may_come_later(error):
                self._log.warning(
                    "HTTP waits for its address",
                    action="http_waits",
                    host=self._host,
                    port=self._port,
                    cause=str(error),
                )
                self._waiting = asyncio.create_task(self._listen_later(), name="HTTP address")
                return True
            if self._is_port_wanted:
                raise _refused(self._host, self._port, error) from None
            reason = reason_of(error)
            self._log.warning("No HTTP: its port cannot be had", action="http", port=self._port, reason=reason)
            return False
        return True

    async def serve(self, factory: Callable[[], asyncio.Protocol]) -> None:
        """Serves those who have connected and will connect; later, if the address is not here yet."""
        self._factory = factory
        for each in self._sockets:
            self._servers.append(await asyncio.get_running_loop().create_server(factory, sock=each, backlog=_BACKLOG))
        self._sockets = []

    async def stop(self) -> None:
        self._stopping.set()
        if self._waiting is not None:
            await self._waiting
        for server in self._servers:
            server.close()
        for each in self._sockets:
            each.close()

    async def _listen_later(self) -> None:
        while self.address is None:
            await pause(self._stopping, _RETRY_SECONDS)
            if self._stopping.is_set():
                return
            try:
                await self._listen()
            except OSError as error:
                if not _may_come_later(error):
                    reason = reason_of(error)
                    self._log.error("No HTTP: its port cannot be had", action="http", port=self._port, reason=reason)
                    return

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._sockets = await loop.run_in_executor(None, _bound_sockets, self._host, self._port)
        for each in self._sockets:
            each.listen(_BACKLOG)
        if self._factory is not None:
            await self.serve(self._factory)
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.address = f"http://{host}:{self._port}"
        self._log.info("Serving the console, /healthz, /readyz and /metrics", action="http", address=self.address)


def child_ports(settings: Settings) -> list[int | None]:
    """HTTP_PORT of each of CONSUMER_PROCESSES: one behind the other where it is set, else the first alone has one.

    Raises SettingsError where one of them is taken: children that end at once would be started again and again.
    """
    if settings.http_port is None:
        return [None, *(0 for _ in range(settings.consumer_processes - 1))]
    if settings.http_port == 0:
        return [0] * settings.consumer_processes
    ports = range(settings.http_port, settings.http_port + settings.consumer_processes)
    for port in ports:
        try:
            for each in _bound_sockets(settings.http_host, port):
                each.close()
        except (OSError, OverflowError) as error:
            if not _may_come_later(error):
                raise _refused(settings.http_host, port, error) from None
    return list(ports)


def _bound_sockets(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of `host` that this machine has.

    Raises OSError where it has none of them, or somebody else has the port, and then keeps none.
    """
    with ExitStack() as stack:
        sockets: list[socket.socket] = []
        missing: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                sockets.append(stack.enter_context(_bound(socket.socket(family, kind, protocol), address)))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
        if missing is not None and not sockets:
            if host == "::":  # a kernel without IPv6
                return _bound_sockets("0.0.0.0", port)  # noqa: S104  # as was asked for
            raise missing
        stack.pop_all()
    return sockets


def _bound(each: socket.socket, address: Any) -> socket.socket:
    try:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # connections inherit it
        if each.family == socket.AF_INET6:
            # `::` stands for the addresses of both families; a name has a socket for each of its addresses
            each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        each.bind(address)
    except BaseException:
        each.close()
        raise
    return each


def _may_come_later(error: Exception) -> bool:
    return isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno in _NOT_HERE)


def _refused(host: str, port: int, error: Exception) -> SettingsError:
    return SettingsError(f"HTTP_PORT: {host}:{port}: {reason_of(error)}")


def reason_of(error: Exception) -> str:
    """Why a port cannot be had, in words."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "the port is in use"
    return str(error)
