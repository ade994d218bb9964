"""Boards, the entries that raise them, and the rows that are read from them.

Source: contract, "Out: Redis leaderboards".
"""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from math import fsum

OVERALL_BOARD = "work"
"""The board in which every work category counts."""


NOTHING_SECONDS = 1e-6
"""A score below this counts as nothing: rounding leaves such remainders when sums of seconds are subtracted."""


class Period(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def label(self, day: date) -> str:
        """The period of `day` as a board's key spells it: 2025-09-02, 2025-W36 or 2025-M9, without padding."""
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
    """What the messages of one user add to a set of boards. All of these messages count on the same boards.

    `message_ids`, `durations` (seconds) and `log_ids` have the same order: a commit counts only the messages that are
    still pending, so it has to know the contribution of each one. Of the messages with the same log id one counts;
    one without (None) counts by itself, and `log_ids` is empty if none of them has one.
    """

    user_id: str
    boards: tuple[str, ...]
    message_ids: list[str] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)
    log_ids: list[str | None] = field(default_factory=list)

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
    """A user's own row and the rows around it, best first. An absent user has rank 0 and no rows around."""

    user: LeaderboardResult
    around: Sequence[LeaderboardResult]
