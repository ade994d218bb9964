"""The embedded document store: one SQLite file in WAL mode, for machines without MongoDB."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from domains.kernel.errors import OutageKind, StoreOutage, StoreRefused
from infrastructure.process.data_dir import make_private_directory, open_private

P = ParamSpec("P")
T = TypeVar("T")
Row = tuple[Any, ...]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS category_pattern (
    id TEXT PRIMARY KEY, category TEXT NOT NULL, priority INTEGER,
    app_patterns TEXT NOT NULL, domain_patterns TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS categorized_data (
    id TEXT PRIMARY KEY, app TEXT NOT NULL, url TEXT NOT NULL, title TEXT NOT NULL,
    category_id TEXT, is_llm_based INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS categorized_data_key ON categorized_data (app, url, title);
CREATE TABLE IF NOT EXISTS pomodoro_usage_log (
    id TEXT PRIMARY KEY, user_id TEXT NOT NULL, categorized_data_id TEXT NOT NULL, category_id TEXT,
    session INTEGER NOT NULL, session_minutes INTEGER NOT NULL, session_date TEXT NOT NULL,
    timestamp REAL NOT NULL, duration REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pomodoro_usage_log_session ON pomodoro_usage_log (user_id, session_date, session);
CREATE INDEX IF NOT EXISTS pomodoro_usage_log_time ON pomodoro_usage_log (user_id, timestamp);
DROP TABLE IF EXISTS focus_card;
CREATE TABLE IF NOT EXISTS focus_card_state (
    user_id TEXT NOT NULL, period TEXT NOT NULL, starts TEXT NOT NULL, revision INTEGER NOT NULL,
    signature TEXT NOT NULL, rank INTEGER NOT NULL, users INTEGER NOT NULL, as_of TEXT NOT NULL,
    PRIMARY KEY (period, starts, user_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS focus_card_user ON focus_card_state (user_id);
CREATE TABLE IF NOT EXISTS focus_card_document (
    user_id TEXT NOT NULL, period TEXT NOT NULL, starts TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (user_id, period, starts)
);
CREATE TABLE IF NOT EXISTS pattern_proposal (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, pattern TEXT NOT NULL, category TEXT NOT NULL,
    answers INTEGER NOT NULL, windows INTEGER NOT NULL, others TEXT NOT NULL, examples TEXT NOT NULL,
    status TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS correction (
    id TEXT PRIMARY KEY, user_id TEXT NOT NULL, app TEXT NOT NULL, url TEXT NOT NULL, title TEXT NOT NULL,
    category TEXT NOT NULL, made_by TEXT NOT NULL, time REAL NOT NULL, state TEXT NOT NULL, logs INTEGER NOT NULL,
    seconds REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS site_profile (
    site TEXT PRIMARY KEY, visited_at REAL NOT NULL, state TEXT NOT NULL, outcome TEXT, detail TEXT NOT NULL,
    facts TEXT NOT NULL, category TEXT NOT NULL, confidence REAL NOT NULL, evidence TEXT NOT NULL
) WITHOUT ROWID;
"""

_ADDED = (
    ("pattern_proposal", "site", "REAL NOT NULL DEFAULT 0"),
    ("pattern_proposal", "corrections", "INTEGER NOT NULL DEFAULT 0"),
    ("pattern_proposal", "decided", "REAL NOT NULL DEFAULT 0"),
)
"""Columns that tables of earlier versions lack."""


_KINDS = {
    sqlite3.SQLITE_READONLY: OutageKind.READ_ONLY,
    sqlite3.SQLITE_FULL: OutageKind.FULL,
    sqlite3.SQLITE_PERM: OutageKind.FORBIDDEN,
}


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translates sqlite3's exceptions into StoreOutage, or into StoreRefused if the data sent are at fault."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, OverflowError) as cause:
        raise StoreRefused(f"{type(cause).__name__}: {cause}") from cause
    except (sqlite3.Error, OSError) as cause:
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # without its extension
        raise StoreOutage(f"{type(cause).__name__}: {cause}", _KINDS.get(code, OutageKind.UNUSABLE)) from cause


class SqliteDatabase:
    """One connection on a thread of its own, opened on first use. Several processes may share the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")

    async def write(self, statement: str, rows: Sequence[Row], *more: tuple[str, Sequence[Row]]) -> int:
        """Executes the statement for all rows, and then each of `more`, in one transaction.

        Returns how many rows the first has changed.
        """
        return await self._run(self._write, (statement, rows), *more)

    async def read(self, query: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return await self._run(self._read, query, parameters)

    async def forget(self) -> None:
        """Leaves nothing of what was deleted in the files. Raises StoreOutage while another process is reading."""
        ((is_busy, *_),) = await self.read("PRAGMA wal_checkpoint(TRUNCATE)")
        if is_busy:
            raise StoreOutage("another process is reading: its log cannot be emptied now")

    async def close(self) -> None:
        if self._connection is not None:
            await self._run(self._connection.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with translated_errors():
            return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))

    def _write(self, *work: tuple[str, Sequence[Row]]) -> int:
        with self._open() as connection:
            changed = [connection.executemany(statement, rows).rowcount for statement, rows in work]
            return changed[0]

    def _read(self, query: str, parameters: Sequence[Any]) -> list[Row]:
        return self._open().execute(query, parameters).fetchall()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            make_private_directory(self._path.parent)
            open_private(self._path).close()  # SQLite gives the files beside it the same permissions
            connection = sqlite3.connect(self._path, timeout=10)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA secure_delete = ON")  # what is erased is not left in free pages
            connection.executescript(_SCHEMA)
            _add_columns(connection)
            self._connection = connection
        return self._connection


def _add_columns(connection: sqlite3.Connection) -> None:
    for table, column, kind in _ADDED:
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        if column not in known:
            with suppress(sqlite3.OperationalError):  # another process has just added it
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
