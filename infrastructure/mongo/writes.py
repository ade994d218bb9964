"""Unordered bulk writes to one collection, and whose fault it is if the server refuses some of them."""

from typing import NamedTuple

from pymongo import UpdateMany
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from domains.kernel.errors import StoreOutage
from infrastructure.mongo.client import DATA_CODES, Document, kind_of_code, translated_errors
from infrastructure.mongo.raw_ids import documents_with

_DUPLICATE_KEY = 11000
_OUTAGE_CODES = frozenset(
    {6, 7, 50, 89, 91, 112, 189, 262, 371, 8000, 9001, 10058, 10107, 11600, 11602, 13435, 13436, 14031, 16500}
)
"""Host unreachable, timeouts, shutting down, not primary, conflicts, out of disk space, throttled, over a quota."""
_NEARLY_ALL = 0.9


class Group(NamedTuple):
    """Documents that are changed alike. Where the `change` is provisional, only those without a category are."""

    ids: list[str]
    change: Document
    provisional: bool

    def update(self) -> UpdateMany:
        return UpdateMany(documents_with(self.ids, without_category=self.provisional), self.change)


class Writes:
    """The writes of one collection.

    An item that is refused while others are accepted is at fault itself. A refusal of nearly all items of a write, or
    of two writes in a row, is an outage of the store until it accepts something; codes that only data can cause are
    no outage, and a list of codes that only a server can cause finds it earlier.
    """

    def __init__(self, collection: AsyncCollection[Document]) -> None:
        self._collection = collection
        self._refused_in_a_row = 0

    async def insert(self, documents: list[Document]) -> tuple[dict[str, str], set[str]]:
        """Inserts the documents whose id is not stored yet.

        Returns {id: reason} for the documents that the server refused, and the ids that were stored before.
        """
        if documents:
            with translated_errors():
                try:
                    await self._collection.insert_many(documents, ordered=False)
                except BulkWriteError as error:
                    self._raise_if_outage(error, len(documents))
                    failed = [(str(documents[e["index"]]["_id"]), e) for e in error.details["writeErrors"]]
                    there = {id_ for id_, e in failed if e["code"] == _DUPLICATE_KEY}
                    return {id_: str(e["errmsg"]) for id_, e in failed if id_ not in there}, there
            self._refused_in_a_row = 0
        return {}, set()

    async def update(self, groups: list[Group]) -> dict[str, str]:
        """Updates all groups in one bulk. Returns {id: reason} for the documents that the server refused."""
        if groups:
            with translated_errors():
                updates = [group.update() for group in groups]
                try:
                    await self._collection.bulk_write(updates, ordered=False)
                except BulkWriteError as error:
                    self._raise_if_outage(error, len(groups))
                    return {
                        document_id: str(failed["errmsg"])
                        for failed in error.details["writeErrors"]
                        for document_id in groups[failed["index"]].ids
                    }
            self._refused_in_a_row = 0
        return {}

    def _raise_if_outage(self, error: BulkWriteError, items: int) -> None:
        """Raises StoreOutage if no document is at fault: also if a write concern was not met."""
        concerns, refusals = error.details.get("writeConcernErrors"), error.details["writeErrors"]
        if concerns:
            raise StoreOutage(f"write concern: {concerns[0].get('errmsg')}") from error
        unknown = [refused for refused in refusals if refused["code"] not in {*DATA_CODES, _DUPLICATE_KEY}]
        for refused in unknown:
            if refused["code"] in _OUTAGE_CODES:
                message = f"code {refused['code']}: {refused['errmsg']}"
                raise StoreOutage(message, kind_of_code(refused["code"])) from error
        if len(unknown) < _NEARLY_ALL * items:
            self._refused_in_a_row = 0
            return
        self._refused_in_a_row += 1
        if items > 1 or self._refused_in_a_row > 1:
            code, reason = unknown[0]["code"], unknown[0]["errmsg"]
            raise StoreOutage(f"refuses everything, with code {code}: {reason}") from error
