"""No input is slow: what sees the app, the title or the URL of a message takes steps in proportion to its length.

Steps are counted, not seconds: the lines of Python that run, and the characters of the strings that they make. What C
code does within one line is not seen; the regular expressions have no two ways to match the same text.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.window import Window
from domains.patternClassifier.explain import explain
from domains.patternClassifier.learning import AnswerCounts
from domains.patternClassifier.privacy import Privacy
from domains.patternClassifier.questions import Questions
from domains.patternClassifier.rules import RuleSet
from domains.patternClassifier.sites import KnownSites
from domains.patternClassifier.snapshot import PatternSnapshot
from infrastructure.local_classifier.features import features
from infrastructure.settings import Settings

MOST = Settings.model_fields["max_message_bytes"].default
ONCE = 150_000
"""Steps that a call may take whatever the length: names, hosts and titles are bounded, and each bound allows some."""
EACH = 100
"""Steps that it may take for each character beside that: an explanation takes the URL apart several times."""


class TooManySteps(Exception):
    pass


def count_steps(call: Callable[[], object], most: float = float("inf")) -> int:
    """Lines that run and characters of new strings in their frames' variables. Raises TooManySteps beyond `most`."""
    seen: dict[int, Any] = {}  # keeps what it has seen, so that no id comes twice
    steps = 0

    def count(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        nonlocal steps
        steps += 1
        for value in (*frame.f_locals.values(), argument):
            if isinstance(value, str | list) and id(value) not in seen:
                seen[id(value)] = value
                steps += len(value)
        if steps > most:
            raise TooManySteps(f"more than {most:,.0f} steps, in {frame.f_code.co_qualname}")
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        call()
    finally:
        sys.settrace(before)
    return steps


PATTERNS = [
    CategoryPattern("1" * 24, "Browsing", None, ("Google Chrome", "a", "Firefox"), ("a.com", "com.a", "a")),
    CategoryPattern("2" * 24, "Game", None, ("Slack", "a a"), ("b.a.com/a/a", "file:///*.a")),
    CategoryPattern("3" * 24, "Uncategorized"),
]
ADDITIONS = [
    CategoryPattern("", "Game", title_patterns=("a", "a - *", "YouTube"), app_patterns=("java",), provisional=True)
]
SITES = KnownSites({"com": "Game", "a.a.com": "Game"})
RULES, SNAPSHOT = RuleSet(PATTERNS, ADDITIONS, SITES), PatternSnapshot(PATTERNS, ADDITIONS, sites=SITES)
QUESTIONS, PRIVACY, COUNTS = Questions(), Privacy(), AnswerCounts(Privacy())

LOOKS: dict[str, Callable[[Window], object]] = {
    "rules": lambda window: RULES.candidates(*window),
    "explanation": lambda window: explain(RULES, window),
    "decision": SNAPSHOT.by_rules,
    "fallback": SNAPSHOT.fallback,
    "question": QUESTIONS.of,
    "privacy": PRIVACY.is_private,
    "features": lambda window: features(QUESTIONS.of(window)),
    "learning": lambda window: COUNTS.add(window, "Game"),
}


def test_the_counter_tells_quadratic_from_linear() -> None:
    def parents(host: str) -> None:
        while host:
            host = host.partition(".")[2]

    def labels(host: str) -> int:
        count = 0
        for label in host.split("."):
            count += len(label)
        return count

    assert count_steps(lambda: labels("a." * 4000)) < EACH * 8000
    with pytest.raises(TooManySteps, match="parents"):
        count_steps(lambda: parents("a." * 4000), ONCE + EACH * 8000)


PIECES = [
    *(
        "a",
        "a.",
        "a/",
        "a-",
        "a_",
        "a ",
        "A",
        "aA",
        "1",
        "1.",
        "(1) ",
        "%2f",
        "%",
        "/../",
        "//",
        "\\",
        ":",
        "@",
        "a@",
    ),
    *("?url=https://a.com/&", "https://", "view-source:", "about:reader?url=", "https://web.archive.org/web/1/"),
    *(
        "chrome-extension://a/",
        "xn--",
        "xn--a.",
        " - ",
        " | ",
        " - Google Chrome",
        "Microsoft ",
        "com.",
        "org.a.",
        ".app/",
    ),
    *(
        "\u0300\u0327",
        "\u200e",
        "한글 ",
        "한",
        "\t",
        "\x00",
        "[",
        "(",
        "● ",
        "beta ",
        "2024 ",
        "for windows ",
        "Helper ",
    ),
    *("a@a.com ", "C:\\Users\\", "/home/me/", "sk-", "password=", "010-1234-5678 ", "12:34 ", "#12 ", "A-123 "),
]
texts = st.tuples(
    st.sampled_from(["", "https://", "a", "C:\\", "Google Chrome"]),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join),
    st.sampled_from([64, 4096, 65_536]),
    st.sampled_from(["", "a.com", " - YouTube", "/"]),
).map(lambda parts: parts[0] + (parts[1] * parts[2])[: parts[2]] + parts[3])


@pytest.mark.timeout(900)  # many examples under a tracer, on a machine that may be busy
@pytest.mark.parametrize("name", LOOKS)
def test_steps_are_in_proportion_to_the_length(name: str) -> None:
    look = LOOKS[name]

    @settings(max_examples=60, deadline=None, database=None)
    @given(app=texts, url=texts, title=texts)
    def hold(app: str, url: str, title: str) -> None:
        length = len(app) + len(url) + len(title)
        count_steps(lambda: look(Window(app, url, title)), ONCE + EACH * length)

    hold()


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize(
    "piece", ["a.", "a/", "aA", "%2f", " - ", "\u0300\u0327", "?url=https://a.com/&", "a@a.com "]
)
def test_the_longest_message_takes_no_more(name: str, piece: str) -> None:
    text = (piece * MOST)[: MOST // 3]
    for window in (Window(text, "https://" + text, text), Window("Google Chrome", text, text)):
        count_steps(lambda window=window: LOOKS[name](window), ONCE + EACH * MOST)  # type: ignore[misc]
