"""The default patterns and their linter. Source: contract, "Out: MongoDB"."""

import copy
import json
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

import infrastructure.patterns
from domains.categoryPattern.model import PATTERN_CATEGORIES, category_id
from domains.patternClassifier import pattern_checks
from domains.patternClassifier.app_names import KNOWN_NAMES
from domains.patternClassifier.rules import RuleSet
from infrastructure.patterns import lint
from infrastructure.patterns.pattern_file import default_patterns

FILE = Path(infrastructure.patterns.__file__).with_name("default.json")


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return RuleSet(default_patterns())


def entries(**categories: Any) -> list[dict[str, Any]]:
    """A file of all categories that is empty but for the given ones: `Browsing=(apps, domains)`."""
    return [
        {
            "category": name,
            "priority": None,
            "appPatterns": list(categories.get(name, ((), ()))[0]),
            "domainPatterns": list(categories.get(name, ((), ()))[1]),
        }
        for name in sorted(PATTERN_CATEGORIES)
    ]


def problems(**categories: Any) -> list[str]:
    return lint.lint(entries(**categories), minimum=0)


# ------------------------------------------------------------------------------------------- the data


def test_the_default_patterns_have_no_problems() -> None:
    assert lint.lint(json.loads(FILE.read_text(encoding="utf-8"))) == []


def test_the_default_patterns_are_sorted_and_all_categories_are_there() -> None:
    data = json.loads(FILE.read_text(encoding="utf-8"))
    assert {entry["category"] for entry in data} == PATTERN_CATEGORIES
    for entry in data:
        assert entry["appPatterns"] == sorted(entry["appPatterns"], key=lambda app: (app.casefold(), app))
        assert entry["domainPatterns"] == sorted(entry["domainPatterns"])
        assert bool(entry["appPatterns"]) == (entry["category"] != "Uncategorized")


def test_the_loader_gives_each_category_its_own_fixed_id() -> None:
    patterns = default_patterns()
    assert [p.category for p in patterns] == [p.category for p in default_patterns()]
    assert len({p.id for p in patterns}) == len(PATTERN_CATEGORIES)
    assert all(p.id == category_id(p.category) and len(bytes.fromhex(p.id)) == 12 for p in patterns)
    assert category_id("LLM") == "c0b58925991a234a8ddd484a"  # documents refer to it: it may never change


def test_the_matcher_takes_every_default_pattern(rules: RuleSet) -> None:
    assert list(rules.problems) == []


@pytest.mark.parametrize(
    ("url", "category"),
    [
        ("https://www.google.com/search?q=x.com", "Browsing"),
        ("https://docs.google.com/document/d/1", "Documentation"),
        ("https://docs.google.com/forms/d/1/edit", "Productivity"),
        ("https://drive.google.com/drive/my-drive", "File Management"),
        ("https://mail.google.com/mail/u/0", "Productivity"),
        ("https://meet.google.com/abc-defg-hij", "Meetings"),
        ("https://gemini.google.com/app", "LLM"),
        ("https://scholar.google.com/scholar", "Education"),
        ("https://ads.google.com/aw/overview", "Marketing"),
        ("https://console.cloud.google.com/home", "Development"),
        ("https://www.youtube.com/watch?v=1", "Entertainment"),
        ("https://music.youtube.com/", "Entertainment"),
        ("https://studio.youtube.com/channel/1", "Video Editing"),
        ("https://www.naver.com/", "Browsing"),
        ("https://n.news.naver.com/article/1", "Browsing"),
        ("https://map.naver.com/p", "Browsing"),
        ("https://cafe.naver.com/joonggonara", "SNS"),
        ("https://blog.naver.com/a/1", "SNS"),
        ("https://comic.naver.com/webtoon", "Entertainment"),
        ("https://m.sports.naver.com/kbaseball", "Entertainment"),
        ("https://shopping.naver.com/home", "E-commerce & Shopping"),
        ("https://smartstore.naver.com/shop/products/1", "E-commerce & Shopping"),
        ("https://sell.smartstore.naver.com/#/home", "Marketing"),
        ("https://finance.naver.com/item", "Finance"),
        ("https://en.dict.naver.com/", "Education"),
        ("https://mail.naver.com/v2", "Productivity"),
        ("https://cafe.daum.net/x", "SNS"),
        ("https://gift.kakao.com/home", "E-commerce & Shopping"),
        ("https://developers.kakao.com/docs", "Development"),
        ("https://map.kakao.com/", "Browsing"),
        ("https://learn.microsoft.com/ko-kr/", "Documentation"),
        ("https://teams.microsoft.com/v2/", "Meetings"),
        ("https://outlook.office.com/mail/", "Productivity"),
        ("https://x.sharepoint.com/sites", "File Management"),
        ("https://www.apple.com/kr/iphone/", "E-commerce & Shopping"),
        ("https://developer.apple.com/forums", "Development"),
        ("https://music.apple.com/kr", "Entertainment"),
        ("https://www.icloud.com/mail/", "Productivity"),
        ("https://www.amazon.com/dp/1", "E-commerce & Shopping"),
        ("https://ap-northeast-2.console.aws.amazon.com/ec2", "Development"),
        ("https://acme.atlassian.net/jira/software", "Productivity"),
        ("https://acme.atlassian.net/wiki/spaces", "Documentation"),
        ("https://www.behance.net/", "Design"),
        ("https://finance.yahoo.com/quote/AAPL", "Finance"),
        ("https://mail.yahoo.com/d/folders/1", "Productivity"),
        ("https://chatgpt.com/c/1", "LLM"),
        ("https://github.com/pomocore", "Development"),
        ("http://localhost:8080/health", "Development"),
        ("http://[::1]:3000/", "Development"),
        ("http://host.docker.internal:3000/", "Development"),
        ("devtools://devtools/bundled/inspector.html", "Development"),
        ("file:///Users/me/lecture.pdf", "Documentation"),
        ("chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai/file:///C:/a%20b.docx", "Documentation"),
        ("https://tistory.com/", "SNS"),
        ("https://api.example.com/swagger-ui/index.html", "Documentation"),
        ("https://www.fedex.com/ko-kr/tracking.html", "E-commerce & Shopping"),
        ("https://www.hometax.go.kr/", "Finance"),
        ("https://www.snu.ac.kr/", "Education"),
    ],
)
def test_well_known_sites(rules: RuleSet, url: str, category: str) -> None:
    found = rules.match("Google Chrome", url)
    assert found is not None
    assert (found.category, found.tier) == (category, "url")


@pytest.mark.parametrize(
    "url",
    [
        "https://www.jenkins-law.com/about",
        "https://example.com/katherine-jenkins",
        "https://someone.webflow.io/",
        "https://someshop.imweb.me/shop",
        "https://someone.framer.website/",
        "https://example.com/afk",
        "https://afk.com/",
        "file:///srv/swagger-ui/index.html",
        "https://www.netflix.com.evil.example/",
    ],
)
def test_urls_that_only_look_like_a_known_site(rules: RuleSet, url: str) -> None:
    assert rules.match("", url) is None


def test_every_table_of_spellings_leads_to_an_app_of_the_default_patterns(rules: RuleSet) -> None:
    assert [name for name in KNOWN_NAMES.values() if rules.match(" ".join(name), "") is None] == []


@pytest.mark.parametrize(
    ("app", "category"),
    [
        ("Google Chrome", "Browsing"),
        ("msedge.exe", "Browsing"),
        ("Code - Insiders", "Development"),
        ("IntelliJ IDEA 2024.2", "Development"),
        ("카카오톡", "SNS"),
        (unicodedata.normalize("NFD", "카카오톡"), "SNS"),
        ("한컴오피스 한글 2024", "Documentation"),
        ("EXCEL", "Documentation"),
        ("Adobe Photoshop 2025", "Design"),
        ("Adobe Premiere Pro 2025", "Video Editing"),
        ("zoom.us", "Meetings"),
        ("Microsoft Teams (work or school)", "Meetings"),
        ("Slack", "Productivity"),
        ("Spotify", "Entertainment"),
        ("League of Legends", "Game"),
        ("Finder", "File Management"),
        ("explorer.exe", "File Management"),
        ("시스템 설정", "System & Utilities"),
        ("ChatGPT", "LLM"),
        ("loginwindow", "AFK"),
        ("LockApp.exe", "AFK"),
        ("잠금 화면", "AFK"),
        ("DaVinci Resolve Studio", "Video Editing"),
        ("Ableton Live 12 Suite", "Video Editing"),
        ("org.kde.dolphin", "File Management"),
        ("dolphin-emu", "Game"),
        ("com.todesktop.230313mzl4w4u92", "Development"),
        ("Microsoft.WindowsTerminal_8wekyb3d8bbwe!App", "Development"),
        ("VALORANT-Win64-Shipping.exe", "Game"),
        ("서체 관리자", "Design"),
        ("한컴오피스 한글 뷰어", "Documentation"),
        ("네이버 웍스", "Productivity"),
    ],
)
def test_well_known_apps(rules: RuleSet, app: str, category: str) -> None:
    found = rules.match(app, "")
    assert found is not None
    assert found.category == category


@pytest.mark.parametrize("app", ["Linear Regression Tool", "Notion of Time", "online banking", "linear algebra"])
def test_names_that_only_begin_like_a_product(rules: RuleSet, app: str) -> None:
    assert rules.match(app, "") is None


# ------------------------------------------------------------------------------------------- the linter


def test_a_good_file_has_no_problems() -> None:
    assert problems(Browsing=(["Google Chrome", "웨일"], ["naver.com"]), SNS=(["X"], ["cafe.naver.com"])) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: {"categories": data}, "the file is not an array of categories"),
        (lambda data: [*data, "Browsing"], "entry 19: not an object"),
        (lambda data: [*data, {"category": "Browsing"}], "entry 19: the keys must be"),
        (lambda data: [data[0] | {"priority": "1"}, *data[1:]], "entry 0: priority is neither an integer nor null"),
        (lambda data: [data[0] | {"priority": True}, *data[1:]], "entry 0: priority is neither an integer nor null"),
        (lambda data: [data[0] | {"category": None}, *data[1:]], "entry 0: category is not a string"),
        (lambda data: [data[0] | {"appPatterns": "Slack"}, *data[1:]], "entry 0: appPatterns is not a list"),
        (lambda data: [data[0] | {"domainPatterns": [1]}, *data[1:]], "entry 0: domainPatterns is not a list"),
        (lambda data: [*data, data[0] | {"category": "Sport"}], "unknown category: Sport"),
        (lambda data: [*data, data[0] | {"category": "Music"}], "unknown category: Music"),
        (lambda data: [*data, data[0]], "category twice: AFK"),
        (lambda data: data[1:], "missing category: AFK"),
    ],
)
def test_categories_and_shape(change: Any, expected: str) -> None:
    found = lint.lint(change(copy.deepcopy(entries())), minimum=0)
    assert any(text.startswith(expected) for text in found), found


def test_too_few_patterns() -> None:
    assert lint.lint(entries(SNS=(["LINE"], ["x.com"]))) == ["2 patterns, at least 2500 wanted"]
    assert lint.lint(entries(SNS=(["LINE"], ["x.com"])), minimum=2) == []


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        ("", "empty"),
        (" ", "empty"),
        (" Slack", "space at an end"),
        ("Google  Chrome", "space at an end, or more than one"),
        ("slack.exe", "ends in .exe or .app"),
        ("Slack.app", "ends in .exe or .app"),
        (unicodedata.normalize("NFD", "카카오톡"), "not NFC"),
        ("ab", "too general: too short"),
        ("줌", "too general: too short"),
        ("Browser", "too general: a word"),
        ("문서", "too general: a word"),
    ],
)
def test_wrong_and_too_general_apps(app: str, expected: str) -> None:
    assert [text for text in problems(SNS=([app], [])) if f"SNS: app {app!r}: {expected}" in text]


@pytest.mark.parametrize("app", ["X", "QQ", "Code", "음악", "토스", "Notion"])
def test_apps_that_may_stand(app: str) -> None:
    assert problems(SNS=([app], [])) == []


def test_every_exception_of_the_app_rules_is_needed_and_has_a_reason() -> None:
    for name, reason in pattern_checks.ALLOWED_APPS.items():
        assert reason
        assert name in pattern_checks.GENERIC_APPS or len(name) < 3


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("", "empty"),
        ("https://figma.com", "has a scheme"),
        ("http://intranet", "has a scheme"),
        ("file:///home", "has a scheme"),
        ("www.figma.com", "begins with www."),
        ("Figma.com", "has upper case"),
        ("figma .com", "has a space"),
        ("figma.com/", "ends in a slash or a dot"),
        ("figma.com.", "ends in a slash or a dot"),
        ("figma.com./files", "ends in a slash or a dot"),
        ("figma..com", "has an empty label or path segment"),
        ("figma.com//files", "has an empty label or path segment"),
        ("figma.com:443", "has a query, fragment, user, port or wildcard"),
        ("figma.com?a=1", "has a query, fragment, user, port or wildcard"),
        ("*.figma.com", "has a query, fragment, user, port or wildcard"),
        ("-figma.com", "is no host name"),
        ("fig!ma.com", "is no host name"),
        (unicodedata.normalize("NFD", "한글.kr"), "not NFC"),
        ("figma/files", "a path without a host"),
        ("com", "too general: a token this short"),
        ("blog", "too general: a token this short"),
        ("search", "too general: a token that is not in the table"),
        ("co.kr", "too general: a public suffix"),
        ("ac.kr", "too general: a public suffix"),
    ],
)
def test_wrong_and_too_general_domains(domain: str, expected: str) -> None:
    found = problems(SNS=([], [domain]))
    assert [text for text in found if f"SNS: domain {domain!r}: {expected}" in text], found


@pytest.mark.parametrize(
    "domain",
    [
        *("figma.com", "google.com/search", "한글.kr", "swagger-ui", "127.0.0.1"),
        *("file:///*.pdf", "devtools://devtools", "chrome://inspect"),
    ],
)
def test_domains_that_may_stand(domain: str) -> None:
    assert problems(SNS=([], [domain])) == []


def test_a_pattern_in_two_categories() -> None:
    found = problems(SNS=(["LINE"], ["x.com"]), LLM=(["line"], ["x.com"]), Game=(["Line!"], []))
    assert len([text for text in found if "also in" in text]) == 3
    # A decomposed Korean name is the same name.
    found = problems(SNS=(["카카오톡"], []), LLM=([unicodedata.normalize("NFD", "카카오톡")], []))
    assert any("also in" in text for text in found)


def test_a_pattern_twice_in_its_category() -> None:
    found = problems(SNS=(["LINE", "Line", "X", "X"], ["x.com", "x.com"]))
    assert len([text for text in found if "twice" in text]) == 3


@pytest.mark.parametrize(
    ("app", "domain"),
    [("Notion", "notion.so"), ("draw.io", "draw.io"), ("Cash App", "cash.app"), ("Notion", "getnotion.com")],
)
def test_an_app_and_its_site_in_two_categories(app: str, domain: str) -> None:
    assert any(f"the app {app!r} is SNS" in text for text in problems(SNS=([app], []), LLM=([], [domain])))
    assert problems(SNS=([app], [domain])) == []


def test_an_app_and_a_site_below_another_are_two_products() -> None:
    assert problems(SNS=(["Notion"], []), LLM=([], ["notion.example.com", "example.com/notion"])) == []


def test_every_exception_of_apps_and_sites_is_needed_and_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    excepted = lint.SITES_OF_OTHERS | lint.DIFFERENT_SITES.keys()
    assert all(lint.DIFFERENT_SITES.values())
    monkeypatch.setattr(lint, "SITES_OF_OTHERS", frozenset())
    monkeypatch.setattr(lint, "DIFFERENT_SITES", {})
    found = [text for text in lint.lint(json.loads(FILE.read_text(encoding="utf-8"))) if "the app" in text]
    assert len(found) == len(excepted)


@pytest.mark.parametrize(
    ("sns", "other", "expected"),
    [
        (["x.com", "m.x.com"], [], ["m.x.com"]),
        (["x.com", "x.com/i", "x.com/i/grok"], [], ["x.com/i", "x.com/i/grok"]),
        (["x.com/i", "m.x.com/i/grok"], [], ["m.x.com/i/grok"]),
        (["x.com", "notx.com", "x.com.kr"], [], []),
        (["x.com/i", "x.com/in"], [], []),
        # A more specific parent of another category between the two: without the third, it would win.
        (["x.com", "a.m.x.com"], ["m.x.com"], []),
        (["x.com", "x.com/i/grok"], ["x.com/i"], []),
        (["x.com", "m.x.com/i"], ["m.x.com"], []),
        # Not a parent, but more specific than x.com and matching some of m.x.com's pages.
        (["x.com", "m.x.com"], ["x.com/i"], []),
        # Does not match any of m.x.com's pages, or is less specific than what covers it.
        (["x.com", "m.x.com"], ["n.x.com"], ["m.x.com"]),
        (["m.x.com", "a.m.x.com"], ["x.com/i"], ["a.m.x.com"]),
    ],
)
def test_superfluous_domains(sns: list[str], other: list[str], expected: list[str]) -> None:
    found = [text for text in problems(SNS=([], sns), LLM=([], other)) if "superfluous" in text]
    assert [text.split("'")[1] for text in found] == expected


@pytest.mark.parametrize(
    ("sns", "other", "expected"),
    [
        (["LINE", "LINE Beta", "LINE 9.1", "LINE for Windows"], [], ["LINE Beta", "LINE 9.1", "LINE for Windows"]),
        (["LINE", "LINE Camera"], [], []),
        (["LINE", "LINE Beta 2"], ["LINE Beta"], []),
        (["LINE Beta"], ["LINE"], []),
    ],
)
def test_superfluous_apps(sns: list[str], other: list[str], expected: list[str]) -> None:
    found = [text for text in problems(SNS=(sns, []), LLM=(other, [])) if "superfluous" in text]
    assert [text.split("'")[1] for text in found] == expected


# ------------------------------------------------------------------------------------------- the command


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cmd.patterns", "lint", *arguments]
    root = Path(infrastructure.patterns.__file__).parents[2]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, encoding="utf-8", timeout=60)


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(entries(SNS=(["Slack.exe"], ["www.x.com"]))), encoding="utf-8")
    done = run(str(bad))
    assert done.returncode == 1
    assert "SNS: domain 'www.x.com': begins with www." in done.stdout.splitlines()


def test_the_command_accepts_the_default_patterns_and_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "no problems\n"
    broken = tmp_path / "broken.json"
    broken.write_text("[", encoding="utf-8")
    for arguments in ([str(broken)], [str(tmp_path / "absent.json")], ["a", "b"]):
        done = run(*arguments)
        assert done.returncode == 2
        assert done.stderr
