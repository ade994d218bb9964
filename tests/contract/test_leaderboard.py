"""LeaderboardCachePort in memory and on Redis."""

import pytest

from domains.kernel.errors import RedisOutage
from domains.leaderboard.model import LeaderboardEntry, LeaderboardResult, Neighbourhood
from domains.leaderboard.ports import LeaderboardCachePort
from infrastructure.redis.leaderboard import LeaderboardCacheAdapter
from tests.contract.conftest import RedisSide

BOARD = "leaderboard:Development:2025-09-02"
OTHER = "leaderboard:work:2025-W36"
ABSENT = "leaderboard:Game:2025-M9"


def raising(user_id: str, *durations: float, boards: tuple[str, ...] = (BOARD,)) -> LeaderboardEntry:
    return LeaderboardEntry(user_id, boards, [f"{n}-0" for n in range(len(durations))], list(durations))


async def five_users(leaderboard: LeaderboardCachePort) -> list[LeaderboardResult]:
    await leaderboard.batch_increase_score([raising(f"user-{n}", n * 10.0) for n in (3, 1, 5, 2, 4)])
    return [LeaderboardResult(f"user-{n}", n * 10.0, rank) for rank, n in enumerate((5, 4, 3, 2, 1), 1)]


# Raising


async def test_every_board_of_an_entry_is_raised_by_its_durations(leaderboard: LeaderboardCachePort) -> None:
    await leaderboard.batch_increase_score([raising("민수", 60.0, 0.5, boards=(BOARD, OTHER))])

    for board in (BOARD, OTHER):
        assert await leaderboard.top(board, 10) == [LeaderboardResult("민수", 60.5, 1)]


async def test_scores_add_up_over_calls(leaderboard: LeaderboardCachePort) -> None:
    await leaderboard.batch_increase_score([raising("user-1", 60.0)])
    await leaderboard.batch_increase_score([raising("user-1", 0.25)])

    assert await leaderboard.rank(BOARD, "user-1") == LeaderboardResult("user-1", 60.25, 1)


async def test_scores_of_one_user_and_board_are_summed_up_and_counted_once(leaderboard: LeaderboardCachePort) -> None:
    raised = await leaderboard.batch_increase_score(
        [raising("user-1", 1.0, boards=(BOARD, OTHER)), raising("user-1", 2.0), raising("user-2", 4.0)]
    )

    assert raised == 3  # user-1 on two boards, user-2 on one
    assert await leaderboard.rank(BOARD, "user-1") == LeaderboardResult("user-1", 3.0, 2)
    assert await leaderboard.rank(OTHER, "user-1") == LeaderboardResult("user-1", 1.0, 1)


async def test_raising_nothing_raises_nothing(leaderboard: LeaderboardCachePort) -> None:
    assert await leaderboard.batch_increase_score([]) == 0


async def test_a_span_of_no_length_puts_its_user_on_the_board(leaderboard: LeaderboardCachePort) -> None:
    await leaderboard.batch_increase_score([raising("user-1", 0.0)])

    assert await leaderboard.rank(BOARD, "user-1") == LeaderboardResult("user-1", 0.0, 1)


async def test_small_durations_keep_their_precision(leaderboard: LeaderboardCachePort) -> None:
    for _ in range(10):
        await leaderboard.batch_increase_score([raising("user-1", 0.1)])

    assert (await leaderboard.rank(BOARD, "user-1")).score == pytest.approx(1.0, rel=1e-12)


# Top


@pytest.mark.parametrize(
    ("limit", "offset", "expected"),
    [
        (2, 0, slice(0, 2)),
        (2, 2, slice(2, 4)),
        (2, 4, slice(4, 5)),
        (100, 0, slice(0, 5)),
        (5, 5, slice(0, 0)),
        (5, 99, slice(0, 0)),
        (0, 0, slice(0, 0)),
        (0, 3, slice(0, 0)),
    ],
)
async def test_top_is_a_page_of_the_board(
    leaderboard: LeaderboardCachePort, limit: int, offset: int, expected: slice
) -> None:
    rows = await five_users(leaderboard)

    assert await leaderboard.top(BOARD, limit, offset) == rows[expected]


async def test_equal_scores_are_ordered_by_user_id_descending_as_zrevrange_does(
    leaderboard: LeaderboardCachePort,
) -> None:
    users = ["b", "B", "a", "10", "9", "김", "é", "z", "🍅", "ａ"]
    await leaderboard.batch_increase_score([raising(user, 5.0) for user in users])

    rows = await leaderboard.top(BOARD, 100)

    assert [row.user_id for row in rows] == sorted(users, key=str.encode, reverse=True)
    assert [row.rank for row in rows] == list(range(1, 11))
    assert [await leaderboard.rank(BOARD, row.user_id) for row in rows] == rows


# Rank, size, around


async def test_rank_counts_from_one_at_the_highest_score(leaderboard: LeaderboardCachePort) -> None:
    rows = await five_users(leaderboard)

    assert [await leaderboard.rank(BOARD, row.user_id) for row in rows] == rows


async def test_size_is_the_number_of_users(leaderboard: LeaderboardCachePort) -> None:
    await five_users(leaderboard)

    assert await leaderboard.size(BOARD) == 5


@pytest.mark.parametrize(
    ("user", "distance", "expected"),
    [
        (3, 1, slice(1, 4)),
        (3, 0, slice(2, 3)),
        (5, 2, slice(0, 3)),
        (4, 2, slice(0, 4)),
        (1, 2, slice(2, 5)),
        (2, 99, slice(0, 5)),
    ],
    ids=["middle", "only_oneself", "at_the_top", "near_the_top", "at_the_bottom", "everybody"],
)
async def test_around_ends_at_the_edges_of_the_board(
    leaderboard: LeaderboardCachePort, user: int, distance: int, expected: slice
) -> None:
    rows = await five_users(leaderboard)

    found = await leaderboard.around(BOARD, f"user-{user}", distance)

    assert found.user == rows[5 - user]
    assert list(found.around) == rows[expected]


async def test_an_absent_board_is_empty(leaderboard: LeaderboardCachePort) -> None:
    nobody = LeaderboardResult("user-1", 0.0, 0)

    assert await leaderboard.top(ABSENT, 10) == []
    assert await leaderboard.size(ABSENT) == 0
    assert await leaderboard.rank(ABSENT, "user-1") == nobody
    assert await leaderboard.around(ABSENT, "user-1", 3) == Neighbourhood(nobody, [])


async def test_an_absent_user_has_rank_zero_and_nobody_around(leaderboard: LeaderboardCachePort) -> None:
    await five_users(leaderboard)

    assert await leaderboard.around(BOARD, "nobody", 3) == Neighbourhood(LeaderboardResult("nobody", 0.0, 0), [])


# Having


async def test_having_tells_who_has_a_score_where(leaderboard: LeaderboardCachePort) -> None:
    await leaderboard.batch_increase_score([raising("user-1", 1.0, boards=(BOARD, OTHER)), raising("user-2", 0.0)])
    asked = {(board, user) for board in (BOARD, OTHER, ABSENT) for user in ("user-1", "user-2", "nobody")}

    assert await leaderboard.having(asked) == {(BOARD, "user-1"), (OTHER, "user-1"), (BOARD, "user-2")}
    assert await leaderboard.having(set()) == set()


# Redis alone


async def test_a_board_that_takes_no_score_is_an_outage(redis_side: RedisSide) -> None:
    redis_side.client.set(OTHER, "no board")

    with pytest.raises(RedisOutage):
        await LeaderboardCacheAdapter(redis_side.make()).batch_increase_score(
            [raising("user-1", 60.0, boards=(BOARD, OTHER))]
        )


async def test_boards_get_no_expiry(redis_side: RedisSide) -> None:
    await LeaderboardCacheAdapter(redis_side.make()).batch_increase_score([raising("user-1", 60.0)])

    assert redis_side.client.ttl(BOARD) == -1


async def test_reading_a_key_that_is_no_board_is_an_outage(redis_side: RedisSide) -> None:
    redis_side.client.set(BOARD, "no board")
    boards = LeaderboardCacheAdapter(redis_side.make())

    for reading in (boards.top(BOARD, 3), boards.rank(BOARD, "a"), boards.around(BOARD, "a", 1), boards.size(BOARD)):
        with pytest.raises(RedisOutage):
            await reading


async def test_a_board_that_cannot_tell_counts_as_having(redis_side: RedisSide) -> None:
    redis_side.client.set(OTHER, "no board")
    redis_side.client.zadd(BOARD, {"a": 1.0})

    found = await LeaderboardCacheAdapter(redis_side.make()).having({(OTHER, "a"), (BOARD, "a"), (ABSENT, "a")})

    assert found == {(OTHER, "a"), (BOARD, "a")}
