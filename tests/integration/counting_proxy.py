"""A TCP proxy that records the commands on the wire. It parses the protocols and does not rely on a driver.

It runs in its own threads, since Motor's `close` talks to the server while it blocks the event loop.
"""

import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Framing = Callable[[bytearray], list[str]]
"""Removes the complete commands from a client's buffer and returns their names."""

_OP_MSG = 2013
_NOT_OF_THE_PIPELINE = frozenset({"hello", "ismaster", "isMaster", "endSessions", "legacy"})
"""Commands by which a MongoDB driver maintains its connections, at its own intervals."""


@dataclass
class CountingProxy:
    address: str
    commands: list[str] = field(default_factory=list)

    def counted(self) -> Counter[str]:
        """The commands since the last call. A command is recorded before the server can answer it."""
        counted, self.commands[:] = Counter(self.commands), []
        return counted


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextmanager
def counting_proxy(
    host: str, port: int, framing: Framing, reply: Callable[[bytes], bytes] = bytes
) -> Iterator[CountingProxy]:
    """`reply` may change what the server replies, as long as it keeps its length."""
    open_sockets: set[socket.socket] = set()

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, port)) as upstream:
                open_sockets.update((self.request, upstream))
                answers = threading.Thread(target=_pump, args=(upstream, self.request, reply), daemon=True)
                answers.start()
                buffer = bytearray()

                def watch(sent: bytes) -> bytes:
                    buffer.extend(sent)
                    proxy.commands.extend(framing(buffer))
                    return sent

                _pump(self.request, upstream, watch)
                answers.join()

    with _Server(("127.0.0.1", 0), Connection) as server:
        proxy = CountingProxy(f"127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield proxy
        finally:
            server.shutdown()
            for end in open_sockets:
                _hang_up(end)


def _pump(source: socket.socket, target: socket.socket, passing: Callable[[bytes], bytes]) -> None:
    """Forwards bytes until one side closes its connection, and then closes the other."""
    with suppress(OSError):
        while sent := source.recv(1 << 16):
            target.sendall(passing(sent))
    for end in (source, target):
        _hang_up(end)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def redis_commands(buffer: bytearray) -> list[str]:
    """RESP: `*<arguments>`, then for each argument `$<length>` and that many bytes."""
    names = []
    while (command := _resp_command(buffer)) is not None:
        name, end = command
        names.append(name)
        del buffer[:end]
    return names


def _resp_command(buffer: bytearray) -> tuple[str, int] | None:
    """The name of the first command and the offset of its end; None if it is not complete yet."""
    end = buffer.find(b"\r\n")
    if end < 0:
        return None
    assert buffer[:1] == b"*", f"no RESP command: {bytes(buffer[:40])!r}"
    arguments, position, name = int(buffer[1:end]), end + 2, ""
    for index in range(arguments):
        end = buffer.find(b"\r\n", position)
        if end < 0:
            return None
        start, position = end + 2, end + 4 + int(buffer[position + 1 : end])
        if position > len(buffer):
            return None
        if index == 0:
            name = buffer[start : position - 2].decode().upper()
    return name, position


def mongo_commands(buffer: bytearray) -> list[str]:
    """OP_MSG: 16 bytes of header that begin with the length, then flags, then a document; its first name counts."""
    names = []
    while len(buffer) >= 16 and len(buffer) >= (length := int.from_bytes(buffer[:4], "little")):
        names.append(_mongo_name(buffer[:length]))
        del buffer[:length]
    return [name for name in names if name not in _NOT_OF_THE_PIPELINE]


def _mongo_name(message: bytearray) -> str:
    if int.from_bytes(message[12:16], "little") != _OP_MSG:
        return "legacy"  # the handshake of old
    assert message[20] == 0, "the first section is the command"
    return message[26 : message.index(0, 26)].decode()
