"""A card as Slack's Block Kit."""

from typing import Any

from infrastructure.cards.words import Document, Language, as_of, duration, facts, shown_categories, title, word

_BAR = 12


def slack_message_of(card: Document, lang: Language) -> dict[str, Any]:
    said = f"{card['user']} · {title(card, lang)}: {word(lang, 'focus')} {duration(card['focus_seconds'], lang)}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _short(said, 150), "emoji": False}}
    ]
    if card["categories"]:
        fields = [_markdown(f"*{escaped(name)}*\n{escaped(value)}") for name, value in facts(card, lang)]
        blocks.append({"type": "section", "fields": fields[:10]})
        longest = max(card["categories"].values())
        rows = [
            f"`{_bar(seconds / longest)}` {duration(seconds, lang)}  {escaped(name)}"
            for name, seconds in shown_categories(card, 8, lang)
        ]
        blocks.append({"type": "section", "text": _markdown("\n".join(rows))})
        for kind in ("apps", "sites"):
            if card.get(kind):
                named = ", ".join(f"{escaped(it['name'])} {duration(it['seconds'], lang)}" for it in card[kind])
                blocks.append({"type": "section", "text": _markdown(f"*{word(lang, kind)}*  {named}")})
    else:
        blocks.append({"type": "section", "text": _markdown(word(lang, "nothing"))})
    blocks.append({"type": "context", "elements": [_markdown(as_of(card, lang))]})
    return {"text": escaped(said), "blocks": blocks}


def escaped(name: str) -> str:
    """A name in which Slack finds no link, mention or format."""
    text = _short(" ".join(name.split()), 80).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "*_~`":
        text = text.replace(mark, f"{mark}\u200b")
    return text


def _bar(share: float) -> str:
    return f"{'█' * max(1, min(_BAR, round(_BAR * share))):<{_BAR}}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _markdown(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}
