"""How fast the rules decide: `python bench/rules.py`. One core, one thread, no other tier.

Targets: with 10,000 patterns at least 200,000 distinct and 1,000,000 repeated
classifications a second; a snapshot of 100,000 patterns built in under 2 s. Distinct windows are all new to
the rule set, and no URL pattern decides half of them. The naive matcher of the tests runs the same windows.

Titles are all new as well, of a browser without a URL; half of them end in the name of a known site.
"""

import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains.categoryPattern.model import CategoryPattern
from domains.patternClassifier.rules import RuleSet
from tests.unit import naive_matcher

Window = tuple[str, str]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CATEGORIES = 19
RUNS = 5
NAIVE_WINDOWS = 3


def word(rng: random.Random, least: int = 4, most: int = 10) -> str:
    return "".join(rng.choices(LETTERS, k=rng.randint(least, most)))


def domain_pattern(rng: random.Random) -> str:
    host = f"{word(rng)}.{rng.choice(['com', 'io', 'co.kr', 'net', 'org'])}"
    return rng.choices([host, f"{host}/{word(rng)}", f"{word(rng)}-{word(rng)}"], [75, 20, 5])[0]


def patterns_of(count: int, rng: random.Random) -> list[CategoryPattern]:
    """`count` patterns, half for apps and half for domains."""
    apps = [f"{word(rng).title()} {word(rng).title()}" for _ in range(count // 2)]
    domains = [domain_pattern(rng) for _ in range(count - len(apps))]
    return [
        CategoryPattern(f"{n:024x}", f"Category {n}", n, tuple(apps[n::CATEGORIES]), tuple(domains[n::CATEGORIES]))
        for n in range(CATEGORIES)
    ]


def windows_of(patterns: list[CategoryPattern], count: int, rng: random.Random) -> list[Window]:
    """Distinct windows: hosts with and without a pattern, in apps with and without one."""
    hosts = [p if "." in p else f"{p}.dev" for document in patterns for p in document.domain_patterns]
    names = [name for document in patterns for name in document.app_patterns]
    names += [f"{name} {rng.randint(2015, 2025)}.{rng.randint(1, 4)}" for name in names]
    names += [f"{word(rng)} {word(rng)}" for _ in names]
    windows = []
    for number in range(count):
        host = rng.choice(hosts) if number % 2 else f"{word(rng)}.com"
        url = f"https://www.{host}/{word(rng)}/{word(rng)}/{number}?q={word(rng)}"
        windows.append((rng.choice(names), url))
    return windows


def titled_of(count: int, rng: random.Random) -> tuple[CategoryPattern, list[tuple[str, str, str]]]:
    """A browser with 1,000 names of sites, and distinct titles of it."""
    names = [word(rng).title() for _ in range(1_000)]
    browser = CategoryPattern("b" * 24, "Browsing", None, ("Whale",), (), tuple(names))
    sites = (rng.choice(names) if number % 2 else word(rng) for number in range(count))
    return browser, [("Whale", "", f"{word(rng)} {number} - {site} - Whale") for number, site in enumerate(sites)]


def per_second(match: Callable[..., object], windows: Sequence[tuple[str, ...]]) -> float:
    started = time.perf_counter()
    for window in windows:
        match(*window)
    return len(windows) / (time.perf_counter() - started)


def median(measure: Callable[[], float]) -> float:
    return sorted(measure() for _ in range(RUNS))[RUNS // 2]


def build_seconds(patterns: list[CategoryPattern]) -> float:
    started = time.perf_counter()
    RuleSet(patterns)
    return time.perf_counter() - started


def main() -> None:
    rng = random.Random(6)
    patterns = patterns_of(10_000, rng)
    windows = windows_of(patterns, 200_000, rng)
    repeated = windows[:5_000] * 100
    rules = RuleSet(patterns)
    decided = sum(rules.match(app, url) is not None for app, url in windows) / len(windows)

    distinct_rate = median(lambda: per_second(RuleSet(patterns).match, windows))
    repeated_rate = median(lambda: per_second(rules.match, repeated))
    naive_rate = per_second(lambda app, url: naive_matcher.candidates(patterns, app, url), windows[:NAIVE_WINDOWS])
    many = patterns_of(100_000, rng)
    build = median(lambda: build_seconds(many))
    browser, titled = titled_of(100_000, rng)
    titled_rate = median(lambda: per_second(RuleSet([*patterns, browser]).match, titled))

    print(f"10,000 patterns, {len(windows):,} distinct windows, {decided:.0%} of them decided by the rules")
    print(f"distinct   {distinct_rate:12,.0f} /s   (target   200,000)   {distinct_rate / naive_rate:9,.0f} x naive")
    print(f"repeated   {repeated_rate:12,.0f} /s   (target 1,000,000)   {repeated_rate / naive_rate:9,.0f} x naive")
    print(f"titles     {titled_rate:12,.0f} /s")
    print(f"naive      {naive_rate:12,.2f} /s")
    print(f"build of 100,000 patterns {build:.2f} s   (target < 2 s)")


if __name__ == "__main__":
    main()
