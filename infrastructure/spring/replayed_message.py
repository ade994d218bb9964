"""The fields with which a dead letter's message goes back on its stream, and what they tell of its past."""

import json
from collections.abc import Collection, Mapping
from time import time

from domains.operations.model import PastReplay, StoredDeadLetter
from domains.pomodoro.model import DeadLetter
from infrastructure.spring.message_parser import KNOWN_FIELDS, ORIGIN_FIELD, MessageParser

REPLAYS_FIELD = "pomocoreReplays"
"""Set on a replayed dead letter: JSON, [parked, kind, public reason, replayed] for each time, the latest last."""

OUR_FIELDS = frozenset({ORIGIN_FIELD, REPLAYS_FIELD})

_KEPT = 10
_REASON_CHARACTERS = 200
_MOST_BYTES = 65_536
"""To a larger message nothing is added that could make it too large."""
_MOST_FIELDS = 3000
"""A script can pass on about 8,000 values."""


def replayed_fields(letter: StoredDeadLetter, changes: Mapping[str, str | None]) -> dict[str, str]:
    """`changes` are put over the letter's own fields; a field that becomes None is left out."""
    fields = {name: value for name, value in {**letter.fields, **changes}.items() if value is not None}
    if len(fields) > _MOST_FIELDS:  # fields that the contract does not know mean nothing
        fields = {name: value for name, value in fields.items() if name in KNOWN_FIELDS}
    fields[ORIGIN_FIELD] = letter.fields.get(ORIGIN_FIELD) or letter.original_id
    if letter.size <= _MOST_BYTES:
        now = PastReplay(letter.time, letter.kind, letter.public_reason[:_REASON_CHARACTERS], time())
        fields[REPLAYS_FIELD] = json.dumps([*past_replays(letter.fields)[1 - _KEPT :], now])
    return fields


def past_replays(fields: Mapping[str, str]) -> list[PastReplay]:
    """The earlier replays of a message, the oldest first; none if somebody else has written something there."""
    try:
        found = json.loads(fields.get(REPLAYS_FIELD, "[]"))
        return [PastReplay(float(a), str(b), str(c), float(d)) for a, b, c, d in found]
    except (ValueError, TypeError, RecursionError):
        return []


def first_came(letter: StoredDeadLetter) -> float | None:
    """When the message was first published (Unix seconds), as the id of its first entry has it."""
    milliseconds = (letter.fields.get(ORIGIN_FIELD) or letter.original_id).partition("-")[0]
    return int(milliseconds) / 1000 if milliseconds.isascii() and milliseconds.isdecimal() else None


def fault_of_correction(
    letter: StoredDeadLetter, changes: Mapping[str, str | None], parser: MessageParser, streams: Collection[str]
) -> str:
    """Why `changes` cannot be made or would not help, in words; empty if they make a valid message of it."""
    if letter.stream not in streams:
        return "it is a job, and no message: it can only be replayed as it is"
    if ours := OUR_FIELDS & changes.keys():
        return f"{', '.join(sorted(ours))}: not a field of the message"
    parsed = parser.parse(letter.original_id, replayed_fields(letter, changes))
    return f"it would become a dead letter again: {parsed.reason}" if isinstance(parsed, DeadLetter) else ""
