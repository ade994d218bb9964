"""The sample week. Who worked when is drawn at random here; what they had on screen comes from `catalogue.json`.

The same seed gives the same spans on every version of Python, so only `random()`, `choices()` and `getrandbits()` are
used. Time is counted in whole eighths of a second, which are exact in binary: boards are the same in whatever order
the durations are summed, and although `sum()` rounds floats differently from Python 3.12 on.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from importlib.resources import files
from itertools import accumulate
from random import Random
from typing import Literal, NotRequired, TypedDict, TypeVar
from zoneinfo import ZoneInfo

SAMPLE_START = date(2025, 9, 1)  # Monday; the sample is the ISO week 2025-W36, 2025-09-01 .. 2025-09-07

_ZONE = ZoneInfo("Asia/Seoul")
_DAYS = 7
_SATURDAY = 5
_MINUTE = 60 * 8  # in eighths of a second, as all times in this module except those of a span
_HOUR = 60 * _MINUTE
_SPANS = range(2, 13)
_SPAN_WEIGHTS = (3, 5, 8, 10, 11, 10, 8, 6, 4, 3, 2)  # a usual session has six spans
_FOCUS = 5  # windows that a session moves between


@dataclass(frozen=True, slots=True)
class SampleSpan:
    """One window in front for a stretch of time. Both ids are 24 hex digits, or both are None."""

    user_id: str
    app: str
    title: str
    url: str
    duration: float  # seconds
    timestamp: float  # Unix seconds of the start, which may be on the day after `session_date`
    session: int  # counts from 1 per user and day
    session_date: date  # the day on which the session began
    session_minutes: int
    is_end: bool  # True for the last span of each session
    categorized_data_id: str | None
    pomodoro_usage_log_id: str | None


_T = TypeVar("_T")


class _User(TypedDict):
    """Pairs are [on weekdays, at the weekend]. `sessions` is the average a day, `starts` is in hours."""

    id: str
    language: Literal["ko", "en"]
    personas: list[str]
    sessions: list[float]
    starts: list[float]
    minutes: list[int]
    browser: str
    sends_ids: bool


class _Window(TypedDict):
    """If `app` is null, the window is in the user's own browser.

    `unknown` marks windows that no rule is expected to know.
    """

    app: str | None
    url: NotRequired[str]
    any: NotRequired[list[str]]  # titles that users of both languages see
    ko: NotRequired[list[str]]
    en: NotRequired[list[str]]
    weight: int
    groups: list[str]  # personas, or "everyone"
    unknown: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class _Session:
    user: _User
    number: int
    day: date
    minutes: int
    begin: int

    @property
    def end(self) -> int:
        return self.begin + self.minutes * _MINUTE


def sample_week(seed: int = 20250901) -> Iterator[SampleSpan]:
    """The spans in the order in which Spring would publish them: session by session, ordered by end time.

    These are about 6,500 spans of 40 users. The spans of half of the users carry ids, as if Spring had inserted their
    documents; both kinds are mixed in time. No span starts or ends outside the week.
    """
    rng = Random(seed)  # noqa: S311 - a sample, not a secret
    catalogue = json.loads(files(__package__).joinpath("catalogue.json").read_text(encoding="utf-8"))
    sessions = [
        session
        for user in catalogue["users"]
        for offset in range(_DAYS)
        for session in _sessions(user, SAMPLE_START + timedelta(days=offset), rng)
    ]
    for session in sorted(sessions, key=lambda session: (session.end, session.user["id"])):
        yield from _spans(session, catalogue["windows"], rng)


def _sessions(user: _User, day: date, rng: Random) -> Iterator[_Session]:
    """A user's sessions that begin on `day`: about their usual number, starting at about their usual hour."""
    wanted = int(_of_the_day(user["sessions"], day) - 0.5 + 2 * rng.random())
    begin = _midnight(day) + int(_of_the_day(user["starts"], day) * _HOUR + rng.random() * _HOUR / 2)
    for number in range(1, wanted + 1):
        session = _Session(user, number, day, rng.choices(user["minutes"])[0], begin)
        # A day's last session may run past midnight, but not past the week: its boards are those of one week.
        if begin >= _midnight(day, 1) or session.end > _midnight(SAMPLE_START, _DAYS):
            return
        yield session
        begin = session.end + 5 * _MINUTE + int(rng.random() * rng.random() * _HOUR)


def _spans(session: _Session, windows: list[_Window], rng: Random) -> Iterator[SampleSpan]:
    stretches = _stretches(session, rng.choices(_SPANS, _SPAN_WEIGHTS)[0], rng)
    for (begin, end), window in zip(stretches, _shown(session, windows, rng), strict=False):
        yield SampleSpan(
            user_id=session.user["id"],
            app=session.user["browser"] if window["app"] is None else window["app"],
            title=rng.choices(_titles(window, session.user))[0],
            url=window.get("url", ""),
            duration=(end - begin) / 8,
            timestamp=begin / 8,
            session=session.number,
            session_date=session.day,
            session_minutes=session.minutes,
            is_end=end == session.end,
            categorized_data_id=_object_id(session, rng),
            pomodoro_usage_log_id=_object_id(session, rng),
        )


def _stretches(session: _Session, count: int, rng: Random) -> list[tuple[int, int]]:
    """(begin, end) of `count` spans with short idle gaps between them; the last one ends with the session."""
    shares = [low + int(rng.random() * high) for _ in range(count) for low, high in ((0, 14), (5, 110))]
    length = session.end - session.begin
    whole = sum(shares)
    edges = [session.begin + length * part // whole for part in accumulate(shares)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _shown(session: _Session, windows: list[_Window], rng: Random) -> Iterator[_Window]:
    """An endless sequence of windows: a few that belong to the session, and rarely the same one twice in a row."""
    groups = (_of_the_day(session.user["personas"], session.day), "everyone")
    usable = [w for w in windows if _titles(w, session.user) and any(group in groups for group in w["groups"])]
    focus = rng.choices(usable, [window["weight"] for window in usable], k=_FOCUS)
    last: _Window | None = None
    while True:
        last = rng.choices([window for window in focus if window is not last] or focus)[0]
        yield last


def _titles(window: _Window, user: _User) -> list[str]:
    return [*window.get("any", ()), *window.get(user["language"], ())]


def _object_id(session: _Session, rng: Random) -> str | None:
    """An ObjectId as Spring's driver makes it: the first four bytes are the time of insertion."""
    if not session.user["sends_ids"]:
        return None
    return f"{session.end // 8:08x}{rng.getrandbits(64):016x}"


def _of_the_day(weekday_and_weekend: list[_T], day: date) -> _T:
    return weekday_and_weekend[day.weekday() >= _SATURDAY]


def _midnight(day: date, days_later: int = 0) -> int:
    begin = datetime.combine(day + timedelta(days=days_later), time(), _ZONE)
    return int(begin.timestamp()) * 8
