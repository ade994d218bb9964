"""Stream entries as Spring writes them, and what becomes of them. Source: contract, "In: the activity stream".

The wire is parsed here, once, and nowhere else. Anything that breaks the contract's table becomes a dead letter
with a reason in words; nothing is guessed at.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import chain
from time import time
from typing import Annotated, Literal, NamedTuple, NotRequired

from pydantic import Field, GetCoreSchemaHandler, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, core_schema
from typing_extensions import TypedDict

from domains.kernel.window import Window
from domains.leaderboard.service import BoardCalendar
from domains.pomodoro.model import (
    DeadLetter,
    DeadLetterKind,
    PomodoroPatternClassifyMessage,
    Session,
    start_of_day,
    usage_log_id,
)

ORIGIN_FIELD = "pomocoreOriginalId"
"""Set on a replayed dead letter: the entry id under which the message first came."""

_SHOWN = 80
_KEPT_OF_TOO_LARGE = 1024
LONGEST_USER_ID = 500  # characters
LONGEST_APP = 1024  # bytes
LONGEST_DATE = 64  # characters
_SHORT_APP = 64
"""Characters of a name that is never too long."""
JAVA_INT_MAX = 2**31 - 1
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def log_id_of(stream: str, entry_id: str, fields: Mapping[str, str]) -> str:
    """The id of the usage log of an entry, whether or not the entry is a message that can be accepted."""
    given = fields.get("pomodoroUsageLogId", "").lower()
    return given or usage_log_id(stream, fields.get(ORIGIN_FIELD) or entry_id)


class _Spelled:
    """A number is converted only if it is spelled as a number: no `1_000`, no spaces."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.chain_schema([core_schema.str_schema(pattern=self._pattern), handler(source)])


_Double = Annotated[float, Field(allow_inf_nan=False), _Spelled(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")]
_Int = Annotated[int, Field(ge=0, le=JAVA_INT_MAX), _Spelled(r"^\+?\d+$")]
_UserId = Annotated[str, Field(min_length=1, max_length=LONGEST_USER_ID)]
_Text = Annotated[str, Field(max_length=2**31)]  # a str without a bound is not checked for surrogates
_ObjectId = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{24}$")]
_OptionalObjectId = _ObjectId | Literal[""]


class _Identity(TypedDict):
    userId: _UserId
    session: _Int
    sessionDate: str


class _Entry(TypedDict):
    userId: _UserId
    app: NotRequired[_Text]
    title: NotRequired[_Text]
    url: NotRequired[_Text]
    duration: Annotated[_Double, Field(ge=0)]
    timestamp: _Double
    session: _Int
    sessionDate: str
    sessionMinutes: NotRequired[_Int | Literal[""]]
    isEnd: NotRequired[Literal["true", "false", ""]]
    categorizedDataId: NotRequired[_OptionalObjectId]
    pomodoroUsageLogId: NotRequired[_OptionalObjectId]


KNOWN_FIELDS = frozenset({*_Entry.__annotations__, ORIGIN_FIELD})
"""All others are ignored."""

_EXPECTED = {
    "userId": f"a text of 1 to {LONGEST_USER_ID} characters",
    "duration": "a finite number of seconds, 0 or more",
    "timestamp": "a finite number of Unix seconds",
    "session": "a whole number from 0 to 2147483647",
    "sessionMinutes": "a whole number from 0 to 2147483647",
    "isEnd": "true or false",
    "categorizedDataId": "24 hex digits",
    "pomodoroUsageLogId": "24 hex digits",
}
_TEXTS = frozenset({"app", "title", "url"})
"""Never quoted in a reason: reasons are logged, and window titles are private."""


class _Fault(ValueError):
    """What is wrong with an entry: its kind, and a sentence with `{}` where `value`, of the entry, is to stand."""

    def __init__(self, kind: DeadLetterKind, sentence: str, value: object = None) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.reason = sentence.format(repr(value))
        self.public_reason = sentence.format("…")


class MessageLimits(NamedTuple):
    """What is plausible. See the settings of the same names.

    `max_bytes` bounds the fields of one entry together; times are in seconds, `earliest` is a Unix time.
    """

    max_bytes: int
    max_duration: float
    earliest: float
    max_ahead: float


class MessageParser:
    """Turns stream entries into messages or dead letters."""

    def __init__(self, calendar: BoardCalendar, limits: MessageLimits) -> None:
        self._zone = calendar.zone
        self.limits = limits
        self._max_bytes, self._max_duration, self._earliest, self._max_ahead = limits
        self._validate = TypeAdapter(_Entry).validate_python
        self._identify = TypeAdapter(_Identity).validate_python
        self.date_of = lru_cache(4096)(self._parse_date)

    def parse(self, entry_id: str, fields: Mapping[str, str]) -> PomodoroPatternClassifyMessage | DeadLetter:
        """Never raises."""
        return self.parse_flat(entry_id, list(chain.from_iterable(fields.items())))

    def parse_flat(self, entry_id: str, flat: Sequence[str]) -> PomodoroPatternClassifyMessage | DeadLetter:
        """The same for fields as Redis sends them: name, value, name, value, …"""
        size = len("".join(flat).encode("utf-8", "surrogatepass"))
        pairs = iter(flat)
        fields = dict(zip(pairs, pairs, strict=False))
        if size > self._max_bytes:
            sentence = f"the entry is {size:,} bytes long, more than the {self._max_bytes:,} of MAX_MESSAGE_BYTES"
            cut = {name[:_SHOWN]: value[:_KEPT_OF_TOO_LARGE] for name, value in list(fields.items())[:50]}
            return self._letter(entry_id, [_Fault(DeadLetterKind.TOO_LARGE, sentence)], cut, size, truncated=True)
        try:
            return self._message(entry_id, fields, size)
        except ValidationError as error:
            return self._letter(entry_id, list(map(_fault, error.errors(include_url=False))), fields, size)
        except _Fault as fault:
            return self._letter(entry_id, [fault], fields, size)

    def _letter(
        self, entry_id: str, faults: Sequence[_Fault], fields: Mapping[str, str], size: int, truncated: bool = False
    ) -> DeadLetter:
        """A dead letter of the first fault's kind, with the reasons of them all."""
        return DeadLetter(
            entry_id,
            "; ".join(dict.fromkeys(fault.reason for fault in faults)),
            fields,
            truncated=truncated,
            size=size,
            kind=faults[0].kind,
            public_reason="; ".join(dict.fromkeys(fault.public_reason for fault in faults)),
            ends=self._ended_session(fields) if fields.get("isEnd") == "true" else None,
        )

    def _ended_session(self, fields: Mapping[str, str]) -> Session | None:
        """The session that a rejected entry closes, if its fields can be read."""
        try:
            identity = self._identify({name: fields[name] for name in ("userId", "sessionDate", "session")})
            if len(identity["sessionDate"]) > LONGEST_DATE:
                return None
            return Session(identity["userId"], self.date_of(identity["sessionDate"]), identity["session"])
        except (KeyError, ValueError):  # ValidationError and _Fault among them
            return None

    def _message(self, entry_id: str, fields: Mapping[str, str], size: int) -> PomodoroPatternClassifyMessage:
        entry = self._validate(fields)
        data_id = entry.get("categorizedDataId", "").lower() or None
        log_id = entry.get("pomodoroUsageLogId", "").lower() or None
        if (data_id is None) != (log_id is None):
            has, lacks = "categorizedDataId", "pomodoroUsageLogId"
            if data_id is None:
                has, lacks = lacks, has
            sentence = f"{has} is given without {lacks}: both are needed, or neither"
            raise _Fault(DeadLetterKind.ONE_ID, sentence)
        app, duration, timestamp, day = (
            entry.get("app", ""),
            entry["duration"],
            entry["timestamp"],
            entry["sessionDate"],
        )
        if not (
            duration <= self._max_duration
            and self._earliest <= timestamp <= time() + self._max_ahead
            and len(app) <= _SHORT_APP
            and len(day) <= LONGEST_DATE
        ):
            self._check(app, duration, timestamp, day)
        return PomodoroPatternClassifyMessage(
            entry_id,
            fields.get(ORIGIN_FIELD) or entry_id,
            entry["userId"],
            Window(app, entry.get("url", ""), entry.get("title", "")),
            duration,
            timestamp,
            entry["session"],
            self.date_of(day),
            entry.get("sessionMinutes") or 0,
            entry.get("isEnd") == "true",
            data_id,
            log_id,
            fields,
            size,
        )

    def _check(self, app: str, duration: float, timestamp: float, day: str) -> None:
        """Raises _Fault for what no real client sends."""
        if duration > self._max_duration:
            sentence = f"duration must be at most {self._max_duration:g} s (MAX_DURATION), not {{}}"
            raise _Fault(DeadLetterKind.INVALID_FIELD, sentence, duration)
        if not self._earliest <= timestamp <= time() + self._max_ahead:
            earliest = datetime.fromtimestamp(self._earliest, UTC)
            days = self._max_ahead / 86_400
            sentence = f"timestamp must lie between {earliest:%Y-%m-%d} and {days:g} days from now, not {{}}"
            raise _Fault(DeadLetterKind.INVALID_FIELD, sentence, timestamp)
        if len(app.encode()) > LONGEST_APP:
            raise _Fault(DeadLetterKind.INVALID_FIELD, f"app must be at most {LONGEST_APP} bytes long")
        if len(day) > LONGEST_DATE:  # before it gets into a cache
            raise _no_date(day)

    def _parse_date(self, text: str) -> date:
        try:
            if _ISO_DATE.fullmatch(text):
                day = date.fromisoformat(text)
            elif _RFC_3339.fullmatch(text):
                day = datetime.fromisoformat(text.upper()).astimezone(self._zone).date()
            else:
                raise ValueError
            start_of_day(day, self._zone)
        except (ValueError, OverflowError):
            raise _no_date(text) from None
        return day


def _no_date(text: str) -> _Fault:
    return _Fault(DeadLetterKind.INVALID_FIELD, "sessionDate {} is no date such as 2025-09-02", text[:_SHOWN])


def _fault(detail: ErrorDetails) -> _Fault:
    name = str(detail["loc"][0])
    if detail["type"] == "string_unicode":
        return _Fault(DeadLetterKind.NOT_UTF8, f"{name} is not valid UTF-8")
    if detail["type"] == "missing":
        return _Fault(DeadLetterKind.MISSING_FIELD, f"{name} is missing")
    shown = "" if name in _TEXTS else ", not {}"
    sentence = f"{name} must be {_EXPECTED.get(name, 'a text')}{shown}"
    return _Fault(DeadLetterKind.INVALID_FIELD, sentence, str(detail["input"])[:_SHOWN])
