"""The focus cards as a collection of our own, beside Spring's."""

import json
from collections.abc import Collection, Sequence
from datetime import date

from pymongo import UpdateOne
from pymongo.asynchronous.database import AsyncDatabase

from domains.focusCard.model import CardKey, CardPlace, CardState, StoredCard
from domains.kernel.errors import StoreRefused
from domains.leaderboard.model import Period
from infrastructure.mongo.client import Document, translated_errors
from infrastructure.mongo.writes import Writes

FOCUS_CARD = "focus_card"


class FocusCardRepositoryAdapter:
    """FocusCardStorePort on MongoDB. `_id` is the key in one text, so that no index of ours is needed."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._collection = database[FOCUS_CARD]
        self._writes = Writes(self._collection)

    async def put(self, cards: Sequence[StoredCard]) -> None:
        documents = [_document_of(card) for card in cards]
        failures, there = await self._writes.insert(documents)
        if failures:
            raise StoreRefused(f"{FOCUS_CARD}: {next(iter(failures.values()))}")
        updates = [
            UpdateOne({"_id": card_id, "revision": {"$lt": document["revision"]}}, {"$set": document})
            for document in documents
            if (card_id := document.pop("_id")) in there
        ]
        if updates:
            with translated_errors():
                await self._collection.bulk_write(updates, ordered=False)

    async def put_places(self, places: Sequence[CardPlace]) -> None:
        updates = [
            UpdateOne(
                {"_id": _id_of(key), "revision": {"$lt": revision}},
                {"$set": {"revision": revision, "rank": rank, "users": users, "asOf": as_of}},
            )
            for key, revision, rank, users, as_of in places
        ]
        if updates:
            with translated_errors():
                await self._collection.bulk_write(updates, ordered=False)

    async def get(self, keys: Collection[CardKey]) -> dict[CardKey, StoredCard]:
        with translated_errors():
            found = self._collection.find({"_id": {"$in": list(map(_id_of, keys))}})
            return {card.key: card async for document in found if (card := _card_of(document))}

    async def states(self, keys: Collection[CardKey]) -> dict[CardKey, CardState]:
        with translated_errors():
            found = self._collection.find({"_id": {"$in": list(map(_id_of, keys))}}, {"card": 0})
            return {
                _key_of(each): CardState(each["revision"], each["signature"], each["rank"], each["users"])
                async for each in found
            }

    async def top(self, period: Period, starts: date, limit: int) -> list[StoredCard]:
        query = {"period": period.value, "starts": starts.isoformat(), "rank": {"$gt": 0}}
        with translated_errors():
            found = self._collection.find(query).sort("rank", 1).limit(limit)
            return [_card_of(document) async for document in found]

    async def of_user(self, user: str) -> list[StoredCard]:
        with translated_errors():
            found = self._collection.find({"_id": {"$gte": f"{user}\n", "$lt": f"{user}\n~"}})
            return [card async for document in found.sort("_id", 1) if (card := _card_of(document)).key.user == user]

    async def erase(self, user: str) -> int:
        ids = [_id_of(card.key) for card in await self.of_user(user)]
        with translated_errors():
            await self._collection.delete_many({"_id": {"$in": ids}})
        return len(ids)


def _id_of(key: CardKey) -> str:
    return f"{key.user}\n{key.period.value}\n{key.starts.isoformat()}"


def _key_of(document: Document) -> CardKey:
    user, period, starts = document["_id"].rsplit("\n", 2)
    return CardKey(user, Period(period), date.fromisoformat(starts))


def _document_of(card: StoredCard) -> Document:
    return {
        "_id": _id_of(card.key),
        "period": card.key.period.value,
        "starts": card.key.starts.isoformat(),
        "revision": card.revision,
        "signature": card.signature,
        "rank": card.document["rank"],
        "users": card.document["users"],
        "asOf": card.document["as_of"],
        "card": json.dumps(card.document),  # names of categories may hold what a field's name may not
    }


def _card_of(document: Document) -> StoredCard:
    placed = {"rank": document["rank"], "users": document["users"], "as_of": document["asOf"]}
    said = {**json.loads(document["card"]), **placed}
    return StoredCard(_key_of(document), document["revision"], document["signature"], said)
