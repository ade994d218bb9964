"""A store that refuses single documents: the one fault that has to be caused inside the protocol.

Between an instance and the server, inserts into `pomodoro_usage_log` lose the documents of users whose name begins
with `refused`, and the answer says of them what a server with a validator would say.
"""

import asyncio
import struct
from asyncio import StreamReader
from typing import Any

import bson

from tests.chaos.proxy import FaultyProxy

REFUSED = "refused"
_OP_MSG = 2013
_VALIDATION_FAILED = 121


class StoreProxy(FaultyProxy):
    """FaultyProxy that can also refuse single writes, while `refusing` is set."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.refusing = False
        self.refused = 0
        self._answers: dict[int, tuple[list[int], list[int]]] = {}

    def heal(self) -> None:
        super().heal()
        self.refusing = False

    async def read(self, reader: StreamReader, replies: bool) -> bytes:
        """One whole message, changed where it has to be."""
        try:
            header = await reader.readexactly(16)
            length, request_id, response_to, code = struct.unpack("<iiii", header)
            body = await reader.readexactly(length - 16)
        except asyncio.IncompleteReadError:
            return b""
        if code != _OP_MSG:
            return header + body
        if replies:
            body = self._changed_reply(response_to, body)
        elif self.refusing:
            body = self._changed_request(request_id, body)
        return struct.pack("<iiii", len(body) + 16, request_id, response_to, code) + body

    def _changed_request(self, request_id: int, body: bytes) -> bytes:
        command, documents = _parse(body)
        if command.get("insert") != "pomodoro_usage_log" or not documents:
            return body
        decoded = [bson.decode(document).get("userId", "") for document in documents]
        refused = [i for i, user in enumerate(decoded) if user.startswith(REFUSED)]
        if not refused:
            return body
        self.refused += len(refused)
        kept = [i for i in range(len(documents)) if i not in refused]
        self._answers[request_id] = (refused, kept)
        if not kept:  # an insert of nothing is an error of its own: ask something harmless instead
            command = {"ping": 1, "$db": command["$db"]}
            return body[:4] + b"\0" + bson.encode(command)
        return body[:4] + b"\0" + bson.encode(command) + _section([documents[i] for i in kept])

    def _changed_reply(self, response_to: int, body: bytes) -> bytes:
        if response_to not in self._answers:
            return body
        refused, kept = self._answers.pop(response_to)
        answer, _ = _parse(body)
        if not answer.get("ok"):
            return body
        errors = [{**error, "index": kept[error["index"]]} for error in answer.get("writeErrors", ())]
        errors += [
            {"index": i, "code": _VALIDATION_FAILED, "errmsg": "Document failed validation (chaos)"} for i in refused
        ]
        answer = {**answer, "n": len(kept), "writeErrors": sorted(errors, key=lambda error: error["index"])}
        return body[:4] + b"\0" + bson.encode(answer)


def _parse(body: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The command of an OP_MSG without checksum, and the documents that follow it, as they are."""
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


def _section(documents: list[bytes]) -> bytes:
    content = b"documents\0" + b"".join(documents)
    return b"\1" + struct.pack("<i", len(content) + 4) + content
