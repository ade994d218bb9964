"""A rule set's decision step by step, in words: the slow and talkative twin of `RuleSet.match`."""

from collections.abc import Sequence
from typing import NamedTuple

from domains.patternClassifier.model import Tier
from domains.patternClassifier.rules import RuleMatch, RuleSet
from domains.patternClassifier.urls import parse_pattern, split_url
from domains.patternClassifier.words import MAX_NAME, only_qualifiers, split_name


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
    matched: list[Step]
    """Best first: why the first one matches, and why each of the others stands behind it."""
    missed: list[Step]
    """App patterns that begin the name, and the words behind them that say more than a version."""
    note: str
    """Why there is nothing to compare, where there is not."""


def explain(rules: RuleSet, app: str, url: str) -> Trace:
    """Traces the decision that `rules.match(app, url)` takes."""
    host, path = split_url(url)
    words = split_name(app)
    found = rules.candidates(app, url)
    matched = [Step(found[0], _why(found[0], host, path, words))] if found else []
    matched += [Step(rule, f"{_why(rule, host, path, words)}; {_behind(found[0], rule)}") for rule in found[1:]]
    missed = [
        Step(rule, f"the words behind it say more: {' '.join(words[len(split_name(rule.pattern)) :])}")
        for rule in rules.app_prefixes(app)
        if rule not in found
    ]
    return Trace(host, path, words, words[_end_of_name(words) :], matched, missed, _note(app, url, host, path, words))


def _end_of_name(words: Sequence[str]) -> int:
    """The least number of words, at least one, behind which there are only qualifiers."""
    return next((start for start in range(1, len(words)) if only_qualifiers(words, start)), len(words))


def _why(rule: RuleMatch, host: str, path: str, words: Sequence[str]) -> str:
    if rule.tier == Tier.APP:
        behind = words[len(split_name(rule.pattern)) :]
        return f"begins the name, and {_quoted(behind)} may be left off" if behind else "is the whole name"
    pattern = parse_pattern(rule.pattern)
    if pattern.extension:
        return f"a local file that ends in .{pattern.extension}"
    if pattern.token:
        return f"the word {pattern.token!r} is in the host or path"
    where = "is the host" if pattern.host == host else f"is a parent of the host {host}"
    if not pattern.path:
        return f"{pattern.host} {where}"
    return f"{pattern.host} {where}, and {pattern.path} " + (
        "is the path" if pattern.path == path else "begins the path"
    )


def _behind(winner: RuleMatch, other: RuleMatch) -> str:
    """Why `other`, which matches too, stands behind `winner`: the first row of the table in `rules` that says so."""
    if winner.tier != other.tier:
        return "the URL comes before the app"
    more = _more_specific(winner.pattern, other.pattern) if winner.tier == Tier.URL else _more_words(winner, other)
    if more:
        return more
    if winner.priority != other.priority:
        first, second = ("none" if rule.priority is None else rule.priority for rule in (winner, other))
        return f"as specific, but the priority {first} comes before {second}"
    if winner.category != other.category:
        return "as specific and of the same priority: the categories' alphabet decides"
    return "as specific, of the same category"


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


def _note(app: str, url: str, host: str, path: str, words: Sequence[str]) -> str:
    notes = []
    if url and not host and not path:
        notes.append("the URL names no host and no path")
    if app and not words:
        long = len(app.strip()) > MAX_NAME
        notes.append(f"the name is longer than {MAX_NAME} characters" if long else "no letter or digit in the name")
    return "; ".join(notes)


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(repr(word) for word in words)
