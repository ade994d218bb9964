"""Half a surrogate pair in a title, which Spring stores as bytes that are not UTF-8, stops no reader.

The servers that stand in for MongoDB refuse such bytes or mend them, so a proxy puts them into the replies.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date

import pytest
from bson import ObjectId
from bson.errors import InvalidBSON
from pymongo import MongoClient

from domains.kernel.window import Window
from infrastructure.composition.container import Container, running_container
from tests.contract.conftest import MONGO_DRIVERS, NOWHERE, mongo_settings
from tests.integration.counting_proxy import counting_proxy, mongo_commands
from tests.messages import SNS, spring_data, spring_log

HALF_A_PAIR = b"\xed\xa0\xbd"
MARK = "@@@"
TEXT = f"점심 {MARK}"
READ = "점심 \ufffd\ufffd\ufffd"


@pytest.fixture(params=MONGO_DRIVERS)
async def container(request: pytest.FixtureRequest) -> AsyncIterator[Container]:
    settings = mongo_settings(request)
    assert settings.mongo_uri is not None
    uri = settings.mongo_uri.get_secret_value()
    with MongoClient(uri) as client:
        host, port = client.address or ("", 0)
        stored = client[settings.mongo_database]
        stored.categorized_data.insert_one(spring_data(1, title=TEXT, categoryId=ObjectId(SNS), IsLLMBased=True))
        stored.pomodoro_usage_log.insert_one(spring_log(1, userId="user-1", note=TEXT))
        stored.category_pattern.insert_one({"category": TEXT, "appPatterns": [TEXT]})
    with counting_proxy(host, port, mongo_commands, lambda reply: reply.replace(MARK.encode(), HALF_A_PAIR)) as proxy:
        through = settings.model_validate(
            settings.model_dump() | {"mongo_uri": f"mongodb://{proxy.address}/", "redis_addr": NOWHERE}
        )
        async with running_container(through) as container:
            yield container


async def windows_looked_up(container: Container) -> list[str]:
    key = Window("Visual Studio Code", "", TEXT)
    return [window.title for window in await container.categorized_data().find_many_by_app_url_title_batch([key])]


async def windows_classified(container: Container) -> list[str]:
    return [found.window.title for found in await container.categorized_data().find_classified([SNS], 10)]


async def windows_that_the_llm_named(container: Container) -> list[str]:
    return [found.window.title async for found in container.categorized_data().find_llm_based()]


async def categories(container: Container) -> list[str]:
    return [pattern.category for pattern in await container.category_patterns().find_all()]


async def users(container: Container) -> list[str]:
    logs = await container.usage_logs().find_by_session("user-1", date(2025, 9, 2), 3)
    async for page in container.usage_logs().find_in_period(0, 2e9):
        logs += page
    return [log.user_id for log in logs]


@pytest.mark.parametrize(
    ("reading", "found"),
    [
        (windows_looked_up, [READ]),
        (windows_classified, [READ]),
        (windows_that_the_llm_named, [READ]),
        (categories, [READ]),
        (users, ["user-1", "user-1"]),
    ],
)
async def test_text_that_is_not_utf_8_is_read(
    container: Container, reading: Callable[[Container], Awaitable[list[str]]], found: list[str]
) -> None:
    assert await reading(container) == found


async def test_a_reader_that_is_not_lenient_would_fail(container: Container) -> None:
    strict = container.mongo()[container.settings().mongo_database]
    with pytest.raises(InvalidBSON):
        await strict.categorized_data.find_one()
