"""A store that refuses single documents or fails over: faults that have to be caused inside the protocol.

The proxy removes the documents of users whose name begins with `refused` from inserts into `pomodoro_usage_log`, and
adds to the reply what a server with a validator would say about them.
"""

import asyncio
import struct
from asyncio import StreamReader
from typing import Any

import bson

from tests.chaos.proxy import FaultyProxy

REFUSED = "refused"
NOT_PRIMARY: dict[str, Any] = {"ok": 0.0, "errmsg": "not primary", "code": 10107, "codeName": "NotWritablePrimary"}
"""Nothing was written."""

NO_MAJORITY: dict[str, Any] = {
    "writeConcernError": {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out"}
}
"""It was written here, and may be rolled back."""

_WRITES = ("insert", "update")
_OP_MSG = 2013
_VALIDATION_FAILED = 121


class StoreProxy(FaultyProxy):
    """FaultyProxy that can also refuse single writes while `refusing` is set, or answer all writes with an error."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.refusing = False
        self.refused = 0
        self.writes_fail_with: dict[str, Any] | None = None

    def heal(self) -> None:
        super().heal()
        self.refusing = False
        self.writes_fail_with = None

    async def read(self, reader: StreamReader, replies: bool, connection: dict[int, Any]) -> bytes:
        """One complete message, changed if necessary.

        `connection` holds the change of a reply by the request's id. Ids are unique only within a connection: PyMongo
        draws them from C's rand() without a seed, so all processes use the same ones.
        """
        try:
            header = await reader.readexactly(16)
            length, request_id, response_to, code = struct.unpack("<iiii", header)
            body = await reader.readexactly(length - 16)
        except asyncio.IncompleteReadError:
            return b""
        if code != _OP_MSG:
            return header + body
        if replies:
            body = _changed_reply(connection.pop(response_to, None), body)
        elif self.writes_fail_with is not None:
            body = _failing_request(connection, request_id, body, self.writes_fail_with)
        elif self.refusing:
            body = self._changed_request(connection, request_id, body)
        return struct.pack("<iiii", len(body) + 16, request_id, response_to, code) + body

    def _changed_request(self, connection: dict[int, Any], request_id: int, body: bytes) -> bytes:
        command, documents = _parse(body)
        if command.get("insert") != "pomodoro_usage_log" or not documents:
            return body
        decoded = [bson.decode(document).get("userId", "") for document in documents]
        refused = [i for i, user in enumerate(decoded) if user.startswith(REFUSED)]
        if not refused:
            return body
        self.refused += len(refused)
        kept = [i for i in range(len(documents)) if i not in refused]
        connection[request_id] = (refused, kept)
        if not kept:  # an insert of nothing is an error of its own: ask something harmless instead
            return _ping(body, command)
        return body[:4] + b"\0" + bson.encode(command) + _section([documents[i] for i in kept])


def _failing_request(connection: dict[int, Any], request_id: int, body: bytes, failure: dict[str, Any]) -> bytes:
    command, _ = _parse(body)
    if not any(name in command for name in _WRITES):
        return body
    connection[request_id] = failure
    return _ping(body, command) if failure is NOT_PRIMARY else body


def _changed_reply(change: Any, body: bytes) -> bytes:
    """The changed reply. `change` has fields to add, or the documents refused and sent; None changes nothing."""
    if change is None:
        return body
    answer, _ = _parse(body)
    if isinstance(change, dict):
        return body[:4] + b"\0" + bson.encode({**answer, **change})
    if not answer.get("ok"):
        return body
    refused, kept = change
    errors = [{**error, "index": kept[error["index"]]} for error in answer.get("writeErrors", ())]
    errors += [
        {"index": i, "code": _VALIDATION_FAILED, "errmsg": "Document failed validation (chaos)"} for i in refused
    ]
    answer = {**answer, "n": len(kept), "writeErrors": sorted(errors, key=lambda error: error["index"])}
    return body[:4] + b"\0" + bson.encode(answer)


def _parse(body: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The command of an OP_MSG without checksum, and the encoded documents that follow it."""
    at, command, documents = 4, {}, []
    while at < len(body):
        kind, at = body[at], at + 1
        (size,) = struct.unpack_from("<i", body, at)
        if kind == 0:
            command = bson.decode(body[at : at + size])
        else:
            inner = body.index(b"\0", at + 4) + 1
            while inner < at + size:
                (length,) = struct.unpack_from("<i", body, inner)
                documents.append(body[inner : inner + length])
                inner += length
        at += size
    return command, documents


def _ping(body: bytes, command: dict[str, Any]) -> bytes:
    """A harmless request in place of one that the server must not see."""
    return body[:4] + b"\0" + bson.encode({"ping": 1, "$db": command["$db"]})


def _section(documents: list[bytes]) -> bytes:
    content = b"documents\0" + b"".join(documents)
    return b"\1" + struct.pack("<i", len(content) + 4) + content
