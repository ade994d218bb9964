"""The schemas of the API's input and output. /openapi.json and every answer are made from them.

Times are in Unix seconds, durations and scores in seconds, and dates are local to TIMEZONE. Names are spelled as in
Spring's API, except in `State`, which is also what `cmd.status --json` prints.
"""

import re
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

_CHOICES = ("ids", "stream", "kind", "reason", "q")
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
    why: Text
    cause: Text = Field(description="what the driver said; not for people in a hurry")


class OutageDocument(BaseModel):
    """A server that is waited for. `service` says who waits: what happens to messages meanwhile follows from it."""

    service: str = Field(description="redis, store, tasks, schedule, status_channel, jobs or site_turns")
    kind: Literal["unreachable", "forbidden", "read_only", "full", "starting", "wrong_type", "unusable"]
    server: str
    address: Text = Field(description="without secrets")
    since: float | None = Field(description="null: nobody has watched it")
    words: Text = Field(description="all of this in a sentence or two")
    cause: Text = Field(description="what the driver said")
    runbook: str = Field(description="RUNBOOK_URL with the entry, or the path of the page in the project")


class InstanceDocument(BaseModel):
    name: Text
    pending: int
    idle_seconds: float
    alive: bool = Field(description="it has asked for work lately")


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


class Deployment(BaseModel):
    """What all instances have done since the first message, also before they last started; a few seconds late."""

    since: float | None = Field(description="null: nothing yet")
    committed: float
    dead_letters: float
    tiers: dict[str, float] = Field(description="messages")
    categories: dict[Text, float] = Field(description="seconds")


class InstanceQuery(Asked):
    instance: str | None = Field(None, max_length=500, description="its name; the answering one if not given")


class InstanceSnapshot(BaseModel):
    """What an instance tells of itself every few seconds. `settings` are those that are not at their defaults."""

    time: float
    llm: bool
    checks: dict[str, CheckDocument]
    breakers: dict[str, Text]
    outages: list[OutageDocument]
    metrics: dict[str, float | None]
    given: list[str] = Field(description="settings")
    settings: dict[str, Text | None]


class State(BaseModel):
    """Of `instance` are `llm`, `checks`, `breakers`, `outages` and `metrics`; all else the answering one sees itself.

    `metrics` are as at /metrics but without the buckets of histograms.
    """

    time: float
    instance: Text
    taken: float = Field(description="when the figures of the instance were taken: another one tells them every 5 s")
    llm: bool = Field(description="whether an LLM is asked for what no other tier knows")
    level: Literal["healthy", "degraded", "down"]
    problems: list[Text]
    checks: dict[str, CheckDocument]
    breakers: dict[str, Text] = Field(description="the open ones, each in words")
    outages: list[OutageDocument]
    deployment: Deployment
    streams: list[StreamDocument]
    metrics: dict[str, float | None]


class HistoryQuery(Asked):
    span: Literal["5m", "1h", "24h", "30d"] = "1h"


class LaneHistory(Document):
    """`seconds` are those of the batches, from their read to their commit; their mean is seconds / batches."""

    messages: list[float]
    batches: list[float]
    seconds: list[float]
    p50: list[float | None] = Field(description="seconds within which half of the messages' batches were committed")
    p95: list[float | None]


class BacklogHistory(Document):
    """The most that was seen within each bucket; null where nobody looked, as during an outage of Redis."""

    waiting: list[float | None] = Field(description="messages on the stream that were not read yet")
    working: list[float | None] = Field(description="messages that were read and not yet committed")
    oldest: list[float | None] = Field(description="seconds that the oldest of them had waited")


class History(Document):
    """What all instances did, in buckets of `step` seconds. A list has a figure a bucket; the last is under way."""

    span: str
    step: int
    start: int = Field(description="when the first bucket begins")
    now: float
    since: float | None = Field(description="when counting began; before, all is 0. null: nothing was counted yet")
    committed: list[float]
    dead_letters: list[float]
    tiers: dict[str, list[float]] = Field(description="messages, by the tiers that decided any")
    categories: dict[Text, list[float]] = Field(description="seconds, by the categories that got any")
    lanes: dict[str, LaneHistory]
    backlog: BacklogHistory


class Label(Document):
    name: str = Field(description="the value in metrics and answers")
    label: str
    meaning: str


class LabelQuery(Asked):
    lang: Literal["ko", "en"] = "en"


class Labels(Document):
    tiers: list[Label] = Field(description="in the order in which they are asked")
    lanes: list[Label]
    zone: str = Field(description="the time zone of boards and dates, such as Asia/Seoul")


class Access(Document):
    changes: Literal["off", "locked", "open"] = Field(
        description="off: there is no ADMIN_TOKEN; locked: it is needed; open: it was given"
    )
    user: str | None = Field(description="whose own token was given; what is theirs can be seen with it")
    users_have_tokens: bool = Field(description="COLLECT_TOKEN_KEY is set")


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


class CardQuery(Asked):
    user_id: str = Field(min_length=1, max_length=500)
    period: Period = "day"
    date: Day = None
    format: Literal["adaptive", "slack", "json", "text"] = "json"
    lang: Literal["ko", "en"] = "en"


class UserDayQuery(Asked):
    user_id: str = Field(min_length=1, max_length=500)
    date: Day = None


class CardDocument(BaseModel):
    """The figures of a card (docs/focus-cards.md), or the card in the format that was asked for."""

    model_config = ConfigDict(extra="allow")


class QualityQuery(Asked):
    date: Day = None


class Quality(Document):
    sources: list[dict[str, Any]] = Field(description="figures by name, as docs/analytics.md explains them")


class Question(Asked):
    question: Literal[
        "categories", "days", "heat-map", "category-stream", "top-sites", "unknown-share", "tiers", "sources"
    ]  # fmt: skip


class Table(Document):
    columns: list[str]
    rows: list[list[Any]]


class CardRun(Document):
    under_way: bool
    run: str | None = None
    days: list[date] = Field(default_factory=list, description="days whose periods get cards")
    started: float | None = None
    users: int = 0
    written: int = 0
    unchanged: int = Field(0, description="cards that were right already")
    boards_left: int = 0
    chunks_left: int = 0
    workers: int = Field(0, description="who works on the stage that has work left")
    last_end: float | None = Field(None, description="when a run over all users last ended")


class TimelineStrip(Document):
    category: Text
    starts: str = Field(description="local time, ISO 8601")
    seconds: float


class UserDay(Document):
    user_id: Text
    date: date
    as_of: str = Field(description="local time, ISO 8601")
    focus_seconds: float
    categories: dict[Text, float]
    timeline: list[TimelineStrip]


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


class WindowsQuery(BoardPlace):
    user_id: str = Field(min_length=1, max_length=500)
    limit: int = Field(100, ge=1, le=500)


class BoardWindow(Document):
    category: Text
    app: Text
    host: Text
    url: Text
    title: Text
    log_id: str = Field(description="one of its usage logs, for POST /api/corrections")
    logs: int
    seconds: float
    tier: str | None = Field(description="who says so now; null: nobody does any more")


class BoardWindows(Document):
    """What made a user's hours on a board. `score` is the board's; `seconds` that of all windows, also of those of
    messages that are not committed yet."""

    category: str
    period: Period
    date: date
    user_id: Text
    score: float
    seconds: float
    total: int = Field(description="windows; those beyond `limit` are not in `content`")
    content: list[BoardWindow] = Field(description="the longest first")


# Corrections


class CorrectionBody(Asked):
    """The window is that of `logId`, or `app`, `url` and `title`. With `forAll` it is corrected for everybody,
    else for the user of the log or `userId`."""

    category: str = Field(min_length=1, max_length=100)
    log_id: str | None = Field(None, pattern=r"^[0-9a-f]{24}$")
    user_id: str = Field("", max_length=500)
    app: str = Field("", max_length=16_384)
    url: str = Field("", max_length=16_384)
    title: str = Field("", max_length=16_384)
    for_all: bool = False


class CorrectionId(Asked):
    id: str = Field(pattern=r"^[0-9a-f]{24}$")


class Correction(Document):
    id: str
    user_id: Text = Field(description="empty: it is for everybody")
    app: Text
    url: Text
    title: Text
    category: Text
    by: Text = Field(description="whose token it was")
    time: float = Field(description="when it was last changed")
    state: Literal["pending", "applied", "undoing"] = Field(
        description="pending, undoing: new messages go by it, boards follow in seconds; what is undone is gone then"
    )
    logs: int = Field(description="usage logs that it has decided")
    seconds: float


class Corrections(Document):
    content: list[Correction] = Field(description="the latest first")


# Dead letters


class DeadLetterQuery(Asked):
    """Texts are looked for in any case. All together they fit into a line of HTTP, whatever their characters."""

    limit: int = Field(20, ge=1, le=100)
    stream: str = Field("", max_length=200, description="only those of this stream or work queue")
    kind: str = Field("", max_length=100)
    reason: str = Field("", max_length=300, description="only those whose reason contains this")
    q: str = Field("", max_length=200, description="only those with this in their reason, user or ids")
    before: str | None = Field(
        None, pattern=r"^[1-9][0-9]{0,17}-[0-9]{1,18}@[0-9]{1,5}$", description="`next` of the page before"
    )


class DeadLetterId(Asked):
    id: str = Field(pattern=_ENTRY_ID)


class PastReplay(Document):
    """When and why it was parked before, and when it was put back."""

    parked: float
    kind: Text
    reason: Text
    replayed: float


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
    first_came: float | None = Field(description="when its message was first published; null as `fields`")
    history: list[PastReplay] | None = Field(description="its replays, the oldest first; null as `fields`")


class DeadLetters(Document):
    """The page may have fewer than were asked for, even none, where a search has to go on from `next`."""

    content: list[DeadLetterDocument] = Field(description="the latest first")
    next: str | None = Field(description="`before` of the next page; null: there are no more")


class DeadLetterGroup(Document):
    kind: str
    reason: Text = Field(description="without what is quoted from messages")
    count: int
    oldest: float
    latest: float
    streams: dict[Text, int] = Field(description="how many are of which stream")


class DeadLetterSummary(Document):
    total: int
    groups: list[DeadLetterGroup] = Field(description="the largest first")


class Waiting(Asked):
    wait: float = Field(
        3.0, strict=True, ge=0, le=5, description="seconds for which the ends of the messages are waited for"
    )


class ReplayBody(Waiting):
    fields: dict[Annotated[str, Field(min_length=1, max_length=100)], str | None] = Field(
        default_factory=dict,
        max_length=50,
        description="fields of the message that get another value, or none (null); it has to be valid then",
    )


class LetterChoice(Asked):
    """Letters by their ids, or all of a stream, of a kind, with a text in their reason, or found by `q`.

    One has to be given.
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [name]} for name in _CHOICES]})

    ids: list[Annotated[str, Field(pattern=_ENTRY_ID)]] = Field(default_factory=list, min_length=1, max_length=1000)
    stream: str = Field("", min_length=1, max_length=200)
    kind: str = Field("", min_length=1, max_length=100)
    reason: str = Field("", min_length=1, max_length=1000)
    q: str = Field("", min_length=1, max_length=200)
    until: float | None = Field(
        None,
        strict=True,
        gt=0,
        description="only those parked up to then; not given: now. What is replayed may come back",
    )

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.model_fields_set.isdisjoint(_CHOICES):
            raise ValueError(f"say which: {', '.join(_CHOICES)}")
        return self

    @property
    def described(self) -> str:
        criteria = {"stream": self.stream, "kind": self.kind, "reason": self.reason, "q": self.q}
        named = [f"{name}={value}" for name, value in criteria.items() if value]
        return ", ".join([*named, *self.ids])


class ReplayChoice(LetterChoice, Waiting):
    pass


class Replayed(Document):
    id: str
    new_id: str
    outcome: Literal["committed", "died", "waiting"] = Field(
        description="died: it is a dead letter again; waiting: nothing is known yet"
    )
    letter_id: str | None = Field(description="of the letter that it has become again")
    why: Text | None = Field(description="the reason of that letter")


class LeftLetter(Document):
    id: str
    why: Text


class ReplayedLetters(Document):
    replayed: list[Replayed]
    left: list[LeftLetter] = Field(description="the first of those that cannot be put back")
    counts: dict[str, int] = Field(description="by outcome, and those left")
    until: float
    more: bool = Field(description="there may be more: ask again with this `until`")


class DroppedLetters(Document):
    dropped: int
    until: float
    more: bool = Field(description="there are more: ask again with this `until`")


# System


class SystemInstance(Document):
    name: Text
    stream: Text
    pending: int
    idle_seconds: float
    alive: bool
    here: bool = Field(description="it is the one that answers")


class StoreDocument(Document):
    """`kind`, `since` and `words` are those of the outage, as in `State`; null if there is none."""

    service: Literal["redis", "store"]
    server: str
    address: Text = Field(description="without secrets")
    ok: bool
    kind: str | None = None
    since: float | None = None
    words: Text | None = None


class SettingDocument(Document):
    name: str
    value: Text | None = Field(description="null: not set, or secret")
    default: str | None
    is_set: bool = Field(description="it was given, be it to its default")
    secret: bool
    unit: str
    description: str


class TaskRun(Document):
    task: Text
    id: Text | int | None
    status: Literal["started", "completed", "failed"]
    started: float
    ended: float | None = Field(description="null: it is running, or was when its instance died")
    data: dict[str, Any] = Field(description="of its end, with the `reason` if it failed")


class TaskParameter(Document):
    name: str
    description: str
    kind: Literal["text", "list", "date", "boolean", "choice"]
    required: bool
    choices: list[str]


class TaskRequest(Asked):
    task: str = Field(min_length=1, max_length=100)
    params: dict[str, Any] = Field(default_factory=dict, max_length=20)


class RequestedTask(Document):
    id: str = Field(description="its runs in /api/system have it")
    status: Literal["waiting", "started", "progress", "completed", "failed"] = Field(
        description="as far as it came within a few seconds; waiting: no instance has begun with it"
    )
    data: dict[str, Any] = Field(description="what was told last, with the `reason` if it failed")


class TaskDocument(Document):
    name: str
    help: str
    params: list[TaskParameter]
    schedule: str | None = Field(description="cron expression in the zone of the boards; null: only by request")
    next: float | None
    last_run: TaskRun | None


class System(Document):
    version: str
    zone: str = Field(description="the boards' time zone")
    time: float
    instance: Text = Field(description="the one whose settings these are")
    instances: list[SystemInstance]
    stores: list[StoreDocument]
    settings: list[SettingDocument]
    tasks: list[TaskDocument]
    runs: list[TaskRun] | None = Field(description="the latest first; null during an outage of Redis")


class AuditQuery(Asked):
    limit: int = Field(50, ge=1, le=500)
    before: str | None = Field(
        None, pattern=r"^[1-9][0-9]{0,17}-[0-9]{1,18}$", description="`next` of the page before"
    )


class ChangeDocument(Document):
    time: float
    who: Text = Field(description="the token's owner and address, the user and host, or the task's request")
    what: Text
    item: Text | None = Field(None, description="null without the token")
    outcome: Text | None = Field(None, description="null without the token")


class Audit(Document):
    content: list[ChangeDocument] = Field(description="the latest first")
    next: str | None = Field(description="`before` of the next page; null: there are no more")


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


class PatternDocument(Document, from_attributes=True):
    """`priority`: the lowest comes first, null last. `provisional` patterns hold where no later tier knows better."""

    category: Text
    priority: int | None
    app_patterns: list[Text]
    domain_patterns: list[Text]
    title_patterns: list[Text]
    provisional: bool


class Patterns(Document):
    content: list[PatternDocument]


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
    site: float = Field(0.0, description="confidence with which the site's own page speaks for it; 0: no such page")
    corrections: int = Field(0, description="windows that persons have given this category")


class PreviewQuery(ProposalId):
    days: int = Field(7, ge=1, le=400)


class Moved(Document, from_attributes=True):
    category: Text = Field(description="the one that the logs have now")
    logs: int
    users: int
    seconds: float


class Preview(Document):
    days: int
    logs: int = Field(description="how many were looked at")
    complete: bool = Field(description="whether there was time for all of them")
    moved: list[Moved]


class Proposals(Document):
    content: list[Proposal]


class SiteQuery(Asked):
    state: Literal["visiting", "fetched", "concluded", "open", "failed", "forgotten"] | None = None
    after: str = Field("", max_length=253, description="only sites behind this one, by their names")
    limit: int = Field(50, ge=1, le=200)


class SiteName(Asked):
    site: str = Field(min_length=1, max_length=253)


class SiteReason(Document):
    kind: str
    found: Text = Field(description="on the site's page; hostile text, made printable")
    category: Text
    weight: float


class Site(Document):
    site: str
    state: str
    visited_at: float
    outcome: str | None = Field(description="of the latest visit")
    detail: Text
    category: Text | None
    confidence: float
    title: Text
    evidence: list[SiteReason]


class Sites(Document):
    content: list[Site]
    has_more: bool


class QueuedSite(Document):
    site: str
