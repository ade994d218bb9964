"""ArchivePort in memory, in a directory, and on an S3 server: S3_TEST_URL, else the one of the tests."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import web

from domains.collector.model import ArchiveOutage
from infrastructure.collector.archive import Archive, open_archive
from infrastructure.memory.collector import InMemoryArchive
from tests.s3_server import make_app
from tests.servers import free_port

AnyArchive = Archive | InMemoryArchive
KEY = "collect/date=2026-11-26/hour=21/one-0000000000001.jsonl.gz"


@pytest.fixture
def s3_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-the-tests")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.fixture(params=["memory", "file", "s3"])
async def archive(request: pytest.FixtureRequest, tmp_path: Path, s3_account: None) -> AsyncIterator[AnyArchive]:
    if request.param == "memory":
        yield InMemoryArchive()
    elif request.param == "file":
        yield open_archive((tmp_path / "archive").as_uri(), None)
    elif url := os.environ.get("S3_TEST_URL"):
        yield open_archive(f"s3://bucket/{uuid4().hex}", url)
    else:
        runner = web.AppRunner(make_app(tmp_path))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        (address,) = runner.addresses
        yield open_archive("s3://bucket/prefix", f"http://127.0.0.1:{address[1]}")
        await runner.cleanup()


async def test_what_is_put_can_be_got(archive: AnyArchive) -> None:
    await archive.put(KEY, b"\x00one")

    assert await archive.get(KEY) == b"\x00one"


async def test_what_is_there_stays(archive: AnyArchive) -> None:
    await archive.put(KEY, b"one")
    await archive.put(KEY, b"other")

    assert await archive.get(KEY) == b"one"


async def test_what_is_replaced_is_gone(archive: AnyArchive) -> None:
    await archive.put("raw_dlq/one.raw", b"one")
    await archive.replace("raw_dlq/one.raw", b"other")

    assert await archive.get("raw_dlq/one.raw") == b"other"
    assert [key async for key in archive.keys("raw_dlq/", ".raw")] == ["raw_dlq/one.raw"]


async def test_of_several_at_once_one_is_whole(archive: AnyArchive) -> None:
    bodies = [bytes([number]) * 100_000 for number in range(5)]
    await asyncio.gather(*(archive.put(KEY, body) for body in bodies))

    assert await archive.get(KEY) in bodies


async def test_keys_are_listed_in_their_order(archive: AnyArchive) -> None:
    keys = [KEY.replace("hour=21", f"hour={hour:02}") for hour in (3, 1, 2)]
    for key in [*keys, "collect/other.meta.json", "raw_dlq/one.jsonl.gz"]:
        await archive.put(key, b"")

    assert [key async for key in archive.keys("collect/")] == sorted(keys)


async def test_what_is_not_there_is_an_outage(archive: AnyArchive) -> None:
    with pytest.raises(ArchiveOutage):
        await archive.get(KEY)


@pytest.mark.parametrize("kind", ["file", "s3"])
async def test_an_archive_that_is_away_is_an_outage(kind: str, tmp_path: Path, s3_account: None) -> None:
    (tmp_path / "file").touch()
    urls = {"file": (tmp_path / "file" / "below").as_uri(), "s3": "s3://bucket"}
    archive = open_archive(urls[kind], f"http://127.0.0.1:{free_port()}")

    with pytest.raises(ArchiveOutage) as outage:
        await archive.put(KEY, b"one")
    assert "\n" not in str(outage.value), "what the library had in hand is nobody's to read"
