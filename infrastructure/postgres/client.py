"""PostgreSQL by asyncpg, and the one place that translates its exceptions."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from asyncpg import Pool, create_pool
from asyncpg import exceptions as errors

from domains.kernel.errors import OutageKind, StoreOutage, StoreRefused

Row = Sequence[Any]

_CONNECT_SECONDS = 5.0
_COMMAND_SECONDS = 20.0
_MIGRATING = 0x706F6D6F
"""The advisory lock under which the schema is changed: of several instances that start, one does it."""
_DATA_TO_BLAME = (
    errors.DataError,
    errors.IntegrityConstraintViolationError,
    errors.ProgramLimitExceededError,
    OverflowError,
    UnicodeError,
)


_KINDS: tuple[tuple[tuple[type[BaseException], ...], OutageKind], ...] = (
    ((errors.InvalidAuthorizationSpecificationError, errors.InsufficientPrivilegeError), OutageKind.FORBIDDEN),
    ((errors.ReadOnlySQLTransactionError,), OutageKind.READ_ONLY),
    ((errors.DiskFullError, errors.OutOfMemoryError), OutageKind.FULL),
    ((errors.CannotConnectNowError,), OutageKind.STARTING),
    ((errors.PostgresConnectionError, errors.InterfaceError, OSError, TimeoutError), OutageKind.UNREACHABLE),
)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translates asyncpg's exceptions into StoreOutage, or into StoreRefused if the data sent are at fault."""
    try:
        yield
    except _DATA_TO_BLAME as cause:
        raise StoreRefused(f"{type(cause).__name__}: {cause}") from cause
    except (errors.PostgresError, errors.InterfaceError, errors.InternalClientError, OSError, TimeoutError) as cause:
        kind = next((kind for classes, kind in _KINDS if isinstance(cause, classes)), OutageKind.UNUSABLE)
        raise StoreOutage(f"{type(cause).__name__}: {cause}", kind) from cause


class PostgresDatabase:
    """A pool of connections that is opened on first use, when the schema is brought up to date as well."""

    def __init__(self, url: str, connections: int = 10) -> None:
        self._url = url
        self._connections = connections
        self._pool: Pool[Any] | None = None
        self._opening = asyncio.Lock()

    async def read(self, query: str, *parameters: Any) -> list[Row]:
        with translated_errors():
            return list(await (await self._open()).fetch(query, *parameters))

    async def write(self, statement: str, *parameters: Any) -> int:
        """Executes one statement, which is one transaction. Returns how many rows it has changed."""
        with translated_errors():
            done = await (await self._open()).execute(statement, *parameters)
        return int(done.rpartition(" ")[2])

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()  # no statement of ours is under way, and a stalled server must not delay the end

    async def _open(self) -> "Pool[Any]":
        async with self._opening:
            if self._pool is None:
                pool = await create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._connections,
                    timeout=_CONNECT_SECONDS,
                    command_timeout=_COMMAND_SECONDS,
                    reset=_leave_as_it_is,
                    server_settings={"application_name": "pomocore-data-pipeline"},
                )
                try:
                    await _migrate(pool)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
            return self._pool


async def _leave_as_it_is(connection: object) -> None:
    """Spares each statement a second round trip: none of ours leaves anything in its session that could be reset.

    Locks are those of transactions, and asyncpg itself ends what is left of one.
    """


async def _migrate(pool: "Pool[Any]") -> None:
    """Runs the migrations that this database has not had, in their order, all or none."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATING)
        await connection.execute("CREATE TABLE IF NOT EXISTS pomocore_schema (version integer PRIMARY KEY)")
        had = {row["version"] for row in await connection.fetch("SELECT version FROM pomocore_schema")}
        for version, script in migrations():
            if version not in had:
                await connection.execute(script)
                await connection.execute("INSERT INTO pomocore_schema VALUES ($1)", version)


def migrations() -> list[tuple[int, str]]:
    """The versions and scripts in migrations/, by version. A script that was released never changes."""
    scripts = [file for file in files(__package__).joinpath("migrations").iterdir() if file.name.endswith(".sql")]
    return sorted((int(file.name[:4]), file.read_text(encoding="utf-8")) for file in scripts)
