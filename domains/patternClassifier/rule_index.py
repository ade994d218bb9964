"""All patterns, ready to be searched: those of the collection, and what is added to them.

Who wins: the collection. An addition adds to the categories that the collection has, and is left out for any other.
Where an addition says the same as a pattern of the collection (an app's name of the same words, the same host and
path), the collection's category counts, whatever the addition's is; but if the addition is provisional, so is the
pattern.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from domains.categoryPattern.model import BROWSING, CategoryPattern
from domains.patternClassifier.model import Doubt, PatternProblem, RuleMatch, Tier
from domains.patternClassifier.sites import KnownSites
from domains.patternClassifier.titles import TitleMatcher, TitlePattern, parse_title_pattern
from domains.patternClassifier.trie import AppTrie
from domains.patternClassifier.urls import UrlMatcher, UrlPattern, parse_pattern
from domains.patternClassifier.words import pattern_words

PORTAL_CATEGORIES = 5
"""A host below which there are patterns of so many other categories says nothing of what else is below it."""

Key = UrlPattern | TitlePattern | tuple[str, ...]

_SURE: frozenset[Doubt] = frozenset()
_BELOW = frozenset({Doubt.PARENT})
_BROWSER = frozenset({Doubt.BROWSER})
_READ: Mapping[Tier, Callable[[str], Key]] = {
    Tier.URL: parse_pattern,
    Tier.APP: pattern_words,
    Tier.TITLE: parse_title_pattern,
}
_COLON = "the name of a category with a colon makes the server's archiving of boards fail; it is used all the same"


class Rule(NamedTuple):
    """A pattern, what all spellings of it have in common, and the doubts that there may be about it."""

    match: RuleMatch
    key: Key
    doubts: frozenset[Doubt] = _SURE
    for_good: bool = False
    """Whether an addition says that there is no doubt, where there usually would be."""

    def under(self, doubt: Doubt | None, tier: Tier | None = None) -> RuleMatch:
        """The match where `doubt` applies; with another tier, where it was found by that."""
        if doubt is None and tier is None:
            return self.match
        return self.match._replace(doubt=doubt, tier=tier or self.match.tier)


class RuleIndex:
    """Built once. `problems` are the broken patterns, which are left out; `size` counts the others."""

    def __init__(
        self,
        patterns: Sequence[CategoryPattern],
        additions: Iterable[CategoryPattern] = (),
        sites: KnownSites | None = None,
    ) -> None:
        colons = sorted({pattern.category for pattern in patterns if ":" in pattern.category})
        self.problems = [PatternProblem(category, "", _COLON) for category in colons]
        self._sites = sites
        self._ids: dict[str, str] = {}
        for pattern in patterns:  # a name that stands twice keeps its first id
            self._ids.setdefault(pattern.category, pattern.id)
        self.apps: AppTrie[Rule] = AppTrie()
        self.titles: TitleMatcher[Rule] = TitleMatcher()
        self.browser_words: set[str] = set()
        rules = self._with_additions(patterns, additions)
        self.size = len(rules)
        places: list[tuple[UrlPattern, Rule]] = []
        for rule in rules:
            key = rule.key
            if isinstance(key, UrlPattern):
                places.append((key, rule))
            elif isinstance(key, TitlePattern):
                self.titles.add(key, rule)
            else:
                self.apps.add(key, rule)
                if Doubt.BROWSER in rule.doubts:
                    self.browser_words.add(key[0])
        self.urls = UrlMatcher(_doubting_parents(places))

    def site(self, host: str, above: Rule | None) -> RuleMatch | None:
        """The row of a host in the table of known sites. `above` is the pattern of a host above it, if any."""
        found = self._sites.find(host) if self._sites is not None and host else None
        if found is None or found.category not in self._ids:
            return None
        if above is not None and not found.domain.endswith(f".{host_of(above)}"):
            return None
        return RuleMatch(found.category, Tier.SITE, found.domain, self._ids[found.category])

    def _with_additions(
        self, patterns: Sequence[CategoryPattern], additions: Iterable[CategoryPattern]
    ) -> list[Rule]:
        ids = self._ids
        known = [replace(entry, id=ids[entry.category]) for entry in additions if entry.category in ids]
        added = {rule.key: rule for rule in reversed(self._rules(known))}
        rules = [_usually(rule) for rule in self._rules(patterns)]
        if added:
            present = {rule.key for rule in rules} & added.keys()
            rules = [_told(rule, added[rule.key]) if rule.key in present else rule for rule in rules]
            rules += [_told(_usually(rule), rule) for key, rule in added.items() if key not in present]
        return rules

    def _rules(self, patterns: Iterable[CategoryPattern]) -> list[Rule]:
        """The sound patterns, in the order in which equally specific ones win."""
        keyed = [
            (each.priority is None, each.priority or 0, each.category, text, each.id, tier, each.provisional)
            for each in patterns
            for tier, texts in _texts(each)
            for text in texts
        ]
        keyed.sort()
        rules = []
        for without, priority, category, text, id_, tier, provisional in keyed:
            try:
                key = _READ[tier](text)
            except ValueError as error:
                self.problems.append(PatternProblem(category, text, f"{tier} pattern: {error}"))
                continue
            match = RuleMatch(category, tier, text, id_, None if without else priority)
            rules.append(Rule(match, key, _doubts_of_provisional(match) if provisional else _SURE))
        return rules


def host_of(rule: Rule) -> str:
    """The host that a domain pattern names; empty for other patterns."""
    return rule.key.host if isinstance(rule.key, UrlPattern) else ""


def _texts(pattern: CategoryPattern) -> Iterator[tuple[Tier, Sequence[str]]]:
    yield Tier.URL, pattern.domain_patterns
    yield Tier.APP, pattern.app_patterns
    yield Tier.TITLE, pattern.title_patterns


def _doubts_of_provisional(match: RuleMatch) -> frozenset[Doubt]:
    if match.tier == Tier.APP:
        return frozenset({Doubt.BROWSER if match.category == BROWSING else Doubt.HOST})
    return _BELOW if match.pattern.startswith("*.") else frozenset({Doubt.TITLE})


def _usually(rule: Rule) -> Rule:
    """With the doubt that there is about any app of `Browsing`."""
    if rule.match.category == BROWSING and rule.match.tier == Tier.APP:
        return rule._replace(doubts=_BROWSER)
    return rule


def _told(rule: Rule, addition: Rule) -> Rule:
    """With the doubts that a provisional addition has about it; or for good without any."""
    if addition.doubts:
        return rule._replace(doubts=rule.doubts | addition.doubts)
    return rule._replace(doubts=_SURE, for_good=True)


def _doubting_parents(places: Sequence[tuple[UrlPattern, Rule]]) -> list[tuple[UrlPattern, Rule]]:
    """The domain patterns. Hosts of `Browsing`, and portals, do not speak for what is below them."""
    hosts = {place.host for place, _ in places}
    below: defaultdict[str, set[str]] = defaultdict(set)
    for place, rule in places:
        dot = place.host.find(".")
        while dot > 0:
            if (parent := place.host[dot + 1 :]) in hosts:
                below[parent].add(rule.match.category)
            dot = place.host.find(".", dot + 1)
    portals = {host for host, categories in below.items() if len(categories) >= PORTAL_CATEGORIES}

    def is_parent(place: UrlPattern, rule: Rule) -> bool:
        if rule.for_good or place.path or not place.host:
            return False
        category = rule.match.category
        return category == BROWSING or len(below[place.host] - {category}) >= PORTAL_CATEGORIES

    return [
        (place, rule._replace(doubts=rule.doubts | _BELOW))
        if (rule.match.category == BROWSING or place.host in portals) and is_parent(place, rule)
        else (place, rule)
        for place, rule in places
    ]
