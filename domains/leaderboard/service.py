"""Which boards a classified message raises, and the aggregation of a batch."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from math import inf
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domains.categoryPattern.model import WORK_CATEGORIES
from domains.leaderboard.model import OVERALL_BOARD, LeaderboardEntry, Period, board_key

_BUCKET = 900  # seconds: time zones change their offset only at multiples of this; `_find_day` checks that they do
_CACHE_LIMIT = 50_000
_ARCHIVING = time(3)
"""When Spring archives and deletes the boards of ended periods, in its zone. Source: contract."""


class Boards(NamedTuple):
    """The keys of the boards that a category counts in on one day: all of them, and the same keys by period."""

    keys: tuple[str, ...]
    by_period: Mapping[Period, tuple[str, ...]]


class BoardCalendar:
    """Which boards a span counts in: the day, ISO week and month of its timestamp in `zone`.

    `prefix` is put before all keys. The `work_categories` also count on the overall board. Every message needs its
    day and its boards, so both are cached: the day by quarter of an hour, and the boards by category and day.
    """

    def __init__(self, zone: ZoneInfo, prefix: str = "", work_categories: Collection[str] = WORK_CATEGORIES) -> None:
        self.zone = zone
        self.work_categories = frozenset(work_categories)
        self._prefix = prefix
        self._archived_from: dict[str, float] = {}
        self._days: dict[int, date] = {}
        self._boards: dict[tuple[str, date], Boards] = {}
        self._keys: dict[tuple[str, float], tuple[str, ...]] = {}

    def keys(self, category: str, timestamp: float) -> tuple[str, ...]:
        """The keys that `boards` gives, from a cache by quarter of an hour: every message needs them."""
        bucket = timestamp // _BUCKET
        return self._keys.get((category, bucket)) or self._find_keys(category, timestamp, bucket)

    def boards(self, category: str, timestamp: float) -> Boards:
        """The boards in which a category counts at `timestamp` (Unix seconds); a work category also counts in `work`.

        A category that somebody has named `work` has no board, since its key is that of the overall board.

        Raises ValueError or OverflowError if `timestamp` lies outside the calendar.
        """
        day = self.day(timestamp)
        return self._boards.get((category, day)) or self._make_boards(category, day)

    def boards_of_period(self, categories: Iterable[str], period: Period, day: date) -> list[str]:
        """The keys of the boards of `categories`, and of `work`, in the period that holds `day`."""
        return [self._prefix + board_key(name, period, day) for name in {*categories, OVERALL_BOARD}]

    def archived_from(self, period: Period, day: date) -> float:
        """The Unix time from which on Spring has archived the boards of the period of `day`; inf: never."""
        last = period.days(day)[1]
        if last == date.max:
            return inf
        following = last + timedelta(days=1)
        return datetime.combine(following, _ARCHIVING, self.zone).timestamp()

    def is_archived(self, board: str, now: float) -> bool:
        """Whether Spring has archived a board (a key that `boards` has returned) at the Unix time `now`."""
        return self._archived_from.get(board, inf) <= now

    def day(self, timestamp: float) -> date:
        """The local date of `timestamp` (Unix seconds). Raises as `boards` does."""
        bucket = int(timestamp // _BUCKET)
        return self._days.get(bucket) or self._find_day(timestamp, bucket)

    def _find_day(self, timestamp: float, bucket: int) -> date:
        first = self._local(bucket * _BUCKET)
        last = self._local(bucket * _BUCKET + _BUCKET - 1)
        if first.date() != last.date() or first.utcoffset() != last.utcoffset():
            return self._local(
                timestamp
            ).date()  # the day or the zone's offset changes within this quarter of an hour
        if len(self._days) >= _CACHE_LIMIT:
            self._days.clear()
        day = self._days[bucket] = first.date()
        return day

    def _find_keys(self, category: str, timestamp: float, bucket: float) -> tuple[str, ...]:
        keys = self.boards(category, timestamp).keys
        if int(bucket) in self._days:  # all of it is of one day
            if len(self._keys) >= _CACHE_LIMIT:
                self._keys.clear()
            self._keys[category, bucket] = keys
        return keys

    def _local(self, timestamp: float) -> datetime:
        return datetime.fromtimestamp(timestamp, UTC).astimezone(self.zone)

    def _make_boards(self, category: str, day: date) -> Boards:
        names = [] if category == OVERALL_BOARD else [category]  # its own board would be the overall one
        if category in self.work_categories:
            names.append(OVERALL_BOARD)
        if len(self._boards) >= _CACHE_LIMIT:
            self._boards.clear()
            self._archived_from.clear()
        by_period = {
            period: tuple(self._prefix + board_key(name, period, day) for name in names) for period in Period
        }
        for period, keys in by_period.items():
            self._archived_from |= dict.fromkeys(keys, self.archived_from(period, day))
        boards = self._boards[category, day] = Boards(tuple(chain.from_iterable(by_period.values())), by_period)
        return boards


class Aggregation:
    """Groups what messages add into one entry for each user and set of boards."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, int], LeaderboardEntry] = {}
        """By user, and by the identity of the boards, which is cheaper than their text. Equal boards that are not the
        same only make two entries of one."""

    @property
    def entries(self) -> list[LeaderboardEntry]:
        return list(self._entries.values())

    def add(self, user_id: str, boards: tuple[str, ...], message_id: str, seconds: float, log_id: str | None) -> None:
        """`log_id` is that of the usage log, if the message came with one."""
        entry = self._entries.get((user_id, id(boards)))
        if entry is None:
            entry = self._entries[user_id, id(boards)] = LeaderboardEntry(user_id, boards)
        entry.message_ids.append(message_id)
        entry.durations.append(seconds)
        entry.log_ids.append(log_id)
