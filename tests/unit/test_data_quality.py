"""A source that is poisoned in one way has that problem and no other; a healthy one has none."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from math import isnan
from operator import lt
from pathlib import Path

import pytest

from domains.activityEvent.model import OutboxEntry
from domains.activityEvent.quality import PROBLEMS, Hours, Tally, assess, psi, tally
from domains.bridge.activity import Span
from domains.pomodoro.model import Posting
from domains.pomodoro.posting import source_of
from infrastructure.activitywatch.posting import messages_of
from infrastructure.spring.columns import PackedFields
from tests.messages import SEOUL

NOW = datetime(2026, 3, 5, 14, 30, tzinfo=SEOUL)
HOUR = "2026-03-05T14"
MIX = ["Development"] * 5 + ["SNS"] * 3 + ["Uncategorized"] * 2


def entry(at: datetime, number: int, source: str = "spring", **changes: object) -> OutboxEntry:
    at += timedelta(seconds=number)
    began = at.timestamp() - 120 - 5
    posting = Posting(
        f"user-{number // 4 % 7}",
        f"{number:024x}",
        at.date().isoformat(),
        began,
        120.0,
        at.date().isoformat(),
        number // 4,
        MIX[number % 10],
        True,
        "url",
        "",
        "",
        source,
        number % 4 == 3,
    )
    return OutboxEntry(f"{int(at.timestamp() * 1000)}-0", [posting._replace(**changes)])  # type: ignore[arg-type]


def hours_of(made: Tally) -> Hours:
    hours: dict[str, dict[str, dict[str, float]]] = {}
    for hour, counts in made.counts.items():
        for name, number in counts.items():
            source, _, what = name.partition("|")
            hours.setdefault(hour, {}).setdefault(source, {})[what] = number
    return hours


def sessions_of(made: Tally) -> dict[str, tuple[int, int]]:
    seen, ended = ([len(them) for them in kind.values()] for kind in (made.seen, made.ended))
    return {"spring": (sum(seen), sum(ended))}


def problems(now: list[OutboxEntry], invalid: int = 0) -> list[str]:
    past = [entry(NOW - timedelta(weeks=week), number) for week in (1, 2, 3, 4) for number in range(100)]
    hours = hours_of(tally([*past, *now], SEOUL))
    sessions = sessions_of(tally(now, SEOUL))
    (quality,) = assess([HOUR], hours, {"spring": {"missing_field": invalid}}, sessions, NOW.timestamp())
    return quality.problems


def healthy(change: Callable[[int], dict[str, object]] = lambda number: {}, count: int = 100) -> list[OutboxEntry]:
    return [entry(NOW, number, **change(number)) for number in range(count)]


def at(number: int) -> float:
    return NOW.timestamp() + number - 125


@pytest.mark.parametrize(
    ("now", "invalid", "expected"),
    [
        (healthy(), 0, []),
        (healthy(count=60), 1, []),
        (healthy(lambda number: {"timestamp": at(number) + 3600}), 0, ["a clock is ahead"]),
        (healthy(lambda number: {"timestamp": at(number) - 3600}), 0, ["a clock is behind"]),
        (healthy(lambda n: {"category": "Uncategorized"} if n % 10 in (1, 6) else {}), 0, ["nobody can name"]),
        ([], 0, ["far fewer spans"]),
        (healthy(), 5, ["break the contract"]),
        (healthy(lambda number: {"category": "Game"} if number % 10 < 4 else {}), 0, ["not those of past weeks"]),
        (healthy(lambda number: {"seconds": 0.5, "timestamp": at(number) + 119.5}), 0, ["shorter than a second"]),
        (
            healthy(lambda n: {"seconds": 7200.0, "timestamp": at(n) - 7080} if n % 5 == 0 else {}),
            0,
            ["than an hour"],
        ),
        (healthy(lambda number: {"is_end": False}), 0, ["have not ended"]),
        ([*healthy(), OutboxEntry(healthy()[0].id, (), repeated=["spring"] * 30)], 0, ["come twice"]),
    ],
)
def test_each_poison_is_its_own_problem(now: list[OutboxEntry], invalid: int, expected: list[str]) -> None:
    found = problems(now, invalid)

    assert len(found) == len(expected), found
    assert all(part in text for part, text in zip(expected, found, strict=True)), found


def test_of_a_source_without_a_past_nothing_is_said() -> None:
    made = tally([entry(NOW, number, "bridge") for number in range(100)], SEOUL)

    (quality,) = assess([HOUR], hours_of(made), {}, {"bridge": (5, 2)}, NOW.timestamp() + 160)

    assert (quality.source, quality.spans, quality.open_sessions, quality.problems) == ("bridge", 100, 3, [])
    assert isnan(quality.rate_ratio)
    assert isnan(quality.drift)
    assert quality.silent_seconds == pytest.approx(61)
    assert quality.unknown_share == pytest.approx(0.2)
    assert quality.delay_median == 60


def test_a_move_changes_categories_and_counts_no_span() -> None:
    first = entry(NOW, 0, category="Uncategorized")
    (posting,) = first.postings
    pair = [posting._replace(seconds=-120.0), posting._replace(category="SNS")]
    made = tally([first, OutboxEntry(first.id, pair, moved=pair)], SEOUL)

    counts = made.counts[HOUR]
    assert (counts["spring|spans"], counts["spring|category:Uncategorized"], counts["spring|category:SNS"]) == (
        1,
        0,
        120,
    )


def test_sessions_are_seen_and_ended() -> None:
    made = tally([entry(NOW, number) for number in range(8)], SEOUL)

    assert [len(them) for them in made.seen.values()] == [2]
    assert [len(them) for them in made.ended.values()] == [2]


def test_the_index_is_0_for_the_same_and_large_for_another_population() -> None:
    assert psi({"a": 1, "b": 2}, {"a": 10, "b": 20}) == pytest.approx(0)
    assert psi({"a": 1, "b": 9}, {"a": 9, "b": 1}) > 1
    assert psi({"a": 1, "Uncategorized": 9}, {"a": 1}) == pytest.approx(0)


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({}, "spring"),
        ({"eventId": "0b9f"}, "collector"),
        ({"eventId": "aw-1f-1757200000.000"}, "bridge"),
        ({"source": "replay", "eventId": "0b9f"}, "replay"),
        ({"source": "somebody"}, "other"),
    ],
)
def test_an_entry_says_who_sent_it(fields: dict[str, str], source: str) -> None:
    packed = PackedFields("\xff".join(text for pair in fields.items() for text in pair).encode("latin-1"))

    assert source_of(fields) == source
    assert source_of(packed) == source or not fields


def test_the_alerts_have_the_limits_of_the_report() -> None:
    limits = {(name, "<" if is_wrong is lt else ">", limit) for name, is_wrong, limit, _ in PROBLEMS}
    expression = r"pomocore_quality_(\w+)\) ([<>]) ([\d.]+)$"
    rules = Path("deploy/prometheus/rules.yml").read_text()

    assert {(name, sign, float(at)) for name, sign, at in re.findall(expression, rules, re.MULTILINE)} == limits


async def test_what_the_bridge_posts_says_that_it_is_the_bridge() -> None:
    (message, *_) = messages_of([Span(1757200000.0, 60.0, "Code", "", "")], "me", "host", SEOUL)

    assert source_of({name: str(value) for name, value in message.items()}) == "bridge"
