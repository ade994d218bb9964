"""Patterns that the LLM's answers suggest: a category that it keeps giving to a host or an app becomes a rule.

What a site's own page says is evidence of another kind: it confirms a proposal, or leads to one by itself, which is
never accepted without a person, since the page is the site's own.

A window with a URL is evidence for its host, and one without a URL for its app. A pattern is proposed only for a host
or an app that was seen itself, and never for an unseen parent of a host: without a list of public suffixes,
`example.com` cannot be told from `github.io`, whose children belong to different people. A pattern also matches hosts
below its own, and versions and editions of its app, so the answers for these must agree with it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, Protocol

from domains.categoryPattern.model import Evidence, PatternKind, PatternProposal, ProposalStatus
from domains.kernel.window import Window
from domains.patternClassifier.pattern_checks import CATEGORIES_WITHOUT_PATTERNS, pattern_problems
from domains.patternClassifier.privacy import UNREAL_DOMAINS, Privacy, address_of
from domains.patternClassifier.rules import RuleSet
from domains.patternClassifier.urls import split_url
from domains.patternClassifier.words import only_qualifiers, split_name

_SUBJECTS = 200_000
_WINDOWS = 1000
_SPELLINGS = 20
_EXAMPLES = 3
_CORRECTED_WINDOWS = 3
"""So many windows of a host or an app that persons gave the same category suffice for a proposal."""
_SURE_OF_SITE = 0.85
"""Confidence in a site's profile that suffices for a proposal."""


class ProfiledSite(Protocol):
    """A registrable domain, and the category that its own page speaks for."""

    @property
    def site(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def confidence(self) -> float: ...


class Subject(NamedTuple):
    """A host without `www.`, or an app's folded words: the things that one pattern stands for."""

    kind: PatternKind
    key: str

    def wider(self) -> Iterator["Subject"]:
        """The subjects whose patterns also match this one, the nearest first."""
        parts = self.key.split("." if self.kind is PatternKind.DOMAIN else " ")
        if self.kind is PatternKind.DOMAIN:
            yield from (Subject(self.kind, ".".join(parts[at:])) for at in range(1, len(parts) - 1))
        else:
            lengths = (length for length in range(len(parts) - 1, 0, -1) if only_qualifiers(parts, length))
            yield from (Subject(self.kind, " ".join(parts[:length])) for length in lengths)


class Tally:
    """The answers for one subject, the windows of each category, and the spellings of its name."""

    __slots__ = ("answers", "names", "windows")

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        self.windows: dict[str, set[int]] = {}

    def add(self, name: str, category: str, window: int) -> None:
        self.answers[category] += 1
        windows = self.windows.setdefault(category, set())
        if len(windows) < _WINDOWS:
            windows.add(window)
        if name in self.names or len(self.names) < _SPELLINGS:
            self.names[name] += 1

    def merge(self, other: "Tally") -> None:
        self.answers += other.answers
        self.names += other.names
        for category, windows in other.windows.items():
            self.windows.setdefault(category, set()).update(windows)

    @property
    def usual_names(self) -> list[str]:
        return sorted(self.names, key=lambda name: (-self.names[name], name))

    def evidence(self) -> tuple[str, Evidence]:
        """The leading category, and the evidence for and against it."""
        others = dict(sorted(self.answers.items(), key=lambda item: (-item[1], item[0])))
        category = next(iter(others))
        answers, windows = others.pop(category), min(len(self.windows[category]), _WINDOWS)
        return category, Evidence(answers, windows, others, tuple(self.usual_names[:_EXAMPLES]))


class AnswerCounts:
    """Counts answers in any order. Its size grows with the hosts and apps, not with the answers.

    Private windows are not counted. Beyond `limit` hosts and apps, those with the fewest answers are dropped and
    counted in `forgotten`.
    """

    def __init__(self, privacy: Privacy, limit: int = _SUBJECTS) -> None:
        self._privacy = privacy
        self._limit = limit
        self.tallies: dict[Subject, Tally] = {}
        self.forgotten = 0

    def add(self, window: Window, category: str) -> None:
        """One answer of the LLM: the category it named for a window."""
        subject, name = _subject(window)
        if subject is None or self._privacy.is_private(window):
            return
        if subject not in self.tallies and len(self.tallies) >= self._limit:
            self._forget()
        self.tallies.setdefault(subject, Tally()).add(name, category, hash(window))

    def is_private(self, host: str) -> bool:
        return self._privacy.is_private_host(host)

    def _forget(self) -> None:
        by_answers = sorted(self.tallies, key=lambda subject: (self.tallies[subject].answers.total(), subject))
        for subject in by_answers[: (self._limit + 1) // 2]:
            del self.tallies[subject]
            self.forgotten += 1


def propose(
    counts: AnswerCounts,
    rules: RuleSet,
    kept: Collection[PatternProposal],
    min_answers: int,
    min_share: float,
    again: bool = False,
    sites: Iterable[ProfiledSite] = (),
    corrected: AnswerCounts | None = None,
) -> list[PatternProposal]:
    """The patterns to propose now, including those that are proposed already; in a stable order.

    A subject needs `min_answers` of its own for one category. That category needs `min_share` of the subject's
    answers, and of the answers for everything that the pattern would match. Subjects that `rules` decide are left
    out, and so are unsuitable patterns. A pattern that was rejected, or accepted and then removed by an
    administrator, is left out unless its answers have doubled, its category has changed, or `again` is set.

    `corrected` counts what persons said: where they gave a few windows of a subject one category and no other, it is
    proposed, whatever the answers say. `sites` confirm proposals. One that is sure enough is proposed by itself,
    unless answers speak against it.
    """
    tallies = {subject: tally for subject, tally in counts.tallies.items() if not _decided(rules, subject, tally)}
    enough = {subject for subject, tally in tallies.items() if max(tally.answers.values()) >= min_answers}
    whole = _with_narrower(tallies, enough)
    before = {proposal.id: proposal for proposal in kept}
    proposed: dict[Subject, PatternProposal] = {}
    for subject in sorted(enough, key=lambda subject: (len(subject.key), subject)):  # wider ones come first
        own_category, own = tallies[subject].evidence()
        category, evidence = whole[subject].evidence()
        pattern = subject.key if subject.kind is PatternKind.DOMAIN else tallies[subject].usual_names[0]
        found = PatternProposal(_id_of(subject), subject.kind, pattern, category, evidence)
        if (
            category == own_category
            and min(own.share, evidence.share) >= min_share
            and category not in CATEGORIES_WITHOUT_PATTERNS
            and not any(pattern_problems(subject.kind, pattern))
            and (again or not _is_settled(before.get(found.id), found))
            and not _is_covered(subject, category, proposed)
        ):
            proposed[subject] = found
    for profile in sites:
        subject = Subject(PatternKind.DOMAIN, profile.site)
        if (answered := proposed.get(subject)) is not None:
            if answered.category == profile.category:
                evidence = replace(answered.evidence, site=profile.confidence)
                proposed[subject] = replace(answered, evidence=evidence)
        elif (alone := _of_site(subject, profile, counts, rules)) is not None and (
            again or not _is_settled(before.get(alone.id), alone)
        ):
            proposed[subject] = alone
    for subject, tally in corrected.tallies.items() if corrected is not None else ():
        said = _of_persons(subject, tally, counts)
        if (
            said is not None
            and not _decided(rules, subject, tally)
            and (again or not _is_settled(before.get(said.id), said))
        ):
            proposed[subject] = said
    return list(proposed.values())


def _of_persons(subject: Subject, corrected: Tally, counts: AnswerCounts) -> PatternProposal | None:
    """The proposal that rests on corrections; None where they are few, not of one mind, or fit no pattern."""
    category, said = corrected.evidence()
    pattern = subject.key if subject.kind is PatternKind.DOMAIN else corrected.usual_names[0]
    unsuitable = category in CATEGORIES_WITHOUT_PATTERNS or any(pattern_problems(subject.kind, pattern))
    if said.others or said.windows < _CORRECTED_WINDOWS or unsuitable:
        return None
    answers = dict(counts.tallies[subject].answers) if subject in counts.tallies else {}
    own = answers.pop(category, 0)
    windows = len(counts.tallies[subject].windows[category]) if own else 0
    evidence = Evidence(own, windows, answers, said.examples, corrections=said.windows)
    return PatternProposal(_id_of(subject), subject.kind, pattern, category, evidence)


def _of_site(subject: Subject, profile: ProfiledSite, counts: AnswerCounts, rules: RuleSet) -> PatternProposal | None:
    """The proposal that rests on a site's profile; None where it is not sure, not needed, or contradicted."""
    match = rules.match("", f"https://{profile.site}/")
    unsuitable = profile.category in CATEGORIES_WITHOUT_PATTERNS or any(pattern_problems(subject.kind, subject.key))
    if match is not None or unsuitable or profile.confidence < _SURE_OF_SITE or counts.is_private(profile.site):
        return None
    evidence = Evidence(0, 0, {}, (profile.site,), profile.confidence)
    if (tally := counts.tallies.get(subject)) is not None:
        category, answers = tally.evidence()
        if category != profile.category:
            return None
        evidence = replace(answers, site=profile.confidence)
    return PatternProposal(_id_of(subject), subject.kind, subject.key, profile.category, evidence)


def _with_narrower(tallies: Mapping[Subject, Tally], wanted: Collection[Subject]) -> dict[Subject, Tally]:
    """The tallies of `wanted`, each with the tallies of all subjects that its pattern would match."""
    whole = {subject: Tally() for subject in wanted}
    for subject, tally in tallies.items():
        for wider in (subject, *subject.wider()):
            if wider in whole:
                whole[wider].merge(tally)
    return whole


def _decided(rules: RuleSet, subject: Subject, tally: Tally) -> bool:
    if subject.kind is PatternKind.DOMAIN:
        found = rules.match("", f"https://{subject.key}/")
        return found is not None and not found.provisional
    return rules.match(tally.usual_names[0], "") is not None


def _is_settled(before: PatternProposal | None, found: PatternProposal) -> bool:
    if before is None or before.status is ProposalStatus.PROPOSED or before.category != found.category:
        return False
    return found.evidence.answers < max(1, 2 * before.evidence.answers)


def _is_covered(subject: Subject, category: str, proposed: Mapping[Subject, PatternProposal]) -> bool:
    nearest = next((wider for wider in subject.wider() if wider in proposed), None)
    return nearest is not None and proposed[nearest].category == category


def _id_of(subject: Subject) -> str:
    return blake2b(f"{subject.kind}:{subject.key}".encode(), digest_size=6).hexdigest()


def _subject(window: Window) -> tuple[Subject | None, str]:
    """The subject of a window, and its name as it was seen; None if no pattern could stand for it."""
    if not window.url:
        return _app(window.app)
    host, _ = split_url(window.url)
    bare = host.removeprefix("www.")
    if "." not in bare or address_of(bare) or bare.rpartition(".")[2] in UNREAL_DOMAINS:
        return None, ""
    return Subject(PatternKind.DOMAIN, bare), host


@lru_cache(maxsize=4096)
def _app(name: str) -> tuple[Subject | None, str]:
    words = split_name(name)
    if not words:
        return None, ""
    text = unicodedata.normalize("NFC", " ".join("".join(filter(str.isprintable, name)).split()))
    last = re.split(r"[\\/]", text.rstrip("\\/"))[-1]
    text = last if split_name(last) == words else text  # directories may contain a person's name
    text = re.sub(r"\.(exe|app)\Z", "", text, flags=re.IGNORECASE)
    folded = " ".join(words)
    return Subject(PatternKind.APP, folded), text if split_name(text) == words else folded
