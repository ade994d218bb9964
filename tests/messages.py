"""Builders of stream entries and MongoDB documents as Spring writes them. Every value of an entry is a string."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.window import Window
from domains.leaderboard.service import BoardCalendar
from domains.pomodoro.model import CategorizedData, PomodoroUsageLog
from infrastructure.composition.from_settings import message_limits
from infrastructure.settings import Settings
from infrastructure.spring.message_parser import MessageParser
from infrastructure.spring.message_spelling import java_double

SEOUL = ZoneInfo("Asia/Seoul")
LIMITS = message_limits(Settings.model_construct())
MAX_BYTES = LIMITS.max_bytes

_EDITOR = {
    "userId": "user-1",
    "app": "Visual Studio Code",
    "title": "README.md — pomocore",
    "url": "",
    "duration": "120.0",
    "timestamp": "1.756771234E9",  # 2025-09-02 09:00:34 in Seoul
    "session": "3",
    "sessionDate": "2025-09-02",
    "sessionMinutes": "25",
    "isEnd": "false",
}


def hex_id(number: int) -> str:
    """A document id (24 hex digits) that is easy to recognise in a failure."""
    return f"{number:024x}"


def message(**changes: str | None) -> dict[str, str]:
    """An entry without ids, as the earlier flow sends it. A field that is None is left out."""
    return {name: value for name, value in (_EDITOR | changes).items() if value is not None}


def linked_message(number: int, **changes: str | None) -> dict[str, str]:
    """An entry with both ids, as today's server sends it: `data_id(number)` and `log_id(number)`."""
    return message(**{"categorizedDataId": data_id(number), "pomodoroUsageLogId": log_id(number)} | changes)


def data_id(number: int) -> str:
    return hex_id(0xDA7A << 48 | number)


def log_id(number: int) -> str:
    return hex_id(0x106 << 48 | number)


def unix_seconds(local: str, zone: ZoneInfo = SEOUL) -> str:
    """The local time `2025-09-02T09:00:34` as a `timestamp` in Java's spelling."""
    return java_double(datetime.fromisoformat(local).replace(tzinfo=zone).timestamp())


def spring_data(number: int, app: str | None = "Visual Studio Code", **fields: Any) -> dict[str, Any]:
    """The document, without a category, that Spring inserts into `categorized_data` before it sends a message."""
    document = {"_id": ObjectId(data_id(number)), "app": app, "url": None, "title": "README.md — pomocore"}
    return document | {"IsLLMBased": False, "_class": "com.pomocore.CategorizedData"} | fields


def spring_log(number: int, **fields: Any) -> dict[str, Any]:
    """The document, without a category, that Spring inserts into `pomodoro_usage_log` before it sends a message."""
    document = {
        "_id": ObjectId(log_id(number)),
        "userId": "user-1",
        "CategorizedDataId": ObjectId(data_id(number)),
        "session": 3,
        "sessionMinutes": 25,
        "sessionDate": datetime(2025, 9, 2, tzinfo=SEOUL),
        "timestamp": 1756771234.0,
        "duration": 120.0,
        "_class": "com.pomocore.PomodoroUsageLog",
    }
    return document | fields


def categorized(number: int, app: str = "Slack", url: str = "", title: str = "", **fields: Any) -> CategorizedData:
    return CategorizedData(**{"id": data_id(number), "window": Window(app, url, title), "category_id": None} | fields)


def usage_log(number: int, **fields: Any) -> PomodoroUsageLog:
    defaults = {
        "id": log_id(number),
        "user_id": "user-1",
        "categorized_data_id": data_id(number),
        "category_id": None,
        "session": 3,
        "session_minutes": 25,
        "session_date": date(2025, 9, 2),
        "timestamp": 1756771234.0,
        "duration": 120.0,
    }
    return PomodoroUsageLog(**defaults | fields)  # type: ignore[arg-type]


def patterns() -> list[CategoryPattern]:
    """A few categories as an administrator might write them, without `Uncategorized`."""
    return [
        CategoryPattern(hex_id(1), "Development", 1, ("Visual Studio Code", "IntelliJ IDEA"), ("github.com",)),
        CategoryPattern(hex_id(2), "Documentation", 2, ("Notion",), ("docs.google.com",)),
        CategoryPattern(hex_id(3), "SNS", 3, ("카카오톡",), ("instagram.com",)),
        CategoryPattern(hex_id(4), "Entertainment", None, (), ("youtube.com",)),
    ]


DEVELOPMENT, DOCUMENTATION, SNS, ENTERTAINMENT = (hex_id(number) for number in range(1, 5))


def parser(max_bytes: int = MAX_BYTES, zone: ZoneInfo = SEOUL) -> MessageParser:
    return MessageParser(BoardCalendar(zone), LIMITS._replace(max_bytes=max_bytes))
