"""What pages say of their sites, and what is concluded from it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.categoryPattern.model import PATTERN_CATEGORIES
from domains.kernel.window import Window
from domains.patternClassifier.privacy import Privacy
from domains.patternClassifier.rules import RuleSet
from domains.siteProfile.choice import SiteChoice, rules_know, rules_leave_open
from domains.siteProfile.conclusion import conclude, weigh
from domains.siteProfile.lexicon import LEXICON, evidence_of_words
from domains.siteProfile.markup import (
    APPLICATION_CATEGORIES,
    JSON_LD_TYPES,
    MANIFEST_CATEGORIES,
    OPEN_GRAPH_TYPES,
    evidence_of_markup,
)
from domains.siteProfile.model import LONGEST_TEXT, EvidenceKind, PageFacts, SiteEvidence, facts_of
from infrastructure.patterns.pattern_file import default_patterns
from infrastructure.sites.page_parser import parse_manifest, parse_page
from infrastructure.sites.public_suffixes import PublicSuffixes

CHOICE = SiteChoice(PublicSuffixes(), Privacy(hosts=["secret.kr"]))


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.news.co.kr/a?b=c", "news.co.kr"),
        ("https://a.b.example.github.io/", "example.github.io"),
        ("https://하늘.한국/글", "하늘.한국"),
        ("http://xn--bj0bj06e.xn--3e0b707e/", "한글.한국"),
        ("https://co.kr/", ""),
        ("https://github.io/", ""),
        ("https://printer/", ""),
        ("https://wiki.corp/", ""),
        ("https://nas.local/", ""),
        ("https://db.internal.kr", "internal.kr"),
        ("https://host.nosuchtopleveldomain/", ""),
        ("https://site.example/", ""),
        ("https://secret.kr/", ""),
        ("https://www.secret.kr/", ""),
        ("https://8.8.8.8/", ""),
        ("https://[2606:4700::1111]/", ""),
        ("http://2130706433/", ""),
        ("file:///home/a.kr/b", ""),
        ("", ""),
    ],
)
def test_a_public_registrable_domain_is_a_site_and_nothing_else_is(url: str, site: str) -> None:
    assert CHOICE.site_of(Window("Chrome", url, "title")) == site


def test_a_private_app_shows_no_site() -> None:
    assert CHOICE.site_of(Window("1Password", "https://news.co.kr/", "")) == ""


def test_sites_that_a_rule_knows_are_known() -> None:
    rules = RuleSet(default_patterns())

    assert rules_know(rules, "github.com")
    assert not rules_know(rules, "moonlit-unknown.io")
    assert rules_leave_open(rules, Window("Google Chrome", "https://moonlit-unknown.io/a", "A - Google Chrome"))
    assert not rules_leave_open(rules, Window("Google Chrome", "https://github.com/a", ""))


def test_the_tables_name_categories_that_patterns_may_have() -> None:
    tables = (MANIFEST_CATEGORIES, APPLICATION_CATEGORIES, JSON_LD_TYPES, OPEN_GRAPH_TYPES)
    assert {category for table in tables for category in table.values()} <= PATTERN_CATEGORIES
    assert LEXICON.keys() == PATTERN_CATEGORIES - {"AFK", "Uncategorized"}


def test_no_word_speaks_for_two_categories() -> None:
    phrases = [phrase for tiers in LEXICON.values() for phrases in tiers for phrase in phrases]
    assert {phrase for phrase in phrases if phrases.count(phrase) > 1} == set()


def words_of(text: str) -> dict[str, str]:
    return {evidence.category: evidence.found for evidence in evidence_of_words(PageFacts(description=text))}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("온라인게임의 모든 것", {"Game": "온라인 게임"}),
        ("Add-to-cart, then pay", {"E-commerce & Shopping": "add to cart"}),
        ("two video games", {"Game": "video game"}),
        ("주식회사 한울", {}),
        ("gamekeeper", {}),
        ("C++ and C#", {}),
        ("ＶＰＮ", {"System & Utilities": "vpn"}),
        ("개인정보 이용약관 로그인", {}),
    ],
)
def test_words_are_found_as_people_write_them(text: str, found: dict[str, str]) -> None:
    assert words_of(text) == found


def test_a_word_counts_once_however_often_it_is_said() -> None:
    once, often = (evidence_of_words(PageFacts(description="게임 " * times)) for times in (1, 60))
    assert [it.weight for it in once] == [it.weight for it in often]


def test_markup_speaks_in_the_order_of_its_strength() -> None:
    facts = PageFacts(
        open_graph_type="video.movie", json_ld=("http://schema.org/Store", "Thing"), manifest=("games", "lifestyle")
    )
    assert [(it.kind, it.category, it.found) for it in evidence_of_markup(facts)] == [
        (EvidenceKind.MANIFEST, "Game", "games"),
        (EvidenceKind.JSON_LD, "E-commerce & Shopping", "http://schema.org/Store"),
        (EvidenceKind.OPEN_GRAPH, "Entertainment", "video.movie"),
    ]


def reason(category: str, weight: float) -> SiteEvidence:
    return SiteEvidence(EvidenceKind.WORDS, "", category, weight)


def test_reasons_add_up_and_contradictions_leave_doubt() -> None:
    assert conclude([]) == ("", 0.0)
    assert conclude([reason("Game", 0.6)]) == ("Game", pytest.approx(0.6))
    assert conclude([reason("Game", 0.6), reason("Game", 0.6)]) == ("Game", pytest.approx(0.84))
    assert conclude([reason("Game", 0.9), reason("SNS", 0.9)]).confidence == pytest.approx(0.45)


def test_below_the_wanted_confidence_and_beside_the_known_categories_nothing_is_concluded() -> None:
    found = weigh([reason("Game", 0.6), reason("Gone", 0.9)], {"Game"}, 0.5)
    assert found.conclusion == ("Game", pytest.approx(0.6))
    assert found.evidence == (reason("Game", 0.6),)
    assert weigh([reason("Game", 0.6)], {"Game"}, 0.7).conclusion.category == ""


@given(st.lists(st.tuples(st.sampled_from(["Game", "SNS", "Finance"]), st.floats(0, 1)), max_size=8))
def test_confidence_is_a_share(reasons: list[tuple[str, float]]) -> None:
    assert 0 <= conclude([reason(*each) for each in reasons]).confidence <= 1


@given(st.binary(max_size=2000), st.sampled_from([None, "utf-8", "euc-kr", "utf-16", "punycode", "hex", "\0"]))
def test_no_page_breaks_the_parser(body: bytes, charset: str | None) -> None:
    page = parse_page(b"<title>" + body, charset)
    assert page.facts.text.isprintable()
    assert len(page.facts.title) <= LONGEST_TEXT
    parse_manifest(body)


def test_the_head_of_a_page_is_read_and_nothing_behind_it() -> None:
    body = """<html><head><TITLE> A
      title </TITLE><meta NAME=Description content="one"><meta name=description content="two">
      <meta name="keywords" content="a, b"><meta property="og:type" content="game">
      <link rel="Manifest icon" href="/m.json">
      <script type="application/ld+json">{"@graph": [{"@type": ["Store"]}, {"@type": "WebApplication",
        "applicationCategory": "GameApplication"}], "@type": "Thing"}</script>
      </HEAD><body><title>not this</title><meta name=keywords content="nor this"></body>"""
    assert parse_page(body.encode(), None) == (
        PageFacts(
            "A title",
            "one",
            "a, b",
            "game",
            json_ld=("Thing", "WebApplication", "Store"),
            applications=("GameApplication",),
        ),
        "/m.json",
    )


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("<title>은행</title>".encode("cp949"), "EUC-KR"),
        ('<meta charset="ks_c_5601-1987"><title>은행</title>'.encode("cp949"), None),
        ("<title>은행</title>".encode("cp949"), None),
        ("<title>은행</title>".encode("cp949"), "no-such-thing"),
        ("<title>은행</title>".encode("utf-16"), None),
        ("﻿<title>은행</title>".encode(), "euc-kr"),
        ("<title>은행</title>".encode(), "rot13"),
    ],
)
def test_pages_are_read_in_the_encoding_that_they_are_in(body: bytes, charset: str | None) -> None:
    assert parse_page(body, charset).facts.title == "은행"


def test_manifests_that_are_none_have_no_categories() -> None:
    assert parse_manifest(b'{"categories": ["games", 5, "games", "a\\u0000b"]}') == ("games", "a b")
    for body in (b"", b"[]", b'{"categories": "games"}', b"[" * 100_000, b"\xff"):
        assert parse_manifest(body) == ()


def test_facts_survive_being_stored() -> None:
    facts = PageFacts("t", "d", "k", "o", ("A",), ("B",), ("c",))
    assert facts_of(json.loads(json.dumps(facts.as_document()))) == facts
