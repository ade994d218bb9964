"""The bundled sample: what its week holds, that it is the same everywhere, that it keeps to the contract."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from dataclasses import astuple
from datetime import date, datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from infrastructure.sample import SAMPLE_START, SampleSpan, sample_week

SEOUL = ZoneInfo("Asia/Seoul")
HANGUL = re.compile("[가-힣]")
# The same from Python 3.11 to 3.13. Whoever means to change the catalogue or the drawing replaces it.
FIRST_HUNDRED = "6edcfb4025096d22ac514ce162ac1586394b1f92a9151b040c91aff994d331a0"

# A session: user, date and number.
Key = tuple[str, date, int]


@pytest.fixture(scope="module")
def spans() -> list[SampleSpan]:
    return list(sample_week())


@pytest.fixture(scope="module")
def sessions(spans: list[SampleSpan]) -> dict[Key, list[SampleSpan]]:
    """In the order of their first span."""
    found: dict[Key, list[SampleSpan]] = defaultdict(list)
    for span in spans:
        found[span.user_id, span.session_date, span.session].append(span)
    return found


def local_day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds, SEOUL).date()


def digest(spans: list[SampleSpan]) -> str:
    """Of the values and not of a repr, which escapes by the Unicode version of the Python at hand."""
    text = json.dumps([astuple(span) for span in spans], default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def test_forty_users_and_thousands_of_spans(spans: list[SampleSpan]) -> None:
    assert len({span.user_id for span in spans}) == 40
    assert 5_000 <= len(spans) <= 8_000


def test_same_seed_gives_the_same_week(spans: list[SampleSpan]) -> None:
    assert list(sample_week()) == spans


def test_another_seed_gives_another_week(spans: list[SampleSpan]) -> None:
    assert list(sample_week(1)) != spans


def test_first_hundred_spans_are_the_pinned_ones(spans: list[SampleSpan]) -> None:
    assert digest(spans[:100]) == FIRST_HUNDRED


def test_both_kinds_of_message_are_about_half_of_the_sessions(
    sessions: dict[Key, list[SampleSpan]],
) -> None:
    with_ids = sum(session[0].categorized_data_id is not None for session in sessions.values())
    assert 0.4 <= with_ids / len(sessions) <= 0.6


def test_both_kinds_of_message_are_mixed_in_every_hundred(spans: list[SampleSpan]) -> None:
    for start in range(0, len(spans) - 100, 100):
        kinds = {span.categorized_data_id is None for span in spans[start : start + 100]}
        assert kinds == {True, False}


def test_a_user_sends_one_kind_of_message(spans: list[SampleSpan]) -> None:
    kinds = {(span.user_id, span.categorized_data_id is None) for span in spans}
    assert len(kinds) == 40


def test_ids_are_both_there_or_neither(spans: list[SampleSpan]) -> None:
    assert all((s.categorized_data_id is None) == (s.pomodoro_usage_log_id is None) for s in spans)


def test_ids_are_24_hex_and_unique(spans: list[SampleSpan]) -> None:
    ids = [i for s in spans for i in (s.categorized_data_id, s.pomodoro_usage_log_id) if i is not None]
    assert all(re.fullmatch("[0-9a-f]{24}", one) for one in ids)
    assert len(set(ids)) == len(ids)


def test_users_and_windows_are_korean_and_english(spans: list[SampleSpan]) -> None:
    korean_users = {span.user_id for span in spans if HANGUL.search(span.user_id)}
    korean = sum(bool(HANGUL.search(span.app + span.title)) for span in spans)
    assert 10 <= len(korean_users) <= 30
    assert 0.25 <= korean / len(spans) <= 0.75


@pytest.mark.parametrize("field", ["app", "title", "url"])
def test_some_spans_lack(field: str, spans: list[SampleSpan]) -> None:
    assert sum(getattr(span, field) == "" for span in spans) >= 50


def test_about_a_tenth_of_the_use_is_unknown_to_any_rule(spans: list[SampleSpan]) -> None:
    windows = json.loads(files("infrastructure.sample").joinpath("catalogue.json").read_text("utf-8"))["windows"]
    # A page of an in-house tool is known by its address alone: the browser is the user's.
    unknown = {w.get("url") or w["app"] for w in windows if w.get("unknown")}
    seen = sum((s.url or s.app) in unknown for s in spans)
    assert 0.07 <= seen / len(spans) <= 0.11


def test_each_session_ends_once_and_with_its_last_span(
    sessions: dict[Key, list[SampleSpan]],
) -> None:
    for session in sessions.values():
        assert [span.is_end for span in session] == [False] * (len(session) - 1) + [True]


def test_sessions_have_two_to_twelve_spans(sessions: dict[Key, list[SampleSpan]]) -> None:
    assert {len(session) for session in sessions.values()} == set(range(2, 13))


def test_sessions_are_25_or_50_minutes_throughout(
    sessions: dict[Key, list[SampleSpan]],
) -> None:
    lengths = Counter(frozenset(span.session_minutes for span in session) for session in sessions.values())
    assert set(lengths) == {frozenset({25}), frozenset({50})}


def test_a_session_is_not_longer_than_its_minutes(
    sessions: dict[Key, list[SampleSpan]],
) -> None:
    for session in sessions.values():
        bound = session[0].session_minutes * 60
        assert sum(span.duration for span in session) <= bound
        assert session[-1].timestamp + session[-1].duration - session[0].timestamp <= bound


def test_sessions_of_a_day_are_numbered_from_one(
    sessions: dict[Key, list[SampleSpan]],
) -> None:
    numbers: dict[tuple[str, date], list[int]] = defaultdict(list)
    for user_id, day, number in sessions:
        numbers[user_id, day].append(number)
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


def test_a_user_is_in_one_window_at_a_time(spans: list[SampleSpan]) -> None:
    by_user: dict[str, list[SampleSpan]] = defaultdict(list)
    for span in spans:
        by_user[span.user_id].append(span)
    for own in by_user.values():
        assert all(a.timestamp + a.duration <= b.timestamp for a, b in pairwise(own))


def test_published_session_after_session_by_end_time(spans: list[SampleSpan]) -> None:
    ends = [span.timestamp + span.duration for span in spans if span.is_end]
    assert ends == sorted(ends)
    for span, following in pairwise(spans):
        same = (span.user_id, span.session_date, span.session) == (
            following.user_id,
            following.session_date,
            following.session,
        )
        assert same is not span.is_end


def test_values_are_within_the_contract(spans: list[SampleSpan]) -> None:
    for span in spans:
        assert span.user_id
        assert 0 < span.duration <= 50 * 60
        assert span.session >= 1
        assert span.session_date - SAMPLE_START in [timedelta(days=n) for n in range(7)]


def test_some_durations_are_fractional_and_all_are_exact_eighths(spans: list[SampleSpan]) -> None:
    assert any(span.duration % 1 for span in spans)
    assert not any(span.duration * 8 % 1 or span.timestamp * 8 % 1 for span in spans)


def test_the_whole_sample_is_one_iso_week(spans: list[SampleSpan]) -> None:
    assert {local_day(span.timestamp).isocalendar()[:2] for span in spans} == {(2025, 36)}


def test_a_few_sessions_straddle_midnight(sessions: dict[Key, list[SampleSpan]]) -> None:
    over = [s for s in sessions.values() if any(local_day(x.timestamp) != x.session_date for x in s)]
    assert 3 <= len(over) <= 30
    for session in over:
        assert {span.session_date for span in session} == {local_day(session[0].timestamp)}
        assert local_day(session[-1].timestamp) == session[0].session_date + timedelta(days=1)


def test_nobody_ties_in_a_day_or_in_the_week(spans: list[SampleSpan]) -> None:
    boards: dict[date | None, Counter[str]] = defaultdict(Counter)
    for span in spans:
        for period in (None, local_day(span.timestamp)):
            boards[period][span.user_id] += span.duration  # type: ignore[assignment]
    assert len(boards) == 8
    for board in boards.values():
        assert len(board) >= 20
        assert len(set(board.values())) == len(board)
