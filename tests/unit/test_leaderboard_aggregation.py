"""A batch's contributions, summed up in memory by user and set of boards."""

from collections.abc import Iterable
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from domains.leaderboard.model import LeaderboardEntry
from domains.leaderboard.service import Aggregation
from infrastructure.memory.leaderboard import InMemoryLeaderboard

DESIGN, SNS = ("design-day", "design-week"), ("sns-day",)


def aggregate(contributions: Iterable[tuple[str, tuple[str, ...], str, float, str | None]]) -> list[LeaderboardEntry]:
    aggregation = Aggregation()
    for contribution in contributions:
        aggregation.add(*contribution)
    return aggregation.entries


def test_one_entry_for_each_user_and_set_of_boards() -> None:
    entries = aggregate(
        [
            ("ann", DESIGN, "1-0", 10.0, "log-1"),
            ("bob", DESIGN, "2-0", 20.0, None),
            ("ann", SNS, "3-0", 30.0, None),
            ("ann", DESIGN, "4-0", 40.0, None),
        ]
    )

    assert entries == [
        LeaderboardEntry("ann", DESIGN, ["1-0", "4-0"], [10.0, 40.0], ["log-1", None]),
        LeaderboardEntry("bob", DESIGN, ["2-0"], [20.0], [None]),
        LeaderboardEntry("ann", SNS, ["3-0"], [30.0], [None]),
    ]
    assert [entry.score for entry in entries] == [50.0, 20.0, 30.0]


def test_nothing_comes_of_nothing() -> None:
    assert aggregate([]) == []


def test_a_score_is_summed_exactly() -> None:
    assert LeaderboardEntry("ann", DESIGN, ["1-0"] * 10, [0.1] * 10).score == 1.0


contributions = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([DESIGN, SNS, (*DESIGN, *SNS)]), st.floats(0, 1e6))
)


@given(contributions)
def test_no_contribution_is_lost_or_counted_twice(parts: list[tuple[str, tuple[str, ...], float]]) -> None:
    entries = aggregate((user, boards, f"{i}-0", seconds, None) for i, (user, boards, seconds) in enumerate(parts))

    counted = [
        (message_id, entry.user_id, entry.boards, seconds)
        for entry in entries
        for message_id, seconds in zip(entry.message_ids, entry.durations, strict=True)
    ]
    assert sorted(counted) == sorted((f"{i}-0", *part) for i, part in enumerate(parts))


@given(contributions)
async def test_boards_end_at_the_exact_sum(parts: list[tuple[str, tuple[str, ...], float]]) -> None:
    exact: dict[tuple[str, str], Fraction] = {}
    for user, boards, seconds in parts:
        for board in boards:
            exact[board, user] = exact.get((board, user), Fraction()) + Fraction(seconds)
    leaderboard = InMemoryLeaderboard()

    entries = aggregate((user, boards, f"{i}-0", seconds, None) for i, (user, boards, seconds) in enumerate(parts))
    raised = await leaderboard.batch_increase_score(entries)

    assert raised == len(exact)
    for (board, user), seconds in exact.items():
        assert abs(Fraction((await leaderboard.rank(board, user)).score) - seconds) <= Fraction(1, 10**9) * seconds
