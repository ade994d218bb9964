"""What of a window is sent and remembered: table rows with their reasons, and what holds for any text at all."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domains.kernel.window import Window
from domains.patternClassifier.privacy import PRIVATE_APPS, PRIVATE_HOSTS, Privacy
from domains.patternClassifier.questions import Question, Questions

QUESTIONS = Questions()

TITLE_ROWS = [
    # title, what leaves, reason
    # -- stays, because it decides
    ("H2O 분자 - Google 검색", "H2O 분자 - Google 검색", "a name with a digit"),
    ("Windows 11 업데이트", "Windows 11 업데이트", "a version"),
    ("Blender 3D", "Blender 3D", "a short word"),
    ("v2.3.1 released", "v2.3.1 released", "a version with dots"),
    ("v1.2.3.4", "v1.2.3.4", "and one that could be an address"),
    ("Chrome 131.0.6778.86", "Chrome 131.0.6778.86", "and one that could not"),
    ("BOJ 1000번", "BOJ 1000번", "four digits are a year, a problem, a level"),
    ("Best of 2024", "Best of 2024", "a year"),
    ("2023-2024 season", "2023-2024 season", "two years"),
    ("SHA-256, RFC-2616, UTF-8", "SHA-256, RFC-2616, UTF-8", "names that look like tickets"),
    ("Severance S01E02 1080p60fps", "Severance S01E02 1080p60fps", "letters and digits in turns, but few"),
    ("x264 h265 mp3tomp4 win10x64 x86_64 i18n", "x264 h265 mp3tomp4 win10x64 x86_64 i18n", "the same"),
    ("AbstractSingletonProxyFactoryBean.java", "AbstractSingletonProxyFactoryBean.java", "long, but words"),
    ("TCP/IP, and/or UI/UX/Design", "TCP/IP, and/or UI/UX/Design", "slashes that are no path"),
    ("POST /sessions — Timer API", "POST /sessions — Timer API", "one segment tells nothing"),
    ("AC/DC - Back In Black", "AC/DC - Back In Black", "a band"),
    ("강의자료_3주차.pdf – 12/48페이지", "강의자료_3주차.pdf – 12/48페이지", "a file's name without its place"),
    ("12,345원", "12,345원", "a price"),
    ("1920x1080", "1920x1080", "a resolution"),
    ("localhost:3000", "localhost:3000", "says that somebody develops"),
    # -- masked, because it identifies
    ("kim.minjun+work@gmail.com 님의 편지", "[email] 님의 편지", "an e-mail address"),
    ("문의:kim@회사.한국", "문의:[email]", "in other scripts"),
    ("kim＠corp.com", "[email]", "with a full-width @"),
    ("deploy@web-1: ~/apps", "[email]: [path]", "an account on a machine, a home"),
    ("Call +82 10-1234-5678 now", "Call [number] now", "a Korean phone abroad"),
    ("010-1234-5678", "[number]", "a Korean phone"),
    ("010.1234.5678", "[number]", "with dots"),
    ("(02) 123-4567", "[number]", "a landline"),
    ("+1 (555) 123-4567", "[number]", "an American one"),
    ("1234 5678 9012 3456", "[number]", "a card"),
    ("900101-1234567", "[number]", "a resident registration number"),
    ("900101-1******", "[number]******", "half hidden"),
    ("DE89 3704 0044 0532 0130 00", "DE[number]", "an IBAN"),
    ("DE89370400440532013000", "[token]", "without blanks"),
    ("110-234-567890 입금", "[number] 입금", "an account"),
    ("잔액 1,234,567원", "잔액 [number]원", "an amount"),
    ("주문번호 20250902123456 확인", "주문번호 [number] 확인", "an order"),
    ("٠١٢٣٤٥٦٧٨", "[number]", "digits of another script"),
    ("C:\\Users\\kim\\My Secret Plan.docx - Word", "[path].docx - Word", "a Windows path with blanks"),
    ("\\\\server\\share\\x.txt", "[path].txt", "a share"),
    ("~/src/focus-timer — zsh", "[path] — zsh", "a home"),
    ("/Users/kim/tax 2024.xlsx - Excel", "[path].xlsx - Excel", "a path of macOS with blanks"),
    ("vim /etc/nginx/nginx.conf", "vim [path].conf", "a path of Unix"),
    ("src/main/app/foo.py - x", "[path].py - x", "a relative path to a file"),
    ("https://user:pw@github.com/a/b?token=abc - GitHub", "github.com - GitHub", "a URL"),
    ("docs.google.com/document/d/1AbC?usp=sharing", "docs.google.com", "without scheme"),
    ("http://10.0.0.1:8080/admin", "[address]", "a URL without a name"),
    ("192.168.0.1 router", "[address] router", "an IPv4 address"),
    ("eth0 fe80::1 and 2001:db8:0:1::2", "eth0 [address] and [address]", "IPv6 addresses"),
    ("commit d41d8cd98f00b204e9800998ecf8427e", "commit [token]", "a hash"),
    ("123e4567-e89b-12d3-a456-426614174000", "[token]", "a UUID"),
    ("key sk-proj-AbCdEfGh12345678", "key [token]", "a key of an API"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "[token]", "a JWT"),
    ("order a1b2c3d4e5", "order [token]", "letters and digits in turns"),
    # -- masked, because it keeps equal windows from sharing an answer
    ("[JIRA-123] fix login", "[JIRA-[number]] fix login", "a ticket's project stays"),
    ("Pull Request #42", "Pull Request #[number]", "one of many"),
    ("(12) Inbox", "Inbox", "unread"),
    ("(99+) Feed", "Feed", "unread, many"),
    ("받은편지함 (3) - Gmail", "받은편지함 - Gmail", "unread, further right"),
    ("Dune (1984) f(2)", "Dune (1984) f(2)", "a year and a call are no counters"),
    ("● main.py — focus-timer", "main.py — focus-timer", "unsaved"),
    ("*Untitled - Notepad", "Untitled - Notepad", "unsaved"),
    ("● (3) * Slack", "Slack", "all at once"),
    ("24:59 - Pomofocus", "[time] - Pomofocus", "a timer"),
    ("2025-09-02 12:34:56 log", "[date] [time] log", "a moment"),
    ("2025년 9월 2일 일정", "[date] 일정", "a date in Korean"),
    ("banner.psd @ 66.7% (RGB/8)", "banner.psd @ [number]% (RGB/8)", "a zoom"),
    ("  Inbox \t-\n Gmail ", "Inbox - Gmail", "blanks"),
    ("\u1112\u1161\u11ab\u1100\u1173\u11af", "한글", "decomposed"),
    ("12345~/plans", "[number][path]", "what a mask lays bare is masked too"),
    # -- gone, because nobody sees it
    ("a\u200bb\u202ec\x00d\ufeff", "abcd", "zero width, bidi, controls"),
    ("x\U000e0041\U000e0042y\ufe0f", "xy", "tags, in which text can hide"),
    ("half \ud800 pair", "half pair", "a lone surrogate, which is no text"),
]


@pytest.mark.parametrize(("title", "expected", "reason"), TITLE_ROWS)
def test_title(title: str, expected: str, reason: str) -> None:
    assert QUESTIONS.of(Window("", "", title)).title == expected, reason


SITE_ROWS = [
    # url, site, reason
    ("https://www.Figma.com:443/File/a1b2c3/Focus?x=1#y", "www.figma.com/file", "an identifier ends the path"),
    ("https://github.com/focus-lab/timer/pull/42", "github.com/focus-lab/timer", "two segments"),
    ("naver.com", "naver.com", "a host"),
    ("https://user:pw@host.com/a;b=1/c", "host.com", "user info goes, and noise ends the path"),
    ("https://a.com/%ff%fe/x", "a.com", "percent noise"),
    ("https://a.com/123e4567-e89b-12d3-a456-426614174000", "a.com", "a UUID"),
    ("https://a.com/kim@corp.com/x", "a.com", "an e-mail address"),
    ("https://youtube.com/@kim/videos", "youtube.com", "an account"),
    ("https://linkedin.com/in/john-doe", "linkedin.com/in", "a person"),
    ("https://a.com/2024/09", "a.com", "numbers say nothing"),
    ("https://a.com/" + "a" * 21, "a.com/" + "a" * 21, "long"),
    ("https://a.com/" + "word-" * 7, "a.com", "longer than 32 characters"),
    ("https://a.com/dqw4w9wgxcq", "a.com", "letters and digits in turns"),
    ("https://a.com/v2/calculus-1", "a.com/v2/calculus-1", "words with numbers"),
    ("https://ko.wikipedia.org/wiki/산업_혁명", "ko.wikipedia.org/wiki/산업_혁명", "Korean"),
    ("https://xn--bj0bj06e.com/", "한글.com", "punycode"),
    ("https://d111111abcdef8.cloudfront.net/a", "cloudfront.net/a", "a label that is an identifier"),
    ("https://203-0-113-9.isp.example/", "isp.example", "an address in a host"),
    ("http://localhost:3000/boards", "localhost", "one's own machine"),
    ("http://127.0.0.1:8000/", "localhost", "the same"),
    ("http://[::1]/", "localhost", "the same"),
    ("http://192.168.0.10/admin", "private-address", "a private network"),
    ("http://[fe80::1]/a", "private-address", "the same"),
    ("http://8.8.8.8/x/y", "address", "a public address"),
    ("file:///Users/kim/plan.pdf", "file:", "a local path never leaves"),
    ("FILE://server/share/plan.pdf", "file:", "nor one on a server"),
    ("/Users/kim/plan.pdf", "", "nor one without scheme"),
    ("C:\\Users\\kim\\plan.pdf", "", "nor one of Windows"),
    ("data:text/html,secret", "", "content"),
    ("mailto:kim@corp.com", "", "an e-mail address"),
    ("\ud800.com/x", "", "no host"),
    ("a" * 300 + ".com", "", "too long for a host"),
    ("", "", "none"),
]


@pytest.mark.parametrize(("url", "expected", "reason"), SITE_ROWS)
def test_site(url: str, expected: str, reason: str) -> None:
    assert QUESTIONS.of(Window("", url, "")).site == expected, reason


@pytest.mark.parametrize(
    ("app", "expected", "reason"),
    [
        ("Google Chrome", "Google Chrome", "as it is"),
        ("  Visual  Studio\tCode ", "Visual Studio Code", "blanks"),
        ("MATLAB R2025a", "MATLAB R2025a", "a version"),
        ("7-Zip 23.01 (x64)", "7-Zip 23.01 (x64)", "a version"),
        ("/Applications/Slack.app/Contents/MacOS/Slack", "Slack", "a path's last name"),
        ("C:\\Users\\kim\\AppData\\Foo\\foo.exe", "foo.exe", "a path's last name"),
        ("\u200eWhatsApp", "WhatsApp", "a mark that macOS puts there"),
        ("Chat kim@corp.com", "Chat [email]", "masked like a title"),
        ("A" * 19 + " " + "b c " * 50, ("A" * 19 + " " + "b c " * 50)[:80].strip(), "cut"),
    ],
)
def test_app(app: str, expected: str, reason: str) -> None:
    assert QUESTIONS.of(Window(app, "", "")).app == expected, reason


def test_titles_need_not_be_sent() -> None:
    asked = Questions(with_titles=False).of(Window("Slack", "https://slack.com/x", "secret"))

    assert asked == Question("Slack", "slack.com/x", "")


def test_the_number_of_path_segments_is_an_option() -> None:
    key = Window("", "https://a.com/one/two/three", "")

    assert [Questions(path_segments=n).of(key).site for n in (0, 1, 3)] == [
        "a.com",
        "a.com/one",
        "a.com/one/two/three",
    ]


# What may leave


@pytest.mark.parametrize(
    ("app", "url", "expected", "reason"),
    [
        ("Google Chrome", "https://github.com/a", True, "a public site"),
        ("", "", True, "nothing to hide"),
        ("", "http://8.8.8.8/", True, "a public address"),
        ("", "http://localhost:3000", False, "one's own machine"),
        ("", "http://app.localhost", False, "below it"),
        ("", "http://10.1.2.3/", False, "a private network"),
        ("", "http://[fd00::1]/", False, "a private network"),
        ("", "http://100.64.0.1/", False, "a carrier's network"),
        ("", "https://printer.local/", False, "a local name"),
        ("", "https://wiki.private/", False, "what offices call their own network"),
        ("", "http://expyuzz4wqqyqhjn.onion/", False, "a hidden service"),
        ("", "http://api.prod.svc:8080/", False, "a service of a cluster"),
        ("", "https://nas.tail1234.ts.net/", False, "an overlay network"),
        ("", "https://ts.network/", True, "not at a label's boundary"),
        ("", "https://local.com/", True, "a label further left is none"),
        ("", "https://wiki.corp.example/x", False, "below a host of the setting"),
        ("", "https://CORP.example.:8443/", False, "the host itself"),
        ("", "https://notcorp.example/", True, "not at a label's boundary"),
        ("", "https://evil.com/?corp.example", True, "not in a query"),
        ("", "http://8.8.4.77/", False, "in a network of the setting"),
        ("", "http://9.9.9.9/", False, "an address of the setting"),
        ("", "https://kb.사내.한국/", False, "a host in Unicode"),
        ("1Password", "", False, "a password manager"),
        ("1Password 8", "", False, "with a version"),
        ("/Applications/Bitwarden.app", "", False, "by its path"),
        ("키체인 접근", "", False, "in Korean"),
        ("ACME Payroll", "", False, "an app of the setting"),
        ("acme-payroll.exe", "", False, "folded"),
        ("ACME Payroll - Kim", "", False, "with more behind it"),
        ("", "http://wiki/page", False, "a host of one label"),
        ("", "http://127.1/", False, "an address in an odd spelling"),
        ("Payroll", "", True, "not the whole name"),
    ],
)
def test_what_may_leave(app: str, url: str, expected: bool, reason: str) -> None:
    privacy = Privacy(apps=["ACME Payroll"], hosts=["*.corp.example", "8.8.4.0/24", "9.9.9.9", "xn--220bv61a.한국"])

    assert Questions(privacy).may_leave(Window(app, url, "")) == expected, reason


@pytest.mark.parametrize("name", PRIVATE_APPS)
def test_every_private_app_is_kept(name: str) -> None:
    assert not QUESTIONS.may_leave(Window(name, "", ""))


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_every_private_host_is_kept(host: str) -> None:
    assert not QUESTIONS.may_leave(Window("", f"https://a.{host}/", ""))


@pytest.mark.parametrize("options", [{"hosts": ["not a host"]}, {"apps": ["---"]}])
def test_what_would_protect_nothing_is_refused(options: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="is no"):
        Privacy(**options)


# What holds for any text at all

PIECES = st.sampled_from(
    [
        "@",
        ".",
        "-",
        "/",
        "\\",
        ":",
        "::",
        " ",
        "#",
        "%",
        "(",
        ")",
        "[",
        "]",
        "+",
        ",",
        "12",
        "2024",
        "12345",
        "a1b2c3",
        "kim",
        "kim@a.com",
        "http://",
        "www.",
        "C:\\",
        "~/",
        "/Users/",
        "file:",
        "[number]",
        "[email]",
        "●",
        "*",
        "!",
        "10.0.0.1",
        "localhost",
        "xn--",
        "%2f",
        "010-1234-5678",
        "dead",
        "BEEF",
        "년",
        "2025년 1월",
        "한",
        "하",
        "́",
        "\u200b",
        "�",
        "\x00",
        "\n",
        "sk-",
        "JIRA-",
        "A" * 30,
        "aB" * 12,
        "9" * 20,
    ]
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join))
E_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")


@given(app=TEXTS, url=TEXTS, title=TEXTS)
@example(app="", url="\ud800", title="\ud800")
def test_the_question_of_a_question_is_the_same(app: str, url: str, title: str) -> None:
    asked = QUESTIONS.of(Window(app, url, title))

    assert QUESTIONS.of(Window(asked.app, asked.site, asked.title)) == asked
    assert QUESTIONS.may_leave(Window(app, url, title)) in (True, False)


@given(app=TEXTS, url=TEXTS, title=TEXTS)
def test_a_question_is_short_and_can_be_sent(app: str, url: str, title: str) -> None:
    asked = QUESTIONS.of(Window(app, url, title))

    assert len(asked.app) <= 80
    assert len(asked.title) <= 160
    assert "?" not in asked.site
    "".join(asked).encode()


@given(
    before=TEXTS, name=st.from_regex(r"[a-z0-9.+_-]{1,20}@[a-z0-9-]{1,20}\.[a-z]{2,5}", fullmatch=True), behind=TEXTS
)
def test_no_e_mail_address_survives(before: str, name: str, behind: str) -> None:
    asked = QUESTIONS.of(Window(name, f"https://a.com/{name}/", f"{before}{name}{behind}"))

    assert not E_MAIL.search("\n".join(asked))


@pytest.mark.parametrize(
    "noise",
    [
        "a",
        "@",
        "a@",
        "1-",
        "1 ",
        "(",
        "/a",
        "\\a",
        "a.",
        "a1",
        ":",
        "::1",
        "C:\\ ",
        "-",
        "\u0301",
        "\ud800",
        "eyJ",
        "[(",
        " ",
    ],
)
def test_length_does_not_change_what_comes_out(noise: str) -> None:
    short = noise * (512 // len(noise) + 1)
    asked = QUESTIONS.of(Window(short, "", short))

    assert QUESTIONS.of(Window(noise * 100_000, "", noise * 100_000)) == asked


def test_what_lies_far_behind_is_not_read() -> None:
    """However little is left of what is before it: so no text takes longer than one of the length that is read."""
    title = QUESTIONS.of(Window("", "", "a1" * 250 + " x" * 40 + " marker end")).title

    assert title.startswith("[token] x x")
    assert "marker" not in title


@pytest.mark.parametrize(
    ("title", "expected", "reason"),
    [
        ("call 010–1234–5678 now", "call [number] now", "other dashes"),
        ("call 010·1234·5678", "call [number]", "dots in the middle"),
        ("call ０１０－１２３４－５６７８", "call [number]", "full width"),
        ("password: hunter2", "password: [token]", "what follows the name of a secret"),
        ("비밀번호=abcd", "비밀번호=[token]", "in Korean"),
        ("Login - https://wiki.secret.corp.kr/x", "Login - [url]", "a private host"),
        ("wiki.secret.corp.kr home", "[url] home", "a private host by itself"),
        ("www.example.com home", "www.example.com home", "another one"),
    ],
)
def test_titles_that_say_too_much(title: str, expected: str, reason: str) -> None:
    questions = Questions(Privacy(["secret.corp.kr"]))

    assert questions.of(Window("", "", title)).title == expected, reason


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s.io/010-1234-5678/x", "s.io"),
        ("vscode://file/home/hong/x", "vscode:"),
        ("smb://nas/hong/x", "smb:"),
        ("\\\\nas\\hong", "file:"),
        ("chrome://settings/passwords", "chrome:"),
    ],
)
def test_sites_that_would_say_too_much(url: str, expected: str) -> None:
    assert Questions().of(Window("", url, "")).site == expected


def test_a_phone_number_in_the_name_of_an_app_is_masked_and_its_version_is_not() -> None:
    assert Questions().of(Window("App 010-1234-5678", "", "")).app == "App [number]"
    assert Questions().of(Window("Build 12345", "", "")).app == "Build 12345"
