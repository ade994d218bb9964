"""A MongoDB that acknowledges at once and keeps nothing, so that only our own cost is measured.

python -m bench.mongo_stand_in    prints its port, serves until it is killed

Of each request it reads only the lengths and the name of the command. `find` returns no documents, except for
`category_pattern`, where it returns the default patterns. `serverStatus` has the number of requests, as a real
server's.
"""

import asyncio
from contextlib import suppress
from struct import Struct
from typing import Any

import bson
from bson import Int64, ObjectId

from infrastructure.patterns.pattern_file import default_patterns

_HEADER = Struct("<iiii")
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_OF_THE_DRIVER = frozenset({b"hello", b"isMaster", b"ismaster", b"ping", b"endSessions", b"serverStatus"})
"""Commands by which a driver maintains its connections; they are not counted."""

_HELLO = {
    "isWritablePrimary": True,
    "ismaster": True,
    "helloOk": True,
    "maxBsonObjectSize": 16_777_216,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "logicalSessionTimeoutMinutes": 30,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "readOnly": False,
    "ok": 1.0,
}


def _cursor(name: str, documents: list[dict[str, Any]]) -> bytes:
    return bson.encode({"cursor": {"id": Int64(0), "ns": f"pomocore.{name}", "firstBatch": documents}, "ok": 1.0})


def _patterns() -> bytes:
    return _cursor(
        "category_pattern",
        [
            {
                "_id": ObjectId(pattern.id),
                "category": pattern.category,
                "priority": pattern.priority,
                "appPatterns": list(pattern.app_patterns),
                "domainPatterns": list(pattern.domain_patterns),
            }
            for pattern in default_patterns()
        ],
    )


_HELLO_REPLY = bson.encode(_HELLO)
_WRITTEN = bson.encode({"ok": 1.0, "n": 1, "nModified": 1})
_NOTHING_FOUND = _cursor("categorized_data", [])
_PATTERNS = _patterns()


class MongoStandIn:
    def __init__(self) -> None:
        self.requests = 0

    def answer(self, message: bytes | memoryview, opcode: int) -> bytes:
        """The document of a reply."""
        if opcode == _OP_QUERY:
            return _HELLO_REPLY  # the legacy handshake
        name, start = _command(bytes(message[:200]))
        self.requests += name not in _OF_THE_DRIVER
        if name in (b"hello", b"isMaster", b"ismaster"):
            return _HELLO_REPLY
        if name == b"find":
            wants_patterns = bytes(message[start + 4 : start + 20]) == b"category_pattern"
            return _PATTERNS if wants_patterns else _NOTHING_FOUND
        if name == b"serverStatus":
            return bson.encode({"network": {"numRequests": self.requests}, "ok": 1.0})
        if name == b"buildInfo":
            return bson.encode({"version": "7.0.0", "versionArray": [7, 0, 0, 0], "ok": 1.0})
        return _WRITTEN


def _command(head: bytes) -> tuple[bytes, int]:
    """The name of an OP_MSG's command and the offset of its value, behind flags, kind, length, type and name."""
    if head[20] != 0:
        raise ValueError("the first section is not a document")
    end = head.index(0, 26)
    return head[26:end], end + 1


class _Connection(asyncio.Protocol):
    def __init__(self, server: MongoStandIn) -> None:
        self._server = server
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 16:
            length, request_id, _, opcode = _HEADER.unpack_from(buffer)
            if len(buffer) < length:
                return
            document = self._server.answer(bytes(buffer[: min(length, 256)]), opcode)
            del buffer[:length]
            self._transport.write(_framed(document, request_id, opcode))


def _framed(document: bytes, request_id: int, opcode: int) -> bytes:
    if opcode == _OP_QUERY:
        body = Struct("<iqii").pack(0, 0, 0, 1) + document
        return _HEADER.pack(16 + len(body), 0, request_id, _OP_REPLY) + body
    return _HEADER.pack(21 + len(document), 0, request_id, _OP_MSG) + b"\0\0\0\0\0" + document


async def serve() -> None:
    stand_in = MongoStandIn()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(stand_in), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt), suppress(ImportError):
        import uvloop

        uvloop.run(serve())
