"""The names of two fields that earlier versions spelled otherwise than Spring's entities, and their repair.

Spring reads and writes the names with a capital letter (source: contract). Documents that an earlier version of the
pipeline inserted have the other spelling, and documents of Spring that it updated have both. Where a document has
both, the earlier spelling holds what was written last.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from domains.pomodoro.model import RepairedDocuments
from infrastructure.mongo.client import Document, translated_errors

CATEGORIZED_DATA = "categorized_data"
POMODORO_USAGE_LOG = "pomodoro_usage_log"

_PAGE = 2000
_FIRST = ObjectId("0" * 24)


class FieldName(NamedTuple):
    """A field of the documents of `collection`."""

    collection: str
    name: str
    earlier: str

    def value_in(self, document: Document) -> object:
        """The field's value under either name; None if the document has neither."""
        return document.get(self.earlier, document.get(self.name))


IS_LLM_BASED = FieldName(CATEGORIZED_DATA, "IsLLMBased", "isLLMBased")
CATEGORIZED_DATA_ID = FieldName(POMODORO_USAGE_LOG, "CategorizedDataId", "categorizedDataId")


class MongoFieldNames:
    """FieldNamesPort on MongoDB."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._database = database

    async def repair(self) -> AsyncIterator[RepairedDocuments]:
        done = RepairedDocuments()
        for field in (IS_LLM_BASED, CATEGORIZED_DATA_ID):
            async for looked_at, repaired in self._pages(field):
                done = RepairedDocuments(done.looked_at + looked_at, done.repaired + repaired)
                yield done

    async def _pages(self, field: FieldName) -> AsyncIterator[tuple[int, int]]:
        """Goes through the collection by `_id`, so that no step has to search it for documents that are rare."""
        collection, first = self._database[field.collection], {"$gte": _FIRST}
        while True:
            with translated_errors():
                page = collection.find({"_id": first}, {"_id": 1}).sort("_id", 1).limit(_PAGE)
                ids = [document["_id"] async for document in page]
                if not ids:
                    return
                found = {"_id": {"$gte": ids[0], "$lte": ids[-1]}, field.earlier: {"$exists": True}}
                result = await collection.update_many(found, {"$rename": {field.earlier: field.name}})
            yield len(ids), result.modified_count
            first = {"$gt": ids[-1]}
