"""Objects of the archive as spans with the category that the rules of now give them. Both engines run this."""

import zlib
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import msgspec

from domains.collector.model import Event, Form, stem_of
from domains.kernel.errors import PipelineError
from domains.leaderboard.service import BoardCalendar
from domains.patternClassifier.snapshot import PatternSnapshot
from domains.pomodoro.model import DeadLetter, usage_log_id
from domains.replay.service import DamagedObject, ReplayedSpan, Wanted
from infrastructure.collector.events import id_digest, place_of, split, stream_fields
from infrastructure.redis.keys import StreamKeys
from infrastructure.redis.publisher import partition_of
from infrastructure.spring.message_parser import MessageParser

PREFIX = "collect/"
_CHUNK = 1_048_576
_DAY = 86_400


class ArchivedLine(msgspec.Struct, rename="camel"):
    """A line of an object (see `infrastructure.collector.sealing`)."""

    event_id: str
    received_at: float
    source: str
    at: str
    event: msgspec.Raw

    @classmethod
    def of(cls, line: bytes) -> "ArchivedLine":
        return _decoder.decode(line)


_decoder = msgspec.json.Decoder(ArchivedLine)


def may_hold(key: str, first: date) -> bool:
    """Whether an object can have spans from `first` on: nothing is received before it has happened.

    A day is left for zones, and one for clocks that are ahead.
    """
    text = key.partition("date=")[2][:10]
    return text >= (first - timedelta(days=2)).isoformat()


class SpanReader:
    """Reads objects. It is built anew in each process of a cluster, from what can be sent there."""

    def __init__(
        self,
        snapshot: PatternSnapshot,
        parser: MessageParser,
        calendar: BoardCalendar,
        partitions: Sequence[StreamKeys],
    ) -> None:
        self._snapshot = snapshot
        self._parser = parser
        self._calendar = calendar
        self._partitions = partitions

    def spans(self, key: str, data: bytes, wanted: Wanted) -> Iterator[ReplayedSpan | DamagedObject]:
        try:
            yield from self._spans(key, data, wanted)
        except Damaged as damage:
            yield DamagedObject(key, damage.reason)

    def _spans(self, key: str, data: bytes, wanted: Wanted) -> Iterator[ReplayedSpan]:
        stem = stem_of(key)
        for _, archived, event in lines_of(key, data):
            fields = stream_fields(place_of(key, archived.at), archived.source, event, archived.event_id)
            message = self._parser.parse("0-0", fields)
            if isinstance(message, DeadLetter) or wanted.user_id not in (None, message.user_id):
                continue
            if wanted.erasures.cover(message.user_id, archived.received_at):
                continue
            if not wanted.first <= self._calendar.day(message.timestamp) <= wanted.last:
                continue
            decided = self._snapshot.by_rules(message.window) or self._snapshot.fallback(message.window)
            stream = partition_of(message.user_id, self._partitions).stream
            log_id = usage_log_id(stream, message.origin_id)
            same = 0 if archived.event_id.startswith(stem) else _number_of(message.user_id, archived.event_id)
            day = int(archived.received_at // _DAY)
            yield ReplayedSpan(log_id, message.user_id, decided.category, message.duration, same, day)


def _number_of(user: str, id_: str) -> int:
    """The same for the same id of the same user: 64 bits, and not 0."""
    return int.from_bytes(id_digest(user, id_)[:8], signed=True) or 1


class Damaged(PipelineError):
    """An object of the archive cannot be read to its end."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key} in the archive is damaged: {reason}")
        self.reason = reason


def lines_of(key: str, data: bytes) -> Iterator[tuple[bytes, ArchivedLine, Event]]:
    """Raises Damaged, once what stands before the damage has come."""
    try:
        for line in _inflated(data):
            archived = ArchivedLine.of(line)
            (event,) = split(Form.JSON, bytes(archived.event))
            yield line, archived, event
    except (zlib.error, msgspec.MsgspecError, ValueError) as cause:
        raise Damaged(key, str(cause)) from cause


def _inflated(data: bytes) -> Iterator[bytes]:
    inflate, rest, cut = zlib.decompressobj(wbits=31), data, b""
    while rest and not inflate.eof:
        *lines, cut = (cut + inflate.decompress(rest, _CHUNK)).split(b"\n")
        rest = inflate.unconsumed_tail
        yield from lines
    if cut:
        yield cut
    if not inflate.eof:
        raise zlib.error("it is cut off")
