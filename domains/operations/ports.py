"""What operating the pipeline wants from wherever its streams are. All methods raise RedisOutage.

All may be cancelled at any await, and all are safe to repeat: what was replayed, dropped or sent once stays so.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from domains.operations.model import FailedScore, StoredDeadLetter, StreamFigures, TaskStatus, Turn


class DeadLettersPort(Protocol):
    """The dead letters of all partitions."""

    def all(self) -> AsyncIterator[StoredDeadLetter]:
        """Oldest first within each partition, never all of them in memory."""

    async def latest(self, limit: int, wanted: Callable[[StoredDeadLetter], bool]) -> list[StoredDeadLetter]:
        """The latest `limit` that are wanted, the latest first, among the last few thousand of each partition."""

    async def get(self, letter_id: str) -> StoredDeadLetter | None: ...

    async def replay(self, letter: StoredDeadLetter) -> str | None:
        """Puts the message back on its stream, once, however often it is called. Returns its new entry id.

        None where the letter is no longer there. The message carries the id under which it first came, so that
        its documents keep their ids. Letters whose fields are truncated must not be replayed.
        """

    async def drop(self, letters: Sequence[StoredDeadLetter]) -> int:
        """Deletes letters for good. Returns how many were still there."""


class FailedScoresPort(Protocol):
    """Seconds that boards could not take, of all partitions."""

    async def all(self) -> list[FailedScore]:
        """By partition, board and user."""

    async def replay(self, score: FailedScore) -> bool:
        """Raises the board by what is kept now, once. False where the board still cannot take it.

        It may be added a little later, with the next commit, and comes back then if the board cannot take it.
        """


class StreamFiguresPort(Protocol):
    async def streams(self) -> list[StreamFigures]:
        """Of all partitions, in their order."""

    async def ping(self) -> None:
        """Whether the other side answers at all."""


class TaskQueuePort(Protocol):
    """Requests for tasks, as JSON text that may be anything, and the channel on which is told what becomes of them.

    One object is one instance.
    """

    async def turn(self) -> Turn:
        """Takes the lease for LEASE_SECONDS, or renews it, unless another instance has it."""

    async def take(self, seconds: int) -> str | None:
        """The next request, first come first served; waits up to `seconds` for it.

        It stays among those being run (`Turn.left_behind`) until it is `finished`. Bytes that are no UTF-8 are
        surrogates.
        """

    async def finished(self, request: str) -> None: ...

    async def send(self, request: str) -> None: ...

    async def send_once(self, request_id: str, request: str) -> bool:
        """Sends it unless one with this id was sent in this way within a day. Returns whether it was sent."""

    async def patterns_changed(self) -> None:
        """Makes every instance load the patterns within a second or so: `Turn.patterns` is another then."""

    async def publish(self, status: TaskStatus) -> None:
        """Tells whoever listens now."""

    def statuses(self) -> AbstractAsyncContextManager[AsyncIterator[TaskStatus]]:
        """What is told from now on. What is not of this form is left out."""


class TaskObserver:
    """Told what is told on the channel, for logs and metrics. A base class like ConsumerObserver; must not raise."""

    def task_told(self, status: TaskStatus) -> None: ...
