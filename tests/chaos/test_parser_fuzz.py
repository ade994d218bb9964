"""The parser against anything that can stand in a stream entry: it accepts or gives a reason, it never raises."""

from datetime import date, timedelta, timezone
from math import isfinite

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from domains.pomodoro.model import DeadLetter, PomodoroPatternClassifyMessage
from tests.chaos.model import broken_rule
from tests.chaos.workload import java_double
from tests.depth import examples
from tests.messages import parser

_PARSER = parser(max_bytes=4096)
_EXAMPLES = settings(max_examples=examples(10_000), deadline=None, derandomize=True, database=None)

_HEX = st.text("0123456789abcdefABCDEF", min_size=24, max_size=24)
_DATES = st.dates().map(str)
_OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_TIMES = st.datetimes(timezones=_OFFSETS).map(lambda at: at.isoformat())
_NUMBERS = st.one_of(
    st.floats().map(repr),
    st.floats(0, 1e9).map(java_double),
    st.integers().map(str),
    st.from_regex(r"[+-]?[0-9_.]{1,12}([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(
        ["NaN", "Infinity", "-Infinity", "1d", "0x1p3", " 1.0", "1.0 ", "1e309", "-0.0", "１２", "٣", "1,5"]
    ),
)
# Bytes that are no UTF-8 come as surrogates U+DC80 to U+DCFF: the product's Redis clients decode so.
_TEXTS = st.text(
    st.characters(codec="utf-8") | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), max_size=40
)
_LONG = st.integers(900, 5000).map(lambda length: "긴" * length)
_VALUES = st.one_of(
    _NUMBERS, _TEXTS, _DATES, _TIMES, _HEX, _LONG, st.sampled_from(["", "true", "false", "TRUE", "null"])
)
_NAMES = [
    "userId",
    "app",
    "title",
    "url",
    "duration",
    "timestamp",
    "session",
    "sessionDate",
    "sessionMinutes",
    "isEnd",
    "categorizedDataId",
    "pomodoroUsageLogId",
    "pomocoreOriginalId",
]

_GOOD = st.fixed_dictionaries(
    {
        "userId": st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        "duration": st.floats(0, 86_400).map(java_double),
        "timestamp": st.floats(1_262_304_000, 1_756_771_234).map(java_double),
        "session": st.integers(0, 2**31 - 1).map(str),
        "sessionDate": st.dates(date(1900, 1, 1), date(9990, 1, 1)).map(str),
    },
    optional={
        "app": st.text(st.characters(codec="utf-8"), max_size=20),
        "title": st.text(st.characters(codec="utf-8"), max_size=20),
        "url": st.text(st.characters(codec="utf-8"), max_size=20),
        "sessionMinutes": st.integers(0, 2**31 - 1).map(str),
        "isEnd": st.sampled_from(["true", "false"]),
        "unheardOf": st.text(max_size=5, alphabet=st.characters(codec="utf-8")),
    },
)
_IDS = st.fixed_dictionaries({"categorizedDataId": _HEX, "pomodoroUsageLogId": _HEX})
_CHANGES = st.dictionaries(st.sampled_from(_NAMES) | _TEXTS, st.none() | _VALUES, max_size=3)


def _changed(good: dict[str, str], ids: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    merged: dict[str, str | None] = {**good, **ids, **changes}
    return {name: value for name, value in merged.items() if value is not None}


@pytest.mark.timeout(900)  # thousands of examples, on a machine that may be busy
@_EXAMPLES
@given(st.builds(_changed, _GOOD, _IDS | st.just({}), _CHANGES))
def test_whatever_comes_is_accepted_by_the_table_or_gets_a_reason(fields: dict[str, str]) -> None:
    parsed = _PARSER.parse("7-1", fields)
    event("refused" if isinstance(parsed, DeadLetter) else "accepted")
    assert parsed.entry_id == "7-1"
    if isinstance(parsed, DeadLetter):
        assert parsed.reason.strip()
        parsed.reason.encode()  # it is logged and stored, so it must be text
    else:
        _check_accepted(parsed, fields)


@settings(_EXAMPLES, max_examples=examples(2000))
@given(st.dictionaries(_TEXTS | st.sampled_from(_NAMES), _VALUES, max_size=14))
def test_no_soup_of_fields_makes_it_raise(fields: dict[str, str]) -> None:
    parsed = _PARSER.parse("7-1", fields)
    if isinstance(parsed, PomodoroPatternClassifyMessage):
        _check_accepted(parsed, fields)


@settings(_EXAMPLES, max_examples=examples(3000))
@given(_GOOD, _IDS | st.just({}))
def test_what_keeps_to_the_table_is_accepted(good: dict[str, str], ids: dict[str, str]) -> None:
    parsed = _PARSER.parse("7-1", good | ids)
    assert isinstance(parsed, PomodoroPatternClassifyMessage), parsed
    _check_accepted(parsed, good | ids)


def _check_accepted(message: PomodoroPatternClassifyMessage, fields: dict[str, str]) -> None:
    assert broken_rule(fields) is None
    assert message.user_id == fields["userId"] != ""
    assert isfinite(message.duration)
    assert message.duration >= 0
    assert isfinite(message.timestamp)
    assert (message.duration, message.timestamp) == (float(fields["duration"]), float(fields["timestamp"]))
    assert (message.session, message.session_minutes) == (
        int(fields["session"]),
        int(fields.get("sessionMinutes") or 0),
    )
    assert message.session_date.year > 0
    if len(fields["sessionDate"]) == 10:
        assert message.session_date.isoformat() == fields["sessionDate"]
    assert message.is_end is (fields.get("isEnd") == "true")
    ids = (message.categorized_data_id, message.pomodoro_usage_log_id)
    given = (fields.get("categorizedDataId", ""), fields.get("pomodoroUsageLogId", ""))
    assert ids == tuple(text.lower() or None for text in given)
    assert (ids[0] is None) is (ids[1] is None)
    assert tuple(message.window) == tuple(fields.get(name, "") for name in ("app", "url", "title"))
    for text in (message.user_id, *message.window):
        text.encode()  # undecodable bytes must not reach the store
