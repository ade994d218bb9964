"""A MongoDB that refuses single documents, as one with a schema validator does.

The servers that stand in for MongoDB in tests have no validators, so the driver's calls are intercepted here.
Everything else reaches the server, and a refusal has the form that the server gives it.
"""

from typing import Any

from pymongo.errors import BulkWriteError

DOCUMENT_VALIDATION_FAILURE = 121
NOT_WRITABLE_PRIMARY = 10107
REASON = "Document failed validation"


class RefusingDatabase:
    """Its collections refuse documents whose `_id` is in `refused`, with the error `code`."""

    def __init__(self, database: Any, refused: set[Any], code: int = DOCUMENT_VALIDATION_FAILURE) -> None:
        self._database = database
        self._refused = refused
        self._code = code

    def __getitem__(self, name: str) -> Any:
        return _RefusingCollection(self._database[name], self._refused, self._code)


class _RefusingCollection:
    def __init__(self, collection: Any, refused: set[Any], code: int) -> None:
        self._collection = collection
        self._refused = refused
        self._code = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def insert_many(self, documents: list[dict[str, Any]], ordered: bool) -> None:
        await self._apply(documents, [document["_id"] in self._refused for document in documents], ordered)

    async def bulk_write(self, updates: list[Any], ordered: bool) -> None:
        hit = [bool(self._refused & set(update._filter["_id"]["$in"])) for update in updates]
        await self._apply(updates, hit, ordered)

    async def _apply(self, items: list[Any], refusals: list[bool], ordered: bool) -> None:
        assert not ordered, "an ordered write would not go on after a refusal"
        taken = [item for item, refused in zip(items, refusals, strict=True) if not refused]
        if taken and isinstance(taken[0], dict):
            await self._collection.insert_many(taken, ordered=False)
        elif taken:
            await self._collection.bulk_write(taken, ordered=False)
        errors = [
            {"index": index, "code": self._code, "errmsg": REASON}
            for index, refused in enumerate(refusals)
            if refused
        ]
        if errors:
            raise BulkWriteError({"writeErrors": errors, "writeConcernErrors": []})
