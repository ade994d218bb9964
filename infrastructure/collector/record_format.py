"""How a post lies in a segment: a header, what is known about the post (JSON), and its body as it came.

The header: 4 bytes of mark, the lengths of the two parts, the receive time (Unix seconds), the CRC-32 of all this,
and the CRC-32 of the two parts; big-endian. A whole header in front of what is not whole tells what a crash has cut
off from what is damaged.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

import msgspec

from domains.collector.model import START, Form, Position, Post, Record

_MARK = b"PMC1"
_ABOUT_POST = struct.Struct(">4sHId")
_SUMS = struct.Struct(">II")
_WHOLE = struct.Struct(">4sHIdII")
_HEADER = _WHOLE.size
_ABOUT = {form: msgspec.json.encode(("", "", form)) for form in Form}
"""Of posts without a source and a key."""
_about = msgspec.json.Decoder(tuple[str, str, Form])
_known_about = {data: ("", "", form) for form, data in _ABOUT.items()}


def encode(post: Post) -> bytes:
    received, source, key, form, body = post
    about = msgspec.json.encode((source, key, form)) if source or key else _ABOUT[form]
    head = _ABOUT_POST.pack(_MARK, len(about), len(body), received)
    return b"%b%b%b%b" % (head, _SUMS.pack(crc32(head), crc32(body, crc32(about))), about, body)


class Damage(NamedTuple):
    """Bytes that are no record, from `start` to `end`."""

    start: int
    end: int


def decode(data: bytes, segment: int, offset: int, is_last: bool) -> Iterator[Record | Damage]:
    """The records in `data`, which begins at `offset` of its segment, and what is damaged between them.

    What the end of `data` cuts off is left out. `is_last` says that the segment ends there.
    """
    start = 0
    while start < len(data):
        record = _record(data, start, Position(segment, offset + start))
        if record is not None:
            yield record
            start = record.behind.offset - offset
            continue
        if _is_cut(data, start):
            return
        after = _resume(data, start + 1)
        if after is None and not is_last:
            return
        after = len(data) if after is None else after
        yield Damage(offset + start, offset + after)
        start = after


def wanted_bytes(data: bytes) -> int:
    """How long the record at the start of `data` is, as far as its header can be read."""
    header = _header(data, 0)
    return _HEADER + header[1] + header[2] if header else _HEADER


def _header(data: bytes, start: int) -> tuple[bytes, int, int, float, int, int] | None:
    """What the header at `start` says; None if there is no whole one."""
    if data[start : start + 4] != _MARK or len(data) - start < _HEADER:
        return None
    header = _WHOLE.unpack_from(data, start)
    return header if crc32(data[start : start + _ABOUT_POST.size]) == header[4] else None


def _record(data: bytes, start: int, position: Position) -> Record | None:
    """The record at `start`; None if there is no whole one."""
    if (header := _header(data, start)) is None:
        return None
    _, of_about, of_body, received, _, of_parts = header
    length = _HEADER + of_about + of_body
    if start + length > len(data):
        return None
    middle = start + _HEADER + of_about
    about, body = data[start + _HEADER : middle], data[middle : start + length]
    if crc32(body, crc32(about)) != of_parts:
        return None
    source, key, form = _known_about.get(about) or _about.decode(about)
    behind = Position(position.segment, position.offset + length)
    return Record(position, behind, Post(received, source, key, form, body))


def _is_cut(data: bytes, start: int) -> bool:
    """Whether a record lies at `start` of which `data` lacks the end."""
    if len(data) - start < _HEADER:
        return data[start : start + 4] == _MARK[: len(data) - start]
    header = _header(data, start)
    return header is not None and start + _HEADER + header[1] + header[2] > len(data)


def _resume(data: bytes, start: int) -> int | None:
    """Where the next whole record begins."""
    while (start := data.find(_MARK, start)) >= 0:
        if _record(data, start, START) is not None:
            return start
        start += 1
    return None
