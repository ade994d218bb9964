"""The engine and the referee agree, and no text makes the engine fail."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domains.categoryPattern.model import CategoryPattern
from domains.patternClassifier.rules import RuleSet
from tests.depth import examples
from tests.unit import naive_matcher

EXAMPLES = 1_100
WINDOWS = 20  # a pattern set, so 22,000 cases in all

# Few words, so that patterns and windows meet often.
LABELS = ["a", "b", "ab", "a-b", "com", "x1", "한국", "xn--3e0b707e", "www", "localhost"]
SEGMENTS = [
    "a",
    "b",
    "ab",
    "a-b",
    "B",
    "%61",
    "%2F",
    "..",
    ".",
    "",
    "a%2fb",
    "한글",
    "%ED%95%9C",
    "a.b",
    "a_b",
    "%2e",
    "\x01",
]
ADDRESSES = ["10.0.0.1", "0.0.1", "[::1]", "[0::1]", "[::1", "[fe80::1%.a.com\x01]", "::1", "1", "10.0.0.1."]
PREFIXES = [
    *("", "", "http://", "https://", "HTTPS://", "//", "http:", "http:/", "https:///", "https:\\\\", "ws://"),
    *(
        "foo://",
        "file://",
        "file:///",
        "about:",
        "chrome://",
        "view-source:https://",
        "blob:",
        "data:",
        "mailto:",
    ),
    *("http://u@", "http://a.com:1@", "u:p@", " ", "*.", ".", "*://", "https://*.", "foo:", "C:\\"),
    *("chrome-extension://a/https://", "about:reader?url=https%3A//", "https://web.archive.org/web/1/http://"),
]
SUFFIXES = [
    "",
    "",
    "",
    "/",
    "?a.com",
    "#a.com/b",
    ":80",
    ".",
    "/*",
    "\\a",
    "//",
    "?",
    "@a.com",
    ":x",
    "\n",
    "\t/b",
]
NAMES = [
    "Slack",
    "PrismLauncher",
    "line",
    "Line",
    "code",
    "c++",
    "c#",
    "zoom",
    ".us",
    "한글",
    "\u1112\u1161\u11ab글",
    "word",
    "home",
    "x",
    "™",
]
SAID = [
    "2024",
    "2024.2",
    "v1",
    "beta",
    "(Beta)",
    "- Insiders",
    "for",
    "windows",
    "and",
    "student",
    "베타",
    "3d",
    ".exe",
]
FRONTS = ["", "", "", "(2) ", "Microsoft ", "org.a.", "/x/", "slack"]
JOINTS = [" ", " ", "  ", "-", "", ".", " (", "/", "_", "\u200e", "+"]


def joined(parts: list[str], most: int, joint: str = "", least: int = 0) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(parts), min_size=least, max_size=most).map(joint.join)


hosts = joined(LABELS, 3, ".", least=1) | st.sampled_from(ADDRESSES)
paths = joined([f"/{segment}" for segment in SEGMENTS], 4)
anywhere = st.tuples(st.sampled_from(PREFIXES), hosts, paths, st.sampled_from(SUFFIXES)).map("".join)
plain = st.tuples(joined(LABELS[:6], 2, ".", least=1), joined(["/a", "/b", "/a-b"], 2)).map("".join)
domain_patterns = plain | plain | plain | anywhere
app_patterns = joined(NAMES, 2, " ", least=1)
documents = st.builds(
    CategoryPattern,
    id=st.sampled_from(["1" * 24, "2" * 24]),
    category=st.sampled_from(["A", "B", "Browsing"]),
    priority=st.sampled_from([None, 0, 1]),
    app_patterns=st.lists(app_patterns, min_size=1, max_size=3).map(tuple),
    domain_patterns=st.lists(domain_patterns, min_size=2, max_size=5).map(tuple),
)


def windows_near(patterns: list[CategoryPattern]) -> st.SearchStrategy[tuple[str, str]]:
    """Windows made of the patterns' own text with something around it, and some that are not."""
    names = st.sampled_from([name for document in patterns for name in document.app_patterns])
    said = st.tuples(st.sampled_from(JOINTS), st.sampled_from([*SAID, *NAMES])).map("".join)
    front = st.sampled_from(FRONTS)
    apps = st.tuples(front, names, said | st.just(""), said | st.just("")).map("".join)
    places = st.sampled_from([place for document in patterns for place in document.domain_patterns])
    below = joined([f"{label}." for label in LABELS], 1)
    near = st.tuples(st.sampled_from(PREFIXES), below, places, paths, st.sampled_from(SUFFIXES)).map("".join)
    return (
        st.tuples(apps, st.just("") | anywhere)
        | st.tuples(st.just("") | apps, near)
        | st.tuples(st.just("") | apps, st.text("aAbB.-/:@[]?#%\\\x01\t xn1한", max_size=12))
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[CategoryPattern], list[tuple[str, str]]]:
    patterns = draw(st.lists(documents, min_size=1, max_size=3))
    return patterns, draw(st.lists(windows_near(patterns), min_size=WINDOWS, max_size=WINDOWS))


def _check(patterns: list[CategoryPattern], seen: list[tuple[str, str]]) -> Counter[str]:
    """Compare both matchers over these windows; tells what decided them."""
    rules = RuleSet(patterns)
    tiers: Counter[str] = Counter()
    for app, url in seen:
        found = rules.candidates(app, url)
        fast = [(match.category, match.tier, match.pattern, match.category_id) for match in found]
        assert fast == naive_matcher.candidates(patterns, app, url), (app, url)
        assert rules.match(app, url) == (found[0] if found else None), (app, url)
        if found:
            assert found[0].provisional == naive_matcher.provisional(patterns, app, url), (app, url)
            tiers["provisional"] += found[0].provisional
        tiers[found[0].tier if found else "none"] += 1
    return tiers


@pytest.mark.timeout(900)  # thousands of examples, on a machine that may be busy
def test_engine_and_referee_agree() -> None:
    total: Counter[str] = Counter()

    @settings(max_examples=examples(EXAMPLES), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases())
    def agree(case: tuple[list[CategoryPattern], list[tuple[str, str]]]) -> None:
        total.update(_check(*case))

    agree()
    assert total.total() >= examples(20_000)
    assert total["url"] > total.total() / 10, total  # a comparison of misses would prove little
    assert total["app"] > total.total() / 10, total
    assert total["provisional"] > total.total() / 40, total


RULES = RuleSet(
    [
        CategoryPattern("1" * 24, "A", None, ("line", "c++"), ("a.com", "a.com/b", "a-b", "a", "[::1]", "한국")),
        CategoryPattern("2" * 24, "Browsing", None, ("chrome",), ("b.com",)),
    ],
    [
        CategoryPattern(
            "", "A", None, ("java",), ("b.com/c",), ("YouTube", "* / X", "Discord | *", "* on Steam"), True
        ),
        CategoryPattern("", "Browsing", None, (), (), ("NAVER",)),
    ],
)
TITLE_PARTS = [
    *(" - ", " — ", " – ", " | ", " : ", " / ", "(3) ", "YouTube", "X", "Discord", "a on Steam", "NAVER", "b.com/c"),
    *("chrome", "line", "(Incognito)", " and 3 more pages", "Personal", "https://a.com/b", "\u200b", "한글"),
]


@settings(max_examples=examples(2_000), deadline=None, database=None)
@given(
    app=st.text() | st.sampled_from(["chrome", "java", "crx_" + "a" * 32]),
    url=st.text() | anywhere | st.text(st.characters(max_codepoint=0x7F)),
    title=st.text() | st.lists(st.sampled_from(TITLE_PARTS) | st.text(max_size=5), max_size=6).map("".join),
)
def test_no_text_makes_it_fail(app: str, url: str, title: str) -> None:
    found = RULES.candidates(app, url, title)
    assert RULES.match(app, url, title) == (found[0] if found else None)


@settings(max_examples=examples(1_000), deadline=None, database=None)
@given(pattern=st.text())
def test_no_pattern_makes_it_fail(pattern: str) -> None:
    rules = RuleSet([CategoryPattern("1" * 24, "A", None, (pattern,), (pattern,))])
    assert rules.size + len(rules.problems) == 2
    # What is in effect finds itself.
    if not any(problem.reason.startswith("app") for problem in rules.problems):
        assert rules.match(pattern, "") is not None
