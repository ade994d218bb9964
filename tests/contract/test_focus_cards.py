"""The stores of focus cards, in memory, SQLite and MongoDB: the newest revision is the one that is there."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from domains.focusCard.model import CardKey, CardPlace, CardState, StoredCard
from domains.focusCard.ports import FocusCardStorePort
from domains.leaderboard.model import Period
from infrastructure.composition.container import running_container
from infrastructure.memory.focus_cards import InMemoryFocusCardStore
from infrastructure.postgres.client import PostgresDatabase
from infrastructure.postgres.focus_cards import PUT_PLACES
from tests.contract.conftest import MONGO_DRIVERS, settings_of

DAY = date(2025, 9, 2)


@pytest.fixture(params=["memory", "sqlite", "postgres", *MONGO_DRIVERS])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FocusCardStorePort]:
    if request.param == "memory":
        yield InMemoryFocusCardStore()
        return
    async with running_container(settings_of(request, tmp_path)) as container:
        yield container.focus_cards()


def card(user: str = "김민수\n\"'", period: Period = Period.DAY, revision: int = 1, **document: Any) -> StoredCard:
    said = {"rank": 3, "users": 40, "as_of": "2025-09-02T10:00:00.000+09:00", "categories": {"a.b$": 1.5}, **document}
    return StoredCard(CardKey(user, period, DAY), revision, f"s{revision}", said)


async def test_a_card_comes_back_as_it_was_put(store: FocusCardStorePort) -> None:
    put = [card(), card(period=Period.WEEK), card("other")]
    await store.put(put)
    keys = [each.key for each in put]
    assert await store.get([*keys, CardKey("nobody", Period.DAY, DAY)]) == dict(zip(keys, put, strict=True))
    assert await store.states(keys[:1]) == {keys[0]: CardState(1, "s1", 3, 40)}


async def test_an_older_or_equal_revision_never_overwrites(store: FocusCardStorePort) -> None:
    key = card().key
    for revision, text in ((5, "newer"), (4, "older"), (5, "doubled")):
        await store.put([card(revision=revision, text=text)])
    assert (await store.get([key]))[key].document["text"] == "newer"

    await store.put([card(revision=6, rank=2), card("other", revision=1)])
    assert await store.states([key]) == {key: CardState(6, "s6", 2, 40)}


async def test_a_new_place_changes_nothing_else_and_is_older_or_newer_as_a_card_is(store: FocusCardStorePort) -> None:
    key, nobody = card().key, CardKey("nobody", Period.DAY, DAY)
    await store.put([card(revision=5)])
    for revision, rank in ((5, 9), (7, 1), (6, 8)):
        await store.put_places([CardPlace(key, revision, rank, 41, "then"), CardPlace(nobody, 9, 1, 1, "never")])

    found = await store.get([key, nobody])
    placed = card(rank=1, users=41, as_of="then").document
    assert found == {key: StoredCard(key, 7, "s5", placed)}


async def test_the_cards_of_a_user_can_be_read_and_erased(store: FocusCardStorePort) -> None:
    await store.put([card(), card(period=Period.MONTH), card("김민수\n")])
    assert [each.key.period for each in await store.of_user(card().key.user)] == [Period.DAY, Period.MONTH]
    assert await store.erase(card().key.user) == 2
    assert await store.of_user(card().key.user) == []
    assert len(await store.of_user("김민수\n")) == 1


async def test_the_best_cards_of_a_period(store: FocusCardStorePort) -> None:
    await store.put([card(user, Period.WEEK, rank=rank) for user, rank in (("a", 2), ("b", 0), ("c", 1), ("d", 3))])
    await store.put([card("e", Period.DAY, rank=1)])
    assert [each.key.user for each in await store.top(Period.WEEK, DAY, 2)] == ["c", "a"]
    assert await store.top(Period.MONTH, DAY, 2) == []


async def test_nothing_is_asked_for_nothing(store: FocusCardStorePort) -> None:
    await store.put([])
    assert await store.get([]) == {}
    assert await store.states([]) == {}


async def test_postgres_finds_cards_by_their_keys_before_it_knows_how_many_there_are(postgres_url: str) -> None:
    database = PostgresDatabase(postgres_url)
    await database.read("SELECT 1")  # makes the tables
    await database.close()
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        rows = await connection.fetch(f"EXPLAIN {PUT_PLACES}", *([[]] * 7))
    finally:
        await connection.close()

    plan = "\n".join(row[0] for row in rows)
    assert "focus_card_pkey" in plan, plan


async def test_postgres_is_asked_nothing_beside_what_is_wanted(postgres_url: str) -> None:
    database, connection = PostgresDatabase(postgres_url), await asyncpg.connect(postgres_url)
    try:
        await database.read("SELECT 1 AS wanted")
        asked_last = await connection.fetch(
            "SELECT query FROM pg_stat_activity"
            " WHERE application_name = 'pomocore-data-pipeline' AND datname = current_database()"
        )
    finally:
        await connection.close()
        await database.close()

    assert [row["query"] for row in asked_last] == ["SELECT 1 AS wanted"]
