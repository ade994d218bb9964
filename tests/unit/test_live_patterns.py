"""Patterns that change while the pipeline runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.errors import NoPatterns, StoreOutage
from domains.kernel.window import Window
from domains.patternClassifier.classifier import PatternClassifier
from infrastructure.memory.repositories import InMemoryCategoryPatternRepository

DEVELOPMENT = CategoryPattern("a" * 24, "Development", 1, ("Code",))
GAME = CategoryPattern("b" * 24, "Game", 2, ("Tetris",))
TETRIS = Window("Tetris", "", "")


class Observer:
    """Sets an event at each thing it is told."""

    def __init__(self) -> None:
        self.loaded: list[int] = []
        self.failed: list[Exception] = []
        self.told = asyncio.Event()

    def patterns_loaded(self, count: int, problems: object) -> None:
        self.loaded.append(count)
        self.told.set()

    def patterns_not_loaded(self, cause: Exception) -> None:
        self.failed.append(cause)
        self.told.set()


class Store(InMemoryCategoryPatternRepository):
    away = False

    async def find_all(self) -> list[CategoryPattern]:
        if self.away:
            raise StoreOutage("away")
        return await super().find_all()


@pytest.fixture
def store() -> Store:
    return Store([DEVELOPMENT])


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
async def classifier(store: Store, observer: Observer) -> PatternClassifier:
    classifier = PatternClassifier(store, observer)  # type: ignore[arg-type]
    await classifier.load()
    observer.told.clear()
    return classifier


@asynccontextmanager
async def kept_fresh(classifier: PatternClassifier, seconds: float) -> AsyncIterator[asyncio.Event]:
    stop, reload = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        group.create_task(classifier.keep_fresh(stop, reload, seconds))
        yield reload
        stop.set()


async def test_a_new_pattern_is_in_effect_after_the_interval(
    classifier: PatternClassifier, store: Store, observer: Observer
) -> None:
    assert classifier.snapshot.by_rules(TETRIS) is None
    async with kept_fresh(classifier, 0.01):
        await store.save_all([GAME])
        await observer.told.wait()
    found = classifier.snapshot.by_rules(TETRIS)
    assert found is not None
    assert (found.category, found.category_id) == ("Game", GAME.id)


async def test_a_removed_pattern_is_out_of_effect_at_once_when_asked_for(
    classifier: PatternClassifier, store: Store, observer: Observer
) -> None:
    async with kept_fresh(classifier, 3600) as reload:
        store.documents[GAME.id] = GAME
        del store.documents[DEVELOPMENT.id]
        reload.set()
        await observer.told.wait()
    assert classifier.snapshot.by_rules(Window("Code", "", "")) is None


async def test_patterns_stay_where_all_are_gone(
    classifier: PatternClassifier, store: Store, observer: Observer
) -> None:
    async with kept_fresh(classifier, 3600) as reload:
        del store.documents[DEVELOPMENT.id]
        reload.set()
        await observer.told.wait()
    assert [type(cause) for cause in observer.failed] == [NoPatterns]
    assert classifier.snapshot.by_rules(Window("Code", "", "")) is not None


async def test_patterns_stay_while_the_store_is_away(
    classifier: PatternClassifier, store: Store, observer: Observer
) -> None:
    store.away = True
    async with kept_fresh(classifier, 3600) as reload:
        reload.set()
        await observer.told.wait()
    assert [str(cause) for cause in observer.failed] == ["away"]
    assert classifier.snapshot.by_rules(Window("Code", "", "")) is not None


async def test_nothing_is_left_waiting_for_an_event_once_it_stops(classifier: PatternClassifier) -> None:
    before, stop = asyncio.all_tasks(), asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    await classifier.keep_fresh(stop, asyncio.Event(), 3600)

    assert asyncio.all_tasks() == before


async def test_an_unchanged_set_is_not_built_again(classifier: PatternClassifier, observer: Observer) -> None:
    snapshot = classifier.snapshot
    await classifier.load()
    assert classifier.snapshot is snapshot
    assert len(observer.loaded) == 1


async def test_the_llm_is_not_asked_before_the_patterns_name_the_categories() -> None:
    """Else it could answer nothing but what no pattern needs to name, and the cache would remember that."""
    llm_queue: Any = SimpleNamespace(is_paused=False)
    observer: Any = Observer()
    classifier = PatternClassifier(InMemoryCategoryPatternRepository([DEVELOPMENT]), observer, llm_queue=llm_queue)
    assert not classifier.can_ask
    await classifier.load()
    assert classifier.can_ask
