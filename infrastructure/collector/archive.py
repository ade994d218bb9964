"""The archive: a directory, or a bucket of an S3 server."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import mkstemp
from typing import Any
from urllib.parse import unquote, urlsplit

from domains.collector.model import ArchiveOutage
from infrastructure.settings import SettingsError

_PUT_SECONDS = 30


class FileArchive:
    """ArchivePort on a directory: a file appears under its name once it is whole and synced."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, key: str, data: bytes) -> None:
        await self._write(key, data, False)

    async def replace(self, key: str, data: bytes) -> None:
        """Puts `data` in the place of what is there. Raises ArchiveOutage."""
        await self._write(key, data, True)

    async def _write(self, key: str, data: bytes, replacing: bool) -> None:
        try:
            await asyncio.to_thread(self._put, self._root / key, data, replacing)
        except OSError as cause:
            raise ArchiveOutage(f"{self._root}: {cause}") from cause

    @staticmethod
    def _put(path: Path, data: bytes, replacing: bool) -> None:
        _make_directory(path.parent)
        fd, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
        unfinished = Path(name)
        try:
            with open(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replacing:
                unfinished.replace(path)
            else:
                with suppress(FileExistsError):
                    os.link(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    async def keys(self, prefix: str, ending: str = ".jsonl.gz") -> AsyncIterator[str]:
        paths = await asyncio.to_thread(lambda: sorted((self._root / prefix).glob(f"**/*{ending}")))
        for path in paths:
            yield str(path.relative_to(self._root))

    async def get(self, key: str) -> bytes:
        try:
            return await asyncio.to_thread((self._root / key).read_bytes)
        except OSError as cause:
            raise ArchiveOutage(f"{self._root}: {cause}") from cause


def _make_directory(path: Path) -> None:
    """For its owner alone, and so are those above it that are missing: titles of windows are private."""
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


class S3Archive:
    """ArchivePort on a bucket. The library's own retries are off, since the collector has its own."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def put(self, key: str, data: bytes) -> None:
        await self._write(key, data, "create")

    async def replace(self, key: str, data: bytes) -> None:
        """Puts `data` in the place of what is there. Raises ArchiveOutage."""
        await self._write(key, data, "overwrite")

    async def _write(self, key: str, data: bytes, mode: str) -> None:
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            with suppress(AlreadyExistsError):
                await self._store.put_async(key, data, mode=mode, use_multipart=False)
        except (BaseError, OSError) as cause:
            raise _outage(cause) from cause

    async def keys(self, prefix: str, ending: str = ".jsonl.gz") -> AsyncIterator[str]:
        from obstore.exceptions import BaseError

        found: list[str] = []
        try:
            async for page in self._store.list(prefix=prefix):
                found += [each["path"] for each in page if each["path"].endswith(ending)]
        except (BaseError, OSError) as cause:
            raise _outage(cause) from cause
        for key in sorted(found):
            yield key

    async def get(self, key: str) -> bytes:
        from obstore.exceptions import BaseError

        try:
            reply = await self._store.get_async(key)
            return bytes(await reply.bytes_async())
        except (BaseError, OSError) as cause:
            raise _outage(cause) from cause


def _outage(cause: Exception) -> ArchiveOutage:
    """In one line: the library adds what it had in hand, over many."""
    text = str(cause).partition("\n\nDebug source")[0]
    if "169.254." in text:  # where it asks Amazon's own machines for keys
        text = f"no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set, and this machine has none ({text})"
    return ArchiveOutage(text[:500])


Archive = FileArchive | S3Archive


def open_archive(url: str, endpoint: str | None) -> Archive:
    """Raises SettingsError if what the archive needs is not installed."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FileArchive(Path(unquote(parts.path)))
    try:
        from obstore.store import S3Store
    except ImportError:
        raise SettingsError("ARCHIVE_URL: s3:// needs obstore: pip install obstore") from None
    options: Any = {"virtual_hosted_style_request": False} if endpoint else {}
    if endpoint:
        options |= {"endpoint": endpoint.rstrip("/")}
    store = S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=options,
        client_options={"allow_http": True, "timeout": f"{_PUT_SECONDS}s", "connect_timeout": "5s"},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=_PUT_SECONDS)},
    )
    return S3Archive(store)
