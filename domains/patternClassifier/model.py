"""What a classification is, and which tier decided it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Tier(StrEnum):
    """Who decides a window's category, from the cheapest to the dearest (see `classifier.py`).

    CORRECTION is what a person has said of a window. SITE is what is known of a whole site: from the table of known
    sites, or from its profile.
    """

    CORRECTION = "correction"
    URL = "url"
    APP = "app"
    SITE = "site"
    TITLE = "title"
    MEMORY = "memory"
    CACHE = "cache"
    DOCUMENTS = "documents"
    MODEL = "model"
    LLM = "llm"
    PROVISIONAL = "provisional"
    FALLBACK = "fallback"


OF_LLM = frozenset({Tier.MEMORY, Tier.CACHE, Tier.LLM})
"""The tiers that pass on what the LLM has answered."""
KNOWN = frozenset({Tier.URL, Tier.APP, Tier.SITE, Tier.TITLE})
"""The tiers at which what is in front is known, whoever has it there."""


class PauseReason(StrEnum):
    """Why the LLM is not asked for a while."""

    FAILURES = "failures"
    BUDGET = "budget"


class BudgetLimit(StrEnum):
    """What of the LLM's budget is spent: the requests of this minute, the tokens of this day, or one user's share."""

    CALLS = "calls"
    TOKENS = "tokens"
    USER_SHARE = "user_share"


class Doubt(StrEnum):
    """Why a rule's match is provisional (see `rules.py`)."""

    BROWSER = "browser"
    HOST = "host"
    PARENT = "parent"
    TITLE = "title"


class RuleMatch(NamedTuple):
    """The pattern that decided, as the administrators wrote it, and the document it is from."""

    category: str
    tier: Tier
    pattern: str
    category_id: str
    priority: int | None = None
    doubt: Doubt | None = None

    @property
    def provisional(self) -> bool:
        """Whether it holds only if no tier behind the rules knows better."""
        return self.doubt is not None


@dataclass(frozen=True, slots=True)
class PatternProblem:
    """A broken pattern: reported, skipped, never fatal."""

    category: str
    pattern: str
    reason: str


class Classification(NamedTuple):
    """A category by name and by the id of its `category_pattern`; whether the LLM named it; which tier decided."""

    category: str
    category_id: str
    is_llm_based: bool = False
    tier: Tier = Tier.FALLBACK
