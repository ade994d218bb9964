"""The one place where everything is built from settings. Any provider can be overridden.

Building connects to nothing: clients do so at their first call, and `running_container` closes them.
"""

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

from dependency_injector import containers, providers

from domains.categoryPattern.model import CategoryPattern
from domains.leaderboard.service import BoardCalendar
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.llm_queue import LLMQueue, LLMQueueLimits
from domains.patternClassifier.model import Tier
from domains.patternClassifier.ports import LLMBudgetPort, LocalClassifierPort
from domains.patternClassifier.privacy import Privacy
from domains.patternClassifier.questions import Questions
from domains.patternClassifier.tiers import AnswerMemory, CacheTier, DocumentsTier, ModelTier, SlowTier
from domains.pomodoro.capacity import ConsumerLimits
from domains.pomodoro.consumer import PomodoroPatternConsumer
from domains.pomodoro.rebuild import LeaderboardRebuild
from domains.pomodoro.reclassification import Reclassification
from domains.pomodoro.service import BatchClassification
from infrastructure.mongo import client as mongo_client
from infrastructure.mongo import repositories as mongo_repositories
from infrastructure.observing.logs import LoggingObserver, announce_not_loaded
from infrastructure.observing.metrics import MetricsObserver, make_registry
from infrastructure.observing.observers import Observers
from infrastructure.operations.health import PipelineHealth
from infrastructure.operations.task_runner import TaskRunner
from infrastructure.operations.tasks import Tasks
from infrastructure.patterns.pattern_file import default_patterns
from infrastructure.process.embedded_redis import EmbeddedRedis
from infrastructure.redis import client as redis_client
from infrastructure.redis.backlog import StreamBacklog
from infrastructure.redis.budget import RedisLLMBudget
from infrastructure.redis.cache import RedisClassificationCache
from infrastructure.redis.commit import RedisCommit
from infrastructure.redis.dead_letters import RedisDeadLetters
from infrastructure.redis.deferred import RedisDeferredMessages
from infrastructure.redis.failed_scores import RedisFailedScores
from infrastructure.redis.keys import LLMKeys, StreamKeys, TaskQueueKeys
from infrastructure.redis.leaderboard import LeaderboardCacheAdapter
from infrastructure.redis.outbox import OutboxCommit
from infrastructure.redis.publisher import StreamPublisher
from infrastructure.redis.rebuild import RedisBoardRebuild
from infrastructure.redis.stream import RedisStreamConsumer
from infrastructure.redis.stream_figures import RedisStreamFigures
from infrastructure.redis.task_queue import RedisTaskQueue
from infrastructure.settings import Settings, names_of
from infrastructure.spring.message_parser import MessageParser
from infrastructure.sqlite import repositories as sqlite_repositories
from infrastructure.sqlite.database import SqliteDatabase

T = TypeVar("T")


def _store_kind(settings: Settings) -> str:
    return "sqlite" if settings.mongo_uri is None else "mongo"


def _sqlite(settings: Settings) -> SqliteDatabase:
    return SqliteDatabase(settings.data_dir / "pomocore.db")


def _reading_redis(settings: Settings) -> Any:
    return redis_client.make_client(settings, reply_timeout=settings.block_ms / 1000 + 5)


def _boards_elsewhere(settings: Settings) -> bool:
    """On a cluster, unless a prefix with a hash tag puts all keys into one slot."""
    return settings.redis_cluster and "{" not in settings.key_prefix


def _partition_keys(settings: Settings) -> list[StreamKeys]:
    streams = [settings.stream_key]
    if settings.stream_partitions > 1:
        streams = [f"{settings.stream_key}:{number}" for number in range(settings.stream_partitions)]
    return [StreamKeys(stream, settings.key_prefix, settings.redis_cluster) for stream in streams]


def _commit(client: Any, keys: StreamKeys, settings: Settings) -> RedisCommit:
    kind = OutboxCommit if _boards_elsewhere(settings) else RedisCommit
    return kind(client, keys, settings.stream_group, settings.dead_letters_max, settings.deferred_max)


def _defaults(settings: Settings) -> list[CategoryPattern]:
    """Spring's initialiser fills the store that it shares with us; nobody else fills the embedded one."""
    return default_patterns() if settings.mongo_uri is None else []


def _optional(part: str, build: Callable[[], T]) -> T | None:
    """What `build` makes; None if it fails, which is logged: the pipeline goes on without that part."""
    try:
        return build()
    except Exception as cause:
        announce_not_loaded(part, cause)
        return None


def _openai(settings: Settings, budget: LLMBudgetPort) -> Any:
    """None without a key."""
    if settings.openai_api_key is None:
        return None

    def build() -> Any:
        from infrastructure.openai.client import make_client  # half of the start's time: only where there is a key

        return make_client(settings, budget)

    # the package would obey further variables: another organisation, headers, a log that shows titles
    hidden = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("OPENAI_")}
    try:
        return _optional("LLM", build)
    finally:
        os.environ.update(hidden)


def _llm(client: Any, model: str, temperature: float | None) -> Any:
    if client is None:
        return None
    from infrastructure.openai.client import LLMClient

    return LLMClient(client, model, temperature)


def _privacy(settings: Settings) -> Privacy:
    return Privacy(names_of(settings.private_hosts), names_of(settings.private_apps))


def _lane(llm: Any, budget: Any, memory: AnswerMemory, observer: Any, settings: Settings) -> LLMQueue | None:
    if llm is None or Tier.LLM not in settings.tiers:
        return None
    limits = LLMQueueLimits(
        batch=settings.llm_batch_size,
        concurrency=settings.worker_pool_size,
        linger_seconds=settings.llm_linger_ms / 1000,
        wait_seconds=settings.llm_wait,
        waiting=settings.llm_max_waiting,
        longest_pause_seconds=settings.llm_longest_pause,
    )
    return LLMQueue(llm, budget, memory, observer, limits)


def _memory(observer: Any, cache: Any, settings: Settings) -> AnswerMemory:
    shared = cache if Tier.CACHE in settings.tiers else None
    limit = settings.classification_memory_max if Tier.MEMORY in settings.tiers else 0
    return AnswerMemory(observer, shared, limit)


def _tiers(memory: AnswerMemory, categorized: Any, model: Any, lane: Any, settings: Settings) -> list[SlowTier]:
    """Without an LLM nobody fills the cache, and documents hold no more than what the rules said."""
    tiers: list[SlowTier] = []
    if lane is not None and Tier.CACHE in settings.tiers:
        tiers.append(CacheTier(memory))
    if lane is not None and Tier.DOCUMENTS in settings.tiers:
        tiers.append(DocumentsTier(categorized))
    if model is not None and Tier.MODEL in settings.tiers:
        tiers.append(ModelTier(model))
    return tiers


def _model(settings: Settings) -> LocalClassifierPort | None:
    """None without a model file, and where it cannot be used."""
    if settings.model_file is None and not settings.model_path.exists():
        return None

    def build() -> LocalClassifierPort:
        from infrastructure.local_classifier.linear import load_model  # numpy: only where there is a model

        return load_model(settings.model_path)

    return _optional("Local classifier", build)


def _limits(settings: Settings) -> ConsumerLimits:
    return ConsumerLimits(
        batch_size=settings.batch_size,
        batch_max=settings.batch_max,
        worker_pool_size=settings.worker_pool_size,
        max_in_flight=max(1, settings.max_inflight_messages // settings.stream_partitions),
        max_in_flight_bytes=settings.max_inflight_bytes // settings.stream_partitions,
        block_ms=settings.block_ms,
        claim_interval_seconds=settings.claim_idle_ms / 3000,
        max_deliveries=settings.max_deliveries,
        shutdown_timeout_seconds=settings.shutdown_timeout,
    )


def _tracing(settings: Settings) -> Any:
    if settings.otel_exporter_otlp_endpoint is None:
        return None

    def build() -> Any:
        from infrastructure.observing.tracing import make_provider

        return make_provider(settings)

    return _optional("Tracing (pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http)", build)


def _observer(settings: Settings, metrics: MetricsObserver, tracing: Any) -> Observers:
    observers: list[Any] = [LoggingObserver(settings.stream_max_backlog), metrics]
    if tracing is not None:
        from infrastructure.observing.tracing import TracingObserver

        observers.append(TracingObserver(tracing, settings))
    return Observers(*observers)


def _api(*parts: Any) -> Any:
    from infrastructure.http.api import Api  # only for what serves HTTP

    return Api(*parts)


class Container(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=Settings)
    option = settings.provided

    # Clients
    redis = providers.Singleton(redis_client.make_client, settings)
    reading_redis = providers.Singleton(_reading_redis, settings)
    mongo = providers.Singleton(mongo_client.make_client, settings)
    mongo_database = providers.Singleton(mongo_client.make_database, mongo, option.mongo_database)
    sqlite = providers.Singleton(_sqlite, settings)

    # Stores
    store_kind = providers.Callable(_store_kind, settings)
    default_patterns = providers.Callable(_defaults, settings)
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

    # Redis
    partition_keys = providers.Singleton(_partition_keys, settings)
    keys = providers.Singleton(lambda partitions: partitions[0], partition_keys)
    calendar = providers.Singleton(BoardCalendar, option.zone, option.key_prefix)
    parser = providers.Singleton(MessageParser, calendar, option.max_message_bytes)
    source = providers.Singleton(
        RedisStreamConsumer,
        reading_redis,
        parser,
        keys,
        option.stream_group,
        option.consumer_name,
        option.claim_idle_ms,
        option.consumer_gone_ms,
        option.stream_trim,
    )
    commits = providers.Singleton(_commit, redis, keys, settings)
    leaderboard = providers.Singleton(LeaderboardCacheAdapter, redis)
    dead_letters = providers.Singleton(RedisDeadLetters, redis, partition_keys)
    failed_scores = providers.Singleton(
        RedisFailedScores, redis, partition_keys, providers.Callable(_boards_elsewhere, settings)
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
        RedisLLMBudget, redis, llm_keys, option.llm_max_calls_per_minute, option.llm_daily_token_budget
    )
    task_keys = providers.Singleton(TaskQueueKeys, option.commands_key, option.key_prefix, option.redis_cluster)
    task_queue = providers.Singleton(RedisTaskQueue, redis, task_keys, option.status_channel)
    board_rebuild = providers.Factory(
        RedisBoardRebuild,
        redis,
        partition_keys,
        option.stream_group,
        providers.Callable(_boards_elsewhere, settings),
    )
    openai = providers.Singleton(_openai, settings, llm_budget)
    deferred = providers.Singleton(RedisDeferredMessages, redis, keys, option.consumer_name)

    # The pipeline
    registry = providers.Singleton(make_registry)
    metrics = providers.Singleton(MetricsObserver, registry, option.llm_cost_per_million_tokens)
    tracing = providers.Singleton(_tracing, settings)
    observer = providers.Singleton(_observer, settings, metrics, tracing)
    llm = providers.Singleton(_llm, openai, option.openai_model, option.openai_temperature)
    privacy = providers.Singleton(_privacy, settings)
    questions = providers.Singleton(Questions, privacy, option.llm_send_titles)
    answer_memory = providers.Singleton(_memory, observer, classification_cache, settings)
    model = providers.Singleton(_model, settings)
    lane = providers.Singleton(_lane, llm, llm_budget, answer_memory, observer, settings)
    tiers = providers.Singleton(_tiers, answer_memory, categorized_data, model, lane, settings)
    classifier = providers.Singleton(
        PatternClassifier,
        category_patterns,
        observer,
        default_patterns,
        questions,
        answer_memory,
        tiers,
        lane,
    )
    batches = providers.Singleton(
        BatchClassification, classifier, categorized_data, usage_logs, calendar, keys.provided.stream
    )
    limits = providers.Singleton(_limits, settings)
    consumer = providers.Singleton(PomodoroPatternConsumer, source, commits, batches, classifier, observer, limits)
    reclassification = providers.Singleton(
        Reclassification,
        deferred,
        commits,
        classifier,
        categorized_data,
        usage_logs,
        leaderboard,
        calendar,
        observer,
        option.reclassify_seconds,
    )
    leaderboard_rebuild = providers.Singleton(
        LeaderboardRebuild, board_rebuild.provider, usage_logs, category_patterns, calendar
    )

    # How it is
    figures = providers.Singleton(RedisStreamFigures, redis, partition_keys, option.stream_group)
    state = providers.Singleton(
        PipelineHealth,
        settings,
        figures,
        category_patterns,
        classifier,
        metrics,
        registry,
        providers.Callable(lambda partitions: [keys.stream for keys in partitions], partition_keys),
    )
    api = providers.Singleton(
        _api, settings, state, leaderboard, dead_letters, proposals, category_patterns, classifier
    )


_CLOSE_SECONDS = 2.0

_SHARED_BY_PARTITIONS = (
    "redis",
    "reading_redis",
    "category_patterns",
    "categorized_data",
    "usage_logs",
    "calendar",
    "parser",
    "observer",
    "classifier",
)


def partitions(container: Container) -> list[Container]:
    """A container for each partition of the stream: its own source, commit and consumer, all else in common."""
    parts = []
    for keys in container.partition_keys():
        part = Container(settings=providers.Object(container.settings()), keys=providers.Object(keys))
        for name in _SHARED_BY_PARTITIONS:
            getattr(part, name).override(getattr(container, name))
        parts.append(part)
    return parts if len(parts) > 1 else [container]


def task_runner(container: Container, parts: Sequence[Container]) -> TaskRunner:
    """Runs tasks for all partitions of the stream, whose containers are `parts`."""
    tasks = Tasks(
        container.task_queue(),
        container.classifier(),
        container.dead_letters(),
        [part.reclassification() for part in parts],
        container.leaderboard_rebuild(),
        lambda: datetime.now(container.settings().zone).date(),
    )
    return TaskRunner(container.task_queue(), tasks.by_name, container.observer())


@asynccontextmanager
async def running_container(settings: Settings) -> AsyncIterator[Container]:
    """A container for `settings`, with the embedded redis-server where no other is named; closes what was opened."""
    async with AsyncExitStack() as stack:
        if settings.redis_addr is None:
            embedded = EmbeddedRedis(settings.data_dir)
            await asyncio.to_thread(embedded.start)
            stack.callback(embedded.close)
            settings = settings.model_copy(update={"redis_addr": embedded.address})
        container = await stack.enter_async_context(running_store(settings))
        if (openai := container.openai()) is not None:
            stack.push_async_callback(openai.close)
        if (tracing := container.tracing()) is not None:
            stack.push_async_callback(_close, tracing.shutdown)
        stack.push_async_callback(container.redis().aclose)
        stack.push_async_callback(container.reading_redis().aclose)
        stack.push_async_callback(_close_lane, container)  # the first to go: it uses the others
        yield container


@asynccontextmanager
async def running_store(settings: Settings) -> AsyncIterator[Container]:
    """A container for what uses the document store alone: no Redis is started or connected to."""
    container = Container(settings=providers.Object(settings))
    # before anything is done: wrong settings show here
    client = container.mongo() if container.store_kind() == "mongo" else container.sqlite()
    try:
        yield container
    finally:
        await _close(client.close)


async def _close(close: Any) -> None:
    """Closes a client of either MongoDB driver: PyMongo's `close` is a coroutine, Motor's blocks."""
    with suppress(TimeoutError):  # a server that stalls does not keep us
        async with asyncio.timeout(_CLOSE_SECONDS):
            await (close() if inspect.iscoroutinefunction(close) else asyncio.to_thread(close))


async def _close_lane(container: Container) -> None:
    if (lane := container.lane()) is not None:
        await lane.aclose()
