"""Titles: what a browser adds to them, which names of sites are found in them, and where they are not read at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.categoryPattern.model import CategoryPattern
from domains.patternClassifier.model import Doubt, Tier
from domains.patternClassifier.rules import RuleSet
from domains.patternClassifier.titles import parse_title_pattern, split_title
from domains.patternClassifier.web_apps import address_of, is_web_app

BROWSERS = {"whale", "google chrome", "mozilla firefox", "microsoft edge", "chromium", "brave", "safari"}
COLLECTION = [
    CategoryPattern("1" * 24, "Entertainment", 1, (), ("youtube.com", "netflix.com")),
    CategoryPattern("2" * 24, "Development", 2, ("PhpStorm", "Visual Studio Code"), ("stackoverflow.com", "jenkins")),
    CategoryPattern("3" * 24, "SNS", 3, ("Discord",), ("discord.com", "x.com")),
    CategoryPattern("4" * 24, "Browsing", 4, ("Whale", "Google Chrome", "Mozilla Firefox", "Safari"), ("naver.com",)),
    CategoryPattern("5" * 24, "File Management", 5, ("Finder",), ()),
]
ADDITIONS = [
    CategoryPattern("", "Entertainment", None, (), ("youtube.com",), ("YouTube", "유튜브"), True),
    CategoryPattern("", "Entertainment", None, (), (), ("Netflix", "* on Steam")),
    CategoryPattern("", "Development", None, ("java", "Electron"), (), (), True),
    CategoryPattern("", "Development", None, (), (), ("Stack Overflow", "GitHub - */*", "GitHub · *")),
    CategoryPattern("", "SNS", None, (), (), ("Discord | *", "* / X", "r/*", "트위터")),
    CategoryPattern("", "File Management", None, ("explorer",), (), (), True),
    CategoryPattern("", "Browsing", None, ("Weather",), (), ("New Tab",)),
    CategoryPattern("", "A Category Of Old", None, (), (), ("Nowhere",)),
]


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return RuleSet(COLLECTION, ADDITIONS)


@pytest.mark.parametrize(
    ("title", "segments"),
    [
        ("Some video - YouTube - Whale", ["some video", "youtube"]),
        ("Some video — Mozilla Firefox", ["some video"]),
        ("A - b – c — d | e · f : g / h • i", ["a", "b", "c", "d", "e", "f", "g", "h", "i"]),
        ("no-separator here: none", ["no-separator here: none"]),
        ("Some video - YouTube — Mozilla Firefox (Private Browsing)", ["some video", "youtube"]),
        ("Some video - YouTube — Mozilla Firefox Private Browsing", ["some video", "youtube"]),
        ("Bing - [InPrivate] - Microsoft\u200b Edge", ["bing"]),
        ("구글 - Google Chrome (시크릿 모드)", ["구글"]),
        ("네이버 [시크릿 모드] - Whale", ["네이버"]),
        ("Netflix and 3 more pages - Personal - Microsoft\u200b Edge", ["netflix"]),
        ("넷플릭스 외 페이지 2개 - 프로필 1 - Microsoft Edge", ["넷플릭스"]),
        ("Some video - YouTube - Audio playing - Google Chrome – Kim", ["some video", "youtube"]),
        ("Inbox - High memory usage - 1.2 GB - Google Chrome", ["inbox"]),
        ("Personal - Wikipedia", ["personal", "wikipedia"]),
        ("(12) 트위터 — Mozilla Firefox", ["트위터"]),
        ("(99+) X", ["x"]),
        ("● general", ["general"]),
        ("받은편지함 (3) - kim@example.com - Gmail (3) - Chromium", ["받은편지함 (3)", "kim@example.com", "gmail"]),
        ("  Some\u00a0 video   -  YouTube ", ["some video", "youtube"]),
        ("\u202aYouTube\u202c", ["youtube"]),
        ("\u110b\u1172\u1110\u1172\u1107\u1173", ["유튜브"]),
        ("YouTube ｜ Ａ", ["youtube", "a"]),
        ("Mozilla Firefox", []),
        ("Whale - Whale", ["whale"]),
        ("", []),
        (" - ", ["-"]),
    ],
)
def test_a_title_is_taken_apart_and_what_the_browser_added_is_dropped(title: str, segments: list[str]) -> None:
    assert split_title(title, BROWSERS.__contains__).segments == segments


@pytest.mark.parametrize(
    ("title", "category", "reason"),
    [
        ("Some film - Netflix - Whale", "Entertainment", "the last segment before the browser"),
        ("Netflix", "Entertainment", "all there is"),
        ("netflix", "Entertainment", "case is folded"),
        ("Some film on Netflix - Whale", None, "no whole segment"),
        ("Netflix - an introduction", None, "the first segment of a page about it"),
        ("Netflix - Stack Overflow", "Development", "of two sites, the last one"),
        ("How YouTube works.docx", None, "a document"),
        ("Half-Life on Steam - Whale", "Entertainment", "a wildcard"),
        ("Discord | #general | Server - Whale", "SNS", "a site that puts its name first"),
        ("Discord - the history of an app", None, "but not with another separator"),
        ("GitHub - torvalds/linux: Linux kernel source tree", "Development", "with a wildcard behind it"),
        ("GitHub - what it is", None, "which has to match"),
        ("GitHub · Where software is built - Whale", "Development", "any text"),
        ("Home / X", "SNS", "behind its own separator"),
        ("Size: X", None, "not as part of a segment"),
        ("Size | X", None, "nor behind another separator"),
        ("How do I sort? : r/learnpython", "SNS", "a wildcard in the last segment"),
        ("Question - stackoverflow.com/", "Development", "a host"),
        ("https://stackoverflow.com/questions/1", "Development", "a URL"),
        ("stackoverflow.com/questions/1 - Question", "Development", "an address with a path, wherever it stands"),
        ("stackoverflow.com - a review", None, "but a host in front may be what the page is about"),
        ("jenkins.log", None, "a word of a URL is no word of a title"),
        ("unknown.example/a", None, "an address that no rule knows"),
        ("Some page - Nowhere", None, "of a category that the collection does not have"),
        ("New Tab - Whale", "Browsing", "a page of the browser's own"),
    ],
)
def test_names_of_sites_in_the_titles_of_browsers(
    rules: RuleSet, title: str, category: str | None, reason: str
) -> None:
    for app, url in (("Whale", ""), ("crx_" + "a" * 32, ""), ("Unheard Of", "https://unknown.example/")):
        found = rules.match(app, url, title)
        decided = found if found and found.tier == Tier.TITLE and not found.provisional else None
        assert (decided and decided.category) == category, (reason, app)


@pytest.mark.parametrize(
    ("app", "url", "title"),
    [
        ("Microsoft Word", "", "Some film - Netflix"),
        ("Finder", "", "Netflix"),
        ("PhpStorm", "", "Main.java - Netflix"),
        ("", "", "Netflix"),
        ("Whale", "https://stackoverflow.com/", "Netflix"),
        ("PhpStorm", "https://stackoverflow.com/", "Netflix"),
    ],
    ids=["unknown_app", "known_app", "editor", "no_app", "url_decides", "app_decides"],
)
def test_other_titles_are_not_read(rules: RuleSet, app: str, url: str, title: str) -> None:
    assert rules.match(app, url, title) == rules.match(app, url, "")
    assert rules.read_title(app, url, title) is None


@pytest.mark.parametrize(
    ("app", "title", "category", "doubt", "reason"),
    [
        ("java", "project - [~/x] - PhpStorm", "Development", None, "the last segment is an app's name"),
        ("Electron", "main.ts — repo — Visual Studio Code", "Development", None, "another one"),
        ("java", "Discord 1.2.3", "SNS", None, "with a version"),
        ("java", "Some film - Netflix", "Development", Doubt.HOST, "a site is no app"),
        ("java", "Untitled", "Development", Doubt.HOST, "nobody knows"),
        ("java", "", "Development", None, "there is nothing else to know"),
        ("java", "Some page - Google Chrome", "Browsing", Doubt.BROWSER, "a browser's window"),
        ("java", "Some film - Netflix - Google Chrome", "Entertainment", None, "whose title names a site"),
        ("explorer", "Downloads", "File Management", None, "a folder"),
        ("explorer", "Untitled - Notepad", "File Management", Doubt.HOST, "another window's title"),
        ("explorer", "Chat - Discord", "SNS", None, "another window's title that is known"),
    ],
)
def test_the_title_of_a_process_that_hosts_other_apps(
    rules: RuleSet, app: str, title: str, category: str, doubt: Doubt | None, reason: str
) -> None:
    found = rules.match(app, "", title)

    assert found is not None
    assert (found.category, found.doubt) == (category, doubt), reason


@pytest.mark.parametrize(
    ("app", "url", "title", "doubt", "reason"),
    [
        ("Whale", "", "", None, "a name is all that is known"),
        ("Whale", "", "Whale", None, "the title is its own name"),
        ("Whale", "", "Some page", Doubt.BROWSER, "a title that nobody knows"),
        ("Whale", "https://unknown.example/", "", Doubt.BROWSER, "a page that nobody knows"),
        ("Whale", "whale://settings", "Settings", None, "a page of the browser's own"),
        ("Whale", "https://www.naver.com/", "", None, "the host itself"),
        ("Whale", "https://m.naver.com/", "", None, "the same for phones"),
        ("Whale", "https://en.m.naver.com/", "", None, "or in another language"),
        ("Whale", "https://news.naver.com/", "", None, "what Browsing is itself"),
        ("Whale", "https://pay.naver.com/", "", Doubt.PARENT, "another site below it"),
        ("Whale", "https://youtube.com/watch", "", None, "without a title nothing decides but the site"),
        ("Whale", "https://youtube.com/", "YouTube - Whale", None, "a title that says no more than the site"),
        ("Whale", "https://youtube.com/watch", "A lecture - YouTube", Doubt.TITLE, "a title that says more"),
        ("Whale", "https://youtube.com/watch", "A lecture", Doubt.TITLE, "without the site's name too"),
        ("Whale", "", "A lecture - YouTube - Whale", Doubt.TITLE, "by the title alone"),
        ("Whale", "", "A lecture - youtube.com", Doubt.TITLE, "as an address"),
        ("Whale", "", "유튜브", None, "no more than the site's name"),
        ("Weather", "", "Seoul", None, "an addition says for good that it is no browser"),
    ],
)
def test_where_a_match_is_provisional(
    rules: RuleSet, app: str, url: str, title: str, doubt: Doubt | None, reason: str
) -> None:
    patterns = [*COLLECTION, CategoryPattern("4" * 24, "Browsing", 4, ("Weather",))]
    found = RuleSet(patterns, ADDITIONS).match(app, url, title)

    assert found is not None
    assert found.doubt == doubt, reason


def test_a_host_with_patterns_of_many_categories_below_it_does_not_speak_for_the_rest() -> None:
    def of(categories: int) -> RuleSet:
        below = [CategoryPattern("1" * 24, f"C{n}", None, (), (f"site{n}.portal.com",)) for n in range(categories)]
        return RuleSet([CategoryPattern("2" * 24, "Shopping", None, (), ("portal.com",)), *below])

    for categories, doubt in ((4, None), (5, Doubt.PARENT)):
        found = of(categories).match("", "https://other.portal.com/")
        assert found is not None
        assert found.doubt == doubt


def test_the_collections_category_wins_and_an_addition_says_whether_it_is_provisional() -> None:
    collection = [CategoryPattern("1" * 24, "Design", None, ("Java",), ("a.com",)), CategoryPattern("2" * 24, "Game")]
    rules = RuleSet(
        collection, [CategoryPattern("", "Game", None, ("JAVA", "wine"), ("www.a.com", "*.b.com"), (), True)]
    )

    found = {name: rules.match(*window) for name, window in {
        "app": ("java", "", "t"), "added": ("wine", "", "t"), "url": ("", "https://a.com/", "t"),
        "below": ("", "https://x.b.com/", ""), "itself": ("", "https://b.com/", "t"),
    }.items()}  # fmt: skip
    assert {name: match and (match.category, match.category_id[0], match.doubt) for name, match in found.items()} == {
        "app": ("Design", "1", Doubt.HOST),
        "added": ("Game", "2", Doubt.HOST),
        "url": ("Design", "1", Doubt.TITLE),
        "below": ("Game", "2", Doubt.PARENT),
        "itself": ("Game", "2", None),
    }
    assert rules.size == 4


def test_the_memo_tells_titles_apart_where_they_are_read_and_only_there(rules: RuleSet) -> None:
    by_title = [rules.match("Whale", "", title) for title in ("A - Netflix", "A - Stack Overflow", "A - Netflix")]
    assert [found and found.category for found in by_title] == ["Entertainment", "Development", "Entertainment"]

    fresh = RuleSet(COLLECTION, ADDITIONS)
    assert fresh.match("Whale", "https://stackoverflow.com/1", "one") is fresh.match(
        "Whale", "https://stackoverflow.com/1", "another"
    )
    assert len(fresh._pages) == 0


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "no letter or digit"),
        ("*", "no letter or digit"),
        (" - ", "no letter or digit"),
        ("A* | b", "the first one must be a name"),
        ("* | a | b", "the first one must be a name"),
    ],
)
def test_a_title_pattern_that_means_nothing_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_title_pattern(pattern)
    problems = RuleSet([CategoryPattern("1" * 24, "A", None, (), (), (pattern,))]).problems
    assert [problem.pattern for problem in problems] == [pattern]


@pytest.mark.parametrize(
    ("app", "address"),
    [
        ("discord.com__app", "discord.com"),
        ("chrome-music.youtube.com__-Default", "music.youtube.com"),
        ("Google-chrome-www.notion.so__login-Profile 1", "www.notion.so"),
        ("www.messenger.com", "www.messenger.com"),
        ("myteam.slack.com", "myteam.slack.com"),
        ("Slack", ""),
        ("https://slack.com", ""),
        ("slack.com is down", ""),
        ("a." * 200 + "com", ""),
    ],
)
def test_an_installed_web_app_may_be_called_by_its_address(app: str, address: str) -> None:
    assert address_of(app) == address


def test_an_address_as_a_name_is_read_as_a_url_unless_a_rule_knows_the_name(rules: RuleSet) -> None:
    found = rules.match("www.netflix.com__browse", "", "")
    assert found is not None
    assert (found.category, found.pattern) == ("Entertainment", "netflix.com")
    assert rules.match("jenkins.example.com", "", "") is not None, "a token of a URL as well"
    by_app = RuleSet([*COLLECTION, CategoryPattern("6" * 24, "Game", 1, ("netflix.com",))]).match(
        "netflix.com", "", ""
    )
    assert by_app is not None
    assert by_app.category == "Game"


@pytest.mark.parametrize(
    ("app", "is_one"),
    [
        ("crx_cifhbcnohmdccbgoicgdjpfamggdegmo", True),
        ("chrome-cifhbcnohmdccbgoicgdjpfamggdegmo-Default", True),
        ("msedge-_cifhbcnohmdccbgoicgdjpfamggdegmo-Profile_1", True),
        ("FFPWA-01J2Z3", True),
        ("WebApp-Gmail1234", True),
        ("com.google.Chrome.app.cifhbcnohmdccbgoicgdjpfamggdegmo", True),
        ("com.apple.Safari.WebApp.1A2B", True),
        ("org.gnome.Epiphany.WebApp_1a2b", True),
        ("Google Chrome", False),
        ("crx_short", False),
        ("webapplication", False),
    ],
)
def test_names_that_say_no_more_than_that_they_are_web_apps(app: str, is_one: bool) -> None:
    assert is_web_app(app) is is_one


@given(st.text("aé한ﷺ\u0301", min_size=1, max_size=40), st.integers(0, 100_000))
def test_only_both_ends_of_a_long_title_are_read(middle: str, times: int) -> None:
    asked: list[int] = []

    def is_browser(segment: str) -> bool:
        asked.append(len(segment))
        return False

    page = split_title(f"(3) Discord | {middle * times} - Netflix", is_browser)

    assert sum(map(len, page.segments)) <= 18 * 512, "NFKC makes 18 characters of one, at most"
    assert len(asked) <= 2
    if times * len(middle) > 1_000:
        assert page.segments[-1] == "netflix"
