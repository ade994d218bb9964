"""Boards, what raises them, and what is read from them. Source: contract, "Out: Redis leaderboards"."""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from math import fsum

OVERALL_BOARD = "work"
"""The board in which every work category counts."""


NOTHING_SECONDS = 1e-6
"""A score below this is what rounding leaves of sums of seconds where nothing is left."""


class Period(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def label(self, day: date) -> str:
        """How the period that holds `day` is written in a key: 2025-09-02, 2025-W36 or 2025-M9, unpadded."""
        if self is Period.DAY:
            return f"{day.year:04}-{day.month:02}-{day.day:02}"
        if self is Period.WEEK:
            year, week, _ = day.isocalendar()
            return f"{year}-W{week}"
        return f"{day.year}-M{day.month}"

    def days(self, day: date) -> tuple[date, date]:
        """First and last day of the period that holds `day`."""
        if self is Period.DAY:
            return day, day
        if self is Period.WEEK:
            monday = day - timedelta(days=day.weekday())
            return monday, monday + min(timedelta(days=6), date.max - monday)
        return day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])


def board_key(category: str, period: Period, day: date) -> str:
    """The ZSET of a category (or `work`) in the period that holds `day`."""
    return f"leaderboard:{category}:{period.label(day)}"


@dataclass(slots=True)
class LeaderboardEntry:
    """What the messages of one user add to the boards that they all count in.

    `message_ids` and `durations` (seconds) run in parallel: a commit counts only the messages that are still
    pending, so it has to know what each one contributes.
    """

    user_id: str
    boards: tuple[str, ...]
    message_ids: list[str] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)

    @property
    def score(self) -> float:
        return fsum(self.durations)


@dataclass(frozen=True, slots=True)
class LeaderboardResult:
    """One row of a board. Rank 1 is the highest score, rank 0 means absent. `score` is in seconds."""

    user_id: str
    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A user's own row and those around it, best first. Absent users have rank 0 and nobody around."""

    user: LeaderboardResult
    around: Sequence[LeaderboardResult]
