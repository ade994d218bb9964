"""Pattern files: JSON arrays of `{category, priority, appPatterns, domainPatterns}`, read, written and compared.

`default.json` is such a file. Source of the form: contract, "Out: MongoDB". What no document of the collection can
say, `titlePatterns` and `"provisional": true`, stands in `additions.json`, or in the file that PATTERN_FILE names.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from domains.categoryPattern import decisions
from domains.categoryPattern.model import PATTERN_CATEGORIES, CategoryPattern, PatternKind, category_id
from domains.categoryPattern.ports import CategoryPatternRepositoryPort
from domains.patternClassifier.pattern_checks import CATEGORIES_WITHOUT_PATTERNS, canonical_pattern

DEFAULT_PATTERNS = Path(__file__).parent / "default.json"
ADDITIONS = Path(__file__).parent / "additions.json"


class PatternFileError(Exception):
    """The file cannot be used as a whole. The text names every faulty item, one on each line."""


class FilePattern(NamedTuple):
    kind: PatternKind
    pattern: str
    category: str


class FileNews(NamedTuple):
    """The new parts of a file, compared with a store: categories (without their patterns) and patterns.

    `already_there` counts patterns that the store, or an earlier part of the file, has under the same category.
    `broken` has patterns with the reason.
    """

    categories: list[CategoryPattern]
    added: list[FilePattern]
    already_there: int
    broken: list[tuple[FilePattern, str]]


class _Entry(msgspec.Struct, rename="camel"):
    category: str
    priority: int | float | None = None  # exports of MongoDB spell 2 as 2.0
    app_patterns: list[str] | None = None
    domain_patterns: list[str] | None = None
    title_patterns: list[str] | None = None
    provisional: bool = False


def default_patterns() -> list[CategoryPattern]:
    """The default patterns of all 19 categories, in the order of the file. Ids are derived from the names."""
    return read_patterns(DEFAULT_PATTERNS.read_bytes())


def default_additions() -> list[CategoryPattern]:
    """What is added to the collection's patterns where no other file is named."""
    return read_patterns(ADDITIONS.read_bytes())


def read_patterns(data: bytes) -> list[CategoryPattern]:
    """The patterns of a file. Other fields are ignored; arrays and priorities may be missing or null.

    Raises PatternFileError if the form is wrong. Single patterns are not checked: `RuleSet.problems` and `compare`
    say which of them are broken.
    """
    try:
        entries = json.loads(data)  # not by msgspec, which refuses half of a surrogate pair
    except (ValueError, RecursionError) as error:
        raise PatternFileError(f"not JSON ({error})") from None
    if not isinstance(entries, list):
        raise PatternFileError("not an array of {category, priority, appPatterns, domainPatterns}")
    patterns, problems = [], []
    for number, entry in enumerate(entries, 1):
        try:
            patterns.append(_pattern(entry))
        except ValueError as error:
            name = entry.get("category") if isinstance(entry, dict) else None
            called = f" ({name})" if name and isinstance(name, str) else ""
            problems.append(f"item {number}{called}: {error}")
    _raise_any(problems)
    return patterns


def write_patterns(patterns: Iterable[CategoryPattern]) -> str:
    entries = [
        {
            "category": pattern.category,
            "priority": pattern.priority,
            "appPatterns": pattern.app_patterns,
            "domainPatterns": pattern.domain_patterns,
        }
        for pattern in patterns
    ]
    return json.dumps(entries, ensure_ascii=False, indent=2)


async def import_into(
    store: CategoryPatternRepositoryPort, wanted: Sequence[CategoryPattern], dry_run: bool = False
) -> FileNews:
    """Adds the new parts that `compare` finds. With `dry_run` it only returns them."""
    news = compare(wanted, await store.find_all())
    if not dry_run:
        await store.save_all(news.categories)
        await decisions.add(news.added, store)
    return news


def compare(wanted: Sequence[CategoryPattern], present: Sequence[CategoryPattern]) -> FileNews:
    """Compares the `wanted` patterns of a file with those `present` in a store.

    Raises PatternFileError for a category that neither the contract nor the store has, or that cannot have patterns,
    and for what no store can hold.
    """
    known = {pattern.category for pattern in present}
    _raise_any(_category_problems(wanted, known))
    missing = {entry.category: entry.priority for entry in reversed(wanted) if entry.category not in known}
    news = FileNews([CategoryPattern(category_id(name), name, missing[name]) for name in missing], [], 0, [])
    seen, there = set(), 0
    for each in _patterns(present):
        with suppress(ValueError):
            seen.add((each.category, canonical_pattern(each.kind, each.pattern)))
    for each in _patterns(wanted):
        try:
            key = (each.category, canonical_pattern(each.kind, each.pattern))
        except ValueError as error:
            news.broken.append((each, str(error)))
            continue
        if key in seen:
            there += 1
        else:
            seen.add(key)
            news.added.append(each)
    return news._replace(already_there=there)


def _pattern(data: object) -> CategoryPattern:
    entry = msgspec.convert(data, _Entry)  # its ValidationError is a ValueError
    if not entry.category:
        raise ValueError("category is empty")
    if isinstance(entry.priority, float) and not entry.priority.is_integer():
        raise ValueError("priority is not a whole number")
    try:
        id_ = category_id(entry.category)
    except UnicodeEncodeError:
        raise ValueError("category is no text") from None
    return CategoryPattern(
        id=id_,
        category=entry.category,
        priority=None if entry.priority is None else int(entry.priority),
        app_patterns=tuple(entry.app_patterns or ()),
        domain_patterns=tuple(entry.domain_patterns or ()),
        title_patterns=tuple(entry.title_patterns or ()),
        provisional=entry.provisional,
    )


def _category_problems(entries: Iterable[CategoryPattern], known: set[str]) -> Iterator[str]:
    for number, entry in enumerate(entries, 1):
        name = entry.category
        if name in CATEGORIES_WITHOUT_PATTERNS and (entry.app_patterns or entry.domain_patterns):
            yield f"item {number}: {name} is a category without patterns"
        elif name not in PATTERN_CATEGORIES | CATEGORIES_WITHOUT_PATTERNS and name not in known:
            yield f"item {number}: {name}: no such category"
        if entry.title_patterns or entry.provisional:
            yield f"item {number}: titlePatterns and provisional are no part of the collection: see PATTERN_FILE"


def _raise_any(problems: Iterable[str]) -> None:
    if found := list(problems):
        raise PatternFileError("\n".join(found))


def _patterns(entries: Iterable[CategoryPattern]) -> Iterator[FilePattern]:
    for entry in entries:
        yield from (FilePattern(PatternKind.APP, pattern, entry.category) for pattern in entry.app_patterns)
        yield from (FilePattern(PatternKind.DOMAIN, pattern, entry.category) for pattern in entry.domain_patterns)
