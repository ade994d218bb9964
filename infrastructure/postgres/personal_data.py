"""The usage logs and windows of a user, or from before a time, in PostgreSQL."""

from collections import Counter
from collections.abc import AsyncIterator

from domains.kernel.window import Window
from domains.pomodoro.model import CategorizedData, PomodoroUsageLog
from domains.userData.model import USAGE_LOGS, WINDOWS, PersonalItem, Scope, log_document, window_document
from infrastructure.postgres.client import PostgresDatabase

_PAGE = 1000
_WANTED = "($1::text IS NULL OR user_id = $1) AND timestamp < $2::float8"
_POINTED_AT = (
    f"id IN (SELECT categorized_data_id FROM pomodoro_usage_log WHERE {_WANTED}"  # noqa: S608 - constants
    f" EXCEPT SELECT categorized_data_id FROM pomodoro_usage_log WHERE NOT ({_WANTED}))"
)
_LOG = (
    "log.id, user_id, categorized_data_id, log.category_id, session, session_minutes, session_date, timestamp,"
    " duration, app, url, title"
)


class PostgresPersonalDocuments:
    """PersonalDocumentsPort on PostgreSQL, where everything is ours."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def find(self, scope: Scope) -> AsyncIterator[PersonalItem]:
        last = ""
        while rows := await self._database.read(
            f"SELECT {_LOG} FROM pomodoro_usage_log log"  # noqa: S608 - constants
            " LEFT JOIN categorized_data data ON data.id = log.categorized_data_id"
            f" WHERE log.id > $3 AND {_WANTED} ORDER BY log.id LIMIT $4",
            *scope,
            last,
            _PAGE,
        ):
            for row in map(tuple, rows):
                window = None if row[9] is None else Window(*row[9:])._asdict()
                yield PersonalItem(USAGE_LOGS, {**log_document(PomodoroUsageLog(*row[:9])), "window": window})
            last = rows[-1][0]
        last = ""
        while rows := await self._database.read(
            "SELECT id, app, url, title, category_id, is_llm_based FROM categorized_data"  # noqa: S608 - constants
            f" WHERE id > $3 AND {_POINTED_AT} ORDER BY id LIMIT $4",
            *scope,
            last,
            _PAGE,
        ):
            for data_id, app, url, title, category_id, is_llm_based in rows:
                data = CategorizedData(data_id, Window(app, url, title), category_id, is_llm_based)
                yield PersonalItem(WINDOWS, window_document(data))
            last = rows[-1][0]

    async def count(self, scope: Scope) -> Counter[str]:
        ((logs, windows),) = await self._database.read(
            f"SELECT (SELECT count(*) FROM pomodoro_usage_log WHERE {_WANTED}),"  # noqa: S608 - constants
            f" (SELECT count(*) FROM categorized_data WHERE {_POINTED_AT})",
            *scope,
        )
        return +Counter({USAGE_LOGS: int(logs), WINDOWS: int(windows)})

    async def erase(self, scope: Scope) -> Counter[str]:
        windows = await self._database.write(f"DELETE FROM categorized_data WHERE {_POINTED_AT}", *scope)  # noqa: S608
        logs = await self._database.write(f"DELETE FROM pomodoro_usage_log WHERE {_WANTED}", *scope)  # noqa: S608
        return +Counter({USAGE_LOGS: logs, WINDOWS: windows})
