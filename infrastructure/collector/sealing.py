"""A segment as the archive gets it: gzipped JSON lines, the same bytes for the same records.

A line has eventId, receivedAt (Unix seconds), source (the user whose token it was), at (where it stands in the
segment) and event, which is what the client sent.
"""

import hashlib
import zlib
from collections.abc import Sequence

import msgspec

from domains.collector.erasures import NOBODY, Erasures
from domains.collector.model import Record, Sealed, archive_key
from infrastructure.collector.events import BodyError, at, ids_of, split, user_of
from infrastructure.collector.record_format import encode


class _Line(msgspec.Struct, rename="camel"):
    event_id: str
    received_at: float
    source: str
    at: str
    event: msgspec.Raw


def seal_records(
    instance: str, segment: int, records: Sequence[Record], damaged: int, erasures: Erasures = NOBODY
) -> Sealed:
    lines, raw = list[bytes](), list[bytes]()
    for record in records:
        try:
            lines += _lines(instance, record, erasures)
        except BodyError:  # the door has checked it, so only another version of this code can have written it
            if not erasures.cover(record.post.source, record.post.received):
                raw.append(encode(record.post))
    data = gzipped(b"".join(lines))
    meta = {
        "key": archive_key(instance, segment),
        "instance": instance,
        "segment": segment,
        "events": len(lines),
        "posts": len(records),
        "damaged": damaged,
        "unreadable": len(raw),
        "firstReceived": records[0].post.received if records else None,
        "lastReceived": records[-1].post.received if records else None,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return Sealed(data, msgspec.json.encode(meta), b"".join(raw), len(lines), damaged)


def _lines(instance: str, record: Record, erasures: Erasures) -> list[bytes]:
    post, events = record.post, split(record.post.form, record.post.body)
    ids = ids_of(instance, record.position, post, events)
    return [
        msgspec.json.encode(_Line(id_, post.received, post.source, at(record, event), _raw(event.raw))) + b"\n"
        for id_, event in zip(ids, events, strict=True)
        if not (erasures and erasures.cover(user_of(post.source, event), post.received))
    ]


def _raw(event: bytes) -> msgspec.Raw:
    """On one line: JSON has line breaks between its tokens only."""
    return msgspec.Raw(event.replace(b"\r", b" ").replace(b"\n", b" ").strip())


def gzipped(data: bytes) -> bytes:
    """With isal if it is there, which is four times as fast. No time is in it, so the bytes are always the same."""
    try:
        from isal import igzip
    except ImportError:
        deflate = zlib.compressobj(1, wbits=31)
        return deflate.compress(data) + deflate.flush()
    return bytes(igzip.compress(data, 1, mtime=0))
