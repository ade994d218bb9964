"""The usage logs and windows of a user, or from before a time, in the embedded store."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import date
from math import isfinite

from domains.kernel.window import Window
from domains.pomodoro.model import CategorizedData, PomodoroUsageLog
from domains.userData.model import USAGE_LOGS, WINDOWS, PersonalItem, Scope, log_document, window_document
from infrastructure.sqlite.database import SqliteDatabase

_PAGE = 1000
_WANTED = "(?1 IS NULL OR user_id = ?1) AND (?2 IS NULL OR timestamp < ?2)"
_POINTED_AT = (
    f"id IN (SELECT categorized_data_id FROM pomodoro_usage_log WHERE {_WANTED}"  # noqa: S608 - constants
    f" EXCEPT SELECT categorized_data_id FROM pomodoro_usage_log WHERE NOT ({_WANTED}))"
)


class SqlitePersonalDocuments:
    """PersonalDocumentsPort on SQLite, where everything is ours."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def find(self, scope: Scope) -> AsyncIterator[PersonalItem]:
        last = ""
        while rows := await self._database.read(
            "SELECT log.*, app, url, title FROM pomodoro_usage_log log"  # noqa: S608 - constants
            " LEFT JOIN categorized_data data ON data.id = log.categorized_data_id"
            f" WHERE log.id > ?3 AND {_WANTED} ORDER BY log.id LIMIT ?4",
            (*_parameters(scope), last, _PAGE),
        ):
            for row in rows:
                values = list(row[:9])
                values[6] = date.fromisoformat(values[6])
                window = None if row[9] is None else Window(*row[9:])._asdict()
                yield PersonalItem(USAGE_LOGS, {**log_document(PomodoroUsageLog(*values)), "window": window})
            last = rows[-1][0]
        last = ""
        while rows := await self._database.read(
            f"SELECT * FROM categorized_data WHERE id > ?3 AND {_POINTED_AT} ORDER BY id LIMIT ?4",  # noqa: S608
            (*_parameters(scope), last, _PAGE),
        ):
            for data_id, app, url, title, category_id, is_llm_based in rows:
                data = CategorizedData(data_id, Window(app, url, title), category_id, bool(is_llm_based))
                yield PersonalItem(WINDOWS, window_document(data))
            last = rows[-1][0]

    async def count(self, scope: Scope) -> Counter[str]:
        ((logs, windows),) = await self._database.read(
            f"SELECT (SELECT count(*) FROM pomodoro_usage_log WHERE {_WANTED}),"  # noqa: S608 - constants
            f" (SELECT count(*) FROM categorized_data WHERE {_POINTED_AT})",
            _parameters(scope),
        )
        return +Counter({USAGE_LOGS: logs, WINDOWS: windows})

    async def erase(self, scope: Scope) -> Counter[str]:
        rows = [_parameters(scope)]
        windows = await self._database.write(f"DELETE FROM categorized_data WHERE {_POINTED_AT}", rows)  # noqa: S608
        logs = await self._database.write(f"DELETE FROM pomodoro_usage_log WHERE {_WANTED}", rows)  # noqa: S608
        return +Counter({USAGE_LOGS: logs, WINDOWS: windows})


def _parameters(scope: Scope) -> tuple[str | None, float | None]:
    return scope.user_id, scope.before if isfinite(scope.before) else None
