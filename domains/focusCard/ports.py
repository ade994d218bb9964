"""What focus cards want from the boards, the store, and the place where a run is noted."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import date
from typing import Protocol

from domains.focusCard.model import CardKey, CardPlace, CardState, Run, RunFigures, Scores, StoredCard
from domains.leaderboard.model import Period


class BoardScoresPort(Protocol):
    """The boards of many users at once. Methods raise RedisOutage."""

    async def read(self, users: Sequence[str], boards: Sequence[str], ranked: Collection[str]) -> Scores:
        """The scores of `users` on `boards`, and their ranks on those in `ranked`, in one step on a single server.

        They are those of the first of `users`, at least of one: as many as the server may be held for.
        Ranks are those of LeaderboardCachePort.
        """

    def members(self, board: str) -> AsyncIterator[list[str]]:
        """The users of a board, page by page. Who joins meanwhile may be missing, nobody else; some come twice."""


class FocusCardStorePort(Protocol):
    """The cards. Methods raise StoreOutage, or StoreRefused where the data are to blame."""

    async def put(self, cards: Sequence[StoredCard]) -> None:
        """Stores cards, in one write; one of which a newer or equal revision is there stays as it is."""

    async def put_places(self, places: Sequence[CardPlace]) -> None:
        """Sets revision, rank, users and as_of of cards that are there, in one write; older ones as in `put`."""

    async def get(self, keys: Collection[CardKey]) -> dict[CardKey, StoredCard]:
        """Those that are there, in one query."""

    async def states(self, keys: Collection[CardKey]) -> dict[CardKey, CardState]:
        """The states of those that are there, in one query."""

    async def top(self, period: Period, starts: date, limit: int) -> list[StoredCard]:
        """The cards with the best ranks of a period; rank 0 is none."""

    async def of_user(self, user: str) -> list[StoredCard]:
        """All cards of a user, by period and start."""

    async def erase(self, user: str) -> int:
        """Deletes all cards of a user. Returns how many there were."""


class CardRunsPort(Protocol):
    """The run that is under way; there is one at a time. Methods raise RedisOutage and are safe to repeat."""

    async def begin(self, run: Run) -> bool:
        """Begins a run, unless another one is under way. True also if this one has begun before."""

    async def current(self) -> Run | None:
        """The run that is under way: it began, did not end, and somebody worked on it in the last ten minutes."""

    async def claim(self, scope: str, board: str, users: Sequence[str]) -> int:
        """Makes those of `users` this board's that no board has claimed in that scope. Returns how many it has now.

        Each has a number among the board's, from 0 on, which it keeps.
        """

    async def claimed(self, scope: str, board: str, first: int, count: int) -> list[str]:
        """The board's users with the numbers from `first` on; without those that have been erased meanwhile."""

    async def note(self, run: str, job: str, figures: RunFigures) -> None:
        """Notes what a job has done; of one that is done again, the first note stays. The run is still under way."""

    async def figures(self, run: str) -> RunFigures: ...

    async def end(self, run: str) -> None:
        """The run has ended."""

    async def mark(self, name: str) -> bool:
        """Marks that something is being done that must be done once. False if it was marked before."""

    async def is_marked(self, name: str) -> bool: ...

    async def unmark(self, name: str) -> None:
        """It was not done after all."""

    async def last_end(self) -> float:
        """When a run last ended (Unix seconds); 0 if none has."""


class CardObserver:
    """Told what happens to cards, for logs and metrics. A base class; must not raise."""

    def cards_made(self, figures: RunFigures, seconds: float) -> None:
        """A chunk of users is done."""

    def cards_run_ended(self, run: Run, figures: RunFigures) -> None: ...

    def cards_seen(self, last_run: float) -> None:
        """When a run over all users last ended (Unix seconds); 0 if none has."""

    def webhook_told(self, host: str, outcome: str) -> None:
        """What became of a card that was posted to a webhook: `posted`, or why not."""


Categories = Mapping[str, str]
"""The names of categories by their ids."""
