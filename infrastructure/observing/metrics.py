"""The metrics that Prometheus scrapes. `make docs` writes docs/metrics.md from here.

Observers raise counters once a batch. Gauges are read at each scrape: those of consumers from memory, and those of
Redis from figures that a task reads every few seconds.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import nan
from time import CLOCK_BOOTTIME, clock_gettime, monotonic, time
from typing import Any, NamedTuple, Protocol, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from domains.activityEvent.model import OutboxState
from domains.activityEvent.quality import SourceQuality
from domains.focusCard.model import RunFigures
from domains.kernel.errors import ClassificationFailed, LLMFailure, Outage, OutageKind, PipelineError, RedisOutage
from domains.operations.model import ENDS, StreamFigures, TaskStatus
from domains.patternClassifier.model import PatternProblem, PauseReason, Tier
from domains.pomodoro.consumer import ConsumerVitals
from domains.pomodoro.model import (
    CommitResult,
    DeadLetter,
    DeadLetterKind,
    Lane,
    Stage,
    StreamState,
)
from domains.siteProfile.model import EvidenceKind, SiteProfile, SiteState, VisitOutcome
from domains.workQueue.model import QueueFigures
from infrastructure.command_line import VERSION
from infrastructure.observing.observers import Observer
from infrastructure.operations.task_registry import TASKS

_QUALITY = {
    "rate_ratio": "Spans of the last full hour against the same hour of past weeks",
    "unknown_share": "Share of seconds that nobody could name",
    "unknown_ratio": "The same share against past weeks",
    "invalid_share": "Share of messages that break the contract",
    "duplicate_share": "Share of messages that had counted before",
    "ahead_share": "Share of spans that end over a minute after their commit",
    "delay_median": "Median of the seconds from the end of a span to its commit, as the bound of a class",
    "delay_tail": "The 99th percentile of the same",
    "short_share": "Share of spans of less than a second",
    "long_share": "Share of spans of more than an hour",
    "drift": "Population stability index of the known categories against past weeks",
    "open_sessions": "Sessions of yesterday that have not ended",
    "open_share": "Share of these sessions among those of yesterday",
    "silent_seconds": "Seconds since the last span was committed",
}

M = TypeVar("M", covariant=True)

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)

_ANSWERED = "answered"


class OpenBreaker(NamedTuple):
    """Since when (Unix seconds) one of that name has been open, and what the last of them met with."""

    kind: OutageKind
    since: float
    cause: str


class MetricsObserver(Observer):
    """ConsumerObserver and ClassifierObserver in counters and histograms of `registry`.

    `cost_per_million_tokens` is the LLM's price. `open_breakers` has those that are open, by name.
    """

    def __init__(self, registry: CollectorRegistry, cost_per_million_tokens: float = 0.0) -> None:
        self._cost_of_token = cost_per_million_tokens / 1_000_000
        self._open: Tally[str] = Tally()
        self.open_breakers: dict[str, OpenBreaker] = {}
        counter, histogram = maker(Counter, registry), maker(Histogram, registry)

        self._read = counter("messages_read", "Messages read from the stream, including dead letters")
        self._read_sizes = histogram("read_messages", "Messages that one read returned", buckets=_SIZES)
        committed = counter("messages_committed", "Messages committed, by lane", ["lane"])
        self._committed = {lane: committed.labels(lane) for lane in Lane}
        took = histogram("batch_seconds", "Time of a batch from its read to its commit", ["lane"], buckets=_SECONDS)
        self._took = {lane: took.labels(lane) for lane in Lane}
        stages = histogram(
            "stage_seconds",
            "Time of a stage of a batch, including outages that it waited for",
            ["stage"],
            buckets=_SECONDS,
        )
        self._stages = {stage: stages.labels(stage) for stage in Stage}
        tiers = counter("classifications", "Messages classified and written, by the tier that decided", ["tier"])
        self._tiers = {tier: tiers.labels(tier) for tier in Tier}
        self._scores = counter("scores_raised", "Scores (of a user on a board) raised")
        self._failed_scores = counter("scores_failed", "Scores that a board could not take, kept for replay")
        self._sessions = counter("sessions_announced", "Sessions announced as fully classified")
        self._impatient = counter(
            "sessions_announced_incomplete", "Sessions announced after ANNOUNCE_PATIENCE, before all was classified"
        )
        self._duplicates = counter("duplicates", "Messages acknowledged whose usage log had counted before")
        self._letters = counter("dead_letters", "Messages moved to the dead letters, by kind of reason", ["reason"])
        for kind in set(DeadLetterKind) - {DeadLetterKind.UNKNOWN}:
            self._letters.labels(kind)
        self._failures = counter("message_failures", "Tries of messages that failed by themselves")
        self._trimmed = counter(
            "stream_trimmed_entries", "Entries trimmed from the stream after all groups had acknowledged them"
        )
        self._breakers = maker(Gauge, registry)(
            "breaker_open", "Open breakers: each waits for an outage to end", ["service"]
        )
        self._openings = counter("breaker_openings", "How often a breaker has opened", ["service"])
        for service in ("redis", "store", "tasks", "schedule", "status_channel", "jobs"):
            self._breakers.labels(service)
            self._openings.labels(service)
        self._patterns = maker(Gauge, registry)("patterns", "Patterns in use, with those that come with the program")
        self._broken = maker(Gauge, registry)("patterns_broken", "Patterns skipped because they are broken")
        self._loads = counter(
            "pattern_loads", "Changed sets of patterns that were loaded, and failures to load them", ["outcome"]
        )
        for outcome in ("loaded", "failed"):
            self._loads.labels(outcome)
        self._tier_failures = counter("tier_failures", "How often a tier could not be asked", ["tier"])
        for tier in (Tier.CACHE, Tier.DOCUMENTS, Tier.LLM):
            self._tier_failures.labels(tier)
        self._requests = counter("llm_requests", "Requests to the LLM, by outcome", ["outcome"])
        for outcome in (_ANSWERED, *LLMFailure):
            self._requests.labels(outcome)
        self._pauses = counter("llm_pauses", "Pauses of the LLM, by reason", ["reason"])
        for reason in PauseReason:
            self._pauses.labels(reason)
        self._quality = {
            name: maker(Gauge, registry)(f"quality_{name}", text, ["source"]) for name, text in _QUALITY.items()
        }
        self._exported = counter("events_exported", "Events written to Kafka or DuckDB")
        self._rejected = counter("events_rejected", "Events that could not be encoded, set aside")
        self._export_failures = counter("event_export_failures", "How often events could not be exported")
        self._export_age = histogram(
            "event_age_seconds", "From a commit to the export of its events", buckets=_SECONDS
        )
        self._events_waiting = maker(Gauge, registry)("events_waiting", "Events that wait to be exported")
        self._events_oldest = maker(Gauge, registry)("events_oldest_seconds", "Age of the oldest event that waits")
        self._events_gap = maker(Gauge, registry)(
            "events_gap", "Events that found no room, in days not rebuilt since"
        )
        self._deferred = counter("messages_deferred", "Messages committed with an interim category")
        self._reclassified = counter("messages_reclassified", "Deferred messages that got their category")
        self._commands = counter("commands", "Tasks that have ended", ["task", "status"])
        for task in TASKS:
            for state in ENDS:
                self._commands.labels(task, state)
        windows = counter("llm_windows", "Windows that the LLM was asked about, by result", ["outcome"])
        self._answered, self._unanswered = windows.labels("answered"), windows.labels("unanswered")
        self._shares_spent = counter(
            "llm_shares_spent", "Times that a user had spent their share of the LLM's budget"
        )
        self._tokens = counter("llm_tokens", "Tokens that the LLM has charged, or may have charged")
        self._cost = counter("llm_cost", "Cost of these tokens, by LLM_COST_PER_MILLION_TOKENS")
        self._jobs = counter("jobs_done", "Jobs of a work queue that were done", ["queue"])
        self._job_failures = counter("job_failures", "Tries of jobs that failed", ["queue"])
        gauge = maker(Gauge, registry)
        self._jobs_waiting = gauge("jobs_waiting", "Jobs that nobody has taken yet", ["queue"])
        self._jobs_pending = gauge("jobs_pending", "Jobs in hand, or waiting for their retry", ["queue"])
        self._jobs_oldest = gauge("jobs_oldest_seconds", "Age of the oldest job that is not done", ["queue"])
        self._jobs_dead = gauge("jobs_dead_letters", "Dead letters of a work queue, whoever made them", ["queue"])
        self._cards = counter("cards", "Focus cards looked at, by whether they had to be written", ["outcome"])
        for outcome in ("written", "unchanged"):
            self._cards.labels(outcome)
        self._chunk_seconds = histogram("card_chunk_seconds", "Time of the cards of a chunk", buckets=_SECONDS)
        self._last_cards = gauge("cards_last_run_timestamp_seconds", "When all focus cards were last made; 0: never")
        self._card_posts = counter("card_posts", "Cards posted to webhooks, by outcome", ["outcome"])
        for outcome in ("posted", "failed"):
            self._card_posts.labels(outcome)
        self._visits = counter("site_visits", "Visits to unknown sites, by outcome", ["outcome"])
        for outcome in VisitOutcome:
            self._visits.labels(outcome)
        self._visit_seconds = histogram(
            "site_visit_seconds", "Time of a visit, including the wait for its turns", buckets=_SECONDS
        )
        self._concluded = counter(
            "sites_analysed", "Sites analysed, by the evidence that decided (open: none did)", ["evidence"]
        )
        for evidence in (*EvidenceKind, SiteState.OPEN):
            self._concluded.labels(evidence)
        self._queued_sites = counter("sites_queued", "Unknown sites that were queued for a visit by a crawl")
        self._not_noted = counter("sites_not_noted", "How often users of unknown sites could not be counted")
        self._latency = histogram("llm_request_seconds", "Time of an answered request to the LLM", buckets=_SECONDS)

    @override
    def batch_read(self, count: int) -> None:
        self._read.inc(count)
        self._read_sizes.observe(count)

    @override
    def stage_done(self, stage: Stage, seconds: float) -> None:
        self._stages[stage].observe(seconds)

    @override
    def classified(self, tier_counts: Mapping[Tier, int]) -> None:
        for tier, count in tier_counts.items():
            self._tiers[tier].inc(count)

    @override
    def batch_committed(self, result: CommitResult, seconds: float, lane: Lane = Lane.FAST) -> None:
        if result.messages:
            self._committed[lane].inc(result.messages)
            self._took[lane].observe(seconds)
        if result.scores:
            self._scores.inc(result.scores)
        if result.failed_scores:
            self._failed_scores.inc(result.failed_scores)
        if result.deferred:
            self._deferred.inc(result.deferred)
        if result.duplicates:
            self._duplicates.inc(result.duplicates)

    @override
    def sessions_announced(self, sessions: int, impatient: int) -> None:
        self._sessions.inc(sessions)
        self._impatient.inc(impatient)

    @override
    def dead_lettered(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            self._letters.labels(letter.kind).inc()

    @override
    def message_failed(self, entry_id: str, attempt: int, reason: str) -> None:
        self._failures.inc()

    @override
    def breaker_changed(self, name: str, is_open: bool, cause: Outage | None) -> None:
        """Each partition has breakers of its own under the same names."""
        self._open[name] += 1 if is_open else -1
        self._breakers.labels(name).set(self._open[name])
        if is_open:
            self._openings.labels(name).inc()
            since = self.open_breakers[name].since if name in self.open_breakers else time()
            kind = OutageKind.UNUSABLE if cause is None else cause.kind
            self.open_breakers[name] = OpenBreaker(kind, since, str(cause))
        elif not self._open[name]:
            self.open_breakers.pop(name, None)

    @override
    def stream_tidied(self, state: StreamState) -> None:
        self._trimmed.inc(state.trimmed)

    @override
    def site_visited(self, site: str, outcome: VisitOutcome, seconds: float) -> None:
        self._visits.labels(outcome).inc()
        self._visit_seconds.observe(seconds)

    @override
    def site_concluded(self, profile: SiteProfile) -> None:
        decided = [each.kind for each in profile.evidence if profile.category and each.category == profile.category]
        self._concluded.labels(decided[-1] if decided else SiteState.OPEN).inc()

    @override
    def job_done(self, queue: str, seconds: float) -> None:
        self._jobs.labels(queue).inc()

    @override
    def job_failed(self, queue: str, key: str, cause: Exception, retry_in: float | None) -> None:
        self._job_failures.labels(queue).inc()

    @override
    def queue_seen(self, figures: QueueFigures) -> None:
        self._jobs_waiting.labels(figures.queue).set(figures.lag)
        self._jobs_pending.labels(figures.queue).set(figures.pending)
        self._jobs_oldest.labels(figures.queue).set(figures.oldest_seconds)
        self._jobs_dead.labels(figures.queue).set(figures.dead_letters)
        for counted in (self._jobs, self._job_failures):
            counted.labels(figures.queue)

    @override
    def work_breaker_changed(self, queue: str, is_open: bool, cause: Outage | None) -> None:
        self.breaker_changed("jobs", is_open, cause)

    @override
    def cards_made(self, figures: RunFigures, seconds: float) -> None:
        self._cards.labels("written").inc(figures.written)
        self._cards.labels("unchanged").inc(figures.unchanged)
        self._chunk_seconds.observe(seconds)

    @override
    def cards_seen(self, last_run: float) -> None:
        self._last_cards.set(last_run)

    @override
    def webhook_told(self, host: str, outcome: str) -> None:
        if not outcome.endswith("posted before"):
            self._card_posts.labels("posted" if outcome == "posted" else "failed").inc()

    @override
    def sites_queued(self, sites: int) -> None:
        self._queued_sites.inc(sites)

    @override
    def sites_not_noted(self, cause: RedisOutage) -> None:
        self._not_noted.inc()

    @override
    def patterns_loaded(self, count: int, problems: Sequence[PatternProblem]) -> None:
        self._loads.labels("loaded").inc()
        self._patterns.set(count)
        self._broken.set(len(problems))

    @override
    def patterns_not_loaded(self, cause: PipelineError) -> None:
        self._loads.labels("failed").inc()

    @override
    def tier_failed(self, tier: Tier, cause: Exception) -> None:
        self._tier_failures.labels(tier).inc()

    @override
    def llm_answered(self, windows: int, answered: int, tokens: int, seconds: float) -> None:
        self._requests.labels(_ANSWERED).inc()
        self._answered.inc(answered)
        self._unanswered.inc(windows - answered)
        self._charged(tokens)
        self._latency.observe(seconds)

    @override
    def task_told(self, status: TaskStatus) -> None:
        if status.status in ENDS:
            self._commands.labels(status.task if status.task in TASKS else "unknown", status.status).inc()

    @override
    def llm_paused(self, reason: PauseReason, seconds: float) -> None:
        self._pauses.labels(reason).inc()

    @override
    def reclassified(self, result: CommitResult) -> None:
        self._reclassified.inc(result.moved)

    @override
    def events_exported(self, stream: str, count: int, rejected: int, seconds: float) -> None:
        self._exported.inc(count - rejected)
        self._rejected.inc(rejected)
        self._export_age.observe(seconds)

    @override
    def events_waiting(self, states: Mapping[str, OutboxState]) -> None:
        self._events_waiting.set(sum(state.waiting for state in states.values()))
        self._events_oldest.set(max(state.oldest_seconds for state in states.values()))
        self._events_gap.set(sum(sum(state.gap_by_day.values()) for state in states.values()))

    @override
    def quality_assessed(self, sources: Sequence[SourceQuality]) -> None:
        for quality in sources:
            for name, gauge in self._quality.items():
                gauge.labels(quality.source).set(getattr(quality, name))

    @override
    def export_failed(self, stream: str, cause: PipelineError) -> None:
        self._export_failures.inc()

    @override
    def llm_failed(self, windows: int, cause: Exception) -> None:
        kind = cause.kind if isinstance(cause, ClassificationFailed) else LLMFailure.ERROR
        self._requests.labels(kind).inc()
        self._unanswered.inc(windows)
        self._charged(cause.tokens if isinstance(cause, ClassificationFailed) else 0)

    @override
    def llm_share_spent(self, seconds: float) -> None:
        self._shares_spent.inc()

    def _charged(self, tokens: int) -> None:
        self._tokens.inc(tokens)
        self._cost.inc(tokens * self._cost_of_token)


class StreamGauges:
    """The last figures from Redis. `streams` is None before the first ones and during an outage of Redis."""

    def __init__(self) -> None:
        self.streams: Sequence[StreamFigures] | None = None
        self._taken = nan

    @property
    def age_seconds(self) -> float:
        """Seconds since the last successful read; NaN if there was none."""
        return monotonic() - self._taken

    def take(self, streams: Sequence[StreamFigures]) -> None:
        self.streams, self._taken = streams, monotonic()

    def lost(self) -> None:
        self.streams = None


class GaugeCollector(Collector):
    """The gauges of a scrape, read from memory. `partitions` are the keys of the streams."""

    def __init__(
        self, gauges: StreamGauges, partitions: Sequence[str], vitals: Callable[[], Sequence[ConsumerVitals]]
    ) -> None:
        self._gauges = gauges
        self._partitions = partitions
        self._vitals = vitals

    @override
    def collect(self) -> Iterator[Metric]:
        vitals = self._vitals()
        yield _gauge("in_flight_messages", "Messages read and not yet committed", sum(v.in_flight for v in vitals))
        yield _gauge(
            "in_flight_bytes",
            "Size of the messages read and not yet committed",
            sum(v.in_flight_bytes for v in vitals),
        )
        loops = _gauge(
            "loop_silent_seconds", "Time since the last turn of the slowest loop of that name", labels=["loop"]
        )
        for loop in ("start", "read", "claim"):
            silent = [v.silent_seconds[loop] for v in vitals if loop in v.silent_seconds]
            if silent:
                loops.add_metric([loop], max(silent))
        yield loops
        yield from self._of_redis()

    def _of_redis(self) -> Iterator[Metric]:
        yield _gauge(
            "redis_figures_age_seconds", "Age of the figures from Redis, which are NaN during an outage of Redis",
            self._gauges.age_seconds,
        )  # fmt: skip
        for name, (meaning, value) in _OF_STREAM.items():
            family = _gauge(name, meaning, labels=["stream"])
            if self._gauges.streams is None:
                for stream in self._partitions:
                    family.add_metric([stream], nan)
            for figures in self._gauges.streams or ():
                family.add_metric([figures.stream], value(figures))
            yield family


_OF_STREAM: dict[str, tuple[str, Callable[[StreamFigures], float]]] = {
    "stream_entries": ("Entries in the stream", lambda it: it.entries),
    "undelivered_entries": (
        "Entries that were delivered to no consumer (the lag), counted",
        lambda it: it.undelivered,
    ),
    "undelivered_oldest_age_seconds": (
        "Time since the oldest of them was published",
        lambda it: it.oldest_undelivered_seconds,
    ),
    "pending_entries": ("Entries delivered to a consumer and not yet committed", lambda it: it.pending),
    "pending_oldest_age_seconds": (
        "Time since the oldest of them was published",
        lambda it: it.oldest_pending_seconds,
    ),
    "dead_letter_entries": ("Entries in the dead-letter stream", lambda it: it.dead_letters),
    "failed_score_entries": ("Scores kept for replay", lambda it: it.failed_scores),
    "deferred_entries": ("Messages committed with an interim category", lambda it: it.deferred),
    "unannounced_sessions": ("Ended sessions that wait for earlier messages", lambda it: it.unannounced_sessions),
    "instances": ("Consumers in the group, including those that have died", lambda it: len(it.instances)),
}


class LoopLag:
    """The lag of the event loop: how much longer than intended a task has slept."""

    _INTERVAL = 0.5

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = maker(Histogram, registry)(
            "event_loop_lag_seconds", "How late the event loop wakes a task", buckets=_SECONDS[:13]
        )

    async def watch(self) -> None:
        """Measures until it is cancelled."""
        while True:
            due = monotonic() + self._INTERVAL
            await asyncio.sleep(self._INTERVAL)
            self._lag.observe(max(0.0, monotonic() - due))


class _ProcessCollector(prometheus_client.ProcessCollector):
    """Also where /proc shows nothing but processes (ProcSubset=pid of the systemd unit)."""

    @override
    def _boot_time(self) -> float:
        """Unix seconds. prometheus_client reads it from /proc/stat, and has no figures at all without that."""
        return time() - clock_gettime(CLOCK_BOOTTIME)


def make_registry() -> CollectorRegistry:
    """Our registry, with the figures of the process and of Python."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    prometheus_client.values.ValueClass = prometheus_client.values.MutexValue  # not files in PROMETHEUS_MULTIPROC_DIR
    registry = CollectorRegistry()
    for collector in (
        _ProcessCollector,
        prometheus_client.PlatformCollector,
        prometheus_client.GCCollector,
    ):
        collector(registry=registry)
    maker(Gauge, registry)("build_info", "1, with the version of this service", ["version"]).labels(VERSION).set(1)
    return registry


def values_of(families: Iterable[Metric]) -> dict[str, float]:
    """{name{label="value",…}: value} of our own metrics, without the buckets of histograms."""
    return {
        sample.name + _labels(sample.labels): sample.value
        for family in families
        if family.name.startswith("pomocore_")
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


class MetricDescription(NamedTuple):
    name: str
    type: str
    labels: str
    meaning: str


def describe_metrics(registry: CollectorRegistry) -> list[MetricDescription]:
    """Our metrics, ordered by the names under which they are queried."""
    return sorted(
        MetricDescription(
            family.name + ("_total" if family.type == "counter" else ""),
            family.type,
            ", ".join(sorted({name for sample in family.samples for name in sample.labels} - {"le"})),
            family.documentation,
        )
        for family in registry.collect()
        if family.name.startswith("pomocore_")
    )


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


class _Make(Protocol[M]):
    def __call__(self, name: str, meaning: str, labels: Sequence[str] = (), **options: Any) -> M: ...


def maker(kind: Callable[..., M], registry: CollectorRegistry) -> _Make[M]:
    def make(name: str, meaning: str, labels: Sequence[str] = (), **options: Any) -> M:
        return kind(f"pomocore_{name}", meaning, labels, registry=registry, **options)

    return make


def _gauge(
    name: str, meaning: str, value: float | None = None, labels: Sequence[str] | None = None
) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"pomocore_{name}", meaning, value=value, labels=labels)
