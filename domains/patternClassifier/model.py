"""What a classification is, and which tier decided it."""

from enum import StrEnum
from typing import NamedTuple


class Tier(StrEnum):
    """Who decides a window's category, from the cheapest to the dearest (see `classifier.py`)."""

    URL = "url"
    APP = "app"
    MEMORY = "memory"
    CACHE = "cache"
    DOCUMENTS = "documents"
    MODEL = "model"
    LLM = "llm"
    FALLBACK = "fallback"


OF_LLM = frozenset({Tier.MEMORY, Tier.CACHE, Tier.LLM})
"""The tiers that pass on what the LLM has answered."""


class PauseReason(StrEnum):
    """Why the LLM is not asked for a while."""

    FAILURES = "failures"
    BUDGET = "budget"


class BudgetLimit(StrEnum):
    """What of the LLM's budget is spent: the requests of this minute, the tokens of this day, or one user's share."""

    CALLS = "calls"
    TOKENS = "tokens"
    USER_SHARE = "user_share"


class Classification(NamedTuple):
    """A category by name and by the id of its `category_pattern`; whether the LLM named it; which tier decided."""

    category: str
    category_id: str
    is_llm_based: bool = False
    tier: Tier = Tier.FALLBACK
