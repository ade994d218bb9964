"""The three collections as tables of the embedded store, behind the same ports as MongoDB."""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import date

from domains.categoryPattern.model import CategoryPattern
from domains.pomodoro.model import (
    ActivityKey,
    CategorizedData,
    CategoryUpdate,
    PomodoroUsageLog,
    best_by_key,
)
from infrastructure.sqlite.database import Row, SqliteDatabase


class SqliteCategoryPatternRepository:
    """CategoryPatternRepositoryPort on SQLite."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def find_all(self) -> list[CategoryPattern]:
        rows = await self._database.read(
            "SELECT id, category, priority, app_patterns, domain_patterns FROM category_pattern ORDER BY id"
        )
        return [
            CategoryPattern(pattern_id, category, priority, tuple(json.loads(apps)), tuple(json.loads(domains)))
            for pattern_id, category, priority, apps, domains in rows
        ]

    async def save_all(self, patterns: Iterable[CategoryPattern]) -> None:
        await self._database.write(
            "INSERT OR IGNORE INTO category_pattern VALUES (?, ?, ?, ?, ?)",
            [
                (
                    pattern.id,
                    pattern.category,
                    pattern.priority,
                    json.dumps(pattern.app_patterns, ensure_ascii=False),
                    json.dumps(pattern.domain_patterns, ensure_ascii=False),
                )
                for pattern in patterns
            ],
        )


class SqliteCategorizedDataRepository:
    """CategorizedDataRepositoryPort on SQLite. A write is one transaction: it raises, or nothing failed."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def find_many_by_app_url_title_batch(
        self, keys: Collection[ActivityKey]
    ) -> dict[ActivityKey, CategorizedData]:
        if not keys:
            return {}
        wanted = ", ".join(["(?, ?, ?)"] * len(keys))
        rows = await self._database.read(
            f"WITH wanted (app, url, title) AS (VALUES {wanted}) "  # noqa: S608 - placeholders only
            "SELECT id, app, url, title, category_id, is_llm_based"
            " FROM wanted JOIN categorized_data USING (app, url, title)",
            [part for key in keys for part in key],
        )
        return best_by_key(map(_data_of, rows))

    async def find_classified(self, category_ids: Collection[str], limit: int) -> list[CategorizedData]:
        wanted = ", ".join("?" * len(category_ids))
        rows = await self._database.read(
            "SELECT id, app, url, title, category_id, is_llm_based FROM categorized_data"  # noqa: S608 - placeholders
            f" WHERE category_id IN ({wanted}) ORDER BY id DESC LIMIT ?",
            [*category_ids, limit],
        )
        return list(map(_data_of, rows))

    async def save_all(self, documents: Sequence[CategorizedData]) -> dict[str, str]:
        await self._database.write(
            "INSERT OR IGNORE INTO categorized_data VALUES (?, ?, ?, ?, ?, ?)",
            [(data.id, *data.key, data.category_id, data.is_llm_based) for data in documents],
        )
        return {}

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        await self._database.write(
            "UPDATE categorized_data SET category_id = ?, is_llm_based = ? WHERE id = ?",
            [(update.category_id, update.is_llm_based, update.id) for update in updates],
        )
        return {}


class SqlitePomodoroUsageLogRepository:
    """PomodoroUsageLogRepositoryPort on SQLite. A write is one transaction: it raises, or nothing failed."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def save_all(self, documents: Sequence[PomodoroUsageLog]) -> dict[str, str]:
        await self._database.write(
            "INSERT OR IGNORE INTO pomodoro_usage_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    log.id,
                    log.user_id,
                    log.categorized_data_id,
                    log.category_id,
                    log.session,
                    log.session_minutes,
                    log.session_date.isoformat(),
                    log.timestamp,
                    log.duration,
                )
                for log in documents
            ],
        )
        return {}

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        await self._database.write(
            "UPDATE pomodoro_usage_log SET category_id = ? WHERE id = ?",
            [(update.category_id, update.id) for update in updates],
        )
        return {}

    async def find_by_session(self, user_id: str, session_date: date, session: int) -> list[PomodoroUsageLog]:
        rows = await self._database.read(
            "SELECT * FROM pomodoro_usage_log WHERE user_id = ? AND session_date = ? AND session = ?"
            " ORDER BY timestamp, id",
            (user_id, session_date.isoformat(), session),
        )
        return [_log_of(row) for row in rows]


def _data_of(row: Row) -> CategorizedData:
    data_id, app, url, title, category_id, is_llm_based = row
    return CategorizedData(data_id, ActivityKey(app, url, title), category_id, bool(is_llm_based))


def _log_of(row: Row) -> PomodoroUsageLog:
    """The columns are the fields, in their order."""
    values = list(row)
    values[6] = date.fromisoformat(values[6])
    return PomodoroUsageLog(*values)
