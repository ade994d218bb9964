"""Recordings of windows, of presence and of browser tabs, merged into spans, and spans into sessions.

All times are Unix seconds.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from domains.bridge.browsers import tabs_of

_PAUSE = 5.0
"""Recorders look once a second and note only what they saw twice: a pause of at most so many seconds is none."""


class Recorded(NamedTuple):
    """`name` is the app of a window, empty for a tab; a window has a `url` if its recorder knew it."""

    start: float
    end: float
    name: str
    title: str
    url: str = ""


class Interval(NamedTuple):
    start: float
    end: float


class Span(NamedTuple):
    start: float
    end: float
    app: str
    title: str
    url: str

    @property
    def seconds(self) -> float:
        return self.end - self.start


class Recording(NamedTuple):
    """What one machine recorded: windows, presence (None where nobody recorded it), tabs by their browser's name."""

    windows: Sequence[Recorded]
    present: Sequence[Interval] | None
    tabs: Mapping[str, Sequence[Recorded]]


def spans_of(recording: Recording, within: Interval) -> list[Span]:
    """The windows while somebody was there, in their order and apart; those of browsers have their URLs.

    A browser's window is cut where its tab changes. What no tab covers stays without a URL.
    """
    windows: Iterable[Recorded] = continued(recording.windows)
    if recording.present is not None:
        windows = _present(windows, united(recording.present))
    tabs = {browser: continued(found) for browser, found in recording.tabs.items()}
    pieces = [
        piece for window in _clipped(windows, within) for piece in _with_urls(window, tabs_of(window.name, tabs))
    ]
    return _joined(pieces)


def cut(spans: Iterable[Span], longest: float) -> Iterator[Span]:
    """The spans in pieces of at most `longest` seconds."""
    for span in spans:
        while span.seconds > longest:
            yield span._replace(end=span.start + longest)
            span = span._replace(start=span.start + longest)
        yield span


def sessions_of(spans: Iterable[Span], gap: float) -> Iterator[list[Span]]:
    """Spans up to a pause of more than `gap` seconds are a session."""
    session: list[Span] = []
    for span in spans:
        if session and span.start - session[-1].end > gap:
            yield session
            session = []
        session.append(span)
    if session:
        yield session


def continued(recorded: Iterable[Recorded]) -> list[Recorded]:
    """In their order and apart. What ends shortly before the next one begins, or has no length, goes on until then;
    where several overlap, the one that began last counts.

    Source: the transform `flood` of aw-core.
    """
    ordered, last = sorted(recorded), 0
    for i, each in enumerate(ordered):
        if round(each.start - ordered[last].end, 3) <= _PAUSE:
            ordered[last] = ordered[last]._replace(end=max(ordered[last].end, each.start))
        if each.end >= ordered[last].end:
            last = i
    return list(_apart(ordered))


def _apart(ordered: Sequence[Recorded]) -> Iterator[Recorded]:
    begun: list[Recorded] = []
    at = -inf
    for until, each in [*((it.start, it) for it in ordered), (inf, None)]:
        while begun and at < until:
            latest = begun[-1]
            if latest.end <= at:
                begun.pop()
                continue
            end = min(latest.end, until)
            yield latest._replace(start=at, end=end)
            at = end
        at = until
        if each is not None:
            begun.append(each)


def united(intervals: Iterable[Interval]) -> list[Interval]:
    """In their order and apart."""
    united: list[Interval] = []
    for each in sorted(intervals):
        if united and each.start <= united[-1].end:
            united[-1] = Interval(united[-1].start, max(united[-1].end, each.end))
        else:
            united.append(each)
    return united


def missing(within: Interval, covered: Iterable[Interval]) -> Iterator[Interval]:
    """What of `within` none of `covered` covers; they are in their order and apart."""
    start = within.start
    for each in [*covered, Interval(within.end, within.end)]:
        if start < (end := min(each.start, within.end)):
            yield Interval(start, end)
        start = max(start, each.end)


def _present(windows: Iterable[Recorded], present: Sequence[Interval]) -> Iterator[Recorded]:
    first = 0
    for window in windows:
        while first < len(present) and present[first].end <= window.start:
            first += 1
        for interval in present[first:]:
            if interval.start >= window.end:
                break
            yield window._replace(start=max(window.start, interval.start), end=min(window.end, interval.end))


def _clipped(windows: Iterable[Recorded], within: Interval) -> Iterator[Recorded]:
    for window in windows:
        start, end = max(window.start, within.start), min(window.end, within.end)
        if start < end:
            yield window._replace(start=start, end=end)


def _with_urls(window: Recorded, tabs: Sequence[Recorded]) -> Iterator[Span]:
    at = window.start
    for tab in tabs[_first_after(tabs, window.start) :]:
        start, end = max(at, tab.start), min(window.end, tab.end)
        if tab.start >= window.end:
            break
        if start >= end:
            continue
        if at < start:
            yield Span(at, start, window.name, window.title, window.url)
        yield Span(start, end, window.name, window.title or tab.title, tab.url)
        at = end
    if at < window.end:
        yield Span(at, window.end, window.name, window.title, window.url)


def _first_after(tabs: Sequence[Recorded], start: float) -> int:
    """The index of the first tab that ends after `start`; they are in their order and do not overlap."""
    return bisect_right(tabs, start, key=lambda tab: tab.end)


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1][2:] == span[2:] and span.start == joined[-1].end:
            joined[-1] = joined[-1]._replace(end=span.end)
        else:
            joined.append(span)
    return joined
