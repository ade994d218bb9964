"""What spans say beyond their sums: longest focus, interruptions, sessions, timeline, days, streak, top windows.

All functions are pure, and spans are those of one user, in the order of time.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby

from domains.focusCard.model import TOP, UNBROKEN_GAP, Span, Strip

_ROUNDING = 1e-6


def longest_focus(spans: Iterable[Span], work: Collection[str]) -> float:
    """From the first to the last second of the longest stretch of work.

    A pause of more than UNBROKEN_GAP ends it, and so does any span that is not work.
    """
    longest = begun = until = 0.0
    focused = False
    for span in spans:
        if span.category not in work:
            focused = False
            continue
        if not focused or span.starts - until > UNBROKEN_GAP:
            begun, until, focused = span.starts, span.ends, True
        until = max(until, span.ends)
        longest = max(longest, until - begun)
    return longest


def interruptions(spans: Iterable[Span], work: Collection[str]) -> int:
    """How often something that is not work came straight after work, in one session: within UNBROKEN_GAP."""
    count, until = 0, 0.0
    session = None  # of the work up to now
    for span in spans:
        if span.category in work:
            until, session = max(until, span.ends) if session else span.ends, span.session
            continue
        count += session == span.session and span.starts - until <= UNBROKEN_GAP
        session = None
    return count


def timeline(spans: Iterable[Span]) -> list[Strip]:
    """Neighbouring spans of one category as one strip, if no more than UNBROKEN_GAP lies between them."""
    strips: list[Strip] = []
    for span in spans:
        last = strips[-1] if strips else None
        if last and last.category == span.category and span.starts - last.starts - last.seconds <= UNBROKEN_GAP:
            strips[-1] = last._replace(seconds=max(last.starts + last.seconds, span.ends) - last.starts)
        elif span.seconds > 0:
            strips.append(Strip(span.category, span.starts, span.seconds))
    return strips


def session_count(spans: Iterable[Span]) -> int:
    return len({span.session for span in spans})


def focus_by_day(spans: Iterable[Span], work: Collection[str]) -> dict[date, float]:
    days: dict[date, float] = defaultdict(float)
    for span in spans:
        if span.category in work:
            days[span.day] += span.seconds
    return days


def by_category(spans: Iterable[Span]) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for span in spans:
        seconds[span.category] += span.seconds
    return seconds


def streak(days: Mapping[date, float], last: date, goal_seconds: float, today: date) -> int:
    """Days in a row up to `last` with at least the goal. Today is left out as long as it has not reached it."""
    if last == today and not _reached(days, last, goal_seconds):
        last -= timedelta(days=1)
    count = 0
    while _reached(days, last, goal_seconds):
        count += 1
        last -= timedelta(days=1)
    return count


def top(names: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    """The TOP names by their sum of seconds, the greatest first, equal ones by name."""
    sums: dict[str, float] = defaultdict(float)
    for name, seconds in names:
        if name:
            sums[name] += seconds
    ranked = sorted(((name, total) for name, total in sums.items() if total > 0), key=lambda it: (-it[1], it[0]))
    return ranked[:TOP]


def by_user(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """{user: spans in the order of time}"""
    ordered = sorted(spans, key=lambda span: (span.user, span.starts, span.ends, span.category))
    return {user: list(theirs) for user, theirs in groupby(ordered, lambda span: span.user)}


def ordered(seconds: Mapping[str, float], least: float) -> dict[str, float]:
    """Categories with at least `least` seconds, the greatest first, equal ones by name."""
    some: Sequence[tuple[str, float]] = [(name, total) for name, total in seconds.items() if total >= least]
    return dict(sorted(some, key=lambda it: (-it[1], it[0])))


def _reached(days: Mapping[date, float], day: date, goal_seconds: float) -> bool:
    return days.get(day, 0.0) >= goal_seconds - _ROUNDING
