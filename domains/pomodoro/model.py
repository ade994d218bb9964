"""What Spring sends and what the pipeline makes of it. Source: contract, "In" and "Out: MongoDB".

Ids of documents are strings of 24 hex digits here; adapters turn them into what their store uses.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from hashlib import blake2b
from struct import pack
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domains.kernel.window import Window
from domains.leaderboard.model import LeaderboardEntry


class Lane(StrEnum):
    """A batch that the rules decide goes by the fast lane; what has to ask the slow tiers goes by the other."""

    FAST = "fast"
    SLOW = "slow"


class Stage(StrEnum):
    """What is done for a batch, in this order."""

    LOOK_UP = "look_up"
    DECIDE = "decide"
    WRITE = "write"
    COMMIT = "commit"


class Session(NamedTuple):
    """What names a session."""

    user_id: str
    session_date: date
    number: int


@dataclass(slots=True)
class PomodoroPatternClassifyMessage:
    """One window span of one user, as Spring put it on the stream.

    `entry_id` is the id of the stream entry. `origin_id` is the entry id under which the message first came: it
    differs from `entry_id` only where a dead letter was replayed. `duration` is in seconds, `timestamp` in Unix
    seconds. The two document ids are given together or not at all. `fields` are the entry's own, as in DeadLetter,
    and `size` is theirs in bytes.
    """

    entry_id: str
    origin_id: str
    user_id: str
    window: Window
    duration: float
    timestamp: float
    session: int
    session_date: date
    session_minutes: int = 0
    is_end: bool = False
    categorized_data_id: str | None = None
    pomodoro_usage_log_id: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    size: int = field(default=0, compare=False)

    @property
    def of_session(self) -> Session:
        return Session(self.user_id, self.session_date, self.session)


class DeadLetterKind(StrEnum):
    """Why a message is a dead letter: what is wrong with its fields, or that it FAILED at every try.

    UNKNOWN is the kind of letters that a version without kinds has parked.
    """

    TOO_LARGE = "too_large"
    MISSING_FIELD = "missing_field"
    NOT_UTF8 = "not_utf8"
    ONE_ID = "one_id"
    INVALID_FIELD = "invalid_field"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that can never work, with the reason in words for a person.

    `public_reason` is the same without anything from the message, so that anybody may see it. `fields` are the
    entry's own, undecodable bytes as surrogates (PEP 383). `truncated` says that some were cut because of their
    `size` (in bytes).
    """

    entry_id: str
    reason: str
    fields: Mapping[str, str]
    deliveries: int = 1
    truncated: bool = False
    size: int = field(default=0, compare=False)
    kind: DeadLetterKind = DeadLetterKind.FAILED
    public_reason: str = "it failed by itself at every try"
    ends: Session | None = None
    """The session that it closes, as far as its fields can be read."""


@dataclass(slots=True)
class ReadBatch:
    """What one read brought: valid messages, the others as dead letters, and where the next read goes on."""

    messages: list[PomodoroPatternClassifyMessage] = field(default_factory=list)
    rejected: list[DeadLetter] = field(default_factory=list)
    cursor: str = ""

    def __len__(self) -> int:
        return len(self.messages) + len(self.rejected)


@dataclass(frozen=True, slots=True)
class StreamState:
    """What housekeeping did and found: entries trimmed, entries left in the stream, consumers removed."""

    trimmed: int = 0
    length: int = 0
    removed_consumers: int = 0


@dataclass(frozen=True, slots=True)
class CategorizedData:
    """A document of `categorized_data`. `category_id` is None as long as nobody has classified it."""

    id: str
    window: Window
    category_id: str | None
    is_llm_based: bool = False


@dataclass(frozen=True, slots=True)
class PomodoroUsageLog:
    """A document of `pomodoro_usage_log`: one span of one user. Units as in the message."""

    id: str
    user_id: str
    categorized_data_id: str
    category_id: str | None
    session: int
    session_minutes: int
    session_date: date
    timestamp: float
    duration: float


def best_by_window(documents: Iterable[CategorizedData]) -> dict[Window, CategorizedData]:
    """The document to use for each window: the pipeline's own, one with a category before one without, the lowest id.

    The own one first, since the log of a message that is delivered again may point at it.
    """
    best: dict[Window, CategorizedData] = {}
    by_id = {document.id: document for document in documents}
    for document in sorted(by_id.values(), key=lambda data: (data.category_id is None, data.id)):
        best.setdefault(document.window, document)
    return {window: by_id.get(categorized_data_id(window), document) for window, document in best.items()}


class RepairedDocuments(NamedTuple):
    """How many documents a repair has looked at so far, and how many of them it has changed."""

    looked_at: int = 0
    repaired: int = 0


class CategoryUpdate(NamedTuple):
    """Sets the category of the documents `ids`. `is_llm_based` matters to `categorized_data` alone.

    One that is `provisional` gives way to a category that a document has already.
    """

    ids: Sequence[str]
    category_id: str
    is_llm_based: bool
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """The message that closes a session. Its commit notes it, and an announcer announces the session later."""

    entry_id: str
    session: Session


class NotedEnd(NamedTuple):
    """An end that a commit has noted. `token` names it where it is noted.

    `age` is in seconds, since its message came. `deferred`: a message of the session has an interim category.
    """

    token: str
    session: Session
    age: float
    deferred: bool


@dataclass(frozen=True, slots=True)
class DeferredMessage:
    """What has to be known of a message that was committed with a provisional `category`, to give it its own later.

    `id` is that of its stream entry, and once it is committed that of its record.
    """

    id: str
    user_id: str
    window: Window
    duration: float
    timestamp: float
    category: str
    categorized_data_id: str
    pomodoro_usage_log_id: str
    session: Session | None = None
    """None for one that an earlier version has deferred."""
    tier: str = ""
    """Which tier named the interim category; empty where nobody asks."""
    source: str = ""


class Posting(NamedTuple):
    """Seconds that a commit counts for a user and category, or, where they are negative, takes back.

    The sum of all postings of a category on some days equals its boards of these days. `day` is the local date on
    whose boards they count, `session_date` that of the session, both as yyyy-MM-dd; the latter may be empty. `app`
    and `host` are what others may see of the window. commit.lua knows the place of `day`.
    """

    user_id: str
    log_id: str
    day: str
    timestamp: float
    seconds: float
    session_date: str
    session: int
    category: str
    work: bool
    tier: str
    app: str
    host: str
    source: str
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """Takes a user's seconds from boards to others, once: as long as the record of the deferred message is there."""

    deferred_id: str
    user_id: str
    seconds: float
    from_boards: Sequence[str] = ()
    to_boards: Sequence[str] = ()
    session: Session | None = None
    postings: Sequence[Posting] = ()
    """Two, if any: the old category's and the new one's."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit acknowledges: messages that raise boards, ends and deferred ones among them, and dead letters;
    and the moves of messages that were deferred.

    `postings` has those of the messages by entry id, or nothing where nobody wants them.
    """

    entries: Sequence[LeaderboardEntry] = ()
    ends: Sequence[SessionEnd] = ()
    dead_letters: Sequence[DeadLetter] = ()
    deferred: Sequence[DeferredMessage] = ()
    moves: Sequence[Move] = ()
    postings: Mapping[str, Posting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit did. Messages that were no longer pending count nowhere.

    `scores` is how many (board, user) scores were raised, `failed_scores` how many could not be and were kept for
    replay; `failure` says what the first of them met with. `deferred` counts messages that were deferred, `moved`
    such as got their category, `duplicates` those of `messages` that raised nothing, since their log had counted.
    """

    messages: int = 0
    scores: int = 0
    failed_scores: int = 0
    dead_letters: int = 0
    failure: str = ""
    deferred: int = 0
    moved: int = 0
    duplicates: int = 0


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Midnight of `day` in `zone` as an instant in UTC: how Spring stores a `LocalDate`. May raise OverflowError."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def categorized_data_id(window: Window) -> str:
    """The id under which the pipeline creates the document of a window: two instances create the same one."""
    return digest_of("categorized_data", *window)


def usage_log_id(stream: str, origin_id: str) -> str:
    """The id under which the pipeline creates a message's log: a redelivery or a replay creates the same one."""
    return digest_of("pomodoro_usage_log", stream, origin_id)


def digest_of(*parts: str) -> str:
    """24 hex digits that no other sequence of parts has."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    lengths = pack(f">{len(parts)}Q", *map(len, encoded))  # so that ("ab", "c") is not ("a", "bc")
    return blake2b(lengths + b"".join(encoded), digest_size=12).hexdigest()
