"""Focus cards in memory: the cards, the boards' scores, and the run under way."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import date
from time import time, time_ns

from domains.focusCard.model import CardKey, CardPlace, CardState, Run, RunFigures, Scores, StoredCard
from domains.leaderboard.model import Period
from infrastructure.memory.leaderboard import InMemoryLeaderboard


class InMemoryFocusCardStore:
    """FocusCardStorePort."""

    def __init__(self) -> None:
        self.cards: dict[CardKey, StoredCard] = {}

    async def put(self, cards: Sequence[StoredCard]) -> None:
        for card in cards:
            if (there := self.cards.get(card.key)) is None or there.revision < card.revision:
                self.cards[card.key] = card

    async def put_places(self, places: Sequence[CardPlace]) -> None:
        for key, revision, rank, users, as_of in places:
            if (there := self.cards.get(key)) is not None and there.revision < revision:
                document = {**there.document, "rank": rank, "users": users, "as_of": as_of}
                self.cards[key] = replace(there, revision=revision, document=document)

    async def get(self, keys: Collection[CardKey]) -> dict[CardKey, StoredCard]:
        return {key: self.cards[key] for key in keys if key in self.cards}

    async def states(self, keys: Collection[CardKey]) -> dict[CardKey, CardState]:
        found = await self.get(keys)
        return {
            key: CardState(card.revision, card.signature, card.document["rank"], card.document["users"])
            for key, card in found.items()
        }

    async def top(self, period: Period, starts: date, limit: int) -> list[StoredCard]:
        found = [card for key, card in self.cards.items() if (key.period, key.starts) == (period, starts)]
        return sorted((card for card in found if card.document["rank"]), key=lambda it: it.document["rank"])[:limit]

    async def of_user(self, user: str) -> list[StoredCard]:
        return sorted((card for card in self.cards.values() if card.key.user == user), key=lambda card: card.key)

    async def erase(self, user: str) -> int:
        theirs = [key for key in self.cards if key.user == user]
        for key in theirs:
            del self.cards[key]
        return len(theirs)


class InMemoryBoardScores:
    """BoardScoresPort on boards in memory."""

    def __init__(self, boards: InMemoryLeaderboard) -> None:
        self._boards = boards

    async def read(self, users: Sequence[str], boards: Sequence[str], ranked: Collection[str]) -> Scores:
        kept, ranks = self._boards.boards, dict[str, dict[str, int]]()
        seconds = {
            board: {user: kept[board][user] for user in users if user in kept.get(board, {})} for board in boards
        }
        for board in ranked:
            rows = await self._boards.top(board, len(kept.get(board, {})))
            ranks[board] = {row.user_id: row.rank for row in rows if row.user_id in users}
        sizes = {board: len(kept.get(board, {})) for board in boards if board in ranked or not kept.get(board)}
        return Scores(time_ns() // 1000, seconds, ranks, sizes, users)

    async def members(self, board: str) -> AsyncIterator[list[str]]:
        yield list(self._boards.boards.get(board, {}))


class InMemoryCardRuns:
    """CardRunsPort."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._noted: dict[tuple[str, str], RunFigures] = {}
        self._claimed: dict[tuple[str, str], str] = {}
        self._last_end = 0.0
        self._marks: set[str] = set()

    async def begin(self, run: Run) -> bool:
        if self._run is None:
            self._run = run
        return self._run.id == run.id

    async def current(self) -> Run | None:
        return self._run

    async def claim(self, scope: str, board: str, users: Sequence[str]) -> int:
        for user in users:
            self._claimed.setdefault((scope, user), board)
        return len(self._of(scope, board))

    async def claimed(self, scope: str, board: str, first: int, count: int) -> list[str]:
        return self._of(scope, board)[first : first + count]

    def _of(self, scope: str, board: str) -> list[str]:
        return [user for (of, user), owner in self._claimed.items() if (of, owner) == (scope, board)]

    async def note(self, run: str, job: str, figures: RunFigures) -> None:
        self._noted.setdefault((run, job), figures)

    async def figures(self, run: str) -> RunFigures:
        rows = [figures for (noted, _), figures in self._noted.items() if noted == run]
        return RunFigures(*map(sum, zip(*rows, strict=True))) if rows else RunFigures()

    async def end(self, run: str) -> None:
        if self._run is not None and self._run.id == run:
            self._run = None
        self._last_end = time()

    async def mark(self, name: str) -> bool:
        if name in self._marks:
            return False
        self._marks.add(name)
        return True

    async def is_marked(self, name: str) -> bool:
        return name in self._marks

    async def unmark(self, name: str) -> None:
        self._marks.discard(name)

    async def last_end(self) -> float:
        return self._last_end
