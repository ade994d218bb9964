"""Patterns, rules and category ids of one moment, and what they make of a window."""

from collections.abc import Sequence
from typing import NamedTuple

from domains.categoryPattern.model import UNCATEGORIZED, CategoryPattern
from domains.patternClassifier.rules import TIER_APP, TIER_URL, RuleSet
from domains.patternClassifier.urls import split_url
from domains.pomodoro.model import ActivityKey

TIER_MEMORY = "memory"
TIER_CACHE = "cache"
TIER_DOCUMENTS = "documents"
TIER_MODEL = "model"
TIER_LLM = "llm"
TIER_FALLBACK = "fallback"
TIERS = (TIER_URL, TIER_APP, TIER_MEMORY, TIER_CACHE, TIER_DOCUMENTS, TIER_MODEL, TIER_LLM, TIER_FALLBACK)
_LLM_TIERS = frozenset({TIER_MEMORY, TIER_CACHE, TIER_LLM})

_BROWSING = "Browsing"


class Classification(NamedTuple):
    """A category by name and by the id of its `category_pattern`; whether the LLM named it; which tier decided."""

    category: str
    category_id: str
    is_llm_based: bool = False
    tier: str = TIER_FALLBACK


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
            tier: {name: Classification(name, id_, tier in _LLM_TIERS, tier) for name, id_ in ids.items()}
            for tier in TIERS
        }
        self._stored = [
            {name: Classification(name, id_, is_llm_based, TIER_DOCUMENTS) for name, id_ in ids.items()}
            for is_llm_based in (False, True)
        ]
        self._names = {pattern.id: pattern.category for pattern in patterns}

    @property
    def uncategorized(self) -> Classification:
        return self.by_tier[TIER_FALLBACK][UNCATEGORIZED]

    def by_rules(self, key: ActivityKey) -> Classification | None:
        """What the rules decide for good: a browser's name says nothing of a page that no rule knows."""
        match = self.rules.match(key.app, key.url)
        if match is None or (match.tier == TIER_APP and match.category == _BROWSING and "." in split_url(key.url)[0]):
            return None
        return self.by_tier[match.tier][match.category]

    def fallback(self, key: ActivityKey) -> Classification:
        """What is left to say where no tier decides: a browser is Browsing, all else Uncategorized."""
        match = self.rules.match(key.app, key.url)
        return self.by_tier[match.tier][match.category] if match else self.uncategorized

    def stored(self, stored_id: str | None, is_llm_based: bool, key: ActivityKey) -> Classification | None:
        """What the `categoryId` of a window's document says; None where it says nothing (absent, unknown or
        Uncategorized), or no more than that the window is a browser's."""
        name = self._names.get(stored_id or "", UNCATEGORIZED)
        if name == UNCATEGORIZED:
            return None
        if name == _BROWSING and not is_llm_based and self.fallback(key).category == _BROWSING:
            return None
        return self._stored[is_llm_based][name]

    def answered(self, name: str, key: ActivityKey, tier: str) -> Classification | None:
        """What an answer of the LLM says of a window; None where its category is gone meanwhile.

        No name, and `Uncategorized`, say no more than the fallback.
        """
        if name in ("", UNCATEGORIZED):
            return self.fallback(key)
        return self.by_tier[tier].get(name)
