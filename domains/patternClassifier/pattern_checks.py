"""Which patterns are allowed: which categories have patterns, which spellings are the same, and what is too general.

Proposals, pattern files and the linter of the default patterns use these checks.
"""

import re
import unicodedata
from collections.abc import Iterator

from domains.categoryPattern.model import LLM_ONLY_CATEGORIES, UNCATEGORIZED, PatternKind
from domains.patternClassifier.urls import UrlPattern, parse_pattern
from domains.patternClassifier.words import split_name

CATEGORIES_WITHOUT_PATTERNS = LLM_ONLY_CATEGORIES | {UNCATEGORIZED}
MINIMUM_TOKEN = 5

PUBLIC_SUFFIXES = frozenset(
    [
        "com",
        "net",
        "org",
        "edu",
        "gov",
        "mil",
        "int",
        "info",
        "biz",
        "io",
        "ai",
        "app",
        "dev",
        "co",
        "me",
        "tv",
        "gg",
        "kr",
        "jp",
        "cn",
        "uk",
        "de",
        "fr",
        "ru",
        "us",
        "eu",
        "in",
        "br",
        "au",
        "ca",
        "it",
        "es",
        "nl",
        "co.kr",
        "or.kr",
        "ac.kr",
        "go.kr",
        "ne.kr",
        "re.kr",
        "pe.kr",
        "hs.kr",
        "ms.kr",
        "es.kr",
        "sc.kr",
        "mil.kr",
        "seoul.kr",
        "co.jp",
        "ne.jp",
        "or.jp",
        "ac.jp",
        "go.jp",
        "co.uk",
        "org.uk",
        "ac.uk",
        "com.cn",
        "net.cn",
        "org.cn",
        "edu.cn",
        "com.tw",
        "edu.tw",
        "com.hk",
        "edu.hk",
        "com.sg",
        "edu.sg",
        "com.au",
        "net.au",
        "edu.au",
        "gov.au",
        "co.nz",
        "ac.nz",
        "co.in",
        "ac.in",
        "gov.in",
        "nic.in",
        "com.br",
        "com.mx",
        "com.ar",
        "com.tr",
        "edu.tr",
        "co.za",
        "ac.za",
        "com.vn",
        "edu.vn",
        "com.my",
        "com.ph",
        "co.th",
        "ac.th",
        "co.id",
        "ac.id",
        "co.il",
        "ac.il",
        "com.ua",
        "com.pl",
    ]
)
"""Hosts under which anybody can register: one would match half the web. (`gov.uk` and the like are portals.)

"""

GENERIC_APPS = frozenset(
    [
        "app",
        "application",
        "browser",
        "chat",
        "client",
        "code",
        "desktop",
        "document",
        "documents",
        "download",
        "editor",
        "email",
        "explorer",
        "file",
        "files",
        "folder",
        "game",
        "games",
        "helper",
        "home",
        "image",
        "installer",
        "launcher",
        "login",
        "main",
        "manager",
        "media",
        "menu",
        "meeting",
        "message",
        "movie",
        "music",
        "new",
        "open",
        "photo",
        "player",
        "print",
        "program",
        "project",
        "reader",
        "search",
        "server",
        "service",
        "setup",
        "shell",
        "start",
        "study",
        "system",
        "test",
        "text",
        "tool",
        "tools",
        "uninstall",
        "untitled",
        "update",
        "updater",
        "user",
        "video",
        "view",
        "viewer",
        "web",
        "window",
        "work",
        "게임",
        "관리자",
        "동영상",
        "문서",
        "뷰어",
        "브라우저",
        "영화",
        "음악",
        "이미지",
        "채팅",
        "파일",
        "편집기",
        "폴더",
        "프로그램",
        "회의",
    ]
)
"""Words that name a kind of program rather than a product."""

ALLOWED_APPS = {
    "code": "the process of Visual Studio Code",
    "explorer": "the process of the Windows file explorer",
    "files": "the file manager of GNOME, and Files for Windows",
    "music": "Apple Music on macOS",
    "음악": "Apple Music on macOS in Korean",
    "home": "Apple Home on macOS",
    "installer": "the installer of macOS",
    "x": "the social network, formerly Twitter",
    "pi": "Inflection's assistant",
    "qq": "Tencent's messenger",
    "tv": "Apple TV on macOS",
    "v3": "AhnLab's antivirus",
    "r": "the console of GNU R",
    "ue": "UltraEdit",
    "vi": "the editor",
}
"""Product names that a rule on app names would refuse, with the reason why each may stand."""

ALLOWED_TOKENS = {
    "localhost": "one's own machine, on any port",
    "swagger-ui": "the API documentation of any server",
    "phpmyadmin": "the database console of any server",
    "jenkins": "build servers are hosted under a company's own domain",
    "gitlab": "likewise",
    "grafana": "likewise",
}
"""The allowed tokens, which are matched in the host and path of every URL, with the reason for each."""


def canonical_pattern(kind: PatternKind, pattern: str) -> UrlPattern | tuple[str, ...]:
    """The common form of all spellings of a pattern. Raises ValueError, with the reason, for a broken one."""
    try:
        pattern.encode()
    except UnicodeEncodeError:
        raise ValueError("half a character, which no store can hold") from None
    if kind is PatternKind.DOMAIN:
        return parse_pattern(pattern)
    if not (words := split_name(pattern)):
        raise ValueError("no letter or digit in it, or far too long for an app's name")
    return tuple(words)


def pattern_problems(kind: PatternKind, pattern: str) -> Iterator[str]:
    """The reasons why a pattern must not be used without review, or should be spelled differently."""
    return app_problems(pattern) if kind is PatternKind.APP else domain_problems(pattern)


def fold(pattern: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", pattern).casefold())


def app_problems(pattern: str) -> Iterator[str]:
    if not pattern.strip():
        yield "empty"
        return
    if unicodedata.normalize("NFC", pattern) != pattern:
        yield "not NFC"
    if " ".join(pattern.split()) != pattern:
        yield "space at an end, or more than one in a row"
    if re.search(r"\.(exe|app)$", pattern, re.IGNORECASE):
        yield "ends in .exe or .app, which matching ignores"
    name = fold(pattern)
    if name in ALLOWED_APPS:
        return
    if name in GENERIC_APPS:
        yield "too general: a word, not a product"
    # a Korean name of two syllables is a word; one or two Latin letters mean too little
    if len(name) < 2 or (len(name) < 3 and name.isascii()):
        yield "too general: too short"


_LOCAL = re.compile(r"file:///\*\.[a-z0-9]{1,8}|(?!https?:|ftp:|wss?:)[a-z-]+://[a-z-]+")
"""A kind of local file; a page of a browser itself, which has a scheme and one label."""


def domain_problems(pattern: str) -> Iterator[str]:
    if not pattern.strip():
        yield "empty"
        return
    if "://" in pattern:
        if not _LOCAL.fullmatch(pattern):
            yield "has a scheme"
        return
    if unicodedata.normalize("NFC", pattern) != pattern:
        yield "not NFC"
    if pattern != pattern.lower():
        yield "has upper case"
    if re.search(r"\s", pattern):
        yield "has a space"
    host, slash, path = pattern.partition("/")
    if host.startswith("www."):
        yield "begins with www."
    if pattern.endswith(("/", ".")) or host.endswith("."):
        yield "ends in a slash or a dot"
    elif "" in host.split(".") or (slash and "" in path.split("/")):
        yield "has an empty label or path segment"
    if re.search(r"[?#@:*\\]", pattern):
        yield "has a query, fragment, user, port or wildcard"
    elif "." in host and not all(re.fullmatch(r"[^\W_]([\w-]*[^\W_])?", x) for x in host.split(".") if x):
        yield "is no host name"
    if "." not in host:
        if slash:
            yield "a path without a host"
        elif len(host) < MINIMUM_TOKEN:
            yield "too general: a token this short is in too many URLs"
        elif host not in ALLOWED_TOKENS:
            yield "too general: a token that is not in the table of allowed ones"
    elif host in PUBLIC_SUFFIXES:
        yield "too general: a public suffix"
