"""Sums of durations: which boards they are for, and how exact they are."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime
from math import fsum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.kernel.errors import TaskRefused
from domains.leaderboard.model import Period
from domains.leaderboard.service import BoardCalendar
from domains.pomodoro.model import DeferredMessage, PomodoroUsageLog
from domains.pomodoro.rebuild import LeaderboardRebuild, Rebuilt, Sum, Sums
from infrastructure.memory.repositories import InMemoryCategoryPatternRepository, InMemoryPomodoroUsageLogRepository
from tests.messages import SEOUL, usage_log

DAY = date(2025, 9, 2)


def at(local: str) -> float:
    return datetime.fromisoformat(local).replace(tzinfo=SEOUL).timestamp()


def sums(*periods: Period) -> Sums:
    return Sums(BoardCalendar(SEOUL, "p:"), {period: period.days(DAY) for period in periods})


@pytest.mark.parametrize(
    ("local", "labels"),
    [
        ("2025-09-02T00:00:00", ["2025-09-02", "2025-W36", "2025-M9"]),
        ("2025-09-02T23:59:59", ["2025-09-02", "2025-W36", "2025-M9"]),
        ("2025-09-03T00:00:00", ["2025-W36", "2025-M9"]),
        ("2025-09-08T00:00:00", ["2025-M9"]),
        ("2025-08-31T23:59:59", []),
        ("2025-10-01T00:00:00", []),
    ],
)
def test_a_log_counts_in_the_boards_of_the_periods_asked_for(local: str, labels: list[str]) -> None:
    counted = sums(*Period)

    counted.add("Development", at(local), "user-1", 5.0)

    assert set(counted.boards) == {
        f"p:leaderboard:{name}:{label}" for name in ("Development", "work") for label in labels
    }


def test_other_periods_are_left_out() -> None:
    counted = sums(Period.WEEK)

    counted.add("SNS", at("2025-09-02T12:00:00"), "user-1", 0.0)

    assert {board: list(users) for board, users in counted.boards.items()} == {
        "p:leaderboard:SNS:2025-W36": ["user-1"]
    }


def test_all_logs_of_the_periods_are_in_range() -> None:
    assert sums(Period.DAY).range == [at("2025-09-02T00:00:00"), at("2025-09-03T00:00:00")]
    assert sums(*Period).range == [at("2025-09-01T00:00:00"), at("2025-10-01T00:00:00")]


@given(st.lists(st.floats(0, 1e9), max_size=200))
def test_sums_lose_no_digits(numbers: list[float]) -> None:
    total = Sum()
    for number in numbers:
        total.add(number)

    assert total.value == pytest.approx(fsum(numbers), rel=1e-15, abs=0)


async def test_a_rebuild_that_fails_leaves_no_task() -> None:
    class Refusing:
        async def begin(self) -> None: ...

        async def renew(self) -> None: ...

        async def abandon(self) -> None: ...

        async def deferred(self) -> AsyncIterator[DeferredMessage]:
            await asyncio.sleep(0)
            raise TaskRefused("overtaken")
            yield

    async def progress(_: Rebuilt) -> None: ...

    refusing: Any = Refusing
    rebuild = LeaderboardRebuild(
        refusing, InMemoryPomodoroUsageLogRepository(), InMemoryCategoryPatternRepository(), BoardCalendar(SEOUL)
    )
    before = asyncio.all_tasks()
    with pytest.raises(TaskRefused, match="overtaken"):
        await rebuild.rebuild([Period.DAY], DAY, progress)

    assert asyncio.all_tasks() == before


async def test_a_rebuild_goes_on_past_documents_that_are_no_logs_and_names_the_first() -> None:
    class Idle:
        async def begin(self) -> None: ...

        async def deferred(self) -> AsyncIterator[DeferredMessage]:
            return
            yield

        async def uncounted(self) -> set[str]:
            return set()

        async def put(self, board: str, scores: dict[str, float]) -> None: ...

        async def swap(self, boards: set[str], days: list[date]) -> int:
            return 0

    class Logs(InMemoryPomodoroUsageLogRepository):
        async def find_in_period(
            self, start: float, end: float, unreadable: Any = None
        ) -> AsyncIterator[list[PomodoroUsageLog]]:
            for log_id in ("first", "second"):
                unreadable(log_id, "no duration")
            yield [usage_log(1)]

    async def progress(_: Rebuilt) -> None: ...

    idle: Any = Idle
    rebuild = LeaderboardRebuild(idle, Logs(), InMemoryCategoryPatternRepository(), BoardCalendar(SEOUL))

    done = await rebuild.rebuild([Period.DAY], DAY, progress)

    assert (done.logs, done.unreadable, done.first_unreadable) == (1, 2, "first: no duration")
