"""What is counted, under which names, and what the level of the whole is."""

import inspect
import os
import subprocess
import sys
import time
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from domains.kernel.errors import ClassificationFailed, LLMFailure, OutageKind, RedisOutage, StoreOutage
from domains.operations.model import Instance, StreamFigures, TaskState, TaskStatus
from domains.patternClassifier.model import PatternProblem
from domains.pomodoro.consumer import ConsumerVitals
from domains.pomodoro.model import CommitResult, DeadLetter, StreamState
from infrastructure.composition.reference_pages import REFERENCE_PAGES
from infrastructure.observing.logs import LoggingObserver
from infrastructure.observing.metrics import (
    GaugeCollector,
    MetricsObserver,
    StreamGauges,
    _ProcessCollector,
    make_registry,
    values_of,
)
from infrastructure.observing.observers import Observer, Observers
from infrastructure.observing.tracing import TracingObserver
from infrastructure.operations.health import DEGRADED, DOWN, HEALTHY, Check, assess, stuck_loops
from infrastructure.settings import Settings
from tests.messages import message, parser
from tests.unit.pipeline_in_memory import Instance as Consumer
from tests.unit.pipeline_in_memory import World, until

ROOT = Path(__file__).parents[2]


class Metrics:
    def __init__(self, cost: float = 0.0) -> None:
        self.registry = make_registry()
        self.observer = MetricsObserver(self.registry, cost)

    def __getitem__(self, name: str) -> float:
        return values_of(self.registry.collect())[f"pomocore_{name}"]


def figures(**changed: Any) -> StreamFigures:
    usual: dict[str, Any] = {
        "stream": "s",
        "entries": 3,
        "undelivered": 2,
        "undelivered_exact": True,
        "oldest_undelivered_seconds": 1.5,
        "pending": 1,
        "oldest_pending_seconds": 2.5,
        "dead_letters": 4,
        "failed_scores": 0,
        "unannounced_sessions": 0,
        "deferred": 0,
        "instances": [Instance("one", 1, 0.5)],
    }
    return StreamFigures(**usual | changed)


# The process


def test_the_figures_of_the_process_need_nothing_of_proc_but_processes(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("/proc/self")
    found = _ProcessCollector(proc=str(tmp_path), registry=None).collect()
    values = {sample.name: sample.value for metric in found for sample in metric.samples}

    assert values["process_resident_memory_bytes"] > 1_000_000
    assert 0 <= time.time() - values["process_start_time_seconds"] < 100_000


# Observers


def test_what_is_told_of_batches_is_counted() -> None:
    metrics = Metrics()
    it = metrics.observer
    it.batch_read(50)
    it.stage_done("write", 0.2)
    it.classified({"url": 30, "llm": 1})
    it.classified({"url": 5})
    it.batch_committed(CommitResult(messages=40, scores=12, failed_scores=2, duplicates=4), 0.5)
    it.sessions_announced(3, 1)
    it.batch_committed(CommitResult(messages=7), 2.0, "slow")
    it.message_failed("1-0", 1, "busy")
    it.stream_tidied(StreamState(trimmed=9))

    assert metrics["messages_read_total"] == metrics["read_messages_sum"] == 50
    assert metrics['stage_seconds_sum{stage="write"}'] == 0.2
    assert metrics['classifications_total{tier="url"}'] == 35
    assert metrics['classifications_total{tier="app"}'] == 0
    assert metrics['messages_committed_total{lane="fast"}'] == 40
    assert metrics['messages_committed_total{lane="slow"}'] == 7
    assert metrics['batch_seconds_sum{lane="slow"}'] == 2.0
    assert (metrics["scores_raised_total"], metrics["scores_failed_total"]) == (12, 2)
    assert metrics["sessions_announced_total"] == 3
    assert metrics["sessions_announced_incomplete_total"] == 1
    assert metrics["duplicates_total"] == 4
    assert metrics["message_failures_total"] == 1
    assert metrics["stream_trimmed_entries_total"] == 9


def test_a_commit_without_messages_is_no_batch() -> None:
    metrics = Metrics()
    metrics.observer.batch_committed(CommitResult(), 0.5)

    assert metrics['batch_seconds_count{lane="fast"}'] == 0


def test_breakers_of_all_partitions_count() -> None:
    metrics = Metrics()
    metrics.observer.breaker_changed("redis", True, RedisOutage("no answer", OutageKind.UNREACHABLE))
    before_second = time.time()
    metrics.observer.breaker_changed("redis", True, RedisOutage("READONLY", OutageKind.READ_ONLY))
    metrics.observer.breaker_changed("redis", False, None)

    assert metrics['breaker_open{service="redis"}'] == 1
    assert metrics['breaker_openings_total{service="redis"}'] == 2
    (breaker,) = metrics.observer.open_breakers.values()
    assert (breaker.kind, breaker.cause) == (OutageKind.READ_ONLY, "READONLY")
    assert breaker.since <= before_second, "since the first of them opened"
    metrics.observer.breaker_changed("redis", False, None)
    assert metrics.observer.open_breakers == {}


def test_what_the_llm_did_and_cost() -> None:
    metrics = Metrics(cost=2.5)
    metrics.observer.llm_answered(20, 18, 4000, 1.25)
    metrics.observer.llm_failed(5, ClassificationFailed("APITimeoutError", LLMFailure.TIMEOUT))

    assert metrics['llm_requests_total{outcome="answered"}'] == 1
    assert metrics['llm_requests_total{outcome="timeout"}'] == 1
    assert metrics['llm_windows_total{outcome="answered"}'] == 18
    assert metrics['llm_windows_total{outcome="unanswered"}'] == 7
    assert metrics["llm_tokens_total"] == 4000
    assert metrics["llm_cost_total"] == pytest.approx(0.01)
    assert metrics["llm_request_seconds_sum"] == 1.25


def test_tasks_are_counted_at_their_end_and_by_known_tasks() -> None:
    metrics = Metrics()
    for task, status in (
        ("ping", TaskState.STARTED),
        ("ping", TaskState.COMPLETED),
        ("dance", TaskState.FAILED),
        ("", TaskState.FAILED),
    ):
        metrics.observer.task_told(TaskStatus(status, task, None, "", {}))

    assert metrics['commands_total{task="ping",status="completed"}'] == 1
    assert metrics['commands_total{task="unknown",status="failed"}'] == 2


def test_patterns_are_those_in_use() -> None:
    metrics = Metrics()
    metrics.observer.patterns_loaded(3, [PatternProblem("Design", "http://", "it has no host")])
    metrics.observer.patterns_not_loaded(StoreOutage("away"))
    metrics.observer.tier_failed("cache", RedisOutage("away"))

    assert (metrics["patterns"], metrics["patterns_broken"]) == (3, 1)
    assert metrics['pattern_loads_total{outcome="failed"}'] == 1
    assert metrics['tier_failures_total{tier="cache"}'] == 1


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"duration": "-1"}, "invalid_field"),
        ({"sessionDate": "is missing"}, "invalid_field"),
        ({"timestamp": "1E300"}, "invalid_field"),
        ({"userId": ""}, "invalid_field"),
        ({"duration": None, "title": "duration must be"}, "missing_field"),
        ({"title": "\udcff"}, "not_utf8"),
        ({"title": "x" * 2_000_000}, "too_large"),
        ({"categorizedDataId": "a" * 24}, "one_id"),
    ],
)
def test_dead_letters_are_counted_by_kind(changed: dict[str, str | None], kind: str) -> None:
    letter = parser().parse("1-0", message(**changed))

    assert isinstance(letter, DeadLetter)
    metrics = Metrics()
    metrics.observer.dead_lettered([letter])
    assert metrics[f'dead_letters_total{{reason="{kind}"}}'] == 1


def test_a_letter_with_several_faults_is_of_the_first_ones_kind() -> None:
    letter = parser().parse("1-0", {"userId": "u", "duration": "-1"})

    assert isinstance(letter, DeadLetter)
    assert letter.kind == "invalid_field"
    assert letter.public_reason.startswith("duration must be a finite number of seconds, 0 or more, not …; timestamp")


def test_a_failure_of_the_llm_that_nobody_foresaw_is_an_error() -> None:
    metrics = Metrics()
    metrics.observer.llm_failed(1, KeyError("choices"))

    assert metrics['llm_requests_total{outcome="error"}'] == 1


@pytest.mark.parametrize("observer", [MetricsObserver, LoggingObserver, TracingObserver])
def test_an_observer_listens_to_nothing_that_is_never_told(observer: type) -> None:
    for name in vars(observer):
        if not name.startswith("_"):
            told = inspect.signature(getattr(Observer, name))
            assert list(told.parameters) == list(inspect.signature(getattr(observer, name)).parameters)


def test_all_observers_hear_what_they_override() -> None:
    heard: list[tuple[str, int]] = []

    class One(Observer):
        def batch_read(self, count: int) -> None:
            heard.append(("one", count))

    class Two(One):
        def batch_read(self, count: int) -> None:
            heard.append(("two", count))

        def stopped(self, left_pending: int) -> None:
            heard.append(("stopped", left_pending))

    both = Observers(One(), Two())
    both.batch_read(1)
    both.batch_read(count=2)
    both.stopped(3)
    both.stopping(4)

    assert heard == [("one", 1), ("two", 1), ("one", 2), ("two", 2), ("stopped", 3)]


def test_a_method_that_no_observer_has_cannot_be_told() -> None:
    with pytest.raises(AttributeError):
        Observers(Observer()).batch_raed(1)


async def test_a_whole_consumer_in_figures() -> None:
    metrics, world = Metrics(), World()
    world.llm.gate.set()
    consumer = Consumer(world, other=metrics.observer)
    async with consumer.running() as task:
        world.add(message(isEnd="true"), message(app="Frobnicator"), message(duration="-1"))
        await until(lambda: consumer.seen.committed == 2 and bool(consumer.seen.letters), task)
        await until(lambda: consumer.consumer.vitals().in_flight == 0, task)
        vitals = consumer.consumer.vitals()

    assert metrics["messages_read_total"] == 3
    assert metrics['messages_committed_total{lane="fast"}'] == 1
    assert metrics['messages_committed_total{lane="slow"}'] == 1
    assert metrics['classifications_total{tier="app"}'] == 1
    assert metrics['classifications_total{tier="llm"}'] == 1
    assert metrics['dead_letters_total{reason="invalid_field"}'] == 1
    assert metrics['llm_requests_total{outcome="answered"}'] == 1
    for stage in ("look_up", "decide", "write", "commit"):
        assert metrics[f'stage_seconds_count{{stage="{stage}"}}'] >= 1
    assert vitals.in_flight_bytes == 0
    assert vitals.silent_seconds.keys() == {"read", "claim"}
    assert consumer.consumer.vitals().silent_seconds == {}


# Gauges


def gauges_with(taken: list[StreamFigures] | None, vitals: list[ConsumerVitals]) -> dict[str, float]:
    registry, gauges = make_registry(), StreamGauges()
    if taken is not None:
        gauges.take(taken)
    registry.register(GaugeCollector(gauges, ["s"], lambda: vitals))
    return values_of(registry.collect())


def test_gauges_of_consumers_are_those_of_the_moment() -> None:
    one = ConsumerVitals(3, 300, False, False, {"read": 1.0, "claim": 2.0})
    two = ConsumerVitals(4, 400, False, False, {"read": 5.0})
    values = gauges_with(None, [one, two])

    assert values["pomocore_in_flight_messages"] == 7
    assert values["pomocore_in_flight_bytes"] == 700
    assert values['pomocore_loop_silent_seconds{loop="read"}'] == 5.0


def test_gauges_of_redis() -> None:
    values = gauges_with([figures()], [])

    assert values['pomocore_undelivered_entries{stream="s"}'] == 2
    assert values['pomocore_pending_oldest_age_seconds{stream="s"}'] == 2.5
    assert values['pomocore_dead_letter_entries{stream="s"}'] == 4
    assert values["pomocore_redis_figures_age_seconds"] < 60


def test_what_is_not_known_is_no_number() -> None:
    values = gauges_with(None, [])

    assert isnan(values["pomocore_redis_figures_age_seconds"])
    assert isnan(values['pomocore_pending_entries{stream="s"}'])


def test_names_follow_the_conventions() -> None:
    metrics = Metrics()
    metrics.registry.register(GaugeCollector(StreamGauges(), ["s"], list))
    families = list(text_string_to_metric_families(generate_latest(metrics.registry).decode()))
    ours = [family for family in families if family.name.startswith("pomocore_")]

    assert len(ours) > 30
    assert not [family.name for family in ours if family.name.endswith("_created")]
    assert all(family.documentation for family in ours)


# The level


def settings() -> Settings:
    return Settings(claim_idle_ms=1000, block_ms=1000)


GOOD = {"redis": Check(True)}


@pytest.mark.parametrize(
    ("checks", "streams", "level", "told"),
    [
        (GOOD, [figures()], HEALTHY, ""),
        (GOOD, [figures(dead_letters=nan, failed_scores=nan)], HEALTHY, ""),
        ({"redis": Check(False, "refused")}, None, DOWN, "redis: refused"),
        (GOOD, [figures(instances=[])], DOWN, "no consumer is at work"),
        (GOOD, [figures(instances=[Instance("one", 0, 3.5)])], DOWN, "no consumer is at work"),
        (GOOD, [figures(failed_scores=2)], DEGRADED, "2 scores"),
        (GOOD, [figures(oldest_undelivered_seconds=61.0)], DEGRADED, "waiting for 61 s"),
        (GOOD, [figures(oldest_pending_seconds=61.0)], DEGRADED, "waiting for 61 s"),
        (GOOD, [figures(entries=1_000_001)], DEGRADED, "STREAM_MAX_BACKLOG"),
        (GOOD, [figures(instances=[Instance("one", 0, 0.1), Instance("two", 5, 9.0)])], DEGRADED, "two holds 5"),
        (GOOD, [figures(instances=[Instance("one", 0, 0.1), Instance("two", 0, 9.0)])], HEALTHY, ""),
    ],
)
def test_the_level(checks: dict[str, Check], streams: list[StreamFigures] | None, level: str, told: str) -> None:
    found, problems = assess(checks, streams, settings())

    assert found == level
    assert told in "; ".join(problems)
    assert bool(problems) == (level != HEALTHY)


@pytest.mark.parametrize(
    ("outage", "full", "silent", "stuck"),
    [
        (False, False, 31.0, False),
        (False, False, 33.0, True),
        (True, False, 3300.0, False),
        (False, True, 33.0, False),
        (False, True, 303.0, True),
    ],
)
def test_a_loop_that_does_not_turn_is_stuck_unless_it_waits(
    outage: bool, full: bool, silent: float, stuck: bool
) -> None:
    vitals = ConsumerVitals(0, 0, outage, full, {"read": silent, "claim": 0.1})

    assert bool(stuck_loops(vitals, usual_seconds=2.0)) == stuck


# Reference pages


@pytest.mark.parametrize("page", REFERENCE_PAGES)
def test_the_reference_pages_name_all_there_is(page: str) -> None:
    assert (ROOT / page).read_text(encoding="utf-8") == REFERENCE_PAGES[page](), "run `make docs`"


def test_no_variable_of_the_environment_turns_metrics_into_files(tmp_path: Path) -> None:
    script = "from infrastructure.observing.metrics import *; MetricsObserver(make_registry(), 0.0).batch_read(1)"
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "nowhere")}

    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
