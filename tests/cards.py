"""Users with a past, and an independent calculation of what their cards have to say."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate, groupby, pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from domains.categoryPattern.model import WORK_CATEGORIES, CategoryPattern
from domains.kernel.window import Window
from domains.pomodoro.model import CategorizedData, PomodoroUsageLog
from infrastructure.composition.container import Container

CATEGORIES = {
    f"{number:024x}": name for number, name in enumerate(("Development", "Design", "SNS", "Uncategorized"), 1)
}
WINDOWS = {
    f"{number:024x}": (window, category, site)
    for number, (window, category, site) in enumerate(
        [
            (("IntelliJ IDEA", "", "Main.java"), "Development", ""),
            (("Chrome", "https://github.com/a/b", "a/b"), "Development", "github.com"),
            (("Chrome", "https://docs.rs/tokio", "tokio"), "Development", "docs.rs"),
            (("Figma", "", "[시안](x) *1*"), "Design", ""),
            (("Chrome", "https://www.youtube.com/watch?v=1", "영상"), "SNS", "www.youtube.com"),
            (("무엇", "", "?"), "Uncategorized", ""),
            (("Xcode", "", "main.swift"), "Development", ""),
            (("Sketch", "", "icon"), "Design", ""),
            (("Safari", "https://dribbble.com/shots", "shots"), "Design", "dribbble.com"),
            (("Chrome", "https://developer.mozilla.org/ko/docs/Web", "웹"), "Development", "developer.mozilla.org"),
            (("Chrome", "https://x.com/home", "X"), "SNS", "x.com"),
        ],
        100,
    )
}
"""More apps and more sites than a card shows."""


@dataclass
class Past:
    """The spans of all users."""

    zone: ZoneInfo
    spans: list[PomodoroUsageLog]

    @property
    def users(self) -> list[str]:
        return sorted({log.user_id for log in self.spans})

    def day(self, log: PomodoroUsageLog) -> date:
        return datetime.fromtimestamp(log.timestamp, self.zone).date()


def make_past(users: Sequence[str], first: date, last: date, zone: ZoneInfo, seed: int = 1, a_day: int = 6) -> Past:
    rng, spans = Random(seed), list[PomodoroUsageLog]()
    for user in users:
        for offset in range((last - first).days + 1):
            day = first + timedelta(days=offset)
            if rng.random() < 0.25:
                continue
            clock = datetime(day.year, day.month, day.day, rng.randrange(24), tzinfo=zone).timestamp()
            for number in range(rng.randrange(1, 2 * a_day)):
                clock += rng.choice((0, 0, 30, 60, 61, 900))
                seconds = rng.choice((60.0, 300.5, 900.0, 1500.25))
                data_id = rng.choice(list(WINDOWS))
                category = next(key for key, name in CATEGORIES.items() if name == WINDOWS[data_id][1])
                log_id = f"{int(clock):08x}{rng.getrandbits(64):016x}"
                spans.append(PomodoroUsageLog(log_id, user, data_id, category, number // 3, 25, day, clock, seconds))
                clock += seconds
    return Past(zone, spans)


async def remember(container: Container, past: Past) -> None:
    """Puts the past into the store and on the boards, as the pipeline would have."""
    await container.category_patterns().save_all(CategoryPattern(key, name) for key, name in CATEGORIES.items())
    await container.categorized_data().save_all(
        [CategorizedData(key, Window(*window), None) for key, (window, _, _) in WINDOWS.items()]
    )
    await add(container, past.spans)


async def add(container: Container, logs: Sequence[PomodoroUsageLog]) -> None:
    await container.usage_logs().save_all(logs)
    scores: dict[tuple[str, str], float] = defaultdict(float)
    for log in logs:
        for board in container.calendar().keys(CATEGORIES[str(log.category_id)], log.timestamp):
            scores[board, log.user_id] += log.duration
    async with container.redis().pipeline(transaction=False) as pipeline:
        for (board, user), seconds in scores.items():
            pipeline.zincrby(board, seconds, user)
        await pipeline.execute()


class Expected:
    """The figures of all cards of `day`, worked out from the spans alone, in another way than the cards do it."""

    def __init__(self, past: Past, day: date, today: date, goal_minutes: int = 25) -> None:
        self._past = past
        self._day = day
        self._today = today
        self._goal = goal_minutes * 60
        self._spans: dict[str, list[PomodoroUsageLog]] = defaultdict(list)
        self._focus: dict[str, dict[date, float]] = defaultdict(lambda: defaultdict(float))
        for log in sorted(past.spans, key=_begin_end_and_category):
            self._spans[log.user_id].append(log)
            if CATEGORIES[str(log.category_id)] in WORK_CATEGORIES:
                self._focus[log.user_id][past.day(log)] += log.duration
        self._ranks = {period: self._ranked(period) for period in ("day", "week", "month")}

    def _ranked(self, period: str) -> dict[str, int]:
        totals = {user: _within(days, *_days(period, self._day)) for user, days in self._focus.items()}
        ranked = sorted((user for user in totals if totals[user] > 0), reverse=True)
        ranked.sort(key=lambda user: -totals[user])
        return {user: rank for rank, user in enumerate(ranked, 1)}

    def card(self, user: str, period: str) -> dict[str, Any]:
        first, last = _days(period, self._day)
        spans = [log for log in self._spans[user] if first <= self._past.day(log) <= last]
        days, before = self._focus[user], _days(period, first - timedelta(days=1))
        categories: dict[str, float] = defaultdict(float)
        for log in spans:
            categories[CATEGORIES[str(log.category_id)]] += log.duration
        streak, at = 0, min(last, self._today)
        if at == self._today and days[at] < self._goal:
            at -= timedelta(days=1)
        while days[at] >= self._goal:
            streak, at = streak + 1, at - timedelta(days=1)
        a_week_ago = self._day - timedelta(days=7)
        total = sum(categories.values())
        shown = [first + timedelta(days=n) for n in range((last - first).days + 1)] if period != "day" else []
        apps = [(WINDOWS[str(log.categorized_data_id)][0][0], log.duration) for log in spans]
        sites = [(WINDOWS[str(log.categorized_data_id)][2], log.duration) for log in spans]
        return {
            "user": user,
            "period": period,
            "starts": first.isoformat(),
            "ends": last.isoformat(),
            "focus_seconds": _within(days, first, last),
            "categories": dict(categories),
            "rank": self._ranks[period].get(user, 0),
            "users": len(self._ranks[period]),
            "previous_seconds": _within(days, *before),
            "same_weekday_seconds": days[a_week_ago] if period == "day" else None,
            "streak_days": streak,
            "longest_focus_seconds": _longest(spans),
            "interruptions": _broken(spans),
            "sessions": len({(log.session_date, log.session) for log in spans}),
            "uncategorised_seconds": categories.get("Uncategorized", 0.0),
            "total_seconds": total,
            "shares": {name: round(seconds / total, 4) for name, seconds in categories.items()},
            "work": [name for name, _ in _ranked_names(categories.items()) if name in WORK_CATEGORIES],
            "goal_minutes": self._goal // 60,
            "days": {day.isoformat(): days[day] for day in shown},
            "apps": [{"name": name, "seconds": seconds} for name, seconds in _ranked_names(apps)[:5]],
            "sites": [{"name": name, "seconds": seconds} for name, seconds in _ranked_names(sites)[:5]],
            "timeline": self._timeline(spans) if period == "day" else [],
        }

    def _timeline(self, spans: Sequence[PomodoroUsageLog]) -> list[dict[str, Any]]:
        """Runs of one category, cut where over a minute lies between the latest end so far and the next begin."""
        strips = []
        for category, run in groupby(spans, lambda log: CATEGORIES[str(log.category_id)]):
            logs = list(run)
            ends = list(accumulate((log.timestamp + log.duration for log in logs), max))
            cuts = [0, *(n for n in range(1, len(logs)) if logs[n].timestamp - ends[n - 1] > 60), len(logs)]
            for begin, end in pairwise(cuts):
                begun = logs[begin].timestamp
                local = datetime.fromtimestamp(int(begun), self._past.zone)
                strips.append({"category": category, "starts": local.isoformat(), "seconds": ends[end - 1] - begun})
        return strips


def differences(card: dict[str, Any], wanted: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """{field: (of the card, wanted)} where they differ by more than rounding."""
    return {name: (card.get(name), value) for name, value in wanted.items() if not _alike(card.get(name), value)}


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, float) or isinstance(other, float):
        return one is not None and other is not None and abs(one - other) < 0.002
    return bool(one == other)


def _begin_end_and_category(log: PomodoroUsageLog) -> tuple[float, float, str]:
    return log.timestamp, log.timestamp + log.duration, CATEGORIES[str(log.category_id)]


def _ranked_names(seconds: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    """The sums of the names that are not empty, the greatest first, equal ones by name."""
    pairs = list(seconds)
    sums = [
        (name, sum(part for other, part in pairs if other == name)) for name in {name for name, _ in pairs if name}
    ]
    return sorted(sums, key=lambda it: (-it[1], it[0]))


def _days(period: str, day: date) -> tuple[date, date]:
    if period == "day":
        return day, day
    if period == "week":
        first = day - timedelta(days=day.isoweekday() - 1)
        return first, first + timedelta(days=6)
    following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day.replace(day=1), following - timedelta(days=1)


def _within(days: dict[date, float], first: date, last: date) -> float:
    return sum(seconds for day, seconds in days.items() if first <= day <= last)


def _longest(spans: Sequence[PomodoroUsageLog]) -> float:
    """Over all pairs of a first and a last span."""
    best = 0.0
    for i in range(len(spans)):
        until = spans[i].timestamp
        for log in spans[i:]:
            if CATEGORIES[str(log.category_id)] not in WORK_CATEGORIES or log.timestamp - until > 60:
                break
            until = max(until, log.timestamp + log.duration)
            best = max(best, until - spans[i].timestamp)
    return best


def _broken(spans: Sequence[PomodoroUsageLog]) -> int:
    """Of each span that is not work: whether the one before is work of its session, and ended within a minute."""
    is_work = [CATEGORIES[str(log.category_id)] in WORK_CATEGORIES for log in spans]
    count = 0
    for n in range(1, len(spans)):
        run = next((m + 1 for m in range(n - 1, -1, -1) if not is_work[m]), 0)  # where the work before begins
        ends = [log.timestamp + log.duration for log in spans[run:n]]
        same = (spans[n - 1].session_date, spans[n - 1].session) == (spans[n].session_date, spans[n].session)
        count += not is_work[n] and bool(ends) and same and spans[n].timestamp - max(ends) <= 60
    return count
