"""What cards say, in Korean and English. Numbers and dates are formatted here: clients do it in their own ways."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

Language = Literal["ko", "en"]
Document = Mapping[str, Any]

_WORDS = {
    "en": {
        "day": "day", "week": "week", "month": "month", "focus": "Focus", "rank": "Rank", "streak": "Days in a row",
        "longest": "Longest focus", "interruptions": "Interruptions", "a_day": "{0} ({1} a day)",
        "sessions": "Sessions", "categories": "Where the time went", "apps": "Apps",
        "sites": "Sites", "days": "Days", "as_of": "As of {}", "weekday": "vs a week earlier",
        "uncategorised": "Not classified", "nothing": "Nothing yet. A first session will show up here.",
        "of": "{0} of {1}", "in_a_row": "{}", "other": "Other", "timeline": "The day",
        "now": "this week", "before": "the week before",
    },
    "ko": {
        "day": "하루", "week": "주간", "month": "월간", "focus": "집중", "rank": "순위", "streak": "연속",
        "longest": "가장 긴 집중", "interruptions": "집중이 끊긴 횟수", "a_day": "{0} (하루 {1})",
        "sessions": "세션", "categories": "시간을 쓴 곳", "apps": "앱", "sites": "사이트",
        "days": "요일별", "as_of": "{} 기준", "weekday": "전주 같은 요일 대비",
        "uncategorised": "분류되지 않음", "nothing": "아직 기록이 없습니다. 첫 세션을 마치면 여기에 나타납니다.",
        "of": "{1}명 중 {0}위", "in_a_row": "{}일", "other": "그 밖", "timeline": "하루의 흐름",
        "now": "이 주", "before": "전주",
    },
}  # fmt: skip
_WEEKDAYS = {
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "ko": ("월", "화", "수", "목", "금", "토", "일"),
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BEFORE = {
    "en": {"day": "vs the day before", "week": "vs the week before", "month": "vs the month before"},
    "ko": {"day": "전일 대비", "week": "전주 대비", "month": "전월 대비"},
}


def word(lang: Language, name: str, *inserted: object) -> str:
    return _WORDS[lang][name].format(*inserted)


def duration(seconds: float, lang: Language) -> str:
    """In hours and minutes; what is under a minute in seconds."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    units = ("시간", "분", "초") if lang == "ko" else (" h", " min", " s")
    if not hours and not minutes:
        return f"{whole}{units[2]}"
    parts = [f"{hours}{units[0]}"] if hours else []
    return " ".join(parts + ([f"{minutes}{units[1]}"] if minutes else []))


def change(now: float, before: float, lang: Language) -> str:
    """The difference to an earlier period."""
    difference = now - before
    sign = "±" if abs(difference) < 1 else "+" if difference > 0 else "−"
    return f"{sign}{duration(abs(difference), lang)}"


def against(card: Document, lang: Language) -> str:
    """What the change of the card's focus is measured by."""
    return _BEFORE[lang][card["period"]]


def title(card: Document, lang: Language) -> str:
    first, last = date.fromisoformat(card["starts"]), date.fromisoformat(card["ends"])
    match card["period"], lang:
        case "day", _:
            return f"{_day_and_year(first, lang)} ({_WEEKDAYS[lang][first.weekday()]})"
        case "week", "ko":
            return (
                f"{first.isocalendar().year}년 {first.isocalendar().week}주 ({_day(first, lang)}~{_day(last, lang)})"
            )
        case "week", _:
            year, week, _ = first.isocalendar()
            return f"Week {week} of {year}, {_day(first, lang)} to {_day(last, lang)}"
        case _, "ko":
            return f"{first.year}년 {first.month}월"
        case _:
            return f"{_MONTHS[first.month - 1]} {first.year}"


def facts(card: Document, lang: Language) -> list[tuple[str, str]]:
    """What there is to say in one line each."""
    found = []
    if card["rank"]:
        found.append((word(lang, "rank"), word(lang, "of", card["rank"], card["users"])))
    found.append((against(card, lang), change(card["focus_seconds"], card["previous_seconds"], lang)))
    if card["same_weekday_seconds"] is not None:
        weekday = change(card["focus_seconds"], card["same_weekday_seconds"], lang)
        found.append((word(lang, "weekday"), weekday))
    found.append((word(lang, "streak"), word(lang, "in_a_row", card["streak_days"])))
    found.append((word(lang, "longest"), duration(card["longest_focus_seconds"], lang)))
    if "interruptions" in card:  # documents of earlier versions do not have it
        found.append((word(lang, "interruptions"), _a_day(card, lang)))
    found.append((word(lang, "sessions"), str(card["sessions"])))
    if card["uncategorised_seconds"] >= 1:
        found.append((word(lang, "uncategorised"), duration(card["uncategorised_seconds"], lang)))
    return found


def _a_day(card: Document, lang: Language) -> str:
    """How often; of more than a day, also how often on a day with focus."""
    count, days = card["interruptions"], sum(seconds > 0 for seconds in card["days"].values())
    return word(lang, "a_day", count, f"{count / days:.1f}") if days else str(count)


def as_of(card: Document, lang: Language) -> str:
    moment = datetime.fromisoformat(card["as_of"])
    return word(lang, "as_of", f"{_day_and_year(moment.date(), lang)} {moment:%H:%M %Z}")


def weekday(day: str, lang: Language) -> str:
    return _WEEKDAYS[lang][date.fromisoformat(day).weekday()]


def shown_categories(card: Document, most: int, lang: Language) -> list[tuple[str, float]]:
    """The greatest categories; what is beyond `most` of them as one."""
    rows = list(card["categories"].items())
    if len(rows) <= most:
        return rows
    return [*rows[: most - 1], (word(lang, "other"), sum(seconds for _, seconds in rows[most - 1 :]))]


def _day_and_year(day: date, lang: Language) -> str:
    return f"{day.year}년 {_day(day, lang)}" if lang == "ko" else f"{_day(day, lang)}, {day.year}"


def _day(day: date, lang: Language) -> str:
    return f"{day.month}월 {day.day}일" if lang == "ko" else f"{_MONTHS[day.month - 1]} {day.day}"
