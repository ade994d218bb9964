"""What an operator looks at and asks for: dead letters, failed scores, figures of the streams, and tasks."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from domains.operations.model import LetterSummary, Selection, TaskState, TaskStatus
from domains.operations.service import chosen_letters, replay_letters
from domains.pomodoro.model import Commit, DeadLetter, DeadLetterKind
from infrastructure.spring.message_parser import ORIGIN_FIELD
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

    latest = await side.letters.latest(3, lambda letter: len(letter.reason) == 1)

    assert [letter.reason for letter in latest] == ["d", "c", "b"]


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
    assert await side.entry(1, new_id) == message() | {ORIGIN_FIELD: original_id}
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
    assert [await side.entry(0, entry_id) for entry_id in replay.replayed.values()] == [
        message(userId="ann") | {ORIGIN_FIELD: "1-1"}
    ] * 2


async def test_a_letter_of_thousands_of_fields_is_replayed_with_those_that_mean_something(side: Operations) -> None:
    side = only_redis(side)
    many = message() | {f"unknown-{number}": "x" for number in range(5000)}
    await park(side, 0, DeadLetter("", "broken", many))

    replay = await replay_letters(side.letters, Selection())

    ((_, entry_id),) = replay.replayed.items()
    assert (await side.entry(0, entry_id)).items() >= message().items()


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
