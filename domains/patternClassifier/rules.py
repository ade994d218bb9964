"""The rules: an immutable snapshot of all patterns, which decides a window in microseconds.

What decides, the first row that applies:

| # | what matches                        | among several of them                                          |
|---|-------------------------------------|----------------------------------------------------------------|
| 1 | the URL: a host, or a host and path | the longer host, then the longer path                          |
| 2 | the URL: a token in host or path    | the longer token                                               |
| 3 | the app's name                      | the pattern with more words                                    |
| - | equally specific patterns           | lower priority (None last), then category, then pattern, then  |
|   |                                     | document id: never the order of documents in the collection    |
| 4 | nothing                             | None: the tiers behind the rules decide                        |

The URL comes before the app without exception, also where its category is `Browsing` and the app's is not:
only browsers report URLs, and a browser's own name says less than any place it shows. Where no URL pattern
matches, the app decides, a browser's too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from domains.categoryPattern.model import CategoryPattern
from domains.patternClassifier.model import Tier
from domains.patternClassifier.trie import AppTrie
from domains.patternClassifier.urls import UrlMatcher, UrlPattern, parse_pattern

Key = TypeVar("Key")

_MEMO_ENTRIES = 32_768
_MEMO_CHARACTERS = 512  # of app and URL together, so a hostile sender cannot fill the memory
_UNKNOWN: Any = object()


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """The pattern that decided, as the administrators wrote it, and the document it is from."""

    category: str
    tier: Tier
    pattern: str
    category_id: str
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class PatternProblem:
    """A broken pattern: reported, skipped, never fatal."""

    category: str
    pattern: str
    reason: str


class RuleSet:
    """The patterns of one moment. Built once and swapped as a whole; reading it from any thread is safe."""

    __slots__ = ("_apps", "_names", "_urls", "_windows", "problems", "size")

    problems: tuple[PatternProblem, ...]
    size: int

    def __init__(self, patterns: Iterable[CategoryPattern]) -> None:
        self._apps: AppTrie[RuleMatch] = AppTrie()
        self._windows: dict[tuple[str, str], RuleMatch | None] = {}
        self._names: dict[str, RuleMatch | None] = {}
        urls: list[tuple[UrlPattern, RuleMatch]] = []
        problems: list[PatternProblem] = []
        rules = _in_order(patterns)
        for rule in rules:
            try:
                if rule.tier == Tier.URL:
                    urls.append((parse_pattern(rule.pattern), rule))
                else:
                    self._apps.add(rule.pattern, rule)
            except ValueError as error:
                problems.append(PatternProblem(rule.category, rule.pattern, f"{rule.tier} pattern: {error}"))
        self._urls = UrlMatcher(urls)
        self.problems = tuple(problems)
        self.size = len(rules) - len(problems)

    def match(self, app: str, url: str) -> RuleMatch | None:
        """The rule that decides this window, or None. Never raises, whatever the text."""
        window = (app, url)
        found: RuleMatch | None = self._windows.get(window, _UNKNOWN)
        if found is _UNKNOWN:
            found = self._urls.best(url) if url else None
            if found is None and app:
                found = self._match_app(app)
            if len(app) + len(url) <= _MEMO_CHARACTERS:
                _remember(self._windows, window, found)
        return found

    def candidates(self, app: str, url: str) -> list[RuleMatch]:
        """All rules that match this window, best first: the first is what `match` returns."""
        return [*self._urls.find(url), *self._apps.find(app)]

    def app_prefixes(self, app: str) -> list[RuleMatch]:
        """All rules whose words begin the app's name, longest first, whatever stands behind them."""
        return list(self._apps.find_prefixes(app))

    def _match_app(self, app: str) -> RuleMatch | None:
        # Remembered by itself: a browser shows a thousand URLs under one name.
        found: RuleMatch | None = self._names.get(app, _UNKNOWN)
        if found is _UNKNOWN:
            found = next(self._apps.find(app), None)
            if len(app) <= _MEMO_CHARACTERS:
                _remember(self._names, app, found)
        return found


def _remember(memo: dict[Key, RuleMatch | None], key: Key, found: RuleMatch | None) -> None:
    # Emptying it now and then costs less than keeping an order of use on every hit.
    if len(memo) >= _MEMO_ENTRIES:
        memo.clear()
    memo[key] = found


def _in_order(patterns: Iterable[CategoryPattern]) -> list[RuleMatch]:
    """All rules, in the order in which equally specific ones win."""
    keyed = [
        (document.priority is None, document.priority or 0, document.category, pattern, document.id, tier)
        for document in patterns
        for tier, pattern in _patterns_of(document)
    ]
    keyed.sort()
    return [
        RuleMatch(category, tier, pattern, id_, None if without else priority)
        for without, priority, category, pattern, id_, tier in keyed
    ]


def _patterns_of(document: CategoryPattern) -> Iterator[tuple[Tier, str]]:
    for pattern in document.domain_patterns:
        yield Tier.URL, pattern
    for pattern in document.app_patterns:
        yield Tier.APP, pattern
