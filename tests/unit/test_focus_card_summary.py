"""What spans say beyond their sums: gaps, streaks, strips and ties; and days where the clocks change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domains.categoryPattern.model import CategoryPattern
from domains.focusCard import summary
from domains.focusCard.model import Span, Strip
from domains.focusCard.service import FocusCards
from domains.leaderboard.model import Period
from domains.leaderboard.service import BoardCalendar
from domains.pomodoro.model import PomodoroUsageLog
from infrastructure.memory.focus_cards import InMemoryBoardScores, InMemoryFocusCardStore
from infrastructure.memory.leaderboard import InMemoryLeaderboard
from infrastructure.memory.repositories import (
    InMemoryCategorizedDataRepository,
    InMemoryCategoryPatternRepository,
    InMemoryPomodoroUsageLogRepository,
)

DAY = date(2025, 9, 2)
WORK = {"Design"}


def span(starts: float, seconds: float, category: str = "Design", session: int = 1) -> Span:
    return Span("u", DAY, category, starts, seconds, (DAY, session), "")


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([span(0, 100)], 100),
        ([span(0, 100), span(160, 100)], 260),  # a pause of a minute still counts as one stretch
        ([span(0, 100), span(161, 200)], 200),  # a longer one does not
        ([span(0, 100), span(100, 1, "SNS"), span(101, 100)], 100),  # something else ends it, however short
        ([span(0, 300), span(50, 20), span(300, 50)], 350),  # one inside another
        ([span(0, 900, "SNS")], 0),
    ],
)
def test_the_longest_focus(spans: list[Span], seconds: float) -> None:
    assert summary.longest_focus(spans, WORK) == seconds


@pytest.mark.parametrize(
    ("spans", "count"),
    [
        ([], 0),
        ([span(0, 100), span(100, 100)], 0),
        ([span(0, 100), span(100, 5, "SNS"), span(105, 5, "Game"), span(110, 100), span(210, 5, "SNS")], 2),
        ([span(0, 100), span(160, 5, "SNS")], 1),  # a pause of a minute is none
        ([span(0, 100), span(161, 5, "SNS")], 0),  # a longer one has broken the work off before
        ([span(0, 100), span(100, 5, "SNS", session=2)], 0),  # the session had ended
        ([span(0, 300), span(50, 20), span(350, 5, "SNS")], 1),  # one inside another
        ([span(0, 5, "SNS"), span(5, 100)], 0),
    ],
)
def test_how_often_work_was_broken_off(spans: list[Span], count: int) -> None:
    assert summary.interruptions(spans, WORK) == count


def test_a_timeline_has_one_strip_for_a_stretch_of_one_category() -> None:
    spans = [span(0, 100), span(150, 100), span(250, 10, "SNS"), span(260, 0), span(400, 5)]
    assert summary.timeline(spans) == [
        Strip("Design", 0, 250), Strip("SNS", 250, 10), Strip("Design", 400, 5)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reached", "last", "days"),
    [
        ([2, 1], 2, 2),
        ([1], 2, 0),
        ([], 2, 0),
        ([2, 1, -1], 2, 2),  # a day is missing between
        ([3, 2], 3, 2),  # today, already reached
        ([2, 1], 3, 2),  # today, not reached yet
    ],
)
def test_a_streak_goes_back_as_long_as_the_goal_was_reached(reached: list[int], last: int, days: int) -> None:
    done = {DAY + timedelta(days=n): 1500.0 for n in reached}
    assert summary.streak(done, DAY + timedelta(days=last), 1500, today=DAY + timedelta(days=3)) == days


def test_equal_names_are_summed_and_equal_sums_ordered_by_name() -> None:
    assert summary.top([("b", 1), ("a", 1), ("", 9), ("c", 0), ("d", 0.5), ("d", 0.6)]) == [
        ("d", 1.1), ("a", 1), ("b", 1)
    ]  # fmt: skip


async def made(zone: str, day: date, logs: list[tuple[str, datetime, float]]) -> FocusCards:
    """Cards of users whose boards and logs say that they were at work then."""
    calendar, boards = BoardCalendar(ZoneInfo(zone)), InMemoryLeaderboard()
    usage, patterns = InMemoryPomodoroUsageLogRepository(), InMemoryCategoryPatternRepository()
    await patterns.save_all([CategoryPattern("c" * 24, "Design")])
    for number, (user, moment, seconds) in enumerate(logs):
        at = moment.timestamp()
        log = PomodoroUsageLog(f"{number:024x}", user, "d" * 24, "c" * 24, 1, 25, day, at, seconds)
        await usage.save_all([log])
        for board in calendar.keys("Design", at):
            boards.add(board, user, seconds)
    return FocusCards(
        InMemoryBoardScores(boards), usage, InMemoryCategorizedDataRepository(), patterns,
        InMemoryFocusCardStore(), calendar, "", 25,
    )  # fmt: skip


async def test_a_day_is_that_of_the_zone_also_where_the_clocks_change() -> None:
    """On 2025-11-02 New York has 25 hours: from 04:00 UTC on, to 05:00 UTC of the next day."""
    day, hours = date(2025, 11, 2), [3, 4, 28, 29]
    logs = [("u", datetime(2025, 11, 2, tzinfo=UTC) + timedelta(hours=hour, minutes=30), 60.0) for hour in hours]
    cards = await made("America/New_York", day, logs)

    document = (await cards.card("u", Period.DAY, day)).document

    assert document["focus_seconds"] == 120
    assert [strip["starts"] for strip in document["timeline"]] == [
        "2025-11-02T00:30:00-04:00", "2025-11-02T23:30:00-05:00"
    ]  # fmt: skip


async def test_an_iso_week_may_begin_in_the_year_before_and_ties_are_ranked_as_spring_does() -> None:
    day, zone = date(2025, 1, 1), ZoneInfo("Asia/Seoul")
    logs = [(user, datetime(2024, 12, 30, 9, tzinfo=zone), 90.0) for user in ("a", "c", "b")]
    cards = await made("Asia/Seoul", day, logs)

    found = {user: (await cards.card(user, Period.WEEK, day)).document for user in "abc"}

    assert {(card["starts"], card["focus_seconds"]) for card in found.values()} == {("2024-12-30", 90.0)}
    assert [found[user]["rank"] for user in "cba"] == [1, 2, 3]
    month = (await cards.card("a", Period.MONTH, day)).document
    assert (month["focus_seconds"], month["previous_seconds"], month["rank"]) == (0, 90, 0)


async def test_boards_of_weeks_are_looked_through_only_where_those_of_months_do_not_have_all_users() -> None:
    cards = await made("Asia/Seoul", date(2025, 9, 2), [])
    within, across = await cards.boards_of([date(2025, 9, 2)]), await cards.boards_of([date(2025, 9, 30)])

    assert {board.rpartition(":")[2] for board in within} == {"2025-M9"}
    assert {board.rpartition(":")[2] for board in across} == {"2025-M9", "2025-W40"}
