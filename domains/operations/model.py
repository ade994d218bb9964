"""What operators look at and ask for.

Times are Unix seconds. `stream` is the key of the activity stream, or of the partition, that something came from.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from time import time
from typing import NamedTuple

from domains.pomodoro.model import DeadLetterKind

HEALTHY, DEGRADED, DOWN = "healthy", "degraded", "down"
"""How a pipeline is."""

LEASE_SECONDS = 10.0
"""How long an instance may run tasks before it has to renew its lease."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class LetterSummary:
    """What lists of dead letters are made of. `domains.pomodoro.model.DeadLetter` explains the other fields.

    `time` is when it was parked, `original_id` the entry id under which its message was read, `size` that of its kept
    fields in bytes. Letters of earlier versions have no `user_id`.
    """

    stream: str
    id: str
    kind: DeadLetterKind
    reason: str
    public_reason: str
    user_id: str
    original_id: str
    deliveries: int
    time: float
    truncated: bool
    size: int


@dataclass(frozen=True, slots=True)
class StoredDeadLetter(LetterSummary):
    """A dead letter as it is kept, with the fields of its message."""

    fields: Mapping[str, str]


class PendingMessage(NamedTuple):
    """A message that `instance` was given `idle_seconds` ago, for the `deliveries`th time, and has not committed."""

    stream: str
    id: str
    time: float
    user_id: str
    app: str
    instance: str
    idle_seconds: float
    deliveries: int


class PastReplay(NamedTuple):
    """An earlier life of a dead letter: when and why it was parked, and when it was put back (Unix seconds)."""

    parked: float
    kind: str
    reason: str
    replayed: float


class LetterGroup(NamedTuple):
    """Letters of one kind and one public reason, and when the oldest and the latest was parked (Unix seconds).

    `streams` says how many of them are of which stream.
    """

    kind: DeadLetterKind
    reason: str
    size: int
    oldest: float
    latest: float
    streams: Mapping[str, int]


class LetterPage(NamedTuple):
    """Letters, latest first, and the cursor from which on to look for more; None if there are no more."""

    letters: Sequence[LetterSummary]
    next: str | None


class Selection:
    """Selects letters by id, text in their reason, age (such as 90s, 15m, 12h, 7d), stream and kind.

    `text` is looked for in reason, user and ids, as `reason` is in any case. `public` looks in no reason that quotes.
    `until` selects what was parked up to then (Unix seconds). An empty criterion selects all. Raises ValueError if
    `older_than` is not such a time.
    """

    def __init__(
        self,
        ids: Collection[str] = (),
        reason: str = "",
        older_than: str = "",
        stream: str = "",
        kind: str = "",
        text: str = "",
        until: float = inf,
        public: bool = False,
    ) -> None:
        self._ids = frozenset(ids)
        self._stream = stream
        self._kind = kind
        self._reason = reason.casefold()
        self._text = text.casefold()
        self._until = min(until, time() - _seconds(older_than) if older_than else inf)
        self._public = public

    def __contains__(self, letter: LetterSummary) -> bool:
        if self._ids and letter.id not in self._ids:
            return False
        if self._stream not in ("", letter.stream) or self._kind not in ("", letter.kind):
            return False
        if letter.time > self._until:
            return False
        if not (self._reason or self._text):
            return True
        reasons = letter.public_reason if self._public else f"{letter.public_reason}\n{letter.reason}"
        if self._reason and self._reason not in reasons.casefold():
            return False
        searched = (reasons, letter.user_id, letter.id, letter.original_id)
        return not self._text or self._text in "\n".join(searched).casefold()


class Change(NamedTuple):
    """Who did what to which item, when (Unix seconds), and how it ended, in words."""

    time: float
    who: str
    what: str
    item: str
    outcome: str


class ChangePage(NamedTuple):
    """Changes, latest first, and the cursor from which on to look for more; None if there are no more."""

    changes: Sequence[Change]
    next: str | None


class Entry(NamedTuple):
    """An entry of a stream."""

    stream: str
    id: str


class Replay(NamedTuple):
    """The result of replaying letters: {letter id: its new entry}, and {letter id: why it was not replayed}."""

    replayed: Mapping[str, Entry]
    left: Mapping[str, str]


class Outcome(StrEnum):
    """What became of a replayed message: it is a dead letter again, or it is still on its way."""

    COMMITTED = "committed"
    DIED = "died"
    WAITING = "waiting"


Outcomes = Mapping[Entry, LetterSummary | None]
"""Of replayed messages that are no longer on their way: the letter that one has become, None if it was committed."""


@dataclass(frozen=True, slots=True)
class FailedScore:
    """Seconds that a board could not take."""

    stream: str
    board: str
    user_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Instance:
    """A consumer of the group. `idle_seconds` is the time since it last asked for entries."""

    name: str
    pending: int
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """Figures of a stream. Sizes are in entries; ages are in seconds, and 0 if nothing waits.

    A figure is NaN if its key has the wrong type.

    `undelivered` is a bound or an estimate if `undelivered_exact` is false. The age of a pending or undelivered
    entry is the time since it was published.
    """

    stream: str
    entries: int
    undelivered: int
    undelivered_exact: bool
    oldest_undelivered_seconds: float
    pending: int
    oldest_pending_seconds: float
    dead_letters: float
    failed_scores: float
    unannounced_sessions: float
    deferred: float
    instances: Sequence[Instance] = ()
    holding_back: Mapping[str, float] = field(default_factory=dict)
    """Other groups because of which entries cannot be trimmed, and the age in seconds of the oldest such entry."""


class Turn(NamedTuple):
    """Whether this instance may run tasks, the version of the patterns, and a request that another instance left."""

    ours: bool
    patterns: str
    left_behind: str | None


class TaskState(StrEnum):
    """The status of a task. The last one is COMPLETED or FAILED."""

    STARTED = "started"
    PROGRESS = "progress"
    COMPLETED = "completed"
    FAILED = "failed"


ENDS = frozenset({TaskState.COMPLETED, TaskState.FAILED})


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """A published status of a task. `task` and `id` are those of the request; `time` is ISO 8601 in UTC.

    `data` depends on the task; if it failed, it has the `reason`.
    """

    status: TaskState
    task: str
    id: str | int | None
    time: str
    data: Mapping[str, object]


class TaskRun(NamedTuple):
    """How a task went. Times are ISO 8601 in UTC; `ended` is None while it runs, or if its instance has died.

    `data` are those of its end.
    """

    task: str
    id: str | int | None
    status: TaskState
    started: str
    ended: str | None
    data: Mapping[str, object]


def _seconds(text: str) -> int:
    if not (match := re.fullmatch(r"(\d{1,9})([smhd])", text)):
        raise ValueError(f"{text}: not a time such as 90s, 15m, 12h or 7d")
    return int(match[1]) * _UNITS[match[2]]
