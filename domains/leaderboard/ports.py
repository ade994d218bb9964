"""What the leaderboard domain wants from its store."""

from collections.abc import Collection, Sequence
from typing import Protocol

from domains.leaderboard.model import LeaderboardEntry, LeaderboardResult, Neighbourhood


class LeaderboardCachePort(Protocol):
    """The boards. Every method raises RedisOutage where they cannot be reached now.

    Ranks count from 1 at the highest score; equal scores are ordered by user id, descending, as Spring's ZREVRANGE
    orders them.
    """

    async def batch_increase_score(self, entries: Sequence[LeaderboardEntry]) -> int:
        """Raises every board of every entry by the entry's score, in one round trip.

        Adds each time it is called: whoever may repeat a call wants `CommitPort.commit`. Raises RedisOutage where a
        board can't take its score; the others may have been raised. Returns how many (board, user) scores were
        raised, those of the same board and user summed up first.
        """

    async def top(self, board: str, limit: int, offset: int = 0) -> list[LeaderboardResult]:
        """The best `limit` rows after the first `offset`. An absent board is empty."""

    async def rank(self, board: str, user_id: str) -> LeaderboardResult:
        """The user's row; rank 0 and score 0 where absent."""

    async def around(self, board: str, user_id: str, distance: int) -> Neighbourhood:
        """The user's row and up to `distance` rows on either side, from one moment."""

    async def having(self, scores: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the (board, user id) that have a score, in one round trip; also where a board cannot tell."""

    async def size(self, board: str) -> int:
        """How many users are on the board."""
