"""The suite's own access to the documents where they are in PostgreSQL, and the faults that such a server has."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from random import Random
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from infrastructure.postgres.client import PostgresDatabase
from tests.chaos.model import APPS, HOSTS, OTHERS, UNCATEGORIZED, WORK, Session, midnight, session_of
from tests.chaos.proxy import FaultyProxy
from tests.chaos.store import SpringStore
from tests.chaos.workload import Batch
from tests.chaos.write_faults import REFUSED
from tests.messages import hex_id

_OURS = "fault suite"
_LOG = (
    'SELECT id AS _id, user_id AS "userId", categorized_data_id AS "CategorizedDataId", category_id AS "categoryId",'
    ' session, session_minutes AS "sessionMinutes", session_date AS "sessionDate", timestamp, duration'
    " FROM pomodoro_usage_log"
)
_WINDOW = 'SELECT id AS _id, app, url, title, category_id AS "categoryId", is_llm_based AS "IsLLMBased" FROM {}'


class Table:
    """What the checks need of a collection: its documents, as MongoDB would have them."""

    def __init__(self, store: "PostgresStore", query: str) -> None:
        self._store = store
        self._query = query

    async def find(self) -> AsyncIterator[dict[str, Any]]:
        for document in await self._store.read(self._query):
            yield document


class PostgresStore:
    """SpringStore for PostgreSQL: a database of its own, which `drop` removes. Refusals are the server's own."""

    refused = 0
    """They are not counted."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name
        parts = urlsplit(url)
        self.proxy = FaultyProxy(parts.hostname or "", parts.port or 0)
        self.patterns = Table(self, "SELECT id AS _id, category FROM category_pattern")
        self.windows = Table(self, _WINDOW.format("categorized_data"))
        self.logs = Table(self, _LOG)
        self._names: dict[str, str] = {}
        self._pool: Any = None
        self._changing = asyncio.Lock()
        """Two faults at once must not change the same entry of the server's catalogue: one of them would fail."""

    def settings(self, rng: Random) -> dict[str, str]:
        return {"DATABASE_URL": f"postgresql://postgres@{self.proxy.address}/{self._name}"}

    async def prepare(self, with_uncategorized: bool) -> None:
        await self._as_admin(f"CREATE DATABASE {self._name}")
        ours = f"{self._url.rpartition('/')[0]}/{self._name}"
        database = PostgresDatabase(ours)
        await database.read("SELECT 1")  # makes the tables
        await database.close()
        settings = {"application_name": _OURS, "default_transaction_read_only": "off"}
        self._pool = await asyncpg.create_pool(ours, min_size=1, max_size=2, server_settings=settings)
        names = [*sorted({*WORK, *OTHERS}), *([UNCATEGORIZED] if with_uncategorized else [])]
        for number, name in enumerate(names):
            of_name = [[text for text, category in table.items() if category == name] for table in (APPS, HOSTS)]
            insert = "INSERT INTO category_pattern VALUES ($1, $2, $3, $4, $5)"
            priority = None if name == UNCATEGORIZED else number
            await self._pool.execute(insert, hex_id(number), name, priority, *of_name)

    async def insert_as_spring(self, batch: Batch) -> None:
        windows = [(it["_id"], *(it.get(name, "") for name in ("app", "url", "title"))) for it in batch.windows]
        await self._pool.executemany("INSERT INTO categorized_data VALUES ($1, $2, $3, $4, NULL, false)", windows)
        await self._pool.executemany(
            "INSERT INTO pomodoro_usage_log VALUES ($1, $2, $3, NULL, $4, $5, $6, $7, $8)", map(_row, batch.logs)
        )

    async def category_name(self, category_id: Any) -> str | None:
        if category_id is None:
            return None
        if category_id not in self._names:
            self._names = {found["_id"]: found["category"] async for found in self.patterns.find()}
        return self._names.get(category_id, f"unknown category {category_id}")

    async def logs_of(self, session: Session) -> list[dict[str, Any]]:
        where = " WHERE user_id = $1 AND session_date = $2 AND session = $3"
        return await self.read(_LOG + where, session.user, date.fromisoformat(session.date), int(session.number))

    async def read(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        found = [dict(row) for row in await self._pool.fetch(query, *parameters)]
        return [{**it, "sessionDate": _instant(it["sessionDate"])} if "sessionDate" in it else it for it in found]

    async def refuse(self, refusing: bool) -> None:
        """Has the server refuse logs of the users in REFUSED, as a constraint would."""
        from_us = f"current_setting('application_name') = '{_OURS}'"
        add = f"ADD CONSTRAINT refusing CHECK ({from_us} OR user_id NOT LIKE '{REFUSED}%') NOT VALID"
        async with self._changing:
            await self._pool.execute("ALTER TABLE pomodoro_usage_log DROP CONSTRAINT IF EXISTS refusing")
            if refusing:
                await self._pool.execute(f"ALTER TABLE pomodoro_usage_log {add}")

    async def fail_writes(self, failure: object) -> None:
        """A failover to a server that may only be read, or back: connections end, and statements are refused."""
        read_only = f"SET default_transaction_read_only = {failure is not None}"
        async with self._changing:
            await self._pool.execute(f"ALTER DATABASE {self._name} {read_only}")
        await self._pool.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
            " AND application_name = 'pomocore-data-pipeline'",
            self._name,
        )

    async def heal(self) -> None:
        self.proxy.heal()
        await self.refuse(False)
        await self.fail_writes(None)

    async def drop(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
        await self._as_admin(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")

    async def close(self) -> None:
        await self.proxy.close()

    async def _as_admin(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


Store = SpringStore | PostgresStore


def make_store(server: str, database: str) -> Store:
    return (PostgresStore if server.startswith("postgres") else SpringStore)(server, database)


def _instant(day: date) -> datetime:
    return datetime.fromtimestamp(midnight(day.isoformat()), UTC)


def _row(log: dict[str, Any]) -> tuple[Any, ...]:
    fields, session = log["fields"], session_of(log["fields"])
    numbers = int(fields["session"]), int(fields.get("sessionMinutes", 0)), date.fromisoformat(session.date)
    times = float(fields["timestamp"]), float(fields["duration"])
    return log["_id"], fields["userId"], log["categorizedDataId"], *numbers, *times
