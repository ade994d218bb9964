"""The errors that cross a port. Adapters translate their driver's exceptions into these and chain the cause.

    PipelineError
    ├── Outage                  nothing works now: back off, acknowledge nothing, count nothing
    │   ├── StoreOutage         the document store
    │   └── RedisOutage         the stream, the boards, the cache
    │       └── GroupMissing    the consumer group is gone (FLUSHALL, failover): create it anew, from 0
    ├── NoPatterns              the store has no category patterns, so nothing could be classified
    ├── StoreRefused            the store refused the data; the rest of the batch may still work
    ├── ClassificationFailed    the LLM gave no answer, or none that can be accepted
    └── TaskRefused             a task cannot be done as requested; the text says why

A message that can never work is not an exception but a value, `domains.pomodoro.model.DeadLetter`: it stays with
its batch, whose commit parks and acknowledges it.
"""

from enum import StrEnum


class PipelineError(Exception):
    """Base of all errors that a port may raise."""


class OutageKind(StrEnum):
    """What is wrong with the server.

    In the order of the members: no answer, not for our user or password, no writes, no room, still loading its data,
    something else where one of our keys belongs, or something unforeseen.
    """

    UNREACHABLE = "unreachable"
    FORBIDDEN = "forbidden"
    READ_ONLY = "read_only"
    FULL = "full"
    STARTING = "starting"
    WRONG_TYPE = "wrong_type"
    UNUSABLE = "unusable"


class Outage(PipelineError):
    """A server cannot be used now; the same call may work later."""

    def __init__(self, message: str = "", kind: OutageKind = OutageKind.UNUSABLE) -> None:
        super().__init__(message)
        self.kind = kind


class StoreOutage(Outage):
    """The document store is unreachable, failing over, read-only or out of space."""


class RedisOutage(Outage):
    """Redis is unreachable, loading, failing over, read-only or out of memory."""


class GroupMissing(RedisOutage):
    """The stream or its consumer group does not exist, or no longer exists."""


class NoPatterns(PipelineError):
    """The store has no category patterns: everything would become Uncategorized. The text says what to do."""


class StoreRefused(PipelineError):
    """The store refused a whole call because of its data and did not say which item is at fault."""


class LLMFailure(StrEnum):
    """Why the LLM gave no answer.

    In the order of the members: it was too slow, had too many requests, refused this one (HTTP 4xx), was unreachable
    or failed itself (5xx), answered in another form than requested, or something else happened.
    """

    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"
    ERROR = "error"


class ClassificationFailed(PipelineError):
    """The LLM gave no answer in time, or none that can be accepted.

    `retry_after` is in seconds; None unless the server said when to ask again. `tokens` is what the request may have
    been charged for all the same.
    """

    def __init__(
        self,
        message: str,
        kind: LLMFailure = LLMFailure.ERROR,
        retry_after: float | None = None,
        tokens: int = 0,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.tokens = tokens


class TaskRefused(PipelineError):
    """A task cannot be done as requested, or a later one has overtaken it. The text says why, for a person."""
