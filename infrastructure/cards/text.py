"""A card as plain text, for terminals and e-mail."""

from infrastructure.cards.words import Document, Language, as_of, duration, facts, shown_categories, title, word

_BAR = 20


def text_of(card: Document, lang: Language) -> str:
    lines = [f"{card['user']}  {title(card, lang)}", f"{word(lang, 'focus')} {duration(card['focus_seconds'], lang)}"]
    if not card["categories"]:
        return "\n".join([lines[0], word(lang, "nothing"), as_of(card, lang)])
    lines += [f"  {name}: {value}" for name, value in facts(card, lang)]
    longest = max(card["categories"].values())
    for name, seconds in shown_categories(card, 10, lang):
        bar = "█" * max(1, min(_BAR, round(_BAR * seconds / longest)))
        lines.append(f"  {bar:<{_BAR}} {duration(seconds, lang)}  {name}")
    for kind in ("apps", "sites"):
        if card.get(kind):
            named = ", ".join(f"{each['name']} {duration(each['seconds'], lang)}" for each in card[kind])
            lines.append(f"{word(lang, kind)}: {named}")
    return "\n".join([*lines, as_of(card, lang)])
