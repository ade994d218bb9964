"""What operating the pipeline wants from the server of its streams. All methods raise RedisOutage.

Methods may be cancelled at any await, and are safe to repeat: a letter is replayed, dropped or sent only once.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from domains.kernel.errors import Outage
from domains.operations.counters import Bucket, Flush, Resolution, Totals
from domains.operations.model import (
    ChangePage,
    Entry,
    FailedScore,
    LetterPage,
    LetterSummary,
    Outcomes,
    StoredDeadLetter,
    StreamFigures,
    TaskRun,
    TaskStatus,
    Turn,
)

NO_CHANGES: Mapping[str, str | None] = MappingProxyType({})


class DeadLettersPort(Protocol):
    """The dead letters of all partitions."""

    @property
    def streams(self) -> Collection[str]:
        """Whose letters these are: streams and work queues."""

    def all(self) -> AsyncIterator[LetterSummary]:
        """All letters, the oldest of each partition first, without loading all into memory."""

    async def page(
        self, limit: int, wanted: Callable[[LetterSummary], bool], before: str | None = None
    ) -> LetterPage:
        """The latest `limit` wanted letters, or of those behind the cursor `before` the latest.

        It looks at a few thousand letters and may return fewer, even none: the cursor then says where to go on.
        Raises ValueError if the cursor is none.
        """

    async def get(self, letter_id: str) -> StoredDeadLetter | None: ...

    async def replay(self, letter: LetterSummary, changes: Mapping[str, str | None] = NO_CHANGES) -> str | None:
        """Puts the message back on its stream, once, however often it is called. Returns its new entry id.

        Returns None if the letter no longer exists. The message carries the id under which it first came, so that its
        documents keep their ids, and its past. Fields in `changes` get another value, or none. A letter with
        truncated fields must not be replayed.
        """

    async def outcomes(self, replayed: Collection[Entry]) -> Outcomes:
        """What became of those that are no longer on their way."""

    async def drop(self, letters: Sequence[LetterSummary]) -> int:
        """Deletes letters for good. Returns how many of them existed."""


class FailedScoresPort(Protocol):
    """Seconds that boards could not take, of all partitions."""

    async def all(self) -> list[FailedScore]:
        """All kept scores, ordered by partition, board and user."""

    async def replay(self, score: FailedScore) -> bool:
        """Raises the board by the kept seconds, once. Returns False if the board still cannot take them.

        On a cluster the next commit adds them; they are kept again then if the board cannot take them.
        """


class StreamFiguresPort(Protocol):
    async def streams(self) -> list[StreamFigures]:
        """The figures of all partitions, in their order."""

    async def ever_used(self, stream: str) -> bool:
        """Whether a stream has ever had an entry, be it deleted since. `stream` is its key, and need not be ours."""

    async def may_lose_keys(self) -> str | None:
        """The policy by which Redis drops keys of ours when it is full, in its own word; None if it drops none."""

    async def ping(self) -> None:
        """Checks that the server answers."""


class TaskQueuePort(Protocol):
    """Requests for tasks, as unchecked JSON text, and the channel on which their status is published.

    One object belongs to one instance.
    """

    async def turn(self) -> Turn:
        """Takes or renews the lease for LEASE_SECONDS, unless another instance has it."""

    async def take(self, seconds: int) -> str | None:
        """The next request, in the order of arrival; waits up to `seconds` for one.

        It is kept as running (`Turn.left_behind`) until `finished`. Bytes that are not UTF-8 are surrogates.
        """

    async def finished(self, request: str) -> None: ...

    async def send(self, request: str) -> None: ...

    async def unserved(self) -> int:
        """How many requests wait while no instance has the lease."""

    async def scheduled_until(self, schedule: str, now: float) -> float:
        """The due time (Unix seconds) of the last request that was sent for the schedule.

        If there is none it is `now`, which is remembered.
        """

    async def send_scheduled(self, schedule: str, due: float, request: str) -> bool:
        """Sends the request, unless one of this or a later due time was sent for the schedule by any instance.

        Returns whether it was sent.
        """

    async def patterns_changed(self) -> None:
        """Changes `Turn.patterns`, so that every instance loads the patterns within about a second."""

    async def publish(self, status: TaskStatus) -> None:
        """Publishes a status to the current listeners. Begin and end of the last few hundred tasks are kept."""

    async def runs(self, limit: int) -> list[TaskRun]:
        """The last tasks of which begin or end was published, the latest first."""

    def statuses(self) -> AbstractAsyncContextManager[AsyncIterator[TaskStatus]]:
        """The statuses that are published from now on. Messages of another form are skipped."""


class AuditPort(Protocol):
    """Who changed what."""

    async def note(self, who: str, what: str, item: str, outcome: str) -> None:
        """Notes a change that was made or tried. Never raises: what was done is done."""

    async def page(self, limit: int, before: str | None = None) -> ChangePage:
        """The latest changes, or of those behind the cursor `before` the latest. Raises RedisOutage."""


class CountersPort(Protocol):
    """What all instances together have done."""

    async def add(self, flush: Flush) -> None:
        """Adds to the totals and to the buckets of the flush's time, once, however often it is called.

        Of peaks, buckets keep the greatest.
        """

    async def totals(self) -> Totals: ...

    async def history(self, resolution: Resolution, now: float) -> Sequence[Bucket]:
        """The buckets up to the one of `now`, oldest first; those in which nothing was counted are empty."""


class InstanceSnapshotsPort(Protocol):
    """What each instance tells of itself, for the consoles of the others. What is not told anew is soon forgotten."""

    async def put(self, name: str, snapshot: str) -> None: ...

    async def get(self, name: str) -> str | None: ...


class TaskObserver:
    """Gets what happens to tasks, for logs and metrics. A base class like ConsumerObserver; must not raise."""

    def task_told(self, status: TaskStatus) -> None:
        """A status, whether or not it can be published."""

    def breaker_changed(self, name: str, is_open: bool, cause: Outage | None) -> None:
        """Tasks cannot be taken (`tasks`), asked for by the schedule (`schedule`) or told of (`status_channel`)."""

    def schedule_caught_up(self, task: str, due: datetime) -> None:
        """A task was asked for later than it was due, since no instance was at work then."""
