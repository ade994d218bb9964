"""The linter of the default patterns. It is stricter than the reader of pattern files.

`python -m cmd.patterns lint` runs it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from domains.categoryPattern.model import PATTERN_CATEGORIES
from domains.patternClassifier.app_names import joined
from domains.patternClassifier.pattern_checks import PUBLIC_SUFFIXES, app_problems, domain_problems, fold
from domains.patternClassifier.words import only_qualifiers, split_name

MINIMUM = 2_500

SITES_OF_OTHERS = frozenset(
    {
        *(("Amazon", "amazon.jobs"), ("Black Box", "blackbox.ai"), ("Books", "books.com.tw")),
        *(("Calculator", "calculator.net"), ("Code", "code.org"), ("Comet", "comet.com")),
        *(("Compressor", "compressor.io"), ("FLO", "flo.health"), ("Flow", "flow.google"), ("Focus", "focus.de")),
        *(
            ("Forest", "forest.go.kr"),
            ("Gemini", "gemini.com"),
            ("iSH", "i-sh.co.kr"),
            ("Launchpad", "launchpad.net"),
        ),
        *(("Lens", "lens.org"), ("Mail", "mail.ru"), ("Maple", "maple.gg"), ("Marvel", "marvel.com")),
        *(("MAS", "mas.to"), ("Massive", "massive.io"), ("Melon", "melonapp.com"), ("Mos", "mos.ru")),
        *(("Osu!", "osu.edu"), ("Pages", "pages.dev"), ("Pandora", "pandora.net"), ("Poe", "poe.ninja")),
        *(("R-Studio", "rstudio.com"), ("Tandem", "tandem.chat"), ("TIM", "tim.it"), ("upc", "upc.edu")),
        *(("Vidyo", "vidyo.ai"), ("Vox", "vox.com"), ("Wise", "wiseapp.co.kr"), ("X", "x.ai")),
    }
)
"""Sites that have the name of an app, and nothing else in common with it."""

DIFFERENT_SITES = {
    ("MuseScore", "musescore.com"): "the app writes scores, the site is where people share and play them",
    ("SentinelOne", "sentinelone.com"): "the app is an agent on one's machine, the site is for those who develop",
    ("Zscaler", "zscaler.com"): "the app is an agent on one's machine, the site is for those who develop",
}
"""Products whose app and site have two categories, with the reason."""


class Domain(NamedTuple):
    """A parsed domain pattern. A token (a pattern without a dot) has no labels."""

    labels: tuple[str, ...]
    path: tuple[str, ...]

    @classmethod
    def parse(cls, pattern: str) -> "Domain | None":
        host, _, path = pattern.partition("/")
        return cls(tuple(reversed(host.split("."))), tuple(path.split("/")) if path else ()) if "." in host else None

    def rank(self) -> tuple[int, int]:
        """The more specific pattern wins: the longer host, then the longer path."""
        return len(self.labels), len(self.path)

    def covers(self, other: "Domain") -> bool:
        """Whether this pattern matches every URL that `other` matches."""
        return starts_with(other.labels, self.labels) and starts_with(other.path, self.path)

    def meets(self, other: "Domain") -> bool:
        """Whether this pattern matches some URL of `other`, which is on this host or below it."""
        short, long = sorted((self.path, other.path), key=len)
        return starts_with(other.labels, self.labels) and starts_with(long, short)


def starts_with(whole: tuple[str, ...], part: tuple[str, ...]) -> bool:
    return whole[: len(part)] == part


def lint(entries: object, minimum: int = MINIMUM) -> list[str]:
    """The problems of a set of patterns (the parsed JSON); empty if it is good."""
    if not isinstance(entries, list):
        return ["the file is not an array of categories"]
    problems: list[str] = []
    good = []
    for index, entry in enumerate(entries):
        wrong = list(shape(entry))
        problems += [f"entry {index}: {text}" for text in wrong]
        if not wrong:
            good.append(entry)
    names = [entry["category"] for entry in good]
    problems += [f"unknown category: {name}" for name in names if name not in PATTERN_CATEGORIES]
    problems += [f"category twice: {name}" for name in sorted({n for n in names if names.count(n) > 1})]
    problems += [f"missing category: {name}" for name in sorted(PATTERN_CATEGORIES - set(names))]
    apps = [(entry["category"], pattern) for entry in good for pattern in entry["appPatterns"]]
    domains = [(entry["category"], pattern) for entry in good for pattern in entry["domainPatterns"]]
    problems += [f"{c}: app {p!r}: {text}" for c, p in apps for text in app_problems(p)]
    problems += [f"{c}: domain {p!r}: {text}" for c, p in domains for text in domain_problems(p)]
    problems += [*repeated("app", apps), *repeated("domain", domains)]
    problems += [*superfluous_apps(apps), *superfluous_domains(domains), *disagreements(apps, domains)]
    if len(apps) + len(domains) < minimum:
        problems.append(f"{len(apps) + len(domains)} patterns, at least {minimum} wanted")
    return problems


def shape(entry: object) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield "not an object"
        return
    if set(entry) != {"category", "priority", "appPatterns", "domainPatterns"}:
        yield "the keys must be category, priority, appPatterns, domainPatterns"
        return
    if not isinstance(entry["category"], str):
        yield "category is not a string"
    if entry["priority"] is not None and type(entry["priority"]) is not int:
        yield "priority is neither an integer nor null"
    for key in ("appPatterns", "domainPatterns"):
        if not isinstance(entry[key], list) or not all(isinstance(pattern, str) for pattern in entry[key]):
            yield f"{key} is not a list of strings"


def repeated(kind: str, patterns: list[tuple[str, str]]) -> Iterator[str]:
    first: dict[str, tuple[str, str]] = {}
    first_letters: dict[tuple[str, str], str] = {}
    for category, pattern in patterns:
        # Matching compares an app's words: "LogiOptions+" and "LogiOptions +" are one name. Where no words are the
        # same, it compares letters: R-Studio and RStudio are two products, but one category needs one of them.
        words = split_name(pattern) if kind == "app" else []
        key = " ".join(words) or fold(pattern)
        letters = category, joined(words) or key
        if key in first and first[key][0] != category:
            yield f"{category}: {kind} {pattern!r}: also in {first[key][0]}, as {first[key][1]!r}"
        elif letters in first_letters:
            yield f"{category}: {kind} {pattern!r}: twice, see {first_letters[letters]!r}"
        first.setdefault(key, (category, pattern))
        first_letters.setdefault(letters, pattern)


def disagreements(apps: list[tuple[str, str]], domains: list[tuple[str, str]]) -> Iterator[str]:
    """Products whose app and site have two categories, unless there is a reason for it."""
    by_name = {joined(split_name(pattern)): (category, pattern) for category, pattern in apps}
    for category, domain in domains:
        for name in names_of_site(domain):
            of_app, app = by_name.get(name, (category, ""))
            if of_app != category and (app, domain) not in SITES_OF_OTHERS | DIFFERENT_SITES.keys():
                yield f"{category}: domain {domain!r}: the app {app!r} is {of_app}"


def names_of_site(domain: str) -> Iterator[str]:
    """The names that a product with this site may have, as `joined` gives them; none for a site below another."""
    labels = domain.split(".")
    own = len(labels) - 1 - (len(labels) > 2 and ".".join(labels[-2:]) in PUBLIC_SUFFIXES)
    if own == 1 and "/" not in domain:
        name = labels[0].replace("-", "")
        yield from {name, name + "".join(labels[1:]), name.removesuffix("app"), name.removeprefix("get")} - {""}


def superfluous_apps(patterns: list[tuple[str, str]]) -> Iterator[str]:
    """Names that only add a version, edition, channel or platform to a shorter pattern of the category."""
    known = {joined(split_name(pattern)): category for category, pattern in reversed(patterns)}
    for category, pattern in patterns:
        words = split_name(pattern)
        lengths = (
            n for n in range(len(words) - 1, 0, -1) if joined(words[:n]) in known and only_qualifiers(words, n)
        )
        if (n := next(lengths, None)) and known[joined(words[:n])] == category:
            yield f"{category}: app {pattern!r}: superfluous beside {' '.join(words[:n])!r}"


def superfluous_domains(patterns: list[tuple[str, str]]) -> Iterator[str]:
    """Patterns that can be left out without changing the category of any URL.

    This is so if the next less specific pattern that covers it is in its category, and no pattern of another
    category that comes between the two in precedence matches any of its URLs.
    """
    known: dict[Domain, str] = {}
    below: dict[tuple[str, ...], list[Domain]] = {}
    for category, pattern in patterns:
        if (domain := Domain.parse(pattern)) and domain not in known:
            known[domain] = category
            below.setdefault(domain.labels, []).append(domain)
    for category, pattern in patterns:
        domain = Domain.parse(pattern)
        if domain is None or known[domain] != category:
            continue
        parents = (domain.labels[:n] for n in range(1, len(domain.labels) + 1))
        less = [
            d for labels in parents for d in below.get(labels, ()) if d.rank() < domain.rank() and d.meets(domain)
        ]
        covering = [d for d in less if d.covers(domain)]
        if covering:
            best = max(covering, key=Domain.rank)
            between = [d for d in less if d.rank() > best.rank() and known[d] != category]
            if known[best] == category and not between:
                shown = "/".join([".".join(reversed(best.labels)), *best.path])
                yield f"{category}: domain {pattern!r}: superfluous beside {shown!r}"
