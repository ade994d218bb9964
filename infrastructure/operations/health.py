"""The health of the pipeline, in one place: for readiness, the status command, metrics and the console."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import inf, isnan
from time import monotonic, time

import structlog
from prometheus_client import CollectorRegistry

from domains.categoryPattern.decisions import are_any
from domains.categoryPattern.ports import CategoryPatternRepositoryPort
from domains.kernel.errors import Outage, OutageKind, PipelineError, RedisOutage, StoreOutage
from domains.kernel.resilience import pause
from domains.operations.counters import CATEGORY, COMMITTED, DEAD_LETTERS, TIER, Totals, named
from domains.operations.model import DEGRADED, DOWN, HEALTHY, StreamFigures
from domains.operations.ports import CountersPort, StreamFiguresPort, TaskQueuePort
from domains.patternClassifier.classifier import PatternClassifier
from domains.pomodoro.consumer import ConsumerVitals, PomodoroPatternConsumer
from infrastructure.observing.deployment_counters import DeploymentCounters
from infrastructure.observing.metrics import (
    GaugeCollector,
    LoopLag,
    MetricsObserver,
    OpenBreaker,
    StreamGauges,
    values_of,
)
from infrastructure.observing.readable import counted, duration
from infrastructure.operations.outages import OutageReport, runbook_entry, server_of
from infrastructure.operations.stream_choice import StreamChoice
from infrastructure.settings import Settings

_REFRESH_SECONDS = 5.0
_CHECK_SECONDS = 3.0
_CHECK_KEPT_SECONDS = 1.0
_SILENT_SECONDS = 30.0
_FULL_SECONDS = 300.0
_LATE_SECONDS = 60.0
_HELD_BACK_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a part is usable, and if not, why in words. `cause` is what its driver said, if that is why."""

    ok: bool
    why: str = ""
    cause: str = ""


def stuck_loops(vitals: ConsumerVitals, usual_seconds: float) -> list[str]:
    """The loops that are stuck, in words. One turn of a loop takes `usual_seconds`."""
    if vitals.outage:  # the loops rest on purpose
        return []
    allowed = usual_seconds + (_FULL_SECONDS if vitals.full else _SILENT_SECONDS)
    return [
        f"the {loop} loop has not turned for {duration(silent)}"
        for loop, silent in vitals.silent_seconds.items()
        if silent > allowed
    ]


def assess(
    checks: dict[str, Check],
    streams: Sequence[StreamFigures] | None,
    settings: Settings,
    others: Sequence[str] = (),
) -> tuple[str, list[str]]:
    """The level, and the problems in words. Down means that no message can reach its commit.

    `others` are problems that hinder no message.
    """
    down = [check.why if check.cause else f"{name}: {check.why}" for name, check in checks.items() if not check.ok]
    degraded = [*others]
    idle_allowed = settings.silence_allowed
    alive = [it for figures in streams or () for it in figures.instances if it.idle_seconds <= idle_allowed]
    if streams is not None and not alive:
        down.append("no consumer is at work")
    for figures in streams or ():
        late = max(figures.oldest_pending_seconds, figures.oldest_undelivered_seconds)
        if late > max(_LATE_SECONDS, idle_allowed):
            degraded.append(f"{figures.stream}: a message has been waiting for {duration(late)}")
        if figures.entries > settings.stream_max_backlog:
            degraded.append(f"{figures.stream}: longer than STREAM_MAX_BACKLOG ({figures.entries} entries)")
        degraded += [
            f"{figures.stream}: the group {group} has held back trimming for {duration(seconds)}; "
            "STREAM_IGNORED_GROUPS names groups that nobody reads with"
            for group, seconds in figures.holding_back.items()
            if seconds > _HELD_BACK_SECONDS
        ]
        if figures.failed_scores > 0:
            degraded.append(f"{figures.stream}: {counted(int(figures.failed_scores), 'score')} kept for replay")
        degraded += [
            f"{it.name} holds {counted(it.pending, 'message')} and has been silent for {duration(it.idle_seconds)}"
            for it in figures.instances
            if it.pending and it.idle_seconds > idle_allowed
        ]
    return (DOWN if down else DEGRADED if degraded else HEALTHY), down + degraded


async def eviction_problem(figures: StreamFiguresPort) -> str | None:
    """That Redis may drop keys of ours, in words. Raises RedisOutage."""
    policy = await figures.may_lose_keys()
    if policy is None:
        return None
    return f"Redis drops keys when it is full: its maxmemory-policy is {policy}, and must be noeviction"


async def warn_of_eviction(figures: StreamFiguresPort) -> None:
    """Logs it at the start, where it is so."""
    with suppress(RedisOutage):
        if (problem := await eviction_problem(figures)) is not None:
            log = structlog.stdlib.get_logger("pomocore")
            log.warning("Redis may lose data", action="eviction", cause=problem)


class PipelineHealth:
    """The health of this process if it has consumers (see `attend`), else of the deployment as its stores show it."""

    def __init__(
        self,
        settings: Settings,
        figures: StreamFiguresPort,
        stream_choice: StreamChoice,
        tasks: TaskQueuePort,
        patterns: CategoryPatternRepositoryPort,
        classifier: PatternClassifier,
        observer: MetricsObserver,
        registry: CollectorRegistry,
        partitions: Sequence[str],
        counters: CountersPort,
        counting: DeploymentCounters,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.gauges = StreamGauges()
        self._figures = figures
        self._stream_choice = stream_choice
        self._tasks = tasks
        self._counters = counters
        self._counting = counting
        self._totals = Totals(None, {})
        self._outages = dict[str, OutageReport]()
        self._others: list[str] = []
        self._patterns = patterns
        self._classifier = classifier
        self._observer = observer
        self._consumers: Sequence[PomodoroPatternConsumer] = ()
        self._stopping: Callable[[], bool] = lambda: False
        self._lag = LoopLag(registry)
        self._checking = asyncio.Lock()
        self._checked = (-inf, dict[str, Check]())
        registry.register(GaugeCollector(self.gauges, partitions, self.vitals))

    def attend(self, consumers: Sequence[PomodoroPatternConsumer], stop: asyncio.Event) -> None:
        """Names the consumers of this process, and the event that stops them."""
        self._consumers = consumers
        self._stopping = stop.is_set

    @property
    def outages(self) -> Mapping[str, OutageReport]:
        """Those of Redis and the store that the last check found."""
        return self._outages

    def vitals(self) -> list[ConsumerVitals]:
        return [consumer.vitals() for consumer in self._consumers]

    def stuck(self) -> list[str]:
        """The loops of this process that are stuck, in words. Empty while it stops."""
        if self._stopping():
            return []
        usual = max(self.settings.block_ms, self.settings.claim_idle_ms / 3) / 1000
        return [words for vitals in self.vitals() for words in stuck_loops(vitals, usual)]

    async def checks(self) -> dict[str, Check]:
        """Checks Redis, the store, the patterns and, in a process with consumers, that it takes work. Never raises.

        The results are kept for a second.
        """
        if self._stopping():  # without waiting for the other checks
            return {**self._checked[1], "consumer": Check(False, "stopping")}
        async with self._checking:
            made, checks = self._checked
            if monotonic() - made >= _CHECK_KEPT_SECONDS:
                checks = await self._check()
                self._checked = (monotonic(), checks)
        return checks

    def in_words(self, error: PipelineError) -> str:
        """The error for a person. Only what is no common outage is said as the driver says it."""
        if not isinstance(error, Outage) or error.kind is OutageKind.UNUSABLE:
            return str(error)
        service = "store" if isinstance(error, StoreOutage) else "redis"
        return self._report(service, error, self._observer.open_breakers.get(service)).in_words(self.settings)

    async def refresh(self) -> None:
        """Reads new figures from Redis. Raises RedisOutage; there are no figures then."""
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                streams = await self._figures.streams()
                self.gauges.take(streams)
                self._counting.backlog_seen(streams)
                self._others = [problem async for problem in self._look_beside()]
                with suppress(RedisOutage):  # somebody may have written another type there
                    self._totals = await self._counters.totals()
        except TimeoutError:
            self.gauges.lost()
            raise RedisOutage("no answer", OutageKind.UNREACHABLE) from None
        except RedisOutage:
            self.gauges.lost()
            raise

    async def _look_beside(self) -> AsyncIterator[str]:
        """Problems beside the streams, in words."""
        with suppress(RedisOutage):  # the other stream may be forbidden to us
            if (problem := await self._stream_choice.problem()) is not None:
                yield problem
        with suppress(RedisOutage):  # INFO may be forbidden to us
            if (problem := await eviction_problem(self._figures)) is not None:
                yield problem
        if self.settings.commands and "tasks" not in self._observer.open_breakers:
            try:
                if waiting := await self._tasks.unserved():
                    yield f"{counted(waiting, 'task')} waiting, and no instance runs tasks"
            except RedisOutage as cause:
                yield self._report("tasks", cause, None).in_words(self.settings)

    async def watch(self, closing: asyncio.Event) -> None:
        """Reads figures every few seconds until `closing` is set. Errors here stop nothing else.

        It must not be cancelled: redis-py may turn a cancellation into an error of the connection and lose it.
        """
        async with asyncio.TaskGroup() as group:
            lag = group.create_task(self._lag.watch(), name="event loop lag")
            await self._keep_fresh(closing)
            lag.cancel()

    async def _keep_fresh(self, closing: asyncio.Event) -> None:
        while not closing.is_set():
            try:
                await self.refresh()
            except RedisOutage:  # the breaker reports the outage
                pass
            except Exception:
                self.gauges.lost()
                structlog.stdlib.get_logger("pomocore").exception("No figures of Redis", action="figures")
            await pause(closing, _REFRESH_SECONDS)

    async def snapshot(self) -> dict[str, object]:
        """All of it as a JSON object. NaN becomes null."""
        checks = await self.checks()
        outages = [*self._outages.values()]
        outages += [
            self._report(name, None, breaker)
            for name, breaker in self._observer.open_breakers.items()
            if name not in checks
        ]
        words = {outage.service: outage.in_words(self.settings) for outage in outages}
        others = [text for name, text in words.items() if name not in checks]
        level, problems = assess(checks, self.gauges.streams, self.settings, self._others + others)
        document: dict[str, object] = {
            "level": level,
            "problems": problems,
            "checks": {name: asdict(check) for name, check in checks.items()},
            "breakers": {name: words[name] for name in self._observer.open_breakers if name in words},
            "outages": [_outage(outage, self.settings) for outage in outages],
            "deployment": _deployment(self._totals),
            "streams": [_json_of(figures, self.settings) for figures in self.gauges.streams or ()],
        }
        if self._consumers:
            document["metrics"] = self._metrics()
        return document

    def of_process(self) -> dict[str, object]:
        """What this process alone knows, as a JSON object, without asking anybody."""
        outages = [self._report(name, None, breaker) for name, breaker in self._observer.open_breakers.items()]
        breakers = {outage.service: outage.in_words(self.settings) for outage in outages}
        checks = {name: Check(name not in breakers, breakers.get(name, "")) for name in ("redis", "store")}
        loaded = are_any(self._classifier.snapshot.patterns)
        checks["patterns"] = Check(loaded, "" if loaded else no_patterns(self.settings))
        if stuck := self.stuck():
            checks["consumer"] = Check(False, "; ".join(stuck))
        return {
            "time": time(),
            "llm": self.settings.asks_llm,
            "checks": {name: asdict(check) for name, check in checks.items()},
            "breakers": breakers,
            "outages": [_outage(outage, self.settings) for outage in outages],
            "metrics": self._metrics(),
        }

    def _metrics(self) -> dict[str, float | None]:
        return {name: _number(value) for name, value in values_of(self.registry.collect()).items()}

    async def _check(self) -> dict[str, Check]:
        redis, (store, stored) = await asyncio.gather(self._fault_of_redis(), self._fault_of_store())
        checks = {"redis": self._checked_by("redis", redis), "store": self._checked_by("store", store)}
        loaded = are_any(self._classifier.snapshot.patterns) if self._consumers else stored
        known = loaded or not checks["store"].ok
        return checks | {"patterns": Check(True) if known else Check(False, no_patterns(self.settings))}

    def _checked_by(self, service: str, fault: PipelineError | None) -> Check:
        """Not ok also if its breaker is open: a server may answer and still be unusable, such as a read-only one."""
        breaker = self._observer.open_breakers.get(service)
        if fault is None and breaker is None:
            self._outages.pop(service, None)
            return Check(True)
        outage = self._outages[service] = self._report(service, fault, breaker)
        return Check(False, outage.in_words(self.settings), outage.cause)

    def _report(self, service: str, fault: PipelineError | None, breaker: OpenBreaker | None) -> OutageReport:
        """What is known of an outage: `fault` is what a call met with just now."""
        since = breaker.since if breaker else None
        if self._consumers and since is None:
            known = self._outages.get(service)
            since = known.since if known else time()
        kind = breaker.kind if breaker else OutageKind.UNUSABLE
        cause = breaker.cause if breaker else ""
        if fault is not None:
            kind, cause = fault.kind if isinstance(fault, Outage) else OutageKind.UNUSABLE, str(fault)
        return OutageReport(service, kind, server_of(service, self.settings), since, cause)

    async def _fault_of_redis(self) -> PipelineError | None:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._figures.ping()
        except TimeoutError:
            return RedisOutage("no answer", OutageKind.UNREACHABLE)
        except PipelineError as cause:
            return cause
        return None

    async def _fault_of_store(self) -> tuple[PipelineError | None, bool]:
        """What is wrong with the store, and whether it has patterns."""
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                if self._consumers:  # they know theirs; the store only has to answer
                    return None, bool(await self._patterns.count())
                return None, are_any(await self._patterns.find_all())
        except TimeoutError:
            return StoreOutage("no answer", OutageKind.UNREACHABLE), False
        except PipelineError as cause:
            return cause, False


def _outage(outage: OutageReport, settings: Settings) -> dict[str, object]:
    name, address = outage.server
    return {
        "service": outage.service,
        "kind": outage.kind.value,
        "server": name,
        "address": address,
        "since": outage.since,
        "words": outage.in_words(settings),
        "cause": outage.cause,
        "runbook": runbook_entry(settings),
    }


def no_patterns(settings: Settings) -> str:
    """What to do where the store has no patterns, in words."""
    place = f"{settings.mongo_database}.category_pattern" if settings.mongo_uri else "the embedded store"
    return (
        f"no patterns in {place}: is MONGO_DATABASE right? Spring's initialiser fills it, or "
        "SEED_DEFAULT_PATTERNS=true, or python -m cmd.patterns import --defaults"
    )


def _deployment(totals: Totals) -> dict[str, object]:
    counts = totals.counts
    return {
        "since": totals.since,
        "committed": counts.get(COMMITTED, 0.0),
        "dead_letters": counts.get(DEAD_LETTERS, 0.0),
        "tiers": named(counts, TIER),
        "categories": named(counts, CATEGORY),
    }


def _json_of(figures: StreamFigures, settings: Settings) -> dict[str, object]:
    made = {name: _number(value) if isinstance(value, float) else value for name, value in asdict(figures).items()}
    made["instances"] = [
        asdict(each) | {"alive": each.idle_seconds <= settings.silence_allowed} for each in figures.instances
    ]
    return made


def _number(value: float) -> float | None:
    return None if isnan(value) else value
