"""The three collections, as Spring reads and writes them. Source: contract, "Out: MongoDB".

Inserts are `insert_many(ordered=False)` that take a duplicate key for success, so that they can be repeated;
category updates are one bulk of `UpdateMany` grouped by what is set.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId
from pymongo import UpdateMany
from pymongo.errors import BulkWriteError

from domains.categoryPattern.model import CategoryPattern
from domains.errors import StoreOutage
from domains.pomodoro.model import (
    ActivityKey,
    CategorizedData,
    CategoryUpdate,
    PomodoroUsageLog,
    best_by_key,
    start_of_day,
)
from infrastructure.mongo.client import translated_errors

CATEGORY_PATTERN = "category_pattern"
CATEGORIZED_DATA = "categorized_data"
POMODORO_USAGE_LOG = "pomodoro_usage_log"

_ONE_BATCH = 1_000_000  # documents: else the server sends 101 and waits to be asked for more
_DUPLICATE_KEY = 11000
_OUTAGE_CODES = frozenset({6, 7, 50, 89, 91, 112, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436, 14031})
"""Host unreachable, timeouts, shutting down, not primary, conflicts, out of disk space."""


class CategoryPatternRepositoryAdapter:
    """CategoryPatternRepositoryPort on MongoDB."""

    def __init__(self, database: Any) -> None:
        self._collection = database[CATEGORY_PATTERN]

    async def find_all(self) -> list[CategoryPattern]:
        with translated_errors():
            return [_pattern_of(document) async for document in self._collection.find().sort("_id", 1)]

    async def save_all(self, patterns: Iterable[CategoryPattern]) -> None:
        documents = [
            {
                "_id": ObjectId(pattern.id),
                "category": pattern.category,
                "priority": pattern.priority,
                "appPatterns": list(pattern.app_patterns),
                "domainPatterns": list(pattern.domain_patterns),
            }
            for pattern in patterns
        ]
        if failures := await _insert(self._collection, documents):
            raise StoreOutage(f"{CATEGORY_PATTERN}: {next(iter(failures.values()))}")


class CategorizedDataRepositoryAdapter:
    """CategorizedDataRepositoryPort on MongoDB."""

    def __init__(self, database: Any, create_index: bool = True) -> None:
        self._collection = database[CATEGORIZED_DATA]
        self._index_wanted = create_index

    async def find_many_by_app_url_title_batch(
        self, keys: Collection[ActivityKey]
    ) -> dict[ActivityKey, CategorizedData]:
        if not keys:
            return {}
        await self._create_index()
        wanted = [{"app": _part(key.app), "url": _part(key.url), "title": _part(key.title)} for key in keys]
        with translated_errors():
            found = self._collection.find({"$or": wanted}, batch_size=_ONE_BATCH)
            return best_by_key([_data_of(document) async for document in found])

    async def find_classified(self, category_ids: Collection[str], limit: int) -> list[CategorizedData]:
        with translated_errors():
            query = {"categoryId": {"$in": [ObjectId(category_id) for category_id in category_ids]}}
            found = self._collection.find(query).sort("_id", -1).limit(limit)
            return [_data_of(document) async for document in found]

    async def _create_index(self) -> None:
        """Once, the index that the look-up needs. Not unique: Spring inserts one document a message."""
        if self._index_wanted:
            with translated_errors():
                await self._collection.create_index([("app", 1), ("url", 1), ("title", 1)])
            self._index_wanted = False

    async def save_all(self, documents: Sequence[CategorizedData]) -> dict[str, str]:
        return await _insert(
            self._collection,
            [
                {
                    "_id": ObjectId(data.id),
                    "app": data.key.app,
                    "url": data.key.url,
                    "title": data.key.title,
                    **_category(data.category_id),
                    "isLLMBased": data.is_llm_based,
                }
                for data in documents
            ],
        )

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        groups: dict[tuple[str, bool], list[str]] = {}
        for document_id, category_id, is_llm_based in updates:
            groups.setdefault((category_id, is_llm_based), []).append(document_id)
        return await _update(
            self._collection,
            [
                (ids, {"categoryId": ObjectId(category_id), "isLLMBased": is_llm_based})
                for (category_id, is_llm_based), ids in groups.items()
            ],
        )


class PomodoroUsageLogRepositoryAdapter:
    """PomodoroUsageLogRepositoryPort on MongoDB. `zone` is the server's: dates are midnights in it."""

    def __init__(self, database: Any, zone: ZoneInfo) -> None:
        self._collection = database[POMODORO_USAGE_LOG]
        self._zone = zone

    async def save_all(self, documents: Sequence[PomodoroUsageLog]) -> dict[str, str]:
        midnights = {log.session_date: start_of_day(log.session_date, self._zone) for log in documents}
        return await _insert(
            self._collection,
            [
                {
                    "_id": ObjectId(log.id),
                    "userId": log.user_id,
                    "categorizedDataId": ObjectId(log.categorized_data_id),
                    **_category(log.category_id),
                    "session": log.session,
                    "sessionMinutes": log.session_minutes,
                    "sessionDate": midnights[log.session_date],
                    "timestamp": log.timestamp,
                    "duration": log.duration,
                }
                for log in documents
            ],
        )

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        groups: dict[str, list[str]] = {}
        for document_id, category_id, _ in updates:
            groups.setdefault(category_id, []).append(document_id)
        return await _update(
            self._collection,
            [(ids, {"categoryId": ObjectId(category_id)}) for category_id, ids in groups.items()],
        )

    async def find_by_session(self, user_id: str, session_date: date, session: int) -> list[PomodoroUsageLog]:
        midnight = start_of_day(session_date, self._zone)
        query = {"userId": user_id, "sessionDate": midnight, "session": session}
        with translated_errors():
            return [
                _log_of(document, self._zone)
                async for document in self._collection.find(query).sort([("timestamp", 1), ("_id", 1)])
            ]


async def _insert(collection: Any, documents: list[dict[str, Any]]) -> dict[str, str]:
    """Inserts what is not there yet. Returns {id: reason} of the documents that the server refused."""
    if not documents:
        return {}
    with translated_errors():
        try:
            await collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            _raise_if_unconfirmed(error)
            return {
                str(documents[failed["index"]]["_id"]): str(failed["errmsg"])
                for failed in error.details["writeErrors"]
                if failed["code"] != _DUPLICATE_KEY
            }
    return {}


async def _update(collection: Any, groups: list[tuple[list[str], dict[str, Any]]]) -> dict[str, str]:
    """Sets, in one bulk, the same fields in all documents of a group. Returns {id: reason} as `_insert`."""
    if not groups:
        return {}
    with translated_errors():
        updates = [
            UpdateMany({"_id": {"$in": [ObjectId(document_id) for document_id in ids]}}, {"$set": fields})
            for ids, fields in groups
        ]
        try:
            await collection.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            _raise_if_unconfirmed(error)
            return {
                document_id: str(failed["errmsg"])
                for failed in error.details["writeErrors"]
                for document_id in groups[failed["index"]][0]
            }
    return {}


def _raise_if_unconfirmed(error: BulkWriteError) -> None:
    """A write concern that was not met, or a server that steps down, is an outage, not the fault of an item."""
    details = error.details
    if details.get("writeConcernErrors"):
        raise StoreOutage(f"write concern: {details['writeConcernErrors'][0].get('errmsg')}") from error
    for failed in details["writeErrors"]:
        if failed["code"] in _OUTAGE_CODES:
            raise StoreOutage(str(failed["errmsg"])) from error


def _part(text: str) -> Any:
    """Empty and absent are the same; Spring leaves absent fields out."""
    return text if text else {"$in": ["", None]}


def _category(category_id: str | None) -> dict[str, ObjectId]:
    return {} if category_id is None else {"categoryId": ObjectId(category_id)}


def _data_of(document: Mapping[str, Any]) -> CategorizedData:
    category_id = document.get("categoryId")
    return CategorizedData(
        str(document["_id"]),
        ActivityKey(document.get("app") or "", document.get("url") or "", document.get("title") or ""),
        None if category_id is None else str(category_id),
        bool(document.get("isLLMBased")),
    )


def _pattern_of(document: Mapping[str, Any]) -> CategoryPattern:
    return CategoryPattern(
        str(document["_id"]),
        str(document.get("category") or ""),
        None if (priority := document.get("priority")) is None else int(priority),
        _texts(document.get("appPatterns")),
        _texts(document.get("domainPatterns")),
    )


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(value for value in values or () if isinstance(value, str))


def _log_of(document: Mapping[str, Any], zone: ZoneInfo) -> PomodoroUsageLog:
    category_id = document.get("categoryId")
    return PomodoroUsageLog(
        id=str(document["_id"]),
        user_id=document["userId"],
        categorized_data_id=str(document.get("categorizedDataId")),
        category_id=None if category_id is None else str(category_id),
        session=document["session"],
        session_minutes=document.get("sessionMinutes") or 0,
        session_date=document["sessionDate"].astimezone(zone).date(),
        timestamp=document["timestamp"],
        duration=document["duration"],
    )
