"""Category patterns as a file: the default set, for a store that has none and for a classification without a
store, and any other in the same form.

The data is `default.json` (an array of `{category, priority, appPatterns, domainPatterns}`), checked by
`infrastructure.patterns.lint`. Source: contract, "Out: MongoDB".
"""

import json
from importlib import resources
from typing import Any

import msgspec

from domains.categoryPattern.model import CategoryPattern, category_id


class PatternFileError(Exception):
    """The file holds no patterns; the text names the item and is meant for a person."""


class _Entry(msgspec.Struct, rename="camel"):
    category: str
    priority: int | float | None = None  # exports of MongoDB write 2.0 for 2
    app_patterns: list[str] | None = None
    domain_patterns: list[str] | None = None


def default_patterns() -> list[CategoryPattern]:
    """All 19 categories, in the order of the file; the ids follow from the names and never change."""
    return read_patterns(resources.files(__name__).joinpath("default.json").read_bytes())


def read_patterns(data: bytes) -> list[CategoryPattern]:
    """The patterns of a JSON file. Other fields are ignored; arrays and priorities may be missing or null.

    Raises PatternFileError where the form is wrong. The single patterns are not looked at: see `RuleSet.problems`.
    """
    try:
        entries = json.loads(data)  # not msgspec, which takes no half of a surrogate pair
    except (ValueError, RecursionError) as error:
        raise PatternFileError(f"not JSON ({error})") from None
    if not isinstance(entries, list):
        raise PatternFileError("not an array of {category, priority, appPatterns, domainPatterns}")
    return [_pattern(number, entry) for number, entry in enumerate(entries, 1)]


def _pattern(number: int, data: Any) -> CategoryPattern:
    try:
        entry = msgspec.convert(data, _Entry)
    except msgspec.ValidationError as error:
        name = data.get("category") if isinstance(data, dict) else None
        called = f" ({name})" if isinstance(name, str) else ""
        raise PatternFileError(f"item {number}{called}: {error}") from None
    if not entry.category:
        raise PatternFileError(f"item {number}: category is empty")
    if isinstance(entry.priority, float) and not entry.priority.is_integer():
        raise PatternFileError(f"item {number} ({entry.category}): priority is not a whole number")
    try:
        id_ = category_id(entry.category)
    except UnicodeEncodeError:
        raise PatternFileError(f"item {number}: category {entry.category!r} is no text") from None
    return CategoryPattern(
        id=id_,
        category=entry.category,
        priority=None if entry.priority is None else int(entry.priority),
        app_patterns=tuple(entry.app_patterns or ()),
        domain_patterns=tuple(entry.domain_patterns or ()),
    )
