"""Periods and keys of boards: the contract's examples, and the calendar against a naive one."""

from datetime import UTC, date, datetime, timedelta
from math import floor
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domains.categoryPattern.model import LLM_ONLY_CATEGORIES, OTHER_CATEGORIES, PATTERN_CATEGORIES, WORK_CATEGORIES
from domains.leaderboard.model import OVERALL_BOARD, Period, board_key
from domains.leaderboard.service import BoardCalendar
from tests.messages import SEOUL

ZONES = [
    "Asia/Seoul",
    "UTC",
    "America/New_York",
    "America/St_Johns",  # half an hour, and once a minute past midnight
    "Africa/Monrovia",  # 44 minutes and 30 seconds until 1972
    "Asia/Kathmandu",  # 5:45
    "Pacific/Apia",  # without 2011-12-30
    "Pacific/Kiritimati",
    "Australia/Lord_Howe",  # half an hour of summer time
]


@pytest.mark.parametrize(
    ("period", "day", "key"),
    [
        (Period.DAY, date(2025, 9, 2), "leaderboard:work:2025-09-02"),
        (Period.DAY, date(2026, 12, 31), "leaderboard:work:2026-12-31"),
        (Period.WEEK, date(2025, 9, 2), "leaderboard:work:2025-W36"),
        (Period.WEEK, date(2024, 12, 29), "leaderboard:work:2024-W52"),
        (Period.WEEK, date(2024, 12, 30), "leaderboard:work:2025-W1"),
        (Period.WEEK, date(2025, 1, 1), "leaderboard:work:2025-W1"),
        (Period.WEEK, date(2026, 1, 4), "leaderboard:work:2026-W1"),
        (Period.WEEK, date(2026, 1, 5), "leaderboard:work:2026-W2"),
        (Period.WEEK, date(2027, 1, 1), "leaderboard:work:2026-W53"),
        (Period.WEEK, date(2027, 1, 3), "leaderboard:work:2026-W53"),
        (Period.WEEK, date(2027, 1, 4), "leaderboard:work:2027-W1"),
        (Period.MONTH, date(2025, 9, 30), "leaderboard:work:2025-M9"),
        (Period.MONTH, date(2025, 10, 1), "leaderboard:work:2025-M10"),
    ],
)
def test_the_key_of_a_board(period: Period, day: date, key: str) -> None:
    assert board_key("work", period, day) == key


def test_a_key_holds_the_category_as_it_is() -> None:
    assert board_key("E-commerce & Shopping", Period.DAY, date(2025, 9, 2)) == (
        "leaderboard:E-commerce & Shopping:2025-09-02"
    )


@pytest.mark.parametrize(
    ("period", "day", "first", "last"),
    [
        (Period.DAY, date(2025, 9, 2), date(2025, 9, 2), date(2025, 9, 2)),
        (Period.WEEK, date(2027, 1, 1), date(2026, 12, 28), date(2027, 1, 3)),
        (Period.MONTH, date(2024, 2, 10), date(2024, 2, 1), date(2024, 2, 29)),
        (Period.MONTH, date(2025, 12, 31), date(2025, 12, 1), date(2025, 12, 31)),
    ],
)
def test_the_days_of_a_period(period: Period, day: date, first: date, last: date) -> None:
    assert period.days(day) == (first, last)


@given(st.dates(date(1950, 1, 1), date(2100, 12, 31)))
def test_all_days_of_a_period_and_no_others_have_its_label(day: date) -> None:
    for period in Period:
        first, last = period.days(day)
        label = period.label(day)

        assert first <= day <= last
        assert period.label(first) == period.label(last) == label
        assert label not in (period.label(first - timedelta(days=1)), period.label(last + timedelta(days=1)))


@pytest.mark.parametrize(
    ("utc", "day"),
    [
        ("2025-09-01T14:59:59.999", date(2025, 9, 1)),
        ("2025-09-01T15:00:00", date(2025, 9, 2)),
        ("2025-09-02T14:59:59", date(2025, 9, 2)),
        ("2025-12-31T15:00:00", date(2026, 1, 1)),
        ("1988-05-07T17:00:00", date(1988, 5, 8)),  # the night in which Seoul went over to summer time
    ],
)
def test_the_day_changes_at_midnight_in_seoul(utc: str, day: date) -> None:
    assert BoardCalendar(SEOUL).day(datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()) == day


def naive_day(zone: ZoneInfo, timestamp: float) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=floor(timestamp))).astimezone(zone).date()


def naive_boards(zone: ZoneInfo, category: str, timestamp: float) -> list[str]:
    day = naive_day(zone, timestamp)
    year, week, _ = day.isocalendar()
    labels = [day.isoformat(), f"{year}-W{week}", f"{day.year}-M{day.month}"]
    names = [category, "work"] if category in WORK_CATEGORIES else [category]
    return [f"leaderboard:{name}:{label}" for label in labels for name in names]


_FROM = datetime(1950, 1, 1, tzinfo=UTC).timestamp()
_TO = datetime(2100, 12, 31, tzinfo=UTC).timestamp()
SHARED = {
    name: BoardCalendar(ZoneInfo(name)) for name in ZONES
}  # what one moment leaves behind must not hurt another


@given(
    st.sampled_from(ZONES),
    st.sampled_from(sorted(PATTERN_CATEGORIES)),
    st.floats(_FROM, _TO) | st.integers(int(_FROM), int(_TO)).map(float),
)
@example("Africa/Monrovia", "SNS", datetime(1972, 1, 7, 0, 44, 29, tzinfo=UTC).timestamp())
@example("Africa/Monrovia", "SNS", datetime(1972, 1, 7, 0, 44, 30, tzinfo=UTC).timestamp())
@example("Pacific/Apia", "Design", datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC).timestamp())
@example("Pacific/Apia", "Design", datetime(2011, 12, 30, 10, tzinfo=UTC).timestamp())
def test_boards_are_those_of_a_naive_calendar(zone: str, category: str, timestamp: float) -> None:
    assert list(SHARED[zone].boards(category, timestamp).keys) == naive_boards(ZoneInfo(zone), category, timestamp)


@given(st.sampled_from(ZONES), st.dates(date(1950, 1, 2), date(2100, 12, 30)), st.integers(-3600, 3600))
@example("Africa/Monrovia", date(1972, 1, 7), 1)
@example("America/St_Johns", date(1988, 4, 3), 61)  # summer time began a minute past midnight, by two hours
def test_the_hours_around_midnight(zone: str, day: date, seconds: int) -> None:
    """The day changes once, wherever in a quarter of an hour that is."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp()
    for moment in (midnight + seconds, midnight - 0.001, midnight, midnight + 899.999):
        assert SHARED[zone].day(moment) == naive_day(ZoneInfo(zone), moment)


@pytest.mark.parametrize("category", sorted(WORK_CATEGORIES))
def test_work_also_counts_on_the_overall_board(category: str) -> None:
    assert BoardCalendar(SEOUL).boards(category, 1756771234.0).keys == (
        f"leaderboard:{category}:2025-09-02",
        "leaderboard:work:2025-09-02",
        f"leaderboard:{category}:2025-W36",
        "leaderboard:work:2025-W36",
        f"leaderboard:{category}:2025-M9",
        "leaderboard:work:2025-M9",
    )


@pytest.mark.parametrize("category", sorted(OTHER_CATEGORIES | LLM_ONLY_CATEGORIES))
def test_what_is_not_work_counts_on_its_own_board_alone(category: str) -> None:
    assert BoardCalendar(SEOUL).boards(category, 1756771234.0).keys == (
        f"leaderboard:{category}:2025-09-02",
        f"leaderboard:{category}:2025-W36",
        f"leaderboard:{category}:2025-M9",
    )


def test_a_category_named_as_the_overall_board_has_none() -> None:
    boards = BoardCalendar(SEOUL).boards(OVERALL_BOARD, 1756771234.0)

    assert boards.keys == ()
    assert set(boards.by_period) == set(Period)


def test_the_categories_are_those_of_the_contract() -> None:
    contract_work = (
        "Development, LLM, Documentation, Design, Video Editing, Education, Productivity, Finance, File Management, "
        "Browsing, Marketing, System & Utilities, Meetings"
    )
    contract_other = "SNS, Entertainment, Game, E-commerce & Shopping, AFK, Uncategorized"

    assert set(contract_work.split(", ")) == WORK_CATEGORIES
    assert set(contract_other.split(", ")) == OTHER_CATEGORIES
    assert {"Communication", "Music"} == LLM_ONLY_CATEGORIES


@pytest.mark.parametrize("timestamp", [1e18, -1e18, 253402268400.0, -62135596801.0])
def test_moments_outside_the_calendar_are_errors(timestamp: float) -> None:
    with pytest.raises((ValueError, OverflowError, OSError)):
        BoardCalendar(SEOUL).boards("Design", timestamp)


def test_the_cache_is_bounded_and_right_after_it_was_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domains.leaderboard.service._CACHE_LIMIT", 3)
    calendar = BoardCalendar(SEOUL)
    for day in range(20):
        timestamp = 1756771234.0 + day * 86_400
        assert list(calendar.boards("Design", timestamp).keys) == naive_boards(SEOUL, "Design", timestamp)
    assert max(len(calendar._days), len(calendar._boards)) <= 3


NOON = datetime(2025, 9, 2, 12, tzinfo=SEOUL).timestamp()


def test_which_categories_are_work_can_be_chosen() -> None:
    calendar = BoardCalendar(SEOUL, work_categories=["SNS"])

    assert "leaderboard:work:2025-09-02" in calendar.boards("SNS", NOON).keys
    assert "leaderboard:work:2025-09-02" not in calendar.boards("Development", NOON).keys


@pytest.mark.parametrize(
    ("board", "archived"),
    [
        ("leaderboard:SNS:2025-09-02", datetime(2025, 9, 3, 3, tzinfo=SEOUL)),
        ("leaderboard:SNS:2025-W36", datetime(2025, 9, 8, 3, tzinfo=SEOUL)),
        ("leaderboard:SNS:2025-M9", datetime(2025, 10, 1, 3, tzinfo=SEOUL)),
    ],
)
def test_a_board_is_archived_at_three_after_its_period(board: str, archived: datetime) -> None:
    calendar = BoardCalendar(SEOUL)
    assert board in calendar.boards("SNS", NOON).keys

    assert not calendar.is_archived(board, archived.timestamp() - 1)
    assert calendar.is_archived(board, archived.timestamp())
    assert not calendar.is_archived("a board that nobody has asked for", archived.timestamp())
