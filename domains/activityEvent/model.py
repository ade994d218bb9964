"""Events, and what waits to become one. The published schema is deploy/analytics/pomocore.spans.v1.schema.json."""

import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domains.pomodoro.model import Posting

_USER_CHARACTERS = 32


class OutboxEntry(NamedTuple):
    """What one commit has posted. `unreadable` says why nobody can read the entry, which has no postings then.

    `moved` are those of the postings that change a category. `repeated` has the source of each message that did not
    count, since its log had.
    """

    id: str
    postings: Sequence[Posting]
    unreadable: str = ""
    moved: Sequence[Posting] = ()
    repeated: Sequence[str] = ()


class OutboxState(NamedTuple):
    """`waiting` and `gap` are numbers of events: those not exported yet, and by day those that found no room."""

    waiting: int
    gap: int
    gap_by_day: Mapping[str, int]
    oldest_seconds: float = 0.0
    stale_days: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ActivityEvent:
    """One signed posting as others see it.

    `event_id` is `logId:revision:n`: the outbox's entry is the revision, and n counts the postings of the log in it.
    `user` stands for the user, who cannot be found out from it. `timestamp` and `committed_at` are ISO 8601 in UTC;
    `day` and `hour` are local, as those of the boards. `seconds` has the sign of `sign`.
    """

    event_id: str
    user: str
    timestamp: str
    day: str
    hour: int
    session: int
    session_date: str
    seconds: float
    sign: int
    category: str
    work: bool
    app: str
    host: str
    tier: str
    source: str
    committed_at: str

    @property
    def log_id(self) -> str:
        return self.event_id.partition(":")[0]

    @property
    def revision(self) -> str:
        return self.event_id.split(":")[1]


class EventMaker:
    """Makes events of postings. `key` is that of the HMAC, `zone` that of the boards."""

    def __init__(self, key: bytes, zone: ZoneInfo) -> None:
        self._key = key
        self.zone = zone
        self.pseudonym = lru_cache(50_000)(self._pseudonym)

    def events(self, entry: OutboxEntry) -> tuple[list[ActivityEvent], list[str]]:
        """The events of an entry, and why what is missing among them could not become one."""
        numbers: Counter[str] = Counter()
        committed = iso(int(entry.id.partition("-")[0]) / 1000)
        made, reasons = [], [entry.unreadable] if entry.unreadable else []
        for posting in entry.postings:
            number = numbers[posting.log_id]
            numbers[posting.log_id] += 1
            try:
                made.append(self.event(posting, f"{posting.log_id}:{entry.id}:{number}", committed))
            except (ValueError, OverflowError, OSError) as error:  # its time is in no calendar
                reasons.append(f"{posting.log_id}: {error}")
        return made, reasons

    def event(self, posting: Posting, event_id: str, committed_at: str) -> ActivityEvent:
        local = datetime.fromtimestamp(posting.timestamp, self.zone)
        return ActivityEvent(
            event_id=event_id,
            user=self.pseudonym(posting.user_id),
            timestamp=iso(posting.timestamp),
            day=posting.day,
            hour=local.hour,
            session=posting.session,
            session_date=posting.session_date,
            seconds=posting.seconds,
            sign=-1 if posting.seconds < 0 else 1,
            category=posting.category,
            work=posting.work,
            app=posting.app,
            host=posting.host,
            tier=posting.tier,
            source=posting.source,
            committed_at=committed_at,
        )

    def _pseudonym(self, user_id: str) -> str:
        return hmac.digest(self._key, user_id.encode("utf-8", "surrogatepass"), "sha256").hex()[:_USER_CHARACTERS]


def order_of(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


def iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
