"""The tier of profiled sites: behind the rules, before everything that looks at single windows."""

from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic

from domains.kernel.window import Window
from domains.patternClassifier.model import Classification, Tier
from domains.patternClassifier.questions import Question
from domains.patternClassifier.snapshot import PatternSnapshot
from domains.siteProfile.choice import SiteChoice, rules_leave_open
from domains.siteProfile.ports import SharedSitesPort

_REMEMBERED = 50_000
_SECONDS = 60.0
"""How long this process trusts what it was told of a site: so long a withdrawn category may still count."""


class SiteTier:
    """What the profiles say, from this process's memory at once, and else as all instances share it."""

    name = Tier.SITE

    def __init__(self, choice: SiteChoice, shared: SharedSitesPort, seconds: float = _SECONDS) -> None:
        self._choice = choice
        self._shared = shared
        self._seconds = seconds
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def at_once(self, window: Window, snapshot: PatternSnapshot) -> Classification | None:
        """What this process remembers of the window's site. Nothing if a rule knows the site, be it provisionally."""
        site = self._choice.site_of(window)
        category = self._remembered(site) if site else None
        return self._said(category, window, snapshot) if category else None

    async def classify(
        self, windows: Mapping[Question, Window], snapshot: PatternSnapshot
    ) -> dict[Question, Classification]:
        """What the profiles say of `windows`, in one round trip. Raises RedisOutage."""
        sites = {question: site for question, window in windows.items() if (site := self._choice.site_of(window))}
        known = {site: category for site in sites.values() if (category := self._remembered(site))}
        if asked := set(sites.values()) - known.keys():
            found = await self._shared.categories_of(asked)
            self._remember(found)
            known |= found
        said = {
            question: self._said(known[site], windows[question], snapshot)
            for question, site in sites.items()
            if site in known
        }
        return {question: classification for question, classification in said.items() if classification}

    def _said(self, category: str, window: Window, snapshot: PatternSnapshot) -> Classification | None:
        found = snapshot.by_tier[self.name].get(category)
        return found if found is not None and rules_leave_open(snapshot.rules, window) else None

    def _remembered(self, site: str) -> str | None:
        category, until = self._known.get(site, ("", 0.0))
        return category if monotonic() < until else None

    def _remember(self, categories: Mapping[str, str]) -> None:
        until = monotonic() + self._seconds
        for site, category in categories.items():
            self._known[site] = (category, until)
            self._known.move_to_end(site)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
