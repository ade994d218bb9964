"""A rule set's decision step by step, in words: the slow and talkative twin of `RuleSet.match`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from domains.kernel.window import Window
from domains.patternClassifier.model import Doubt, RuleMatch, Tier
from domains.patternClassifier.rule_index import Rule
from domains.patternClassifier.rules import RuleSet
from domains.patternClassifier.trie import Found
from domains.patternClassifier.urls import parse_pattern, split_url
from domains.patternClassifier.words import MAX_NAME, only_qualifiers, split_name

_PROVISIONAL = {
    Doubt.BROWSER: "a browser's name says nothing of what it shows",
    Doubt.HOST: "this process shows the windows of other programs",
    Doubt.PARENT: "the host below it may be anything, and no pattern names it",
    Doubt.TITLE: "on this site, the title decides",
}


class Step(NamedTuple):
    """A rule that matches, or nearly, and what there is to say of it."""

    rule: RuleMatch
    reason: str


class Trace(NamedTuple):
    """`host` and `path` as they were compared; `qualifiers` are the last of `words`, those that may be left off."""

    host: str
    path: str
    words: list[str]
    qualifiers: list[str]
    segments: list[str] | None
    """The page's title as it was compared, without what its browser added; None where it was not read."""
    matched: list[Step]
    """Best first: why the first one matches, and why each of the others stands behind it."""
    missed: list[Step]
    """App patterns that begin the name, and the words behind them that say more than a version."""
    note: str
    """Why there is nothing to compare, or the title was not read, where that is so."""


def explain(rules: RuleSet, window: Window) -> Trace:
    """Traces the decision that `rules.match` takes on this window."""
    app, url, title = window
    host, path = split_url(url)
    words = split_name(app)
    found = rules.candidates(app, url, title)
    page = rules.read_title(app, url, title) if title else None
    names = rules.read_name(app)
    why = _Reasons(host, path, names)
    matched = [Step(found[0], why.of(found[0]))] if found else []
    matched += [Step(rule, f"{why.of(rule)}; {_behind(found[0], rule)}") for rule in found[1:]]
    missed = [
        Step(rule, f"{_read_as(near)}the words behind it say more: {' '.join(near.behind)}")
        for rule, near in rules.near_names(app)
    ]
    notes = _notes(app, url, host, path, words)
    if title and page is None:
        decided = "the app, or the URL, decides without it" if found else "the app is not known as a browser"
        notes.append(f"the title was not read: {decided}")
    return Trace(
        host=host,
        path=path,
        words=words,
        qualifiers=words[_end_of_name(words) :],
        segments=None if page is None else page.segments,
        matched=matched,
        missed=missed,
        note="; ".join(notes),
    )


def _end_of_name(words: Sequence[str]) -> int:
    """The least number of words, at least one, behind which there are only qualifiers."""
    return next((start for start in range(1, len(words)) if only_qualifiers(words, start)), len(words))


class _Reasons(NamedTuple):
    """The window, as rules compare it."""

    host: str
    path: str
    names: Mapping[str, Found[Rule]]

    def of(self, rule: RuleMatch) -> str:
        said = {Tier.APP: self._name, Tier.URL: self._place, Tier.SITE: self._site, Tier.TITLE: _title}[rule.tier](
            rule
        )
        return said if rule.doubt is None else f"{said}; provisional: {_PROVISIONAL[rule.doubt]}"

    def _name(self, rule: RuleMatch) -> str:
        name = self.names[rule.pattern]
        behind = ", ".join(map(repr, name.behind))
        return _read_as(name) + (f"begins the name, and {behind} may be left off" if behind else "is the whole name")

    def _place(self, rule: RuleMatch) -> str:
        pattern = parse_pattern(rule.pattern)
        if pattern.extension:
            return f"a local file that ends in .{pattern.extension}"
        if pattern.token:
            return f"the word {pattern.token!r} is in the host or path"
        if not self.host:
            return f"the app's name is an address at {pattern.host}"
        where = "is the host" if pattern.host == self.host else f"is a parent of the host {self.host}"
        if not pattern.path:
            return f"{pattern.host} {where}"
        begins = "is the path" if pattern.path == self.path else "begins the path"
        return f"{pattern.host} {where}, and {pattern.path} {begins}"

    def _site(self, rule: RuleMatch) -> str:
        what = "name and country are those" if rule.pattern.endswith(".*") else "the host is, or is below, that"
        return f"{what} of {rule.pattern} in the table of known sites"


def _title(rule: RuleMatch) -> str:
    return f"the title names {rule.pattern}"


def _read_as(name: Found[Rule]) -> str:
    return "" if name.spelling is None else f"the name read in another way ({name.spelling}): "


def _behind(winner: RuleMatch, other: RuleMatch) -> str:
    """Why `other`, which matches too, stands behind `winner`: the first row of the table in `rules` that says so."""
    if winner.tier != other.tier:
        return "it would come first, but only provisionally" if _row(other) < _row(winner) else _ROWS[winner.tier]
    if winner.tier == Tier.TITLE:  # the table of known sites has one row at most
        return "it was added to the patterns later"
    more = _more_specific(winner.pattern, other.pattern) if winner.tier == Tier.URL else _more_words(winner, other)
    if more:
        return more
    if winner.priority != other.priority:
        first, second = ("none" if rule.priority is None else rule.priority for rule in (winner, other))
        return f"as specific, but the priority {first} comes before {second}"
    if winner.category != other.category:
        return "as specific and of the same priority: the categories' alphabet decides"
    return "as specific, of the same category"


def _row(rule: RuleMatch) -> int:
    browser = rule.tier == Tier.APP and rule.doubt is not None
    return len(_ROWS) if browser else [*_ROWS].index(rule.tier)


_ROWS = {
    Tier.APP: "an app that is no browser comes before the URL",
    Tier.URL: "the URL comes before the title, and before a browser's name",
    Tier.SITE: "a known site comes before the title, and before a browser's name",
    Tier.TITLE: "what the title names comes before a browser's name",
}


def _more_specific(winner: str, other: str) -> str:
    first, second = parse_pattern(winner), parse_pattern(other)
    if bool(first.token) != bool(second.token):
        return "a host comes before a word"
    if len(first.token) != len(second.token):
        return "the longer word comes first"
    if len(first.host) != len(second.host):
        return "the longer host comes first"
    return "the longer path comes first" if len(first.path) != len(second.path) else ""


def _more_words(winner: RuleMatch, other: RuleMatch) -> str:
    first, second = len(split_name(winner.pattern)), len(split_name(other.pattern))
    return "the pattern with more words comes first" if first != second else ""


def _notes(app: str, url: str, host: str, path: str, words: Sequence[str]) -> list[str]:
    notes = []
    if url and not host and not path:
        notes.append("the URL names no host and no path")
    if app and not words:
        long = len(app.strip()) > MAX_NAME
        notes.append(f"the name is longer than {MAX_NAME} characters" if long else "no letter or digit in the name")
    return notes
