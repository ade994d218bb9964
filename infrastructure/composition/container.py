"""The one place where everything is built from settings. Every provider can be overridden.

Building connects to nothing: clients do so at their first call, and `running_container` closes them.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeVar

from dependency_injector import containers, providers

from domains.leaderboard.service import BoardCalendar
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.questions import Questions
from domains.pomodoro.announcing import SessionAnnouncer
from domains.pomodoro.consumer import PomodoroPatternConsumer
from domains.pomodoro.period_reclassification import PeriodReclassification
from domains.pomodoro.rebuild import LeaderboardRebuild
from domains.pomodoro.reclassification import Reclassification
from domains.pomodoro.service import BatchClassification
from infrastructure.composition import from_settings
from infrastructure.mongo import client as mongo_client
from infrastructure.mongo import repositories as mongo_repositories
from infrastructure.mongo.field_names import MongoFieldNames
from infrastructure.observing.metrics import MetricsObserver, make_registry
from infrastructure.operations.health import PipelineHealth, no_patterns
from infrastructure.operations.stream_choice import StreamChoice
from infrastructure.operations.task_runner import TaskRunner
from infrastructure.operations.tasks import Tasks
from infrastructure.process.embedded_redis import EmbeddedRedis
from infrastructure.redis import client as redis_client
from infrastructure.redis.audit import RedisAudit
from infrastructure.redis.backlog import StreamBacklog
from infrastructure.redis.budget import RedisLLMBudget
from infrastructure.redis.cache import RedisClassificationCache
from infrastructure.redis.dead_letters import RedisDeadLetters
from infrastructure.redis.deferred import RedisDeferredMessages
from infrastructure.redis.failed_scores import RedisFailedScores
from infrastructure.redis.keys import LLMKeys, StreamKeys, TaskQueueKeys
from infrastructure.redis.leaderboard import LeaderboardCacheAdapter
from infrastructure.redis.publisher import StreamPublisher
from infrastructure.redis.rebuild import RedisBoardRebuild
from infrastructure.redis.stream import RedisStreamConsumer
from infrastructure.redis.stream_figures import RedisStreamFigures
from infrastructure.redis.task_queue import RedisTaskQueue
from infrastructure.settings import Settings, names_of
from infrastructure.spring.message_parser import MessageParser
from infrastructure.sqlite import repositories as sqlite_repositories

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
    )
    limits = providers.Singleton(from_settings.consumer_limits, settings)
    consumer = providers.Singleton(
        PomodoroPatternConsumer, source, commits, batches, shared.classifier, shared.observer, limits
    )
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
    )


def _partitions(container: "Container", all_keys: Sequence[StreamKeys]) -> list[Partition]:
    return [Partition(shared=container, keys=providers.Object(keys)) for keys in all_keys]


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

    # Stores
    store_kind = providers.Callable(from_settings.store_kind, settings)
    default_patterns = providers.Callable(from_settings.patterns_to_start_with, settings)
    category_patterns = providers.Selector(
        store_kind,
        mongo=providers.Singleton(mongo_repositories.CategoryPatternRepositoryAdapter, mongo_database),
        sqlite=providers.Singleton(sqlite_repositories.SqliteCategoryPatternRepository, sqlite),
    )
    categorized_data = providers.Selector(
        store_kind,
        mongo=providers.Singleton(
            mongo_repositories.CategorizedDataRepositoryAdapter, mongo_database, option.mongo_create_indexes
        ),
        sqlite=providers.Singleton(sqlite_repositories.SqliteCategorizedDataRepository, sqlite),
    )
    proposals = providers.Selector(
        store_kind,
        mongo=providers.Singleton(mongo_repositories.PatternProposalRepositoryAdapter, mongo_database),
        sqlite=providers.Singleton(sqlite_repositories.SqlitePatternProposalRepository, sqlite),
    )
    usage_logs = providers.Selector(
        store_kind,
        mongo=providers.Singleton(mongo_repositories.PomodoroUsageLogRepositoryAdapter, mongo_database, option.zone),
        sqlite=providers.Singleton(sqlite_repositories.SqlitePomodoroUsageLogRepository, sqlite),
    )
    field_names = providers.Selector(
        store_kind,
        mongo=providers.Singleton(MongoFieldNames, mongo_database),
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
    dead_letters = providers.Singleton(RedisDeadLetters, redis, partition_keys)
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
    )
    openai = providers.Singleton(from_settings.openai_client, settings)

    # The pipeline
    registry = providers.Singleton(make_registry)
    metrics = providers.Singleton(MetricsObserver, registry, option.llm_cost_per_million_tokens)
    tracing = providers.Singleton(from_settings.tracer_provider, settings)
    observer = providers.Singleton(from_settings.all_observers, settings, metrics, tracing)
    llm = providers.Singleton(from_settings.llm_client, openai, settings)
    privacy = providers.Singleton(from_settings.privacy, settings)
    questions = providers.Singleton(Questions, privacy, option.llm_send_titles)
    answer_memory = providers.Singleton(from_settings.answer_memory, observer, classification_cache, settings)
    local_classifier = providers.Singleton(from_settings.local_classifier, settings)
    llm_queue = providers.Singleton(from_settings.llm_queue, llm, llm_budget, answer_memory, observer, settings)
    tiers = providers.Singleton(
        from_settings.slow_tiers, answer_memory, categorized_data, local_classifier, llm_queue, settings
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
    )
    leaderboard_rebuild = providers.Singleton(
        LeaderboardRebuild, board_rebuild.provider, usage_logs, category_patterns, calendar
    )

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
    )
    api = providers.Singleton(
        from_settings.api, settings, state, leaderboard, dead_letters, proposals, category_patterns, classifier, audit
    )


def task_runner(container: Container) -> TaskRunner:
    """Runs tasks for all partitions of the stream."""
    tasks = Tasks(
        container.task_queue(),
        container.classifier(),
        container.dead_letters(),
        [part.reclassification() for part in container.partitions()],
        container.leaderboard_rebuild(),
        PeriodReclassification(
            container.usage_logs(),
            container.categorized_data(),
            [part.deferred() for part in container.partitions()],
            container.classifier(),
            container.leaderboard_rebuild(),
        ),
        container.field_names(),
        container.calendar(),
    )
    return TaskRunner(container.task_queue(), tasks.by_name, container.observer(), container.audit())


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
    client = container.mongo() if container.store_kind() == "mongo" else container.sqlite()
    try:
        yield container
    finally:
        await _close(client.close)


async def _close(close: Callable[[], Awaitable[None] | None]) -> None:
    """Closes a client of either MongoDB driver: PyMongo's `close` is a coroutine, Motor's blocks."""
    with suppress(TimeoutError):  # a stalled server must not delay this
        async with asyncio.timeout(_CLOSE_SECONDS):
            await (close() if inspect.iscoroutinefunction(close) else asyncio.to_thread(close))


async def _close_lane(container: Container) -> None:
    if (llm_queue := container.llm_queue()) is not None:
        await llm_queue.aclose()
