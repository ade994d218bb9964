"""The documents that Spring inserts before it sends messages with ids, for stores that keep data."""

import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bson import ObjectId

from bench.workload import Workload, document_ids
from infrastructure.patterns.pattern_file import default_patterns

_CHUNK = 1000


def fill_mongo(database: Any, workload: Workload, count: int) -> None:
    database.category_pattern.insert_many(
        {
            "_id": ObjectId(pattern.id),
            "category": pattern.category,
            "priority": pattern.priority,
            "appPatterns": list(pattern.app_patterns),
            "domainPatterns": list(pattern.domain_patterns),
        }
        for pattern in default_patterns()
    )
    rows = _rows(workload, count)
    while chunk := list(islice(rows, _CHUNK)):
        database.categorized_data.insert_many(
            {"_id": ObjectId(data), "app": app, "url": url, "title": title, "IsLLMBased": False}
            for data, _, _, app, url, title in chunk
        )
        database.pomodoro_usage_log.insert_many(
            {"_id": ObjectId(log), "userId": user, "CategorizedDataId": ObjectId(data)}
            for data, log, user, *_ in chunk
        )


def fill_sqlite(file: Path, workload: Workload, count: int) -> None:
    """Inserts them into a file in which the pipeline has created its tables."""
    with sqlite3.connect(file) as connection:
        connection.executemany(
            "INSERT INTO categorized_data (id, app, url, title, is_llm_based) VALUES (?, ?, ?, ?, 0)",
            ((data, app, url, title) for data, _, _, app, url, title in _rows(workload, count)),
        )
        connection.executemany(
            "INSERT INTO pomodoro_usage_log (id, user_id, categorized_data_id, session, session_minutes,"
            " session_date, timestamp, duration) VALUES (?, ?, ?, 0, 25, '2025-09-01', 0, 0)",
            ((log, user, data) for data, log, user, *_ in _rows(workload, count)),
        )
    connection.close()


def _rows(workload: Workload, count: int) -> Iterator[tuple[str, str, str, str, str, str]]:
    for span in workload.spans(count):
        if workload.is_linked(span.number):
            data, log = document_ids(span.number)
            window = workload.windows[span.window]
            yield data, log, workload.users[span.user], window.app, window.url, window.title
