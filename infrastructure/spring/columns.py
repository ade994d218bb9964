"""Parses the entries of a read by columns: in less than half of the time that one by one takes.

The entries of a read nearly always have the same fields in the same order. So they are transposed, and each field of
all of them is checked and converted in one call. `MessageParser` is the specification: what a column accepts, it
accepts as the same value, and whatever a column does not accept is parsed by it, one by one. An entry goes that way
alone: where a column refuses, its values are tried one by one, and only the entries of refused ones are left out.

| column | accepts | beyond that |
|---|---|---|
| userId | UTF-8 of 1 to 500 bytes | longer texts of up to 500 characters |
| app | UTF-8 of up to 1,024 bytes | nothing |
| title, url, unknown fields | UTF-8 | unknown fields that are none |
| duration, timestamp | numbers as in JSON, without a sign, within the limits | `+1`, `.5`, `1.`, `01`, `-0` |
| session, sessionMinutes | ASCII digits up to 2147483647; the latter also empty | `+1` |
| sessionDate | what `MessageParser` reads as a date | nothing |
| isEnd | `true`, `false`, empty | nothing |
| the two ids | both 24 hex digits, or both empty | nothing |

Not at all by columns: entries with a field twice, with a name that is no UTF-8, or that are too large.

Traps: JSON reads `-0` as `0` and allows blanks between numbers, so characters are checked first. `bytes.fromhex`
skips blanks, `unhexlify` does not. 0xFF stands in no UTF-8, and may separate fields as long as all are UTF-8.
"""

from binascii import unhexlify
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from itertools import compress, repeat
from time import time
from typing import Any

from msgspec import json

from domains.kernel.window import Window
from domains.pomodoro.model import DeadLetter, PomodoroPatternClassifyMessage
from infrastructure.spring.message_parser import (
    JAVA_INT_MAX,
    LONGEST_APP,
    LONGEST_DATE,
    LONGEST_USER_ID,
    ORIGIN_FIELD,
    MessageParser,
)

RawEntry = tuple[bytes, Sequence[bytes]]
"""An id, and names and values in turns, as Redis sends them."""

Parsed = PomodoroPatternClassifyMessage | DeadLetter

_Converter = Callable[[Sequence[bytes]], list[Any]]
"""Converts the values of one field. Raises ValueError or KeyError unless all of them are plainly good."""

_FEW = 5
"""So few entries are parsed sooner one by one."""
_PAUSE = 15
"""Batches for which columns are not tried, after one of which they had refused more than half."""
_SEPARATOR = b"\xff"
_REQUIRED = frozenset({b"userId", b"duration", b"timestamp", b"session", b"sessionDate"})
_ORIGIN = ORIGIN_FIELD.encode()
_OF_NUMBERS = b"0123456789+-.eE,"
_FLAGS = {b"true": True, b"false": False, b"": False}
_REFUSALS = (ValueError, KeyError)  # msgspec's errors and UnicodeDecodeError are ValueErrors
_numbers = json.Decoder(list[float]).decode
_window = partial(tuple.__new__, Window)


def _lenient(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


_SEPARATED = _lenient(_SEPARATOR)


class PackedFields(Mapping[str, str]):
    """The fields of an entry in one piece, taken apart when they are asked for: only dead letters need them."""

    __slots__ = ("_packed",)

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def __getitem__(self, name: str) -> str:
        return self._fields()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields())

    def __len__(self) -> int:
        return len(self._fields())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.encode() in self._packed and name in self._fields()

    def _fields(self) -> dict[str, str]:
        texts = _lenient(self._packed).split(_SEPARATED)
        return dict(zip(texts[::2], texts[1::2], strict=True))


class ColumnParser:
    """Parses whole reads. What comes out is what `parser` makes of each entry."""

    def __init__(self, parser: MessageParser) -> None:
        self._parser = parser
        self._limits = parser.limits
        self._pause = 0
        self._converters: dict[bytes, _Converter] = {
            b"userId": _users,
            b"app": _apps,
            b"duration": self._durations,
            b"timestamp": self._timestamps,
            b"session": partial(_repeated, _int),
            b"sessionDate": partial(_repeated, self._date),
            b"sessionMinutes": partial(_repeated, _int_or_nothing),
            b"isEnd": partial(_repeated, _FLAGS.__getitem__),
            b"categorizedDataId": _document_ids,
            b"pomodoroUsageLogId": _document_ids,
        }

    def parse(self, entries: Sequence[RawEntry]) -> list[Parsed]:
        """Messages and dead letters in the order of the entries. Never raises."""
        if len(entries) < _FEW or self._pause:
            self._pause = max(0, self._pause - 1)
            return list(map(self._one, entries))
        parsed: dict[int, Parsed] = {}
        for places in _alike(entries):
            self._add(entries, places, parsed)
        if len(parsed) < len(entries) / 2:
            self._pause = _PAUSE
        return [parsed.get(place) or self._one(entry) for place, entry in enumerate(entries)]

    def _one(self, entry: RawEntry) -> Parsed:
        entry_id, flat = entry
        texts = _lenient(_SEPARATOR.join(flat)).split(_SEPARATED)  # cheaper than one by one
        if len(texts) != len(flat):
            texts = list(map(_lenient, flat))
        return self._parser.parse_flat(entry_id.decode(), texts)

    def _add(self, entries: Sequence[RawEntry], places: Sequence[int], parsed: dict[int, Parsed]) -> None:
        """Adds the messages of those entries at `places`, all with the same fields, that are plainly good."""
        while len(places) >= _FEW:
            try:
                messages = self._messages([entries[place] for place in places])
                parsed.update(zip(places, messages, strict=True))
                return
            except _Refused as refused:
                if all(refused.left):
                    return
                places = list(compress(places, refused.left))
            except ValueError:  # columns that do not fit together: a fault in here must not stop a consumer
                return

    def _messages(self, entries: Sequence[RawEntry]) -> list[PomodoroPatternClassifyMessage]:
        """Raises _Refused if any of them is not plainly good."""
        ids, flats = zip(*entries, strict=True)
        columns = list(zip(*flats, strict=True))
        values = {column[0]: column_of for column, column_of in zip(columns[::2], columns[1::2], strict=True)}
        packed = list(map(_SEPARATOR.join, flats))
        sizes = [len(each) + 1 - len(columns) for each in packed]
        good = self._converted(values, sizes)
        count = len(ids)
        nothing, none = [""] * count, [None] * count
        data_ids, log_ids = good.get(b"categorizedDataId", none), good.get(b"pomodoroUsageLogId", none)
        if None in data_ids or None in log_ids:
            _check([(data is None) == (log is None) for data, log in zip(data_ids, log_ids, strict=True)])
        entry_ids = list(map(bytes.decode, ids))
        origins = good.get(_ORIGIN, entry_ids)
        windows = zip(good.get(b"app", nothing), good.get(b"url", nothing), good.get(b"title", nothing), strict=True)
        return list(
            map(
                PomodoroPatternClassifyMessage,
                entry_ids,
                [origin or own for origin, own in zip(origins, entry_ids, strict=True)],
                good[b"userId"],
                map(_window, windows),
                good[b"duration"],
                good[b"timestamp"],
                good[b"session"],
                good[b"sessionDate"],
                good.get(b"sessionMinutes", repeat(0)),
                good.get(b"isEnd", repeat(False)),
                data_ids,
                log_ids,
                map(PackedFields, packed),
                sizes,
            )
        )

    def _converted(self, values: Mapping[bytes, Sequence[bytes]], sizes: Sequence[int]) -> dict[bytes, list[Any]]:
        """Every column by its field. Raises _Refused after it has looked at all of them."""
        good: dict[bytes, list[Any]] = {}
        left = [size <= self._limits.max_bytes for size in sizes] if max(sizes) > self._limits.max_bytes else None
        for name, column in values.items():
            convert = self._converters.get(name, _texts)
            try:
                good[name] = convert(column)
            except _REFUSALS:
                left = [
                    so_far and _takes(convert, value)
                    for so_far, value in zip(left or repeat(True), column, strict=False)
                ]
        if left is not None:
            raise _Refused(left)
        return good

    def _durations(self, column: Sequence[bytes]) -> list[float]:
        seconds = _doubles(column)
        if max(seconds) > self._limits.max_duration:
            raise ValueError
        return seconds

    def _timestamps(self, column: Sequence[bytes]) -> list[float]:
        seconds = _doubles(column)
        if min(seconds) < self._limits.earliest or max(seconds) > time() + self._limits.max_ahead:
            raise ValueError
        return seconds

    def _date(self, text: bytes) -> date:
        if len(text) > LONGEST_DATE:
            raise ValueError
        return self._parser.date_of(text.decode())


class _Refused(Exception):
    """`left` says of each entry whether it may be tried again."""

    def __init__(self, left: Sequence[bool]) -> None:
        self.left = left


def _check(good: Sequence[bool]) -> None:
    if not all(good):
        raise _Refused(good)


def _takes(convert: _Converter, value: bytes) -> bool:
    try:
        convert((value,))
    except _REFUSALS:
        return False
    return True


def _alike(entries: Sequence[RawEntry]) -> Iterable[Sequence[int]]:
    """The places of entries that have the same fields in the same order; not those that cannot go by columns."""
    names = entries[0][1][::2]
    if all(flat[::2] == names for _, flat in entries):
        by_names = {tuple(names): list(range(len(entries)))}
    else:
        by_names = {}
        for place, (_, flat) in enumerate(entries):
            by_names.setdefault(tuple(flat[::2]), []).append(place)
    return [places for names, places in by_names.items() if _are_sound(names)]


def _are_sound(names: Sequence[bytes]) -> bool:
    try:
        _texts(names)
    except ValueError:
        return False
    return len(set(names)) == len(names) and set(names) >= _REQUIRED


def _texts(column: Sequence[bytes]) -> list[str]:
    return list(map(bytes.decode, column))


def _users(column: Sequence[bytes]) -> list[str]:
    if b"" in column or max(map(len, column)) > LONGEST_USER_ID:
        raise ValueError
    return _texts(column)


def _apps(column: Sequence[bytes]) -> list[str]:
    if max(map(len, column)) > LONGEST_APP:
        raise ValueError
    return _texts(column)


def _doubles(column: Sequence[bytes]) -> list[float]:
    joined = b",".join(column)
    if joined.strip(_OF_NUMBERS) or b",-" in joined or joined.startswith(b"-"):
        raise ValueError
    numbers = _numbers(b"[%b]" % joined)
    if len(numbers) != len(column):  # an empty one, or a comma in one
        raise ValueError
    return numbers


def _repeated(convert: Callable[[bytes], Any], column: Sequence[bytes]) -> list[Any]:
    """Of a column in which few values come again and again."""
    converted = {value: convert(value) for value in set(column)}
    return list(map(converted.__getitem__, column))


def _int(text: bytes) -> int:
    if not text.isdigit() or (number := int(text)) > JAVA_INT_MAX:
        raise ValueError
    return number


def _int_or_nothing(text: bytes) -> int:
    return _int(text) if text else 0


def _document_ids(column: Sequence[bytes]) -> list[str | None]:
    joined = b"".join(column)
    unhexlify(joined)
    lengths = set(map(len, column))
    if not lengths <= {0, 24}:
        raise ValueError
    texts = _texts(column if joined.lower() == joined else list(map(bytes.lower, column)))
    return [text or None for text in texts] if 0 in lengths else texts  # type: ignore[return-value]
