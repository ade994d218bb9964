"""What the leaderboard domain wants from its store."""

from collections.abc import Collection, Sequence
from typing import Protocol

from domains.leaderboard.model import LeaderboardEntry, LeaderboardResult, Neighbourhood


class LeaderboardCachePort(Protocol):
    """The boards. Every method raises RedisOutage if they cannot be reached now.

    Ranks count from 1 at the highest score; equal scores are ordered by user id, descending, as Spring's ZREVRANGE
    orders them.
    """

    async def batch_increase_score(self, entries: Sequence[LeaderboardEntry]) -> int:
        """Raises every board of every entry by the entry's score, in one round trip.

        This is not idempotent: each call adds again. A caller that may have to repeat a call uses
        `CommitPort.commit`. Raises RedisOutage if a board cannot take its score; the other boards may then have been
        raised. Entries of the same board and user are summed up first; returns the number of (board, user) scores
        that were raised.
        """

    async def top(self, board: str, limit: int, offset: int = 0) -> list[LeaderboardResult]:
        """The best `limit` rows after the first `offset`. An absent board is empty."""

    async def rank(self, board: str, user_id: str) -> LeaderboardResult:
        """The user's row; an absent user has rank 0 and score 0."""

    async def around(self, board: str, user_id: str, distance: int) -> Neighbourhood:
        """The user's row and up to `distance` rows on either side, read in one step."""

    async def having(self, scores: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """The pairs (board, user id) that have a score, in one round trip.

        A pair whose board cannot be read (its key has the wrong type) is among them."""

    async def size(self, board: str) -> int:
        """How many users are on the board."""
