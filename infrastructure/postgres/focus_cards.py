"""The focus cards as a table of PostgreSQL."""

import json
from collections.abc import Collection, Sequence
from datetime import date

from domains.focusCard.model import CardKey, CardPlace, CardState, StoredCard
from domains.leaderboard.model import Period
from infrastructure.postgres.client import PostgresDatabase, Row

_COLUMNS = "user_id, period, starts, revision, signature, rank, users, as_of, document"
_WANTED = " FROM focus_card JOIN unnest($1::text[], $2::text[], $3::date[]) AS wanted (user_id, period, starts)"
_OF_KEYS = f"{_WANTED} USING (user_id, period, starts)"

PUT_PLACES = (
    "UPDATE focus_card SET revision = given.revision, rank = given.rank, users = given.users,"
    " as_of = given.as_of FROM unnest($1::text[], $2::text[], $3::date[], $4::bigint[], $5::bigint[],"
    " $6::bigint[], $7::text[]) AS given (user_id, period, starts, revision, rank, users, as_of)"
    " WHERE focus_card.user_id = given.user_id AND focus_card.period = given.period"
    " AND focus_card.starts = given.starts AND focus_card.revision < given.revision"
)


class PostgresFocusCardStore:
    """FocusCardStorePort on PostgreSQL. Rows are written in the order of their keys, so that no two writers lock."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def put(self, cards: Sequence[StoredCard]) -> None:
        rows = [
            (
                *_key(card.key),
                card.revision,
                card.signature,
                card.document["rank"],
                card.document["users"],
                card.document["as_of"],
                json.dumps(card.document),
            )
            for card in sorted(cards, key=lambda card: card.key)
        ]
        if rows:
            await self._database.write(
                f"INSERT INTO focus_card ({_COLUMNS}) SELECT * FROM unnest($1::text[], $2::text[], $3::date[],"  # noqa: S608
                " $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::text[])"
                " ON CONFLICT (user_id, period, starts) DO UPDATE SET revision = excluded.revision,"
                " signature = excluded.signature, rank = excluded.rank, users = excluded.users,"
                " as_of = excluded.as_of, document = excluded.document WHERE focus_card.revision < excluded.revision",
                *map(list, zip(*rows, strict=True)),
            )

    async def put_places(self, places: Sequence[CardPlace]) -> None:
        rows = [(*_key(place.key), *place[1:]) for place in sorted(places)]
        if rows:
            await self._database.write(
                PUT_PLACES,
                *map(list, zip(*rows, strict=True)),
            )

    async def get(self, keys: Collection[CardKey]) -> dict[CardKey, StoredCard]:
        rows = await self._database.read(f"SELECT {_COLUMNS}{_OF_KEYS}", *_arrays(keys))
        return {card.key: card for card in map(_card_of, rows)}

    async def states(self, keys: Collection[CardKey]) -> dict[CardKey, CardState]:
        columns = "user_id, period, starts, revision, signature, rank, users"
        rows = await self._database.read(f"SELECT {columns}{_OF_KEYS}", *_arrays(keys))
        return {_key_of(row): CardState(*row[3:]) for row in map(tuple, rows)}

    async def top(self, period: Period, starts: date, limit: int) -> list[StoredCard]:
        rows = await self._database.read(
            f"SELECT {_COLUMNS} FROM focus_card WHERE period = $1 AND starts = $2 AND rank > 0"  # noqa: S608
            " ORDER BY rank LIMIT $3",
            period.value,
            starts,
            limit,
        )
        return [_card_of(row) for row in rows]

    async def of_user(self, user: str) -> list[StoredCard]:
        query = f"SELECT {_COLUMNS} FROM focus_card WHERE user_id = $1 ORDER BY period, starts"  # noqa: S608
        return [_card_of(row) for row in await self._database.read(query, user)]

    async def erase(self, user: str) -> int:
        return await self._database.write("DELETE FROM focus_card WHERE user_id = $1", user)


def _key(key: CardKey) -> tuple[str, str, date]:
    return key.user, key.period, key.starts


def _arrays(keys: Collection[CardKey]) -> list[list[object]]:
    return [list(column) for column in zip(*map(_key, keys), strict=True)] if keys else [[], [], []]


def _key_of(row: Row) -> CardKey:
    return CardKey(row[0], Period(row[1]), row[2])


def _card_of(row: Row) -> StoredCard:
    *_, revision, signature, rank, users, as_of, document = row
    said = {**json.loads(document), "rank": rank, "users": users, "as_of": as_of}
    return StoredCard(_key_of(row), revision, signature, said)
