"""The categories, which of them are work, and the patterns of `category_pattern`.

Source: contract, "Out: MongoDB" (the document) and "Out: Redis leaderboards" (the list of work categories).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

UNCATEGORIZED = "Uncategorized"
BROWSING = "Browsing"
FILE_MANAGEMENT = "File Management"

WORK_CATEGORIES = frozenset(
    {
        "Development",
        "LLM",
        "Documentation",
        "Design",
        "Video Editing",
        "Education",
        "Productivity",
        "Finance",
        FILE_MANAGEMENT,
        BROWSING,
        "Marketing",
        "System & Utilities",
        "Meetings",
    }
)
OTHER_CATEGORIES = frozenset({"SNS", "Entertainment", "Game", "E-commerce & Shopping", "AFK", UNCATEGORIZED})
PATTERN_CATEGORIES = WORK_CATEGORIES | OTHER_CATEGORIES
"""The 19 categories that patterns may belong to."""

LLM_ONLY_CATEGORIES = frozenset({"Communication", "Music"})
"""These are not work and have no patterns: only the LLM may name them."""


@dataclass(frozen=True, slots=True)
class CategoryPattern:
    """One document of `category_pattern`: a category and the patterns by which it is recognised.

    `id` is 24 hex digits. The lowest `priority` wins; None comes last. Patterns are kept as the administrators
    wrote them; matching folds case and Unicode form.

    `title_patterns` and `provisional` are in no document of the collection, only in additions to it (pattern files):
    names of sites as they stand in titles, and whether the patterns hold only where no tier behind the rules knows
    better.
    """

    id: str
    category: str
    priority: int | None = None
    app_patterns: tuple[str, ...] = ()
    domain_patterns: tuple[str, ...] = ()
    title_patterns: tuple[str, ...] = ()
    provisional: bool = False


def category_id(category: str) -> str:
    """The id under which the pipeline creates a missing category. Every instance derives the same id."""
    return blake2b(f"category_pattern:{category}".encode(), digest_size=12).hexdigest()


def new_category(category: str) -> CategoryPattern:
    """A category as the pipeline creates it: without patterns and priority, which only administrators give."""
    return CategoryPattern(category_id(category), category)


class PatternKind(StrEnum):
    APP = "app"
    DOMAIN = "domain"


class ProposalStatus(StrEnum):
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for a pattern: the LLM's answers for the windows that the pattern would match.

    `answers` counts the answers that name the pattern's category, `windows` the different windows among them (1000
    means 1000 or more), and `others` the remaining answers by the category that they name. `examples` are up to 3
    hosts or apps as they were seen, the most frequent first. None of it contains titles.

    `site` is evidence of another kind: the confidence (0 to 1) with which the site's own page speaks for the
    category; 0 where there is no such page. `corrections` is the number of windows that persons have given the
    category. A proposal may rest on either alone, without any answer.
    """

    answers: int
    windows: int
    others: Mapping[str, int]
    examples: tuple[str, ...] = ()
    site: float = 0.0
    corrections: int = 0

    @property
    def share(self) -> float:
        """The share of all answers that name the pattern's category; 0 where there are no answers."""
        return self.answers / ((self.answers + sum(self.others.values())) or 1)


@dataclass(frozen=True, slots=True)
class PatternProposal:
    """A pattern that the LLM's answers suggest.

    Each host or app has at most one, so `id` is derived from the host or app. `decided` is when it was last
    accepted or rejected (Unix seconds); 0: never, or by an earlier version.
    """

    id: str
    kind: PatternKind
    pattern: str
    category: str
    evidence: Evidence
    status: ProposalStatus = ProposalStatus.PROPOSED
    decided: float = 0.0
