"""What an operator looks at and asks for: dead letters, failed scores, figures of the streams, and tasks."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from domains.leaderboard.model import LeaderboardEntry
from domains.operations.counters import SPANS, Flush, Totals
from domains.operations.model import Entry, LetterSummary, Selection, TaskRun, TaskState, TaskStatus
from domains.operations.service import (
    chosen_letters,
    grouped_letters,
    outcome_of,
    outcomes_within,
    replay_letters,
)
from domains.pomodoro.model import Commit, DeadLetter, DeadLetterKind
from infrastructure.redis.keys import INSTANCE, CounterKeys
from infrastructure.spring.message_parser import ORIGIN_FIELD
from infrastructure.spring.replayed_message import REPLAYS_FIELD, past_replays
from tests.contract.operations_side import (
    MemoryOperations,
    Operations,
    RedisOperations,
    fail_scores,
    park,
    redis_operations,
)
from tests.messages import message
from tests.servers import RedisServer, redis_cluster

BOARDS = ["leaderboard:Development:2025-09-02", "leaderboard:work:2025-M9", "leaderboard:work:2025-W36"]
KINDS = ["memory", "redis-resp3", "redis-6.2-resp2", "cluster"]


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@pytest.fixture(params=KINDS)
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Operations]:
    match request.param:
        case "memory":
            yield MemoryOperations()
        case "cluster":
            (server, *_) = request.getfixturevalue("masters")
            async with redis_operations(server, tmp_path, redis_cluster=True) as operations:
                yield operations
        case kind:
            server = request.getfixturevalue("redis_62" if "6.2" in kind else "redis_server")
            async with redis_operations(server, tmp_path, redis_protocol=int(kind[-1])) as operations:
                yield operations


async def letters_of(side: Operations) -> list[LetterSummary]:
    return [letter async for letter in side.letters.all()]


async def reasons_of(side: Operations) -> list[str]:
    return [letter.reason for letter in await letters_of(side)]


# Dead letters


async def test_a_letter_has_all_that_was_known_when_it_was_parked(side: Operations) -> None:
    fields = {"userId": "김민수", "title": "🍅\udcff", "": ""}
    letter = DeadLetter("", "이유", fields, 4, True, kind=DeadLetterKind.NOT_UTF8, public_reason="why")

    (original_id,) = await park(side, 1, letter)

    (summary,) = await letters_of(side)
    kept = await side.letters.get(summary.id)
    assert kept is not None
    assert asdict(kept) == {**asdict(summary), "fields": fields}
    assert kept.user_id == "김민수"
    assert (kept.stream, kept.original_id, kept.deliveries, kept.truncated) == (side.streams[1], original_id, 4, True)
    assert (kept.kind, kept.reason, kept.public_reason) == (DeadLetterKind.NOT_UTF8, "이유", "why")
    assert kept.time > 1.7e9


async def test_all_come_by_partition_and_age(side: Operations) -> None:
    for partition, reason in ((1, "first"), (0, "second"), (0, "third")):
        await park(side, partition, reason)

    assert await reasons_of(side) == ["second", "third", "first"]


async def test_the_latest_of_all_partitions_come_first(side: Operations) -> None:
    for partition, reason in ((0, "a"), (1, "b"), (0, "c"), (1, "not this"), (1, "d")):
        await park(side, partition, reason)
        await asyncio.sleep(0.002)  # times are kept in milliseconds

    def short(letter: LetterSummary) -> bool:
        return len(letter.reason) == 1

    latest = await side.letters.page(3, short)
    await side.letters.drop(latest.letters[-1:])  # a cursor outlives its letter
    rest = await side.letters.page(3, short, latest.next)

    assert [letter.reason for letter in latest.letters] == ["d", "c", "b"]
    assert ([letter.reason for letter in rest.letters], rest.next) == (["a"], None)


async def test_pages_have_every_letter_once(side: Operations) -> None:
    for partition in range(2):
        await park(side, partition, *(f"{partition}:{number}" for number in range(20)))
    seen, cursor = list[LetterSummary](), None
    while True:
        page = await side.letters.page(7, lambda letter: not letter.reason.endswith("3"), cursor)
        seen, cursor = [*seen, *page.letters], page.next
        if cursor is None:
            break

    assert sorted(letter.reason for letter in seen) == sorted(
        f"{partition}:{number}" for partition in range(2) for number in range(20) if number % 10 != 3
    )
    assert [letter.time for letter in seen] == sorted((letter.time for letter in seen), reverse=True)


async def test_a_letter_is_found_by_its_id(side: Operations) -> None:
    await park(side, 0, "other")
    await park(side, 1, "other", "wanted")
    wanted = (await letters_of(side))[2]

    found = await side.letters.get(wanted.id)
    assert found is not None
    assert (found.id, found.reason, found.fields) == (wanted.id, "wanted", message())
    assert await side.letters.get("1-999999") is None


async def test_a_replayed_message_is_on_its_stream_again_once(side: Operations) -> None:
    (original_id,) = await park(side, 1, "wrong")
    (letter,) = await letters_of(side)

    new_id = await side.letters.replay(letter)

    assert new_id is not None
    entry = dict(await side.entry(1, new_id))
    (past,) = past_replays({REPLAYS_FIELD: entry.pop(REPLAYS_FIELD)})
    assert entry == message() | {ORIGIN_FIELD: original_id}
    assert (past.parked, past.kind, past.reason) == (letter.time, letter.kind, letter.public_reason)
    assert past.parked - 60 < past.replayed < past.parked + 60
    assert await letters_of(side) == []
    assert await side.letters.replay(letter) is None
    assert len((await side.sources[1].read_new(10, 10)).messages) == 1


async def test_a_message_keeps_the_id_under_which_it_first_came(side: Operations) -> None:
    (first_id,) = await park(side, 0, "wrong")
    for _ in range(2):
        (letter,) = await letters_of(side)
        await side.letters.replay(letter)
        (again,) = (await side.sources[0].read_new(1, 1000)).messages
        await side.commits[0].commit(Commit(dead_letters=[DeadLetter(again.entry_id, "again", again.fields)]))

    assert again.origin_id == first_id != again.entry_id
    first, second = past_replays(again.fields)
    assert first.parked <= second.parked


async def test_a_message_is_corrected_on_its_way_back(side: Operations) -> None:
    await park(side, 1, DeadLetter("", "wrong", message(duration="-1", url="x")))
    (letter,) = await letters_of(side)

    new_id = await side.letters.replay(letter, {"duration": "1.5", "url": None, "app": "Figma"})

    assert new_id is not None
    entry = await side.entry(1, new_id)
    assert (entry["duration"], entry["app"], "url" in entry) == ("1.5", "Figma", False)


async def test_what_became_of_a_replayed_message(side: Operations) -> None:
    await park(side, 1, "committed", "died", "held", "undelivered")
    entries = [Entry(letter.stream, str(await side.letters.replay(letter))) for letter in await letters_of(side)]
    assert await side.letters.outcomes(entries) == {}
    committed, died, _, _ = entries
    await side.sources[1].read_new(3, 1000)
    await side.commits[1].commit(Commit([LeaderboardEntry("u", ("leaderboard:x",), [committed.id], [1.0])]))
    await side.commits[1].commit(Commit(dead_letters=[DeadLetter(died.id, "again", message())]))

    found = await outcomes_within(side.letters, entries, seconds=0)

    (letter,) = await letters_of(side)
    assert found == {committed: None, died: letter}
    assert [outcome_of(entry, found) for entry in entries] == ["committed", "died", "waiting", "waiting"]


async def test_letters_are_grouped_by_kind_and_public_reason(side: Operations) -> None:
    def invalid(value: str) -> DeadLetter:
        kind = DeadLetterKind.INVALID_FIELD
        return DeadLetter("", f"duration must not be {value}", {}, kind=kind, public_reason="duration must not be …")

    await park(side, 0, "failed", invalid("-1"), invalid("-2"))
    await park(side, 1, invalid("-3"))

    groups = await grouped_letters(side.letters, Selection())

    assert [(it.kind, it.reason, it.size) for it in groups] == [
        ("invalid_field", "duration must not be …", 3),
        ("failed", "it failed by itself at every try", 1),
    ]
    assert all(it.oldest <= it.latest for it in groups)


async def test_no_more_are_replayed_than_wanted_and_none_that_came_back_since(side: Operations) -> None:
    await park(side, 0, "a", "b", DeadLetter("", "cut", {}, truncated=True), "c")
    until = max(letter.time for letter in await letters_of(side))
    await asyncio.sleep(0.002)
    await park(side, 0, "later")

    done = [len((await replay_letters(side.letters, Selection(until=until), limit=2)).replayed) for _ in range(3)]

    assert done == [2, 1, 0]
    assert await reasons_of(side) == ["cut", "later"]


async def test_dropped_letters_are_gone(side: Operations) -> None:
    await park(side, 0, "a", "b")
    await park(side, 1, "c")
    letters = await letters_of(side)

    assert await side.letters.drop([letters[0], letters[2]]) == 2
    assert await side.letters.drop(letters) == 1
    assert await letters_of(side) == []
    assert await side.letters.drop([]) == 0


async def test_letters_are_chosen_by_reason_age_and_id(side: Operations) -> None:
    await park(side, 0, "The Store is full", "not so")
    first, second = await letters_of(side)

    async def chosen(**by: object) -> list[LetterSummary]:
        return await chosen_letters(side.letters, Selection(**by))  # type: ignore[arg-type]

    assert await chosen() == [first, second]
    assert await chosen(reason="STORE") == [first]
    assert await chosen(older_than="1h") == []
    assert await chosen(ids=[second.id]) == [second]
    assert await chosen(ids=[second.id], reason="store") == []
    assert await chosen(kind="failed") == [first, second]
    assert await chosen(kind="one_id") == []
    assert await chosen(text="USER-1", reason="not") == [second]
    assert await chosen(text=first.original_id, kind="failed") == [first]
    assert await chosen(text="store", public=True) == [], "the reason may quote the message"


async def test_a_letter_that_was_cut_is_left_and_the_others_are_replayed(side: Operations) -> None:
    await park(side, 0, "good", DeadLetter("", "cut", {"userId": "u"}, truncated=True), "good, too")
    good, cut, good_too = await letters_of(side)

    done = await replay_letters(side.letters, Selection())

    assert done.replayed.keys() == {good.id, good_too.id}
    assert done.left == {cut.id: "its fields were cut because of their size"}
    assert await letters_of(side) == [cut]


# Failed scores


async def test_what_a_board_cannot_take_is_kept(side: Operations) -> None:
    await side.refuse(BOARDS[0], True)
    for partition, user in ((1, "b"), (0, "c"), (0, "a\nb"), (0, "c")):
        await fail_scores(side, partition, BOARDS, user, 1.5)

    kept = [(score.stream, score.board, score.user_id, score.seconds) for score in await side.scores.all()]

    assert kept == [
        (side.streams[0], BOARDS[0], "a\nb", 1.5),
        (side.streams[0], BOARDS[0], "c", 3.0),
        (side.streams[1], BOARDS[0], "b", 1.5),
    ]
    assert await side.board(BOARDS[1]) == {"a\nb": 1.5, "b": 1.5, "c": 3.0}


async def test_a_kept_score_is_replayed_once(side: Operations) -> None:
    await side.refuse(BOARDS[0], True)
    await fail_scores(side, 0, BOARDS, "u", 2.5)
    (kept,) = await side.scores.all()
    await side.refuse(BOARDS[0], False)

    assert [await side.scores.replay(kept) for _ in range(2)] == [True, True]

    assert await side.board(BOARDS[0]) == {"u": 2.5}
    assert await side.scores.all() == []


async def test_a_board_that_still_refuses_loses_nothing(side: Operations) -> None:
    await side.refuse(BOARDS[0], True)
    await fail_scores(side, 0, BOARDS, "u", 2.5)
    (kept,) = await side.scores.all()

    await side.scores.replay(kept)
    for commits in side.commits:
        await commits.commit(Commit())

    assert await side.scores.all() == [kept]


# Figures


async def test_figures_of_nothing(side: Operations) -> None:
    figures = await side.figures.streams()

    assert [it.stream for it in figures] == list(side.streams)
    for it in figures:
        assert (it.entries, it.undelivered, it.pending, it.undelivered_exact) == (0, 0, 0, True)
        assert it.oldest_undelivered_seconds == it.oldest_pending_seconds == 0.0
        assert it.dead_letters == it.failed_scores == it.unannounced_sessions == it.deferred == 0
    await side.figures.ping()


async def test_a_stream_is_used_once_it_has_had_an_entry(side: Operations) -> None:
    for stream in side.streams:
        assert not await side.figures.ever_used(stream)
    await side.add(1, message())

    assert [await side.figures.ever_used(stream) for stream in side.streams] == [False, True]
    assert not await side.figures.ever_used(f"{side.streams[0]}:no such stream")


async def test_figures_count_what_waits_what_is_held_and_what_was_parked(side: Operations) -> None:
    await park(side, 1, "wrong")
    await side.refuse(BOARDS[0], True)
    await fail_scores(side, 1, BOARDS, "u", 1.0)
    for _ in range(5):
        await side.add(1, message())
    await side.sources[1].read_new(2, 1000)
    _, figures = await side.figures.streams()

    assert (figures.undelivered, figures.pending, figures.entries) == (3, 2, 7)
    assert (figures.dead_letters, figures.failed_scores) == (1, 1)
    assert 0.0 <= figures.oldest_pending_seconds < 60
    assert 0.0 <= figures.oldest_undelivered_seconds < 60
    (instance,) = figures.instances
    assert instance.name.endswith("one")
    assert (instance.pending, 0.0 <= instance.idle_seconds < 60) == (2, True)


# Tasks


async def test_requests_are_taken_in_their_order_and_stay_until_they_are_finished(side: Operations) -> None:
    queue = await side.queue()
    for request in ("one", "two \udcff", "one"):
        await queue.send(request)

    taken = [await queue.take(1) for _ in range(2)]

    assert taken == ["one", "two \udcff"]
    assert (await queue.turn()).left_behind == "one"
    await queue.finished("one")
    assert (await queue.turn()).left_behind == "two \udcff"
    await queue.finished("two \udcff")
    assert (await queue.turn()).left_behind is None
    assert await queue.take(1) == "one"


async def test_a_request_is_waited_for(side: Operations) -> None:
    queue = await side.queue()
    taking = asyncio.create_task(queue.take(30))
    await asyncio.sleep(0)
    await queue.send("late")

    assert await asyncio.wait_for(taking, 30) == "late"
    assert await queue.take(1) is None


async def test_one_instance_at_a_time_has_the_lease(side: Operations) -> None:
    one, other = await side.queue(), await side.queue()
    await one.send("work")

    assert [(await queue.turn()).ours for queue in (one, other, one)] == [True, False, True]
    await one.take(1)
    assert (await other.turn()).left_behind is None, "that is the holder's to run"
    await side.end_lease()
    turn = await other.turn()
    assert (turn.ours, turn.left_behind) == (True, "work")
    assert not (await one.turn()).ours


async def test_a_change_of_the_patterns_is_seen_by_every_instance(side: Operations) -> None:
    one, other = await side.queue(), await side.queue()
    before = [(await queue.turn()).patterns for queue in (one, other)]

    await other.patterns_changed()

    after = [(await queue.turn()).patterns for queue in (one, other)]
    assert before[0] == before[1] != after[0] == after[1]


async def test_of_a_schedule_one_request_a_time_is_sent(side: Operations) -> None:
    one, other = await side.queue(), await side.queue()

    sent = [
        await queue.send_scheduled("work * * * * *", due, f"work {due}")
        for queue, due in ((one, 60.0), (other, 60.0), (one, 59.5), (other, 120.0), (one, 120.0))
    ]

    assert sent == [True, False, False, True, False]
    assert [await one.take(1) for _ in range(3)] == ["work 60.0", "work 120.0", None]


async def test_a_schedule_remembers_until_when_it_was_sent(side: Operations) -> None:
    one, other = await side.queue(), await side.queue()

    assert await one.scheduled_until("a", 1000.25) == 1000.25
    assert await other.scheduled_until("a", 2000.0) == 1000.25, "since then it is watched"
    await one.send_scheduled("a", 3000.0, "work")
    assert await other.scheduled_until("a", 4000.0) == 3000.0
    assert await other.scheduled_until("b", 4000.0) == 4000.0


async def test_requests_that_nobody_serves_are_counted(side: Operations) -> None:
    queue = await side.queue()
    assert await queue.unserved() == 0
    for _ in range(3):
        await queue.send("work")

    assert await queue.unserved() == 3
    await queue.turn()
    assert await queue.unserved() == 0
    await side.end_lease()
    assert await queue.unserved() == 3


async def test_statuses_reach_whoever_listens_in_their_order(side: Operations) -> None:
    queue = await side.queue()
    told = [
        TaskStatus(TaskState.STARTED, "ping", "1", "2025-09-02T00:00:00.000+00:00", {}),
        TaskStatus(TaskState.PROGRESS, "ping", 7, "2025-09-02T00:00:01.000+00:00", {"logs": 3, "of": ["a", None]}),
        TaskStatus(TaskState.FAILED, "", None, "2025-09-02T00:00:02.000+00:00", {"reason": "이유 \udcff"}),
    ]
    await queue.publish(told[0])  # before anybody listens
    async with (await side.queue()).statuses() as one, queue.statuses() as other, asyncio.timeout(30):
        for status in told:
            await queue.publish(status)

        for heard in (one, other):
            assert [await anext(heard) for _ in told] == told


async def test_of_tasks_begin_and_end_are_kept(side: Operations) -> None:
    def status(state: TaskState, second: int, task_id: str = "1", **data: object) -> TaskStatus:
        return TaskStatus(state, "ping", task_id, f"2025-09-02T00:00:{second:02}.000+00:00", data)

    queue = await side.queue()
    assert await queue.runs(10) == []
    told = [
        status(TaskState.STARTED, 0),
        status(TaskState.PROGRESS, 1, logs=3),
        status(TaskState.COMPLETED, 2, moved=4),
        status(TaskState.COMPLETED, 2, moved=4),  # told again, since its reply was lost
        status(TaskState.FAILED, 3, "2", reason="there is no such task"),
        status(TaskState.STARTED, 4),
    ]
    for each in told:
        await queue.publish(each)

    running, refused, done = await (await side.queue()).runs(10)
    assert running == TaskRun("ping", "1", TaskState.STARTED, told[5].time, None, {})
    assert refused == TaskRun("ping", "2", TaskState.FAILED, told[4].time, told[4].time, told[4].data)
    assert done == TaskRun("ping", "1", TaskState.COMPLETED, told[0].time, told[2].time, {"moved": 4})
    assert await queue.runs(1) == [running]


async def test_the_history_of_tasks_is_bounded_and_hinders_no_task(side: Operations) -> None:
    side = only_redis(side)
    queue, key = await side.queue(), side.container.task_keys().history
    large = TaskStatus(TaskState.COMPLETED, "ping", "1", "2025-09-02T00:00:00.000+00:00", {"text": "x" * 100_000})
    await queue.publish(large)
    ((_, kept),) = await side.redis.xrange(key)
    assert len(kept["status"]) < 1000
    await side.redis.delete(key)
    await side.redis.set(key, "of the wrong type")

    async with queue.statuses() as heard, asyncio.timeout(30):
        await queue.publish(large)
        assert await anext(heard) == large


# The audit


async def test_changes_come_page_by_page(side: Operations) -> None:
    audit = only_redis(side).container.audit()
    for number in range(5):
        await audit.note("kim", "changed", str(number), "done")

    pages, cursor = list[list[str]](), None
    while not pages or cursor is not None:
        changes, cursor = await audit.page(2, cursor)
        pages.append([change.item for change in changes])

    assert pages == [["4", "3"], ["2", "1"], ["0"]]


# Counters


async def test_counts_add_up_in_the_totals_and_in_the_buckets_of_their_time(side: Operations) -> None:
    hour = 1_756_771_200.0
    await side.counters.add(Flush("one", 1, hour + 3000, {"committed": 2, "category:SNS": 1.25}))
    await side.counters.add(Flush("other", 1, hour + 3599, {"committed": 3}))
    await side.counters.add(Flush("one", 2, hour + 3601, {"committed": 5, "category:SNS": 0.5}))

    assert await side.counters.totals() == Totals(hour + 3000, {"committed": 10, "category:SNS": 1.75})
    for span, then in (("30d", [(0, 5), (3600, 5)]), ("24h", [(3000, 2), (3300, 3), (3600, 5)])):
        history = await side.counters.history(SPANS[span], hour + 3601)
        assert len(history) == SPANS[span].points
        assert [(it.start - hour, it.counts["committed"]) for it in history if it.counts] == then
    assert len(history[-1].counts) == 2


async def test_buckets_keep_the_greatest_of_a_peak_and_totals_none(side: Operations) -> None:
    hour = 1_756_771_200.0
    for number, (later, waiting) in enumerate(((0, 7.0), (1, 9.0), (2, 8.5), (61, 0.0)), 1):
        await side.counters.add(Flush("one", number, hour + later, {"peak:waiting": waiting}))

    assert await side.counters.totals() == Totals(None, {})
    for span, then in (("1h", [9.0, 0.0]), ("30d", [9.0])):
        history = await side.counters.history(SPANS[span], hour + 61)
        assert [it.counts["peak:waiting"] for it in history if it.counts] == then


async def test_a_flush_counts_once_however_often_it_comes(side: Operations) -> None:
    first, second = Flush("one", 1, 1_756_771_200.0, {"committed": 2}), Flush("one", 2, 1_756_771_201.0, {"x": 1})
    for flush in (first, first, second, first, second):
        await side.counters.add(flush)

    assert (await side.counters.totals()).counts == {"committed": 2, "x": 1}
    assert await side.counters.history(SPANS["1h"], 1_756_771_202.0) != []


async def test_nothing_was_counted_at_first(side: Operations) -> None:
    assert await side.counters.totals() == Totals(None, {})


async def test_only_hours_are_kept_for_long(side: Operations) -> None:
    side = only_redis(side)
    await side.counters.add(Flush("one", 1, 1_756_771_200.0, {"committed": 2}))
    keys = CounterKeys()

    kept = {step: await side.redis.ttl(keys.bucket(step, 1_756_771_200)) for step, _ in SPANS.values()}

    assert {step: round(seconds, -1) for step, seconds in kept.items()} == {
        10: 600, 60: 7200, 300: 172_800, 3600: 35 * 86_400,
    }  # fmt: skip
    assert await side.redis.ttl(keys.totals) == -1


async def test_a_counter_of_the_wrong_type_hinders_no_other(side: Operations) -> None:
    side = only_redis(side)
    await side.redis.set(CounterKeys().bucket(60, 1_756_771_200), "of somebody else")
    await side.redis.hset(CounterKeys().totals, "committed", "many")

    await side.counters.add(Flush("one", 1, 1_756_771_200.0, {"committed": 2, "dead_letters": 1}))

    assert (await side.counters.totals()).counts == {"dead_letters": 1}
    assert (await side.counters.history(SPANS["30d"], 1_756_771_200.0))[-1].counts["committed"] == 2


# What instances tell of themselves


async def test_what_an_instance_told_last_is_kept_under_its_name(side: Operations) -> None:
    for name, snapshot in (("one", "1"), ("other", "2"), ("one", "3")):
        await side.snapshots.put(name, snapshot)

    assert [await side.snapshots.get(name) for name in ("one", "other", "nobody")] == ["3", "2", None]


async def test_what_an_instance_told_ends_soon_after_it(side: Operations) -> None:
    side = only_redis(side)
    await side.snapshots.put("one", "1")

    assert 0 < await side.redis.ttl(f"{INSTANCE}one") <= 20


# What somebody else has written, or another version


def only_redis(side: Operations) -> RedisOperations:
    if not isinstance(side, RedisOperations):
        pytest.skip("in memory, nobody else writes")
    return side


async def test_a_foreign_entry_among_the_letters_hinders_none(side: Operations) -> None:
    side = only_redis(side)
    foreign = [{"a": "b"}, {"fields": "[1]", "reason": "x", "originalId": "1-1", "deliveryCount": "1", "time": "1"}]
    for fields in foreign:
        await side.redis.xadd(side.keys[0].dead_letters, fields)
    (parked,) = await park(side, 0, "broken")

    letters = [letter async for letter in side.letters.all()]
    replay = await replay_letters(side.letters, Selection())

    assert [letter.kind for letter in letters] == [DeadLetterKind.UNKNOWN, DeadLetterKind.UNKNOWN, letters[2].kind]
    assert [letter.original_id for letter in letters][2:] == [parked]
    assert len(replay.replayed) == 1
    assert all("not a dead letter" in reason for reason in replay.left.values())
    assert len(replay.left) == 2


async def test_letters_of_an_earlier_and_of_a_later_version_are_replayed(side: Operations) -> None:
    side = only_redis(side)
    fields = {"reason": "why", "originalId": "1-1", "deliveryCount": "1", "time": "1.5", "truncated": "false"}
    earlier = fields | {"fields": json.dumps(message(userId="ann"))}
    later = earlier | {"kind": "of_another_version", "publicReason": "?", "userId": "ann", "more": "x" * 100_000}
    for version in (earlier, later):
        await side.redis.xadd(side.keys[0].dead_letters, version)  # type: ignore[arg-type]

    found = await letters_of(side)
    replay = await replay_letters(side.letters, Selection())

    assert [(letter.kind, letter.reason, letter.user_id) for letter in found] == [
        (DeadLetterKind.UNKNOWN, "why", ""),
        (DeadLetterKind.UNKNOWN, "why", "ann"),
    ]
    assert len(replay.replayed) == 2
    for entry in replay.replayed.values():
        fields = dict(await side.entry(0, entry.id))
        assert fields.pop(REPLAYS_FIELD)
        assert fields == message(userId="ann") | {ORIGIN_FIELD: "1-1"}


async def test_a_letter_of_thousands_of_fields_is_replayed_with_those_that_mean_something(side: Operations) -> None:
    side = only_redis(side)
    many = message() | {f"unknown-{number}": "x" for number in range(5000)}
    await park(side, 0, DeadLetter("", "broken", many))

    replay = await replay_letters(side.letters, Selection())

    (entry,) = replay.replayed.values()
    assert (await side.entry(0, entry.id)).items() >= message().items()


async def test_what_is_no_score_among_the_kept_ones_hinders_none(side: Operations) -> None:
    side = only_redis(side)
    await side.redis.hset(
        side.keys[0].failed_scores,
        mapping={
            "foreign": "1.0",
            "leaderboard:SNS:2025-09-02\nann": "many",
            "leaderboard:SNS:2025-09-02\nbob": "2.5",
        },
    )

    (score,) = await side.scores.all()
    assert (score.user_id, score.seconds) == ("bob", 2.5)
