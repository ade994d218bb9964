"""Patterns, rules and category ids of one moment, and what they make of a window."""

from collections.abc import Iterable, Sequence

from domains.categoryPattern.model import BROWSING, UNCATEGORIZED, CategoryPattern
from domains.kernel.window import Window
from domains.patternClassifier.model import OF_LLM, Classification, RuleMatch, Tier
from domains.patternClassifier.rules import RuleSet
from domains.patternClassifier.sites import KnownSites

_SETTLED = 32_768


class PatternSnapshot:
    """Replaced as a whole, so that a batch never sees half a change.

    `additions` are what the collection cannot say (see `RuleSet`). A page of which nobody knows more than that it is
    one counts as the category `unknown_pages`. `sites` are hosts that no pattern decides.
    """

    def __init__(
        self,
        patterns: Sequence[CategoryPattern],
        additions: Iterable[CategoryPattern] = (),
        unknown_pages: str = UNCATEGORIZED,
        sites: KnownSites | None = None,
    ) -> None:
        self.patterns = patterns
        self.rules = RuleSet(patterns, additions, sites)
        ids: dict[str, str] = {}
        for pattern in patterns:  # a name that stands twice keeps its first id
            ids.setdefault(pattern.category, pattern.id)
        self.categories = ids.keys()
        self.by_tier = {
            tier: {name: Classification(name, id_, tier in OF_LLM, tier) for name, id_ in ids.items()}
            for tier in Tier
        }
        self._stored = [
            {name: Classification(name, id_, is_llm_based, Tier.DOCUMENTS) for name, id_ in ids.items()}
            for is_llm_based in (False, True)
        ]
        self.settled: dict[tuple[str, str], Classification] = {}
        """What `by_rules` has lately said of windows by app and URL, where these decide whatever the title."""
        self._names = {pattern.id: pattern.category for pattern in patterns}
        self._unknown_pages = unknown_pages if unknown_pages in ids else UNCATEGORIZED

    @property
    def uncategorized(self) -> Classification:
        return self.by_tier[Tier.FALLBACK][UNCATEGORIZED]

    def by_rules(self, window: Window) -> Classification | None:
        """What the rules decide for good."""
        match = self.rules.match(window.app, window.url, window.title)
        if match is None or match.doubt:
            return None
        found = self.by_tier[match.tier][match.category]
        if self.rules.needs_no_title(window.app, window.url):
            if len(self.settled) >= _SETTLED:
                self.settled.clear()
            self.settled[window[:2]] = found
        return found

    def provisionally(self, window: Window) -> RuleMatch | None:
        """The rule that holds as long as nobody knows better, with the category that the window then counts as.

        A page that would be `Browsing` is one that nobody knows.
        """
        match = self.rules.match(window.app, window.url, window.title)
        if match is None or not match.doubt or match.category != BROWSING:
            return match
        return match._replace(category=self._unknown_pages)

    def fallback(self, window: Window) -> Classification:
        """What is left to say where no tier behind the rules decides."""
        match = self.provisionally(window)
        if match is None:
            return self.uncategorized
        return self.by_tier[Tier.PROVISIONAL if match.doubt else match.tier][match.category]

    def stored(self, stored_id: str | None, is_llm_based: bool, window: Window) -> Classification | None:
        """What the `categoryId` of a window's document says; None where it says nothing (absent, unknown or
        Uncategorized), or no more than was once said provisionally."""
        name = self._names.get(stored_id or "", UNCATEGORIZED)
        if name == UNCATEGORIZED or (not is_llm_based and self.was_provisional(name, window)):
            return None
        return self._stored[is_llm_based][name]

    def was_provisional(self, name: str, window: Window) -> bool:
        """Whether this category is no more than what the rules say of the window while nobody knows better."""
        if name == BROWSING and self.rules.is_browser(window.app):
            return True
        match = self.rules.match(window.app, window.url, window.title)
        return match is not None and match.provisional and name in (match.category, self.fallback(window).category)

    def answered(self, name: str, window: Window, tier: Tier) -> Classification | None:
        """What an answer of the LLM says of a window; None where its category is gone meanwhile.

        No name, and `Uncategorized`, say no more than the fallback.
        """
        if name in ("", UNCATEGORIZED):
            return self.fallback(window)
        return self.by_tier[tier].get(name)
