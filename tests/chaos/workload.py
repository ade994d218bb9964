"""Messages as Spring publishes them: interleaved sessions of several users, of both kinds, some of them broken.

Some sessions come in reverse, and some messages come again, as after a failed send.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from tests.chaos.model import (
    APPS,
    BROWSING,
    HOSTS,
    LLM_APPS,
    LLM_HOSTS,
    UNCATEGORIZED,
    Published,
    category_of,
    midnight,
)

USERS = ["9f3c-0001", "9f3c-0002", "사용자 셋", "a:b|c", 'quo"te\\', "two\nlines", "🦊", " padded ", "0", "-1"]
REFUSED_USERS = ["refused-1", "refused-둘"]
"""Users whose logs the store may refuse for a while (see write_faults)."""
EDGES = [
    midnight(date) for date in ("2024-12-30", "2025-01-01", "2025-03-01", "2025-09-01", "2026-01-01", "2027-01-01")
]
"""Days on which a week, a month or a year begins, where calendars go wrong."""

_REPEATED = 0.05
_REVERSED = 0.2

_DATES = ("2024-12-31", "2025-03-01", "2025-09-02", "2027-01-01")
_BROKEN: list[dict[str, str | None]] = [
    {"userId": ""},
    {"userId": None},
    {"userId": "u" * 501},
    {"app": "a" * 1025},
    {"sessionDate": "2025-09-02T00:00:00." + "0" * 1000 + "Z"},
    {"duration": None},
    {"duration": "-1.0"},
    {"duration": "NaN"},
    {"duration": "8.64001E4"},
    {"timestamp": "1.756771234E12"},
    {"duration": "two minutes"},
    {"timestamp": "Infinity"},
    {"timestamp": ""},
    {"session": "-3"},
    {"session": "three"},
    {"sessionDate": "2025-02-30"},
    {"sessionDate": "yesterday"},
    {"sessionMinutes": "25.5"},
    {"isEnd": "maybe"},
    {"categorizedDataId": "68b6", "pomodoroUsageLogId": "68b6"},
    {"categorizedDataId": "68b600000000000000000000", "pomodoroUsageLogId": None},
]


@dataclass
class _OpenSession:
    user: str
    date: str
    number: int
    left: int
    ends: bool
    reversed: bool = False
    """Its messages come together, the end first: Spring's producer had to send them again."""


@dataclass
class Batch:
    """Messages that are published in one step, and the documents that Spring inserts before."""

    messages: list[Published] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)


class Workload:
    """Everything that one round publishes, determined by `rng`.

    `broken` is the share of messages that break the contract.
    """

    def __init__(self, rng: Random, count: int, with_refused: bool, broken: float = 0.04) -> None:
        self._rng = rng
        self._broken = broken
        self._users = USERS + REFUSED_USERS * with_refused
        self._count = count
        self._made = 0
        self._sessions = 0
        self._open: list[_OpenSession] = []
        self._sent: list[dict[str, str]] = []

    def batches(self) -> Iterator[Batch]:
        while self._made < self._count:
            batch = Batch()
            for _ in range(min(self._rng.choice((1, 3, 10, 30)), self._count - self._made)):
                self._add(batch)
            yield batch

    def _add(self, batch: Batch) -> None:
        rng = self._rng
        while len(self._open) < 8:
            self._open.append(self._new_session())
        if self._sent and rng.random() < _REPEATED:
            again = {**rng.choice(self._sent[-100:]), "chaosNumber": str(self._made)}
            batch.messages.append(Published(self._made, again, repeated=True))
            self._made += 1
            return
        session = rng.choice(self._open)
        if session.reversed:
            self._open.remove(session)
            self._add_reversed(batch, session)
            return
        session.left -= 1
        last = session.left <= 0
        fields = self._fields(session, is_end=last and session.ends)
        if rng.random() < self._broken:
            for name, value in rng.choice(_BROKEN).items():
                fields.pop(name, None)
                if value is not None:
                    fields[name] = value
        elif rng.random() < 0.5:
            self._insert_as_spring(batch, fields)
        if last:
            self._open.remove(session)
        batch.messages.append(Published(self._made, fields))
        self._made += 1

    def _add_reversed(self, batch: Batch, session: _OpenSession) -> None:
        for left in range(session.left):
            fields = self._fields(session, is_end=session.ends and left == 0)
            self._insert_as_spring(batch, fields)
            batch.messages.append(Published(self._made, fields))
            self._made += 1

    def _new_session(self) -> _OpenSession:
        self._sessions += 1
        rng = self._rng
        return _OpenSession(
            rng.choice(self._users),
            rng.choice(_DATES),
            self._sessions,
            rng.randint(1, 12),
            rng.random() < 0.9,
            rng.random() < _REVERSED,
        )

    def _fields(self, session: _OpenSession, is_end: bool) -> dict[str, str]:
        rng = self._rng
        # no two messages share a timestamp, so a log can be told from another
        timestamp = rng.choice(EDGES) + rng.randint(-5000, 5000) + self._made / 2**20
        date = session.date if rng.random() < 0.8 else f"{session.date}T{rng.randint(0, 23):02}:30:00+09:00"
        window = self._window()
        # who leaves a board with no seconds at all cannot be told from who was never there
        least = 1 if category_of(window, llm=False) in (BROWSING, UNCATEGORIZED) else 0
        duration = rng.choice((rng.uniform(0, 600), float(rng.randint(least, 300)), 0.1, 1.5e-4, 86_400.0))
        fields = {
            "userId": session.user,
            "duration": java_double(duration),
            "timestamp": java_double(timestamp),
            "session": str(session.number),
            "sessionDate": date,
            "chaosNumber": str(self._made),
            **window,
        }
        if rng.random() < 0.8:
            fields["sessionMinutes"] = "25"
        if is_end or rng.random() < 0.5:
            fields["isEnd"] = "true" if is_end else "false"
        return fields

    def _window(self) -> dict[str, str]:
        rng = self._rng
        lot = rng.random()
        if lot < 0.50:
            window = {"app": rng.choice(list(APPS))}
        elif lot < 0.65:
            window = {"app": "Quiet Surf", "url": f"https://{rng.choice(list(HOSTS))}/page/{rng.randint(1, 9)}"}
        elif lot < 0.80:
            browser = rng.choice(("Wide Lantern", "Wide Lantern", "Quiet Surf"))  # a rule knows the first alone
            window = {"app": browser, "url": f"https://{rng.choice(list(LLM_HOSTS))}/page/{rng.randint(1, 9)}"}
        elif lot < 0.95:
            window = {"app": rng.choice(list(LLM_APPS))}
        else:
            return {}  # no window at all: nothing can be told
        if rng.random() < 0.8:
            window["title"] = f"제목 {rng.randint(1, rng.choice((40, 400)))}"  # some often enough to be remembered
        return window

    def _insert_as_spring(self, batch: Batch, fields: dict[str, str]) -> None:
        """Today's server inserts both documents without a category, and then sends the message with their ids."""
        window_id, log_id = (f"{self._rng.getrandbits(96):024x}" for _ in range(2))
        fields |= {"categorizedDataId": window_id, "pomodoroUsageLogId": log_id}
        batch.windows.append({"_id": window_id, **{k: fields[k] for k in ("app", "url", "title") if k in fields}})
        self._sent.append(fields)
        batch.logs.append({"_id": log_id, "categorizedDataId": window_id, "fields": fields})


def java_double(value: float) -> str:
    """Spells a double as Java's Double.toString: plain from 1E-3 to 1E7, else with an exponent, which has no plus."""
    if value == 0 or 1e-3 <= value < 1e7:
        return repr(value)
    _, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    fraction = "".join(map(str, digits[1:])) or "0"
    return f"{digits[0]}.{fraction}E{exponent + len(digits) - 1}"
