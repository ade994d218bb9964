"""How app patterns match names: table rows with their reasons, for the engine and the referee alike."""

import pytest

from domains.categoryPattern.model import CategoryPattern
from domains.patternClassifier.rules import RuleSet
from domains.patternClassifier.words import QUALIFIERS, split_name
from tests.unit import naive_matcher

DECOMPOSED_KAKAOTALK = "\u110f\u1161\u110f\u1161\u110b\u1169\u1110\u1169\u11a8"

APP_ROWS = [
    # pattern, name, matches, reason
    # -- the name itself
    ("Slack", "Slack", True, "the name"),
    ("slack", "SLACK", True, "any case"),
    ("Slack", "  Slack  ", True, "space around it"),
    ("Visual Studio Code", "Visual  Studio\tCode", True, "any space between"),
    ("카카오톡", DECOMPOSED_KAKAOTALK, True, "macOS reports Korean decomposed"),
    (DECOMPOSED_KAKAOTALK, "카카오톡", True, "and a pattern may be decomposed"),
    ("Pokémon", "Poke\u0301mon", True, "an accent decomposed"),
    ("STRASSE", "Straße", True, "case folded, not only lowered"),
    ("Slack", "Ｓｌａｃｋ", True, "full-width letters"),
    ("Figma", "\ufb01gma", True, "a ligature"),
    ("Figma", "Figma\x00", True, "NUL is no letter"),
    ("WhatsApp", "\u200eWhatsApp", True, "macOS reports a left-to-right mark"),
    ("Photoshop", "Photoshop®", True, "a trademark sign"),
    ("Photoshop", "Photoshop™ 2025", True, "which NFKC would turn into letters"),
    ("chrome", "chrome.exe", True, ".exe falls away"),
    ("Slack", "Slack.APP", True, ".app falls away"),
    ("chrome.exe", "Chrome", True, "and in the pattern"),
    ("chrome.exe", "chrome.exe", True, "and in both"),
    ("foo", "C:\\Program Files\\Foo\\foo.exe", True, "the base name of a Windows path"),
    ("Slack", "/Applications/Slack.app", True, "the base name of a bundle"),
    ("Slack", "/Applications/Slack.app/Contents/MacOS/Slack", True, "the base name of a binary"),
    ("Program Files", "C:\\Program Files\\Foo\\foo.exe", False, "directories do not count"),
    ("Notepad++", "Notepad++", True, "signs that are part of the name"),
    ("Notepad", "Notepad++", False, "another app"),
    ("C", "C#", False, "another language"),
    ("7-Zip", "7-Zip 23.01 (x64)", True, "a name that begins with a digit"),
    ("draw.io", "draw.io", True, "a dot in the name"),
    ("Preview", "Preview", True, "a name that is itself a qualifier"),
    ("베타", "베타", True, "the same in Korean"),
    # -- a whole-word prefix with version, edition, channel or platform behind it
    ("IntelliJ IDEA", "IntelliJ IDEA 2024.2", True, "a version"),
    ("IntelliJ IDEA", "IntelliJ IDEA Ultimate Edition 2024.1.4 EAP", True, "edition, version and channel"),
    ("PyCharm", "PyCharm CE", True, "an edition in short"),
    ("Adobe Photoshop", "Adobe Photoshop 2025", True, "a year"),
    ("Adobe Photoshop", "Adobe Photoshop CC 2019", True, "an edition and a year"),
    ("Adobe Photoshop", "Adobe Photoshop CS6", True, "an edition with a number"),
    ("Code", "Code - Insiders", True, "a channel behind a dash"),
    ("Google Chrome", "Google Chrome Canary", True, "a channel"),
    ("Slack", "Slack (Beta)", True, "a channel in parentheses"),
    ("Slack", "Slack [v4.36.140]", True, "a version with a v, in brackets"),
    ("zoom", "zoom.us", True, "an app that calls itself by its site"),
    ("zoom.us", "zoom.us", True, "and a pattern that does"),
    ("zoom.us", "zoom.us.app", True, "and the bundle"),
    ("zoom.us", "zoom", False, "the pattern says more"),
    ("zoom", "Zoom US Flights", False, "a word is no domain"),
    ("Figma", "Figma Desktop", True, "a platform"),
    ("Python", "Python 3.11 (64-bit)", True, "a version and a word length"),
    ("Python 3", "Python 3.11", True, "a version narrows the pattern's"),
    ("Python 2", "Python 3.11", False, "another version"),
    ("Unity", "Unity 2022.3.10f1", True, "a version with letters"),
    ("MATLAB", "MATLAB R2024a", True, "a release by year"),
    ("Visual Studio", "Microsoft Visual Studio", False, "a suffix is no prefix"),
    ("Visual Studio", "Visual Studio Enterprise 2022 (Preview)", True, "edition, year and channel"),
    ("Microsoft Teams", "Microsoft Teams (work or school)", True, "Microsoft's own words"),
    ("Outlook", "Outlook (new)", True, "Microsoft's own words"),
    ("Safari", "Safari Technology Preview", True, "a channel of two words"),
    ("Firefox", "Firefox Developer Edition", True, "an edition of two words"),
    ("Chrome", "Chrome for Testing", True, "a channel of two words"),
    ("Slack", "Slack for Windows", True, "a platform"),
    ("Docker", "Docker Desktop 4.30.0 (Apple Silicon)", True, "platform, version, platform"),
    ("Node", "Node 20.11.1 x86_64", True, "a platform with an underscore"),
    ("Game", "Game 1.0 Build 4711", True, "a build number"),
    ("Final Cut Pro", "Final Cut Pro X", True, "a Roman version"),
    ("Xcode", "Xcode-beta", True, "a channel behind a hyphen"),
    ("Foo", "Foo, Version 2", True, "a comma"),
    ("Google Chrome", "Google Chrome 126.0.6478.127 (Official Build) (64-bit)", True, "as its version page says"),
    ("Discord", "Discord PTB", True, "a public test build"),
    ("Photoshop", "Photoshop CS6 Extended", True, "a version and an edition"),
    ("Foo", "Foo 2nd Edition", True, "a number with letters, where an edition follows"),
    ("Docker", "Docker Desktop (Apple M1)", True, "the name of a processor"),
    ("카카오톡", "카카오톡 베타", True, "a Korean channel"),
    ("카카오톡", "카카오톡 맥OS용", True, "a Korean platform with Latin letters"),
    ("네이버 웨일", "네이버 웨일 4.0 (공식 빌드) (64비트)", True, "a Korean version page"),
    ("한글", "한글 제2판", True, "an edition by number"),
    ("카카오톡", "카카오톡(베타)", True, "without a space"),
    ("카카오톡", "카카오톡 PC버전", True, "a Korean platform"),
    ("카카오톡", "카카오톡 맥용", True, "a Korean platform"),
    ("한컴오피스 한글", "한컴오피스 한글 2022", True, "a year"),
    ("한글", "한글 2022 평가판", True, "a year and a Korean edition"),
    ("알약", "알약 무료 버전 2.5 (64비트)", True, "all at once"),
    # -- a prefix with anything else behind it
    ("linear", "Linear Regression Tool", False, "another app"),
    ("linear", "Linear 2 Regression", False, "a version does not help it"),
    ("notion", "Notion of Time", False, "another app"),
    ("notion", "Notion Calendar", False, "another app of the same maker"),
    ("Word", "Word Puzzle", False, "another app"),
    ("Android Studio", "Android Studio Koala", False, "a version's nickname is in no table"),
    ("Microsoft", "Microsoft Store", False, "a store only with its platform"),
    ("Foo", "Foo Test", False, "too general a word"),
    ("Visual Studio", "Visual Studio Code", False, "another app"),
    ("Paint", "Paint 3D", False, "a digit with a letter is a name"),
    ("Paint", "Paint.NET", False, "another app"),
    ("Node", "Node.js", False, "another name"),
    ("Chrome", "Chrome Remote Desktop", False, "another app, though it ends in a platform"),
    ("Android", "Android Studio", False, "another app"),
    ("Slack", "Slack for Pirates", False, "no platform"),
    ("Game", "Game Build", False, "a build without its number"),
    ("한글", "한글 타자연습", False, "another app"),
    # -- as platforms spell them
    ("Slack", "Slack Helper (Renderer)", True, "a process of it"),
    ("Code", "Code Helper", True, "a process of it"),
    ("Prism Launcher", "prismlauncher.exe", True, "an executable joins the words"),
    ("GitHub Desktop", "GitHubDesktop.exe", True, "with humps"),
    ("네이버 웨일", "네이버웨일", True, "Korean, without the space"),
    ("DaisyDisk", "Daisy Disk", True, "and with one too many"),
    ("draw.io", "drawio", True, "a dot as little as a space"),
    ("V3", "V 3", False, "two letters are too few for that"),
    ("Discord", "DiscordPTB.exe", True, "a channel behind a hump"),
    ("Firefox", "FirefoxNightly", True, "a channel behind a hump"),
    ("Firefox", "firefoxnightly", True, "and without one"),
    ("ManicTime", "ManicTimeClient.exe", True, "what programs add"),
    ("OBS", "obs64.exe", True, "a word length"),
    ("WinZip", "winzip64.exe", True, "a word length"),
    ("JetBrains Client", "jetbrains_client64.exe", True, "behind an underscore"),
    ("Python", "python3.11.exe", True, "a version that joins the name"),
    ("Cubase", "Cubase13.exe", True, "a version of two digits"),
    ("iTerm", "iTerm2", False, "one digit is part of a name"),
    ("calibre", "calibre-gui", True, "what a toolkit adds"),
    ("Firefox", "firefox-bin", True, "what a build adds"),
    ("Firefox", "firefox-trunk-dev", True, "two channels"),
    ("Firefox", "Navigator", True, "a window class that does not say so"),
    ("Firefox", "firefox_firefox", True, "a snap"),
    ("Telegram Desktop", "telegram-desktop_telegram-desktop", True, "a snap of two words"),
    ("Obsidian", "Obsidian-1.5.3.AppImage", True, "an AppImage"),
    ("Firefox", "org.mozilla.firefox", True, "a reversed domain"),
    ("Visual Studio Code", "com.microsoft.VSCode", True, "one with an abbreviation"),
    ("Figma", "com.figma.Desktop", True, "one that ends in a platform"),
    ("Brave Browser", "com.brave.Browser", True, "one whose maker is part of the name"),
    ("Brave", "com.brave.Browser", True, "or all of it"),
    ("KakaoTalk", "com.kakao.KakaoTalkMac", True, "one with a platform behind a hump"),
    ("LibreOffice Writer", "org.libreoffice.LibreOffice.writer", True, "one of four parts"),
    ("Microsoft Teams", "com.microsoft.teams2", True, "one with a version"),
    ("Zoom", "us.zoom.xos", True, "one that has to be known"),
    ("Arc", "company.thebrowser.Browser", True, "another one"),
    ("Notion", "notion.id", True, "and a domain that is not reversed"),
    ("Microsoft", "com.microsoft.Whatever", False, "a maker of many is no product"),
    ("Whatever", "com.whatever", True, "of two parts"),
    ("Music", "music.example.com", False, "a domain that is not reversed"),
    ("Calculator", "Microsoft.WindowsCalculator_8wekyb3d8bbwe!App", True, "a package of the Microsoft Store"),
    ("WhatsApp", "5319275A.WhatsAppDesktop_cv1g1gvanyjgm!App", True, "another one"),
    ("WhatsApp", "(2) WhatsApp", True, "a count of what is unread"),
    ("WhatsApp", "(99+) WhatsApp", True, "so many"),
    ("Slack", "● Slack", True, "a mark"),
    ("OneNote", "Microsoft OneNote", True, "the maker in front"),
    ("NetBeans", "Apache NetBeans IDE 22", True, "and more behind"),
    ("Terminal", "GNOME Terminal", True, "the platform in front"),
    ("WebStorm", "jetbrains-webstorm", True, "the maker in a window class"),
    ("IntelliJ IDEA", "jetbrains-idea-ce", True, "and an abbreviation"),
    ("Slack", "/Applications/Slack.app/Contents/MacOS/Electron", True, "the bundle around a program"),
    ("Font Book", "서체 관리자", True, "an app of macOS in Korean"),
    ("Calendar", "일정", True, "an app of Windows in Korean"),
    ("Ableton Live", "Ableton Live 12 Suite", True, "an edition"),
    ("DaVinci Resolve", "DaVinci Resolve Studio", True, "an edition of this product alone"),
    ("Regression Tool", "Linear Regression Tool", False, "not every word in front is a maker"),
    # -- no prefix at all
    ("line", "linear", False, "half a word"),
    ("line", "online banking", False, "the end of a word"),
    ("line", "LINE", True, "the messenger"),
    ("카카오", "카카오톡", False, "half a Korean word"),
    ("Chrome", "Google Chrome", False, "a suffix"),
    ("Google Chrome", "Google", False, "the pattern says more"),
    ("iTerm", "iTerm2", False, "another word"),
    ("Slack", "", False, "no name"),
    ("Slack", "🎵 ()", False, "no word in it"),
    ("Slack", "Slack " + "2 " * 300, False, "far too long for a name"),
    ("Slack", "Slack" + " " * 100_000, True, "space around does not make it long"),
]


@pytest.mark.parametrize(("pattern", "name", "matches", "reason"), APP_ROWS)
def test_app_pattern(pattern: str, name: str, matches: bool, reason: str) -> None:
    patterns = [CategoryPattern("1" * 24, "Design", None, (pattern,))]
    rules = RuleSet(patterns)
    assert (rules.match(name, "") is not None) is matches, reason
    assert bool(rules.candidates(name, "")) is matches, reason
    assert bool(naive_matcher.candidates(patterns, name, "")) is matches, f"referee: {reason}"


@pytest.mark.parametrize(
    ("app", "url", "category", "tier", "reason"),
    [
        ("Google Chrome", "https://figma.com/", "Design", "url", "a browser does not hide the URL"),
        ("Google Chrome", "https://unknown.io/", "Browsing", "app", "no URL pattern: the app decides"),
        ("Google Chrome", "", "Browsing", "app", "no URL: the app decides"),
        ("Figma", "https://google.com/search", "Design", "app", "an app that is no browser shows no URL of its own"),
        ("Unheard Of", "https://figma.com/", "Design", "url", "an app that no rule knows may be a browser"),
        ("Google Chrome", "https://x.io/swagger-ui/", "Development", "url", "a token is a URL pattern"),
        ("Google", "", "E", "app", "the shorter pattern where the longer does not match"),
        ("Google Chrome Dev", "", "Browsing", "app", "the longer pattern"),
        ("Google Chrome Dev Beta", "", "Browsing", "app", "the longer pattern with words behind it"),
    ],
)
def test_precedence(app: str, url: str, category: str, tier: str, reason: str) -> None:
    patterns = [
        CategoryPattern("1" * 24, "Browsing", None, ("Google Chrome", "Google Chrome Dev"), ("google.com",)),
        CategoryPattern("2" * 24, "Design", None, ("Figma",), ("figma.com",)),
        CategoryPattern("3" * 24, "Development", None, (), ("swagger-ui",)),
        CategoryPattern("4" * 24, "E", 1, ("Google",)),
    ]
    rules = RuleSet(patterns)
    found = rules.match(app, url)
    assert found is not None
    assert (found.category, found.tier) == (category, tier), reason
    assert found == rules.candidates(app, url)[0]
    assert naive_matcher.candidates(patterns, app, url)[0][:2] == (category, tier)


def test_equal_app_patterns_go_by_priority_then_name_whatever_the_order() -> None:
    patterns = [
        CategoryPattern("1" * 24, "B", None, ("Foo.exe",)),
        CategoryPattern("2" * 24, "D", 5, ("foo",)),
        CategoryPattern("3" * 24, "C", 5, ("FOO", "Foo")),
        CategoryPattern("4" * 24, "A", None, ("Foo",)),
    ]
    expected = [("C", "FOO"), ("C", "Foo"), ("D", "foo"), ("A", "Foo"), ("B", "Foo.exe")]
    for ordered in (patterns, patterns[::-1]):
        assert [(m.category, m.pattern) for m in RuleSet(ordered).candidates("foo", "")] == expected


@pytest.mark.parametrize("pattern", ["", "  ", ".exe", "🎵", "++", "x" * 1000])
def test_broken_app_pattern_is_reported_and_skipped(pattern: str) -> None:
    rules = RuleSet([CategoryPattern("1" * 24, "Design", None, (pattern, "Figma"))])
    (problem,) = rules.problems
    assert (problem.category, problem.pattern) == ("Design", pattern)
    assert "app pattern: no letter or digit" in problem.reason
    assert rules.size == 1
    assert rules.match("Figma", "") is not None


def test_a_category_with_a_colon_is_used_and_told_of() -> None:
    rules = RuleSet([CategoryPattern("1" * 24, "Design: UI", None, ("Figma",))])

    (problem,) = rules.problems
    assert (problem.category, problem.pattern) == ("Design: UI", "")
    assert "colon" in problem.reason
    assert rules.match("Figma", "") is not None


def test_table_of_qualifiers_is_written_in_folded_form() -> None:
    # A word that folds to something else could never be found.
    assert [said for said in QUALIFIERS if " ".join(split_name(said)) != said and said[0] != "."] == []


def test_repeated_window_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domains.patternClassifier.rules._MEMO_ENTRIES", 10)
    rules = RuleSet([CategoryPattern("1" * 24, "Design", None, ("Figma",), ("figma.com",))])
    for number in range(100):
        found = rules.match("Figma", f"https://figma.com/{number}")
        assert found is rules.match("Figma", f"https://figma.com/{number}")
        assert rules.match(f"App{number}", "") is None
    rules.match("Figma " * 200, "https://figma.com/" + "x" * 1000)
    assert 0 < len(rules._windows) <= 10
    assert 0 < len(rules._names) <= 10
    assert all(len(app) + len(url) <= 512 for app, url in rules._windows)


def test_no_patterns_match_nothing() -> None:
    rules = RuleSet([])
    assert (rules.size, rules.problems) == (0, ())
    assert rules.match("Figma", "https://figma.com/") is None
    assert rules.candidates("Figma", "https://figma.com/") == []
