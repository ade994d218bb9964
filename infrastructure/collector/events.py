"""Bodies of posts as events, and events as entries of the activity stream."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from domains.collector.model import ID_BYTES, Event, Form, Position, Post, Record, event_ids
from infrastructure.spring.message_parser import KNOWN_FIELDS, ORIGIN_FIELD
from infrastructure.spring.message_spelling import MessageSpellingError, spelled, without_halves

LONGEST_ID = 200  # characters
_OF_CLIENTS = KNOWN_FIELDS - {ORIGIN_FIELD, "categorizedDataId", "pomodoroUsageLogId"}
"""The ids of documents are Spring's to give: a client that could name one could change another user's."""


class BodyError(ValueError):
    """A body is not what it has to be. The text says where, for a person."""


class TooLarge(BodyError):
    """An event is too large."""


_array = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, Any])
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def split(form: Form, body: bytes, max_event: int = 2**31) -> list[Event]:
    """The events of a body. Raises BodyError, and TooLarge if one of them has more than `max_event` bytes.

    Half a surrogate pair is "?", as Spring has it: few readers of the archive would take it.
    """
    try:
        if form is Form.LINES:
            return [_event(n, it, max_event, "line", n + 1) for n, it in enumerate(body.split(b"\n")) if it.strip()]
        if is_single(form, body):
            return [_event(0, body, max_event, "", 0)]
        try:
            items = _array.decode(body)
        except _UNREADABLE as error:
            raise BodyError(f"{_line(body, error)}{error}") from None
        return [_event(n, bytes(item), max_event, "item", n) for n, item in enumerate(items)]
    except BodyError:
        if (mended := without_halves(body)) == body:
            raise
        return split(form, mended, max_event)


def is_single(form: Form, body: bytes) -> bool:
    return form is Form.JSON and (body.startswith(b"{") or not body.lstrip().startswith(b"["))


def _event(number: int, raw: bytes, max_event: int, part: str, shown: int) -> Event:
    """`part` and `shown` say for a person where it stands; an event that is the whole body has no part."""
    if len(raw) > max_event:
        raise TooLarge(f"{_where(part, shown)}: the event is longer than {max_event:,} bytes")
    try:
        given = _object.decode(raw)
    except _UNREADABLE as error:
        where = f"{part} {shown}: " if part else _line(raw, error) or "the body: "
        text = "a text is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise BodyError(f"{where}{text}") from None
    own_id = given.get("eventId")
    if own_id is not None and not (isinstance(own_id, str) and 0 < len(own_id) <= LONGEST_ID):
        raise BodyError(f"{_where(part, shown)}: eventId must be a text of 1 to {LONGEST_ID} characters")
    return Event(number, own_id, raw, given)


def _where(part: str, shown: int) -> str:
    return f"{part} {shown}" if part else "the body"


def _line(body: bytes, error: Exception) -> str:
    """Which line of a body of several lines an error is about."""
    _, _, place = str(error).partition("(byte ")
    digits = place.partition(")")[0]
    return f"line {body.count(10, 0, int(digits)) + 1}: " if digits.isdecimal() else ""


def ids_of(instance: str, position: Position, post: Post, events: Sequence[Event]) -> list[str]:
    names = [event.name for event in events]
    return event_ids(instance, position, post.key, names, is_single(post.form, post.body))


def place_of(key: str, at: str) -> str:
    """Where in the archive an event is: the object's key, and its place in the segment."""
    return f"{key}#{at}"


def at(record: Record, event: Event) -> str:
    return f"{record.position.offset}-{event.number}"


def user_of(source: str, event: Event) -> str:
    """Whose span it is, as `stream_fields` has it."""
    user = event.given.get("userId", source)
    return user if isinstance(user, str) else stream_fields("", source, event, "").get("userId", "")


def known_ids(post: Post, events: Sequence[Event]) -> tuple[list[bytes], list[bytes]]:
    """Digests of what is remembered of a post: of its key, that there was one and with which body; of the ids that
    its client gave to events, each with its user."""
    source, key = post.source, post.key
    own = [id_digest(source or user_of("", it), it.own_id) for it in events if it.own_id is not None]
    if not key:
        return [], own
    return [id_digest(source, f"{key}\n{it}") for it in ("", blake2b(post.body, digest_size=16).hexdigest())], own


def id_digest(user: str, id_: str) -> bytes:
    """The same for the same id of the same user."""
    return blake2b(f"{user}\n{id_}".encode("utf-8", "surrogatepass"), digest_size=ID_BYTES).digest()


def stream_fields(place: str, source: str, event: Event, id_: str) -> dict[str, str]:
    """The event as an entry of the stream, with its id and its place in the archive, which its log's id is made of.

    What breaks the contract is left as it is: the pipeline makes a dead letter of it.
    """
    given = {name: it for name, it in event.given.items() if name in _OF_CLIENTS and it is not None}
    try:  # text has no lone surrogates here
        fields = {name: it if isinstance(it, str) else spelled(name, it) for name, it in given.items()}
    except (MessageSpellingError, ValueError):  # a list, an object, or a number that no double holds
        raws = _raw_object.decode(event.raw)
        fields = {name: it if isinstance(it, str) else bytes(raws[name]).decode() for name, it in given.items()}
    if source:
        fields.setdefault("userId", source)
    fields["eventId"] = id_
    fields[ORIGIN_FIELD] = place
    return fields
