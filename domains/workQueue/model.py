"""Jobs, and the figures of a queue."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_TRIES = 3
"""How often a job may fail before it becomes a dead letter."""
MAX_DELIVERIES = 10
"""How often a job may be handed out: one that kills its worker each time does not fail by itself."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be added. Of the jobs with one `key` that wait or are being done, a queue has one.

    `data` are texts by name. `run` is the run that the job belongs to; '' if it belongs to none.
    """

    key: str
    data: Mapping[str, str] = field(default_factory=dict)
    run: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job in hand. `tries` have failed before this one; it was handed out `deliveries` times, this one included.

    `closes` says that it is not one of the run's jobs but comes after the last of them, exactly once a run.
    """

    id: str
    key: str
    data: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    tries: int = 0
    deliveries: int = 1
    closes: bool = False


class JobFailed(Exception):
    """This job can never work: it becomes a dead letter at once. Any other error is tried again."""


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """Sizes in jobs, ages in seconds. `lag` was not handed out yet; `pending` is in hand, or waits for its retry.

    `workers` are those that are not thought dead.
    """

    queue: str
    lag: int
    pending: int
    oldest_seconds: float
    dead_letters: float
    workers: int

    @property
    def drained(self) -> bool:
        return not (self.lag or self.pending)
