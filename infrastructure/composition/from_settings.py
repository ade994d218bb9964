"""The decisions that follow from the settings: which adapters, limits and optional parts are used.

The container calls these functions. Slow imports are made where they are needed, so that other commands do not wait
for them.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from secrets import token_hex
from time import time
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from domains.activityEvent.data_quality import DataQuality
from domains.activityEvent.model import EventMaker
from domains.activityEvent.ports import EventSinkPort
from domains.categoryPattern.model import CategoryPattern
from domains.categoryPattern.ports import CategoryPatternRepositoryPort, PatternProposalRepositoryPort
from domains.focusCard.ports import CardObserver, CardRunsPort, FocusCardStorePort
from domains.focusCard.runs import CardRuns
from domains.focusCard.service import FocusCards
from domains.kernel.resilience import Breaker
from domains.leaderboard.model import Period
from domains.leaderboard.ports import LeaderboardCachePort
from domains.leaderboard.service import BoardCalendar
from domains.operations.ports import (
    AuditPort,
    CountersPort,
    DeadLettersPort,
    InstanceSnapshotsPort,
    TaskQueuePort,
)
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
from domains.pomodoro.board_windows import BoardWindows
from domains.pomodoro.capacity import ConsumerLimits
from domains.pomodoro.correcting import Corrections
from domains.pomodoro.pattern_preview import PatternPreview
from domains.pomodoro.posting import Postings
from domains.siteProfile.choice import SiteChoice
from domains.siteProfile.crawl import SiteCrawl
from domains.siteProfile.ports import SharedSitesPort, SiteFetcherPort, SiteProfileRepositoryPort
from domains.siteProfile.sightings import SiteSightings
from domains.siteProfile.tier import SiteTier
from infrastructure.command_line import VERSION
from infrastructure.observing.deployment_counters import DeploymentCounters
from infrastructure.observing.logs import LoggingObserver, announce_not_loaded
from infrastructure.observing.metrics import MetricsObserver
from infrastructure.observing.observers import Observer, Observers
from infrastructure.operations.health import PipelineHealth
from infrastructure.patterns.pattern_file import ADDITIONS, PatternFileError, default_patterns, read_patterns
from infrastructure.patterns.sites import known_sites
from infrastructure.redis import client as redis_client
from infrastructure.redis.commit import CommitLimits, RedisCommit
from infrastructure.redis.keys import WORK_QUEUES, StreamKeys, WorkQueueKeys
from infrastructure.redis.outbox import OutboxCommit
from infrastructure.redis.session_ends import RedisSessionEnds
from infrastructure.redis.work_queue import RedisWorkQueue
from infrastructure.settings import Settings, SettingsError, names_of
from infrastructure.spring.message_parser import MessageLimits, MessageParser
from infrastructure.sqlite.database import SqliteDatabase

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from opentelemetry.sdk.trace import TracerProvider
    from redis.asyncio import Redis

    from infrastructure.cards.webhooks import CardWebhooks
    from infrastructure.composition.container import Container
    from infrastructure.http.api import Api
    from infrastructure.operations.retention import Retention
    from infrastructure.postgres.client import PostgresDatabase

T = TypeVar("T")


def store_kind(settings: Settings) -> str:
    if settings.mongo_uri is not None:
        return "mongo"
    return "sqlite" if settings.database_url is None else "postgres"


def card_store_kind(settings: Settings) -> str:
    """PostgreSQL also beside a MongoDB, which then has only what Spring knows."""
    return "postgres" if settings.database_url is not None else store_kind(settings)


def postgres_database(settings: Settings) -> PostgresDatabase:
    try:
        from infrastructure.postgres.client import PostgresDatabase  # asyncpg is only for DATABASE_URL
    except ImportError as cause:
        raise SettingsError("DATABASE_URL needs asyncpg: pip install 'pomocore-data-pipeline[postgres]'") from cause
    assert settings.database_url is not None, "the address is known before a database is made"
    return PostgresDatabase(settings.database_url.get_secret_value())


def postgres_adapter(module: str, name: str, database: PostgresDatabase) -> Any:
    return loaded(f"postgres.{module}", name, database)


def loaded(module: str, name: str, *needs: object) -> Any:
    """What a module of `infrastructure` makes of `needs`. It is loaded only where it is used."""
    return getattr(import_module(f"infrastructure.{module}"), name)(*needs)


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


def queue_keys(settings: Settings) -> list[WorkQueueKeys]:
    return [WorkQueueKeys(name, settings.key_prefix, settings.redis_cluster) for name in WORK_QUEUES]


def work_queue(client: Redis, settings: Settings, name: str) -> RedisWorkQueue:
    """A worker's end of the queue. Each one is a worker of its own, also in one process."""
    keys = WorkQueueKeys(name, settings.key_prefix, settings.redis_cluster)
    worker = f"{settings.consumer_name}-{uuid4().hex[:8]}"
    return RedisWorkQueue(client, keys, worker, settings.claim_idle_ms, settings.dead_letters_max)


def commits(client: Redis, keys: StreamKeys, settings: Settings, calendar: BoardCalendar) -> RedisCommit:
    kind = OutboxCommit if boards_elsewhere(settings) else RedisCommit
    limits = CommitLimits(
        settings.dead_letters_max,
        settings.deferred_max,
        settings.deduplication_days,
        calendar.is_archived if settings.archived_boards == "keep" else None,
        settings.events_max if settings.events else 0,
    )
    return kind(client, keys, settings.stream_group, settings.consumer_name, limits)


def archives_boards(settings: Settings) -> bool:
    """Whether a server may archive and delete boards of ended periods: the one whose store or Redis this uses."""
    return settings.mongo_uri is not None or (settings.database_url is not None and not settings.embeds_redis)


def archived_periods(settings: Settings, calendar: BoardCalendar) -> Callable[[Period, date], bool]:
    """Says of a period, by its first day, whether a server has archived its boards by now."""
    has_server = settings.mongo_uri is not None
    return lambda period, start: has_server and calendar.archived_from(period, start) <= time()


def retention(container: Container) -> Retention:
    from infrastructure.operations.retention import KeptDays, Retention  # for once a day

    settings = container.settings()
    days = KeptDays(
        settings.dead_letters_retention_days,
        settings.proposals_retention_days,
        settings.usage_logs_retention_days,
    )
    return Retention(container.dead_letters(), container.proposals(), container.personal_documents, days)


def session_ends(client: Redis, keys: StreamKeys, settings: Settings, commits: RedisCommit) -> RedisSessionEnds:
    deliver = commits.deliver if isinstance(commits, OutboxCommit) else None
    return RedisSessionEnds(client, keys, settings.stream_group, deliver)


def postings(settings: Settings, calendar: BoardCalendar, privacy: Privacy) -> Postings | None:
    return Postings(calendar, privacy) if settings.events else None


def event_maker(settings: Settings) -> EventMaker:
    return EventMaker(_user_key(settings), settings.zone)


def _user_key(settings: Settings) -> bytes:
    if settings.events_user_key is not None:
        return settings.events_user_key.get_secret_value().encode()
    path = settings.data_dir / "events_user.key"
    with suppress(FileExistsError):
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(token_hex(32).encode())
    return path.read_bytes()


def event_sink(settings: Settings) -> EventSinkPort:
    """Raises SettingsError where what it needs is not installed."""
    if not settings.kafka_bootstrap_servers:
        from infrastructure.duckdb.event_sink import DuckDbEventSink

        if find_spec("duckdb") is None:
            raise SettingsError("EVENTS needs DuckDB (pip install duckdb), or KAFKA_BOOTSTRAP_SERVERS")
        return DuckDbEventSink(settings.analytics_path)
    if find_spec("aiokafka") is None:
        raise SettingsError("KAFKA_BOOTSTRAP_SERVERS needs aiokafka: pip install aiokafka")
    from infrastructure.kafka.event_sink import KafkaEventSink

    return KafkaEventSink(**kafka_connection(settings))


def kafka_connection(settings: Settings) -> dict[str, Any]:
    """How aiokafka connects to the brokers."""
    options: dict[str, Any] = {"bootstrap_servers": names_of(settings.kafka_bootstrap_servers)}
    sasl, tls = settings.kafka_username is not None, settings.kafka_tls
    options["security_protocol"] = ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")
    if tls:
        options["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_tls_ca)
    if sasl:
        password = settings.kafka_password.get_secret_value() if settings.kafka_password else ""
        options |= {"sasl_plain_username": settings.kafka_username, "sasl_plain_password": password}
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
    return options


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
    sites: SiteTier | None,
    settings: Settings,
) -> list[SlowTier]:
    """The tiers between memory and LLM. Without an LLM the cache is empty, and documents only repeat the rules."""
    tiers: list[SlowTier] = [] if sites is None else [sites]
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


def site_choice(privacy: Privacy) -> SiteChoice:
    """Raises SettingsError if the packages of the extra `sites` are missing."""
    if missing := [name for name in ("lxml", "protego", "publicsuffixlist") if find_spec(name) is None]:
        raise SettingsError(f"SITE_PROFILES: pip install {' '.join(missing)}")
    from infrastructure.sites.public_suffixes import PublicSuffixes

    return SiteChoice(PublicSuffixes(), privacy)


def site_tier(choice: Callable[[], SiteChoice], shared: SharedSitesPort, settings: Settings) -> SiteTier | None:
    return SiteTier(choice(), shared) if settings.site_profiles and Tier.SITE in settings.tiers else None


def site_sightings(
    choice: Callable[[], SiteChoice], shared: SharedSitesPort, settings: Settings
) -> SiteSightings | None:
    return SiteSightings(choice(), shared) if settings.site_profiles else None


def site_fetcher(
    choice: SiteChoice, shared: SharedSitesPort, observer: Observer, settings: Settings
) -> SiteFetcherPort:
    from infrastructure.sites.fetcher import SiteFetcher, user_agent
    from infrastructure.sites.turns import Turns

    turns = Turns(shared, Breaker(partial(observer.breaker_changed, "site_turns")))
    return SiteFetcher(choice, turns, user_agent(VERSION, settings.site_contact))


def all_observers(
    settings: Settings,
    metrics: MetricsObserver,
    counting: DeploymentCounters,
    tracing: TracerProvider | None,
    sightings: SiteSightings | None,
) -> Observers:
    observers: list[Observer] = [LoggingObserver(settings.stream_max_backlog), metrics, counting]
    if tracing is not None:
        from infrastructure.observing.tracing import TracingObserver

        observers.append(TracingObserver(tracing, settings))
    if sightings is not None:
        from infrastructure.sites.sightings import SightingObserver

        observers.append(SightingObserver(sightings))
    return Observers(*observers)


def card_webhooks(
    settings: Settings, store: FocusCardStorePort, runs: CardRunsPort, observer: CardObserver
) -> CardWebhooks | None:
    if settings.card_webhooks is None:
        return None
    from infrastructure.cards.webhooks import CardWebhooks, webhooks_of

    hooks = webhooks_of(settings.card_webhooks.get_secret_value())
    return CardWebhooks(hooks, store, runs, observer, settings.card_webhooks_lang)


def api(
    settings: Settings,
    state: PipelineHealth,
    leaderboard: LeaderboardCachePort,
    dead_letters: DeadLettersPort,
    parser: MessageParser,
    streams: Sequence[str],
    proposals: PatternProposalRepositoryPort,
    patterns: CategoryPatternRepositoryPort,
    classifier: PatternClassifier,
    audit: AuditPort,
    cards: FocusCards,
    quality: DataQuality,
    card_runs: CardRuns,
    counters: CountersPort,
    snapshots: InstanceSnapshotsPort,
    windows: BoardWindows,
    corrections: Corrections,
    tasks: TaskQueuePort,
    preview: PatternPreview,
    profiles: SiteProfileRepositoryPort,
    site_crawl: Callable[[], SiteCrawl],
) -> Api:
    from infrastructure.http.api import Api  # aiohttp.web is only for what serves HTTP

    crawl = site_crawl if settings.site_profiles else None
    about = (settings, state, leaderboard, dead_letters, parser, streams, proposals, patterns, classifier, audit)
    corrected = (windows, corrections, tasks, preview)
    return Api(*about, cards, quality, card_runs, counters, snapshots, *corrected, profiles, crawl)
