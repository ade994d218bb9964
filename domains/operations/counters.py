"""What the deployment has done over time: counters to which all instances add, by the hour and finer.

They count what was written and committed. The boards alone are exact: a process that dies takes the counts of its
last seconds along, and a batch that had to be tried again in parts may count its tiers twice.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

COMMITTED, DEAD_LETTERS = "committed", "dead_letters"
TIER, CATEGORY, LANE = "tier:", "category:", "lane:"
"""Prefixes: messages by tier, seconds by category, and by lane `messages`, `batches`, `seconds` and `le:BOUND`.

`seconds` are of batches, from their read to their commit; `le:BOUND` are the messages of batches that took up to
BOUND seconds and longer than the next smaller bound.
"""

PEAK = "peak:"
"""Prefix of what is no count: the most that was seen of `waiting` and `working` messages, and of `oldest`, seconds
that the oldest of them had waited. Buckets have it, totals do not."""

LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 3600.0)

Counts = Mapping[str, float]


class Resolution(NamedTuple):
    """Counters of `points` buckets of `step` seconds each."""

    step: int
    points: int


HOURLY = 3600
SPANS = {
    "5m": Resolution(10, 30),
    "1h": Resolution(60, 60),
    "24h": Resolution(300, 288),
    "30d": Resolution(HOURLY, 720),
}
"""What can be looked at. Buckets of an hour are kept for longer, see COUNTERS_RETENTION_DAYS."""


class Flush(NamedTuple):
    """What a process has counted and seen since its last flush. One of the same process and number counts once."""

    process: str
    number: int
    time: float
    counts: Counts


class Totals(NamedTuple):
    """What was counted since the deployment's first message, in Unix seconds; None if there was none."""

    since: float | None
    counts: Counts


class Bucket(NamedTuple):
    """What was counted in the `step` seconds from `start` on (Unix seconds)."""

    start: int
    counts: Counts


def latency_bound(seconds: float) -> float:
    """The bound under which it is counted; the last one for all that took longer."""
    return next((bound for bound in LATENCY_BOUNDS if seconds <= bound), LATENCY_BOUNDS[-1])


def percentile(counts: Counts, lane: str, share: float) -> float | None:
    """The seconds within which the batches of that share of a lane's messages were committed; None without messages.

    Within the bounds of a class it is interpolated.
    """
    classes = [counts.get(f"{LANE}{lane}:le:{bound}", 0.0) for bound in LATENCY_BOUNDS]
    wanted = share * sum(classes)
    if not wanted:
        return None
    lower = 0.0
    for bound, count in zip(LATENCY_BOUNDS, classes, strict=True):
        if count and wanted <= count:
            return lower + (bound - lower) * wanted / count
        wanted, lower = wanted - count, bound
    return lower


def named(counts: Counts, prefix: str) -> dict[str, float]:
    """Those whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in counts.items() if name.startswith(prefix)}


def starts(resolution: Resolution, now: float) -> Sequence[int]:
    """When the buckets begin, the one under way last."""
    last = int(now) // resolution.step * resolution.step
    return range(last - (resolution.points - 1) * resolution.step, last + 1, resolution.step)
