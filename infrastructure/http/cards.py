"""Focus cards over HTTP: for the user with a token of their own, for administrators, and on one's own machine."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from aiohttp import web
from pydantic import ValidationError
from yarl import URL

from domains.focusCard.documents import card_of
from domains.focusCard.model import YEARS
from domains.focusCard.runs import CardRuns
from domains.focusCard.service import FocusCards
from domains.leaderboard.model import Period
from infrastructure.cards.adaptive import adaptive_card_of
from infrastructure.cards.page import page_of
from infrastructure.cards.slack import slack_message_of
from infrastructure.cards.text import text_of
from infrastructure.cards.words import Language
from infrastructure.http import schemas
from infrastructure.http.endpoint import Endpoint, json_response
from infrastructure.http.guard import Guard
from infrastructure.http.page import POLICY
from infrastructure.settings import Settings, admin_tokens

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_RENDERED: dict[str, Callable[[Any, Any], dict[str, Any]]] = {
    "adaptive": adaptive_card_of,
    "slack": slack_message_of,
    "json": lambda card, lang: dict(card),
}


class CardApi:
    """The handlers. `today` is the current date of the boards."""

    def __init__(
        self, settings: Settings, cards: FocusCards, runs: CardRuns, guard: Guard, today: Callable[[], date]
    ) -> None:
        self._cards = cards
        self._runs = runs
        self._guard = guard
        self._today = today
        self._is_own_machine = _is_own_machine(settings)

    async def card(self, request: web.Request, query: schemas.CardQuery) -> web.StreamResponse:
        self.require(request, query.user_id)
        found = await self._cards.card(query.user_id, Period(query.period), self._day(query.date))
        tag = f"{found.revision}-{query.format}-{query.lang}"
        if any(known.value in (tag, "*") for known in request.if_none_match or ()):
            response = web.Response(status=304)
        elif query.format == "text":
            response = web.Response(text=text_of(found.document, query.lang))
        else:
            response = json_response(_RENDERED[query.format](found.document, query.lang))
        response.etag = tag
        response.headers["Cache-Control"] = "private, no-cache"
        response.headers["Vary"] = "Authorization"
        return response

    async def day(self, request: web.Request, query: schemas.UserDayQuery) -> schemas.UserDay:
        self.require(request, query.user_id)
        found = await self._cards.card(query.user_id, Period.DAY, self._day(query.date))
        document = found.document
        return schemas.UserDay(
            user_id=query.user_id,
            date=card_of(document).starts,
            as_of=document["as_of"],
            focus_seconds=document["focus_seconds"],
            categories=document["categories"],
            timeline=[schemas.TimelineStrip(**strip) for strip in document["timeline"]],
        )

    async def page(self, request: web.Request) -> web.Response:
        """The page of a user: a day, its week, and what has changed."""
        user, lang = request.match_info["userId"], language_of(request)
        try:
            asked = schemas.UserDayQuery.model_validate({"userId": user, "date": request.query.get("date")})
        except ValidationError:
            raise web.HTTPBadRequest(text="date: not a date such as 2025-09-02") from None
        try:
            self.require(request, user)
        except web.HTTPUnauthorized:
            if "Authorization" in request.headers or "text/html" not in request.headers.get("Accept", ""):
                raise
            where = {"user": user} | ({"date": str(asked.date)} if asked.date else {})  # there it can be unlocked
            raise web.HTTPFound(URL("/users").with_query(where)) from None
        day = self._day(asked.date)
        shown = [(Period.DAY, day), (Period.WEEK, day), (Period.WEEK, day - timedelta(days=7))]
        of_day, week, week_before = [(await self._cards.card(user, *each)).document for each in shown]
        body = page_of(of_day, week, week_before, day, lang)
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "private, no-cache"}
        return web.Response(text=body, content_type="text/html", headers=headers)

    async def run(self, request: web.Request) -> schemas.CardRun:
        current, told, last = await self._runs.state()
        if current is None:
            return schemas.CardRun(under_way=False, last_end=last or None)
        place = {"days": current.anchors, "started": current.started, "last_end": last or None}
        return schemas.CardRun(under_way=True, **{**place, **told})

    @property
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET", "/api/users/{userId}/card", self.card,
                "A user's focus card, for themselves and administrators; If-None-Match is answered with 304",
                schemas.CardDocument, schemas.CardQuery, access="more", problems=(403, 404), texts=True,
            ),
            Endpoint(
                "GET", "/api/users/{userId}/day", self.day, "A user's day by category, as strips",
                schemas.UserDay, schemas.UserDayQuery, access="more", problems=(403, 404),
            ),
            Endpoint("GET", "/api/cards/run", self.run, "The run over all focus cards, as it goes", schemas.CardRun),
        ]  # fmt: skip

    def _day(self, asked: date | None) -> date:
        day = asked or self._today()
        if day.year not in YEARS:
            raise web.HTTPNotFound(text=f"cards are from {YEARS.start} to {YEARS.stop - 1}")
        return day

    def require(self, request: web.Request, user: str) -> None:
        """Raises 401 or 403 unless the request may see what is the user's own."""
        if (owner := self._guard.user_of(request)) is not None:
            if owner != user:
                raise web.HTTPForbidden(text="this is another user's")
            return
        if self._is_own_machine and "Authorization" not in request.headers:
            return
        self._guard.require(request)


def _is_own_machine(settings: Settings) -> bool:
    """An embedded store, no tokens, and nobody reaches the port but who sits here: all that there is is theirs."""
    return (
        settings.embeds_store
        and settings.http_host in _LOOPBACK
        and not (admin_tokens(settings) or settings.http_allowed_hosts or settings.http_trusted_proxies)
    )


def language_of(request: web.Request) -> Language:
    asked = str(request.query.get("lang") or request.headers.get("Accept-Language", ""))
    return "ko" if asked.lower().startswith("ko") else "en"
