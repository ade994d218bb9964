"""The one place where everything is built from settings. Every provider can be overridden.

Building connects to nothing: clients do so at their first call, and `running_container` closes them.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import chain
from typing import Literal, TypeVar

from dependency_injector import containers, providers

from domains.activityEvent.data_quality import DataQuality
from domains.activityEvent.export import EventExporter
from domains.activityEvent.rebuild import EventRebuild
from domains.focusCard.runs import CardRuns
from domains.focusCard.service import FocusCards
from domains.leaderboard.service import BoardCalendar
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.questions import Questions
from domains.pomodoro.announcing import SessionAnnouncer
from domains.pomodoro.board_windows import BoardWindows
from domains.pomodoro.consumer import PomodoroPatternConsumer
from domains.pomodoro.correcting import Corrections
from domains.pomodoro.pattern_preview import PatternPreview
from domains.pomodoro.period_reclassification import PeriodReclassification
from domains.pomodoro.posting import Postings
from domains.pomodoro.rebuild import LeaderboardRebuild
from domains.pomodoro.reclassification import Reclassification
from domains.pomodoro.service import BatchClassification
from domains.siteProfile.analysis import SiteAnalysis
from domains.siteProfile.crawl import SiteCrawl
from domains.siteProfile.visits import SiteVisits
from domains.workQueue.worker import Worker
from infrastructure.composition import from_settings
from infrastructure.mongo import client as mongo_client
from infrastructure.mongo import repositories as mongo_repositories
from infrastructure.mongo import site_profiles as mongo_site_profiles
from infrastructure.mongo.field_names import MongoFieldNames
from infrastructure.mongo.focus_cards import FocusCardRepositoryAdapter
from infrastructure.observing.deployment_counters import DeploymentCounters
from infrastructure.observing.logs import announce_not_loaded
from infrastructure.observing.metrics import MetricsObserver, make_registry
from infrastructure.operations.health import PipelineHealth, no_patterns
from infrastructure.operations.instance_snapshots import InstanceSnapshots
from infrastructure.operations.invalid_messages import invalid_by_source
from infrastructure.operations.stream_choice import StreamChoice
from infrastructure.operations.task_runner import TaskRunner
from infrastructure.operations.tasks import Tasks
from infrastructure.process.embedded_redis import EmbeddedRedis
from infrastructure.redis import client as redis_client
from infrastructure.redis.audit import RedisAudit
from infrastructure.redis.backlog import StreamBacklog
from infrastructure.redis.budget import RedisLLMBudget
from infrastructure.redis.cache import RedisClassificationCache
from infrastructure.redis.counters import RedisCounters
from infrastructure.redis.dead_letters import RedisDeadLetters
from infrastructure.redis.deferred import RedisDeferredMessages
from infrastructure.redis.event_outbox import RedisEventOutbox
from infrastructure.redis.failed_scores import RedisFailedScores
from infrastructure.redis.focus_cards import RedisBoardScores, RedisCardRuns
from infrastructure.redis.instances import RedisInstanceSnapshots
from infrastructure.redis.keys import (
    CARD_BOARDS,
    CARD_USERS,
    SITES_FETCHED,
    SITES_NEW,
    CardRunKeys,
    CounterKeys,
    LLMKeys,
    SiteKeys,
    StreamKeys,
    TaskQueueKeys,
)
from infrastructure.redis.leaderboard import LeaderboardCacheAdapter
from infrastructure.redis.publisher import StreamPublisher
from infrastructure.redis.rebuild import RedisBoardRebuild
from infrastructure.redis.shared_sites import RedisSharedSites
from infrastructure.redis.stream import RedisStreamConsumer
from infrastructure.redis.stream_figures import RedisStreamFigures
from infrastructure.redis.task_queue import RedisTaskQueue
from infrastructure.settings import Settings, SettingsError, names_of
from infrastructure.spring.message_parser import MessageParser
from infrastructure.sqlite import repositories as sqlite_repositories
from infrastructure.sqlite import site_profiles as sqlite_site_profiles
from infrastructure.sqlite.focus_cards import SqliteFocusCardStore

T = TypeVar("T")


class Partition(containers.DeclarativeContainer):
    """The objects of one partition of the stream. Objects that it has in common with the others are `shared`."""

    shared = providers.DependenciesContainer()
    keys = providers.Dependency(instance_of=StreamKeys)
    settings = shared.settings
    option = settings.provided

    source = providers.Singleton(
        RedisStreamConsumer,
        shared.reading_redis,
        shared.parser,
        keys,
        option.stream_group,
        option.consumer_name,
        option.claim_idle_ms,
        option.consumer_gone_ms,
        option.stream_trim,
        providers.Callable(names_of, option.stream_ignored_groups),
    )
    commits = providers.Singleton(from_settings.commits, shared.redis, keys, settings, shared.calendar)
    session_ends = providers.Singleton(from_settings.session_ends, shared.redis, keys, settings, commits)
    announcer = providers.Singleton(
        SessionAnnouncer,
        session_ends,
        shared.usage_logs,
        shared.observer,
        option.announce_delay_ms,
        option.announce_patience,
    )
    deferred = providers.Singleton(RedisDeferredMessages, shared.redis, keys, option.consumer_name)
    batches = providers.Singleton(
        BatchClassification,
        shared.classifier,
        shared.categorized_data,
        shared.usage_logs,
        shared.calendar,
        keys.provided.stream,
        shared.postings,
    )
    limits = providers.Singleton(from_settings.consumer_limits, settings)
    consumer = providers.Singleton(
        PomodoroPatternConsumer, source, commits, batches, shared.classifier, shared.observer, limits
    )
    event_outbox = providers.Singleton(RedisEventOutbox, shared.redis, keys, option.consumer_name)
    reclassification = providers.Singleton(
        Reclassification,
        deferred,
        commits,
        shared.classifier,
        shared.categorized_data,
        shared.usage_logs,
        shared.leaderboard,
        shared.calendar,
        shared.observer,
        option.reclassify_seconds,
        shared.postings,
    )


def _partitions(container: "Container", all_keys: Sequence[StreamKeys]) -> list[Partition]:
    return [Partition(shared=container, keys=providers.Object(keys)) for keys in all_keys]


def _event_outboxes(partitions: Sequence[Partition]) -> list[RedisEventOutbox]:
    return [part.event_outbox() for part in partitions]


def _first(items: Sequence[T]) -> T:
    return items[0]


class Container(containers.DeclarativeContainer):
    """The objects that a process has once."""

    __self__ = providers.Self()
    settings = providers.Dependency(instance_of=Settings)
    option = settings.provided

    # Clients
    redis = providers.Singleton(redis_client.make_client, settings)
    reading_redis = providers.Singleton(from_settings.reading_redis, settings)
    mongo = providers.Singleton(mongo_client.make_client, settings)
    mongo_database = providers.Singleton(mongo_client.make_database, mongo, option.mongo_database)
    sqlite = providers.Singleton(from_settings.sqlite_database, settings)
    postgres = providers.Singleton(from_settings.postgres_database, settings)

    # Stores
    store_kind = providers.Callable(from_settings.store_kind, settings)
    default_patterns = providers.Callable(from_settings.patterns_to_start_with, settings)
    category_patterns = providers.Selector(
        store_kind,
        mongo=providers.Singleton(mongo_repositories.CategoryPatternRepositoryAdapter, mongo_database),
        postgres=providers.Singleton(
            from_settings.postgres_adapter, "repositories", "PostgresCategoryPatternRepository", postgres
        ),
        sqlite=providers.Singleton(sqlite_repositories.SqliteCategoryPatternRepository, sqlite),
    )
    categorized_data = providers.Selector(
        store_kind,
        mongo=providers.Singleton(
            mongo_repositories.CategorizedDataRepositoryAdapter, mongo_database, option.mongo_create_indexes
        ),
        postgres=providers.Singleton(
            from_settings.postgres_adapter, "repositories", "PostgresCategorizedDataRepository", postgres
        ),
        sqlite=providers.Singleton(sqlite_repositories.SqliteCategorizedDataRepository, sqlite),
    )
    proposals = providers.Selector(
        store_kind,
        mongo=providers.Singleton(mongo_repositories.PatternProposalRepositoryAdapter, mongo_database),
        postgres=providers.Singleton(
            from_settings.postgres_adapter, "repositories", "PostgresPatternProposalRepository", postgres
        ),
        sqlite=providers.Singleton(sqlite_repositories.SqlitePatternProposalRepository, sqlite),
    )
    correction_store = providers.Selector(
        store_kind,
        mongo=providers.Singleton(mongo_repositories.CorrectionRepositoryAdapter, mongo_database),
        postgres=providers.Singleton(
            from_settings.postgres_adapter, "repositories", "PostgresCorrectionRepository", postgres
        ),
        sqlite=providers.Singleton(sqlite_repositories.SqliteCorrectionRepository, sqlite),
    )
    site_profiles = providers.Selector(
        store_kind,
        mongo=providers.Singleton(mongo_site_profiles.SiteProfileRepositoryAdapter, mongo_database),
        postgres=providers.Singleton(
            from_settings.postgres_adapter, "site_profiles", "PostgresSiteProfileRepository", postgres
        ),
        sqlite=providers.Singleton(sqlite_site_profiles.SqliteSiteProfileRepository, sqlite),
    )
    usage_logs = providers.Selector(
        store_kind,
        mongo=providers.Singleton(
            mongo_repositories.PomodoroUsageLogRepositoryAdapter,
            mongo_database,
            option.zone,
            option.mongo_create_indexes,
        ),
        postgres=providers.Singleton(
            from_settings.postgres_adapter, "repositories", "PostgresPomodoroUsageLogRepository", postgres
        ),
        sqlite=providers.Singleton(sqlite_repositories.SqlitePomodoroUsageLogRepository, sqlite),
    )
    personal_documents = providers.Selector(
        store_kind,
        mongo=providers.Singleton(
            from_settings.loaded, "mongo.personal_data", "PersonalDocumentsAdapter", mongo_database, option.zone
        ),
        postgres=providers.Singleton(
            from_settings.postgres_adapter, "personal_data", "PostgresPersonalDocuments", postgres
        ),
        sqlite=providers.Singleton(from_settings.loaded, "sqlite.personal_data", "SqlitePersonalDocuments", sqlite),
    )
    focus_cards = providers.Selector(
        providers.Callable(from_settings.card_store_kind, settings),
        mongo=providers.Singleton(FocusCardRepositoryAdapter, mongo_database),
        postgres=providers.Singleton(
            from_settings.postgres_adapter, "focus_cards", "PostgresFocusCardStore", postgres
        ),
        sqlite=providers.Singleton(SqliteFocusCardStore, sqlite),
    )
    field_names = providers.Selector(
        store_kind,
        mongo=providers.Singleton(MongoFieldNames, mongo_database),
        postgres=providers.Object(None),
        sqlite=providers.Object(None),  # it has had one spelling only
    )

    # Redis
    partition_keys = providers.Singleton(from_settings.partition_keys, settings)
    partitions = providers.Singleton(_partitions, __self__, partition_keys)
    partition = providers.Singleton(_first, partitions)  # the only one unless STREAM_PARTITIONS says otherwise
    keys = providers.Singleton(_first, partition_keys)
    calendar = providers.Singleton(
        BoardCalendar, option.zone, option.key_prefix, providers.Callable(names_of, option.work_categories)
    )
    parser = providers.Singleton(MessageParser, calendar, providers.Callable(from_settings.message_limits, settings))
    leaderboard = providers.Singleton(LeaderboardCacheAdapter, redis)
    queue_keys = providers.Singleton(from_settings.queue_keys, settings)
    card_boards_queue = providers.Factory(from_settings.work_queue, redis, settings, CARD_BOARDS)
    card_users_queue = providers.Factory(from_settings.work_queue, redis, settings, CARD_USERS)
    dead_letters = providers.Singleton(
        RedisDeadLetters,
        redis,
        providers.Callable(lambda *keys: [*chain(*keys)], partition_keys, queue_keys),
        option.stream_group,
    )
    failed_scores = providers.Singleton(
        RedisFailedScores, redis, partition_keys, providers.Callable(from_settings.boards_elsewhere, settings)
    )
    publisher = providers.Singleton(StreamPublisher, redis, partition_keys)
    backlog = providers.Singleton(StreamBacklog, redis, keys, option.stream_group)
    llm_keys = providers.Singleton(LLMKeys, option.key_prefix)
    classification_cache = providers.Singleton(
        RedisClassificationCache,
        redis,
        llm_keys,
        option.classification_cache_ttl,
        option.classification_cache_negative_ttl,
        option.classification_cache_max,
    )
    llm_budget = providers.Singleton(
        RedisLLMBudget,
        redis,
        llm_keys,
        option.llm_max_calls_per_minute,
        option.llm_daily_token_budget,
        option.llm_user_share,
    )
    task_keys = providers.Singleton(TaskQueueKeys, option.commands_key, option.key_prefix, option.redis_cluster)
    task_queue = providers.Singleton(RedisTaskQueue, redis, task_keys, option.status_channel)
    audit = providers.Singleton(RedisAudit, redis, option.key_prefix)
    board_rebuild = providers.Factory(
        RedisBoardRebuild,
        redis,
        partition_keys,
        option.stream_group,
        providers.Callable(from_settings.boards_elsewhere, settings),
        option.events,
    )
    openai = providers.Singleton(from_settings.openai_client, settings)

    # The pipeline
    registry = providers.Singleton(make_registry)
    metrics = providers.Singleton(MetricsObserver, registry, option.llm_cost_per_million_tokens)
    tracing = providers.Singleton(from_settings.tracer_provider, settings)
    privacy = providers.Singleton(from_settings.privacy, settings)
    site_choice = providers.Singleton(from_settings.site_choice, privacy)
    site_keys = providers.Singleton(SiteKeys, option.key_prefix)
    shared_sites = providers.Singleton(RedisSharedSites, redis, site_keys, option.site_requests_per_second)
    site_tier = providers.Singleton(from_settings.site_tier, site_choice.provider, shared_sites, settings)
    site_sightings = providers.Singleton(from_settings.site_sightings, site_choice.provider, shared_sites, settings)
    counters = providers.Singleton(
        RedisCounters, redis, providers.Singleton(CounterKeys, option.key_prefix), option.counters_retention_days
    )
    counting = providers.Singleton(DeploymentCounters, counters)
    observer = providers.Singleton(from_settings.all_observers, settings, metrics, counting, tracing, site_sightings)
    llm = providers.Singleton(from_settings.llm_client, openai, settings)
    postings = providers.Singleton(from_settings.postings, settings, calendar, privacy)
    questions = providers.Singleton(Questions, privacy, option.llm_send_titles)
    answer_memory = providers.Singleton(from_settings.answer_memory, observer, classification_cache, settings)
    local_classifier = providers.Singleton(from_settings.local_classifier, settings)
    llm_queue = providers.Singleton(from_settings.llm_queue, llm, llm_budget, answer_memory, observer, settings)
    tiers = providers.Singleton(
        from_settings.slow_tiers, answer_memory, categorized_data, local_classifier, llm_queue, site_tier, settings
    )
    pattern_additions = providers.Singleton(from_settings.pattern_additions, settings)
    snapshot_of = providers.Singleton(from_settings.snapshot_of, pattern_additions, settings)
    classifier = providers.Singleton(
        PatternClassifier,
        category_patterns,
        observer,
        default_patterns,
        questions,
        answer_memory,
        tiers,
        llm_queue,
        snapshot_of,
        providers.Callable(no_patterns, settings),
        site_tier,
        correction_store,
    )
    leaderboard_rebuild = providers.Singleton(
        LeaderboardRebuild, board_rebuild.provider, usage_logs, category_patterns, calendar
    )
    period_reclassification = providers.Singleton(
        PeriodReclassification,
        usage_logs,
        categorized_data,
        providers.Callable(lambda parts: [part.deferred() for part in parts], partitions),
        classifier,
        leaderboard_rebuild,
    )
    pattern_preview = providers.Singleton(PatternPreview, usage_logs, categorized_data, classifier)
    archives_boards = providers.Callable(from_settings.archives_boards, settings)
    archived_periods = providers.Callable(from_settings.archived_periods, settings, calendar)
    corrections = providers.Singleton(
        Corrections,
        correction_store,
        classifier,
        categorized_data,
        usage_logs,
        period_reclassification,
        leaderboard_rebuild,
        category_patterns,
        proposals,
        privacy,
        archived_periods,
        calendar.provided.day,
    )
    board_windows = providers.Singleton(
        BoardWindows, usage_logs, categorized_data, category_patterns, classifier, calendar
    )

    # Events
    event_outboxes = providers.Singleton(_event_outboxes, partitions)
    event_maker = providers.Singleton(from_settings.event_maker, settings)
    event_sink = providers.Singleton(from_settings.event_sink, settings)
    giving_way_rebuild = providers.Factory(
        RedisBoardRebuild,
        redis,
        partition_keys,
        option.stream_group,
        providers.Callable(from_settings.boards_elsewhere, settings),
        option.events,
        True,
    )
    all_postings = providers.Singleton(Postings, calendar, privacy)
    event_rebuild = providers.Singleton(
        EventRebuild,
        giving_way_rebuild.provider,
        event_outboxes,
        event_sink,
        usage_logs,
        categorized_data,
        category_patterns,
        all_postings,
        event_maker,
        observer,
    )
    data_quality = providers.Singleton(
        DataQuality,
        event_outboxes,
        providers.Callable(invalid_by_source, dead_letters),
        option.zone,
    )
    event_exporter = providers.Singleton(
        EventExporter, event_outboxes, event_sink, event_maker, observer, event_rebuild, data_quality
    )

    # Focus cards
    board_scores = providers.Singleton(
        RedisBoardScores, redis, providers.Callable(from_settings.boards_elsewhere, settings)
    )
    card_run_notes = providers.Singleton(RedisCardRuns, redis, providers.Singleton(CardRunKeys, option.key_prefix))
    cards = providers.Singleton(
        FocusCards,
        board_scores,
        usage_logs,
        categorized_data,
        category_patterns,
        focus_cards,
        calendar,
        option.key_prefix,
        option.focus_goal_minutes,
        archives_boards,
    )
    card_runs = providers.Singleton(
        CardRuns,
        card_run_notes,
        card_boards_queue,
        card_users_queue,
        cards,
        board_scores,
        observer,
    )

    # Unknown sites
    sites_new_queue = providers.Factory(from_settings.work_queue, redis, settings, SITES_NEW)
    sites_fetched_queue = providers.Factory(from_settings.work_queue, redis, settings, SITES_FETCHED)
    site_fetcher = providers.Singleton(from_settings.site_fetcher, site_choice, shared_sites, observer, settings)
    site_visits = providers.Singleton(
        SiteVisits, site_fetcher, site_profiles, sites_fetched_queue, site_choice, observer, option.site_visit_days
    )
    site_analysis = providers.Singleton(
        SiteAnalysis,
        site_profiles,
        shared_sites,
        classifier,
        providers.Singleton(Questions, privacy),  # what a site says is public, whatever LLM_SEND_TITLES says
        local_classifier,
        llm_queue,
        observer,
        option.site_min_confidence,
    )
    site_crawl = providers.Singleton(
        SiteCrawl,
        site_profiles,
        shared_sites,
        sites_new_queue,
        sites_fetched_queue,
        site_choice,
        classifier,
        observer,
        option.site_min_users,
        option.site_visit_days,
    )
    card_webhooks = providers.Singleton(from_settings.card_webhooks, settings, focus_cards, card_run_notes, observer)

    # How it is
    figures = providers.Singleton(
        RedisStreamFigures,
        redis,
        partition_keys,
        option.stream_group,
        providers.Callable(names_of, option.stream_ignored_groups),
    )
    streams = providers.Callable(lambda all_keys: [keys.stream for keys in all_keys], partition_keys)
    stream_choice = providers.Singleton(StreamChoice, figures, settings, streams)
    state = providers.Singleton(
        PipelineHealth,
        settings,
        figures,
        stream_choice,
        task_queue,
        category_patterns,
        classifier,
        metrics,
        registry,
        streams,
        counters,
        counting,
    )
    instance_snapshots = providers.Singleton(RedisInstanceSnapshots, redis, option.key_prefix)
    telling = providers.Singleton(InstanceSnapshots, state, instance_snapshots)
    api = providers.Singleton(
        from_settings.api,
        settings,
        state,
        leaderboard,
        dead_letters,
        parser,
        streams,
        proposals,
        category_patterns,
        classifier,
        audit,
        cards,
        data_quality,
        card_runs,
        counters,
        instance_snapshots,
        board_windows,
        corrections,
        task_queue,
        pattern_preview,
        site_profiles,
        site_crawl.provider,
    )


def task_runner(container: Container) -> TaskRunner:
    """Runs tasks for all partitions of the stream."""
    tasks = Tasks(
        container.task_queue(),
        container.classifier(),
        container.dead_letters(),
        [part.reclassification() for part in container.partitions()],
        container.leaderboard_rebuild(),
        container.period_reclassification(),
        container.corrections(),
        lambda: from_settings.retention(container),
        container.field_names(),
        container.calendar(),
        container.card_runs(),
        container.site_crawl() if container.settings().site_profiles else None,
        container.card_webhooks(),
    )
    return TaskRunner(container.task_queue(), tasks.by_name, container.observer(), container.audit())


def event_exporter(container: Container) -> EventExporter | None:
    """None, and a line in the log, where what it needs is not installed: events wait then."""
    try:
        return container.event_exporter()
    except SettingsError as cause:
        announce_not_loaded("Export of events", cause)
        return None


def card_worker(container: Container, stage: Literal["boards", "users"]) -> Worker:
    """A worker of one of the stages of the focus cards, with a name of its own."""
    option, runs, observer = container.settings(), container.card_runs(), container.observer()
    if stage == "boards":
        return Worker(container.card_boards_queue(), runs.do_board, observer, option.max_workers_boards)
    return Worker(container.card_users_queue(), runs.do_chunk, observer, option.max_workers_cards)


async def drain_cards(container: Container) -> None:
    """Works on both stages of the focus cards until neither has a job left."""
    never, boards_done = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(card_worker(container, "users").run(never, until_drained=boards_done))
        await card_worker(container, "boards").run(never, until_drained=True)
        boards_done.set()


_CLOSE_SECONDS = 2.0


@asynccontextmanager
async def running_container(settings: Settings) -> AsyncIterator[Container]:
    """A container for `settings`, with the embedded redis-server if no Redis is named.

    Closes all clients at the end.
    """
    async with AsyncExitStack() as stack:
        if settings.embeds_redis:
            embedded = EmbeddedRedis(settings.data_dir)
            await asyncio.to_thread(embedded.start)
            stack.callback(embedded.close)
            settings = settings.model_copy(update={"redis_addr": embedded.address})
        container = await stack.enter_async_context(running_store(settings))
        if (openai := container.openai()) is not None:
            stack.push_async_callback(openai.close)
        if (tracing := container.tracing()) is not None:
            stack.push_async_callback(_close, tracing.shutdown)
        for client in (container.redis(), container.reading_redis()):
            stack.push_async_callback(redis_client.close_client, client)
        stack.push_async_callback(_close_lane, container)  # closed first, since it uses the others
        yield container


@asynccontextmanager
async def running_store(settings: Settings) -> AsyncIterator[Container]:
    """A container for work that needs only the document store: no Redis is started or connected to."""
    container = Container(settings=providers.Object(settings))
    # first, since wrong settings raise here
    kinds = dict.fromkeys((container.store_kind(), from_settings.card_store_kind(settings)))
    clients = [container.providers[kind]() for kind in kinds]
    try:
        yield container
    finally:
        for client in clients:
            await _close(client.close)


async def _close(close: Callable[[], Awaitable[None] | None]) -> None:
    """Closes a client of either MongoDB driver: PyMongo's `close` is a coroutine, Motor's blocks."""
    with suppress(TimeoutError):  # a stalled server must not delay this
        async with asyncio.timeout(_CLOSE_SECONDS):
            await (close() if inspect.iscoroutinefunction(close) else asyncio.to_thread(close))


async def _close_lane(container: Container) -> None:
    if (llm_queue := container.llm_queue()) is not None:
        await llm_queue.aclose()
