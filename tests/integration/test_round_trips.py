"""The number of commands that a batch costs does not depend on how many messages it has."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from pymongo.uri_parser import parse_uri

from domains.kernel.window import Window
from domains.pomodoro.model import CategorizedData
from infrastructure.composition.container import Container, running_container
from infrastructure.settings import Settings
from tests.integration.counting_proxy import CountingProxy, counting_proxy, mongo_commands, redis_commands
from tests.messages import DEVELOPMENT, SNS, categorized, data_id, linked_message, message, patterns, usage_log

SMALL, LARGE = 10, 500
AT_MOST = 8  # read, ask for repeats, look up, two inserts, two updates, commit
APPS = ("Visual Studio Code", "Notion", "카카오톡", "an app that no rule knows")


@dataclass
class Counted:
    container: Container
    settings: Settings
    redis: CountingProxy
    mongo: CountingProxy

    async def batch(self, first: int, count: int) -> Counter[str]:
        """Reads and processes `count` messages as one batch. Answers the commands that it cost."""
        source, consumer = self.container.partition().source(), self.container.partition().consumer()
        await self._publish(range(first, first + count))
        self.redis.counted()
        self.mongo.counted()

        batch = await source.read_new(count, block_ms=5000)
        assert len(batch) == count, "all of them in one batch"
        await consumer.process_batch_messages(batch)

        cost = self.redis.counted() + self.mongo.counted()
        assert await self.container.backlog().uncommitted(at_most=1) == 0, "all of them committed"
        return cost

    async def _publish(self, numbers: range) -> None:
        """A quarter each: with ids; of new windows; of windows that have a category; of such that have none yet."""
        data = [_window(number) for number in numbers if number % 4 != 1]
        await self.container.categorized_data().save_all(data)
        await self.container.usage_logs().save_all([usage_log(number) for number in numbers if number % 4 == 0])
        entries = []
        for number in numbers:
            app, url, title = _window(number).window
            fields = {
                "userId": f"user-{number % 40}",
                "app": app,
                "url": url,
                "title": title,
                "session": str(number),
                "isEnd": "true" if number % 7 == 0 else "false",
            }
            entries.append(linked_message(number, **fields) if number % 4 == 0 else message(**fields))
        await self.container.publisher().publish(entries)


def _window(number: int) -> CategorizedData:
    key = Window(APPS[number // 4 % 4], "", f"window {number}")
    category = (DEVELOPMENT, SNS)[number // 4 % 2] if number % 4 == 2 else None
    return CategorizedData(data_id(number), key, category)


@pytest.fixture
async def counted(settings: Settings, mongo_settings: Settings, mongo_uri: str) -> AsyncIterator[Counted]:
    async with _counted(mongo_settings, mongo_uri) as counted:
        yield counted


@asynccontextmanager
async def _counted(settings: Settings, mongo_uri: str) -> AsyncIterator[Counted]:
    assert settings.redis_addr is not None
    redis_host, _, redis_port = settings.redis_addr.rpartition(":")
    ((mongo_host, mongo_port),) = parse_uri(mongo_uri)["nodelist"]
    with (
        counting_proxy(redis_host, int(redis_port), redis_commands) as redis,
        counting_proxy(mongo_host, mongo_port, mongo_commands) as mongo,
    ):
        through = Settings(
            redis_addr=redis.address,
            mongo_uri=_through(mongo_uri, f"{mongo_host}:{mongo_port}", mongo.address),
            mongo_database=settings.mongo_database,
            mongo_driver=settings.mongo_driver,
            data_dir=settings.data_dir,
        )
        async with running_container(through) as container:
            await container.category_patterns().save_all(patterns())
            await container.classifier().load()
            await container.partition().source().ensure_group()
            counted = Counted(container, through, redis, mongo)
            await counted.batch(0, 4)  # makes the connections, the index and the script
            yield counted


def _through(uri: str, server: str, proxy: str) -> str:
    assert server in uri, "the URI names host and port"
    return uri.replace(server, proxy)


async def test_a_batch_costs_the_same_commands_whatever_its_size(counted: Counted) -> None:
    small = await counted.batch(100, SMALL)
    large = await counted.batch(1000, LARGE)

    assert large == small


async def test_a_batch_costs_a_handful_of_commands(counted: Counted) -> None:
    cost = await counted.batch(100, SMALL)

    # Logs that are older than their entries, as those here, may have been counted before: SMISMEMBER says.
    assert cost == {"XREADGROUP": 1, "SMISMEMBER": 1, "find": 1, "insert": 2, "update": 2, "EVALSHA": 1}
    assert cost.total() <= AT_MOST


async def test_windows_with_many_documents_cost_one_look_up(counted: Counted) -> None:
    """Spring inserts one document a message, so a window that everybody has open has thousands."""
    window = categorized(0, "Visual Studio Code", "", "everybody's").window
    crowd = [CategorizedData(data_id(10_000 + number), window, DEVELOPMENT) for number in range(1000)]
    await counted.container.categorized_data().save_all(crowd)
    counted.mongo.counted()

    found = await counted.container.categorized_data().find_many_by_app_url_title_batch([window])

    assert found == {window: crowd[0]}
    assert counted.mongo.counted().total() == 1


@pytest.mark.parametrize("broken", [1, 200])
async def test_dead_letters_cost_one_commit_however_many(counted: Counted, broken: int) -> None:
    await counted.container.publisher().publish([message(userId="")] * broken)
    batch = await counted.container.partition().source().read_new(broken, block_ms=5000)
    counted.redis.counted()

    await counted.container.partition().consumer().process_batch_messages(batch)

    assert counted.redis.counted() + counted.mongo.counted() == {"EVALSHA": 1}


def test_the_framing_of_redis_finds_commands_that_come_in_pieces() -> None:
    sent = b"*2\r\n$3\r\nGET\r\n$4\r\n*1\r\n\r\n" * 2 + b"*1\r\n$4\r\nping\r\n"
    buffer, names = bytearray(), []
    for byte in sent:
        buffer.append(byte)
        names += redis_commands(buffer)

    assert names == ["GET", "GET", "PING"]
    assert not buffer
