"""The way of a message through both lanes, on in-memory adapters: what waits for what, and what fails alone."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.errors import ClassificationFailed, GroupMissing, RedisOutage, StoreOutage, StoreRefused
from domains.kernel.resilience import Breaker
from domains.kernel.window import Window
from domains.patternClassifier.model import Classification
from domains.pomodoro.model import Session, usage_log_id
from infrastructure.memory.repositories import InMemoryCategoryPatternRepository
from tests.messages import (
    DEVELOPMENT,
    DOCUMENTATION,
    categorized,
    data_id,
    hex_id,
    linked_message,
    log_id,
    message,
    patterns,
    usage_log,
)
from tests.unit.pipeline_in_memory import LLM_LIMITS, STREAM, Instance, World, turns, until


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delays that are there to spare a server are of no use here."""
    monkeypatch.setattr(Breaker, "_delay", lambda self: 0.002)
    monkeypatch.setattr("domains.pomodoro.isolation._RETRY_ALONE_SECONDS", 0.001)


@pytest.fixture
def world() -> World:
    return World()


FAST = {"app": "Visual Studio Code"}
SLOW = {"app": "Frobnicator"}
TITLE = message()["title"]
BROWSING = hex_id(5)


# Both kinds of message


async def test_a_message_without_ids_gets_its_documents(world: World) -> None:
    (entry_id,) = world.add(message(duration="120.0"))
    async with Instance(world).running() as task:
        await until(lambda: not world.stream.pending and not world.stream.undelivered, task)

    (data,), (log,) = world.categorized.documents.values(), world.logs.documents.values()
    assert (data.window.app, data.category_id, data.is_llm_based) == ("Visual Studio Code", DEVELOPMENT, False)
    assert log.id == usage_log_id(STREAM, entry_id)
    assert (log.user_id, log.categorized_data_id, log.category_id) == ("user-1", data.id, DEVELOPMENT)
    assert (log.session, log.session_minutes, log.session_date) == (3, 25, date(2025, 9, 2))
    assert (log.timestamp, log.duration) == (1756771234.0, 120.0)
    assert world.seconds() == world.seconds(board="Development") == 120.0


async def test_a_long_url_and_title_are_kept_whole_in_the_document(world: World) -> None:
    url, title = "https://github.com/" + "a" * 20_000, "t" * 20_000
    world.add(message(app="", url=url, title=title))
    async with Instance(world).running() as task:
        await until(lambda: not world.stream.pending and not world.stream.undelivered, task)

    (data,) = world.categorized.documents.values()
    assert (data.window.url, data.window.title, data.category_id) == (url, title, DEVELOPMENT)


async def test_a_message_with_ids_sets_the_category_of_its_documents(world: World) -> None:
    await world.categorized.save_all([categorized(1, "Visual Studio Code")])
    await world.logs.save_all([usage_log(1)])
    world.add(linked_message(1))
    async with Instance(world).running() as task:
        await until(lambda: world.seconds() == 120.0, task)

    assert list(world.categorized.documents) == [data_id(1)]
    assert list(world.logs.documents) == [log_id(1)]
    assert world.categorized.documents[data_id(1)].category_id == DEVELOPMENT
    assert world.logs.documents[log_id(1)].category_id == DEVELOPMENT


async def test_patterns_that_come_one_after_another_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of a server that fills an empty store, or of an import, while the consumer waits for them."""
    monkeypatch.setattr("domains.pomodoro.reading._PATTERNS_SECONDS", 0.001)
    coming = patterns()

    class Filling(InMemoryCategoryPatternRepository):
        async def find_all(self) -> list[CategoryPattern]:
            found = await super().find_all()
            if coming:
                await self.save_all([coming.pop()])
            return found

    world = World(stored_patterns=[])
    world.patterns = Filling()
    world.add(message())
    async with Instance(world).running() as task:
        await until(lambda: not world.stream.pending and not world.stream.undelivered, task)

    assert not coming
    assert world.seconds(board="Development") == 120.0


async def test_a_known_window_keeps_its_category(world: World) -> None:
    await world.categorized.save_all([categorized(1, "Visual Studio Code", category_id=DOCUMENTATION)])
    world.add(message(app="Visual Studio Code", title=""))
    async with Instance(world).running() as task:
        await until(lambda: world.seconds(board="Documentation") == 120.0, task)

    assert world.seconds(board="Development") == 0
    assert [log.categorized_data_id for log in world.logs.documents.values()] == [data_id(1)]


async def test_many_messages_of_one_window_share_one_document(world: World) -> None:
    world.add(*[message(userId=f"user-{i}") for i in range(30)])
    async with Instance(world).running() as task:
        await until(lambda: world.seconds("user-29") == 120.0, task)

    assert len(world.categorized.documents) == 1
    assert len(world.logs.documents) == 30


async def test_what_the_llm_does_not_answer_is_uncategorized_and_remembered(world: World) -> None:
    world.llm.gate.set()
    world.llm.error = ClassificationFailed("no")
    world.add(message(**SLOW), message(**FAST))
    async with Instance(world).running() as task:
        await until(lambda: world.seconds(board="Uncategorized") == 120.0 and world.seconds() == 120.0, task)

    (record,) = world.stream.deferred.values()
    assert (record.window.app, record.category, record.duration) == ("Frobnicator", "Uncategorized", 120.0)
    assert world.logs.documents[record.pomodoro_usage_log_id].categorized_data_id == record.categorized_data_id


async def test_a_page_that_no_rule_knows_counts_as_unknown_until_the_llm_says_more(world: World) -> None:
    world.patterns.documents[BROWSING] = CategoryPattern(BROWSING, "Browsing", 9, ("Google Chrome",))
    page = {"app": "Google Chrome", "url": "https://zyzzyva.example/a"}
    world.llm.gate.set()
    world.llm.error = ClassificationFailed("no")
    world.add(message(**page), message(app="Google Chrome", title="", userId="no title"))
    async with Instance(world).running() as task:
        seconds = world.seconds
        await until(lambda: seconds(board="Uncategorized") == seconds("no title", "Browsing") == 120.0, task)

    assert [record.window.url for record in world.stream.deferred.values()] == [page["url"]]
    assert world.seconds(board="work") == 0


async def test_what_the_llm_could_not_tell_is_uncategorized_for_good(world: World) -> None:
    world.llm.gate.set()
    world.llm.name = "Uncategorized"
    world.add(message(**SLOW))
    async with Instance(world).running() as task:
        await until(lambda: world.seconds(board="Uncategorized") == 120.0, task)

    assert world.stream.deferred == {}


async def test_what_the_llm_did_not_answer_is_asked_about_again(world: World) -> None:
    world.llm.gate.set()
    world.llm.name = "Cooking"
    world.add(message(**SLOW))
    async with Instance(world).running() as task:
        await until(lambda: world.seconds(board="Uncategorized") == 120.0, task)

    assert len(world.stream.deferred) == 1


async def test_an_answer_that_comes_later_than_is_waited_for_serves_the_next_message(world: World) -> None:
    world.add(message(**SLOW))
    instance = Instance(world, llm_limits=replace(LLM_LIMITS, wait_seconds=0.01))
    async with instance.running() as task:
        await until(lambda: world.seconds(board="Uncategorized") == 120.0, task)
        world.llm.gate.set()
        await until(lambda: instance.memory.get(world.questions.of(Window("Frobnicator", "", TITLE))) is not None)
        world.add(message(**SLOW, userId="later"))
        await until(lambda: world.seconds("later", "Documentation") == 120.0, task)

    assert world.llm.asked == 1
    assert len(world.stream.deferred) == 1


# Two lanes


async def test_fast_messages_commit_while_slow_ones_wait(world: World) -> None:
    slow, *fast = world.add(message(**SLOW), *[message(**FAST) for _ in range(20)])
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: world.llm.asked == 1 and instance.seen.committed == 20, task)
        assert list(world.stream.pending) == [slow]
        assert world.seconds() == 20 * 120.0
        assert world.seconds(board="Documentation") == 0

        later = world.add(message(**FAST, userId="later"))
        await until(lambda: world.seconds("later") == 120.0, task)
        assert later[0] not in world.stream.pending

        world.llm.gate.set()
        await until(lambda: not world.stream.pending, task)
    assert len(fast) == 20
    assert world.seconds(board="Documentation") == 120.0
    (answered,) = [data for data in world.categorized.documents.values() if data.window.app == "Frobnicator"]
    assert (answered.category_id, answered.is_llm_based) == (DOCUMENTATION, True)


async def test_a_window_of_many_messages_is_asked_for_once(world: World) -> None:
    world.add(*[message(**SLOW, userId=f"user-{i}") for i in range(50)])
    instance = Instance(world, batch_size=10)
    async with instance.running() as task:
        await until(lambda: len(world.stream.pending) == 50, task)
        await turns()
        world.llm.gate.set()
        await until(lambda: instance.seen.committed == 50, task)

    assert world.llm.asked == 1


async def test_what_the_cache_knows_waits_for_nobody(world: World) -> None:
    known = message(app="Frobnicator", title="known")
    await world.cache.put_many({world.questions.of(Window("Frobnicator", "", "known")): "Documentation"})
    world.add(message(app="Frobnicator", title="new"), known | {"userId": "cached"})
    async with Instance(world).running() as task:
        await until(lambda: world.seconds("cached", "Documentation") == 120.0 and world.llm.asked == 1, task)


async def test_a_session_ends_when_its_last_message_is_committed(world: World) -> None:
    world.add(message(**SLOW), message(**FAST, isEnd="true"))
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: instance.seen.committed == 1, task)
        await turns()
        assert world.stream.ended == []
        world.llm.gate.set()
        await until(lambda: instance.seen.committed == 2, task)
        await until(lambda: bool(world.stream.ended), task)

    assert world.stream.ended == [Session("user-1", date(2025, 9, 2), 3)]


# What fails alone


async def test_poison_is_parked_and_its_neighbours_are_not_hindered(world: World) -> None:
    bad = message(duration="-1")
    before, poison, after = world.add(message(), bad, message())
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: not world.stream.pending and instance.seen.committed == 2, task)

    reason = "duration must be a finite number of seconds, 0 or more, not '-1'"
    (letter,) = world.stream.dead_letters
    assert (letter.entry_id, letter.reason, letter.fields, letter.deliveries) == (poison, reason, bad, 1)
    assert instance.seen.letters == [letter]
    assert world.seconds() == 240.0
    assert before < poison < after


async def test_a_message_whose_write_fails_is_parked_after_its_tries(world: World) -> None:
    ids = world.add(*[message(userId=f"user-{i}") for i in range(5)])
    world.store.failing[usage_log_id(STREAM, ids[2])] = "document failed validation"
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: len(world.stream.dead_letters) == 1 and not world.stream.pending, task)

    (letter,) = world.stream.dead_letters
    assert (letter.entry_id, letter.reason, letter.deliveries) == (ids[2], "document failed validation", 3)
    assert letter.fields == message(userId="user-2")
    assert instance.seen.failed == [(ids[2], n, "document failed validation") for n in (1, 2, 3)]
    assert [world.seconds(f"user-{i}") for i in range(5)] == [120.0, 120.0, 0.0, 120.0, 120.0]


async def test_a_failed_document_that_many_messages_share_parks_them_all(world: World) -> None:
    world.store.failing[data_id(1)] = "read only"
    ids = world.add(linked_message(1), message(userId="other"), linked_message(1))
    async with Instance(world).running() as task:
        await until(lambda: len(world.stream.dead_letters) == 2 and not world.stream.pending, task)

    assert {letter.entry_id for letter in world.stream.dead_letters} == {ids[0], ids[2]}
    assert world.seconds("other") == 120.0
    assert world.seconds() == 0.0


async def test_a_message_that_works_at_a_later_try_counts_once(world: World) -> None:
    (entry_id,) = world.add(message())
    world.store.failing[usage_log_id(STREAM, entry_id)] = "busy"
    instance = Instance(world, max_deliveries=100)
    async with instance.running() as task:
        await until(lambda: len(instance.seen.failed) == 2, task)
        world.store.failing.clear()
        await until(lambda: not world.stream.pending, task)

    assert world.seconds() == 120.0
    assert world.stream.dead_letters == []


@pytest.mark.parametrize("error", [StoreRefused("cannot encode"), TypeError("a bug")])
@pytest.mark.parametrize("position", [0, 3, 19])
async def test_a_batch_that_is_refused_as_a_whole_is_split_until_one_is_to_blame(
    world: World, error: Exception, position: int
) -> None:
    world.store.poison = error
    apps = ["Visual Studio Code"] * 20
    apps[position] = "poison"
    world.llm.gate.set()
    ids = world.add(*[message(app=app, userId=f"user-{i}") for i, app in enumerate(apps)])
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: len(world.stream.dead_letters) == 1 and not world.stream.pending, task)

    (letter,) = world.stream.dead_letters
    assert (letter.entry_id, letter.deliveries) == (ids[position], 3)
    assert letter.reason == f"{type(error).__name__}: {error}"
    assert [world.seconds(f"user-{i}") for i in range(20)] == [120.0 * (app != "poison") for app in apps]
    assert len(world.logs.documents) == 19


async def test_a_bug_in_the_llm_client_hinders_nobody(world: World) -> None:
    world.llm.gate.set()
    world.llm.error = RuntimeError("a bug")
    world.add(message(**SLOW), message(**FAST))
    async with Instance(world).running() as task:
        await until(lambda: not world.stream.pending and world.seconds() == 120.0, task)

    assert world.seconds(board="Uncategorized") == 120.0
    assert world.stream.dead_letters == []
    assert len(world.stream.deferred) == 1


async def test_rejected_messages_are_parked_in_commits_of_bounded_size(world: World) -> None:
    """JSON escapes may make six times as much of them, and a script's arguments have a limit."""
    world.add(*[message(duration="-1", title="x" * 300_000) for _ in range(5)])
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: len(world.stream.dead_letters) == 5, task)

    assert [len(letters) for letters in instance.commits.parked] == [2, 2, 1]


async def test_a_session_ends_with_its_end_though_this_one_fails_at_every_try(world: World) -> None:
    (entry_id,) = world.add(message(isEnd="true", app="poison"))
    world.llm.gate.set()
    world.store.poison = StoreRefused("never")
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: bool(world.stream.ended), task)

    assert [letter.entry_id for letter in world.stream.dead_letters] == [entry_id]
    assert world.stream.ended == [Session("user-1", date(2025, 9, 2), 3)]


# Outages


@pytest.mark.parametrize("fields", [message, linked_message], ids=["without ids", "with ids"])
async def test_a_store_that_is_away_stops_everything_and_loses_nothing(
    world: World, fields: Callable[..., dict[str, str]]
) -> None:
    entries = [fields(number) if fields is linked_message else fields() for number in range(110)]
    instance = Instance(world, batch_size=10, batch_max=10)
    async with instance.running() as task:
        await until(lambda: instance.source.calls["read_new"] > 0, task)
        world.store.error = StoreOutage("away")
        world.add(*entries[:10])
        await until(lambda: instance.seen.breakers == [("store", True)], task)
        reads = instance.source.calls["read_new"]
        world.add(*entries[10:])
        calls = world.store.calls
        await until(lambda: world.store.calls > calls + 20, task)

        assert instance.seen.breakers == [("store", True)], "an outage is told of once, and is not over"
        assert instance.source.calls["read_new"] <= reads + 1, "a read that was under way may bring one more batch"
        assert len(world.stream.pending) <= 20
        assert world.boards.boards == {}

        world.store.error = None
        await until(lambda: instance.seen.committed == 110, task)
    assert instance.seen.breakers == [("store", True), ("store", False)]
    assert world.stream.dead_letters == []
    assert instance.seen.failed == []
    assert world.seconds() == 110 * 120.0


async def test_an_answer_of_the_llm_does_not_say_that_the_store_is_back(world: World) -> None:
    world.add(message(**SLOW))
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: world.llm.asked == 1, task)
        world.store.error = StoreOutage("away")
        world.add(message(**FAST))
        await until(lambda: instance.seen.breakers == [("store", True)], task)
        world.llm.gate.set()
        calls = world.store.calls
        await until(lambda: world.store.calls > calls + 5, task)
        assert instance.seen.breakers == [("store", True)]

        world.store.error = None
        await until(lambda: instance.seen.committed == 2, task)
    assert world.llm.asked == 1


async def test_a_store_that_comes_back_is_noticed_while_the_llm_hangs(world: World) -> None:
    instance = Instance(world)
    async with instance.running() as task:
        world.add(linked_message(1, **SLOW))
        await until(lambda: world.llm.asked == 1, task)
        world.store.error = StoreOutage("away")
        world.add(message(**FAST, userId="fast"))
        await until(lambda: ("store", True) in instance.seen.breakers, task)
        await turns()
        world.store.error = None
        await until(lambda: world.seconds("fast") == 120.0, task)


async def test_a_missing_category_is_created_without_asking_the_llm_again(world: World) -> None:
    class Away(type(world.patterns)):  # type: ignore[misc]
        error: Exception | None = None

        async def save_all(self, patterns: object) -> None:
            if self.error is not None:
                raise self.error
            await super().save_all(patterns)

    world.patterns.__class__ = Away

    world.llm.name = "Music"
    world.llm.gate.set()
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: instance.source.calls["read_new"] > 0, task)
        Away.error = StoreOutage("away")
        world.add(message(**SLOW))
        await until(lambda: ("store", True) in instance.seen.breakers, task)
        Away.error = None
        await until(lambda: world.seconds(board="Music") == 120.0, task)

    assert world.llm.asked == 1


async def test_a_redis_that_is_away_is_waited_for(world: World) -> None:
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: instance.source.calls["read_new"] > 0, task)
        instance.source.error = instance.commits.error = RedisOutage("away")
        world.add(*[message()] * 30)
        await until(lambda: ("redis", True) in instance.seen.breakers, task)
        instance.source.error = instance.commits.error = None
        await until(lambda: instance.seen.committed == 30, task)

    assert instance.seen.breakers[-1] == ("redis", False)
    assert world.stream.dead_letters == []
    assert world.seconds() == 30 * 120.0


async def test_a_commit_that_is_not_possible_is_waited_for(world: World) -> None:
    instance = Instance(world)
    instance.commits.error = RedisOutage("away")
    world.add(*[message()] * 30)
    async with instance.running() as task:
        await until(lambda: ("redis", True) in instance.seen.breakers and len(world.stream.pending) == 30, task)
        instance.commits.error = None
        await until(lambda: instance.seen.committed == 30, task)

    assert world.seconds() == 30 * 120.0


async def test_a_commit_whose_reply_was_lost_counts_once(world: World) -> None:
    instance = Instance(world)
    instance.commits.error, instance.commits.lose_replies = RedisOutage("connection lost"), True
    world.add(*[message()] * 30)
    async with instance.running() as task:
        await until(lambda: not world.stream.pending and not world.stream.undelivered, task)
        await turns()
        instance.commits.error = None
        world.add(message(userId="later"))
        await until(lambda: world.seconds("later") == 120.0, task)

    assert world.seconds() == 30 * 120.0


async def test_a_group_that_vanished_is_made_anew(world: World) -> None:
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: instance.source.calls["read_new"] > 0, task)
        made = instance.source.calls["ensure_group"]
        assert made == 1
        instance.source.error = GroupMissing("NOGROUP")
        await until(lambda: instance.source.calls["ensure_group"] > made, task)
        instance.source.error = None
        world.add(message())
        await until(lambda: instance.seen.committed == 1, task)


async def test_what_a_lost_read_had_been_given_is_found(world: World) -> None:
    """The server has delivered and the reply is lost: entries are pending here, and nobody works on them."""
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: instance.source.calls["read_new"] > 0, task)
        asked = instance.source.calls["read_pending"]
        instance.source.error = RedisOutage("connection lost")
        await until(lambda: instance.source.calls["read_pending"] > asked, task)
        (entry_id,) = world.add(message())
        world.stream.undelivered.clear()
        world.stream.pending[entry_id] = "one"
        instance.source.error = None
        await until(lambda: instance.seen.committed == 1, task)


async def test_a_store_that_is_away_at_the_start_is_waited_for(world: World) -> None:
    world.store.error = StoreOutage("away")
    world.add(message())
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: ("store", True) in instance.seen.breakers, task)
        world.store.error = None
        await until(lambda: instance.seen.committed == 1, task)


# Bounds


async def test_reading_stops_at_the_bound_and_goes_on_below_it(world: World) -> None:
    gate = asyncio.Event()
    find = world.categorized.find_many_by_app_url_title_batch

    async def slowly(keys: object) -> object:
        await gate.wait()
        return await find(keys)  # type: ignore[arg-type]

    world.categorized.find_many_by_app_url_title_batch = slowly  # type: ignore[method-assign, assignment]
    world.add(*[message(title=str(i)) for i in range(40)])
    instance = Instance(world, max_in_flight=7, batch_size=3)
    most = 0
    async with instance.running() as task:
        await until(lambda: len(world.stream.pending) == 7, task)
        await turns()
        assert len(world.stream.pending) == 7
        assert len(world.stream.undelivered) == 33
        gate.set()

        def done() -> bool:
            nonlocal most
            most = max(most, len(world.stream.pending))
            return instance.seen.committed == 40

        await until(done, task)
    assert most <= 7


async def test_an_llm_that_hangs_holds_half_of_what_may_be_in_flight_at_most(world: World) -> None:
    world.add(*[message(app="Frobnicator", title=str(i)) for i in range(40)])
    instance = Instance(world, max_in_flight=8, batch_size=2, batch_max=2)
    async with instance.running() as task:
        await until(lambda: instance.seen.committed == 36, task)
        await turns()
        assert len(world.stream.pending) == world.llm.asked == 4
        world.add(message(**FAST, userId="fast"))
        await until(lambda: world.seconds("fast") == 120.0, task)
        world.llm.gate.set()
        await until(lambda: instance.seen.committed == 41, task)

    assert world.seconds(board="Documentation") == 4 * 120.0
    assert world.seconds(board="Uncategorized") == len(world.stream.deferred) * 120.0 == 36 * 120.0


async def test_no_more_batches_at_once_than_workers(world: World) -> None:
    gate, now, most = asyncio.Event(), 0, 0
    find = world.categorized.find_many_by_app_url_title_batch

    async def slowly(keys: object) -> object:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await gate.wait()
        now -= 1
        return await find(keys)  # type: ignore[arg-type]

    world.categorized.find_many_by_app_url_title_batch = slowly  # type: ignore[method-assign, assignment]
    world.add(*[message()] * 100)
    instance = Instance(world, worker_pool_size=3, batch_size=5, batch_max=5)
    async with instance.running() as task:
        await until(lambda: now == 3, task)
        await turns()
        assert len(world.stream.pending) == 15
        gate.set()
        await until(lambda: instance.seen.committed == 100, task)

    assert most == 3


# Several instances


async def test_nothing_counts_twice_when_instances_hold_the_same_messages(world: World) -> None:
    """In memory, whatever others hold counts as abandoned: both instances take it from each other all the time."""
    apps = ["Visual Studio Code", "Frobnicator", "Notion", "카카오톡"]
    world.add(*[message(app=apps[i % 4], title=str(i % 7), isEnd="true", session=str(i)) for i in range(400)])
    one, two = (Instance(world, name, batch_size=7) for name in ("one", "two"))
    async with one.running() as first, two.running() as second:
        await until(lambda: world.llm.asked > 0, first, second)
        await turns(200)
        world.llm.gate.set()
        await until(lambda: one.seen.committed + two.seen.committed == 400, first, second)
        await until(lambda: len(world.stream.ended) == 400, first, second)

    assert {board: world.seconds(board=board) for board in ("Development", "Documentation", "SNS", "work")} == {
        "Development": 100 * 120.0,
        "Documentation": 200 * 120.0,
        "SNS": 100 * 120.0,
        "work": 300 * 120.0,
    }
    assert len(world.logs.documents) == 400
    assert len(world.categorized.documents) == 28
    assert world.stream.dead_letters == []


async def test_a_log_that_comes_again_counts_once_and_its_documents_stay_as_they_are(world: World) -> None:
    """The second time its window has another category, as after a change of the patterns."""
    await world.categorized.save_all([categorized(1, "Visual Studio Code", "", "")])
    await world.logs.save_all([usage_log(1)])
    instance = Instance(world)
    world.stream._added = 10_000  # seconds after its creation, so that a log may have been sent before
    async with instance.running() as task:
        world.add(linked_message(1, app="Visual Studio Code"))
        await until(lambda: instance.seen.committed == 1, task)
        world.add(linked_message(1, app="카카오톡", isEnd="true"))
        await until(lambda: bool(world.stream.ended), task)

    assert world.seconds(board="SNS") == 0.0
    assert {world.logs.documents[log_id(1)].category_id} == {DEVELOPMENT}
    assert {world.categorized.documents[data_id(1)].category_id} == {DEVELOPMENT}


async def test_what_another_one_left_stays_there_while_the_store_is_away(world: World) -> None:
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: instance.source.calls["read_new"] > 0, task)
        world.store.error = StoreOutage("away")
        world.add(message(**FAST, userId="fast"))
        await until(lambda: ("store", True) in instance.seen.breakers, task)
        claims = instance.source.calls["claim_abandoned"]
        world.stream.pending["0-1"] = "dead"
        await turns(200)
        assert instance.source.calls["claim_abandoned"] == claims
        del world.stream.pending["0-1"]
        world.store.error = None
        await until(lambda: world.seconds("fast") == 120.0, task)


async def test_what_another_one_left_is_taken_over(world: World) -> None:
    entry_id, bad_id = world.add(message(), message(duration="x"))
    world.stream.undelivered.clear()
    world.stream.pending = {entry_id: "dead", bad_id: "dead"}
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: not world.stream.pending, task)

    assert world.seconds() == 120.0
    assert [letter.entry_id for letter in world.stream.dead_letters] == [bad_id]


async def test_what_it_held_itself_before_a_restart_comes_first(world: World) -> None:
    ids = world.add(*[message()] * 120)
    world.stream.undelivered.clear()
    world.stream.pending = dict.fromkeys(ids, "one")
    instance = Instance(world, batch_size=50)
    async with instance.running() as task:
        await until(lambda: instance.seen.committed == 120, task)
        await until(lambda: instance.source.calls["read_new"] > 0, task)

    assert instance.source.calls["read_pending"] >= 3
    assert world.seconds() == 120 * 120.0


# Stopping


async def test_a_stop_finishes_what_is_in_flight(world: World) -> None:
    world.add(message(**SLOW), message(**FAST))
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: world.llm.asked == 1 and instance.seen.committed == 1, task)
        instance.stop.set()
        await until(lambda: instance.seen.in_flight is not None, task)
        assert instance.seen.in_flight == 1
        world.llm.gate.set()
        assert await task == 0

    assert instance.seen.left == 0
    assert world.seconds(board="Documentation") == 120.0


async def test_after_a_stop_nothing_more_is_read(world: World) -> None:
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: instance.source.calls["read_new"] > 0, task)
        instance.stop.set()
        await task
        world.add(message())
        await turns()

    assert len(world.stream.undelivered) == 1
    assert instance.source.calls["leave"] == 1


async def test_what_is_late_at_the_deadline_stays_pending(world: World) -> None:
    slow, *_ = world.add(message(**SLOW), message(**FAST))
    instance = Instance(world, shutdown_timeout_seconds=0.05)
    task = asyncio.create_task(instance.consumer.run(instance.stop))
    await until(lambda: world.llm.asked == 1 and instance.seen.committed == 1, task)
    instance.stop.set()

    assert await asyncio.wait_for(task, 60) == 1
    assert instance.seen.left == 1
    assert list(world.stream.pending) == [slow]
    assert world.seconds(board="Documentation") == 0
    assert world.stream.dead_letters == []
    await instance.llm_queue.aclose()
    assert not [other for other in asyncio.all_tasks() if other is not asyncio.current_task()]

    async with Instance(world, "two").running() as task:  # and the next one finds it
        world.llm.gate.set()
        await until(lambda: not world.stream.pending, task)
    assert world.seconds(board="Documentation") == 120.0


@pytest.mark.parametrize("error", [RedisOutage("away"), GroupMissing("NOGROUP")])
async def test_a_stop_during_an_outage_ends_at_the_deadline(world: World, error: RedisOutage) -> None:
    instance = Instance(world, shutdown_timeout_seconds=0.05)
    task = asyncio.create_task(instance.consumer.run(instance.stop))
    await until(lambda: instance.source.calls["read_new"] > 0, task)
    instance.source.error = error
    await until(lambda: ("redis", True) in instance.seen.breakers, task)
    instance.stop.set()

    assert await asyncio.wait_for(task, 60) == 0


async def test_a_stop_before_the_first_read(world: World) -> None:
    instance = Instance(world)
    instance.stop.set()

    assert await asyncio.wait_for(instance.consumer.run(instance.stop), 60) == 0


async def test_a_bug_in_a_loop_ends_the_consumer_and_is_seen(world: World) -> None:
    instance = Instance(world)
    task = asyncio.create_task(instance.consumer.run(instance.stop))
    await until(lambda: instance.source.calls["read_new"] > 0, task)
    instance.source.error = ZeroDivisionError("a bug")

    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(task, 60)
    assert caught.group_contains(ZeroDivisionError)


async def test_a_classification_is_what_the_documents_say(world: World) -> None:
    """The board and the documents of a message never name different categories."""
    world.llm.gate.set()
    world.add(*[message(app=app, userId=app) for app in ("Visual Studio Code", "Frobnicator", "카카오톡")])
    instance = Instance(world)
    async with instance.running() as task:
        await until(lambda: instance.seen.committed == 3, task)

    snapshot = instance.classifier.snapshot
    for log in world.logs.documents.values():
        data = world.categorized.documents[log.categorized_data_id]
        classification = snapshot.stored(data.category_id, data.is_llm_based, data.window)
        assert isinstance(classification, Classification)
        assert log.category_id == data.category_id
        assert world.seconds(log.user_id, classification.category) == 120.0
