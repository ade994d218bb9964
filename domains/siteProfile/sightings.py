"""Which unknown sites users have in front of them: noted in this process first, off the way of messages."""

import asyncio
from collections.abc import Iterable
from time import monotonic

from domains.kernel.errors import RedisOutage
from domains.kernel.resilience import pause
from domains.kernel.window import Window
from domains.patternClassifier.classifier import PatternClassifier
from domains.siteProfile.choice import SiteChoice, rules_know
from domains.siteProfile.ports import SharedSitesPort, SiteObserver

_MOST_WAITING = 20_000
_MOST_REMEMBERED = 200_000
_REMEMBERED_SECONDS = 86_400.0
_AT_ONCE = 1_000
_SECONDS = 5.0

Sighting = tuple[str, str]
"""A site, and a user who had it in front."""


class SiteSightings:
    """Notes each user of a site once a day. What is not shared yet when the process dies will be seen again."""

    def __init__(self, choice: SiteChoice, shared: SharedSitesPort) -> None:
        self._choice = choice
        self._shared = shared
        self._waiting: set[Sighting] = set()
        self._noted: set[Sighting] = set()
        self._since = monotonic()

    def note(self, windows: Iterable[tuple[Window, str]]) -> None:
        """Windows that no rule decides, each with its user. Takes microseconds."""
        for window, user in windows:
            if len(self._waiting) >= _MOST_WAITING:
                return
            if (site := self._choice.site_of(window)) and (site, user) not in self._noted:
                self._waiting.add((site, user))

    async def run(self, stop: asyncio.Event, classifier: PatternClassifier, observer: SiteObserver) -> None:
        """Shares what was noted every few seconds, and once more at the end."""
        while not stop.is_set():
            await pause(stop, _SECONDS)
            try:
                await self.share(classifier)
            except RedisOutage as cause:
                observer.sites_not_noted(cause)

    async def share(self, classifier: PatternClassifier) -> None:
        """Shares what was noted of sites that no rule knows. Raises RedisOutage; the rest waits for the next time."""
        waiting, rules = list(self._waiting), classifier.snapshot.rules
        for first in range(0, len(waiting), _AT_ONCE):
            some = waiting[first : first + _AT_ONCE]
            if unknown := [seen for seen in some if not rules_know(rules, seen[0])]:
                await self._shared.note_seen(unknown)
            if len(self._noted) > _MOST_REMEMBERED or monotonic() - self._since > _REMEMBERED_SECONDS:
                self._noted.clear()
                self._since = monotonic()
            self._noted.update(some)
            self._waiting.difference_update(some)
