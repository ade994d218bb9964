"""The whole pipeline in process, on real servers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infrastructure.composition.container import Container, running_container
from infrastructure.redis.keys import SESSION_SCORE_STREAM
from infrastructure.settings import Settings
from tests.messages import patterns
from tests.servers import RedisServer

DEADLINE = 120.0
"""Seconds, far more than anything here takes even on a busy machine."""

MONGO_DRIVERS = [pytest.param(driver, marks=pytest.mark.mongo) for driver in ("motor", "pymongo")]


@pytest.fixture
def redis_client(redis_server: RedisServer, settings: Settings) -> Iterator[Any]:
    """The synchronous client of a test, on the database of `settings`."""
    with redis_server.client() as client:
        yield client


@pytest.fixture
def sqlite_settings(settings: Settings) -> Settings:
    return settings


@pytest.fixture(params=MONGO_DRIVERS)
def mongo_settings(
    request: pytest.FixtureRequest, settings: Settings, mongo_uri: str, mongo_database: str
) -> Settings:
    return _on_mongo(request.param, settings, mongo_uri, mongo_database)


@pytest.fixture(params=["sqlite", *MONGO_DRIVERS])
def any_settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Real Redis with each of the stores."""
    if request.param == "sqlite":
        return settings
    uri, database = request.getfixturevalue("mongo_uri"), request.getfixturevalue("mongo_database")
    return _on_mongo(request.param, settings, uri, database)


def _on_mongo(driver: str, settings: Settings, uri: str, database: str) -> Settings:
    return Settings(**settings.model_dump() | {"mongo_uri": uri, "mongo_database": database, "mongo_driver": driver})


@dataclass
class Pipeline:
    """A running consumer, with methods to publish and to look at the results.

    `redis` is the test's synchronous client.
    """

    container: Container
    settings: Settings
    redis: Any
    running: asyncio.Task[int]

    async def publish(self, *entries: Mapping[str, str]) -> list[str]:
        return await self.container.publisher().publish(entries)

    def publish_raw(self, fields: Mapping[bytes, bytes]) -> str:
        return str(self.redis.xadd(self.settings.stream_key, dict(fields)))

    async def process(self, *entries: Mapping[str, str]) -> list[str]:
        """Publishes the entries and returns when all of them are committed."""
        ids = await self.publish(*entries)
        await self.settled()
        return ids

    async def settled(self) -> None:
        """Returns when no entry is undelivered or pending, and what can be announced is."""
        deadline = time.monotonic() + DEADLINE
        while left := await self.container.backlog().uncommitted(at_most=10_000):
            if self.running.done():
                raise AssertionError(f"the consumer ended with {self.running.result()}")
            assert time.monotonic() < deadline, f"{left} messages are not committed"
            await asyncio.sleep(0.01)
        await self.container.partition().announcer().announce_all()

    def board(self, key: str) -> dict[str, float]:
        return dict(self.redis.zrange(key, 0, -1, withscores=True))

    def boards(self) -> set[str]:
        return set(self.redis.keys("leaderboard:*"))

    def events(self) -> list[dict[str, str]]:
        return [event for _, event in self.redis.xrange(SESSION_SCORE_STREAM)]

    def dead_letters(self) -> list[dict[str, str]]:
        return [letter for _, letter in self.redis.xrange(f"{self.settings.stream_key}:dlq")]

    async def count(self, collection: str) -> int:
        if self.settings.mongo_uri is None:
            ((count,),) = await self.container.sqlite().read(f"SELECT count(*) FROM {collection}")
            return int(count)
        return int(await self.container.mongo_database()[collection].count_documents({}))


StartPipeline = Callable[..., AbstractAsyncContextManager[Pipeline]]


@pytest.fixture
def pipeline_on(redis_server: RedisServer) -> StartPipeline:
    """Starts a consumer and stops it at the end of the block: `async with pipeline_on(settings) as pipeline`.

    `prepare` is called with the container before the consumer starts. The store knows `tests.messages.patterns`.
    """

    @asynccontextmanager
    async def start(settings: Settings, prepare: Callable[[Container], Any] | None = None) -> AsyncIterator[Pipeline]:
        with redis_server.client() as client:
            async with running_container(settings) as container:
                await container.category_patterns().save_all(patterns())
                if prepare is not None:
                    await prepare(container)
                stop = asyncio.Event()
                running = asyncio.create_task(container.partition().consumer().run(stop))
                try:
                    yield Pipeline(container, settings, client, running)
                finally:
                    stop.set()
                    await asyncio.wait_for(running, DEADLINE)

    return start


@pytest.fixture
async def pipeline(pipeline_on: StartPipeline, sqlite_settings: Settings) -> AsyncIterator[Pipeline]:
    async with pipeline_on(sqlite_settings) as pipeline:
        yield pipeline


@pytest.fixture
async def any_pipeline(pipeline_on: StartPipeline, any_settings: Settings) -> AsyncIterator[Pipeline]:
    async with pipeline_on(any_settings) as pipeline:
        yield pipeline


def other_instance(settings: Settings, data_dir: Path | None = None) -> Settings:
    """Another instance of the consumer in the same deployment."""
    return settings.model_copy(update={"instance_id": "another", **({"data_dir": data_dir} if data_dir else {})})
