"""The boards in memory."""

from collections.abc import Collection, Sequence

from domains.leaderboard.model import NOTHING_SECONDS, LeaderboardEntry, LeaderboardResult, Neighbourhood
from domains.pomodoro.model import Move


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

    def move(self, move: Move) -> int:
        """Moves scores as the commit script does: a score that becomes zero is removed.

        Returns how many scores changed.
        """
        for board in move.from_boards:
            users = self.boards.setdefault(board, {})
            users[move.user_id] = users.get(move.user_id, 0.0) - move.seconds
            if move.seconds and abs(users[move.user_id]) < NOTHING_SECONDS:
                del users[move.user_id]
        for board in move.to_boards:
            users = self.boards.setdefault(board, {})
            users[move.user_id] = users.get(move.user_id, 0.0) + move.seconds
        return len(move.from_boards) + len(move.to_boards)

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

    async def having(self, scores: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        return {(board, user) for board, user in scores if user in self.boards.get(board, {})}

    async def size(self, board: str) -> int:
        return len(self.boards.get(board, {}))

    def _ranked(self, board: str) -> list[LeaderboardResult]:
        # Redis orders equal scores by the bytes of the member
        rows = sorted(self.boards.get(board, {}).items(), key=lambda row: (row[1], row[0].encode()), reverse=True)
        return [LeaderboardResult(user, score, rank) for rank, (user, score) in enumerate(rows, 1)]
