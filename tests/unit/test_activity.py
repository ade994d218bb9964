"""Windows, presence and tabs of another tracker as spans, and spans as sessions."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domains.bridge.activity import Interval, Recorded, Recording, Span, missing, sessions_of, spans_of, united
from infrastructure.activitywatch.posting import messages_of

ALWAYS = Interval(0, 1000)


def window(start: float, end: float, app: str = "Code", title: str = "t") -> Recorded:
    return Recorded(start, end, app, title)


def tab(start: float, end: float, url: str) -> Recorded:
    return Recorded(start, end, "", "of the tab", url)


def span(start: float, end: float, app: str = "Code", title: str = "t", url: str = "") -> Span:
    return Span(start, end, app, title, url)


@pytest.mark.parametrize(
    ("recording", "spans"),
    [
        (Recording([window(0, 10)], None, {}), [span(0, 10)]),
        (Recording([window(0, 10)], [], {}), []),
        (Recording([window(0, 10)], [Interval(2, 4), Interval(6, 12)], {}), [span(2, 4), span(6, 10)]),
        (Recording([window(0, 10)], [Interval(2, 6), Interval(4, 8)], {}), [span(2, 8)]),
        (
            Recording([window(0, 10), window(5, 8, title="u")], None, {}),
            [span(0, 5), span(5, 8, title="u"), span(8, 10)],
        ),
        (Recording([window(0, 9), window(5, 12, title="u")], None, {}), [span(0, 5), span(5, 12, title="u")]),
        (Recording([window(0, 5), window(5, 8)], None, {}), [span(0, 8)]),
        (Recording([window(5, 5)], None, {}), []),
        (Recording([window(0, 5), window(6, 8)], None, {}), [span(0, 8)]),
        (Recording([window(0, 5), window(10.0004, 11)], None, {}), [span(0, 11)]),
        (Recording([window(0, 5), window(10.1, 11)], None, {}), [span(0, 5), span(10.1, 11)]),
        (
            Recording([window(0, 5), window(6, 6, title="u"), window(7, 9)], None, {}),
            [span(0, 6), span(6, 7, title="u"), span(7, 9)],
        ),
        (Recording([window(0, 9), window(4, 4, title="u"), window(9, 12)], None, {}), [span(0, 12)]),
        (Recording([window(0, 9), window(2, 4), window(10, 12)], None, {}), [span(0, 12)]),
        (Recording([window(990, 1010)], None, {}), [span(990, 1000)]),
    ],
    ids=[
        "alone",
        "away",
        "there at times",
        "overlapping presence",
        "nested",
        "overlapping",
        "joined",
        "empty",
        "a short pause",
        "the longest pause",
        "a long pause",
        "no length",
        "nested without length",
        "nested and alike",
        "clipped",
    ],
)
def test_windows_count_while_somebody_is_there(recording: Recording, spans: list[Span]) -> None:
    assert spans_of(recording, ALWAYS) == spans


def test_a_browser_has_the_urls_of_its_tabs_and_other_windows_have_none() -> None:
    windows = [window(0, 10, "Firefox"), window(10, 20, "Google Chrome"), window(20, 30, "Code")]
    tabs = {"firefox": [tab(2, 4, "a"), tab(4, 30, "b")], "chrome": [tab(0, 30, "c")]}

    assert spans_of(Recording(windows, None, tabs), ALWAYS) == [
        span(0, 2, "Firefox"),
        span(2, 4, "Firefox", url="a"),
        span(4, 10, "Firefox", url="b"),
        span(10, 20, "Google Chrome", url="c"),
        span(20, 30, "Code"),
    ]


@pytest.mark.parametrize(
    ("app", "tabs", "url"),
    [
        ("chrome.exe", ["chrome", "firefox"], "chrome"),
        ("Google-chrome", ["chrome"], "chrome"),
        ("Chromium", ["chrome"], "chrome"),
        ("Chromium-browser", ["chromium", "chrome"], "chromium"),
        ("whale.exe", ["chrome"], "chrome"),
        ("네이버 웨일", ["chrome", "firefox"], "chrome"),
        ("Arc.exe", ["firefox", "chrome"], "chrome"),
        ("Arc", ["chrome", "arc"], "arc"),
        ("LibreWolf", ["firefox"], "firefox"),
        ("librewolf.exe", ["chrome", "firefox"], "firefox"),
        ("firefox_firefox", ["firefox"], ""),
        ("msedge.exe", ["edge", "chrome"], "edge"),
        ("Microsoft Edge", ["chrome"], ""),
        ("Brave Browser", ["brave"], "brave"),
        ("Vivaldi-stable", [""], ""),
        ("SearchApp.exe", ["arc", "chrome", ""], ""),
        ("Archive Utility", ["arc", "chrome", ""], ""),
        ("Edge Animate", ["edge", ""], ""),
        ("ChromeDriver", ["chrome", ""], ""),
    ],
)
def test_the_tabs_of_a_browser_are_those_of_its_extension(app: str, tabs: list[str], url: str) -> None:
    recorded = {name: [tab(0, 10, name)] for name in tabs}

    assert spans_of(Recording([window(0, 10, app)], None, recorded), ALWAYS) == [span(0, 10, app, url=url)]


def test_tabs_of_a_recorder_that_does_not_say_its_browser_are_any_browser_s() -> None:
    recording = Recording([window(0, 10, "Vivaldi-stable")], None, {"": [tab(0, 10, "a")]})

    assert [it.url for it in spans_of(recording, ALWAYS)] == ["a"]


def test_a_pause_ends_a_session() -> None:
    spans = [span(0, 10), span(70, 80), span(141, 150)]

    assert list(sessions_of(spans, 60)) == [spans[:2], spans[2:]]
    assert list(sessions_of([], 60)) == []


def test_sessions_of_a_day_have_numbers_of_their_own_also_where_an_hour_comes_twice() -> None:
    zone = ZoneInfo("Europe/Berlin")
    midnight = datetime(2025, 10, 26, tzinfo=zone).timestamp()  # of a day of 25 hours
    sessions = sessions_of((span(midnight + 61 * i, midnight + 61 * i + 0.5) for i in range(1475)), 60)

    assert len({messages_of(it, "ann", "pc", zone)[0]["session"] for it in sessions}) == 1475


_events = st.lists(st.tuples(st.integers(0, 900), st.integers(0, 90)), max_size=30)


@settings(deadline=None)
@given(_events, _events, _events, st.integers(1, 999))
def test_no_second_counts_twice_and_none_that_nobody_was_there(
    windows: list[tuple[int, int]], there: list[tuple[int, int]], tabs: list[tuple[int, int]], cut: int
) -> None:
    recording = Recording(
        [window(start, start + length, "Firefox") for start, length in windows],
        [Interval(start, start + length) for start, length in there],
        {"firefox": [tab(start, start + length, str(start)) for start, length in tabs]},
    )
    spans = spans_of(recording, ALWAYS)
    seconds = [second for it in spans for second in range(int(it.start), int(it.end))]

    assert len(seconds) == len(set(seconds))
    assert set(seconds) == {
        second
        for second in range(1000)
        if any(start <= second < start + length for start, length in there)
        and (any(start <= second < start + length for start, length in windows) or _is_short(second, windows))
    }
    halves = [*spans_of(recording, Interval(0, cut)), *spans_of(recording, Interval(cut, 1000))]
    assert sum(it.seconds for it in halves) == len(seconds)


@given(_events)
def test_what_is_missing_is_what_nothing_covers(covered: list[tuple[int, int]]) -> None:
    found = missing(Interval(100, 800), united(Interval(start, start + length) for start, length in covered))

    seconds = [second for it in found for second in range(int(it.start), int(it.end))]
    assert seconds == [it for it in range(100, 800) if not any(start <= it < start + n for start, n in covered)]


def _is_short(second: int, windows: list[tuple[int, int]]) -> bool:
    """Whether the pause with this second is one of at most 5."""
    begun = max((start + length for start, length in windows if start + length <= second), default=-10)
    return min((start for start, _ in windows if start > second), default=10_000) - begun <= 5
