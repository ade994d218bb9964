"""How good the data of each source are: counted by the hour as events are exported, judged against past weeks."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf, log, nan
from operator import gt, lt
from statistics import median
from zoneinfo import ZoneInfo

from domains.activityEvent.model import OutboxEntry
from domains.categoryPattern.model import UNCATEGORIZED
from domains.pomodoro.model import digest_of

WEEKS = 4
"""How many past weeks are compared with."""
ENOUGH = 20
"""Events. With fewer, nothing is said of shares and rates."""
DELAYS = (-3600, -900, -60, 0, 60, 900, 3600, 6 * 3600, 86_400, 7 * 86_400)
"""Upper bounds (seconds) of classes of the time from the end of a span to its commit. Below 0, a clock is ahead."""
_SHORT, _LONG = 1.0, 3600.0
_CATEGORY, _DELAY = "category:", "delay:"

Hours = Mapping[str, Mapping[str, Mapping[str, float]]]
"""{local hour (yyyy-MM-ddTHH): {source: {what: how much}}}"""


@dataclass(slots=True)
class Tally:
    """What exported entries add: counts by hour, source and name, and sessions seen and ended by their date."""

    counts: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    """{hour: {source|name: number}}"""
    seen: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    ended: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """{date|source: {digest of the session}}"""


def hour_of(timestamp: float, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(timestamp, zone).strftime("%Y-%m-%dT%H")


def tally(entries: Iterable[OutboxEntry], zone: ZoneInfo) -> Tally:
    made = Tally()
    for entry in entries:
        committed = int(entry.id.partition("-")[0]) / 1000
        counts = made.counts[hour_of(committed, zone)]
        for posting in entry.postings:
            if posting.source == "rebuild":
                continue
            source, seconds = posting.source, posting.seconds
            counts[f"{source}|{_CATEGORY}{posting.category}"] += seconds
            if posting in entry.moved:
                continue  # it was counted as a span before
            counts[f"{source}|spans"] += 1
            counts[f"{source}|last"] = max(counts[f"{source}|last"], committed)
            delay = committed - posting.timestamp - seconds
            counts[f"{source}|{_DELAY}{next((bound for bound in DELAYS if delay <= bound), inf)}"] += 1
            counts[f"{source}|short"] += seconds < _SHORT
            counts[f"{source}|long"] += seconds > _LONG
            session = digest_of(posting.user_id, posting.session_date, str(posting.session))
            made.seen[f"{posting.session_date}|{source}"].add(session)
            if posting.is_end:
                made.ended[f"{posting.session_date}|{source}"].add(session)
        for source, count in Counter(entry.repeated).items():
            counts[f"{source}|duplicates"] += count
    return made


@dataclass(slots=True)
class SourceQuality:
    """One source over some hours. Shares are of 1; nan where there are too few events to say.

    `rate_ratio`: spans against the same hours of past weeks; `unknown_ratio`: the share of seconds that nobody could
    name, against the past; `delay_median` in seconds from a span's end to its commit; `ahead_share`: spans that end
    more than a minute after their commit; `drift`: population stability index of the known categories;
    `open_share`: of the sessions, those that have not ended.
    """

    source: str
    spans: int = 0
    hours: float = 0.0
    rate_ratio: float = nan
    unknown_share: float = nan
    unknown_ratio: float = nan
    duplicate_share: float = nan
    invalid: dict[str, int] = field(default_factory=dict)
    invalid_share: float = nan
    delay_median: float = nan
    delay_tail: float = nan
    ahead_share: float = nan
    short_share: float = nan
    long_share: float = nan
    drift: float = nan
    open_sessions: int = 0
    open_share: float = nan
    silent_seconds: float = nan
    problems: list[str] = field(default_factory=list)


def assess(
    now: Sequence[str],
    hours: Hours,
    invalid: Mapping[str, Mapping[str, int]],
    sessions: Mapping[str, tuple[int, int]],
    time: float,
) -> list[SourceQuality]:
    """Judges the hours `now` (yyyy-MM-ddTHH) of all sources, against the same hours one to WEEKS weeks before.

    `sessions`: {source: (how many were seen, and how many of them have ended)}.
    """
    past = [[_weeks_before(hour, week) for hour in now] for week in range(1, WEEKS + 1)]
    sources = {source for hour in hours.values() for source in hour} | invalid.keys()
    return [
        _assessed(
            source,
            _total(source, now, hours),
            [sums for week in past if (sums := _total(source, week, hours)).get("spans")],
            invalid.get(source, {}),
            sessions.get(source, (0, 0)),
            time,
        )
        for source in sorted(sources)
    ]


def _assessed(
    source: str,
    sums: Mapping[str, float],
    past: Sequence[Mapping[str, float]],
    invalid: Mapping[str, int],
    sessions: tuple[int, int],
    time: float,
) -> SourceQuality:
    spans = int(sums.get("spans", 0))
    seen, ended = sessions
    made = SourceQuality(source, spans, invalid=dict(invalid), open_sessions=seen - ended)
    if seen >= ENOUGH:
        made.open_share = (seen - ended) / seen
    if last := max([sums.get("last", 0), *(week.get("last", 0) for week in past)]):
        made.silent_seconds = max(time - last, 0.0)
    usual = median([week["spans"] for week in past]) if past else 0
    if usual >= ENOUGH:
        made.rate_ratio = spans / usual
    if (arrived := spans + sums.get("duplicates", 0) + sum(invalid.values())) >= ENOUGH:
        made.duplicate_share = sums.get("duplicates", 0) / arrived
        made.invalid_share = sum(invalid.values()) / arrived
    if spans >= ENOUGH:
        made.hours = sum(_categories(sums).values()) / 3600
        made.unknown_share = _unknown(sums)
        made.short_share, made.long_share = sums.get("short", 0) / spans, sums.get("long", 0) / spans
        delays = {float(name.removeprefix(_DELAY)): n for name, n in sums.items() if name.startswith(_DELAY)}
        made.ahead_share = sum(count for bound, count in delays.items() if bound <= -60) / spans
        made.delay_median, made.delay_tail = _quantile(delays, 0.5), _quantile(delays, 0.99)
        before = _sum(past)
        if before.get("spans", 0) >= ENOUGH:
            made.unknown_ratio = made.unknown_share / max(_unknown(before), 0.01)
            made.drift = psi(_categories(sums), _categories(before))
    made.problems = [text for name, is_wrong, limit, text in PROBLEMS if is_wrong(getattr(made, name), limit)]
    return made


PROBLEMS = (
    ("rate_ratio", lt, 0.2, "far fewer spans than in past weeks"),
    ("unknown_ratio", gt, 1.8, "much more that nobody can name than in past weeks"),
    ("invalid_share", gt, 0.02, "many messages break the contract"),
    ("duplicate_share", gt, 0.2, "many messages come twice"),
    ("ahead_share", gt, 0.1, "spans end in the future: a clock is ahead"),
    ("delay_median", gt, 1800, "spans are late: a clock is behind, or something holds them up"),
    ("short_share", gt, 0.5, "most spans are shorter than a second"),
    ("long_share", gt, 0.1, "many spans are longer than an hour"),
    ("open_share", gt, 0.5, "most sessions have not ended"),
    ("drift", gt, 0.25, "the categories are not those of past weeks"),
)
"""The alerts in deploy/prometheus/rules.yml have the same limits. A comparison with nan is false."""


def psi(now: Mapping[str, float], before: Mapping[str, float]) -> float:
    """Population stability index of the known categories: below 0.1 alike, above 0.25 another population."""
    names = (now.keys() | before.keys()) - {UNCATEGORIZED}
    total, past = (max(sum(max(it.get(name, 0.0), 0.0) for name in names), 1e-9) for it in (now, before))
    shares = ((max(now.get(n, 0.0) / total, 1e-4), max(before.get(n, 0.0) / past, 1e-4)) for n in names)
    return sum((share - usual) * log(share / usual) for share, usual in shares)


def _weeks_before(hour: str, weeks: int) -> str:
    return (datetime.strptime(hour, "%Y-%m-%dT%H") - timedelta(weeks=weeks)).strftime("%Y-%m-%dT%H")  # noqa: DTZ007


def _total(source: str, hours: Iterable[str], counts: Hours) -> dict[str, float]:
    return _sum(counts.get(hour, {}).get(source, {}) for hour in hours)


def _sum(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, number in part.items():
            total[name] = max(total.get(name, 0.0), number) if name == "last" else total.get(name, 0.0) + number
    return total


def _categories(sums: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix(_CATEGORY): it for name, it in sums.items() if name.startswith(_CATEGORY)}


def _unknown(sums: Mapping[str, float]) -> float:
    seconds = _categories(sums)
    return seconds.get(UNCATEGORIZED, 0.0) / max(sum(seconds.values()), 1e-9)


def _quantile(delays: Mapping[float, float], share: float) -> float:
    """The upper bound of the class in which the quantile lies."""
    left = share * sum(delays.values())
    for bound in sorted(delays):
        left -= delays[bound]
        if left <= 1e-9:
            return bound
    return nan
