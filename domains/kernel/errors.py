"""The errors that cross a port. Adapters translate their driver's exceptions into these, chaining the cause.

    PipelineError
    ├── Outage                  nothing works now: back off, acknowledge nothing, count nothing
    │   ├── StoreOutage         the document store
    │   └── RedisOutage         the stream, the boards, the cache
    │       └── GroupMissing    the consumer group is gone (FLUSHALL, failover): create it anew, from 0
    ├── StoreRefused            the store refused the data as such; what else is in the batch may well work
    ├── ClassificationFailed    no answer from the LLM, or none that can be accepted
    └── TaskRefused             what somebody asked for cannot be done; the text says why

A message that can never work is no exception but a value, `domains.pomodoro.model.DeadLetter`: it travels with
its batch and is parked and acknowledged in the batch's commit.
"""

from enum import StrEnum


class PipelineError(Exception):
    """Base of all errors that a port may raise."""


class Outage(PipelineError):
    """The other side cannot be used now; the same call may work later."""


class StoreOutage(Outage):
    """The document store is unreachable, failing over, read-only or out of space."""


class RedisOutage(Outage):
    """Redis is unreachable, loading, failing over, read-only or out of memory."""


class GroupMissing(RedisOutage):
    """The stream or its consumer group does not exist (any more)."""


class StoreRefused(PipelineError):
    """The store refused a whole call because of its data, without saying which item is to blame."""


class LLMFailure(StrEnum):
    """Why the LLM gave no answer: it was too slow, had too many requests, refused this one (HTTP 4xx), was away or
    failed itself (5xx), answered in a form that was not asked for, or something else."""

    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"
    ERROR = "error"


class ClassificationFailed(PipelineError):
    """The LLM gave no answer in time, or none that can be accepted. `retry_after`: seconds, where it told so."""

    def __init__(self, message: str, kind: LLMFailure = LLMFailure.ERROR, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


class TaskRefused(PipelineError):
    """A task cannot be done as it was asked for, or was overtaken. The text says why, for a person."""
