"""The focus cards as two tables of the embedded store.

What changes at every run is apart from the documents, which are forty times as large, and together by period: of a
user's past nothing changes.
"""

import json
from collections.abc import Collection, Sequence
from datetime import date
from functools import lru_cache

from domains.focusCard.model import CardKey, CardPlace, CardState, StoredCard
from domains.leaderboard.model import Period
from infrastructure.sqlite.database import Row, SqliteDatabase

_KEY = "user_id, period, starts"
_STATE = f"{_KEY}, revision, signature, rank, users"
_COLUMNS = f"{_STATE}, as_of, document"
_DOCUMENTS = f" JOIN focus_card_document USING ({_KEY})"
_WANTED = (
    " FROM json_each(?) JOIN focus_card_state ON user_id = json_extract(value, '$[0]')"
    " AND period = json_extract(value, '$[1]') AND starts = json_extract(value, '$[2]')"
)
_PLACE = ("rank", "users", "as_of")


class SqliteFocusCardStore:
    """FocusCardStorePort on SQLite."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def put(self, cards: Sequence[StoredCard]) -> None:
        states = [
            (*_texts(card.key), card.revision, card.signature, *(card.document[name] for name in _PLACE))
            for card in cards
        ]
        documents = [(*_texts(card.key), json.dumps(card.document), card.revision) for card in cards]
        new_document = (
            "INSERT INTO focus_card_document SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM focus_card_state"
            " WHERE user_id = ?1 AND period = ?2 AND starts = ?3 AND revision >= ?5)"
            " ON CONFLICT DO UPDATE SET document = ?4"
        )
        new_state = (
            "INSERT INTO focus_card_state VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " revision = excluded.revision, signature = excluded.signature, rank = excluded.rank,"
            " users = excluded.users, as_of = excluded.as_of WHERE focus_card_state.revision < excluded.revision"
        )
        await self._database.write(new_document, documents, (new_state, states))

    async def put_places(self, places: Sequence[CardPlace]) -> None:
        await self._database.write(
            "UPDATE focus_card_state SET revision = ?1, rank = ?2, users = ?3, as_of = ?4"
            " WHERE user_id = ?5 AND period = ?6 AND starts = ?7 AND revision < ?1",
            sorted(
                [(revision, rank, users, as_of, *_texts(key)) for key, revision, rank, users, as_of in places],
                key=lambda row: row[5:],
            ),
        )

    async def get(self, keys: Collection[CardKey]) -> dict[CardKey, StoredCard]:
        rows = await self._database.read(f"SELECT {_COLUMNS}{_WANTED}{_DOCUMENTS}", (_json(keys),))
        return {card.key: card for card in map(_card_of, rows)}

    async def states(self, keys: Collection[CardKey]) -> dict[CardKey, CardState]:
        rows = await self._database.read(
            f"SELECT {_STATE}{_WANTED}",
            (_json(keys),),
        )
        return {_key_of(row): CardState(*row[3:]) for row in rows}

    async def top(self, period: Period, starts: date, limit: int) -> list[StoredCard]:
        rows = await self._database.read(
            f"SELECT {_COLUMNS} FROM focus_card_state{_DOCUMENTS} WHERE period = ? AND starts = ? AND rank > 0"  # noqa: S608
            " ORDER BY rank LIMIT ?",
            (period.value, starts.isoformat(), limit),
        )
        return [_card_of(row) for row in rows]

    async def of_user(self, user: str) -> list[StoredCard]:
        query = f"SELECT {_COLUMNS} FROM focus_card_state{_DOCUMENTS} WHERE user_id = ? ORDER BY period, starts"  # noqa: S608
        return [_card_of(row) for row in await self._database.read(query, (user,))]

    async def erase(self, user: str) -> int:
        count = len(await self.of_user(user))
        ours = [(user,)]
        await self._database.write(
            "DELETE FROM focus_card_state WHERE user_id = ?",
            ours,
            ("DELETE FROM focus_card_document WHERE user_id = ?", ours),
        )
        return count


def _texts(key: CardKey) -> tuple[str, str, str]:
    return key.user, *_period_texts(key.period, key.starts)


@lru_cache(maxsize=64)
def _period_texts(period: Period, starts: date) -> tuple[str, str]:
    return period.value, starts.isoformat()


def _json(keys: Collection[CardKey]) -> str:
    return json.dumps([_texts(key) for key in keys], ensure_ascii=False)


def _key_of(row: Row) -> CardKey:
    return CardKey(row[0], *_period(row[1], row[2]))


@lru_cache(maxsize=64)
def _period(period: str, starts: str) -> tuple[Period, date]:
    return Period(period), date.fromisoformat(starts)


def _card_of(row: Row) -> StoredCard:
    *_, revision, signature, rank, users, as_of, document = row
    said = {**json.loads(document), "rank": rank, "users": users, "as_of": as_of}
    return StoredCard(_key_of(row), revision, signature, said)
