"""The right results, computed only from the published messages.

Source: contract.md, and no code of the product. The calendar and the categories are the suite's own, so that an error
of the product is not repeated here.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum, isfinite
from typing import NamedTuple

WORK = frozenset(
    {
        "Development",
        "LLM",
        "Documentation",
        "Design",
        "Video Editing",
        "Education",
        "Productivity",
        "Finance",
        "File Management",
        "Browsing",
        "Marketing",
        "System & Utilities",
        "Meetings",
    }
)
OTHERS = ("SNS", "Entertainment", "Game", "E-commerce & Shopping", "AFK")
UNCATEGORIZED = "Uncategorized"
BROWSING = "Browsing"
APPS = {
    "Forge Editor": "Development",
    "Wide Lantern": BROWSING,
    "Disk Janitor": "System & Utilities",
    "카카오톡": "SNS",
    "Dungeon Quest": "Game",
    "Idle Screen": "AFK",
}
HOSTS = {"docs.pomo.example": "Documentation", "shop.pomo.example": "E-commerce & Shopping"}
LLM_APPS: dict[str, str | None] = {"Zyx Atelier": "Design", "Qwv Jukebox": "Music", "Kjh Riddle": None}
"""Apps that no rule knows, and the fake LLM's answer for each; None: it gives no answer."""

LLM_HOSTS: dict[str, str | None] = {
    "seminar.pomo.example": "Education",
    "plaza.pomo.example": "SNS",
    "lobby.pomo.example": BROWSING,
    "fog.pomo.example": None,
}
"""The same for hosts. Without an answer, a page at such a host is Browsing in a known browser.

The hosts must look public: one of an internal domain, such as `.test`, is not sent to the LLM.
"""

_KST = 9 * 3600
_PLAUSIBLE = (1_262_304_000.0, 5e9)  # 2010; what the fault suite lets lie ahead is far below
_EPOCH_DAYS = 719_468  # 0000-03-01 to 1970-01-01


class Day(NamedTuple):
    year: int
    month: int
    day: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}-{self.day:02}"


class Session(NamedTuple):
    user: str
    date: str
    number: str


@dataclass(frozen=True)
class Published:
    """One message: its number in the suite, and its fields on the wire. `repeated`: an earlier one, sent again."""

    number: int
    fields: Mapping[str, str]
    repeated: bool = False


@dataclass(frozen=True)
class Log:
    """A usage log as Spring must find it. `fallback` is the category that it may have until the LLM has answered."""

    message: Published
    category: str
    fallback: str
    session: Session

    @property
    def timestamp(self) -> float:
        return float(self.message.fields["timestamp"])


class Model:
    """The right results for the messages added so far. `llm` says whether the instances have the (fake) LLM."""

    def __init__(self, llm: bool) -> None:
        self._llm = llm
        self._seconds: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.logs: dict[Session, list[Log]] = {}
        self.ended: set[Session] = set()
        self.dead: list[Published] = []

    def add(self, message: Published) -> None:
        fields = message.fields
        if message.repeated:
            return
        if rule := broken_rule(fields):
            self.dead.append(message)
            if fields.get("isEnd") == "true" and rule not in ("userId", "session", "sessionDate"):
                self.ended.add(session_of(fields))
            return
        category, fallback = category_of(fields, self._llm), category_of(fields, llm=False)
        session = session_of(fields)
        self.logs.setdefault(session, []).append(Log(message, category, fallback, session))
        if fields.get("isEnd") == "true":
            self.ended.add(session)
        for board in boards_of(category, float(fields["timestamp"])):
            self._seconds[board][fields["userId"]].append(float(fields["duration"]))

    @property
    def boards(self) -> dict[str, dict[str, float]]:
        """{key: {user: seconds}}, each the exact sum."""
        return {board: {user: fsum(parts) for user, parts in users.items()} for board, users in self._seconds.items()}

    @property
    def all_logs(self) -> list[Log]:
        return [log for logs in self.logs.values() for log in logs]


def session_of(fields: Mapping[str, str]) -> Session:
    return Session(fields["userId"], fields["sessionDate"][:10], str(int(fields["session"])))


def category_of(fields: Mapping[str, str], llm: bool) -> str:
    """UNKNOWN_PAGES_COUNT_AS is Browsing, so that the LLM's answers also take seconds from boards of work."""
    return _by_rules(fields) or (llm and answer_of(fields)) or APPS.get(fields.get("app", "")) or UNCATEGORIZED


def _by_rules(fields: Mapping[str, str]) -> str | None:
    """A browser's name decides only where neither a host nor a title says what it shows."""
    host, of_app = _host(fields), APPS.get(fields.get("app", ""))
    if of_app and (of_app != BROWSING or not (host or fields.get("title"))):
        return of_app
    return HOSTS.get(host)


def answer_of(fields: Mapping[str, str]) -> str | None:
    """The answer that the LLM would give for a window."""
    host = _host(fields)
    return LLM_HOSTS[host] if host in LLM_HOSTS else LLM_APPS.get(fields.get("app", ""))


def by_llm(fields: Mapping[str, str]) -> bool:
    """Whether the LLM decides the window, if there is an LLM."""
    return _by_rules(fields) is None and answer_of(fields) is not None


def _host(fields: Mapping[str, str]) -> str:
    return fields.get("url", "").removeprefix("https://").partition("/")[0]


def broken_rule(fields: Mapping[str, str]) -> str | None:
    """The line of the contract's table that a message breaks; None if it must be accepted."""
    if not 1 <= len(fields.get("userId", "")) <= 500:
        return "userId"
    if len(fields.get("app", "").encode("utf-8", "surrogatepass")) > 1024:
        return "app"
    for name, least, most in (("duration", 0.0, 86_400.0), ("timestamp", *_PLAUSIBLE)):
        value = _double(fields.get(name, ""))
        if value is None or not least <= value <= most:
            return name
    if not _whole(fields.get("session", "")):
        return "session"
    if fields.get("sessionMinutes") and not _whole(fields["sessionMinutes"]):
        return "sessionMinutes"
    if fields.get("isEnd", "") not in ("true", "false", ""):
        return "isEnd"
    if len(fields.get("sessionDate", "")) > 64 or not _date(fields["sessionDate"]):
        return "sessionDate"
    ids = [fields.get(name, "") for name in ("categorizedDataId", "pomodoroUsageLogId")]
    if any(ids) and not all(len(value) == 24 and set(value) <= set("0123456789abcdefABCDEF") for value in ids):
        return "ids"
    return None


def boards_of(category: str, timestamp: float) -> list[str]:
    day = local_day(timestamp)
    year, week = iso_week(day)
    names = [category, "work"] if category in WORK else [category]
    labels = (str(day), f"{year}-W{week}", f"{day.year}-M{day.month}")
    return [f"leaderboard:{name}:{label}" for name in names for label in labels]


def local_day(timestamp: float) -> Day:
    """The date in Asia/Seoul (UTC+9 all year)."""
    return _civil(int((timestamp + _KST) // 86_400))


def iso_week(day: Day) -> tuple[int, int]:
    """The ISO week of a day. A week belongs to the year of its Thursday."""
    days = days_of(day)
    thursday = days - (days + 3) % 7 + 3  # 1970-01-01 was a Thursday
    year = _civil(thursday).year
    return year, (thursday - days_of(Day(year, 1, 1))) // 7 + 1


def midnight(date: str) -> int:
    """The Unix seconds of the start of a date in Asia/Seoul."""
    return days_of(Day(*(int(part) for part in date[:10].split("-")))) * 86_400 - _KST


def days_of(day: Day) -> int:
    """Days since 1970-01-01 (Hinnant's days_from_civil)."""
    year = day.year - (day.month <= 2)
    of_year = (153 * ((day.month + 9) % 12) + 2) // 5 + day.day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + of_year - _EPOCH_DAYS


def _civil(days: int) -> Day:
    days += _EPOCH_DAYS
    era, of_era = divmod(days, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    month = (shifted + 2) % 12 + 1
    return Day(year_of_era + era * 400 + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1)


def _double(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _whole(text: str) -> bool:
    digits = text.removeprefix("+")  # as Java's parseInt takes it
    return digits.isascii() and digits.isdigit() and int(digits) < 2**31


def _date(text: str) -> bool:
    parts = text[:10].split("-")
    if [len(part) for part in parts] != [4, 2, 2] or not all(part.isascii() and part.isdigit() for part in parts):
        return False
    day = Day(*(int(part) for part in parts))
    if day.year < 1 or _civil(days_of(day)) != day:
        return False
    return len(text) == 10 or (text[10] in "Tt " and (text[-1] in "Zz" or text[-6] in "+-"))


def number_of_letter(fields_json: str) -> int | None:
    """The number of the message in a dead letter. It is in a field that the contract ignores."""
    try:
        return int(json.loads(fields_json)["chaosNumber"])
    except (ValueError, KeyError, TypeError):
        return None
