"""The collections as tables of the embedded store, behind the same ports as MongoDB."""

import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from datetime import date

from domains.categoryPattern.model import (
    CategoryPattern,
    Evidence,
    PatternKind,
    PatternProposal,
    ProposalStatus,
    new_category,
)
from domains.kernel.window import Window
from domains.patternClassifier.corrections import Correction, CorrectionState
from domains.pomodoro.model import CategorizedData, CategoryUpdate, PomodoroUsageLog, Session, best_by_window
from infrastructure.sqlite.database import Row, SqliteDatabase

_PAGE = 1000

_ADDED = """(
    SELECT json_group_array(value) FROM (
        SELECT value FROM json_each({column})
        UNION ALL
        SELECT value FROM json_each(?) WHERE value NOT IN (SELECT value FROM json_each({column}))
    )
)"""
_ADD_PATTERNS = (
    f"UPDATE category_pattern SET app_patterns = {_ADDED.format(column='app_patterns')},"  # noqa: S608
    f" domain_patterns = {_ADDED.format(column='domain_patterns')}"
    " WHERE id = (SELECT min(id) FROM category_pattern WHERE category = ?)"
)


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

    async def count(self) -> int:
        ((count,),) = await self._database.read("SELECT count(*) FROM category_pattern")
        return int(count)

    async def save_all(self, patterns: Iterable[CategoryPattern]) -> None:
        await self._database.write(
            "INSERT OR IGNORE INTO category_pattern VALUES (?, ?, ?, ?, ?)",
            [
                (
                    pattern.id,
                    pattern.category,
                    pattern.priority,
                    _json(pattern.app_patterns),
                    _json(pattern.domain_patterns),
                )
                for pattern in patterns
            ],
        )

    async def add_patterns(
        self, category: str, app_patterns: Sequence[str] = (), domain_patterns: Sequence[str] = ()
    ) -> None:
        await self._database.write(
            "INSERT OR IGNORE INTO category_pattern SELECT ?, ?, NULL, '[]', '[]'"
            " WHERE NOT EXISTS (SELECT 1 FROM category_pattern WHERE category = ?)",
            [(new_category(category).id, category, category)],
        )
        new = [_json(tuple(dict.fromkeys(patterns))) for patterns in (app_patterns, domain_patterns)]
        await self._database.write(_ADD_PATTERNS, [(*new, category)])


class SqlitePatternProposalRepository:
    """PatternProposalRepositoryPort on SQLite."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def find_all(self) -> list[PatternProposal]:
        rows = await self._database.read(
            "SELECT id, kind, pattern, category, answers, windows, others, examples, status, site, corrections,"
            " decided FROM pattern_proposal ORDER BY id"
        )
        return [
            PatternProposal(
                each_id,
                PatternKind(kind),
                pattern,
                category,
                Evidence(answers, windows, json.loads(others), tuple(json.loads(examples)), *more),
                ProposalStatus(status),
                decided,
            )
            for each_id, kind, pattern, category, answers, windows, others, examples, status, *more, decided in rows
        ]

    async def save_all(self, proposals: Sequence[PatternProposal]) -> None:
        await self._database.write(
            "INSERT OR REPLACE INTO pattern_proposal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    proposal.id,
                    proposal.kind,
                    proposal.pattern,
                    proposal.category,
                    proposal.evidence.answers,
                    proposal.evidence.windows,
                    _json(proposal.evidence.others),
                    _json(proposal.evidence.examples),
                    proposal.status,
                    proposal.evidence.site,
                    proposal.evidence.corrections,
                    proposal.decided,
                )
                for proposal in proposals
            ],
        )

    async def delete_all(self, ids: Collection[str]) -> None:
        await self._database.write("DELETE FROM pattern_proposal WHERE id = ?", [(each,) for each in ids])


class SqliteCorrectionRepository:
    """CorrectionRepositoryPort on SQLite."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def find_all(self) -> list[Correction]:
        rows = await self._database.read("SELECT * FROM correction ORDER BY time DESC, id")
        return [
            Correction(each_id, user_id, Window(*window), category, by, time, CorrectionState(state), logs, seconds)
            for each_id, user_id, *window, category, by, time, state, logs, seconds in rows
        ]

    async def save(self, correction: Correction) -> None:
        each = correction
        await self._database.write(
            "INSERT OR REPLACE INTO correction VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(each.id, each.user_id, *each.window, *_of_correction(each))],
        )

    async def settle(self, correction: Correction) -> bool:
        which = correction.id, correction.time
        if correction.state is CorrectionState.UNDOING:
            return bool(await self._database.write("DELETE FROM correction WHERE id = ? AND time = ?", [which]))
        statement = "UPDATE correction SET state = ?, logs = ?, seconds = ? WHERE id = ? AND time = ?"
        changed = correction.state, correction.logs, correction.seconds
        return bool(await self._database.write(statement, [(*changed, *which)]))

    async def delete(self, ids: Iterable[str]) -> int:
        return await self._database.write("DELETE FROM correction WHERE id = ?", [(each,) for each in ids])


def _of_correction(each: Correction) -> tuple[object, ...]:
    return each.category, each.by, each.time, each.state, each.logs, each.seconds


class SqliteCategorizedDataRepository:
    """CategorizedDataRepositoryPort on SQLite.

    A write is one transaction, so it raises or it has no failures to return.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def find_many_by_app_url_title_batch(self, windows: Collection[Window]) -> dict[Window, CategorizedData]:
        if not windows:
            return {}
        wanted = ", ".join(["(?, ?, ?)"] * len(windows))
        rows = await self._database.read(
            f"WITH wanted (app, url, title) AS (VALUES {wanted}) "  # noqa: S608 - placeholders only
            "SELECT id, app, url, title, category_id, is_llm_based"
            " FROM wanted JOIN categorized_data USING (app, url, title)",
            [part for window in windows for part in window],
        )
        return best_by_window(map(_data_of, rows))

    async def find_by_ids(self, ids: Collection[str]) -> dict[str, CategorizedData]:
        rows = await self._database.read(
            "SELECT id, app, url, title, category_id, is_llm_based FROM categorized_data"
            " WHERE id IN (SELECT value FROM json_each(?))",
            (_json(list(ids)),),
        )
        return {data.id: data for data in map(_data_of, rows)}

    async def find_of_window(self, window: Window) -> list[CategorizedData]:
        rows = await self._database.read(
            "SELECT id, app, url, title, category_id, is_llm_based FROM categorized_data"
            " WHERE app = ? AND url = ? AND title = ?",
            window,
        )
        return list(map(_data_of, rows))

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
            [(data.id, *data.window, data.category_id, data.is_llm_based) for data in documents],
        )
        return {}

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        await self._database.write(
            "UPDATE categorized_data SET category_id = ?, is_llm_based = ?"
            " WHERE id = ? AND NOT (? AND category_id IS NOT NULL)",
            [
                (category_id, is_llm_based, document_id, provisional)
                for ids, category_id, is_llm_based, provisional in updates
                for document_id in ids
            ],
        )
        return {}

    async def find_llm_based(self) -> AsyncIterator[CategorizedData]:
        last = ""
        while rows := await self._database.read(
            "SELECT id, app, url, title, category_id FROM categorized_data"
            " WHERE is_llm_based AND id > ? ORDER BY id LIMIT ?",
            (last, _PAGE),
        ):
            for data_id, app, url, title, category in rows:
                yield CategorizedData(data_id, Window(app, url, title), category, is_llm_based=True)
            last = rows[-1][0]


class SqlitePomodoroUsageLogRepository:
    """PomodoroUsageLogRepositoryPort on SQLite.

    A write is one transaction, so it raises or it has no failures to return.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def save_all(
        self, documents: Sequence[PomodoroUsageLog], provisional: Collection[str] = frozenset()
    ) -> dict[str, str]:
        await self._database.write(
            "INSERT INTO pomodoro_usage_log VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
            " ON CONFLICT (id) DO UPDATE SET category_id = ?4 WHERE NOT ?10",
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
                    log.id in provisional,
                )
                for log in documents
            ],
        )
        return {}

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        await self._database.write(
            "UPDATE pomodoro_usage_log SET category_id = ? WHERE id = ? AND NOT (? AND category_id IS NOT NULL)",
            [
                (category_id, document_id, provisional)
                for ids, category_id, _, provisional in updates
                for document_id in ids
            ],
        )
        return {}

    async def find_by_session(self, user_id: str, session_date: date, session: int) -> list[PomodoroUsageLog]:
        rows = await self._database.read(
            "SELECT * FROM pomodoro_usage_log WHERE user_id = ? AND session_date = ? AND session = ?"
            " ORDER BY timestamp, id",
            (user_id, session_date.isoformat(), session),
        )
        return [_log_of(row) for row in rows]

    async def find_of_users(self, user_ids: Collection[str], start: float, end: float) -> list[PomodoroUsageLog]:
        rows = await self._database.read(
            "SELECT * FROM pomodoro_usage_log WHERE user_id IN (SELECT value FROM json_each(?))"
            " AND timestamp >= ? AND timestamp < ?",
            (_json(list(user_ids)), start, end),
        )
        return [_log_of(row) for row in rows]

    async def find_of_windows(
        self, data_ids: Collection[str], user_id: str | None = None
    ) -> AsyncIterator[list[PomodoroUsageLog]]:
        last = ""
        while rows := await self._database.read(
            "SELECT * FROM pomodoro_usage_log WHERE id > ?1 AND (?2 IS NULL OR user_id = ?2)"
            " AND categorized_data_id IN (SELECT value FROM json_each(?3)) ORDER BY id LIMIT ?4",
            (last, user_id, _json(list(data_ids)), _PAGE),
        ):
            yield [_log_of(row) for row in rows]
            last = rows[-1][0]

    async def sessions_without_category(self, sessions: Collection[Session]) -> set[Session]:
        rows = await self._database.read(
            "SELECT DISTINCT user_id, session_date, session FROM pomodoro_usage_log WHERE category_id IS NULL"
            " AND (user_id, session_date, session) IN"
            " (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')"
            " FROM json_each(?))",
            (_json([(user_id, day.isoformat(), number) for user_id, day, number in sessions]),),
        )
        return {Session(user_id, date.fromisoformat(day), number) for user_id, day, number in rows}

    async def find_by_ids(self, ids: Collection[str]) -> list[PomodoroUsageLog]:
        query = "SELECT * FROM pomodoro_usage_log WHERE id IN (SELECT value FROM json_each(?))"
        return [_log_of(row) for row in await self._database.read(query, (_json(list(ids)),))]

    async def find_in_period(
        self, start: float, end: float, unreadable: Callable[[str, str], None] = lambda log_id, reason: None
    ) -> AsyncIterator[list[PomodoroUsageLog]]:
        last = ""
        while rows := await self._database.read(
            "SELECT * FROM pomodoro_usage_log WHERE id > ? AND timestamp >= ? AND timestamp < ? ORDER BY id LIMIT ?",
            (last, start, end, _PAGE),
        ):
            yield [_log_of(row) for row in rows]
            last = rows[-1][0]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _data_of(row: Row) -> CategorizedData:
    data_id, app, url, title, category_id, is_llm_based = row
    return CategorizedData(data_id, Window(app, url, title), category_id, bool(is_llm_based))


def _log_of(row: Row) -> PomodoroUsageLog:
    """The columns are the fields, in the same order."""
    values = list(row)
    values[6] = date.fromisoformat(values[6])
    return PomodoroUsageLog(*values)
