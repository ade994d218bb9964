"""EventSinkPort on a DuckDB file.

DuckDB lets one process at a time write, and none read meanwhile. So the file is opened for each step alone, and
whoever finds it in use tries again for a while.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from domains.activityEvent.model import ActivityEvent
from domains.activityEvent.ports import EventsOutage, Fenced, Rejected

T = TypeVar("T")

_PATIENCE_SECONDS = 15.0
_COLUMNS = [field.name for field in fields(ActivityEvent)]
_TYPES = {
    "event_id": "VARCHAR PRIMARY KEY",
    "timestamp": "TIMESTAMP",
    "day": "DATE",
    "hour": "UTINYINT",
    "session": "BIGINT",
    "seconds": "DOUBLE",
    "sign": "TINYINT",
    "work": "BOOLEAN",
    "committed_at": "TIMESTAMP",
}
_SPELLED = {
    "day": "day::VARCHAR",
    "timestamp": "strftime(timestamp, '%Y-%m-%dT%H:%M:%S.%gZ')",
    "committed_at": "strftime(committed_at, '%Y-%m-%dT%H:%M:%S.%gZ')",
}
_TABLES = f"""
CREATE TABLE IF NOT EXISTS spans ({", ".join(f"{name} {_TYPES.get(name, 'VARCHAR')}" for name in _COLUMNS)},
  stream VARCHAR);
CREATE TABLE IF NOT EXISTS positions (stream VARCHAR PRIMARY KEY, position VARCHAR, epoch BIGINT);
CREATE TABLE IF NOT EXISTS rejected (stream VARCHAR, entry_id VARCHAR, reason VARCHAR, text VARCHAR);
"""
_INSERT = (
    f"INSERT INTO spans BY NAME SELECT {', '.join(f'unnest(?) AS {name}' for name in [*_COLUMNS, 'stream'])}"
    " ON CONFLICT DO NOTHING"
)


class DuckDbMissing(Exception):
    """The extra is not installed. The text says what to do."""


def connect(path: Path, read_only: bool = False) -> Any:
    """Opens the file when nobody else has it. Raises EventsOutage, DuckDbMissing.

    What is opened to be read cannot reach other files or the network.
    """
    try:
        import duckdb
    except ImportError:
        raise DuckDbMissing("DuckDB is needed: pip install duckdb") from None

    config: Any = {"enable_external_access": False, "lock_configuration": True} if read_only else {}
    started = monotonic()
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only, config=config)
        except duckdb.IOException as error:
            if "lock" not in str(error).lower() or monotonic() - started > _PATIENCE_SECONDS:
                raise EventsOutage(f"{path}: {error}") from error
            sleep(0.05)


class DuckDbEventSink:
    """One file for all streams. A write whose exporter was overtaken raises Fenced: each has an epoch."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._epochs: dict[str, int] = {}
        self._one_at_a_time = asyncio.Lock()

    async def position(self, stream: str) -> str:
        def begin(connection: Any) -> tuple[str, int]:
            connection.execute(_TABLES)
            connection.execute(
                "INSERT INTO positions VALUES (?, '0-0', 1) ON CONFLICT (stream) DO UPDATE SET epoch = epoch + 1",
                [stream],
            )
            found = connection.execute("SELECT position, epoch FROM positions WHERE stream = ?", [stream])
            return found.fetchone()  # type: ignore[no-any-return]

        position, self._epochs[stream] = await self._transaction(begin)
        return position

    async def write(
        self, stream: str, events: Sequence[ActivityEvent], rejected: Sequence[Rejected], position: str
    ) -> int:
        encodable, refused = _encodable(stream, events)
        refused += rejected

        def add(connection: Any) -> None:
            moved = connection.execute(
                "UPDATE positions SET position = ? WHERE stream = ? AND epoch = ? RETURNING 1",
                [position, stream, self._epochs.get(stream, -1)],
            )
            if not moved.fetchall():
                raise Fenced(f"another exporter writes the events of {stream}")
            if encodable:
                columns = [list(column) for column in zip(*map(astuple, encodable), strict=True)]
                connection.execute(_INSERT, [*columns, [stream] * len(encodable)])
            for each in refused:
                connection.execute("INSERT INTO rejected VALUES (?, ?, ?, ?)", list(each))

        await self._transaction(add)
        return len(refused)

    async def of_days(self, days: Collection[str]) -> AsyncIterator[tuple[str, ActivityEvent]]:
        names = ", ".join(_SPELLED.get(name, name) for name in _COLUMNS)

        def read(connection: Any) -> list[tuple[Any, ...]]:
            connection.execute(_TABLES)
            found = connection.execute(
                f"SELECT {names}, stream FROM spans WHERE list_contains(?, day::VARCHAR)", [[*days]]
            )
            return found.fetchall()  # type: ignore[no-any-return]

        for *values, stream in await self._transaction(read):
            yield stream, ActivityEvent(*values)

    async def close(self) -> None:
        """Nothing is open between two steps."""

    async def _transaction(self, work: Callable[[Any], T]) -> T:
        def run() -> T:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with connect(self._path) as connection:
                connection.begin()
                result = work(connection)
                connection.commit()
                return result

        async with self._one_at_a_time:
            try:
                return await asyncio.shield(asyncio.to_thread(run))  # a step that was begun comes to its end
            except (EventsOutage, Fenced):
                raise
            except DuckDbMissing as error:
                raise EventsOutage(str(error)) from error
            except Exception as error:
                if not type(error).__module__.startswith("_duckdb") and "duckdb" not in type(error).__module__:
                    raise
                raise EventsOutage(f"{self._path}: {error}") from error


def _encodable(stream: str, events: Sequence[ActivityEvent]) -> tuple[list[ActivityEvent], list[Rejected]]:
    good, refused = [], []
    for event in events:
        try:
            "".join(value for value in astuple(event) if isinstance(value, str)).encode()
        except UnicodeEncodeError as error:
            refused.append(Rejected(stream, event.revision, f"{event.log_id}: {error.reason}", ascii(event)))
        else:
            good.append(event)
    return good, refused
