"""The words in which a decision is explained, for each row of the table of precedence."""

import pytest

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.window import Window
from domains.patternClassifier.explain import explain
from domains.patternClassifier.rules import RuleSet

ADDITIONS = [
    CategoryPattern("", "Design", None, ("java",), ("www.x.io/b",), ("Figma", "Sketch"), True),
    CategoryPattern("", "Browsing", None, (), (), ("Googol",)),
]
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
                "begins the name, and '126', 'beta' may be left off",
                "figma.com is the host; an app that is no browser comes before the URL",
            ],
        ),
    ],
)
def test_each_match_has_its_reason(app: str, url: str, reasons: list[str]) -> None:
    rules = RuleSet(PATTERNS)
    trace = explain(rules, Window(app, url, ""))

    assert [step.reason for step in trace.matched] == reasons
    assert [step.rule for step in trace.matched] == rules.candidates(app, url)


def test_more_words_come_first() -> None:
    patterns = [*PATTERNS, CategoryPattern("4" * 24, "E", 1, ("Google Chrome Dev",))]
    trace = explain(RuleSet(patterns), Window("Google Chrome Dev 2", "", ""))

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
    trace = explain(RuleSet([]), Window(app, "", ""))

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
    assert explain(RuleSet(PATTERNS), Window(app, url, "")).note == note


BROWSER = [*PATTERNS, CategoryPattern("5" * 24, "Browsing", 9, ("Whale",), ("naver.com",))]


@pytest.mark.parametrize(
    ("window", "reasons"),
    [
        (
            Window("Whale", "", "A page - Figma - Whale"),
            [
                "the title names Figma; provisional: on this site, the title decides",
                (
                    "is the whole name; provisional: a browser's name says nothing of what it shows;"
                    " what the title names comes before a browser's name"
                ),
            ],
        ),
        (
            Window("Whale", "https://pay.naver.com/", "Googol"),
            [
                "the title names Googol",
                (
                    "naver.com is a parent of the host pay.naver.com; provisional: the host below it may be anything,"
                    " and no pattern names it; it would come first, but only provisionally"
                ),
                (
                    "is the whole name; provisional: a browser's name says nothing of what it shows;"
                    " what the title names comes before a browser's name"
                ),
            ],
        ),
        (Window("Whale", "", ""), ["is the whole name"]),
        (
            Window("java", "", "Untitled"),
            ["is the whole name; provisional: this process shows the windows of other programs"],
        ),
        (
            Window("com.figma.Desktop", "", ""),
            [
                "the name read in another way (reversed domain): is the whole name",
                (
                    "the name read in another way (reversed domain): is the whole name;"
                    " as specific and of the same priority: the categories' alphabet decides"
                ),
                (
                    "the name read in another way (reversed domain): is the whole name;"
                    " as specific, but the priority 3 comes before none"
                ),
            ],
        ),
        (Window("www.x.io__path", "", ""), ["the app's name is an address at x.io"] * 3),
    ],
    ids=["title", "provisional_url", "browser", "host_process", "id", "web_app"],
)
def test_what_is_provisional_and_how_a_name_was_read_is_said(window: Window, reasons: list[str]) -> None:
    trace = explain(RuleSet(BROWSER, ADDITIONS), window)

    assert [step.reason.partition("; as specific and")[0] for step in trace.matched] == [
        reason.partition("; as specific and")[0] for reason in reasons
    ]


@pytest.mark.parametrize(
    ("window", "segments", "note"),
    [
        (Window("Whale", "", "(3) A page - Figma - Whale"), ["a page", "figma"], ""),
        (Window("Whale", "", ""), None, ""),
        (
            Window("Figma", "", "A page - Figma"),
            None,
            "the title was not read: the app, or the URL, decides without it",
        ),
        (Window("Nobody", "", "A page - Figma"), None, "the title was not read: the app is not known as a browser"),
    ],
)
def test_whether_the_title_was_read_is_said(window: Window, segments: list[str] | None, note: str) -> None:
    trace = explain(RuleSet(BROWSER, ADDITIONS), window)

    assert (trace.segments, trace.note) == (segments, note)


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        ("Figma of Time", "the words behind it say more: of time"),
        (
            "org.kde.figma.mirror",
            "the name read in another way (maker): the words behind it say more: mirror",
        ),
        (
            "figma-mirror",
            "the words behind it say more: mirror",
        ),
    ],
)
def test_a_near_miss_is_told_of_ids_too(app: str, reason: str) -> None:
    trace = explain(RuleSet(PATTERNS), Window(app, "", ""))

    assert trace.matched == []
    assert {step.reason for step in trace.missed} == {reason}
