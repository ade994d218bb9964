"""CommitPort in memory and on Redis, by version and protocol."""

import json
import time
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from pydantic import SecretStr

from domains.kernel.errors import RedisOutage
from domains.kernel.window import Window
from domains.leaderboard.model import LeaderboardEntry
from domains.pomodoro.model import (
    Commit,
    CommitResult,
    DeadLetter,
    DeadLetterKind,
    DeferredMessage,
    Move,
    Session,
    SessionEnd,
)
from infrastructure.redis.client import make_client
from infrastructure.redis.commit import CommitLimits, RedisCommit
from infrastructure.redis.keys import SESSION_SCORE_STREAM
from tests.contract.conftest import GROUP, RedisSide, RedisStreamSide, StreamSide, _stream_side
from tests.messages import message

NO_WAIT = 5  # milliseconds
DEVELOPMENT = "leaderboard:Development:2025-09-02"
WORK = "leaderboard:work:2025-W36"
SNS = "leaderboard:SNS:2025-M9"
DAY = date(2025, 9, 2)


async def read(side: StreamSide, count: int) -> list[str]:
    """Adds entries, has them read, and answers their ids: all of them are pending."""
    added = [side.add(message(userId=f"user-{number}")) for number in range(count)]
    source = side.source("one")
    await source.ensure_group()
    await source.read_new(count, NO_WAIT)
    assert set(added) <= side.pending()
    return added


def entry(
    *ids: str, user: str = "user-1", boards: Sequence[str] = (DEVELOPMENT,), seconds: float = 60.0
) -> LeaderboardEntry:
    return LeaderboardEntry(user, tuple(boards), list(ids), [seconds] * len(ids))


def end(entry_id: str, user: str = "user-1", session: int = 3) -> SessionEnd:
    return SessionEnd(entry_id, Session(user, DAY, session))


async def announce(side: StreamSide) -> int:
    """Announces all ends that are due, however old; answers how many sessions."""
    return sum([await side.ends().announce(ends) async for ends in side.ends().due(0.0)])


# Counting


async def test_a_commit_acknowledges_its_messages_and_raises_every_board(side: StreamSide) -> None:
    first, second, third = await read(side, 3)

    result = await side.commits().commit(Commit([entry(first, second, boards=(DEVELOPMENT, WORK))]))

    assert result == CommitResult(messages=2, scores=2)
    assert side.pending() == {third}
    assert side.scores(DEVELOPMENT) == side.scores(WORK) == {"user-1": 120.0}


async def test_an_empty_commit_does_nothing(side: StreamSide) -> None:
    await read(side, 1)

    assert await side.commits().commit(Commit()) == CommitResult()


async def test_a_commit_before_there_is_a_stream_does_nothing(side: StreamSide) -> None:
    assert await side.commits().commit(Commit()) == CommitResult()


async def test_messages_of_one_user_with_overlapping_boards_are_summed_up(side: StreamSide) -> None:
    first, second, third, fourth = await read(side, 4)

    result = await side.commits().commit(
        Commit(
            [
                entry(first, boards=(DEVELOPMENT, WORK), seconds=1.0),
                entry(second, boards=(SNS,), seconds=2.0),
                entry(third, boards=(WORK,), seconds=4.0),
                entry(fourth, user="user-2", boards=(WORK,), seconds=8.0),
            ]
        )
    )

    assert result == CommitResult(messages=4, scores=4)
    assert side.scores(DEVELOPMENT) == {"user-1": 1.0}
    assert side.scores(SNS) == {"user-1": 2.0}
    assert side.scores(WORK) == {"user-1": 5.0, "user-2": 8.0}


async def test_scores_add_up_over_commits(side: StreamSide) -> None:
    commits = side.commits()
    for entry_id in await read(side, 3):
        await commits.commit(Commit([entry(entry_id, seconds=0.1)]))

    assert side.scores(DEVELOPMENT) == {"user-1": pytest.approx(0.3, rel=1e-12)}


@pytest.mark.parametrize("seconds", [1e-9, 0.1 + 0.2, 86_399.999_999_9, 1e15, 123456789.123456])
async def test_seconds_keep_their_precision(side: StreamSide, seconds: float) -> None:
    (entry_id,) = await read(side, 1)

    await side.commits().commit(Commit([entry(entry_id, seconds=seconds)]))

    assert side.scores(DEVELOPMENT) == {"user-1": pytest.approx(seconds, rel=1e-15)}


async def test_a_span_of_no_length_puts_its_user_on_the_board(side: StreamSide) -> None:
    (entry_id,) = await read(side, 1)

    await side.commits().commit(Commit([entry(entry_id, seconds=0.0)]))

    assert side.scores(DEVELOPMENT) == {"user-1": 0.0}


@pytest.mark.parametrize("user", ["김민수", "🍅", "a\nb", "a b", "'; --", "x" * 500, "123"])
async def test_any_user_id_is_counted(side: StreamSide, user: str) -> None:
    (entry_id,) = await read(side, 1)

    await side.commits().commit(Commit([entry(entry_id, user=user)], [end(entry_id, user=user)]))

    assert side.scores(DEVELOPMENT) == {user: 60.0}
    assert await announce(side) == 1
    assert side.events() == [(user, "2025-09-02", "3")]


async def test_a_commit_without_boards_acknowledges(side: StreamSide) -> None:
    (entry_id,) = await read(side, 1)

    assert await side.commits().commit(Commit([entry(entry_id, boards=())])) == CommitResult(messages=1)
    assert side.pending() == set()


async def test_hundreds_of_messages_of_many_users_are_counted(side: StreamSide) -> None:
    ids = await read(side, 500)
    entries = [entry(*ids[n::50], user=f"user-{n}", boards=(DEVELOPMENT, WORK)) for n in range(50)]

    assert await side.commits().commit(Commit(entries)) == CommitResult(messages=500, scores=100)
    assert side.scores(WORK) == {f"user-{n}": 600.0 for n in range(50)}
    assert side.pending() == set()


# Once


async def test_the_same_commit_counts_once_however_often_it_is_sent(side: StreamSide) -> None:
    first, second = await read(side, 2)
    letter = DeadLetter(second, "broken", {"userId": "user-1"})
    commit = Commit([entry(first)], [end(first)], [letter])

    results = [await side.commits().commit(commit) for _ in range(3)]

    assert results[1:] == [CommitResult(), CommitResult()]
    assert [await announce(side) for _ in range(3)] == [1, 0, 0]
    assert side.scores(DEVELOPMENT) == {"user-1": 60.0}
    assert len(side.events()) == 1
    assert len(side.dead_letters()) == 1


async def test_only_the_messages_of_a_commit_that_are_still_pending_count(side: StreamSide) -> None:
    first, second, third = await read(side, 3)
    await side.commits().commit(Commit([entry(second, seconds=1.0)]))

    result = await side.commits().commit(Commit([entry(first, second, third, boards=(DEVELOPMENT, WORK))]))

    assert result == CommitResult(messages=2, scores=2)
    assert side.scores(DEVELOPMENT) == {"user-1": 121.0}
    assert side.scores(WORK) == {"user-1": 120.0}


async def test_a_user_none_of_whose_messages_is_pending_is_not_put_on_the_board(side: StreamSide) -> None:
    (entry_id,) = await read(side, 1)
    await side.commits().commit(Commit([entry(entry_id, boards=())]))

    await side.commits().commit(Commit([entry(entry_id, user="user-2", seconds=0.0)]))

    assert side.scores(DEVELOPMENT) == {}


async def test_messages_that_were_never_read_do_not_count(side: StreamSide) -> None:
    await read(side, 1)
    unread = side.add(message())

    result = await side.commits().commit(Commit([entry(unread, "999999-0")], [end(unread)]))

    assert result == CommitResult()
    assert side.scores(DEVELOPMENT) == {}


@pytest.mark.parametrize("apart", [False, True], ids=["in_one_entry", "in_two_entries"])
async def test_a_message_that_stands_twice_in_one_commit_counts_once(side: StreamSide, apart: bool) -> None:
    (entry_id,) = await read(side, 1)
    entries = [entry(entry_id), entry(entry_id)] if apart else [entry(entry_id, entry_id)]

    result = await side.commits().commit(Commit(entries))

    assert result == CommitResult(messages=1, scores=1)
    assert side.scores(DEVELOPMENT) == {"user-1": 60.0}


async def test_two_instances_that_hold_the_same_message_count_it_once(side: StreamSide) -> None:
    (entry_id,) = await read(side, 1)
    await side.source("two").claim_abandoned(10, set())
    one, two = side.commits(), side.commits()

    assert await two.commit(Commit([entry(entry_id)])) == CommitResult(messages=1, scores=1)
    assert await one.commit(Commit([entry(entry_id)])) == CommitResult()


# Dead letters


async def test_a_dead_letter_is_parked_with_all_that_is_known_and_acknowledged(side: StreamSide) -> None:
    (entry_id,) = await read(side, 1)
    fields = {"userId": "김민수", "title": '🍜 "인용"', "unknown": ""}

    result = await side.commits().commit(
        Commit(
            dead_letters=[
                DeadLetter(
                    entry_id,
                    "이유 duration must be a number",
                    fields,
                    deliveries=4,
                    kind=DeadLetterKind.INVALID_FIELD,
                    public_reason="duration must be a number",
                )
            ]
        )
    )

    assert result == CommitResult(dead_letters=1)
    assert side.pending() == set()
    assert side.dead_letters() == [
        {
            "originalId": entry_id,
            "kind": "invalid_field",
            "reason": "이유 duration must be a number",
            "publicReason": "duration must be a number",
            "deliveryCount": "4",
            "truncated": "false",
            "userId": "김민수",
            "fields": fields,
        }
    ]


async def test_a_dead_letter_says_that_it_was_cut(side: StreamSide) -> None:
    (entry_id,) = await read(side, 1)

    await side.commits().commit(Commit(dead_letters=[DeadLetter(entry_id, "too long", {}, truncated=True)]))

    assert [letter["truncated"] for letter in side.dead_letters()] == ["true"]


@pytest.mark.parametrize(
    "fields",
    [
        {"title": b"\xff\xfe caf\xe9"},
        {"title": b"\xed\xa0\xbd half an emoji"},
        {"\udcff": b"a name that is no UTF-8"},
        {"title": "제목".encode(), "app": b"\x80"},
    ],
    ids=["latin_1", "half_a_surrogate_pair", "name", "beside_hangul"],
)
async def test_bytes_that_are_no_utf_8_survive_in_a_dead_letter(side: StreamSide, fields: dict[str, bytes]) -> None:
    (entry_id,) = await read(side, 1)
    texts = {name: value.decode("utf-8", "surrogateescape") for name, value in fields.items()}

    await side.commits().commit(Commit(dead_letters=[DeadLetter(entry_id, "no UTF-8", texts)]))

    (letter,) = side.dead_letters()
    assert {name: value.encode("utf-8", "surrogateescape") for name, value in letter["fields"].items()} == fields


async def test_a_dead_letter_that_is_no_longer_pending_is_not_parked(side: StreamSide) -> None:
    (entry_id,) = await read(side, 1)
    await side.commits().commit(Commit([entry(entry_id)]))

    assert await side.commits().commit(Commit(dead_letters=[DeadLetter(entry_id, "late", {})])) == CommitResult()
    assert side.dead_letters() == []


async def test_dead_letters_and_messages_go_in_one_commit(side: StreamSide) -> None:
    good, bad, other = await read(side, 3)

    result = await side.commits().commit(Commit([entry(good)], [], [DeadLetter(bad, "broken", {})]))

    assert result == CommitResult(messages=1, scores=1, dead_letters=1)
    assert side.pending() == {other}


# Session ends


async def test_an_end_is_announced_when_nothing_before_it_is_pending(side: StreamSide) -> None:
    first, last = await read(side, 2)

    await side.commits().commit(Commit([entry(first, last)], [end(last)]))

    assert await announce(side) == 1
    assert side.events() == [("user-1", "2025-09-02", "3")]


async def test_an_end_waits_for_an_earlier_message_and_goes_with_its_commit(side: StreamSide) -> None:
    first, last = await read(side, 2)

    await side.commits().commit(Commit([entry(last)], [end(last)]))
    assert (await announce(side), side.events()) == (0, [])

    await side.commits().commit(Commit([entry(first)]))
    assert await announce(side) == 1
    assert side.events() == [("user-1", "2025-09-02", "3")]


async def test_an_end_waits_for_an_earlier_message_that_another_instance_holds(side: StreamSide) -> None:
    first, last = await read(side, 2)
    held = (await side.source("two").claim_abandoned(1, {last})).messages
    assert [message.entry_id for message in held] == [first]

    await side.commits().commit(Commit([entry(last)], [end(last)]))
    assert await announce(side) == 0
    await side.commits().commit(Commit([entry(first)]))
    assert await announce(side) == 1


async def test_an_end_that_waited_goes_with_a_dead_letter(side: StreamSide) -> None:
    first, last = await read(side, 2)
    await side.commits().commit(Commit([entry(last)], [end(last)]))

    result = await side.commits().commit(Commit(dead_letters=[DeadLetter(first, "broken", {})]))

    assert (result.dead_letters, await announce(side)) == (1, 1)


async def test_an_end_does_not_wait_for_a_later_message(side: StreamSide) -> None:
    last, later = await read(side, 2)

    await side.commits().commit(Commit([entry(last)], [end(last)]))
    assert await announce(side) == 1
    assert side.pending() == {later}


async def test_an_end_does_not_wait_for_what_is_not_yet_read(side: StreamSide) -> None:
    (last,) = await read(side, 1)
    side.add(message())

    await side.commits().commit(Commit([entry(last)], [end(last)]))
    assert await announce(side) == 1


async def test_an_end_that_was_not_pending_is_not_announced(side: StreamSide) -> None:
    (last,) = await read(side, 1)
    await side.commits().commit(Commit([entry(last)]))

    await side.commits().commit(Commit([entry(last)], [end(last)]))
    assert await announce(side) == 0
    assert side.events() == []


async def test_a_session_is_announced_once_though_its_end_comes_twice(side: StreamSide) -> None:
    first, again = await read(side, 2)
    await side.commits().commit(Commit([entry(first)], [end(first)]))
    assert await announce(side) == 1

    await side.commits().commit(Commit([entry(again)], [end(again)]))
    assert await announce(side) == 0
    assert len(side.events()) == 1


async def test_a_session_is_announced_once_though_its_end_stands_twice_in_one_commit(side: StreamSide) -> None:
    first, again = await read(side, 2)

    await side.commits().commit(Commit([entry(first, again)], [end(first), end(again)]))

    assert await announce(side) == 1
    assert len(side.events()) == 1


async def test_several_ends_are_announced_in_the_order_of_the_stream(side: StreamSide) -> None:
    first, second, third = await read(side, 3)
    ends = [end(third, session=1), end(first, session=2), end(second, user="user-2", session=2)]

    await side.commits().commit(Commit([entry(first, second, third)], ends))

    assert await announce(side) == 3
    assert [(user, session) for user, _, session in side.events()] == [
        ("user-1", "2"),
        ("user-2", "2"),
        ("user-1", "1"),
    ]


async def test_of_several_ends_those_before_a_pending_message_go_and_the_others_wait(side: StreamSide) -> None:
    first, held, last = await read(side, 3)

    await side.commits().commit(Commit([entry(first, last)], [end(first, session=1), end(last, session=2)]))

    assert await announce(side) == 1
    assert side.events() == [("user-1", "2025-09-02", "1")]
    await side.commits().commit(Commit([entry(held)]))
    await announce(side)
    assert [session for _, _, session in side.events()] == ["1", "2"]


async def test_the_same_session_number_of_another_user_or_day_is_another_session(side: StreamSide) -> None:
    first, second, third = await read(side, 3)
    ends = [end(first), end(second, user="user-2"), SessionEnd(third, Session("user-1", date(2025, 9, 3), 3))]

    await side.commits().commit(Commit([entry(first, second, third)], ends))
    assert await announce(side) == 3


async def test_a_message_that_is_deferred_after_the_look_holds_its_session(side: StreamSide) -> None:
    """The look at its marks, then at the logs' categories: what comes between them must not get through."""
    (first,) = await read(side, 1)
    await side.commits().commit(Commit([entry(first)], [end(first)]))
    (ends,) = [page async for page in side.ends().due(0.0)]
    assert not ends[0].deferred
    await side.commits().deferring({"9-9": ends[0].session})

    assert await side.ends().announce(ends, unless_deferred=True) == 0
    assert await announce(side) == 1


async def test_hundreds_of_ends_wait_for_one_message_and_then_all_go(side: StreamSide) -> None:
    held, *rest = await read(side, 300)
    await side.commits().commit(Commit([entry(*rest)], [end(id_, session=n) for n, id_ in enumerate(rest)]))
    assert side.events() == []

    await side.commits().commit(Commit([entry(held)]))
    assert await announce(side) == 299


# Redis alone


@pytest.fixture
def stream(redis_side: RedisSide) -> RedisStreamSide:
    return _stream_side(redis_side)


async def test_an_event_has_the_three_fields_that_spring_reads(stream: RedisStreamSide) -> None:
    (last,) = await read(stream, 1)
    await stream.commits().commit(Commit([entry(last)], [end(last)]))
    await announce(stream)

    ((_, event),) = stream.client.xrange(SESSION_SCORE_STREAM)

    assert event == {"userId": "user-1", "sessionDate": "2025-09-02", "session": "3"}


async def test_a_dead_letter_says_when_it_was_parked(stream: RedisStreamSide) -> None:
    (entry_id,) = await read(stream, 1)
    before = time.time()
    await stream.commits().commit(Commit(dead_letters=[DeadLetter(entry_id, "broken", {"a": "b"})]))

    ((_, letter),) = stream.client.xrange(stream.keys.dead_letters)

    assert before - 0.001 <= float(letter["time"]) <= time.time() + 0.001
    always = {"reason", "originalId", "deliveryCount", "time", "truncated", "fields"}
    assert set(letter) == always | {"kind", "publicReason", "userId"}
    assert json.loads(letter["fields"]) == {"a": "b"}


async def test_a_board_that_takes_no_score_is_kept_for_replay_and_hinders_no_other(stream: RedisStreamSide) -> None:
    stream.client.set(WORK, "no board")
    first, second = await read(stream, 2)

    result = await stream.commits().commit(
        Commit([entry(first, second, user="민수", boards=(DEVELOPMENT, WORK)), entry(user="x", boards=(WORK,))])
    )

    assert (result.messages, result.scores, result.failed_scores) == (2, 1, 1)
    assert WORK in result.failure
    assert "WRONGTYPE" in result.failure
    assert stream.pending() == set()
    assert stream.scores(DEVELOPMENT) == {"민수": 120.0}
    assert stream.client.hgetall(stream.keys.failed_scores) == {f"{WORK}\n민수": "120"}


async def test_scores_kept_for_replay_add_up(stream: RedisStreamSide) -> None:
    stream.client.set(WORK, "no board")
    for entry_id in await read(stream, 3):
        await stream.commits().commit(Commit([entry(entry_id, boards=(WORK,), seconds=0.5)]))

    assert {name: float(kept) for name, kept in stream.client.hgetall(stream.keys.failed_scores).items()} == {
        f"{WORK}\nuser-1": 1.5
    }


async def test_a_score_that_cannot_even_be_kept_takes_no_other_with_it(stream: RedisStreamSide) -> None:
    """Durations are finite, their sum need not be, and a hash takes no infinity. An error after the first XACK
    would lose the whole batch: nothing of it is pending any more when the commit is sent again."""
    stream.client.set(WORK, "no board")
    first, second, third = await read(stream, 3)
    endless = entry(first, second, user="user-2", boards=(WORK,), seconds=1e308)

    result = await stream.commits().commit(Commit([endless, entry(third)], [end(third)]))

    assert (result.messages, result.scores, await announce(stream)) == (3, 1, 1)
    assert stream.scores(DEVELOPMENT) == {"user-1": 60.0}


async def test_ends_that_cannot_be_announced_stay_noted_until_they_can_be(stream: RedisStreamSide) -> None:
    stream.client.set(SESSION_SCORE_STREAM, "no stream")
    (last,) = await read(stream, 1)
    await stream.commits().commit(Commit([entry(last)], [end(last)]))

    with pytest.raises(RedisOutage, match=SESSION_SCORE_STREAM):
        await announce(stream)

    stream.client.delete(SESSION_SCORE_STREAM)
    assert await announce(stream) == 1
    assert stream.events() == [("user-1", "2025-09-02", "3")]


async def test_ends_stay_noted_where_the_stream_of_events_has_no_more_ids(stream: RedisStreamSide) -> None:
    stream.client.xadd(SESSION_SCORE_STREAM, {"the": "last"}, id="18446744073709551615-18446744073709551615")
    (last,) = await read(stream, 1)
    await stream.commits().commit(Commit([entry(last)], [end(last)]))
    assert await announce(stream) == 0

    stream.client.delete(SESSION_SCORE_STREAM)
    assert await announce(stream) == 1


async def test_what_is_not_the_pipelines_among_the_ends_is_removed_and_hinders_none(stream: RedisStreamSide) -> None:
    (last,) = await read(stream, 1)
    stream.client.zadd(stream.keys.ends, {"00 foreign": 0, "0" * 20 + "-" + "0" * 20 + "|": 0})
    await stream.commits().commit(Commit([entry(last)], [end(last)]))

    assert await announce(stream) == 1
    assert stream.client.zcard(stream.keys.ends) == 0


async def test_an_end_is_due_when_it_is_old_enough(side: StreamSide) -> None:
    (last,) = await read(side, 1)
    await side.commits().commit(Commit([entry(last)], [end(last)]))

    assert [ends async for ends in side.ends().due(3600.0)] == []
    ((noted,),) = [ends async for ends in side.ends().due(0.0)]
    assert noted.session == Session("user-1", DAY, 3)
    assert 0.0 <= noted.age < 3600.0
    assert not noted.deferred


async def test_the_end_of_a_session_whose_message_is_a_dead_letter_is_noted(side: StreamSide) -> None:
    (last,) = await read(side, 1)
    letter = DeadLetter(last, "broken", {}, ends=Session("user-1", DAY, 3))

    await side.commits().commit(Commit(dead_letters=[letter]))

    assert await announce(side) == 1
    assert side.events() == [("user-1", "2025-09-02", "3")]


async def test_an_end_waits_for_a_message_of_its_session_that_is_about_to_be_deferred(side: StreamSide) -> None:
    """The end came first, and the message has its interim category in the store but is not committed yet."""
    last, later = await read(side, 2)
    await side.commits().commit(Commit([entry(last)], [end(last)]))
    await side.commits().deferring({later: Session("user-1", DAY, 3), "9999-0": Session("user-2", DAY, 3)})

    ((before,),) = [ends async for ends in side.ends().due(0.0)]
    record = DeferredMessage(
        later, "user-1", Window("a", "", ""), 1.0, 1.5, "SNS", "d", "l", Session("user-1", DAY, 3)
    )
    await side.commits().commit(Commit([entry(later)], deferred=[record]))
    ((deferred,),) = [ends async for ends in side.ends().due(0.0)]
    (kept,) = await side.deferred().after("0", 1)
    await side.commits().commit(Commit(moves=[Move(kept.id, "user-1", 1.0, session=kept.session)]))
    ((after,),) = [ends async for ends in side.ends().due(0.0)]

    assert (before.deferred, deferred.deferred, after.deferred) == (True, True, False)


# Once a log

LOG, ANOTHER = "68b6a3f00000000000000001", "68b6a3f00000000000000002"


def logged(entry_id: str, log_id: str | None, seconds: float = 60.0) -> LeaderboardEntry:
    return LeaderboardEntry("user-1", (DEVELOPMENT,), [entry_id], [seconds], [log_id])


async def test_a_log_counts_once_however_often_its_message_is_sent(side: StreamSide) -> None:
    first, again, other, without = await read(side, 4)
    await side.commits().commit(Commit([logged(first, LOG)]))

    result = await side.commits().commit(
        Commit([logged(again, LOG), logged(other, ANOTHER, 1.0), logged(without, None, 0.5)])
    )

    assert result == CommitResult(messages=3, scores=1, duplicates=1)
    assert side.scores(DEVELOPMENT) == {"user-1": 61.5}
    assert side.pending() == set()


async def test_a_log_that_stands_twice_in_one_commit_counts_once(side: StreamSide) -> None:
    first, again = await read(side, 2)
    both = LeaderboardEntry("user-1", (DEVELOPMENT,), [first, again], [60.0, 60.0], [LOG, LOG])

    assert await side.commits().commit(Commit([both])) == CommitResult(messages=2, scores=1, duplicates=1)
    assert side.scores(DEVELOPMENT) == {"user-1": 60.0}


async def test_a_message_that_comes_again_is_not_deferred(side: StreamSide) -> None:
    """Its seconds count where the first one counted, so there is nothing to move."""
    first, again = await read(side, 2)
    await side.commits().commit(Commit([logged(first, LOG)]))
    record = DeferredMessage(again, "user-1", Window("a", "", ""), 60.0, 1.5, "SNS", "d", LOG)

    result = await side.commits().commit(Commit([logged(again, LOG)], deferred=[record]))

    assert result == CommitResult(messages=1, duplicates=1)
    assert await side.deferred().after("0", 10) == []


async def test_a_repeated_end_is_noted_all_the_same(side: StreamSide) -> None:
    first, again = await read(side, 2)
    await side.commits().commit(Commit([logged(first, LOG)]))

    await side.commits().commit(Commit([logged(again, LOG)], [end(again)]))

    assert await announce(side) == 1


async def test_which_logs_were_counted_can_be_asked(side: StreamSide) -> None:
    (first,) = await read(side, 1)
    commits = side.commits()
    assert set(await commits.counted([LOG])) == set()
    await commits.commit(Commit([logged(first, LOG)]))

    assert set(await commits.counted([LOG, ANOTHER])) == {LOG}


async def test_a_message_that_is_not_pending_does_not_make_its_log_count(side: StreamSide) -> None:
    """Else the replay of a dead letter would count nothing."""
    first, again = await read(side, 2)
    await side.commits().commit(Commit(dead_letters=[DeadLetter(first, "broken", {})]))
    await side.commits().commit(Commit([logged(first, LOG)]))

    assert (await side.commits().commit(Commit([logged(again, LOG)]))).duplicates == 0
    assert side.scores(DEVELOPMENT) == {"user-1": 60.0}


async def test_which_logs_were_counted_is_forgotten_in_time(stream: RedisStreamSide) -> None:
    (first,) = await read(stream, 1)
    await stream.commits().commit(Commit([logged(first, LOG)]))

    (key,) = stream.client.keys(f"{stream.keys.counted}*")
    assert 0 < stream.client.ttl(key) <= 3 * 86_400


async def test_a_set_of_counted_logs_of_the_wrong_type_keeps_no_message_from_counting(
    stream: RedisStreamSide,
) -> None:
    first, second = await read(stream, 2)
    await stream.commits().commit(Commit([logged(first, LOG)]))
    (key,) = stream.client.keys(f"{stream.keys.counted}*")
    stream.client.set(key, "of the wrong type")

    result = await stream.commits().commit(Commit([logged(second, ANOTHER)]))

    assert (result.messages, result.scores) == (1, 1)
    assert "WRONGTYPE" in result.failure


async def test_what_archived_boards_would_get_is_kept_for_replay(stream: RedisStreamSide) -> None:
    (only,) = await read(stream, 1)
    limits = CommitLimits(1000, 1000, 3, lambda board, now: board == SNS)
    commits = RedisCommit(stream.redis.make(), stream.keys, GROUP, "one", limits)

    result = await commits.commit(Commit([entry(only, boards=(DEVELOPMENT, SNS))]))

    assert (result.messages, result.scores, result.failed_scores) == (1, 1, 1)
    assert stream.scores(SNS) == {}
    assert stream.client.hgetall(stream.keys.failed_scores) == {f"{SNS}\nuser-1": "60"}


# All or nothing, whatever Redis refuses


async def test_scores_of_many_users_are_exact(side: StreamSide) -> None:
    ids = await read(side, 40)
    seconds = {f"user-{n}": 0.1 * n + 1e-7 for n in range(40)}
    entries = [
        entry(entry_id, user=user, boards=(DEVELOPMENT, WORK), seconds=seconds[user])
        for entry_id, user in zip(ids, seconds, strict=True)
    ]

    assert (await side.commits().commit(Commit(entries))).scores == 80
    assert side.scores(DEVELOPMENT) == side.scores(WORK) == seconds


@pytest.mark.parametrize("users", [1, 5])
async def test_no_sum_that_is_not_finite_reaches_a_board(stream: RedisStreamSide, users: int) -> None:
    ids = await read(stream, users + 2)
    endless = [entry(*ids[:2], user="endless", seconds=1.7e308)]
    honest = [entry(entry_id, user=f"user-{n}") for n, entry_id in enumerate(ids[2:])]

    result = await stream.commits().commit(Commit(endless + honest))

    assert (result.messages, result.scores, result.failed_scores) == (users + 2, users, 1)
    assert stream.scores(DEVELOPMENT) == {f"user-{n}": 60.0 for n in range(users)}


REFUSABLE = ["xack", "xadd", "zadd", "zincrby", "zrem", "hincrbyfloat", "xclaim"]


@pytest.mark.parametrize("command", REFUSABLE)
async def test_a_command_that_is_not_allowed_stops_the_commit_before_it_changes_anything(
    stream: RedisStreamSide, command: str
) -> None:
    good, bad = await read(stream, 2)
    stream.client.execute_command("ACL", "SETUSER", "limited", "on", ">pw", "~*", "&*", "+@all", f"-{command}")
    limited = stream.redis.settings.model_copy(
        update={"redis_username": "limited", "redis_password": SecretStr("pw")}
    )
    commit = Commit([entry(good)], [end(good)], [DeadLetter(bad, "broken", {})])
    client = make_client(limited)
    try:
        with pytest.raises(RedisOutage, match=f"(?i){command}"):
            await RedisCommit(client, stream.keys, GROUP, "one", CommitLimits(1000, 1000, 3)).commit(commit)
    finally:
        await client.aclose()
        stream.client.execute_command("ACL", "DELUSER", "limited")

    assert stream.pending() == {good, bad}
    assert stream.scores(DEVELOPMENT) == {}
    assert stream.dead_letters() == []


async def test_a_dead_letter_that_its_stream_cannot_take_stays_pending(stream: RedisStreamSide) -> None:
    stream.client.xadd(stream.keys.dead_letters, {"the": "last"}, id="18446744073709551615-18446744073709551615")
    good, bad = await read(stream, 2)

    result = await stream.commits().commit(Commit([entry(good)], [], [DeadLetter(bad, "broken", {})]))

    assert (result.messages, result.dead_letters) == (1, 0)
    assert stream.keys.dead_letters in result.failure
    assert stream.pending() == {bad}


async def test_a_full_redis_takes_commits_which_empty_it(stream: RedisStreamSide) -> None:
    good, bad = await read(stream, 2)
    stream.client.config_set("maxmemory", 1)
    try:
        result = await stream.commits().commit(Commit([entry(good)], [end(good)], [DeadLetter(bad, "broken", {})]))
    finally:
        stream.client.config_set("maxmemory", 0)

    assert (result.messages, result.scores, result.dead_letters) == (1, 1, 1)


@pytest.mark.parametrize("key", ["ends", "dead_letters", "failed_scores", "deferred"])
async def test_a_bookkeeping_key_of_the_wrong_type_stops_the_commit_before_it_changes_anything(
    stream: RedisStreamSide, key: str
) -> None:
    stream.client.set(getattr(stream.keys, key), "of the wrong type")
    good, bad = await read(stream, 2)

    with pytest.raises(RedisOutage):
        await stream.commits().commit(Commit([entry(good)], [end(good)], [DeadLetter(bad, "broken", {})]))

    assert stream.pending() == {good, bad}
    assert stream.scores(DEVELOPMENT) == {}
    assert not stream.client.exists(SESSION_SCORE_STREAM)


async def test_the_repaired_commit_counts_after_an_outage(stream: RedisStreamSide) -> None:
    stream.client.set(stream.keys.ends, "of the wrong type")
    (good,) = await read(stream, 1)
    commits, commit = stream.commits(), Commit([entry(good)], [end(good)])
    with pytest.raises(RedisOutage):
        await commits.commit(commit)
    stream.client.delete(stream.keys.ends)

    assert await commits.commit(commit) == CommitResult(messages=1, scores=1)
    assert await announce(stream) == 1


async def test_an_end_behind_deleted_pending_entries_is_announced_once_these_are_forgotten(
    stream: RedisStreamSide,
) -> None:
    first, last = await read(stream, 2)
    stream.client.xdel(stream.keys.stream, first)
    await stream.commits().commit(Commit([entry(last)], [end(last)]))
    assert await announce(stream) == 0

    await stream.source("two").claim_abandoned(10, set())

    await stream.commits().commit(Commit())
    assert await announce(stream) == 1


async def test_a_commit_survives_a_flushed_script_cache(stream: RedisStreamSide) -> None:
    first, second = await read(stream, 2)
    commits = stream.commits()
    await commits.commit(Commit([entry(first)]))
    stream.client.script_flush()

    assert await commits.commit(Commit([entry(second)])) == CommitResult(messages=1, scores=1)


async def test_a_commit_after_a_flush_counts_nothing(stream: RedisStreamSide) -> None:
    (entry_id,) = await read(stream, 1)
    stream.client.flushall()

    assert await stream.commits().commit(Commit([entry(entry_id)], [end(entry_id)])) == CommitResult()
    assert stream.scores(DEVELOPMENT) == {}


async def test_a_dead_letter_stream_keeps_to_its_greatest_length(stream: RedisStreamSide) -> None:
    ids = await read(stream, 2500)
    letters = [DeadLetter(entry_id, "broken", {"userId": "user-1"}) for entry_id in ids]

    await stream.commits().commit(Commit(dead_letters=letters))

    kept: Any = stream.client.xrevrange(stream.keys.dead_letters)
    assert 1000 <= len(kept) < 1200  # approximately 1000: whole blocks go at a time
    assert kept[0][1]["originalId"] == ids[-1]


async def test_another_groups_pending_entries_hold_back_no_end(stream: RedisStreamSide) -> None:
    first, last = await read(stream, 2)
    stream.client.xgroup_create(stream.keys.stream, "another_group", id="0")
    stream.client.xreadgroup("another_group", "somebody", {stream.keys.stream: ">"})

    await stream.commits().commit(Commit([entry(first, last)], [end(last)]))
    assert await announce(stream) == 1
    assert GROUP != "another_group"
