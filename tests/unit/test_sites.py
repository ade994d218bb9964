"""The table of known sites: what a row says, and how the table is made of a list."""

import time
import tracemalloc
from cmd import patterns as command
from pathlib import Path

import pytest
from typer.testing import CliRunner

from domains.categoryPattern.model import PATTERN_CATEGORIES, CategoryPattern
from domains.kernel.window import Window
from domains.patternClassifier.explain import explain
from domains.patternClassifier.rules import RuleSet
from domains.patternClassifier.sites import KnownSite, KnownSites
from infrastructure.patterns.pattern_file import default_patterns
from infrastructure.patterns.sites import LEFT_OUT, SCHOOLS, SITES, SitesFileError, compile_sites, known_sites

TABLE = KnownSites({"example.com": "Game", "shop.example.com": "Finance", "acme.*": "SNS", "edu": "Education"})


@pytest.mark.parametrize(
    ("host", "row"),
    [
        ("example.com", "example.com"),
        ("www.example.com", "example.com"),
        ("a.shop.example.com", "shop.example.com"),
        ("notexample.com", ""),
        ("example.com.evil.io", ""),
        ("www.mit.edu", "edu"),
        ("education.com", ""),
        ("acme.fr", "acme.*"),
        ("www.acme.co.jp", "acme.*"),
        ("acme.com.br", "acme.*"),
        ("acme.com", ""),
        ("acme.dev", ""),
        ("acme.io", ""),
        ("acme.fr.evil.com", ""),
        ("my-acme.fr", ""),
        ("acme.example.fr", ""),
        ("fr", ""),
        ("", ""),
        ("[2001:db8::1]", ""),
        ("10.0.0.1", ""),
    ],
)
def test_the_row_of_a_host(host: str, row: str) -> None:
    found = TABLE.find(host)
    assert (found.domain if found else "") == row


SITES_PATTERNS = [
    CategoryPattern("1" * 24, "Browsing", None, ("Google Chrome",), ("portal.com",)),
    CategoryPattern("2" * 24, "SNS", None, ("KakaoTalk",), ("example.com/talk", "chat.com", "jenkins")),
    CategoryPattern("3" * 24, "Game"),
]
BEHIND = KnownSites(
    {"example.com": "Game", "chat.com": "Game", "portal.com": "Game", "play.portal.com": "Game", "x.com": "Finance"}
)


@pytest.mark.parametrize(
    ("app", "url", "category", "tier", "reason"),
    [
        ("Google Chrome", "https://www.example.com/a", "Game", "site", "no pattern: the table"),
        ("", "https://example.com/", "Game", "site", "whatever the app"),
        ("Google Chrome", "https://example.com/talk", "SNS", "url", "a pattern comes before it"),
        ("Google Chrome", "https://chat.com/", "SNS", "url", "and so does one that says the same host"),
        ("Google Chrome", "https://example.com/jenkins", "SNS", "url", "and a token"),
        ("KakaoTalk", "https://example.com/", "SNS", "app", "and an app that is no browser"),
        (
            "Google Chrome",
            "https://play.portal.com/",
            "Game",
            "site",
            "below a portal: its pattern is not sure",
        ),
        ("Google Chrome", "https://www.portal.com/", "Browsing", "url", "but the portal itself is the pattern's"),
        ("Google Chrome", "https://x.com/", "Browsing", "app", "a category that the collection does not have"),
        ("", "https://x.com/", None, None, "the same without an app"),
        ("example.com__app", "", "Game", "site", "a web app whose name is an address"),
    ],
)
def test_a_known_site_stands_behind_the_patterns(
    app: str, url: str, category: str | None, tier: str | None, reason: str
) -> None:
    rules = RuleSet(SITES_PATTERNS, sites=BEHIND)
    found = rules.match(app, url)
    assert (found and (found.category, found.tier)) == (None if category is None else (category, tier)), reason
    assert rules.candidates(app, url)[:1] == ([found] if found else [])


def test_a_known_site_comes_before_the_title_and_is_no_pattern() -> None:
    rules = RuleSet(SITES_PATTERNS, [CategoryPattern("", "SNS", title_patterns=("KakaoTalk",))], BEHIND)
    window = Window("Google Chrome", "https://m.example.com/", "Room - KakaoTalk")
    found = rules.match(*window)
    assert found is not None
    assert (found.category, found.tier, found.pattern, found.provisional) == ("Game", "site", "example.com", False)
    trace = explain(rules, window)
    assert trace.matched[0].reason == "the host is, or is below, that of example.com in the table of known sites"
    assert trace.matched[1].reason.endswith("a known site comes before the title, and before a browser's name")


def test_a_brand_of_many_countries_is_explained() -> None:
    rules = RuleSet(SITES_PATTERNS, sites=KnownSites({"acme.*": "Game"}))
    (step,) = explain(rules, Window("", "https://www.acme.fr/", "")).matched
    assert step.reason == "name and country are those of acme.* in the table of known sites"


def rows_of(table: str) -> dict[str, str]:
    """{row: category} of a table's text, but for the schools that every table has."""
    found, category = {}, ""
    for line in table.splitlines():
        if line.startswith("["):
            category = line[1:-1]
        elif not line.startswith("#"):
            found[line] = category
    return {row: category for row, category in found.items() if row not in SCHOOLS}


PATTERNS = [
    CategoryPattern("1" * 24, "SNS", None, (), ("chat.com", "forum.com")),
    CategoryPattern("2" * 24, "Browsing", None, (), ("portal.com", "chat.com/news", "broken..host", "google.fr")),
    CategoryPattern("3" * 24, "Game", None, (), ("play.com",)),
]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a.com\tGame\tx", {"a.com": "Game"}),
        ("A.com\tGame\tx\n\n# note\nb.한국\tGame\tx", {"a.com": "Game", "b.한국": "Game"}),
        # What the patterns know.
        ("play.com\tGame\tx\nm.play.com\tGame\tx", {}),
        ("mail.portal.com\tProductivity\tx", {"mail.portal.com": "Productivity"}),
        # A brand is of the category that the patterns give it.
        ("chat.com\tMeetings\tchat\nchat.net\tMeetings\tchat", {"chat.net": "SNS"}),
        (
            "chat.com\tMeetings\tchat\nx.com\tMeetings\tchat\nplay.com\tMeetings\tchat\nforum.com\tMeetings\tchat",
            {"x.com": "SNS"},
        ),
        # A list of a category is trusted as a whole, or not at all.
        ("chat.com\tMeetings\tcategory-chat\nx.com\tMeetings\tcategory-chat", {}),
        ("chat.com\tSNS\tcategory-chat\nx.com\tSNS\tcategory-chat", {"x.com": "SNS"}),
        # Where strangers put their sites.
        ("github.io\tDevelopment\tgithub\nme.github.io\tFinance\tx", {"me.github.io": "Finance"}),
        (f"a.com\tDesign\t{next(iter(LEFT_OUT))}", {}),
        # A brand of three countries is one of all.
        (
            "acme.fr\tGame\tx\nacme.de\tGame\tx\nacme.co.jp\tGame\tx\nacme.com\tGame\tx",
            {"acme.*": "Game", "acme.com": "Game"},
        ),
        (
            "acme.fr\tGame\tx\nacme.de\tGame\tx\nacme.co.jp\tFinance\ty",
            {"acme.fr": "Game", "acme.de": "Game", "acme.co.jp": "Finance"},
        ),
        (
            "acme.fr\tGame\tx\nacme.io\tGame\tx\nacme.dev\tGame\tx",
            dict.fromkeys(("acme.fr", "acme.io", "acme.dev"), "Game"),
        ),
    ],
)
def test_a_table_of_a_list(source: str, expected: dict[str, str]) -> None:
    assert rows_of(compile_sites(source, PATTERNS)) == expected


def test_the_comments_of_the_source_stay_with_the_table() -> None:
    assert compile_sites("# by somebody\na.com\tGame\tx\n", PATTERNS).startswith("# by somebody\n[")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.com Game x", "line 2: not domain, category and list"),
        ("a.com\tGame", "line 2: not domain, category and list"),
        ("a.com\tSport\tx", "line 2: not domain, category and list"),
        ("a.com/b\tGame\tx", "line 2: 'a.com/b' is no domain"),
        ("localhost\tGame\tx", "line 2: 'localhost' is no domain"),
    ],
)
def test_a_line_of_another_form_is_named(line: str, reason: str) -> None:
    with pytest.raises(SitesFileError, match=reason):
        compile_sites(f"# note\n{line}\n", PATTERNS)


def test_the_shipped_table_is_attributed_and_of_known_categories() -> None:
    text = SITES.read_text(encoding="utf-8")
    assert "MIT licence, Copyright (c) 2018-2019 V2Ray" in text.splitlines()[0]
    assert set(rows_of(text).values()) <= PATTERN_CATEGORIES
    assert len(known_sites()) > 6_000


def test_the_shipped_table_is_small_and_loaded_at_once() -> None:
    started = time.process_time()
    known_sites()
    assert time.process_time() - started < 1.0
    tracemalloc.start()
    try:
        table = known_sites()
        assert tracemalloc.get_traced_memory()[0] < 15_000_000
        assert table.find("www.ebay.fr") == KnownSite("ebay.*", "E-commerce & Shopping")
    finally:
        tracemalloc.stop()


def test_no_row_of_the_shipped_table_stands_where_strangers_put_their_sites() -> None:
    names = ("github.io", "x.github.io", "x.vercel.app", "x.blogspot.com", "x.webflow.io", "x.imweb.me")
    assert [name for name in names if known_sites().find(name)] == []


def test_the_command_makes_the_table(tmp_path: Path) -> None:
    source, table = tmp_path / "source.tsv", tmp_path / "table.txt"
    source.write_text("# by somebody\nnobody-knows.example\tGame\tx\n", encoding="utf-8")
    done = CliRunner().invoke(command.app, ["sites", "update", str(source), "--to", str(table)])
    assert (done.exit_code, done.output) == (0, f"{len(known_sites(table))} sites in {table}\n")
    assert known_sites(table).find("www.nobody-knows.example") == KnownSite("nobody-knows.example", "Game")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"a.com\tSport\tx", "line 1: not domain"), (b"\xff", "not UTF-8"), (None, "No such file or directory")],
)
def test_the_command_leaves_the_table_where_the_source_is_of_another_form(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    source, table = tmp_path / "source.tsv", tmp_path / "table.txt"
    table.write_text("before", encoding="utf-8")
    if content is not None:
        source.write_bytes(content)
    done = CliRunner().invoke(command.app, ["sites", "update", str(source), "--to", str(table)])
    assert done.exit_code == 2
    assert reason in done.stderr
    assert table.read_text(encoding="utf-8") == "before"


def test_the_default_patterns_leave_no_row_without_effect() -> None:
    # After a change of the default patterns: python -m cmd.patterns sites update
    hosts = {p for document in default_patterns() for p in document.domain_patterns if "/" not in p}
    assert [row for row in rows_of(SITES.read_text(encoding="utf-8")) if row in hosts] == []
