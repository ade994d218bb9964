"""Pattern files, JSON arrays of `{category, priority, appPatterns, domainPatterns}`: written, read and compared."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from domains.categoryPattern.model import (
    LLM_ONLY_CATEGORIES,
    PATTERN_CATEGORIES,
    UNCATEGORIZED,
    CategoryPattern,
    PatternKind,
    category_id,
)
from domains.patternClassifier.urls import UrlPattern, parse_pattern
from domains.patternClassifier.words import split_name
from infrastructure.patterns.lint import shape

Entry = dict[str, Any]

_WITHOUT_PATTERNS = LLM_ONLY_CATEGORIES | {UNCATEGORIZED}


class PatternFileError(Exception):
    """The file as a whole cannot be used; the text names every item that is to blame, a line each."""


class FilePattern(NamedTuple):
    kind: PatternKind
    pattern: str
    category: str


class FileNews(NamedTuple):
    """What a file holds that a store does not: categories without their patterns, and patterns.

    `already_there` counts those that stand in the store, or earlier in the file, under the same category. `broken`
    have the reason beside them.
    """

    categories: list[CategoryPattern]
    added: list[FilePattern]
    already_there: int
    broken: list[tuple[FilePattern, str]]


def spelled(patterns: Iterable[CategoryPattern]) -> str:
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


def parse(text: bytes) -> list[Entry]:
    """The items of a file. Raises PatternFileError where it is not of the form."""
    try:
        entries = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise PatternFileError(f"not JSON ({error})") from None
    if not isinstance(entries, list):
        raise PatternFileError("not an array of categories")
    _raise_any(f"item {number}: {problem}" for number, entry in enumerate(entries, 1) for problem in shape(entry))
    return entries


def compare(entries: Sequence[Entry], present: Sequence[CategoryPattern]) -> FileNews:
    """What adding `entries` to a store that has `present` means.

    Raises PatternFileError for a category that neither the contract nor the store knows, or that has no patterns.
    """
    known = {pattern.category for pattern in present}
    _raise_any(_category_problems(entries, known))
    missing = {entry["category"]: entry["priority"] for entry in reversed(entries) if entry["category"] not in known}
    news = FileNews([CategoryPattern(category_id(name), name, missing[name]) for name in missing], [], 0, [])
    seen, there = set(), 0
    for pattern in present:
        for each in _patterns(pattern.category, pattern.app_patterns, pattern.domain_patterns):
            with suppress(ValueError):
                seen.add((each.category, _canonical(each)))
    for entry in entries:
        for each in _patterns(entry["category"], entry["appPatterns"], entry["domainPatterns"]):
            try:
                key = (each.category, _canonical(each))
            except ValueError as error:
                news.broken.append((each, str(error)))
                continue
            if key in seen:
                there += 1
            else:
                seen.add(key)
                news.added.append(each)
    return news._replace(already_there=there)


def _category_problems(entries: Iterable[Entry], known: set[str]) -> Iterator[str]:
    for number, entry in enumerate(entries, 1):
        name = entry["category"]
        if name in _WITHOUT_PATTERNS and (entry["appPatterns"] or entry["domainPatterns"]):
            yield f"item {number}: {name} is a category without patterns"
        elif name not in PATTERN_CATEGORIES | _WITHOUT_PATTERNS and name not in known:
            yield f"item {number}: {name}: no such category"


def _raise_any(problems: Iterable[str]) -> None:
    if found := list(problems):
        raise PatternFileError("\n".join(found))


def _patterns(category: str, apps: Iterable[str], domains: Iterable[str]) -> Iterator[FilePattern]:
    yield from (FilePattern(PatternKind.APP, pattern, category) for pattern in apps)
    yield from (FilePattern(PatternKind.DOMAIN, pattern, category) for pattern in domains)


def _canonical(each: FilePattern) -> UrlPattern | tuple[str, ...]:
    """What the spellings of one pattern have in common. Raises ValueError for a broken one, with the reason."""
    try:
        each.pattern.encode()
    except UnicodeEncodeError:
        raise ValueError("half a character, which no store can hold") from None
    if each.kind is PatternKind.DOMAIN:
        return parse_pattern(each.pattern)
    if not (words := split_name(each.pattern)):
        raise ValueError("no letter or digit in it, or far too long for an app's name")
    return tuple(words)
