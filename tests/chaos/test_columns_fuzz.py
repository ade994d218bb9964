"""Parsing by columns against parsing one by one, on batches of anything: the same messages, letters and reasons."""

from collections.abc import Sequence

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from domains.pomodoro.model import DeadLetter
from infrastructure.spring.columns import ColumnParser, Parsed, RawEntry
from tests.chaos.test_parser_fuzz import _CHANGES, _GOOD, _IDS, _NAMES, _PARSER, _TEXTS, _VALUES, _changed
from tests.depth import examples
from tests.messages import linked_message, message

_BATCHES = settings(max_examples=examples(3000), deadline=None, derandomize=True, database=None)
_SPRINGS = st.builds(
    lambda changes, linked: (linked_message(1) if linked else message()) | changes,
    st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=1),
    st.booleans(),
)
_LAYOUT = st.fixed_dictionaries(dict.fromkeys(_NAMES[:8], _VALUES))
_ENTRIES = st.one_of(
    st.just(linked_message(1)), _SPRINGS, st.builds(_changed, _GOOD, _IDS | st.just({}), _CHANGES), _LAYOUT
)
_TWICE = st.sampled_from([[], [b"title", b"again"], [b"userId", b"other"], [b"\xff", b"x"], [b"more", b"a\xffb"]])


def _raw(fields: dict[str, str], more: Sequence[bytes] = ()) -> list[bytes]:
    flat = [text.encode("utf-8", "surrogateescape") for pair in fields.items() for text in pair]
    return [*flat, *more]


def _everything(parsed: Parsed) -> tuple[object, ...]:
    """Also what comparing leaves out, and doubles to the bit."""
    values = [getattr(parsed, name) for name in parsed.__slots__ if name != "fields"]
    return (type(parsed), *map(repr, values), list(parsed.fields.items()))


class _Counting(ColumnParser):
    alone = 0

    def _one(self, entry: RawEntry) -> Parsed:
        self.alone += 1
        return super()._one(entry)


def _compare(batch: Sequence[Sequence[bytes]]) -> tuple[int, int]:
    """How many were rejected, and how many were parsed one by one."""
    entries: list[RawEntry] = [(b"7-%d" % number, flat) for number, flat in enumerate(batch)]
    columns = _Counting(_PARSER)

    parsed = columns.parse(entries)

    assert list(map(_everything, parsed)) == [_everything(ColumnParser(_PARSER)._one(entry)) for entry in entries]
    return sum(isinstance(item, DeadLetter) for item in parsed), columns.alone


@pytest.mark.timeout(1800)  # thousands of batches, on a machine that may be busy
@_BATCHES
@given(st.lists(st.builds(_raw, _ENTRIES, _TWICE), min_size=5, max_size=25))
def test_columns_say_what_one_by_one_says(batch: list[list[bytes]]) -> None:
    rejected, alone = _compare(batch)
    event(f"{'some' if rejected else 'none'} rejected, {'all' if alone == len(batch) else 'not all'} alone")


@settings(_BATCHES, max_examples=examples(1000))
@given(st.lists(_VALUES, min_size=5, max_size=12), st.sampled_from(_NAMES))
def test_a_column_of_anything(values: list[str], name: str) -> None:
    _compare([_raw(linked_message(1) | {name: value}) for value in values])


@settings(_BATCHES, max_examples=examples(500))
@given(st.dictionaries(_TEXTS, _TEXTS, max_size=4), st.integers(5, 12))
def test_unknown_fields(unknown: dict[str, str], count: int) -> None:
    _compare([_raw(message() | unknown)] * count)


@pytest.mark.parametrize("linked", [False, True])
def test_whatever_all_entries_lack(linked: bool) -> None:
    whole = linked_message(1) if linked else message()
    for number in range(2 ** len(_NAMES)):
        lacking = {name for place, name in enumerate(_NAMES) if number >> place & 1}
        rejected, alone = _compare([_raw({name: value for name, value in whole.items() if name not in lacking})] * 5)
        assert rejected or not alone, lacking


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("duration", ["1.0", "-0", "-0.0", "+1", ".5", "1.", "01", "1e400", "1E2", "1 ", "1,2", "", "NaN", "1_0"]),
        ("timestamp", ["1.756771234E9", "1756771234", "1756771234000", "0", "9e99", "1756771234.", "+1756771234"]),
        ("session", ["3", "+3", "03", "2147483647", "2147483648", "-1", "٣", "9" * 5000, " 3"]),
        ("sessionMinutes", ["", "25", "+25", "25.0"]),
        ("isEnd", ["true", "false", "", "TRUE"]),
        ("sessionDate", ["2025-09-02", "2025-09-02T23:30:00Z", "+10000-01-01", "", "2025-9-2", "2" * 100]),
        ("categorizedDataId", ["a" * 24, "A" * 24, "", "g" * 24, "a" * 23, " " * 24]),
        ("userId", ["u", "", "u" * 500, "u" * 501, "한" * 500, "한" * 501]),
        ("app", ["", "a" * 1024, "a" * 1025, "한" * 341, "한" * 342]),
        ("title", ["\udcff", "x" * 5000, "\x00"]),
        ("pomocoreOriginalId", ["", "5-1", "\udcff"]),
    ],
)
def test_what_is_odd_goes_its_way_alone(name: str, values: list[str]) -> None:
    odd = [_raw(linked_message(1) | {name: value}) for value in values]
    _, alone = _compare([flat for each in odd for flat in (_raw(linked_message(1)), each, _raw(linked_message(2)))])
    assert alone <= len(odd)
    _compare(odd * 5)


def test_columns_are_not_tried_for_a_while_after_they_refused_most() -> None:
    columns = ColumnParser(_PARSER)
    bad = [(b"7-%d" % number, _raw(message(duration="-1"))) for number in range(10)]

    columns.parse(bad)

    assert columns._pause > 0
    for _ in range(columns._pause):
        columns.parse(bad)
    assert columns._pause == 0
