"""A user's card, and what it is made of. Times are Unix seconds, lengths are in seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from domains.leaderboard.model import Period

UNBROKEN_GAP = 60.0
"""Seconds between two spans that still count as one stretch."""
YEARS = range(1971, 9000)
"""There are cards of days in these years: whatever a card is compared with is a date as well."""
TOP = 5
"""How many apps and sites a card has."""


class Span(NamedTuple):
    """A user's time in one window, on the day on which it begins. `data_id` is that of the window's document."""

    user: str
    day: date
    category: str
    starts: float
    seconds: float
    session: tuple[date, int]
    data_id: str

    @property
    def ends(self) -> float:
        return self.starts + self.seconds


class Strip(NamedTuple):
    """A stretch of the day in one category, from its first second to its last."""

    category: str
    starts: float
    seconds: float


class CardKey(NamedTuple):
    """Which card. `starts` is the first day of the period."""

    user: str
    period: Period
    starts: date


@dataclass(frozen=True, slots=True)
class Scores:
    """What the boards say of `users` at one moment, by board and user. Only scores that there are.

    `as_of` is in microseconds, by the clock of the server of the boards. `sizes` has the users of each board that
    was asked for its ranks, and 0 for each other board that does not exist.
    """

    as_of: int
    seconds: Mapping[str, Mapping[str, float]]
    ranks: Mapping[str, Mapping[str, int]]
    sizes: Mapping[str, int]
    users: Sequence[str]


@dataclass(frozen=True, slots=True)
class FocusCard:
    """What a user did in a period, as of a moment. All totals are those of the boards then.

    `days` is the focus of each day of the period, `same_weekday_seconds` that of the same day a week before (of a
    day's card alone). `streak_days` counts days in a row with the goal reached, up to the period's last day so far;
    the current day counts once it has reached it. Rank 0: no focus.
    """

    user: str
    period: Period
    starts: date
    ends: date
    as_of: float
    focus_seconds: float
    categories: Mapping[str, float]
    rank: int
    users: int
    previous_seconds: float
    same_weekday_seconds: float | None
    streak_days: int
    goal_minutes: int
    longest_focus_seconds: float
    interruptions: int
    sessions: int
    uncategorised_seconds: float
    work: Sequence[str] = ()
    """Those of `categories` that are work."""
    days: Mapping[str, float] = field(default_factory=dict)
    apps: Sequence[tuple[str, float]] = ()
    sites: Sequence[tuple[str, float]] = ()
    timeline: Sequence[Strip] = ()

    @property
    def key(self) -> CardKey:
        return CardKey(self.user, self.period, self.starts)


@dataclass(frozen=True, slots=True)
class StoredCard:
    """A card as it is kept: `document` is the JSON document of `domains.focusCard.documents`.

    A greater `revision` is newer. Equal `signature`s mean equal scores, and so equal cards apart from the rank.
    """

    key: CardKey
    revision: int
    signature: str
    document: Mapping[str, Any]


class CardState(NamedTuple):
    """What has to be known of a stored card to say whether it is still right."""

    revision: int
    signature: str
    rank: int
    users: int


class CardPlace(NamedTuple):
    """What changes in a card because of others: its rank, the number of users, and as of when that is so."""

    key: CardKey
    revision: int
    rank: int
    users: int
    as_of: str


class Run(NamedTuple):
    """A run over all users: `anchors` are the days whose periods get cards; `started` is in Unix seconds."""

    id: str
    anchors: Sequence[date]
    started: float


class RunFigures(NamedTuple):
    """What a run has done so far. `unchanged` cards were right already."""

    users: int = 0
    written: int = 0
    unchanged: int = 0
