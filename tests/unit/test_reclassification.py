"""What is committed while the LLM is away gets its category when it is back: documents and boards, exactly once."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from math import fsum

import pytest

from domains.categoryPattern.model import UNCATEGORIZED, CategoryPattern, category_id
from domains.kernel.errors import ClassificationFailed, RedisOutage, StoreOutage
from domains.kernel.resilience import Breaker
from domains.patternClassifier.snapshot import PatternSnapshot
from domains.pomodoro.model import CategoryUpdate, Commit, Move
from tests.messages import (
    DEVELOPMENT,
    DOCUMENTATION,
    categorized,
    data_id,
    hex_id,
    linked_message,
    log_id,
    message,
    usage_log,
)
from tests.unit.pipeline_in_memory import Instance, World, until

BROWSING = hex_id(5)
UNCATEGORIZED_ID = category_id(UNCATEGORIZED)
PATTERNS = [CategoryPattern(BROWSING, "Browsing", 9, ("Google Chrome",))]
PAGES_ARE_BROWSING = partial(PatternSnapshot, unknown_pages="Browsing")
STRANGE = {"app": "Frobnicator"}
PAGE = {"app": "Google Chrome", "url": "https://zyzzyva.example/a"}
PERIODS = ("2025-09-02", "2025-W36", "2025-M9")
WORK = {"Development", "Documentation", "Browsing"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Breaker, "_delay", lambda self: 0.002)
    monkeypatch.setattr("domains.pomodoro.isolation._RETRY_ALONE_SECONDS", 0.001)


@pytest.fixture
def world() -> World:
    world = World()
    world.patterns.documents |= {pattern.id: pattern for pattern in PATTERNS}
    world.llm.gate.set()
    return world


def expected(*spans: tuple[str, str, float]) -> dict[str, dict[str, float]]:
    """The boards that (user, category, seconds) of 2 September 2025 raise, by the contract's table."""
    parts: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for user, category, seconds in spans:
        for name in (category, "work") if category in WORK else (category,):
            for period in PERIODS:
                parts[f"leaderboard:{name}:{period}"][user].append(seconds)
    return {board: {user: fsum(added) for user, added in users.items()} for board, users in parts.items()}


def boards(world: World) -> dict[str, dict[str, float]]:
    """As Redis shows them: a board without members is not there."""
    return {board: users for board, users in world.boards.boards.items() if users}


def near(wanted: dict[str, dict[str, float]]) -> dict[str, object]:
    return {board: pytest.approx(users, rel=1e-12) for board, users in wanted.items()}


async def committed_without_llm(world: World, instance: Instance, entries: Sequence[dict[str, str]]) -> None:
    """Commits the entries while the LLM fails; then it is well again."""
    world.llm.error = ClassificationFailed("away")
    world.add(*entries)
    async with instance.running() as task:
        await until(lambda: instance.seen.committed == len(entries), task)
    world.llm.error = None


async def reclassify(instance: Instance) -> int:
    await until(lambda: instance.classifier.can_ask)
    return await instance.reclassification.reclassify_all(asyncio.Event())


# What moves


@pytest.mark.parametrize(
    ("window", "before"), [(STRANGE, "Uncategorized"), (PAGE, "Browsing")], ids=["uncategorized", "provisional"]
)
@pytest.mark.parametrize("after", ["Documentation", "SNS", "Music"])
async def test_documents_and_boards_move(world: World, window: dict[str, str], before: str, after: str) -> None:
    await world.categorized.save_all([categorized(1, window["app"], window.get("url", ""))])
    await world.logs.save_all([usage_log(1)])
    entries = [
        message(**window, userId="a", duration="0.1"),
        message(**window, userId="a", duration="0.2", title="other"),
        linked_message(1, **window, userId="b", duration="7.5"),
        message(userId="a", duration="60.0"),
    ]
    instance = Instance(world, snapshot_of=PAGES_ARE_BROWSING)
    await committed_without_llm(world, instance, entries)
    own = ("a", "Development", 60.0)
    assert boards(world) == near(expected(("a", before, 0.1), ("a", before, 0.2), ("b", before, 7.5), own))
    assert [record.category for record in world.stream.deferred.values()] == [before] * 3

    world.llm.name = after
    assert await reclassify(instance) == 3
    assert boards(world) == near(expected(("a", after, 0.1), ("a", after, 0.2), ("b", after, 7.5), own))
    assert world.stream.deferred == {}
    named = instance.classifier.snapshot.by_tier["llm"][after].category_id
    for log in world.logs.documents.values():
        data = world.categorized.documents[log.categorized_data_id]
        assert log.category_id == data.category_id == (DEVELOPMENT if data.window.app.startswith("Visual") else named)
        assert data.is_llm_based == (log.category_id == named)


@pytest.mark.parametrize("window", [STRANGE, PAGE], ids=["uncategorized", "browsing"])
async def test_later_messages_of_the_same_window_move_too(world: World, window: dict[str, str]) -> None:
    """Without ids they find the document that the first one has left: it says no more than the fallback."""
    instance = Instance(world)
    await committed_without_llm(world, instance, [message(**window)])
    world.llm.error = ClassificationFailed("away")
    second = Instance(world, "two")
    world.add(message(**window))
    async with second.running() as task:
        await until(lambda: second.seen.committed == 1, task)
        world.add(message(**window))
        await until(lambda: second.seen.committed == 2, task)
    assert len(world.stream.deferred) == 3
    world.llm.error = None

    assert await reclassify(second) == 3
    assert boards(world) == expected(("user-1", "Documentation", 360.0))
    assert {log.category_id for log in world.logs.documents.values()} == {DOCUMENTATION}


async def test_a_window_that_the_llm_cannot_tell_stays_and_is_not_asked_about_again(world: World) -> None:
    instance = Instance(world)
    await committed_without_llm(world, instance, [message(**STRANGE)])
    before = boards(world)
    world.llm.name = UNCATEGORIZED

    assert await reclassify(instance) == 1
    assert boards(world) == before
    assert world.stream.deferred == {}


async def test_rules_that_have_learnt_meanwhile_decide(world: World) -> None:
    instance = Instance(world)
    await committed_without_llm(world, instance, [message(**STRANGE)])
    world.patterns.documents[hex_id(6)] = CategoryPattern(hex_id(6), "Design", 1, ("Frobnicator",))
    await instance.classifier.load()
    asked = world.llm.asked

    assert await reclassify(instance) == 1
    assert boards(world).keys() == {
        f"leaderboard:{name}:{period}" for name in ("Design", "work") for period in PERIODS
    }
    assert world.llm.asked == asked


async def test_boards_whose_period_is_gone_are_not_made_anew(world: World) -> None:
    """Spring archives and deletes the boards of a day when it is over."""
    instance = Instance(world)
    await committed_without_llm(world, instance, [message(**STRANGE), message(**PAGE)])
    for board in list(world.boards.boards):
        if board.endswith("2025-09-02"):
            del world.boards.boards[board]

    assert await reclassify(instance) == 2
    whole = expected(("user-1", "Documentation", 240.0))
    assert boards(world) == {board: users for board, users in whole.items() if not board.endswith("2025-09-02")}
    assert {log.category_id for log in world.logs.documents.values()} == {DOCUMENTATION}


async def test_hundreds_of_messages_of_many_users_add_up(world: World) -> None:
    entries = []
    for number in range(450):
        fields = {"userId": f"user-{number % 7}", "duration": f"{number}.5", "title": str(number % 40)}
        entries.append(message(**fields, **(PAGE if number % 3 else STRANGE)))
    instance = Instance(world)
    await committed_without_llm(world, instance, entries)

    moved = await reclassify(instance)  # begins with the one request that tries whether the LLM is back
    assert 0 < moved < 450
    assert moved + await reclassify(instance) == 450
    spans = [(f"user-{number % 7}", "Documentation", number + 0.5) for number in range(450)]
    assert boards(world) == near(expected(*spans))
    assert world.stream.deferred == {}


# When it happens


async def test_nothing_happens_while_the_llm_is_away(world: World) -> None:
    instance = Instance(world)
    world.llm.error = ClassificationFailed("away", retry_after=3600.0)
    world.add(message(**STRANGE))
    async with instance.running() as task:
        await until(lambda: instance.seen.committed == 1, task)
    asked = world.llm.asked

    assert not instance.classifier.can_ask
    assert await instance.reclassification.reclassify_all(asyncio.Event()) == 0
    assert (world.llm.asked, len(world.stream.deferred)) == (asked, 1)


async def test_it_goes_on_by_itself_until_the_llm_is_back(world: World) -> None:
    instance = Instance(world)
    world.llm.error = ClassificationFailed("away")
    world.add(*[message(**STRANGE, title=str(number)) for number in range(30)])
    async with instance.running() as task:
        running = asyncio.create_task(instance.reclassification.run(instance.stop))
        await until(lambda: instance.seen.committed == 30 and "failures" in instance.seen.paused, task, running)
        world.llm.error = None
        await until(lambda: not world.stream.deferred, task, running)
        instance.stop.set()
        await running

    assert boards(world) == expected(("user-1", "Documentation", 30 * 120.0))


async def test_an_answer_that_is_missing_leaves_its_message_and_hinders_no_other(world: World) -> None:
    instance = Instance(world, snapshot_of=PAGES_ARE_BROWSING)
    await committed_without_llm(world, instance, [message(**STRANGE), message(**PAGE)])
    await instance.memory.remember({world.questions.of(next(iter(world.stream.deferred.values())).window): "SNS"})
    world.llm.error = ClassificationFailed("away")

    assert await reclassify(instance) == 1
    assert boards(world) == expected(("user-1", "SNS", 120.0), ("user-1", "Browsing", 120.0))
    assert len(world.stream.deferred) == 1


@pytest.mark.parametrize("error", [StoreOutage("away"), RedisOutage("away")])
async def test_an_outage_in_the_middle_is_waited_for_and_counts_nothing_twice(world: World, error: Exception) -> None:
    instance = Instance(world)
    await committed_without_llm(world, instance, [message(**STRANGE), message(**PAGE)])
    if isinstance(error, StoreOutage):
        world.store.error = error
    else:
        instance.commits.error, instance.commits.lose_replies = error, True
    stop = asyncio.Event()
    running = asyncio.create_task(instance.reclassification.run(stop))
    await until(lambda: bool(instance.seen.waiting), running)
    world.store.error = instance.commits.error = None
    await until(lambda: not world.stream.deferred, running)
    stop.set()
    await running

    assert boards(world) == expected(("user-1", "Documentation", 240.0))


async def test_a_document_that_is_refused_keeps_its_message_where_it_is(world: World) -> None:
    for number in (1, 2):
        await world.categorized.save_all([categorized(number, "Frobnicator")])
        await world.logs.save_all([usage_log(number)])
    instance = Instance(world)
    entries = [linked_message(number, **STRANGE, userId=f"user-{number}") for number in (1, 2)]
    await committed_without_llm(world, instance, entries)
    world.store.failing[log_id(2)] = "document failed validation"

    assert await reclassify(instance) == 1
    assert boards(world) == expected(("user-1", "Documentation", 120.0), ("user-2", "Uncategorized", 120.0))
    assert [record.pomodoro_usage_log_id for record in world.stream.deferred.values()] == [log_id(2)]
    world.store.failing.clear()
    assert await reclassify(instance) == 1
    assert boards(world) == expected(("user-1", "Documentation", 120.0), ("user-2", "Documentation", 120.0))


# Once


async def test_two_instances_at_once_move_each_message_once(world: World) -> None:
    one, two = Instance(world), Instance(world, "two")
    entries = [message(**STRANGE, userId=f"user-{number % 3}", title=str(number)) for number in range(60)]
    await committed_without_llm(world, one, entries)
    await two.classifier.load()
    await until(lambda: one.classifier.can_ask)
    moved = await asyncio.gather(*(it.reclassification.reclassify_all(asyncio.Event()) for it in (one, two)))

    assert sum(moved) == 60
    assert boards(world) == expected(*((f"user-{number}", "Documentation", 20 * 120.0) for number in range(3)))


async def test_a_message_that_has_moved_does_not_move_again(world: World) -> None:
    instance = Instance(world)
    await committed_without_llm(world, instance, [message(**STRANGE)])
    (record,) = world.stream.deferred.values()
    await reclassify(instance)
    before = boards(world)
    again = Move(record.id, "user-1", 120.0, ["leaderboard:Documentation:2025-09-02"], ["leaderboard:SNS:2025-M9"])

    assert (await instance.commits.commit(Commit(moves=[again, again]))).moved == 0
    assert boards(world) == before


# Documents and boards agree, whatever the deliveries decided


async def test_a_first_decision_that_was_written_and_not_counted_gives_way(world: World) -> None:
    """The first delivery was answered by the LLM, and died before its commit; the second finds no LLM."""
    instance = Instance(world)
    instance.commits.error = RedisOutage("away")
    (entry_id,) = world.add(message(**STRANGE))
    task = asyncio.create_task(instance.consumer.run(instance.stop))
    await until(lambda: bool(world.logs.documents), task)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await instance.llm_queue.aclose()
    assert [log.category_id for log in world.logs.documents.values()] == [DOCUMENTATION]
    world.categorized.documents.clear()  # and what the window was is known to nobody
    world.cache = type(world.cache)()
    world.stream.pending[entry_id] = "two"

    world.llm.error = ClassificationFailed("away")
    other = Instance(world, "two")
    async with other.running() as running:
        await until(lambda: other.seen.committed == 1, running)
    assert boards(world) == expected(("user-1", "Uncategorized", 120.0))
    world.llm.error, world.llm.name = None, UNCATEGORIZED

    assert await reclassify(other) == 1
    assert [log.category_id for log in world.logs.documents.values()] == [UNCATEGORIZED_ID]
    assert boards(world) == expected(("user-1", "Uncategorized", 120.0))


async def test_a_provisional_category_does_not_replace_one_that_another_instance_has_counted(world: World) -> None:
    await world.categorized.save_all([categorized(1, "Frobnicator")])
    await world.logs.save_all([usage_log(1)])
    for update in (world.categorized.update_category_all, world.logs.update_category_all):
        await update([CategoryUpdate([id_], DOCUMENTATION, True) for id_ in (data_id(1), log_id(1))])
    instance = Instance(world)
    await committed_without_llm(world, instance, [linked_message(1, **STRANGE)])

    assert world.logs.documents[log_id(1)].category_id == DOCUMENTATION
    assert world.categorized.documents[data_id(1)].category_id == DOCUMENTATION
