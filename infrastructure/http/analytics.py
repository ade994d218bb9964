"""Where the time went and how good the data are, over HTTP: JSON, and a page, which the console shows as its own."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from math import isinf
from typing import Any

from aiohttp import web

from domains.activityEvent.data_quality import DataQuality, document
from domains.activityEvent.quality import PROBLEMS
from infrastructure.cards.words import duration
from infrastructure.http import schemas
from infrastructure.http.cards import language_of
from infrastructure.http.endpoint import Endpoint
from infrastructure.http.labels import Language, texts
from infrastructure.http.page import POLICY
from infrastructure.observing.readable import share as percent
from infrastructure.settings import Settings

_FEW_USERS = 3
"""A site that fewer users have in front may say who they are."""
_WIDTH, _CELL, _BARS, _WIDEST = 960, 36, 160, 80
_HUES = 11

Rows = Sequence[Sequence[Any]]
Texts = Mapping[str, str]


class AnalyticsApi:
    def __init__(self, settings: Settings, quality: DataQuality) -> None:
        self._path = settings.analytics_path
        self._quality = quality

    async def quality(self, request: web.Request, query: schemas.QualityQuery) -> schemas.Quality:
        return schemas.Quality(sources=await self._sources(query.date))

    async def question(self, request: web.Request, query: schemas.Question) -> schemas.Table:
        columns, rows = await self._answer(query.question)
        return schemas.Table(columns=columns, rows=[[_plain(value) for value in row] for row in rows])

    async def page(self, request: web.Request) -> web.Response:
        try:
            asked = date.fromisoformat(request.query["date"]) if "date" in request.query else None
        except ValueError:
            raise web.HTTPBadRequest(text="date: not a date such as 2025-09-02") from None
        sources = await self._sources(asked)
        answers: dict[str, Rows] = {}
        for name in ("heat-map", "category-stream", "top-sites", "unknown-share"):
            try:
                answers[name] = (await self._answer(name))[1]
            except web.HTTPNotFound:
                answers[name] = []
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "private, no-cache"}
        return web.Response(
            text=page_of(answers, sources, asked, language_of(request)), content_type="text/html", headers=headers
        )

    @property
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET", "/api/quality", self.quality, "How good each source's data are, in the last hour or on a day",
                schemas.Quality, schemas.QualityQuery,
            ),
            Endpoint(
                "GET", "/api/analytics/{question}", self.question, "A ready question, from the events in DuckDB",
                schemas.Table, schemas.Question, problems=(404,),
            ),
        ]  # fmt: skip

    async def _sources(self, day: date | None) -> list[dict[str, Any]]:
        if day is not None:
            return await self._quality.of_day(day.isoformat())
        return [document(source) for source in await self._quality.now()]

    async def _answer(self, question: str) -> tuple[list[str], Rows]:
        from infrastructure.duckdb.event_sink import DuckDbMissing
        from infrastructure.duckdb.questions import QUESTIONS, NoEvents, answer

        try:
            columns, rows = await asyncio.to_thread(answer, self._path, QUESTIONS[question].sql)
        except (NoEvents, DuckDbMissing) as error:
            raise web.HTTPNotFound(text=str(error)) from None
        if question == "top-sites":
            rows = [row for row in rows if row[3] >= _FEW_USERS]
        return columns, rows


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | None) else str(value)


def page_of(
    answers: Mapping[str, Rows], sources: Sequence[Mapping[str, Any]], day: date | None, language: Language
) -> str:
    said = texts(language)
    nothing = f"<p>{said['analytics.nothing']}</p>"
    sites = "".join(
        f"<tr><th>{escape(row[0])}</th><td>{_time(row[2], language)}</td></tr>" for row in answers["top-sites"]
    )
    unknown = [(str(day), share or 0.0, percent(share or 0)) for day, share, _ in answers["unknown-share"]]
    charts = f"""
<section><h2>{said["analytics.when"]}</h2>{_heat_map(answers["heat-map"], said, language) or nothing}</section>
<section><h2>{said["analytics.what"]}</h2>{_stream(answers["category-stream"], said, language) or nothing}</section>
<section><h2>{said["analytics.where"]}</h2>{f"<table>{sites}</table>" if sites else nothing}</section>
<section><h2>{said["analytics.unknown"]}</h2>{_bars(unknown, said) or nothing}</section>"""
    return f"""<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{said["route.analytics"]} · Pomocore</title>
<link rel="icon" href="/console/icon.svg"><link rel="stylesheet" href="/console/card.css">
<script src="/console/chosen.js"></script></head>
<body><main>
<header><h1>{said["route.analytics"]}</h1></header>
{charts if any(answers.values()) else f"<section>{nothing}</section>"}
<section><h2>{said["analytics.quality.day"].format(date=day) if day else said["analytics.quality"]}</h2>
{_table(sources, said)}</section>
</main></body></html>
"""


def _time(hours: float, language: Language) -> str:
    """As on the cards. Corrections take away more than they add where their events are of other days."""
    return ("−" if hours < 0 else "") + duration(abs(round(hours * 3600)), language)


def _heat_map(rows: Rows, said: Texts, language: Language) -> str:
    if not rows:
        return ""
    days = said["analytics.weekdays"].split()
    longest = max(row[2] for row in rows) or 1.0
    parts = []
    for weekday, hour, hours in rows:
        x, y = 40 + hour * (_WIDTH - 40) / 24, (weekday - 1) * _CELL
        shade = 0.1 + 0.9 * hours / longest if hours > 0 else 0.0
        cell = f'x="{x:.1f}" y="{y}" width="{(_WIDTH - 40) / 24 - 2:.1f}" height="{_CELL - 2}"'
        told = said["analytics.cell"].format(
            weekday=days[weekday - 1], hour=f"{hour:02}", time=_time(hours, language)
        )
        parts.append(f'<rect class="hue-0" {cell} fill-opacity="{shade:.2f}"><title>{told}</title></rect>')
    parts += [f'<text x="0" y="{n * _CELL + 23}">{name}</text>' for n, name in enumerate(days)]
    parts += [
        f'<text x="{40 + hour * (_WIDTH - 40) / 24:.0f}" y="{7 * _CELL + 18}">{hour:02}</text>'
        for hour in range(0, 24, 3)
    ]
    return f'<div class="wide" tabindex="0">{_svg("".join(parts), 7 * _CELL + 24, said["analytics.when"])}</div>'


def _stream(rows: Rows, said: Texts, language: Language) -> str:
    if not rows:
        return ""
    weeks = sorted({row[0] for row in rows})
    totals = {week: sum(max(row[2], 0.0) for row in rows if row[0] == week) for week in weeks}
    longest, step = max([*totals.values(), 0.001]), min(_WIDTH / len(weeks), _WIDEST)
    names = sorted({row[1] for row in rows}, key=lambda name: -_sum(rows, name))
    hues = {name: f"hue-{min(number, _HUES - 1)}" for number, name in enumerate(names)}  # the last is for all others
    parts, tops = [], dict.fromkeys(weeks, 0.0)
    for week, name, hours in rows:
        height = max(hours, 0.0) / longest * _BARS
        tops[week] += height
        place = f'x="{weeks.index(week) * step:.1f}" y="{_BARS - tops[week]:.1f}" width="{step * 0.8:.1f}"'
        told = escape(said["analytics.week"].format(week=week, category=name, time=_time(hours, language)))
        parts.append(f'<rect class="{hues[name]}" {place} height="{height:.1f}"><title>{told}</title></rect>')
    shown = "".join(
        '<div><dt><svg class="swatch" viewBox="0 0 1 1" aria-hidden="true">'
        f'<rect class="{hues[name]}" width="1" height="1"/></svg> {escape(name)}</dt>'
        f"<dd>{_time(_sum(rows, name), language)}</dd></div>"
        for name in names
    )
    return _svg("".join(parts), _BARS, said["analytics.what"]) + _ends(weeks) + f"<dl>{shown}</dl>"


def _sum(rows: Rows, name: str) -> float:
    return sum(float(row[2]) for row in rows if row[1] == name)


def _bars(values: Sequence[tuple[str, float, str]], said: Texts) -> str:
    if not values:
        return ""
    longest = max([share for _, share, _ in values] + [0.001])
    step = min(_WIDTH / len(values), _WIDEST)
    parts = [
        f'<rect class="now" x="{n * step:.1f}" y="{_BARS - max(share, 0) / longest * _BARS:.1f}"'
        f' width="{step * 0.8:.1f}" height="{max(share, 0) / longest * _BARS:.1f}"><title>{day} {text}</title></rect>'
        for n, (day, share, text) in enumerate(values)
    ]
    most = said["analytics.most"].format(share=percent(longest))
    bars = _svg("".join(parts), _BARS, said["analytics.unknown"])
    return f"{bars}{_ends([day for day, *_ in values])}<p>{most}</p>"


def _ends(times: Sequence[object]) -> str:
    """What the first and the last bar are of."""
    return f"<p>{' – '.join(str(time) for time in dict.fromkeys((times[0], times[-1])))}</p>"


def _table(sources: Sequence[Mapping[str, Any]], said: Texts) -> str:
    if not sources:
        return f"<p>{said['analytics.quality.nothing']}</p>"
    names = [name for name in sources[0] if name not in ("source", "problems", "invalid")]
    rows = "<tr><th></th>" + "".join(f"<td>{escape(it['source'])}</td>" for it in sources) + "</tr>"
    for name in names:
        cells = "".join(f"<td>{_figure(name, source[name])}</td>" for source in sources)
        rows += f"<tr><th>{said[f'quality.{name}']}</th>{cells}</tr>"
    problems = "".join(
        f"<p><b>{escape(it['source'])}: {said[f'quality.problem.{name}']}</b></p>"
        for it in sources
        for name, is_wrong, limit, _ in PROBLEMS
        if it.get(name) is not None and is_wrong(it[name], limit)
    )
    return f"{problems}<table>{rows}</table>"


def _figure(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name.endswith("_share"):
        return percent(value)
    if not isinstance(value, float):
        return f"{value:,}"
    return "∞" if isinf(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _svg(inside: str, height: float, label: str) -> str:
    place = f'viewBox="0 0 {_WIDTH} {height}" width="100%" fill="currentColor"'
    return f'<svg {place} role="img" aria-label="{label}">{inside}</svg>'
