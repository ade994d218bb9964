"""Posts the best card of a week to Slack and Teams. Each webhook gets it once, also if it is asked for again."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout

from domains.focusCard.documents import public
from domains.focusCard.ports import CardObserver, CardRunsPort, FocusCardStorePort
from domains.leaderboard.model import Period
from domains.workQueue.model import MAX_TRIES
from domains.workQueue.worker import backoff
from infrastructure.cards.adaptive import adaptive_card_of
from infrastructure.cards.slack import slack_message_of
from infrastructure.cards.words import Document, Language

_PATIENCE = ClientTimeout(total=10)
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class Webhook(NamedTuple):
    """`kind` is slack or teams. The URL is a secret: whoever has it can post."""

    kind: str
    url: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    def body(self, card: Document, lang: Language) -> dict[str, Any]:
        if self.kind == "slack":
            return slack_message_of(card, lang)
        content = adaptive_card_of(card, lang)
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": content}
        return {"type": "message", "attachments": [attachment]}


class CardWebhooks:
    """`first_delay` is in seconds: the pause before the second try."""

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        store: FocusCardStorePort,
        runs: CardRunsPort,
        observer: CardObserver,
        lang: Language,
        first_delay: float = 2.0,
    ) -> None:
        self._webhooks = webhooks
        self._store = store
        self._runs = runs
        self._observer = observer
        self._lang = lang
        self._first_delay = first_delay

    async def post_week(self, monday: date) -> Mapping[str, object]:
        """Posts the card of the first in the week of `monday`, without what only they may see.

        Returns the outcomes, by the number of the webhook in CARD_WEBHOOKS and its host. One that may have taken the
        post is not tried again, and one that has not can be asked again.
        """
        best = await self._store.top(Period.WEEK, monday, 1)
        if not best:
            return {"posted": 0, "why": f"there is no card of the week of {monday}"}
        card = {"apps": [], "sites": [], "timeline": [], **public(best[0].document)}
        async with ClientSession(timeout=_PATIENCE) as session:
            outcomes = [await self._post_once(session, hook, card, monday) for hook in self._webhooks]
        told = []
        for number, (hook, outcome) in enumerate(zip(self._webhooks, outcomes, strict=True), 1):
            self._observer.webhook_told(hook.host, outcome)
            told.append(f"{number}. {hook.host}: {outcome}")
        return {"posted": outcomes.count("posted"), "outcomes": told}

    async def _post_once(self, session: ClientSession, hook: Webhook, card: Document, monday: date) -> str:
        mark = f"{monday}:{blake2b(hook.url.encode(), digest_size=9).hexdigest()}"
        if not await self._runs.mark(mark):
            return "posted before" if await self._runs.is_marked(f"{mark}:posted") else "may have been posted before"
        outcome, taken = "", False
        try:
            for tried in range(MAX_TRIES):
                if tried:
                    await asyncio.sleep(backoff(tried - 1, self._first_delay))
                taken = True  # for all that is known where the process is stopped in the middle of it
                outcome, taken, again = await self._try(session, hook, card)
                if not again:
                    break
        finally:
            if not taken:
                await self._runs.unmark(mark)
        if outcome == "posted":
            await self._runs.mark(f"{mark}:posted")
        return outcome

    async def _try(self, session: ClientSession, hook: Webhook, card: Document) -> tuple[str, bool, bool]:
        """The outcome, whether the post may have been taken, and whether to try again."""
        try:
            async with session.post(hook.url, json=hook.body(card, self._lang), allow_redirects=False) as answer:
                if answer.status < 300:
                    return "posted", True, False
                return f"refused with {answer.status}", False, answer.status in _TRY_AGAIN
        except ClientConnectorError as error:
            return f"not reached: {error.os_error.strerror}", False, True
        except (ClientError, TimeoutError) as error:
            return f"no answer: {type(error).__name__}", True, False


def webhooks_of(text: str) -> list[Webhook]:
    """The webhooks of CARD_WEBHOOKS. Raises ValueError for what is none, without its text."""
    found = []
    for each in filter(None, map(str.strip, text.split(","))):
        kind, _, url = each.partition("=") if each.startswith(("slack=", "teams=")) else ("", "", each)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("each must be a URL, or slack=URL, or teams=URL")
        found.append(Webhook(kind or ("slack" if parts.hostname.endswith("slack.com") else "teams"), url))
    return found
