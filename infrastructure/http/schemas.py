"""The schemas of the API's input and output. /openapi.json and every answer are made from them.

Times are in Unix seconds, durations and scores in seconds, and dates are local to TIMEZONE. Names are spelled as in
Spring's API, except in `State`, which is also what `cmd.status --json` prints.
"""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

_ENTRY_ID = r"^[0-9]{1,20}-[0-9]{1,20}$"


def _readable(value: object) -> object:
    """Text for JSON: values in Redis may contain bytes that JSON cannot."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value


def _day(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise ValueError("not a date such as 2025-09-02")
    return value


Text = Annotated[str, BeforeValidator(_readable)]
Period = Literal["day", "week", "month"]
Day = Annotated[
    date | None, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"}),
    Field(description="a day in the period; today if not given"),
]  # fmt: skip


class Document(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Asked(Document):
    """Parameters and bodies. An unknown field is an error."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class Nothing(Asked):
    """An empty object. It is required, since another site's form cannot send one."""


class Problem(BaseModel):
    """A problem (RFC 9457), the form of every error of the API."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


# How it is


class CheckDocument(BaseModel):
    ok: bool
    why: str


class InstanceDocument(BaseModel):
    name: Text
    pending: int
    idle_seconds: float


class StreamDocument(BaseModel):
    """Null if the key has the wrong type."""

    stream: Text
    entries: int
    undelivered: int
    undelivered_exact: bool
    oldest_undelivered_seconds: float
    pending: int
    oldest_pending_seconds: float
    dead_letters: float | None
    failed_scores: float | None
    unannounced_sessions: float | None
    deferred: float | None
    instances: list[InstanceDocument]


class State(BaseModel):
    """`metrics` are those of the answering process, as at /metrics but without the buckets of histograms."""

    time: float
    instance: Text
    llm: bool = Field(description="whether an LLM is asked for what no other tier knows")
    level: Literal["healthy", "degraded", "down"]
    problems: list[Text]
    checks: dict[str, CheckDocument]
    breakers: dict[str, Text] = Field(description="the open ones, each with its cause")
    streams: list[StreamDocument]
    metrics: dict[str, float | None]


class Label(Document):
    name: str = Field(description="the value in metrics and answers")
    label: str
    meaning: str


class Labels(Document):
    tiers: list[Label] = Field(description="in the order in which they are asked")
    lanes: list[Label]


class Access(Document):
    changes: Literal["off", "locked", "open"] = Field(
        description="off: there is no ADMIN_TOKEN; locked: it is needed; open: it was given"
    )


# Boards


class BoardPlace(Asked):
    category: str = Field(min_length=1, max_length=100, description="a category, or `work` for all that is work")
    period: Period = "day"
    date: Day = None


class BoardQuery(BoardPlace):
    page: int = Field(0, ge=0, le=1_000_000)
    size: int = Field(20, ge=1, le=100)


class UserQuery(BoardPlace):
    user_id: str = Field(min_length=1, max_length=500)
    distance: int = Field(5, ge=0, le=50, description="rows on either side of the user's")


class Row(Document):
    rank: int = Field(ge=0, description="1 is the highest score, 0 means absent")
    user_id: Text
    score: float = Field(description="seconds")


class Board(Document):
    category: str
    period: Period
    date: date
    total: int
    content: list[Row]


class BoardPage(Board):
    page: int
    size: int


class UserOnBoard(Board):
    distance: int
    user: Row


class Category(Document):
    name: str
    work: bool = Field(description="whether it counts on the board `work`")


class Categories(Document):
    overall: str = Field(description="the board in which every work category counts")
    today: date
    categories: list[Category]


# Dead letters


class DeadLetterQuery(Asked):
    limit: int = Field(20, ge=1, le=100)
    reason: str = Field("", max_length=200, description="only those whose reason contains this, in any case")


class DeadLetterId(Asked):
    id: str = Field(pattern=_ENTRY_ID)


class DeadLetterDocument(Document):
    id: str
    stream: Text
    kind: str = Field(description="the label of pomocore_dead_letters_total")
    reason: Text = Field(description="without the token nothing in it is quoted from the message")
    user_id: Text
    original_id: Text
    deliveries: int
    time: float
    truncated: bool = Field(description="its fields were cut because of their size: it cannot be put back")
    fields: dict[Text, Text] | None = Field(
        description="null without the token, and where the answer would become too long"
    )


class DeadLetters(Document):
    content: list[DeadLetterDocument] = Field(description="the latest first")


class Replayed(Document):
    id: str
    new_id: str


# Windows


class WindowBody(Asked):
    app: str = Field("", max_length=500)
    title: str = Field("", max_length=2000)
    url: str = Field("", max_length=4000)


class Answer(Document):
    category: str
    tier: str
    pattern: str | None
    provisional: bool = Field(description="the pattern cannot know: it holds only where no later tier knows better")


class Step(Answer):
    priority: int | None
    reason: str


class Why(Document):
    host: str
    path: str
    words: list[str]
    qualifiers: list[str] = Field(description="the last of `words`, which may be left off")
    segments: list[str] | None = Field(
        description="the page's title as it was compared, without what a browser adds; null where it was not read"
    )
    matched: list[Step] = Field(description="best first")
    missed: list[Step] = Field(description="app patterns that begin the name and yet do not match")
    note: str


class Explained(Answer):
    llm_would_be_asked: bool
    also: list[Answer] = Field(description="other rules that match, the next best first")
    why: Why


# Proposals


class ProposalId(Asked):
    id: str = Field(min_length=1, max_length=100)


class Proposal(Document):
    id: str
    status: Literal["proposed", "accepted", "rejected"]
    kind: Literal["app", "domain"]
    pattern: Text
    category: Text
    answers: int = Field(description="of the LLM, that name this category")
    windows: int
    share: float = Field(description="of the LLM's answers for this pattern")
    others: dict[Text, int]


class Proposals(Document):
    content: list[Proposal]
