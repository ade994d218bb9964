"""The boards in memory."""

from collections.abc import Sequence

from domains.leaderboard.model import LeaderboardEntry, LeaderboardResult, Neighbourhood


class InMemoryLeaderboard:
    """LeaderboardCachePort in memory."""

    def __init__(self) -> None:
        self.boards: dict[str, dict[str, float]] = {}

    async def batch_increase_score(self, entries: Sequence[LeaderboardEntry]) -> int:
        return self.raise_boards(entries)

    def raise_boards(self, entries: Sequence[LeaderboardEntry]) -> int:
        raised = set()
        for entry in entries:
            for board in entry.boards:
                scores = self.boards.setdefault(board, {})
                scores[entry.user_id] = scores.get(entry.user_id, 0.0) + entry.score
                raised.add((board, entry.user_id))
        return len(raised)

    async def top(self, board: str, limit: int, offset: int = 0) -> list[LeaderboardResult]:
        return self._ranked(board)[offset : offset + limit] if limit > 0 else []

    async def rank(self, board: str, user_id: str) -> LeaderboardResult:
        return (await self.around(board, user_id, 0)).user

    async def around(self, board: str, user_id: str, distance: int) -> Neighbourhood:
        ranked = self._ranked(board)
        for i, row in enumerate(ranked):
            if row.user_id == user_id:
                return Neighbourhood(row, ranked[max(0, i - distance) : i + distance + 1])
        return Neighbourhood(LeaderboardResult(user_id, 0.0, 0), [])

    async def size(self, board: str) -> int:
        return len(self.boards.get(board, {}))

    def _ranked(self, board: str) -> list[LeaderboardResult]:
        # Redis orders equal scores by the bytes of the member
        rows = sorted(self.boards.get(board, {}).items(), key=lambda row: (row[1], row[0].encode()), reverse=True)
        return [LeaderboardResult(user, score, rank) for rank, (user, score) in enumerate(rows, 1)]
