"""The JSON document of a card. It is what is stored, and what the API and the command show."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from math import fsum
from typing import Any

from domains.focusCard.model import FocusCard, Strip
from domains.leaderboard.model import Period

OWN = ("apps", "sites", "timeline")
"""Fields for the user's own eyes."""


def document_of(card: FocusCard, local: Callable[[float], datetime]) -> dict[str, Any]:
    """`local` gives the local time of Unix seconds. Seconds are rounded to thousandths."""
    total = fsum(card.categories.values())
    return {
        "user": card.user,
        "period": card.period.value,
        "starts": card.starts.isoformat(),
        "ends": card.ends.isoformat(),
        "as_of": local(card.as_of).isoformat(timespec="milliseconds"),
        "focus_seconds": _seconds(card.focus_seconds),
        "total_seconds": _seconds(total),
        "categories": {name: _seconds(seconds) for name, seconds in card.categories.items()},
        "shares": {name: round(seconds / total, 4) for name, seconds in card.categories.items()} if total else {},
        "work": list(card.work),
        "uncategorised_seconds": _seconds(card.uncategorised_seconds),
        "rank": card.rank,
        "users": card.users,
        "previous_seconds": _seconds(card.previous_seconds),
        "same_weekday_seconds": None if card.same_weekday_seconds is None else _seconds(card.same_weekday_seconds),
        "streak_days": card.streak_days,
        "goal_minutes": card.goal_minutes,
        "longest_focus_seconds": _seconds(card.longest_focus_seconds),
        "interruptions": card.interruptions,
        "sessions": card.sessions,
        "days": {day: _seconds(seconds) for day, seconds in card.days.items()},
        "apps": [{"name": name, "seconds": _seconds(seconds)} for name, seconds in card.apps],
        "sites": [{"name": name, "seconds": _seconds(seconds)} for name, seconds in card.sites],
        "timeline": [
            {
                "category": strip.category,
                "starts": local(strip.starts).isoformat(timespec="seconds"),
                "seconds": _seconds(strip.seconds),
            }
            for strip in card.timeline
        ],
    }


def card_of(document: Mapping[str, Any]) -> FocusCard:
    """The card of which `document_of` has made the document, apart from rounding."""
    starts = [datetime.fromisoformat(strip["starts"]).timestamp() for strip in document["timeline"]]
    return FocusCard(
        user=document["user"],
        period=Period(document["period"]),
        starts=date.fromisoformat(document["starts"]),
        ends=date.fromisoformat(document["ends"]),
        as_of=datetime.fromisoformat(document["as_of"]).timestamp(),
        apps=[(each["name"], each["seconds"]) for each in document["apps"]],
        sites=[(each["name"], each["seconds"]) for each in document["sites"]],
        timeline=[
            Strip(each["category"], begun, each["seconds"])
            for each, begun in zip(document["timeline"], starts, strict=True)
        ],
        interruptions=document.get("interruptions", 0),
        **{name: document[name] for name in _ALIKE},
    )


def public(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without what only the user may see."""
    return {name: value for name, value in document.items() if name not in OWN}


_ALIKE = (
    "focus_seconds", "categories", "rank", "users", "previous_seconds", "same_weekday_seconds", "streak_days",
    "goal_minutes", "longest_focus_seconds", "sessions", "uncategorised_seconds", "work", "days",
)  # fmt: skip


def _seconds(value: float) -> float:
    return round(value, 3)
