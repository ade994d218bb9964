"""Categories, which of them are work, and the patterns of `category_pattern`.

Source: contract, "Out: MongoDB" (the document) and "Out: Redis leaderboards" (the list of work categories).
"""

from dataclasses import dataclass
from hashlib import blake2b

UNCATEGORIZED = "Uncategorized"

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
        "File Management",
        "Browsing",
        "Marketing",
        "System & Utilities",
        "Meetings",
    }
)
OTHER_CATEGORIES = frozenset({"SNS", "Entertainment", "Game", "E-commerce & Shopping", "AFK", UNCATEGORIZED})
PATTERN_CATEGORIES = WORK_CATEGORIES | OTHER_CATEGORIES
"""The 19 categories that patterns may belong to."""

LLM_ONLY_CATEGORIES = frozenset({"Communication", "Music"})
"""Not work, and without patterns: only the LLM may name them."""


@dataclass(frozen=True, slots=True)
class CategoryPattern:
    """One document of `category_pattern`: a category and what it is recognised by.

    `id` is 24 hex digits. The lower `priority` wins, None comes last. Patterns are kept as the administrators
    wrote them; matching folds case and Unicode form.
    """

    id: str
    category: str
    priority: int | None = None
    app_patterns: tuple[str, ...] = ()
    domain_patterns: tuple[str, ...] = ()


def category_id(category: str) -> str:
    """The id under which the pipeline creates a category that the store lacks: every instance the same one."""
    return blake2b(f"category_pattern:{category}".encode(), digest_size=12).hexdigest()
