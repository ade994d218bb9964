"""The usage logs and windows of a user, or from before a time, in MongoDB.

Documents that Spring wrote carry `_class` (source: contract): they are Spring's, and stay.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from math import isfinite
from zoneinfo import ZoneInfo

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from domains.userData.model import USAGE_LOGS, WINDOWS, PersonalItem, Scope, log_document, window_document
from infrastructure.mongo.client import Document, translated_errors
from infrastructure.mongo.field_names import CATEGORIZED_DATA, CATEGORIZED_DATA_ID, POMODORO_USAGE_LOG
from infrastructure.mongo.repositories import data_of, log_of

_OURS: Document = {"_class": {"$exists": False}}
_PAGE = 1000
_AT_ONCE = 10_000
"""Windows of one question, which may read all usage logs: nothing but Spring's index speeds it up."""


class PersonalDocumentsAdapter:
    """PersonalDocumentsPort on MongoDB."""

    def __init__(self, database: AsyncDatabase[Document], zone: ZoneInfo) -> None:
        self._logs = database[POMODORO_USAGE_LOG]
        self._windows = database[CATEGORIZED_DATA]
        self._zone = zone

    async def find(self, scope: Scope) -> AsyncIterator[PersonalItem]:
        with translated_errors():
            page = list[Document]()
            async for document in self._logs.find(_wanted(scope), batch_size=_PAGE):
                page.append(document)
                if len(page) == _PAGE:
                    for item in await self._log_items(page):
                        yield item
                    page.clear()
            for item in await self._log_items(page):
                yield item
            async for ids in self._window_ids(scope):
                async for document in self._windows.find({"_id": {"$in": ids}}, batch_size=_PAGE):
                    yield PersonalItem(WINDOWS, window_document(data_of(document)), "_class" not in document)

    async def count(self, scope: Scope) -> Counter[str]:
        with translated_errors():
            counted = Counter({USAGE_LOGS: await self._logs.count_documents({**_wanted(scope), **_OURS})})
            async for ids in self._window_ids(scope):
                ours = self._windows.find({"_id": {"$in": ids}, **_OURS}, {"_id": 1}, batch_size=_PAGE)
                counted[WINDOWS] += len([document async for document in ours])
        return +counted

    async def erase(self, scope: Scope) -> Counter[str]:
        erased = Counter[str]()
        with translated_errors():
            async for ids in self._window_ids(scope):
                erased[WINDOWS] += (await self._windows.delete_many({"_id": {"$in": ids}, **_OURS})).deleted_count
            erased[USAGE_LOGS] = (await self._logs.delete_many({**_wanted(scope), **_OURS})).deleted_count
        return +erased

    async def _log_items(self, documents: Iterable[Document]) -> list[PersonalItem]:
        ids = [id_ for document in documents if (id_ := CATEGORIZED_DATA_ID.value_in(document)) is not None]
        found = self._windows.find({"_id": {"$in": ids}}, batch_size=_PAGE)
        windows = {data.id: data.window._asdict() async for each in found if (data := data_of(each))}
        return [self._log_item(document, windows) for document in documents]

    def _log_item(self, document: Document, windows: dict[str, dict[str, str]]) -> PersonalItem:
        is_ours = "_class" not in document
        try:
            log = log_of(document, self._zone)
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ):  # it lacks what a log has, and is theirs all the same
            return PersonalItem(USAGE_LOGS, {name: str(value) for name, value in document.items()}, is_ours)
        return PersonalItem(
            USAGE_LOGS, {**log_document(log), "window": windows.get(log.categorized_data_id)}, is_ours
        )

    async def _window_ids(self, scope: Scope) -> AsyncIterator[list[ObjectId]]:
        """The ids of the scope's windows, in pages."""
        seen, candidates = set[ObjectId](), set[ObjectId]()
        names = {CATEGORIZED_DATA_ID.name: 1, CATEGORIZED_DATA_ID.earlier: 1}
        async for document in self._logs.find(_wanted(scope), names, batch_size=_PAGE):
            if isinstance(id_ := CATEGORIZED_DATA_ID.value_in(document), ObjectId) and id_ not in seen:
                seen.add(id_)
                candidates.add(id_)
            if len(candidates) == _AT_ONCE:
                yield await self._without_shared(candidates, scope)
                candidates.clear()
        yield await self._without_shared(candidates, scope)

    async def _without_shared(self, ids: set[ObjectId], scope: Scope) -> list[ObjectId]:
        wanted = {"$in": list(ids)}
        pointing = {"$or": [{CATEGORIZED_DATA_ID.name: wanted}, {CATEGORIZED_DATA_ID.earlier: wanted}]}
        others = self._logs.find({"$and": [pointing, _unwanted(scope)]}, batch_size=_PAGE)
        shared = {CATEGORIZED_DATA_ID.value_in(document) async for document in others} if ids else set()
        return [*(ids - shared)]


def _wanted(scope: Scope) -> Document:
    user = {} if scope.user_id is None else {"userId": scope.user_id}
    return {**user, **({"timestamp": {"$lt": scope.before}} if isfinite(scope.before) else {})}


def _unwanted(scope: Scope) -> Document:
    conditions: list[Document] = [] if scope.user_id is None else [{"userId": {"$ne": scope.user_id}}]
    if isfinite(scope.before):
        conditions.append({"timestamp": {"$gte": scope.before}})
    return {"$or": conditions}
