"""Servers and settings that the suites share. The header says which MongoDB a run talks to."""

import asyncio
import logging
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pymongo import MongoClient

from infrastructure.composition.container import Container, running_container
from infrastructure.process.embedded_redis import find_redis_server
from infrastructure.settings import Settings
from tests.browser import find_browser
from tests.servers import RedisServer, documented_user, find_postgres, mongo_kind, mongo_server, postgres_server

REDIS_PASSWORD = "s3cret-of-pomocore"

# Tests by examples do not measure time: on a busy machine other processes take theirs.
hypothesis_settings.register_profile("pomocore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("pomocore")
_NO_BROWSER = "none on PATH, so the tests of the console page do not run; with a Chromium, make test-page runs them"


def pytest_report_header() -> list[str]:
    executable = find_redis_server()
    version = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True).stdout
    return [
        f"redis: {executable} ({version.split('=')[1].split(' ')[0]})",
        f"mongodb: {mongo_kind()}",
        f"browser: {find_browser() or _NO_BROWSER}",
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if find_browser() is None:
        terminalreporter.section("browser")
        terminalreporter.line(_NO_BROWSER)


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hides `.env` and the developer's variables from a test, which sets what it needs."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", None)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undoes a test's logging configuration, whose stream is closed and whose records would count as memory."""
    root, ours = logging.getLogger(), logging.getLogger("pomocore")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Beside the default user it has one with the documented permissions, as which `settings` reach it."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", *documented_user(REDIS_PASSWORD))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mongo_server(tmp_path_factory.mktemp("mongo")) as (uri, _):
        yield uri


@pytest.fixture
def mongo_database(mongo_uri: str) -> Iterator[str]:
    """The name of a database that belongs to this test."""
    name = f"test_{uuid4().hex[:12]}"
    yield name
    with MongoClient(mongo_uri) as client:
        client.drop_database(name)


@pytest.fixture(scope="session")
def postgres_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if find_postgres() is None and "POSTGRES_TEST_URL" not in os.environ:
        pytest.skip("no PostgreSQL on this machine, and no POSTGRES_TEST_URL")
    with postgres_server(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """The URL of a schema that belongs to this test."""
    name = f"test_{uuid4().hex[:12]}"

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(postgres_server_url)
        await connection.execute(statement)
        await connection.close()

    with ThreadPoolExecutor(1) as thread:  # where a loop is running, no other may run in its thread
        thread.submit(lambda: asyncio.run(execute(f"CREATE SCHEMA {name}"))).result()
        yield f"{postgres_server_url}?search_path={name}"
        thread.submit(lambda: asyncio.run(execute(f"DROP SCHEMA {name} CASCADE"))).result()


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path) -> Iterator[Settings]:
    """Real Redis, empty for the test, as a user with the documented permissions; SQLite in a directory of its own."""
    yield Settings(
        redis_addr=redis_server.address,
        redis_username="pomocore",
        redis_password=REDIS_PASSWORD,
        data_dir=tmp_path,
        block_ms=50,
        claim_idle_ms=300,
        announce_delay_ms=0,
    )
    with redis_server.client() as client:
        client.flushall()


@pytest.fixture
async def container(settings: Settings) -> AsyncIterator[Container]:
    async with running_container(settings) as container:
        yield container
