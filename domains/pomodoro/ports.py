"""What the pomodoro domain wants from the stream and from its store.

All methods may be cancelled at any await and then may or may not have taken effect. All are safe to repeat:
inserts keep what is there, updates set the same value again, a commit counts a message once.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Protocol

from domains.kernel.errors import Outage, PipelineError
from domains.kernel.window import Window
from domains.patternClassifier.model import Tier
from domains.pomodoro.model import (
    CategorizedData,
    CategoryUpdate,
    Commit,
    CommitResult,
    DeadLetter,
    DeferredMessage,
    Lane,
    NotedEnd,
    PomodoroPatternClassifyMessage,
    PomodoroUsageLog,
    ReadBatch,
    RepairedDocuments,
    Session,
    Stage,
    StreamState,
)


class MessageSourcePort(Protocol):
    """The activity stream, read through the consumer group in the name of this instance.

    What was read stays pending until it is committed. Methods raise RedisOutage, and GroupMissing where the group
    has to be made anew.
    """

    async def ensure_group(self) -> None:
        """Makes stream and group where they are missing; the group starts at the first entry."""

    async def read_new(self, limit: int, block_ms: int) -> ReadBatch:
        """Up to `limit` entries that no consumer has been given; waits up to `block_ms` for the first one."""

    async def read_pending(self, after: str, limit: int) -> ReadBatch:
        """Up to `limit` of this instance's own pending entries behind the id `after` ("0": from the first).

        `cursor` of the answer is the last id seen; an empty `cursor` says that there are no more.
        """

    async def claim_abandoned(self, limit: int, exclude: Collection[str]) -> ReadBatch:
        """Takes over up to `limit` pending entries whose consumer has died, or that lie idle for too long.

        Entries in `exclude` (those being worked on here) are left out of the answer. `cursor` is not empty where
        more may follow.
        """

    async def tidy(self) -> StreamState:
        """Drops what no group needs any more, and consumers that are gone and hold nothing."""

    async def leave(self) -> int:
        """Signs this instance off. What it still holds can be claimed by others at once; returns how much."""


class CommitPort(Protocol):
    async def commit(self, commit: Commit) -> CommitResult:
        """Acknowledges, counts, parks and notes ends in one atomic step, for every message that is still pending.

        Raises each board by the durations of the messages acknowledged here, apart from those whose log has counted
        before, parks dead letters, and notes the ends of sessions. Keeps a record of each deferred message, and moves
        scores of those whose record is still there, which it deletes. A score that its board cannot take is kept for
        replay and does not hinder the others. Raises RedisOutage; then all of it happened or nothing did, and the
        same call can be made again.
        """

    async def deferring(self, messages: Mapping[str, Session]) -> None:
        """Says that messages, by entry id, are about to be written with an interim category and then committed.

        Until that commit, and for two minutes at the most, the ends of their sessions are due as `deferred` ones: an
        end may have come before them. Raises RedisOutage.
        """

    async def counted(self, log_ids: Collection[str]) -> Collection[str]:
        """Those of the usage logs whose messages were counted in the last DEDUPLICATION_DAYS. Raises RedisOutage."""


class SessionEndsPort(Protocol):
    """The ends that commits have noted. Methods raise RedisOutage."""

    def due(self, delay_seconds: float) -> AsyncIterator[list[NotedEnd]]:
        """The noted ends whose messages came at least that long ago, in the order of the stream, page by page.

        Without those behind a message that is not committed yet.
        """

    async def announce(self, ends: Sequence[NotedEnd], unless_deferred: bool = False) -> int:
        """Announces the sessions of those ends that are still noted, each session once, in one atomic step.

        `unless_deferred` leaves sessions of which a message is deferred, or being deferred, by now. Returns how many
        were announced. Raises RedisOutage also if the stream of events takes none; the ends stay noted.
        """


class DeferredMessagesPort(Protocol):
    """Messages that were committed with an interim category. Methods raise RedisOutage."""

    async def lease(self, seconds: float) -> bool:
        """Whether this instance is to see to them for the next `seconds`: one does, to ask nothing twice."""

    async def after(self, record_id: str, limit: int) -> list[DeferredMessage]:
        """Up to `limit` of them behind the record of that id ("0": from the first), oldest first."""


class CategorizedDataRepositoryPort(Protocol):
    """The windows that were classified. Methods raise StoreOutage, or StoreRefused where data are to blame."""

    async def find_many_by_app_url_title_batch(self, windows: Collection[Window]) -> dict[Window, CategorizedData]:
        """The documents of those windows that have one, in one query.

        Where a window has several (they are not unique), the pipeline's own wins (`categorized_data_id`), then one
        with a category over one without, then the lowest id.
        """

    async def find_by_ids(self, ids: Collection[str]) -> dict[str, CategorizedData]:
        """{id: document} of those that are there, in one query."""

    async def find_of_window(self, window: Window) -> list[CategorizedData]:
        """All documents of exactly this window, in any order, in one query."""

    async def find_classified(self, category_ids: Collection[str], limit: int) -> list[CategorizedData]:
        """Up to `limit` documents of these categories, the highest ids first: of Spring's, the newest."""

    async def save_all(self, documents: Sequence[CategorizedData]) -> dict[str, str]:
        """Inserts, in one write, those whose id is not there yet. Returns {id: reason} of those that failed."""

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        """Sets categories, grouped, in one write; provisional ones where there is none yet.

        Unknown ids are no failure. Returns {id: reason} as above.
        """

    def find_llm_based(self) -> AsyncIterator[CategorizedData]:
        """The documents whose category the LLM named, in any order, never all of them in memory."""


class PomodoroUsageLogRepositoryPort(Protocol):
    """The spans of each user. Methods behave as those of CategorizedDataRepositoryPort."""

    async def save_all(
        self, documents: Sequence[PomodoroUsageLog], provisional: Collection[str] = frozenset()
    ) -> dict[str, str]:
        """Inserts, in one write, those whose id is not there yet. Returns {id: reason} of those that failed.

        Those that are there, from a delivery that was not committed, get the new category; those whose id is in
        `provisional` keep the one they have.
        """

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        """As that of CategorizedDataRepositoryPort."""

    async def find_by_session(self, user_id: str, session_date: date, session: int) -> list[PomodoroUsageLog]:
        """The logs of a session by timestamp, as Spring's scoring reads them."""

    async def find_of_users(self, user_ids: Collection[str], start: float, end: float) -> list[PomodoroUsageLog]:
        """The logs of these users from `start` on and before `end` (Unix seconds), in any order, in one query."""

    def find_of_windows(
        self, data_ids: Collection[str], user_id: str | None = None
    ) -> AsyncIterator[list[PomodoroUsageLog]]:
        """The logs that point at these documents, of a user or of all, page by page, in any order.

        It reads all logs of the user, or all of the store: no index helps.
        """

    async def find_by_ids(self, ids: Collection[str]) -> list[PomodoroUsageLog]:
        """Those of the logs that there are, in any order, in one query."""

    async def sessions_without_category(self, sessions: Collection[Session]) -> set[Session]:
        """Those of `sessions` that have a log without a category, in one query."""

    def find_in_period(
        self, start: float, end: float, unreadable: Callable[[str, str], None] = lambda log_id, reason: None
    ) -> AsyncIterator[list[PomodoroUsageLog]]:
        """The logs from `start` on and before `end` (Unix seconds), page by page, in any order.

        Calls unreadable(id, reason) for a document that lacks what a log has.

        Never all of them in memory. Of what is written meanwhile, some may be among them.
        """


class FieldNamesPort(Protocol):
    """The names of fields in the stored documents, of which earlier versions spelled some otherwise."""

    def repair(self) -> AsyncIterator[RepairedDocuments]:
        """Gives all documents the names that Spring's entities have, some thousand at a time.

        Yields what was done so far after each step. It can be given up after any step and begun anew, also while
        messages are processed. Raises StoreOutage or StoreRefused.
        """


class BoardRebuildPort(Protocol):
    """Boards made anew while commits go on. One object is one rebuild; the latest to begin overtakes the others.

    Methods raise RedisOutage, and TaskRefused where it cannot be done, has been overtaken, or was not renewed.
    Until `swap` the boards stay as they are.
    """

    posted: Mapping[str, str]
    """The last entry of the events of each stream when the rebuild began."""

    def ensure_possible(self) -> None:
        """Raises TaskRefused where the boards cannot be rebuilt at all."""

    async def begin(self) -> None:
        """For half a minute what commits add to boards is noted, and no deferred message moves."""

    async def renew(self) -> None:
        """For another half minute."""

    async def uncounted(self) -> Collection[str]:
        """Ids of the usage logs whose messages the boards did not count when the rebuild began.

        Complete for all logs that were given a category before this call. The collection may grow.
        """

    def deferred(self) -> AsyncIterator[DeferredMessage]:
        """The deferred messages that the boards counted, under their `category`, when the rebuild began."""

    async def put(self, board: str, scores: Mapping[str, float]) -> None:
        """What the board (its key) was when the rebuild began: seconds by user, of one user at least."""

    async def swap(self, boards: Iterable[str], days: Iterable[date] = ()) -> int:
        """Puts all of `boards`, with what was committed meanwhile, in the place of the old ones, in one step.

        Those without scores are gone then, and so is what was kept for replay of them. Where events are posted, it
        notes in the same step that those of `days` have to be compared with the logs. Returns how many boards there
        are.
        """

    async def abandon(self) -> None:
        """Leaves nothing behind; what cannot be removed now expires."""


class ConsumerObserver:
    """Told what happens on the way of a message, for logs and metrics. Must not raise.

    A base class, not a protocol: an observer overrides the methods for what it wants to hear, and the others do
    nothing.
    """

    def batch_read(self, count: int) -> None: ...

    def batch_started(
        self, messages: Sequence[PomodoroPatternClassifyMessage], started: float, lane: Lane = Lane.FAST
    ) -> None:
        """Work on a batch begins, in this task: what is told here until `batch_ended` is of this batch.

        `started`: when its first message was read, as `time.monotonic` has it.
        """

    def batch_failed(self, cause: Exception) -> None:
        """A batch failed as a whole. What is in it goes on in smaller ones, or by itself."""

    def batch_ended(self) -> None: ...

    def stage_done(self, stage: Stage, seconds: float) -> None:
        """A stage of a batch is done; an outage that it waited for is part of `seconds`."""

    def classified(self, tier_counts: Mapping[Tier, int]) -> None:
        """How many messages of a batch each tier has decided. Told once a batch, with what was written."""

    def categorised(self, seconds: Mapping[str, float]) -> None:
        """The seconds of a batch by category. Told once a batch that was committed."""

    def unknown_windows(self, windows: Sequence[tuple[Window, str]]) -> None:
        """Windows, each with its user, of which neither a rule nor a site's profile knows what they show."""

    def batch_committed(self, result: CommitResult, seconds: float, lane: Lane = Lane.FAST) -> None: ...

    def dead_lettered(self, letters: Sequence[DeadLetter]) -> None: ...

    def message_failed(self, entry_id: str, attempt: int, reason: str) -> None: ...

    def breaker_changed(self, name: str, is_open: bool, cause: Outage | None) -> None: ...

    def sessions_announced(self, sessions: int, impatient: int) -> None:
        """`impatient`: how many of the ends had waited for too long for the rest of their sessions."""

    def announcing_failed(self, cause: PipelineError) -> None: ...

    def waits_for_patterns(self, cause: PipelineError) -> None: ...

    def reclassified(self, result: CommitResult) -> None: ...

    def reclassification_failed(self, cause: PipelineError) -> None: ...

    def stream_tidied(self, state: StreamState) -> None: ...

    def stopping(self, in_flight: int) -> None: ...

    def stopped(self, left_pending: int) -> None: ...
