"""The words in which a decision is explained, for each row of the table of precedence."""

import pytest

from domains.categoryPattern.model import CategoryPattern
from domains.patternClassifier.explain import explain
from domains.patternClassifier.rules import RuleSet

PATTERNS = [
    CategoryPattern("1" * 24, "Design", 3, ("Figma", "Google Chrome"), ("figma.com", "design-kit", "x.io", "[::1]")),
    CategoryPattern("2" * 24, "Browsing", None, ("Google", "figma"), ("figma.com/file", "x.io/a/b", "kit")),
    CategoryPattern("3" * 24, "Documentation", 3, ("FIGMA",), ("docs.figma.com", "www.x.io", "x.io")),
]


@pytest.mark.parametrize(
    ("app", "url", "reasons"),
    [
        ("", "figma.com", ["figma.com is the host"]),
        (
            "",
            "docs.figma.com/file/x",
            [
                "docs.figma.com is the host",
                (
                    "figma.com is a parent of the host docs.figma.com, and /file begins the path;"
                    " the longer host comes first"
                ),
                "figma.com is a parent of the host docs.figma.com; the longer host comes first",
            ],
        ),
        (
            "",
            "figma.com/file",
            [
                "figma.com is the host, and /file is the path",
                "figma.com is the host; the longer path comes first",
            ],
        ),
        (
            "",
            "figma.com/design-kit/kit",
            [
                "figma.com is the host",
                "the word 'design-kit' is in the host or path; a host comes before a word",
                "the word 'kit' is in the host or path; a host comes before a word",
            ],
        ),
        (
            "",
            "a.b/design-kit/kit",
            [
                "the word 'design-kit' is in the host or path",
                "the word 'kit' is in the host or path; the longer word comes first",
            ],
        ),
        (
            "",
            "x.io",
            [
                "x.io is the host",
                "x.io is the host; as specific and of the same priority: the categories' alphabet decides",
                "x.io is the host; as specific and of the same priority: the categories' alphabet decides",
            ],
        ),
        ("", "http://[::1]:80/", ["127.0.0.1 is the host"]),
        (
            "Figma",
            "",
            [
                "is the whole name",
                "is the whole name; as specific and of the same priority: the categories' alphabet decides",
                "is the whole name; as specific, but the priority 3 comes before none",
            ],
        ),
        (
            "Google Chrome 126 Beta",
            "figma.com",
            [
                "figma.com is the host",
                "begins the name, and '126', 'beta' may be left off; the URL comes before the app",
            ],
        ),
    ],
)
def test_each_match_has_its_reason(app: str, url: str, reasons: list[str]) -> None:
    rules = RuleSet(PATTERNS)
    trace = explain(rules, app, url)

    assert [step.reason for step in trace.matched] == reasons
    assert [step.rule for step in trace.matched] == rules.candidates(app, url)


def test_more_words_come_first() -> None:
    patterns = [*PATTERNS, CategoryPattern("4" * 24, "E", 1, ("Google Chrome Dev",))]
    trace = explain(RuleSet(patterns), "Google Chrome Dev 2", "")

    assert [step.rule.pattern for step in trace.matched] == ["Google Chrome Dev", "Google Chrome"]
    assert trace.matched[1].reason.endswith("the pattern with more words comes first")
    assert [step.rule.pattern for step in trace.missed] == ["Google"]


@pytest.mark.parametrize(
    ("app", "words", "qualifiers"),
    [
        ("Linear Regression Tool", ["linear", "regression", "tool"], []),
        ("Linear 2 Regression", ["linear", "2", "regression"], []),
        ("카카오톡 PC버전 3.4", ["카카오톡", "pc버전", "3", ".4"], ["pc버전", "3", ".4"]),
        ("Beta", ["beta"], []),
        ("", [], []),
    ],
)
def test_words_that_may_be_left_off(app: str, words: list[str], qualifiers: list[str]) -> None:
    trace = explain(RuleSet([]), app, "")

    assert (trace.words, trace.qualifiers) == (words, qualifiers)


@pytest.mark.parametrize(
    ("app", "url", "note"),
    [
        ("", "", ""),
        ("Figma", "figma.com", ""),
        ("🎵", "", "no letter or digit in the name"),
        ("x" * 513, "", "the name is longer than 512 characters"),
        ("", "mailto:me@figma.com", "the URL names no host and no path"),
        ("()", "data:,", "the URL names no host and no path; no letter or digit in the name"),
    ],
)
def test_a_note_says_why_there_is_nothing_to_compare(app: str, url: str, note: str) -> None:
    assert explain(RuleSet(PATTERNS), app, url).note == note
