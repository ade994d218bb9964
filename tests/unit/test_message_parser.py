"""The contract's table of the activity stream, row by row, and the spelling of what Spring sends."""

import json
import tracemalloc
from datetime import date
from math import inf, isnan, nan
from time import time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.kernel.window import Window
from domains.leaderboard.service import BoardCalendar
from domains.pomodoro.model import DeadLetter, DeadLetterKind, PomodoroPatternClassifyMessage
from infrastructure.composition.from_settings import message_limits
from infrastructure.settings import Settings
from infrastructure.spring.message_parser import ORIGIN_FIELD, MessageParser
from infrastructure.spring.message_spelling import MessageSpellingError, java_double, spring_fields
from tests.messages import MAX_BYTES, SEOUL, linked_message, message, parser

HEX = "68b6c0ffee68b6c0ffee68b6"
NUMBER = "must be a finite number of seconds, 0 or more"
MOMENT = "must be a finite number of Unix seconds"
USER_ID = "must be a text of 1 to 500 characters"
SHORTER = "must be at most 86400 s (MAX_DURATION)"
NEAR = "must lie between 2010-01-01 and 365 days from now"
COUNT = "must be a whole number from 0 to 2147483647"
NO_DATE = "is no date such as 2025-09-02"


def accepted(**changes: str | None) -> PomodoroPatternClassifyMessage:
    parsed = parser().parse("7-0", message(**changes))
    assert isinstance(parsed, PomodoroPatternClassifyMessage), parsed
    return parsed


def refused(**changes: str | None) -> DeadLetter:
    parsed = parser().parse("7-0", message(**changes))
    assert isinstance(parsed, DeadLetter), parsed
    return parsed


def test_a_message_as_spring_sends_it() -> None:
    parsed = accepted(categorizedDataId=HEX, pomodoroUsageLogId=HEX[::-1], isEnd="true", url="https://a.example/b")

    assert parsed == PomodoroPatternClassifyMessage(
        entry_id="7-0",
        origin_id="7-0",
        user_id="user-1",
        window=Window("Visual Studio Code", "https://a.example/b", "README.md — pomocore"),
        duration=120.0,
        timestamp=1756771234.0,
        session=3,
        session_date=date(2025, 9, 2),
        session_minutes=25,
        is_end=True,
        categorized_data_id=HEX,
        pomodoro_usage_log_id=HEX[::-1],
    )


@pytest.mark.parametrize(
    ("field", "text", "attribute", "value"),
    [
        ("userId", "9f3c", "user_id", "9f3c"),
        ("userId", "사용자 🍅\n", "user_id", "사용자 🍅\n"),
        ("duration", "120.0", "duration", 120.0),
        ("duration", "120", "duration", 120.0),
        ("duration", "0.0", "duration", 0.0),
        ("duration", "1.5E-1", "duration", 0.15),
        ("duration", "1e2", "duration", 100.0),
        ("duration", "4.9E-324", "duration", 5e-324),
        ("duration", "8.64E4", "duration", 86400.0),
        ("timestamp", "1.756771234E9", "timestamp", 1756771234.0),
        ("timestamp", "1756771234.125", "timestamp", 1756771234.125),
        ("timestamp", "1.262304E9", "timestamp", 1262304000.0),  # the first second of 2010
        ("userId", "🍅" * 500, "user_id", "🍅" * 500),
        ("session", "0", "session", 0),
        ("session", "2147483647", "session", 2147483647),
        ("sessionDate", "2024-02-29", "session_date", date(2024, 2, 29)),
        ("sessionMinutes", "0", "session_minutes", 0),
        ("sessionMinutes", "50", "session_minutes", 50),
        ("sessionMinutes", "", "session_minutes", 0),
        ("sessionMinutes", None, "session_minutes", 0),
        ("isEnd", "true", "is_end", True),
        ("isEnd", "false", "is_end", False),
        ("isEnd", "", "is_end", False),
        ("isEnd", None, "is_end", False),
    ],
)
def test_accepted(field: str, text: str | None, attribute: str, value: object) -> None:
    assert getattr(accepted(**{field: text}), attribute) == value


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("userId", None, "userId is missing"),
        ("userId", "", f"userId {USER_ID}, not ''"),
        ("userId", "u" * 501, f"userId {USER_ID}, not '{'u' * 80}'"),
        ("app", "a" * 1025, "app must be at most 1024 bytes long"),
        ("app", "가" * 342, "app must be at most 1024 bytes long"),
        ("userId", "\udcff", "userId is not valid UTF-8"),
        ("app", "a\udcff", "app is not valid UTF-8"),
        ("title", "t\udcff", "title is not valid UTF-8"),
        ("url", "https://\udcff", "url is not valid UTF-8"),
        ("duration", None, "duration is missing"),
        ("duration", "", f"duration {NUMBER}, not ''"),
        ("duration", "-0.1", f"duration {NUMBER}, not '-0.1'"),
        ("duration", "NaN", f"duration {NUMBER}, not 'NaN'"),
        ("duration", "Infinity", f"duration {NUMBER}, not 'Infinity'"),
        ("duration", "-Infinity", f"duration {NUMBER}, not '-Infinity'"),
        ("duration", "1e400", f"duration {NUMBER}, not '1e400'"),
        ("duration", "86400.5", f"duration {SHORTER}, not 86400.5"),
        ("duration", "1.7976931348623157E308", f"duration {SHORTER}, not 1.7976931348623157e+308"),
        ("duration", "abc", f"duration {NUMBER}, not 'abc'"),
        ("duration", "1_000", f"duration {NUMBER}, not '1_000'"),
        ("duration", " 1", f"duration {NUMBER}, not ' 1'"),
        ("duration", "1\n", f"duration {NUMBER}, not '1\\n'"),
        ("duration", "1,5", f"duration {NUMBER}, not '1,5'"),
        ("duration", "0x10", f"duration {NUMBER}, not '0x10'"),
        ("duration", "true", f"duration {NUMBER}, not 'true'"),
        ("duration", "１２０", f"duration {NUMBER}, not '１２０'"),
        ("timestamp", None, "timestamp is missing"),
        ("timestamp", "now", f"timestamp {MOMENT}, not 'now'"),
        ("timestamp", "NaN", f"timestamp {MOMENT}, not 'NaN'"),
        ("timestamp", "Infinity", f"timestamp {MOMENT}, not 'Infinity'"),
        ("timestamp", "1.756771234E12", f"timestamp {NEAR}, not 1756771234000.0"),  # milliseconds
        ("timestamp", "1e300", f"timestamp {NEAR}, not 1e+300"),
        ("timestamp", "1.262303999E9", f"timestamp {NEAR}, not 1262303999.0"),
        ("timestamp", "-1.0E9", f"timestamp {NEAR}, not -1000000000.0"),
        ("session", None, "session is missing"),
        ("session", "", f"session {COUNT}, not ''"),
        ("session", "-1", f"session {COUNT}, not '-1'"),
        ("session", "3.0", f"session {COUNT}, not '3.0'"),
        ("session", "2147483648", f"session {COUNT}, not '2147483648'"),
        ("sessionDate", None, "sessionDate is missing"),
        ("sessionDate", "", f"sessionDate '' {NO_DATE}"),
        ("sessionDate", "2025-02-30", f"sessionDate '2025-02-30' {NO_DATE}"),
        ("sessionDate", "2025-9-2", f"sessionDate '2025-9-2' {NO_DATE}"),
        ("sessionDate", "20250902", f"sessionDate '20250902' {NO_DATE}"),
        ("sessionDate", "2025-W36-2", f"sessionDate '2025-W36-2' {NO_DATE}"),
        ("sessionDate", "02.09.2025", f"sessionDate '02.09.2025' {NO_DATE}"),
        ("sessionDate", "0000-01-01", f"sessionDate '0000-01-01' {NO_DATE}"),
        ("sessionDate", "0001-01-01", f"sessionDate '0001-01-01' {NO_DATE}"),  # its midnight in Seoul is in no year
        ("sessionDate", "２０２５-09-02", f"sessionDate '２０２５-09-02' {NO_DATE}"),
        ("sessionDate", "2025-09-02T10:00:00", f"sessionDate '2025-09-02T10:00:00' {NO_DATE}"),  # of which zone?
        ("sessionDate", "2025-09-02T10:00:00+25:00", f"sessionDate '2025-09-02T10:00:00+25:00' {NO_DATE}"),
        ("sessionDate", "9999-12-31T23:59:59Z", f"sessionDate '9999-12-31T23:59:59Z' {NO_DATE}"),
        ("sessionDate", "\udcff", f"sessionDate '\\udcff' {NO_DATE}"),
        ("sessionMinutes", "-1", f"sessionMinutes {COUNT}, not '-1'"),
        ("sessionMinutes", "long", f"sessionMinutes {COUNT}, not 'long'"),
        ("isEnd", "TRUE", "isEnd must be true or false, not 'TRUE'"),
        ("isEnd", "1", "isEnd must be true or false, not '1'"),
    ],
)
def test_refused_with_a_reason(field: str, text: str | None, reason: str) -> None:
    letter = refused(**{field: text})

    assert letter.reason == reason
    assert (letter.entry_id, letter.fields) == ("7-0", message(**{field: text}))


def test_a_year_ahead_is_near_enough() -> None:
    year = 365 * 86_400

    assert accepted(timestamp=str(time() + year - 60)).timestamp > time()
    assert refused(timestamp=str(time() + year + 60)).reason.startswith(f"timestamp {NEAR}")


def test_what_is_plausible_is_set() -> None:
    near = Settings(max_duration=60, earliest_date=date(2025, 9, 2), max_days_ahead=36_500)
    parsing = MessageParser(BoardCalendar(SEOUL), message_limits(near))

    parsed = [
        parsing.parse("7-0", message(duration=duration, timestamp=timestamp))
        for duration, timestamp in (("60", "1756771234"), ("61", "1756771234"), ("1", "1756771199"), ("1", "4e9"))
    ]

    assert [isinstance(each, DeadLetter) for each in parsed] == [False, True, True, False]


def test_a_date_that_is_long_is_kept_in_no_cache() -> None:
    parsing = parser()
    tracemalloc.start()
    for number in range(200):
        long = "2025-09-02T00:00:00." + "0" * 100_000 + f"{number}Z"
        assert isinstance(parsing.parse("7-0", message(sessionDate=long)), DeadLetter)
        del long
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 1_000_000


@pytest.mark.parametrize("field", ["app", "title", "url"])
def test_empty_and_absent_texts_are_the_same(field: str) -> None:
    assert accepted(**{field: ""}).window == accepted(**{field: None}).window
    assert getattr(accepted(**{field: None}).window, field) == ""


@pytest.mark.parametrize(
    ("text", "zone", "day"),
    [
        ("2025-09-01T14:59:59Z", "Asia/Seoul", date(2025, 9, 1)),
        ("2025-09-01T15:00:00Z", "Asia/Seoul", date(2025, 9, 2)),
        ("2025-09-02T00:00:00+09:00", "Asia/Seoul", date(2025, 9, 2)),
        ("2025-09-02t01:00:00.123456789z", "Asia/Seoul", date(2025, 9, 2)),
        ("2025-09-02 10:00:00-09:30", "Asia/Seoul", date(2025, 9, 3)),
        ("2025-09-02T02:29:59Z", "America/St_Johns", date(2025, 9, 1)),
        ("2025-09-02T02:30:00Z", "America/St_Johns", date(2025, 9, 2)),
    ],
)
def test_an_instant_as_session_date_is_the_day_in_the_zone(text: str, zone: str, day: date) -> None:
    parsed = parser(zone=ZoneInfo(zone)).parse("7-0", message(sessionDate=text))

    assert isinstance(parsed, PomodoroPatternClassifyMessage)
    assert parsed.session_date == day


@pytest.mark.parametrize(
    ("data_id", "log_id", "reason"),
    [
        (HEX, None, "categorizedDataId is given without pomodoroUsageLogId: both are needed, or neither"),
        (None, HEX, "pomodoroUsageLogId is given without categorizedDataId: both are needed, or neither"),
        (HEX, "", "categorizedDataId is given without pomodoroUsageLogId: both are needed, or neither"),
        ("xyz", HEX, "categorizedDataId must be 24 hex digits, not 'xyz'"),
        (HEX, HEX[1:], f"pomodoroUsageLogId must be 24 hex digits, not '{HEX[1:]}'"),
        (HEX + "0", HEX, f"categorizedDataId must be 24 hex digits, not '{HEX}0'"),
        (HEX + "\n", HEX, f"categorizedDataId must be 24 hex digits, not '{HEX}\\n'"),
        ("g" * 24, HEX, f"categorizedDataId must be 24 hex digits, not '{'g' * 24}'"),
    ],
)
def test_ids_are_refused(data_id: str | None, log_id: str | None, reason: str) -> None:
    assert refused(categorizedDataId=data_id, pomodoroUsageLogId=log_id).reason == reason


@pytest.mark.parametrize(
    ("wrong", "kind", "public_reason"),
    [
        ({"duration": """it's "my" secret"""}, DeadLetterKind.INVALID_FIELD, f"duration {NUMBER}, not …"),
        ({"timestamp": "1e300"}, DeadLetterKind.INVALID_FIELD, f"timestamp {NEAR}, not …"),
        ({"duration": "1e300"}, DeadLetterKind.INVALID_FIELD, f"duration {SHORTER}, not …"),
        ({"app": "secret" * 500}, DeadLetterKind.INVALID_FIELD, "app must be at most 1024 bytes long"),
        ({"sessionDate": "secret"}, DeadLetterKind.INVALID_FIELD, f"sessionDate … {NO_DATE}"),
        ({"sessionDate": None}, DeadLetterKind.MISSING_FIELD, "sessionDate is missing"),
        ({"title": "\udcff"}, DeadLetterKind.NOT_UTF8, "title is not valid UTF-8"),
    ],
)
def test_a_letter_says_what_anybody_may_know(
    wrong: dict[str, str | None], kind: DeadLetterKind, public_reason: str
) -> None:
    letter = refused(**wrong)

    assert (letter.kind, letter.public_reason) == (kind, public_reason)


@pytest.mark.parametrize("absent", ["", None])
def test_empty_and_absent_ids_are_the_same(absent: str | None) -> None:
    parsed = accepted(categorizedDataId=absent, pomodoroUsageLogId=absent)

    assert parsed.categorized_data_id is None
    assert parsed.pomodoro_usage_log_id is None


def test_ids_have_one_spelling_within_the_pipeline() -> None:
    """Stores answer in lower case: what a message is called must not depend on how its sender wrote the digits."""
    parsed = accepted(categorizedDataId=HEX.upper(), pomodoroUsageLogId=HEX.upper())

    assert parsed.categorized_data_id == HEX
    assert parsed.pomodoro_usage_log_id == HEX


def test_unknown_fields_are_ignored_but_kept_for_the_dead_letters() -> None:
    assert accepted(newField="x", _class="Y") == accepted()
    assert accepted(newField="x").fields["newField"] == "x"


def test_every_offence_is_named_once() -> None:
    reason = refused(userId=None, duration="-1", categorizedDataId="xyz", pomodoroUsageLogId=HEX).reason

    assert reason == (
        f"userId is missing; duration {NUMBER}, not '-1'; categorizedDataId must be 24 hex digits, not 'xyz'"
    )


def test_an_entry_without_fields_is_refused() -> None:
    letter = parser().parse("7-0", {})

    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("userId is missing; duration is missing")


@pytest.mark.parametrize("field", ["app", "title", "url"])
@pytest.mark.parametrize("wrong", [{"duration": "x"}, {"userId": None}, {"sessionDate": "x"}, {"session": "-1"}])
def test_no_reason_quotes_a_window(field: str, wrong: dict[str, str | None]) -> None:
    for told in ("tell-tale", "tell-tale\udcff", "tell-tale" * MAX_BYTES):
        assert "tell-tale" not in refused(**{field: told} | wrong).reason


def test_reasons_are_short_and_can_be_logged() -> None:
    reason = refused(duration="9" * 5000 + "x", isEnd="\udcff" * 5000).reason

    assert len(reason) < 1000
    reason.encode()


def test_the_original_id_of_a_replayed_message() -> None:
    assert accepted(**{ORIGIN_FIELD: "3-0"}).origin_id == "3-0"
    assert accepted(**{ORIGIN_FIELD: ""}).origin_id == "7-0"


def bytes_of(fields: dict[str, str]) -> int:
    return sum(len(text.encode("utf-8", "surrogateescape")) for pair in fields.items() for text in pair)


@pytest.mark.parametrize("character", ["a", "가", "🍅"])
def test_the_size_limit_counts_bytes(character: str) -> None:
    title = character * 10_000
    size = len(title.encode())

    assert isinstance(parser(size + 1000).parse("7-0", message(title=title)), PomodoroPatternClassifyMessage)
    letter = parser(size).parse("7-0", message(title=title))
    assert isinstance(letter, DeadLetter)
    assert letter.reason.endswith(f" bytes long, more than the {size:,} of MAX_MESSAGE_BYTES")


def test_ten_megabytes_are_cut_and_say_so() -> None:
    letter = refused(title="t" * 10_000_000)

    assert letter.truncated
    assert letter.fields == message(title="t" * 1024)


def test_names_of_fields_count_towards_the_size() -> None:
    letter = refused(**{"x" * 2 * MAX_BYTES: ""})

    assert letter.truncated
    assert bytes_of(dict(letter.fields)) < 2048


def test_a_flood_of_fields_is_cut() -> None:
    letter = refused(**{f"field{i}": "x" * 1000 for i in range(5000)})

    assert letter.truncated
    assert len(letter.fields) == 50


@given(st.dictionaries(st.sampled_from(list(linked_message(1))), st.text(st.characters()), max_size=12))
def test_whatever_the_values_parsing_never_raises(changes: dict[str, str]) -> None:
    parsed = parser().parse("7-0", linked_message(1, **changes))

    assert isinstance(parsed, PomodoroPatternClassifyMessage | DeadLetter)


# The spelling of a message


@pytest.mark.parametrize(
    ("value", "java"),
    [  # as printed by Double.toString of JDK 21
        (120.0, "120.0"),
        (0.15, "0.15"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (100.0, "100.0"),
        (0.001, "0.001"),
        (9.99e-4, "9.99E-4"),
        (9999999.0, "9999999.0"),
        (1.0e7, "1.0E7"),
        (12345670.0, "1.234567E7"),
        (123456789.125, "1.23456789125E8"),
        (1756771234.0, "1.756771234E9"),
        (1.0e22, "1.0E22"),
        (-120.5, "-120.5"),
        (-1.5e-4, "-1.5E-4"),
        (1 / 3, "0.3333333333333333"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (nan, "NaN"),
        (inf, "Infinity"),
        (-inf, "-Infinity"),
    ],
)
def test_doubles_are_spelled_as_java_does(value: float, java: str) -> None:
    assert java_double(value) == java


@given(st.floats())
def test_a_spelled_double_is_read_back_exactly(value: float) -> None:
    back = float(java_double(value))

    assert (isnan(back) and isnan(value)) or (back == value and str(back) == str(value))


@given(st.floats(min_value=0, max_value=86_400))
def test_every_duration_that_java_may_send_is_accepted(value: float) -> None:
    assert accepted(duration=java_double(value)).duration == value


def test_spring_writes_every_value_as_a_string() -> None:
    told = '{"userId":"u","duration":120,"timestamp":1756771234,"session":3,"isEnd":true,"title":null,"x":1.5}'

    assert spring_fields(json.loads(told)) == {
        "userId": "u",
        "duration": "120.0",
        "timestamp": "1.756771234E9",
        "session": "3",
        "isEnd": "true",
        "x": "1.5",
    }


def test_strings_are_taken_as_they_are() -> None:
    assert spring_fields({"duration": "12e1", "isEnd": "yes"}) == {"duration": "12e1", "isEnd": "yes"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"app": ["x"]}, "app is neither text, number nor boolean"),
        ({"app": {}}, "app is neither text, number nor boolean"),
        ({}, "a message needs at least one field"),
        ({"app": None}, "a message needs at least one field"),
    ],
)
def test_what_cannot_be_spelled(value: dict[str, object], reason: str) -> None:
    with pytest.raises(MessageSpellingError, match=f"^{reason}$"):
        spring_fields(value)


@pytest.mark.parametrize("value", [{"duration": 10**400}, {"title": "\ud800"}], ids=["too large", "half a character"])
def test_what_no_stream_can_take_is_an_error_for_a_person(value: dict[str, object]) -> None:
    with pytest.raises(MessageSpellingError, match=next(iter(value))):
        spring_fields(value)
