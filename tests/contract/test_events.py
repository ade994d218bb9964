"""What commits post on Redis: by version and protocol, and against what the boards say."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from domains.activityEvent.quality import Tally
from domains.kernel.errors import RedisOutage
from domains.kernel.window import Window
from domains.leaderboard.model import LeaderboardEntry
from domains.pomodoro.model import Commit, DeferredMessage, Move, Posting
from infrastructure.redis.client import make_client
from infrastructure.redis.commit import CommitLimits, RedisCommit
from infrastructure.redis.event_outbox import RedisEventOutbox
from tests.contract.conftest import GROUP, RedisSide, RedisStreamSide, _stream_side
from tests.contract.test_commit import ANOTHER, DEVELOPMENT, LOG, SNS, read

DAY, NEXT = "2025-09-02", "2025-09-03"


@pytest.fixture
def stream(redis_side: RedisSide) -> RedisStreamSide:
    return _stream_side(redis_side)


def posting(log_id: str, seconds: float = 60.0, board: str = DEVELOPMENT, day: str = DAY) -> Posting:
    category = board.split(":")[1]
    return Posting("user-1", log_id, day, 1.5, seconds, DAY, 3, category, True, "url", "Code", "a.com", "spring")


def commits(stream: RedisStreamSide, events_max: int = 1000) -> RedisCommit:
    limits = CommitLimits(1000, 1000, 3, events_max=events_max)
    return RedisCommit(stream.redis.make(), stream.keys, GROUP, "one", limits)


def outbox(stream: RedisStreamSide, owner: str = "one") -> RedisEventOutbox:
    return RedisEventOutbox(stream.redis.make(), stream.keys, owner)


def commit(ids: Sequence[str], logs: Sequence[str | None], board: str = DEVELOPMENT, **parts: Any) -> Commit:
    entry = LeaderboardEntry("user-1", (board,), list(ids), [60.0] * len(ids), list(logs))
    postings = {id_: posting(log or id_, board=board) for id_, log in zip(ids, logs, strict=True)}
    return Commit([entry], postings=postings, **parts)


async def posted(stream: RedisStreamSide) -> list[list[Posting]]:
    return [list(entry.postings) for entry in await outbox(stream).after("0-0", 1000)]


async def check_sums(stream: RedisStreamSide) -> None:
    sums: defaultdict[str, float] = defaultdict(float)
    for each in [posting for entry in await posted(stream) for posting in entry]:
        sums[each.category] += each.seconds
    for category, board in (("Development", DEVELOPMENT), ("SNS", SNS)):
        assert stream.scores(board).get("user-1", 0.0) == sums[category]


async def test_a_batch_is_one_entry(stream: RedisStreamSide) -> None:
    ids = await read(stream, 3)

    await commits(stream).commit(commit(ids, [None] * 3))

    assert await posted(stream) == [[posting(id_) for id_ in ids]]
    assert (await outbox(stream).state()).waiting == 3
    await check_sums(stream)


async def test_what_does_not_count_is_not_posted(stream: RedisStreamSide) -> None:
    first, again, held, other = await read(stream, 4)
    await commits(stream).commit(commit([first], [LOG]))

    await commits(stream).commit(commit([first, again, other], [LOG, LOG, ANOTHER]))
    await commits(stream).commit(commit([again, held], [LOG, None]))
    await commits(stream).commit(commit([again, held], [LOG, None]))

    assert await posted(stream) == [[posting(LOG)], [posting(ANOTHER)], [posting(held)]]
    await check_sums(stream)


async def test_a_move_takes_back_the_old_posting_and_posts_the_new_one(stream: RedisStreamSide) -> None:
    (entry_id,) = await read(stream, 1)
    record = DeferredMessage(entry_id, "user-1", Window("a", "", ""), 60.0, 1.5, "Development", "d", LOG)
    await commits(stream).commit(commit([entry_id], [LOG], deferred=[record]))
    (kept,) = await stream.deferred().after("0", 10)
    pair = posting(LOG, -60.0), posting(LOG, 60.0, SNS)
    move = Move(kept.id, "user-1", 60.0, [DEVELOPMENT], [SNS], postings=pair)
    without = Move("1-1", "user-1", 60.0, [DEVELOPMENT], [SNS], postings=pair)

    await commits(stream).commit(Commit(moves=[without, move, move]))
    await commits(stream).commit(Commit(moves=[move]))

    assert await posted(stream) == [[posting(LOG)], [*pair]]
    assert (await outbox(stream).state()).waiting == 3
    await check_sums(stream)


async def test_what_finds_no_room_is_a_gap_by_day_and_the_commit_goes_on(stream: RedisStreamSide) -> None:
    ids = await read(stream, 5)
    await commits(stream, 3).commit(commit(ids[:2], [None, None]))
    later = commit(ids[2:4], [None, None])
    later = Commit(later.entries, postings={ids[2]: posting(ids[2]), ids[3]: posting(ids[3], day=NEXT)})

    result = await commits(stream, 3).commit(later)

    state = await outbox(stream).state()
    assert (result.messages, result.failure) == (2, "")
    assert (state.waiting, state.gap, state.gap_by_day) == (2, 2, {DAY: 1, NEXT: 1})
    await outbox(stream).settle((await outbox(stream).after("0-0", 1))[0].id)
    await commits(stream, 3).commit(commit(ids[4:], [None]))
    assert await posted(stream) == [[posting(ids[4])]]


async def test_a_move_that_finds_no_room_is_a_gap_of_two(stream: RedisStreamSide) -> None:
    (entry_id,) = await read(stream, 1)
    record = DeferredMessage(entry_id, "user-1", Window("a", "", ""), 60.0, 1.5, "Development", "d", LOG)
    await commits(stream, 1).commit(commit([entry_id], [LOG], deferred=[record]))
    (kept,) = await stream.deferred().after("0", 10)
    pair = posting(LOG, -60.0), posting(LOG, 60.0, SNS)

    move = Move(kept.id, "user-1", 60.0, [DEVELOPMENT], [SNS], postings=pair)
    await commits(stream, 1).commit(Commit(moves=[move]))

    assert (await outbox(stream).state()).gap_by_day == {DAY: 2}
    assert stream.scores(SNS) == {"user-1": 60.0}


async def test_settling_again_or_late_changes_nothing(stream: RedisStreamSide) -> None:
    ids = await read(stream, 3)
    for entry_id in ids:
        await commits(stream).commit(commit([entry_id], [None]))
    first, second, _ = await outbox(stream).after("0-0", 10)

    assert await outbox(stream).settle(second.id) == 2
    assert await outbox(stream).settle(second.id) == await outbox(stream).settle(first.id) == 0
    assert await outbox(stream).settled() == second.id
    assert (await outbox(stream).state()).waiting == 1


async def test_one_exporter_at_a_time(stream: RedisStreamSide) -> None:
    one, two = outbox(stream, "one"), outbox(stream, "two")
    assert await one.lease(30)
    assert not await two.lease(30)
    await two.release()
    assert await one.lease(30)
    await one.release()
    assert await two.lease(30)


async def test_without_events_nothing_is_posted(stream: RedisStreamSide) -> None:
    (entry_id,) = await read(stream, 1)

    await stream.commits().commit(commit([entry_id], [None]))

    assert stream.client.exists(stream.keys.events, stream.keys.events_state) == 0


async def test_an_entry_of_somebody_else_is_unreadable_and_holds_nothing_up(stream: RedisStreamSide) -> None:
    stream.client.xadd(stream.keys.events, {"spans": "no msgpack"})
    stream.client.xadd(stream.keys.events, {"something": "else"})

    strange, other = await outbox(stream).after("0-0", 10)

    assert strange.unreadable
    assert (strange.postings, other.postings) == ((), [])


@pytest.mark.parametrize("command", ["xadd", "hincrby"])
async def test_posting_that_is_not_allowed_stops_the_commit(stream: RedisStreamSide, command: str) -> None:
    (entry_id,) = await read(stream, 1)
    stream.client.execute_command("ACL", "SETUSER", "limited", "on", ">pw", "~*", "&*", "+@all", f"-{command}")
    limited = stream.redis.settings.model_copy(
        update={"redis_username": "limited", "redis_password": SecretStr("pw")}
    )
    client = make_client(limited)
    try:
        limits = CommitLimits(1000, 1000, 3, events_max=10)
        with pytest.raises(RedisOutage, match=f"(?i){command}"):
            await RedisCommit(client, stream.keys, GROUP, "one", limits).commit(commit([entry_id], [None]))
    finally:
        await client.aclose()
        stream.client.execute_command("ACL", "DELUSER", "limited")
    assert stream.pending() == {entry_id}


async def test_what_is_counted_of_exported_events_is_counted_once(stream: RedisStreamSide) -> None:
    for entry_id in await read(stream, 2):
        await commits(stream).commit(commit([entry_id], [None]))
    entries = await outbox(stream).after("0-0", 10)
    hour = {"2025-09-02T09": {"spring|spans": 2.0, "bridge|last": 5.0}}
    counted = Tally(hour, {f"{DAY}|spring": {"a", "b"}, f"{DAY}|bridge": {"c"}}, {f"{DAY}|spring": {"b"}})

    for _ in range(2):
        await outbox(stream).settle(entries[-1].id, counted)

    assert await outbox(stream).quality(list(hour)) == {
        "2025-09-02T09": {"spring": {"spans": 2}, "bridge": {"last": 5}}
    }
    assert await outbox(stream).sessions(DAY) == {"spring": (2, 1), "bridge": (1, 0)}
    assert await outbox(stream).sessions(NEXT) == {}
