"""Deferred messages in memory and on Redis: their records, the moves of their seconds, and who sees to them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from domains.kernel.errors import RedisOutage
from domains.kernel.window import Window
from domains.pomodoro.model import Commit, CommitResult, DeferredMessage, Move
from infrastructure.redis.client import make_client
from infrastructure.redis.deferred import RedisDeferredMessages, record_of
from infrastructure.redis.failed_scores import RedisFailedScores
from infrastructure.redis.keys import StreamKeys
from infrastructure.settings import Settings
from tests.contract.conftest import NOWHERE, RedisSide, RedisStreamSide, StreamSide, _stream_side
from tests.contract.test_commit import entry, read
from tests.messages import data_id, log_id

OLD = ("leaderboard:Uncategorized:2025-09-02", "leaderboard:Uncategorized:2025-W36")
NEW = ("leaderboard:Development:2025-09-02", "leaderboard:work:2025-W36")


def deferred(entry_id: str, user: str = "user-1", seconds: float = 60.0, **fields: str) -> DeferredMessage:
    key = Window(**{"app": "Frobnicator", "url": "https://zyzzyva.example", "title": "notes"} | fields)
    return DeferredMessage(entry_id, user, key, seconds, 1756771234.5, "Uncategorized", data_id(1), log_id(1))


async def records(side: StreamSide) -> list[DeferredMessage]:
    return await side.deferred().after("0", 10_000)


async def deferring(
    side: StreamSide, count: int = 1, seconds: float = 60.0, boards: Sequence[str] = OLD
) -> list[DeferredMessage]:
    """Commits messages as deferred ones; each user has one. Answers their records."""
    ids = await read(side, count)
    entries = [entry(id_, user=f"user-{n}", boards=boards, seconds=seconds) for n, id_ in enumerate(ids, 1)]
    messages = [deferred(id_, f"user-{n}", seconds) for n, id_ in enumerate(ids, 1)]
    await side.commits().commit(Commit(entries, deferred=messages))
    return await records(side)


def move(record: DeferredMessage, old: Sequence[str] = OLD, new: Sequence[str] = NEW) -> Move:
    return Move(record.id, record.user_id, record.duration, old, new)


# Records


@pytest.mark.parametrize(
    "message",
    [
        deferred("", seconds=0.1 + 0.2),
        deferred("", user="김민수 🍅\n", app="", url="", title=""),
        deferred("", app="카카오톡", title='"}]\\\n\x00', url="x" * 2000),
        deferred("", seconds=0.0),
    ],
    ids=["fraction", "odd_user", "odd_texts", "no_length"],
)
async def test_a_deferred_message_comes_back_as_it_was(side: StreamSide, message: DeferredMessage) -> None:
    (entry_id,) = await read(side, 1)
    commit = Commit([entry(entry_id, user=message.user_id)], deferred=[replace(message, id=entry_id)])

    assert await side.commits().commit(commit) == CommitResult(messages=1, scores=1, deferred=1)
    (record,) = await records(side)
    assert record == replace(message, id=record.id)


async def test_only_what_is_still_pending_is_kept(side: StreamSide) -> None:
    first, second, third = await read(side, 3)
    await side.commits().commit(Commit([entry(first)]))
    commit = Commit([entry(first, second)], deferred=[deferred(first), deferred(second), deferred(third)])

    for _ in range(2):  # the reply was lost
        await side.commits().commit(commit)

    assert len(await records(side)) == 1
    assert side.pending() == {third}


async def test_records_come_in_pages_oldest_first(side: StreamSide) -> None:
    made = await deferring(side, 7)
    assert [record.user_id for record in made] == [f"user-{number}" for number in range(1, 8)]

    pages, after = [], "0"
    while page := await side.deferred().after(after, 3):
        pages.append(page)
        after = page[-1].id

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [record for page in pages for record in page] == made


# Moves


async def test_a_move_takes_the_seconds_from_boards_to_others_and_drops_the_record(side: StreamSide) -> None:
    one, two = await deferring(side, 2)

    result = await side.commits().commit(Commit(moves=[move(one)]))

    assert result == CommitResult(scores=4, moved=1)
    assert [side.scores(board) for board in OLD] == [{"user-2": 60.0}] * 2
    assert [side.scores(board) for board in NEW] == [{"user-1": 60.0}] * 2
    assert await records(side) == [two]


async def test_a_score_that_moves_away_in_part_stays_in_part(side: StreamSide) -> None:
    (other,) = await read(side, 1)
    await side.commits().commit(Commit([entry(other, boards=OLD, seconds=2.5)]))
    (record,) = await deferring(side)

    await side.commits().commit(Commit(moves=[move(record)]))

    assert side.scores(OLD[0]) == {"user-1": 2.5}


@pytest.mark.parametrize("seconds", [0.1, 1e-3, 86_399.999_999, 123456789.123])
async def test_a_score_that_moves_to_nothing_leaves_no_member(side: StreamSide, seconds: float) -> None:
    ids = await read(side, 10)
    await side.commits().commit(
        Commit([entry(*ids, boards=OLD, seconds=seconds)], deferred=[deferred(id_, seconds=seconds) for id_ in ids])
    )
    for record in await records(side):
        await side.commits().commit(Commit(moves=[move(record)]))

    assert [side.scores(board) for board in OLD] == [{}, {}]
    assert side.scores(NEW[0]) == {"user-1": pytest.approx(10 * seconds, rel=1e-12)}


async def test_a_move_of_no_seconds_changes_no_sum(side: StreamSide) -> None:
    (record,) = await deferring(side, seconds=0.0)

    assert (await side.commits().commit(Commit(moves=[move(record)]))).moved == 1
    assert side.scores(NEW[0]) == {"user-1": 0.0}
    assert side.scores(OLD[0]) == {"user-1": 0.0}


async def test_a_message_moves_once_however_often_it_is_sent(side: StreamSide) -> None:
    (record,) = await deferring(side)
    twice = Commit(moves=[move(record), move(record)])

    results = [await side.commits().commit(twice) for _ in range(3)]

    assert [result.moved for result in results] == [1, 0, 0]
    assert side.scores(NEW[0]) == {"user-1": 60.0}
    assert side.scores(OLD[0]) == {}


async def test_instances_that_move_at_once_move_once(side: StreamSide) -> None:
    made = await deferring(side, 20)
    commits = [side.commits() for _ in range(3)]
    results = await asyncio.gather(
        *(port.commit(Commit(moves=[move(record) for record in made])) for port in commits)
    )

    assert sum(result.moved for result in results) == 20
    assert side.scores(NEW[0]) == {record.user_id: 60.0 for record in made}


async def test_a_move_that_no_board_follows_only_drops_the_record(side: StreamSide) -> None:
    (record,) = await deferring(side)

    assert await side.commits().commit(Commit(moves=[move(record, (), ())])) == CommitResult(moved=1)
    assert side.scores(OLD[0]) == {"user-1": 60.0}
    assert await records(side) == []


async def test_messages_and_moves_go_in_one_commit(side: StreamSide) -> None:
    (record,) = await deferring(side)
    (new,) = await read(side, 1)

    result = await side.commits().commit(Commit([entry(new, boards=NEW)], moves=[move(record)]))

    assert (result.messages, result.moved) == (1, 1)
    assert side.scores(NEW[0]) == {"user-1": 120.0}


# Redis alone


@pytest.fixture
def stream(redis_side: RedisSide) -> RedisStreamSide:
    return _stream_side(redis_side)


@pytest.mark.parametrize("broken", [OLD[0], NEW[0]], ids=["from", "to"])
async def test_a_board_that_takes_no_move_is_kept_for_replay_and_hinders_no_other(
    stream: RedisStreamSide, broken: str
) -> None:
    (record,) = await deferring(stream)
    stream.client.set(broken, "no board")

    result = await stream.commits().commit(Commit(moves=[move(record)]))

    assert (result.moved, result.scores, result.failed_scores) == (1, 3, 1)
    assert broken in result.failure
    seconds = -60.0 if broken == OLD[0] else 60.0
    kept = stream.client.hgetall(stream.keys.failed_scores)
    assert {name: float(value) for name, value in kept.items()} == {f"{broken}\nuser-1": seconds}
    assert [stream.scores(board) for board in (OLD[1], NEW[1])] == [{}, {"user-1": 60.0}]


async def test_after_a_replay_all_that_was_kept_adds_up(stream: RedisStreamSide) -> None:
    """Neither the message nor its move could be counted on the old board: together they are nothing."""
    stream.client.set(OLD[0], "no board")
    (record,) = await deferring(stream)
    stream.client.set(NEW[0], "no board")
    await stream.commits().commit(Commit(moves=[move(record)]))
    stream.client.delete(OLD[0], NEW[0])

    scores = RedisFailedScores(stream.redis.make(), [stream.keys], False)
    for kept in await scores.all():
        assert await scores.replay(kept)

    assert stream.scores(NEW[0]) == {"user-1": 60.0}
    assert stream.scores(OLD[0]) == {}
    assert await scores.all() == []


async def test_a_score_that_a_replay_moves_to_nothing_leaves_no_member(stream: RedisStreamSide) -> None:
    (record,) = await deferring(stream)
    stream.client.rename(OLD[0], "aside")
    stream.client.set(OLD[0], "no board")
    await stream.commits().commit(Commit(moves=[move(record)]))
    stream.client.rename("aside", OLD[0])

    scores = RedisFailedScores(stream.redis.make(), [stream.keys], False)
    (kept,) = await scores.all()
    assert await scores.replay(kept)

    assert stream.scores(OLD[0]) == {}


async def test_the_records_keep_to_their_greatest_length(stream: RedisStreamSide) -> None:
    ids = await read(stream, 2500)
    await stream.commits().commit(Commit([entry(*ids)], deferred=[deferred(id_) for id_ in ids]))

    assert 1000 <= stream.client.xlen(stream.keys.deferred) < 1200  # whole blocks go at a time
    assert stream.scores(NEW[0]) == {"user-1": 2500 * 60.0}


async def test_a_move_whose_record_was_trimmed_does_nothing(stream: RedisStreamSide) -> None:
    (record,) = await deferring(stream)
    stream.client.xtrim(stream.keys.deferred, maxlen=0, approximate=False)

    assert await stream.commits().commit(Commit(moves=[move(record)])) == CommitResult()
    assert stream.scores(OLD[0]) == {"user-1": 60.0}


async def test_long_texts_are_cut(stream: RedisStreamSide) -> None:
    (entry_id,) = await read(stream, 1)
    message = deferred(entry_id, title="제" * 100_000, url="u" * 100_000)
    await stream.commits().commit(Commit([entry(entry_id)], deferred=[message]))

    (record,) = await records(stream)
    assert record.window == Window("Frobnicator", "u" * 2000, "제" * 2000)


async def test_one_instance_at_a_time_has_the_lease(stream: RedisStreamSide) -> None:
    one, two = stream.deferred("one"), stream.deferred("two")

    assert [await one.lease(30.0), await two.lease(30.0), await one.lease(60.0)] == [True, False, True]
    assert 30_000 < stream.client.pttl(stream.keys.deferred_lease) <= 60_000
    stream.client.delete(stream.keys.deferred_lease)  # as when its time is over
    assert [await two.lease(30.0), await one.lease(30.0)] == [True, False]


async def test_a_lease_ends_by_itself(stream: RedisStreamSide) -> None:
    one, two = stream.deferred("one"), stream.deferred("two")
    await one.lease(0.05)
    async with asyncio.timeout(60):
        while not await two.lease(30.0):
            await asyncio.sleep(0.01)

    assert not await one.lease(30.0)


async def test_deferred_messages_that_are_away_are_an_outage(stream: RedisStreamSide) -> None:
    client = make_client(Settings(redis_addr=NOWHERE))
    away = RedisDeferredMessages(client, StreamKeys("s"), "one")
    for call in (away.lease(1.0), away.after("0", 1)):
        with pytest.raises(RedisOutage):
            await call
    await client.aclose()

    stream.client.set(stream.keys.deferred, "no stream")
    with pytest.raises(RedisOutage):
        await records(stream)


async def test_records_that_cannot_be_read_are_left_out(stream: RedisStreamSide) -> None:
    for fields in [{"a": "b"}] * 3 + [{"userId": "user-1", "duration": "long"}]:
        stream.client.xadd(stream.keys.deferred, fields)
    good = stream.client.xadd(stream.keys.deferred, dict(zip(*[iter(record_of(deferred("1-0")))] * 2, strict=True)))

    assert [message.id for message in await stream.deferred().after("0", 2)] == [good]
