"""Patterns, rules and category ids of one moment, and what they make of a window."""

from collections.abc import Sequence

from domains.categoryPattern.model import UNCATEGORIZED, CategoryPattern
from domains.kernel.window import Window
from domains.patternClassifier.model import OF_LLM, Classification, Tier
from domains.patternClassifier.rules import RuleSet
from domains.patternClassifier.urls import split_url

_BROWSING = "Browsing"


class PatternSnapshot:
    """Replaced as a whole, so that a batch never sees half a change."""

    def __init__(self, patterns: Sequence[CategoryPattern]) -> None:
        self.patterns = patterns
        self.rules = RuleSet(patterns)
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
        self._names = {pattern.id: pattern.category for pattern in patterns}

    @property
    def uncategorized(self) -> Classification:
        return self.by_tier[Tier.FALLBACK][UNCATEGORIZED]

    def by_rules(self, window: Window) -> Classification | None:
        """What the rules decide for good: a browser's name says nothing of a page that no rule knows."""
        match = self.rules.match(window.app, window.url)
        if match is None or (
            match.tier == Tier.APP and match.category == _BROWSING and "." in split_url(window.url)[0]
        ):
            return None
        return self.by_tier[match.tier][match.category]

    def fallback(self, window: Window) -> Classification:
        """What is left to say where no tier decides: a browser is Browsing, all else Uncategorized."""
        match = self.rules.match(window.app, window.url)
        return self.by_tier[match.tier][match.category] if match else self.uncategorized

    def stored(self, stored_id: str | None, is_llm_based: bool, window: Window) -> Classification | None:
        """What the `categoryId` of a window's document says; None where it says nothing (absent, unknown or
        Uncategorized), or no more than that the window is a browser's."""
        name = self._names.get(stored_id or "", UNCATEGORIZED)
        if name == UNCATEGORIZED:
            return None
        if name == _BROWSING and not is_llm_based and self.fallback(window).category == _BROWSING:
            return None
        return self._stored[is_llm_based][name]

    def answered(self, name: str, window: Window, tier: Tier) -> Classification | None:
        """What an answer of the LLM says of a window; None where its category is gone meanwhile.

        No name, and `Uncategorized`, say no more than the fallback.
        """
        if name in ("", UNCATEGORIZED):
            return self.fallback(window)
        return self.by_tier[tier].get(name)
