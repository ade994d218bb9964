"""A user's page: a day and its week as HTML. Bars are SVG, since the policy allows no inline styles."""

from datetime import date, datetime, timedelta
from html import escape
from urllib.parse import quote

from infrastructure.cards.words import (
    Document,
    Language,
    against,
    as_of,
    change,
    duration,
    facts,
    shown_categories,
    title,
    weekday,
    word,
)

_DAY_SECONDS = 86_400
_WIDTH = 960
_HUES = 10


def page_of(of_day: Document, week: Document, week_before: Document, day: date, lang: Language) -> str:
    user = escape(of_day["user"])
    moved = change(week["focus_seconds"], week_before["focus_seconds"], lang)
    number = {name: n for n, name in enumerate(dict.fromkeys([*week["categories"], *of_day["categories"]]))}
    return f"""<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{user} · {escape(title(week, lang))}</title>
<link rel="icon" href="/console/icon.svg"><link rel="stylesheet" href="/console/card.css">
<script src="/console/chosen.js"></script></head>
<body><main>
<header><h1>{user}</h1>{_links(of_day["user"], day, lang)}</header>
<section class="hero"><p>{word(lang, "focus")} · {escape(title(week, lang))}</p>
<p class="figure">{duration(week["focus_seconds"], lang)}</p>
<p>{against(week, lang)} <b>{moved}</b></p></section>
<section><h2>{word(lang, "days")}{_key(lang)}</h2>{_week_bars(week, week_before, lang)}</section>
<section><h2>{word(lang, "timeline")} · {escape(title(of_day, lang))}
<span class="key">{word(lang, "focus")} {duration(of_day["focus_seconds"], lang)}</span></h2>
{_timeline(of_day, number, lang)}
{_facts(of_day, lang)}</section>
<section><h2>{word(lang, "categories")} · {escape(title(week, lang))}</h2>{_categories(week, number, lang)}</section>
<div class="pair">{_named(week, "apps", lang)}{_named(week, "sites", lang)}</div>
<footer>{escape(as_of(week, lang))}</footer>
</main></body></html>
"""


def _links(user: str, day: date, lang: Language) -> str:
    def to(other: date, text: str, to_lang: str = lang) -> str:
        return f'<a href="/users/{quote(user, safe="")}?date={other}&amp;lang={to_lang}">{text}</a>'

    other, name = ("en", "English") if lang == "ko" else ("ko", "한국어")
    step = timedelta(days=1)
    return f"<nav>{to(day - step, '←')} {day} {to(day + step, '→')} {to(day, name, other)}</nav>"


def _timeline(card: Document, number: dict[str, int], lang: Language) -> str:
    if not card["timeline"]:
        return f"<p>{word(lang, 'nothing')}</p>"
    parts = []
    for strip in card["timeline"]:
        at = datetime.fromisoformat(strip["starts"])
        begun = at.hour * 3600 + at.minute * 60 + at.second  # by the clock, also on a day of 23 or 25 hours
        said = f"{strip['starts'][11:16]} {strip['category']} {duration(strip['seconds'], lang)}"
        x, width = begun / _DAY_SECONDS * _WIDTH, max(1.0, strip["seconds"] / _DAY_SECONDS * _WIDTH)
        hue = _hue(number.get(strip["category"], _HUES))
        parts.append(
            f'<rect class="{hue}" x="{x:.1f}" width="{width:.1f}" height="1"><title>{escape(said)}</title></rect>'
        )
    hours = "".join(f"<span>{hour:02}</span>" for hour in range(0, 24, 3))
    drawn = _svg("".join(parts), f"{_WIDTH} 1", word(lang, "timeline"), "strip")
    return f'{drawn}<p class="hours">{hours}</p>'


def _week_bars(week: Document, before: Document, lang: Language) -> str:
    """A day a column: of the week in front, of the week before behind it."""
    earlier = list(before["days"].values())
    longest = max([*week["days"].values(), *earlier, 1.0])
    columns = []
    for (day, seconds), then in zip(week["days"].items(), earlier, strict=True):
        bars = "".join(
            f'<rect class="{kind}" x="{(100 - width) / 2:.0f}" y="{100 - value / longest * 100:.1f}" width="{width}"'
            f' height="{value / longest * 100:.1f}"><title>{day} {duration(value, lang)}</title></rect>'
            for kind, value, width in (("before", then, 84), ("now", seconds, 52))
        )
        said = duration(seconds, lang) if seconds else ""
        drawn = _svg(bars, "100 100", f"{weekday(day, lang)} {duration(seconds, lang)}", "bars")
        columns.append(f"<li><strong>{said}</strong>{drawn}{weekday(day, lang)}</li>")
    return f'<ol class="week">{"".join(columns)}</ol>'


def _key(lang: Language) -> str:
    """What the two kinds of bars are."""
    kinds = "".join(f'<i class="key-{kind}"></i>{word(lang, kind)}' for kind in ("now", "before"))
    return f'<span class="key">{kinds}</span>'


def _categories(card: Document, number: dict[str, int], lang: Language) -> str:
    if not card["categories"]:
        return f"<p>{word(lang, 'nothing')}</p>"
    longest, rows = max(card["categories"].values()), []
    for name, seconds in shown_categories(card, 10, lang):
        width = min(1.0, seconds / longest) * 100
        bar = f'<rect class="{_hue(number.get(name, _HUES))}" width="{width:.1f}" height="1"/>'
        drawn = f'<svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>'
        cells = f'<td>{duration(seconds, lang)}</td><td class="bar">{drawn}</td>'
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _facts(card: Document, lang: Language) -> str:
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts(card, lang))
    return f"<dl>{rows}</dl>"


def _named(card: Document, kind: str, lang: Language) -> str:
    if not card[kind]:
        return ""
    rows = "".join(
        f"<tr><th>{escape(it['name'])}</th><td>{duration(it['seconds'], lang)}</td></tr>" for it in card[kind]
    )
    return f"<section><h2>{word(lang, kind)}</h2><table>{rows}</table></section>"


def _hue(number: int) -> str:
    return f"hue-{number % (_HUES + 1)}"


def _svg(inside: str, size: str, label: str, kind: str) -> str:
    box = f'viewBox="0 0 {size}" preserveAspectRatio="none"'
    return f'<svg class="{kind}" {box} role="img" aria-label="{escape(label)}">{inside}</svg>'
