"""What operators look at and ask for.

Times are Unix seconds. `stream` is the key of the activity stream, or of the partition, that something came from.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
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


class Selection:
    """Selects letters by their id, by a text in their reason (in any case) and by age (such as 90s, 15m, 12h, 7d).

    An empty criterion selects all. Raises ValueError if `older_than` is not such a time.
    """

    def __init__(self, ids: Collection[str] = (), reason: str = "", older_than: str = "") -> None:
        self._ids = frozenset(ids)
        self._reason = reason.casefold()
        self._before = time() - _seconds(older_than) if older_than else float("inf")

    def __contains__(self, letter: LetterSummary) -> bool:
        by_id = not self._ids or letter.id in self._ids
        return by_id and self._reason in letter.reason.casefold() and letter.time < self._before


class Change(NamedTuple):
    """Who did what to which item, when (Unix seconds), and how it ended, in words."""

    time: float
    who: str
    what: str
    item: str
    outcome: str


class Replay(NamedTuple):
    """The result of replaying letters: {letter id: new entry id}, and {letter id: why it was not replayed}."""

    replayed: Mapping[str, str]
    left: Mapping[str, str]


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


def _seconds(text: str) -> int:
    if not (match := re.fullmatch(r"(\d{1,9})([smhd])", text)):
        raise ValueError(f"{text}: not a time such as 90s, 15m, 12h or 7d")
    return int(match[1]) * _UNITS[match[2]]
