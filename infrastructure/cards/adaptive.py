"""A card as an Adaptive Card 1.5, with nothing but what Teams, Outlook and mobile clients render alike.

TextBlock, ColumnSet, FactSet and Container; no tables (blank on mobile), no images, no {{DATE}} (it localises badly).
"""

import re
from typing import Any

from infrastructure.cards.words import (
    Document,
    Language,
    as_of,
    duration,
    facts,
    shown_categories,
    title,
    weekday,
    word,
)

SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
_MOST_CATEGORIES = 8
_LONGEST_NAME = 60
_WIDTHS = (30, 46, 24)
"""Of a name, its bar and its duration."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-!>~|])")


def adaptive_card_of(card: Document, lang: Language) -> dict[str, Any]:
    body: list[dict[str, Any]] = [
        _text(f"{plain(card['user'])} · {title(card, lang)}", weight="Bolder", wrap=True),
        _text(duration(card["focus_seconds"], lang), size="ExtraLarge", weight="Bolder", spacing="Small"),
    ]
    if card["categories"]:
        body.append(
            {"type": "FactSet", "facts": [{"title": name, "value": value} for name, value in facts(card, lang)]}
        )
        body.append(_bars(word(lang, "categories"), _category_rows(card, lang)))
        if card["period"] == "week":
            longest = max(card["days"].values()) or 1
            rows = [
                (weekday(day, lang), duration(seconds, lang), seconds / longest, "good")
                for day, seconds in card["days"].items()
            ]
            body.append(_bars(word(lang, "days"), rows))
        for kind in ("apps", "sites"):
            if card.get(kind):
                pairs = [{"title": plain(it["name"]), "value": duration(it["seconds"], lang)} for it in card[kind]]
                heading = _text(word(lang, kind), weight="Bolder")
                body.append(
                    {"type": "Container", "separator": True, "items": [heading, {"type": "FactSet", "facts": pairs}]}
                )
    else:
        body.append(_text(word(lang, "nothing"), wrap=True))
    body.append(_text(as_of(card, lang), size="Small", isSubtle=True))
    said = f"{title(card, lang)}: {duration(card['focus_seconds'], lang)}"
    return {
        "type": "AdaptiveCard",
        "$schema": SCHEMA,
        "version": "1.5",
        "fallbackText": said,
        "body": body,
    }


def plain(name: str) -> str:
    """A name that no client takes for Markdown, or for a date to be formatted."""
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    return _MARKDOWN.sub(r"\\\1", " ".join(short.split()))


def _category_rows(card: Document, lang: Language) -> list[tuple[str, str, float, str]]:
    longest, work = max(card["categories"].values()), set(card["work"])
    return [
        (plain(name), duration(seconds, lang), min(1.0, seconds / longest), "accent" if name in work else "warning")
        for name, seconds in shown_categories(card, _MOST_CATEGORIES, lang)
    ]


def _bars(heading: str, rows: list[tuple[str, str, float, str]]) -> dict[str, Any]:
    """Bars are columns of a width that says how long they are; every client draws those."""
    items: list[dict[str, Any]] = [_text(heading, weight="Bolder")]
    for name, value, share, style in rows:
        filled = max(1, min(99, round(100 * share)))
        bar = {"type": "Column", "width": filled, "style": style, "items": [_text(" ", size="Small")]}
        rest = {"type": "Column", "width": 100 - filled, "spacing": "None", "items": [_text(" ", size="Small")]}
        drawn = {"type": "ColumnSet", "spacing": "None", "columns": [bar, rest] if share > 0 else [rest]}
        said = _text(name, size="Small"), drawn, _text(value, size="Small", horizontalAlignment="Right")
        columns = [
            {"type": "Column", "width": width, "verticalContentAlignment": "Center", "items": [each]}
            for width, each in zip(_WIDTHS, said, strict=True)
        ]
        items.append({"type": "ColumnSet", "spacing": "Small", "columns": columns})
    return {"type": "Container", "separator": True, "items": items}


def _text(text: str, **options: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, **options}
