"""The default category patterns, for a store that has none and for a classification without a store.

The data is `default.json` (an array of `{category, priority, appPatterns, domainPatterns}`), checked by
`infrastructure.patterns.lint`. Source: contract, "Out: MongoDB".
"""

import json
from importlib import resources

from domains.categoryPattern.model import CategoryPattern, category_id


def default_patterns() -> list[CategoryPattern]:
    """All 19 categories, in the order of the file; the ids follow from the names and never change."""
    text = resources.files(__name__).joinpath("default.json").read_text(encoding="utf-8")
    return [
        CategoryPattern(
            id=category_id(entry["category"]),
            category=entry["category"],
            priority=entry["priority"],
            app_patterns=tuple(entry["appPatterns"]),
            domain_patterns=tuple(entry["domainPatterns"]),
        )
        for entry in json.loads(text)
    ]
