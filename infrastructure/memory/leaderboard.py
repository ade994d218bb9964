"""The boards in memory."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from domains.kernel.errors import RedisOutage
from domains.leaderboard.model import NOTHING_SECONDS, LeaderboardEntry, LeaderboardResult, Neighbourhood
from domains.pomodoro.model import Move


def score_sums(entries: Iterable[LeaderboardEntry], moves: Iterable[Move] = ()) -> dict[tuple[str, str], float]:
    """What each (board, user) gets."""
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for entry in entries:
        for board in entry.boards:
            sums[board, entry.user_id] += entry.score
    for move in moves:
        for board in move.from_boards:
            sums[board, move.user_id] -= move.seconds
        for board in move.to_boards:
            sums[board, move.user_id] += move.seconds
    return sums


class InMemoryLeaderboard:
    """LeaderboardCachePort in memory. A board in `refusing` takes no score, as a Redis key of the wrong type."""

    def __init__(self) -> None:
        self.boards: dict[str, dict[str, float]] = {}
        self.refusing: set[str] = set()

    async def batch_increase_score(self, entries: Sequence[LeaderboardEntry]) -> int:
        scores = score_sums(entries)
        raised = [self.add(board, user, seconds) for (board, user), seconds in scores.items()]
        if not all(raised):
            raise RedisOutage("a board is of the wrong type")
        return len(raised)

    def add(self, board: str, user_id: str, seconds: float) -> bool:
        """Whether the board could take it. Of a score from which all is moved away, nothing is left."""
        if board in self.refusing:
            return False
        users = self.boards.setdefault(board, {})
        total = users.get(user_id, 0.0) + seconds
        if seconds < 0 and abs(total) < NOTHING_SECONDS:
            users.pop(user_id, None)
        else:
            users[user_id] = total
        return True

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
