"""The collections as tables of PostgreSQL, behind the same ports as MongoDB.

A write of many documents is one statement with an array a column, so it raises or it has no failures to return.
"""

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
from infrastructure.postgres.client import PostgresDatabase, Row

_PAGE = 1000
_DATA = "id, app, url, title, category_id, is_llm_based"
_LOG = "id, user_id, categorized_data_id, category_id, session, session_minutes, session_date, timestamp, duration"
_SET_CATEGORY = (
    "UPDATE {table} SET category_id = given.category_id{more}"
    " FROM unnest($1::text[], $2::text[], $3::bool[], $4::bool[])"
    " AS given (id, category_id, is_llm_based, provisional)"
    " WHERE {table}.id = given.id AND NOT (given.provisional AND {table}.category_id IS NOT NULL)"
)


class PostgresCategoryPatternRepository:
    """CategoryPatternRepositoryPort on PostgreSQL."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def find_all(self) -> list[CategoryPattern]:
        rows = await self._database.read(
            "SELECT id, category, priority, app_patterns, domain_patterns FROM category_pattern ORDER BY id"
        )
        return [
            CategoryPattern(pattern_id, category, priority, tuple(apps), tuple(domains))
            for pattern_id, category, priority, apps, domains in rows
        ]

    async def count(self) -> int:
        ((count,),) = await self._database.read("SELECT count(*) FROM category_pattern")
        return int(count)

    async def save_all(self, patterns: Iterable[CategoryPattern]) -> None:
        for pattern in patterns:  # there are some twenty, and arrays of arrays must be of one length
            await self._database.write(
                "INSERT INTO category_pattern VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                pattern.id,
                pattern.category,
                pattern.priority,
                list(pattern.app_patterns),
                list(pattern.domain_patterns),
            )

    async def add_patterns(
        self, category: str, app_patterns: Sequence[str] = (), domain_patterns: Sequence[str] = ()
    ) -> None:
        await self._database.write(
            "INSERT INTO category_pattern SELECT $1, $2, NULL, '{}', '{}'"
            " WHERE NOT EXISTS (SELECT 1 FROM category_pattern WHERE category = $2) ON CONFLICT DO NOTHING",
            new_category(category).id,
            category,
        )
        new = [list(dict.fromkeys(patterns)) for patterns in (app_patterns, domain_patterns)]
        await self._database.write(
            "UPDATE category_pattern SET"
            " app_patterns = app_patterns || ARRAY(SELECT each FROM unnest($2::text[]) WITH ORDINALITY"
            " AS new (each, n) WHERE NOT each = ANY(app_patterns) ORDER BY n),"
            " domain_patterns = domain_patterns || ARRAY(SELECT each FROM unnest($3::text[]) WITH ORDINALITY"
            " AS new (each, n) WHERE NOT each = ANY(domain_patterns) ORDER BY n)"
            " WHERE id = (SELECT min(id) FROM category_pattern WHERE category = $1)",
            category,
            *new,
        )


class PostgresPatternProposalRepository:
    """PatternProposalRepositoryPort on PostgreSQL."""

    def __init__(self, database: PostgresDatabase) -> None:
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
                Evidence(answers, windows, json.loads(others), tuple(examples), *more),
                ProposalStatus(status),
                decided,
            )
            for each_id, kind, pattern, category, answers, windows, others, examples, status, *more, decided in rows
        ]

    async def save_all(self, proposals: Sequence[PatternProposal]) -> None:
        for proposal in proposals:
            await self._database.write(
                "INSERT INTO pattern_proposal VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
                " ON CONFLICT (id) DO UPDATE SET"
                " kind = $2, pattern = $3, category = $4, answers = $5, windows = $6, others = $7, examples = $8,"
                " status = $9, site = $10, corrections = $11, decided = $12",
                proposal.id,
                proposal.kind,
                proposal.pattern,
                proposal.category,
                proposal.evidence.answers,
                proposal.evidence.windows,
                json.dumps(dict(proposal.evidence.others), ensure_ascii=False),
                list(proposal.evidence.examples),
                proposal.status,
                proposal.evidence.site,
                proposal.evidence.corrections,
                proposal.decided,
            )

    async def delete_all(self, ids: Collection[str]) -> None:
        await self._database.write("DELETE FROM pattern_proposal WHERE id = ANY($1)", list(ids))


class PostgresCorrectionRepository:
    """CorrectionRepositoryPort on PostgreSQL."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def find_all(self) -> list[Correction]:
        rows = await self._database.read(
            "SELECT id, user_id, app, url, title, category, made_by, time, state, logs, seconds FROM correction"
            " ORDER BY time DESC, id"
        )
        return [
            Correction(each_id, user_id, Window(*window), category, by, time, CorrectionState(state), logs, seconds)
            for each_id, user_id, *window, category, by, time, state, logs, seconds in rows
        ]

    async def save(self, correction: Correction) -> None:
        each = correction
        await self._database.write(
            "INSERT INTO correction VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO UPDATE"
            " SET category = $6, made_by = $7, time = $8, state = $9, logs = $10, seconds = $11",
            each.id,
            each.user_id,
            *each.window,
            each.category,
            each.by,
            each.time,
            each.state,
            each.logs,
            each.seconds,
        )

    async def settle(self, correction: Correction) -> bool:
        which = correction.id, correction.time
        if correction.state is CorrectionState.UNDOING:
            return bool(await self._database.write("DELETE FROM correction WHERE id = $1 AND time = $2", *which))
        settled = await self._database.write(
            "UPDATE correction SET state = $3, logs = $4, seconds = $5 WHERE id = $1 AND time = $2",
            *which,
            correction.state,
            correction.logs,
            correction.seconds,
        )
        return bool(settled)

    async def delete(self, ids: Iterable[str]) -> int:
        return await self._database.write("DELETE FROM correction WHERE id = ANY($1)", list(ids))


class PostgresCategorizedDataRepository:
    """CategorizedDataRepositoryPort on PostgreSQL."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def find_many_by_app_url_title_batch(self, windows: Collection[Window]) -> dict[Window, CategorizedData]:
        if not windows:
            return {}
        rows = await self._database.read(
            f"SELECT {_DATA} FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (app, url, title)"  # noqa: S608
            " JOIN categorized_data USING (app, url, title) WHERE"
            " md5(categorized_data.app || chr(10) || categorized_data.url || chr(10) || categorized_data.title)"
            " = md5(wanted.app || chr(10) || wanted.url || chr(10) || wanted.title)",
            *_columns(windows, 3),
        )
        return best_by_window(map(_data_of, rows))

    async def find_by_ids(self, ids: Collection[str]) -> dict[str, CategorizedData]:
        query = f"SELECT {_DATA} FROM categorized_data WHERE id = ANY($1)"  # noqa: S608 - columns only
        return {row[0]: _data_of(row) for row in await self._database.read(query, list(ids))}

    async def find_of_window(self, window: Window) -> list[CategorizedData]:
        rows = await self._database.read(
            f"SELECT {_DATA} FROM categorized_data WHERE app = $1 AND url = $2 AND title = $3"  # noqa: S608
            " AND md5(app || chr(10) || url || chr(10) || title) = md5($1 || chr(10) || $2 || chr(10) || $3)",
            *window,
        )
        return list(map(_data_of, rows))

    async def find_classified(self, category_ids: Collection[str], limit: int) -> list[CategorizedData]:
        rows = await self._database.read(
            f"SELECT {_DATA} FROM categorized_data WHERE category_id = ANY($1) ORDER BY id DESC LIMIT $2",  # noqa: S608
            list(category_ids),
            limit,
        )
        return list(map(_data_of, rows))

    async def save_all(self, documents: Sequence[CategorizedData]) -> dict[str, str]:
        await self._database.write(
            "INSERT INTO categorized_data SELECT * FROM"
            " unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[]) ON CONFLICT DO NOTHING",
            *_columns([(data.id, *data.window, data.category_id, data.is_llm_based) for data in documents], 6),
        )
        return {}

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        more = ", is_llm_based = given.is_llm_based"
        await self._database.write(_SET_CATEGORY.format(table="categorized_data", more=more), *_updates(updates))
        return {}

    async def find_llm_based(self) -> AsyncIterator[CategorizedData]:
        last = ""
        while rows := await self._database.read(
            f"SELECT {_DATA} FROM categorized_data WHERE is_llm_based AND id > $1 ORDER BY id LIMIT $2",  # noqa: S608
            last,
            _PAGE,
        ):
            for row in rows:
                yield _data_of(row)
            last = rows[-1][0]


class PostgresPomodoroUsageLogRepository:
    """PomodoroUsageLogRepositoryPort on PostgreSQL."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def save_all(
        self, documents: Sequence[PomodoroUsageLog], provisional: Collection[str] = frozenset()
    ) -> dict[str, str]:
        by_id = {log.id: log for log in documents}  # one statement cannot change a row twice
        rows = [(*_fields(log), log.id in provisional) for log in by_id.values()]
        *columns, kept = _columns(rows, 10)
        await self._database.write(
            f"INSERT INTO pomodoro_usage_log AS log ({_LOG}) SELECT * FROM"  # noqa: S608 - columns only
            " unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::date[],"
            " $8::float8[], $9::float8[]) ON CONFLICT (id) DO UPDATE SET category_id = excluded.category_id"
            " WHERE NOT excluded.id = ANY($10::text[])",
            *columns,
            [log_id for log_id, keep in zip(columns[0], kept, strict=True) if keep],
        )
        return {}

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        await self._database.write(_SET_CATEGORY.format(table="pomodoro_usage_log", more=""), *_updates(updates))
        return {}

    async def find_by_session(self, user_id: str, session_date: date, session: int) -> list[PomodoroUsageLog]:
        rows = await self._database.read(
            f"SELECT {_LOG} FROM pomodoro_usage_log"  # noqa: S608 - columns only
            " WHERE user_id = $1 AND session_date = $2 AND session = $3 ORDER BY timestamp, id",
            user_id,
            session_date,
            session,
        )
        return [PomodoroUsageLog(*row) for row in rows]

    async def find_of_users(self, user_ids: Collection[str], start: float, end: float) -> list[PomodoroUsageLog]:
        rows = await self._database.read(
            f"SELECT {_LOG} FROM pomodoro_usage_log"  # noqa: S608 - columns only
            " WHERE user_id = ANY($1) AND timestamp >= $2 AND timestamp < $3",
            list(user_ids),
            start,
            end,
        )
        return [PomodoroUsageLog(*row) for row in rows]

    async def find_by_ids(self, ids: Collection[str]) -> list[PomodoroUsageLog]:
        query = f"SELECT {_LOG} FROM pomodoro_usage_log WHERE id = ANY($1)"  # noqa: S608 - columns only
        return [PomodoroUsageLog(*row) for row in await self._database.read(query, list(ids))]

    async def find_of_windows(
        self, data_ids: Collection[str], user_id: str | None = None
    ) -> AsyncIterator[list[PomodoroUsageLog]]:
        last = ""
        while rows := await self._database.read(
            f"SELECT {_LOG} FROM pomodoro_usage_log WHERE id > $1 AND ($2::text IS NULL OR user_id = $2)"  # noqa: S608
            " AND categorized_data_id = ANY($3) ORDER BY id LIMIT $4",
            last,
            user_id,
            list(data_ids),
            _PAGE,
        ):
            yield [PomodoroUsageLog(*row) for row in rows]
            last = rows[-1][0]

    async def sessions_without_category(self, sessions: Collection[Session]) -> set[Session]:
        rows = await self._database.read(
            "SELECT DISTINCT user_id, session_date, session FROM pomodoro_usage_log"
            " JOIN unnest($1::text[], $2::date[], $3::bigint[]) AS wanted (user_id, session_date, session)"
            " USING (user_id, session_date, session) WHERE category_id IS NULL",
            *_columns(sessions, 3),
        )
        return {Session(*row) for row in rows}

    async def find_in_period(
        self, start: float, end: float, unreadable: Callable[[str, str], None] = lambda log_id, reason: None
    ) -> AsyncIterator[list[PomodoroUsageLog]]:
        last = ""
        while rows := await self._database.read(
            f"SELECT {_LOG} FROM pomodoro_usage_log"  # noqa: S608 - columns only
            " WHERE id > $1 AND timestamp >= $2 AND timestamp < $3 ORDER BY id LIMIT $4",
            last,
            start,
            end,
            _PAGE,
        ):
            yield [PomodoroUsageLog(*row) for row in rows]
            last = rows[-1][0]


def _columns(rows: Collection[Sequence[object]], count: int) -> list[list[object]]:
    """The columns of rows, each as an array."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]


def _updates(updates: Sequence[CategoryUpdate]) -> list[list[object]]:
    """The last update of each document, since one statement cannot change a row twice."""
    last = {
        document_id: (category_id, is_llm_based, provisional)
        for ids, category_id, is_llm_based, provisional in updates
        for document_id in ids
    }
    return _columns([(document_id, *update) for document_id, update in last.items()], 4)


def _fields(log: PomodoroUsageLog) -> tuple[object, ...]:
    return (
        log.id, log.user_id, log.categorized_data_id, log.category_id, log.session, log.session_minutes,
        log.session_date, log.timestamp, log.duration,
    )  # fmt: skip


def _data_of(row: Row) -> CategorizedData:
    data_id, app, url, title, category_id, is_llm_based = row
    return CategorizedData(data_id, Window(app, url, title), category_id, is_llm_based)
