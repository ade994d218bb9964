"""MessageSourcePort in memory and on Redis, by version and protocol."""

import asyncio
import time
from typing import Any

import pytest

from domains.kernel.errors import GroupMissing, RedisOutage
from domains.leaderboard.model import LeaderboardEntry
from domains.pomodoro.model import Commit, ReadBatch
from domains.pomodoro.ports import MessageSourcePort
from infrastructure.redis.keys import SESSION_SCORE_STREAM
from tests.contract.conftest import GROUP, RedisStreamSide, StreamSide
from tests.messages import message

NO_WAIT = 5  # milliseconds
LONG = 20_000


@pytest.fixture
async def source(side: StreamSide) -> MessageSourcePort:
    source = side.source("one")
    await source.ensure_group()
    return source


def ids(batch: ReadBatch) -> list[str]:
    return [message.entry_id for message in batch.messages]


def add_users(side: StreamSide, count: int) -> list[str]:
    return [side.add(message(userId=f"user-{number}")) for number in range(count)]


# The group


async def test_the_group_starts_at_the_first_entry_of_a_stream_that_was_there_before(side: StreamSide) -> None:
    added = add_users(side, 3)
    source = side.source("one")

    await source.ensure_group()

    assert ids(await source.read_new(10, NO_WAIT)) == added


async def test_ensuring_the_group_again_keeps_what_it_knows(side: StreamSide, source: MessageSourcePort) -> None:
    first, second = add_users(side, 2)
    await source.read_new(1, NO_WAIT)

    await source.ensure_group()
    await side.source("two").ensure_group()

    assert side.pending() == {first}
    assert ids(await source.read_new(10, NO_WAIT)) == [second]


# New entries


async def test_an_entry_is_read_with_all_that_it_says(side: StreamSide, source: MessageSourcePort) -> None:
    entry = message(userId="김민수", isEnd="true", title="제목 🍜", unknownField="x")
    entry_id = side.add(entry)

    (read,) = (await source.read_new(10, NO_WAIT)).messages

    assert (read.entry_id, read.origin_id) == (entry_id, entry_id)
    assert (read.user_id, read.window.title, read.is_end) == ("김민수", "제목 🍜", True)
    assert read.fields == entry


async def test_new_entries_come_in_their_order_and_up_to_the_limit(
    side: StreamSide, source: MessageSourcePort
) -> None:
    added = add_users(side, 5)

    assert ids(await source.read_new(3, NO_WAIT)) == added[:3]
    assert ids(await source.read_new(3, NO_WAIT)) == added[3:]


async def test_an_empty_stream_brings_an_empty_batch(source: MessageSourcePort) -> None:
    batch = await source.read_new(10, NO_WAIT)

    assert len(batch) == 0
    assert batch.cursor == ""


async def test_a_waiting_read_brings_what_comes_meanwhile(side: StreamSide, source: MessageSourcePort) -> None:
    reading = asyncio.create_task(source.read_new(10, LONG))
    await asyncio.sleep(0)  # lets the read begin; it brings the entry on either side of its beginning

    entry_id = side.add(message())

    assert ids(await reading) == [entry_id]


async def test_an_entry_goes_to_one_consumer_alone(side: StreamSide, source: MessageSourcePort) -> None:
    first, second = add_users(side, 2)

    assert ids(await source.read_new(1, NO_WAIT)) == [first]
    assert ids(await side.source("two").read_new(10, NO_WAIT)) == [second]


async def test_what_was_read_is_pending(side: StreamSide, source: MessageSourcePort) -> None:
    added = add_users(side, 3)

    await source.read_new(2, NO_WAIT)

    assert side.pending() == set(added[:2])


# The own pending entries


async def test_pending_entries_are_read_again_page_by_page(side: StreamSide, source: MessageSourcePort) -> None:
    added = add_users(side, 5)
    await source.read_new(10, NO_WAIT)

    pages, cursor = [], "0"
    while cursor:
        batch = await source.read_pending(cursor, 2)
        pages.append(ids(batch))
        cursor = batch.cursor

    assert pages == [added[:2], added[2:4], added[4:], []]


async def test_the_cursor_of_a_page_is_the_last_id_seen(side: StreamSide, source: MessageSourcePort) -> None:
    added = add_users(side, 3)
    await source.read_new(10, NO_WAIT)

    assert (await source.read_pending("0", 2)).cursor == added[1]


async def test_a_page_may_end_with_an_entry_that_is_rejected(side: StreamSide, source: MessageSourcePort) -> None:
    side.add(message())
    broken = side.add(message(duration="NaN"))
    after = side.add(message())
    await source.read_new(10, NO_WAIT)

    page = await source.read_pending("0", 2)

    assert page.cursor == broken
    assert ids(await source.read_pending(page.cursor, 2)) == [after]


async def test_pending_entries_of_others_are_not_ones_own(side: StreamSide, source: MessageSourcePort) -> None:
    first, _ = add_users(side, 2)
    await source.read_new(1, NO_WAIT)
    await side.source("two").read_new(1, NO_WAIT)

    assert ids(await source.read_pending("0", 10)) == [first]


async def test_a_consumer_that_comes_back_finds_what_it_left(side: StreamSide, source: MessageSourcePort) -> None:
    added = add_users(side, 2)
    await source.read_new(10, NO_WAIT)

    assert ids(await side.source("one").read_pending("0", 10)) == added


# Abandoned entries


async def claim_all(source: MessageSourcePort, limit: int, exclude: set[str]) -> tuple[list[str], list[str]]:
    """All that can be claimed: the ids of the messages and of the rejected."""
    messages, rejected = [], []
    while True:
        batch = await source.claim_abandoned(limit, exclude)
        messages += ids(batch)
        rejected += [letter.entry_id for letter in batch.rejected]
        if not batch.cursor:
            return messages, rejected


async def test_entries_of_a_consumer_that_died_are_taken_over(side: StreamSide, source: MessageSourcePort) -> None:
    added = add_users(side, 3)
    await source.read_new(10, NO_WAIT)
    heir = side.source("two")

    claimed, _ = await claim_all(heir, 10, set())

    assert claimed == added
    assert ids(await heir.read_pending("0", 10)) == added
    assert ids(await source.read_pending("0", 10)) == []


async def test_more_abandoned_entries_than_the_limit_are_found_by_the_cursor(
    side: StreamSide, source: MessageSourcePort
) -> None:
    added = add_users(side, 25)
    await source.read_new(100, NO_WAIT)

    claimed, _ = await claim_all(side.source("two"), 2, set())

    assert claimed == added


async def test_entries_being_worked_on_are_left_out_of_the_claims(
    side: StreamSide, source: MessageSourcePort
) -> None:
    first, second, third = add_users(side, 3)
    await source.read_new(10, NO_WAIT)

    claimed, _ = await claim_all(side.source("two"), 10, {second})

    assert claimed == [first, third]
    assert side.pending() == {first, second, third}


async def test_nothing_abandoned_brings_an_empty_batch(side: StreamSide, source: MessageSourcePort) -> None:
    side.add(message())

    assert await claim_all(source, 10, set()) == ([], [])


async def test_claims_begin_anew_after_the_end(side: StreamSide, source: MessageSourcePort) -> None:
    heir = side.source("two")
    for _ in range(2):
        added = add_users(side, 3)
        await source.read_new(10, NO_WAIT)
        claimed, _ = await claim_all(heir, 2, set())
        assert set(added) <= set(claimed)


# Invalid entries


@pytest.mark.parametrize("way", ["new", "pending", "claimed"])
async def test_an_invalid_entry_is_rejected_with_its_reason_and_its_neighbours_are_read(
    side: StreamSide, source: MessageSourcePort, way: str
) -> None:
    before = side.add(message())
    broken_fields = message(duration="-1.0", title="비밀")
    broken = side.add(broken_fields)
    after = side.add(message())
    batch = await source.read_new(10, NO_WAIT)
    if way == "pending":
        batch = await source.read_pending("0", 10)
    elif way == "claimed":
        batch = await side.source("two").claim_abandoned(10, set())

    assert ids(batch) == [before, after]
    (letter,) = batch.rejected
    assert letter.entry_id == broken
    assert letter.reason == "duration must be a finite number of seconds, 0 or more, not '-1.0'"
    assert letter.fields == broken_fields


# Redis alone


@pytest.fixture
async def redis_source(redis_stream: RedisStreamSide) -> MessageSourcePort:
    source = redis_stream.source("one")
    await source.ensure_group()
    return source


@pytest.mark.parametrize("field", ["userId", "title", "app", "url", "sessionDate", "session"])
async def test_bytes_that_are_no_utf_8_reject_their_entry_alone(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort, field: str
) -> None:
    before = redis_stream.add(message())
    raw = {name.encode(): value.encode() for name, value in message().items()}
    broken = redis_stream.add(raw | {field.encode(): b"\xff\xfe caf\xe9"})
    after = redis_stream.add(message())

    batch = await redis_source.read_new(10, NO_WAIT)

    assert ids(batch) == [before, after]
    (letter,) = batch.rejected
    assert letter.entry_id == broken
    assert field in letter.reason
    assert letter.fields[field].encode("utf-8", "surrogateescape") == b"\xff\xfe caf\xe9"


async def test_fresh_entries_of_others_are_not_claimed(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort
) -> None:
    redis_stream.claim_idle_ms = 60_000
    add_users(redis_stream, 2)
    await redis_source.read_new(10, NO_WAIT)

    assert await claim_all(redis_stream.source("two"), 10, set()) == ([], [])


@pytest.mark.parametrize("claimant", ["one", "two"], ids=["by_oneself", "by_another"])
async def test_entries_that_lie_idle_for_too_long_are_claimed(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort, claimant: str
) -> None:
    redis_stream.claim_idle_ms = 60_000
    idle, _ = add_users(redis_stream, 2)
    await redis_source.read_new(10, NO_WAIT)
    redis_stream.client.xclaim(redis_stream.keys.stream, GROUP, "one", 0, [idle], idle=61_000, justid=True)

    claimed, _ = await claim_all(redis_stream.source(claimant), 10, set())

    assert claimed == [idle]


@pytest.mark.parametrize(
    ("call", "arguments"),
    [("read_new", (10, NO_WAIT)), ("read_pending", ("0", 10)), ("claim_abandoned", (10, set())), ("leave", ())],
    ids=["read_new", "read_pending", "claim_abandoned", "leave"],
)
async def test_a_flushed_redis_lacks_the_group(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort, call: str, arguments: tuple[Any, ...]
) -> None:
    redis_stream.client.flushall()

    with pytest.raises(GroupMissing):
        await getattr(redis_source, call)(*arguments)


async def test_a_group_made_anew_after_a_flush_reads_from_the_first_entry(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort
) -> None:
    redis_stream.client.flushall()
    added = add_users(redis_stream, 2)

    await redis_source.ensure_group()

    assert ids(await redis_source.read_new(10, NO_WAIT)) == added


async def test_a_read_that_is_waiting_when_redis_is_flushed_learns_of_it(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort
) -> None:
    reading = asyncio.create_task(redis_source.read_new(10, 500))
    await until_a_client_is_blocked(redis_stream)

    redis_stream.client.flushall()

    async def what_was_waiting_and_the_next_read() -> None:
        await reading  # which 6.2 lets run out, so that the next one meets the missing group
        await redis_source.read_new(10, NO_WAIT)

    with pytest.raises(GroupMissing):
        await what_was_waiting_and_the_next_read()


async def until_a_client_is_blocked(side: RedisStreamSide) -> None:
    deadline = time.monotonic() + 60
    while not side.client.info("clients")["blocked_clients"]:
        assert time.monotonic() < deadline, "the read does not wait"
        await asyncio.sleep(0.002)


async def test_a_stream_key_of_the_wrong_type_is_an_outage(redis_stream: RedisStreamSide) -> None:
    redis_stream.client.set(redis_stream.keys.stream, "no stream")
    source = redis_stream.source("one")

    with pytest.raises(RedisOutage):
        await source.ensure_group()
    with pytest.raises(RedisOutage):
        await source.read_new(10, NO_WAIT)


@pytest.mark.parametrize("deleted", [[0], [1], [2], [0, 1, 2]], ids=["first", "middle", "last", "all"])
async def test_pending_entries_that_were_deleted_are_acknowledged_when_read_again(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort, deleted: list[int]
) -> None:
    added = add_users(redis_stream, 3)
    await redis_source.read_new(10, NO_WAIT)
    redis_stream.client.xdel(redis_stream.keys.stream, *(added[index] for index in deleted))
    left = [entry_id for index, entry_id in enumerate(added) if index not in deleted]

    batch = await redis_source.read_pending("0", 10)

    assert ids(batch) == left
    assert redis_stream.pending() == set(left)


@pytest.mark.parametrize("deleted", [[0], [1], [2], [0, 1, 2]], ids=["first", "middle", "last", "all"])
async def test_pending_entries_that_were_deleted_are_acknowledged_when_claimed(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort, deleted: list[int]
) -> None:
    """Else they would hold back every later session's end for ever."""
    added = add_users(redis_stream, 3)
    await redis_source.read_new(10, NO_WAIT)
    redis_stream.client.xdel(redis_stream.keys.stream, *(added[index] for index in deleted))
    left = [entry_id for index, entry_id in enumerate(added) if index not in deleted]

    claimed, _ = await claim_all(redis_stream.source("two"), 10, set())

    assert claimed == left
    assert redis_stream.pending() == set(left)


async def test_pages_of_deleted_entries_do_not_hide_those_behind_them(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort
) -> None:
    added = add_users(redis_stream, 6)
    await redis_source.read_new(10, NO_WAIT)
    redis_stream.client.xdel(redis_stream.keys.stream, *added[:4])

    found, cursor = [], "0"
    while cursor:
        batch = await redis_source.read_pending(cursor, 2)
        found += ids(batch)
        cursor = batch.cursor

    assert found == added[4:]


# Housekeeping


async def test_tidying_keeps_what_is_pending_and_what_is_not_yet_read(
    side: StreamSide, source: MessageSourcePort
) -> None:
    added = add_users(side, 5)
    await source.read_new(4, NO_WAIT)
    await commit_all(side, [added[0], added[1], added[3]])

    state = await source.tidy()

    assert (state.trimmed, state.length) in {(2, 3), (3, 2)}  # a stream is trimmed from its front, memory anywhere
    assert ids(await source.read_pending("0", 10)) == [added[2]]
    assert ids(await source.read_new(10, NO_WAIT)) == [added[4]]


async def test_tidying_drops_what_is_committed(side: StreamSide, source: MessageSourcePort) -> None:
    added = add_users(side, 5)
    await source.read_new(10, NO_WAIT)
    await commit_all(side, added)

    state = await source.tidy()

    assert state.trimmed >= 4  # Redis keeps the last one, by whose id the group knows where it is
    assert state.length == 5 - state.trimmed


async def test_tidying_an_empty_stream_finds_nothing(source: MessageSourcePort) -> None:
    state = await source.tidy()

    assert (state.trimmed, state.length) == (0, 0)


async def test_a_consumer_that_leaves_tells_how_much_it_leaves(side: StreamSide, source: MessageSourcePort) -> None:
    added = add_users(side, 3)
    await source.read_new(10, NO_WAIT)
    await commit_all(side, added[:1])

    assert await source.leave() == 2
    assert side.pending() == set(added[1:])


async def test_a_consumer_that_leaves_nothing_says_so(side: StreamSide, source: MessageSourcePort) -> None:
    added = add_users(side, 2)
    await source.read_new(10, NO_WAIT)
    await commit_all(side, added)

    assert await source.leave() == 0


async def commit_all(side: StreamSide, entry_ids: list[str]) -> None:
    await side.commits().commit(Commit([LeaderboardEntry("user-1", (), list(entry_ids), [1.0] * len(entry_ids))]))


async def test_what_a_consumer_leaves_can_be_claimed_at_once(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort
) -> None:
    redis_stream.claim_idle_ms = 60_000
    leaver = redis_stream.source("leaver")
    added = add_users(redis_stream, 2)
    await leaver.read_new(10, NO_WAIT)

    await leaver.leave()

    assert (await claim_all(redis_stream.source("heir"), 10, set()))[0] == added


async def test_leaving_and_tidying_never_drop_pending_entries_with_their_consumer(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort
) -> None:
    redis_stream.gone_after_ms = -1  # everybody counts as gone
    holder, idler = redis_stream.source("holder"), redis_stream.source("idler")
    done, *added = add_users(redis_stream, 3)
    await idler.read_new(1, NO_WAIT)
    await holder.read_new(10, NO_WAIT)
    await commit_all(redis_stream, [done])
    await holder.leave()

    state = await redis_stream.source("one").tidy()

    assert state.removed_consumers == 1
    assert redis_stream.pending() == set(added)
    names = {row["name"] for row in redis_stream.client.xinfo_consumers(redis_stream.keys.stream, GROUP)}
    assert names == {"holder", "one"}, "the one who tidies shows that it is alive"


async def test_nothing_is_trimmed_that_another_group_has_not_read(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort
) -> None:
    redis_stream.client.xgroup_create(redis_stream.keys.stream, "another_group", id="0")
    added = add_users(redis_stream, 3)
    await redis_source.read_new(10, NO_WAIT)
    await commit_all(redis_stream, added)

    state = await redis_source.tidy()

    assert (state.trimmed, state.length) == (0, 3)


async def test_nothing_is_trimmed_where_trimming_is_off(
    redis_stream: RedisStreamSide, redis_source: MessageSourcePort
) -> None:
    redis_stream.trim = False
    added = add_users(redis_stream, 3)
    await redis_source.read_new(10, NO_WAIT)
    await commit_all(redis_stream, added)

    assert (await redis_stream.source("one").tidy()).trimmed == 0
    assert redis_stream.client.xlen(redis_stream.keys.stream) == 3


async def test_a_group_that_never_reads_holds_back_nothing_if_it_is_ignored(redis_stream: RedisStreamSide) -> None:
    """Spring makes one at each start."""
    redis_stream.ignored_groups = ["leaderboard_group"]
    source = redis_stream.source("one")
    await source.ensure_group()
    redis_stream.client.xgroup_create(redis_stream.keys.stream, "leaderboard_group", id="0")
    added = add_users(redis_stream, 3)
    await source.read_new(10, NO_WAIT)
    await redis_stream.commits().commit(Commit([LeaderboardEntry("user-1", (), added, [1.0] * 3)]))

    assert (await source.tidy()).trimmed == 2


async def test_events_that_all_groups_have_acknowledged_are_dropped(redis_stream: RedisStreamSide) -> None:
    client, source = redis_stream.client, redis_stream.source("one")
    await source.ensure_group()
    added = [client.xadd(SESSION_SCORE_STREAM, {"userId": str(n)}) for n in range(4)]
    await source.tidy()
    assert client.xlen(SESSION_SCORE_STREAM) == 4, "nobody reads them yet"

    client.xgroup_create(SESSION_SCORE_STREAM, "session_score_group", id="0")
    client.xreadgroup("session_score_group", "spring", {SESSION_SCORE_STREAM: ">"}, count=3)
    client.xack(SESSION_SCORE_STREAM, "session_score_group", added[0])
    await source.tidy()

    assert [entry_id for entry_id, _ in client.xrange(SESSION_SCORE_STREAM)] == added[1:]


async def test_a_full_redis_hinders_no_instance_from_joining_a_group_that_is_there(
    redis_stream: RedisStreamSide,
) -> None:
    await redis_stream.source("one").ensure_group()
    redis_stream.client.config_set("maxmemory", 1)
    try:
        await redis_stream.source("two").ensure_group()
    finally:
        redis_stream.client.config_set("maxmemory", 0)
