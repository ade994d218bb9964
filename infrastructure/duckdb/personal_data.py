"""Exported events of a user in DuckDB, where a pseudonym stands for them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from domains.userData.model import PersonalItem
from infrastructure.duckdb.event_sink import connect

_PLACE = "exported events"


class DuckDbPersonalData:
    """PersonalDataPort. `pseudonym` says what stands for a user in events."""

    def __init__(self, path: Path, pseudonym: Callable[[str], str]) -> None:
        self._path = path
        self._pseudonym = pseudonym

    async def of_user(self, user_id: str) -> AsyncIterator[PersonalItem]:
        for row in await asyncio.to_thread(self._rows, self._pseudonym(user_id)):
            yield PersonalItem(_PLACE, row)

    async def erase(self, user_id: str) -> Counter[str]:
        return +Counter({_PLACE: await asyncio.to_thread(self._delete, self._pseudonym(user_id))})

    def _rows(self, pseudonym: str) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        with connect(self._path) as connection:
            if not _has_spans(connection):
                return []
            found = connection.execute("SELECT * FROM spans WHERE user = ? ORDER BY timestamp, event_id", [pseudonym])
            names = [column[0] for column in found.description]
            return [{name: _json(value) for name, value in zip(names, row, strict=True)} for row in found.fetchall()]

    def _delete(self, pseudonym: str) -> int:
        if not self._path.exists():
            return 0
        with connect(self._path) as connection:
            if not _has_spans(connection):
                return 0
            deleted = connection.execute("DELETE FROM spans WHERE user = ? RETURNING 1", [pseudonym]).fetchall()
            connection.execute("CHECKPOINT")
            return len(deleted)


def _has_spans(connection: Any) -> bool:
    found = connection.execute("SELECT 1 FROM information_schema.tables WHERE table_name = 'spans'").fetchone()
    return found is not None


def _json(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
