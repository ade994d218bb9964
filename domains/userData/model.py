"""What is kept of a user, and which of it the pipeline may delete."""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from domains.pomodoro.model import CategorizedData, PomodoroUsageLog

USAGE_LOGS, WINDOWS = "usage logs", "windows"


class PersonalItem(NamedTuple):
    """One thing that is kept of a user, as JSON values. What is not ours is Spring's, which alone may delete it."""

    place: str
    data: Mapping[str, object]
    is_ours: bool = True


class Held(NamedTuple):
    """How many items a place has of a user: those that are ours, and those that are Spring's."""

    ours: int = 0
    of_spring: int = 0


class Scope(NamedTuple):
    """Usage logs: those of a user, or of all (None), from before a time (Unix seconds)."""

    user_id: str | None = None
    before: float = inf


def log_document(log: PomodoroUsageLog) -> dict[str, object]:
    return {
        "id": log.id,
        "userId": log.user_id,
        "categorizedDataId": log.categorized_data_id,
        "categoryId": log.category_id,
        "session": log.session,
        "sessionMinutes": log.session_minutes,
        "sessionDate": log.session_date.isoformat(),
        "timestamp": log.timestamp,
        "duration": log.duration,
    }


def window_document(data: CategorizedData) -> dict[str, object]:
    return {"id": data.id, **data.window._asdict(), "categoryId": data.category_id, "isLlmBased": data.is_llm_based}
