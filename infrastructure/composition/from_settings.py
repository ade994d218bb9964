"""The decisions that follow from the settings: which adapters, limits and optional parts are used.

The container calls these functions. Slow imports are made where they are needed, so that other commands do not wait
for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from domains.categoryPattern.model import CategoryPattern
from domains.categoryPattern.ports import CategoryPatternRepositoryPort, PatternProposalRepositoryPort
from domains.leaderboard.ports import LeaderboardCachePort
from domains.leaderboard.service import BoardCalendar
from domains.operations.ports import AuditPort, DeadLettersPort
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.llm_queue import LLMQueue, LLMQueueLimits
from domains.patternClassifier.model import Tier
from domains.patternClassifier.ports import (
    ClassificationCachePort,
    ClassifiedWindowsPort,
    ClassifierObserver,
    LLMBudgetPort,
    LLMClientPort,
    LocalClassifierPort,
)
from domains.patternClassifier.privacy import Privacy
from domains.patternClassifier.snapshot import PatternSnapshot
from domains.patternClassifier.tiers import AnswerMemory, CacheTier, DocumentsTier, LocalClassifierTier, SlowTier
from domains.pomodoro.capacity import ConsumerLimits
from infrastructure.observing.logs import LoggingObserver, announce_not_loaded
from infrastructure.observing.metrics import MetricsObserver
from infrastructure.observing.observers import Observer, Observers
from infrastructure.operations.health import PipelineHealth
from infrastructure.patterns.pattern_file import ADDITIONS, PatternFileError, default_patterns, read_patterns
from infrastructure.patterns.sites import known_sites
from infrastructure.redis import client as redis_client
from infrastructure.redis.commit import CommitLimits, RedisCommit
from infrastructure.redis.keys import StreamKeys
from infrastructure.redis.outbox import OutboxCommit
from infrastructure.redis.session_ends import RedisSessionEnds
from infrastructure.settings import Settings, SettingsError, names_of
from infrastructure.spring.message_parser import MessageLimits
from infrastructure.sqlite.database import SqliteDatabase

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from opentelemetry.sdk.trace import TracerProvider
    from redis.asyncio import Redis

    from infrastructure.http.api import Api

T = TypeVar("T")


def store_kind(settings: Settings) -> str:
    return "sqlite" if settings.mongo_uri is None else "mongo"


def patterns_to_start_with(settings: Settings) -> list[CategoryPattern]:
    """The default patterns for the embedded store. Spring's initialiser fills a shared one, or we, if asked to."""
    return default_patterns() if settings.mongo_uri is None or settings.seed_default_patterns else []


def pattern_additions(settings: Settings) -> list[CategoryPattern]:
    """Raises SettingsError where PATTERN_FILE cannot be used."""
    try:
        return read_patterns((settings.pattern_file or ADDITIONS).read_bytes())
    except (OSError, PatternFileError) as error:
        raise SettingsError(f"PATTERN_FILE {settings.pattern_file}: {error}") from error


def snapshot_of(
    additions: Sequence[CategoryPattern], settings: Settings
) -> Callable[[Sequence[CategoryPattern]], PatternSnapshot]:
    sites = known_sites() if Tier.SITE in settings.tiers else None
    return partial(PatternSnapshot, additions=additions, unknown_pages=settings.unknown_pages_count_as, sites=sites)


def sqlite_database(settings: Settings) -> SqliteDatabase:
    return SqliteDatabase(settings.data_dir / "pomocore.db")


def reading_redis(settings: Settings) -> Redis:
    return redis_client.make_client(settings, reply_timeout=settings.block_ms / 1000 + 5)


def boards_elsewhere(settings: Settings) -> bool:
    """Whether boards are in other slots than the stream: on a cluster without a hash tag in the prefix."""
    return settings.redis_cluster and "{" not in settings.key_prefix


def partition_keys(settings: Settings) -> list[StreamKeys]:
    streams = [settings.stream_key]
    if settings.stream_partitions > 1:
        streams = [f"{settings.stream_key}:{number}" for number in range(settings.stream_partitions)]
    return [StreamKeys(stream, settings.key_prefix, settings.redis_cluster) for stream in streams]


def commits(client: Redis, keys: StreamKeys, settings: Settings, calendar: BoardCalendar) -> RedisCommit:
    kind = OutboxCommit if boards_elsewhere(settings) else RedisCommit
    limits = CommitLimits(
        settings.dead_letters_max,
        settings.deferred_max,
        settings.deduplication_days,
        calendar.is_archived if settings.archived_boards == "keep" else None,
    )
    return kind(client, keys, settings.stream_group, settings.consumer_name, limits)


def session_ends(client: Redis, keys: StreamKeys, settings: Settings, commits: RedisCommit) -> RedisSessionEnds:
    deliver = commits.deliver if isinstance(commits, OutboxCommit) else None
    return RedisSessionEnds(client, keys, settings.stream_group, deliver)


def message_limits(settings: Settings) -> MessageLimits:
    earliest = datetime.combine(settings.earliest_date, datetime.min.time(), UTC)
    return MessageLimits(
        max_bytes=settings.max_message_bytes,
        max_duration=settings.max_duration,
        earliest=earliest.timestamp(),
        max_ahead=settings.max_days_ahead * 86_400.0,
    )


def consumer_limits(settings: Settings) -> ConsumerLimits:
    return ConsumerLimits(
        batch_size=settings.batch_size,
        batch_max=settings.batch_max,
        worker_pool_size=settings.worker_pool_size,
        max_in_flight=max(1, settings.max_inflight_messages // settings.stream_partitions),
        max_in_flight_bytes=settings.max_inflight_bytes // settings.stream_partitions,
        largest_message_bytes=settings.max_message_bytes,
        block_ms=settings.block_ms,
        claim_interval_seconds=settings.claim_idle_ms / 3000,
        max_deliveries=settings.max_deliveries,
        shutdown_timeout_seconds=settings.shutdown_timeout,
    )


def _optional(part: str, build: Callable[[], T]) -> T | None:
    """The result of `build`; None if it fails. The failure is logged, and the pipeline runs without that part."""
    try:
        return build()
    except Exception as cause:
        announce_not_loaded(part, cause)
        return None


def openai_client(settings: Settings) -> AsyncOpenAI | None:
    """None without a key."""
    if settings.openai_api_key is None:
        return None

    def build() -> AsyncOpenAI:
        from infrastructure.openai.client import make_client  # this import takes half of the time of a start

        return make_client(settings)

    # the package would read further variables: an organisation, headers, a log that shows titles
    hidden = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("OPENAI_")}
    try:
        return _optional("LLM", build)
    finally:
        os.environ.update(hidden)


def llm_client(client: AsyncOpenAI | None, settings: Settings) -> LLMClientPort | None:
    if client is None:
        return None
    from infrastructure.openai.client import LLMClient

    return LLMClient(
        client, settings.openai_model, settings.openai_temperature, reasoning_tokens=settings.llm_reasoning_tokens
    )


def privacy(settings: Settings) -> Privacy:
    return Privacy(names_of(settings.private_hosts), names_of(settings.private_apps))


def llm_queue(
    llm: LLMClientPort | None,
    budget: LLMBudgetPort,
    memory: AnswerMemory,
    observer: ClassifierObserver,
    settings: Settings,
) -> LLMQueue | None:
    if llm is None or Tier.LLM not in settings.tiers:
        return None
    return LLMQueue(llm, budget, memory, observer, llm_queue_limits(settings))


def llm_queue_limits(settings: Settings) -> LLMQueueLimits:
    return LLMQueueLimits(
        batch=settings.llm_batch_size,
        concurrency=settings.worker_pool_size,
        linger_seconds=settings.llm_linger_ms / 1000,
        wait_seconds=settings.llm_wait,
        waiting=settings.llm_max_waiting,
        longest_pause_seconds=settings.llm_longest_pause,
        retries=settings.openai_max_retries,
    )


def answer_memory(observer: ClassifierObserver, cache: ClassificationCachePort, settings: Settings) -> AnswerMemory:
    shared = cache if Tier.CACHE in settings.tiers else None
    limit = settings.classification_memory_max if Tier.MEMORY in settings.tiers else 0
    return AnswerMemory(observer, shared, limit)


def slow_tiers(
    memory: AnswerMemory,
    categorized: ClassifiedWindowsPort,
    local_classifier: LocalClassifierPort | None,
    llm_queue: LLMQueue | None,
    settings: Settings,
) -> list[SlowTier]:
    """The tiers between memory and LLM. Without an LLM the cache is empty, and documents only repeat the rules."""
    tiers: list[SlowTier] = []
    if llm_queue is not None and Tier.CACHE in settings.tiers:
        tiers.append(CacheTier(memory))
    if llm_queue is not None and Tier.DOCUMENTS in settings.tiers:
        tiers.append(DocumentsTier(categorized))
    if local_classifier is not None and Tier.MODEL in settings.tiers:
        tiers.append(LocalClassifierTier(local_classifier))
    return tiers


def local_classifier(settings: Settings) -> LocalClassifierPort | None:
    """None if there is no file of it, or one that cannot be used."""
    if settings.model_file is None and not settings.model_path.exists():
        return None

    def build() -> LocalClassifierPort:
        from infrastructure.local_classifier.linear import load_model  # imports numpy

        return load_model(settings.model_path)

    return _optional("Local classifier", build)


def tracer_provider(settings: Settings) -> TracerProvider | None:
    if settings.otel_exporter_otlp_endpoint is None:
        return None

    def build() -> TracerProvider:
        from infrastructure.observing.tracing import make_provider

        return make_provider(settings)

    return _optional("Tracing (pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http)", build)


def all_observers(settings: Settings, metrics: MetricsObserver, tracing: TracerProvider | None) -> Observers:
    observers: list[Observer] = [LoggingObserver(settings.stream_max_backlog), metrics]
    if tracing is not None:
        from infrastructure.observing.tracing import TracingObserver

        observers.append(TracingObserver(tracing, settings))
    return Observers(*observers)


def api(
    settings: Settings,
    state: PipelineHealth,
    leaderboard: LeaderboardCachePort,
    dead_letters: DeadLettersPort,
    proposals: PatternProposalRepositoryPort,
    patterns: CategoryPatternRepositoryPort,
    classifier: PatternClassifier,
    audit: AuditPort,
) -> Api:
    from infrastructure.http.api import Api  # aiohttp.web is only for what serves HTTP

    return Api(settings, state, leaderboard, dead_letters, proposals, patterns, classifier, audit)
