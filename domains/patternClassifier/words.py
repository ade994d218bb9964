"""The words of an app's name, and the table of those that say only version, edition, channel or platform.

A pattern may be followed by such words and still mean the same app. Everything
here is written in folded form (`split_name`): lower case, NFKC, a dot kept only where it joins ("zoom.us" is
"zoom" and ".us", "3.11" is "3" and ".11"). Phrases of several words are joined by one space.

The table is short on purpose. A missing word costs one question to a later tier; a word too many gives a
wrong category, which no later tier corrects. So "studio", "online", "player", "tv" and "3d" are not in it.
`app_names.py` has the spellings of platforms, which no table of words tells.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache


def _table(text: str) -> frozenset[str]:
    return frozenset(" ".join(phrase.split()) for phrase in text.replace("\n", ",").split(",") if phrase.strip())


VERSIONS = _table("""
    version, ver, v, release, lts, ltsc, long term support, new, latest
    버전, 판, 최신, 신규, 신버전, 구버전, 릴리스, 릴리즈
    ii, iii, iv, vi, vii, viii, ix, x, xi, xii, xiii, xiv, xv, xvi
""")
CHANNELS = _table("""
    alpha, beta, canary, dev, nightly, preview, insider, insiders, rc, ga, stable, unstable, experimental
    snapshot, trunk, aurora, prerelease, pre release, release candidate, eap, early access, esr, oss, classic, legacy
    developer preview, technology preview, technical preview, insider preview, work preview
    developer beta, public beta, open beta, closed beta, for testing, extended support release
    beta channel, dev channel, canary channel, stable channel, nightly build, daily, daily build, dev build
    canary build, test build, preview build, release build, debug build, official build, public test build, ptb
    베타, 알파, 카나리, 카나리아, 나이틀리, 나이틀리 빌드, 프리뷰, 미리보기, 미리 보기, 얼리 액세스, 앞서 해보기
    공개 베타, 비공개 베타, 오픈 베타, 클로즈 베타, 클로즈드 베타, 출시 후보, 개발판, 개발 버전, 테스트판, 테스트 빌드
    정식 빌드, 공식 빌드, 공식 버전, 안정화
    정식, 안정, 클래식, 레거시, 인사이더, 개발자용, 개발자 프리뷰, 개발자 버전, 테스트 버전, 베타 채널
""")
EDITIONS = _table("""
    edition, community, ce, professional, pro, premium, ultimate, enterprise, education, educational, academic
    student, students, home, business, personal, standard, basic, starter, express, free, trial, demo, lite
    extended, edu, plus, portable, suite, ide, ltr
    cc, dc, goty, remastered, evaluation, registered, unregistered, licensed, unlicensed
    developer edition, dev edition, definitive edition, special edition, deluxe edition, anniversary edition
    limited edition, gold edition, complete edition, first edition, second edition, 2nd edition, 3rd edition
    collectors edition, collector s edition, game of the year edition, java edition, bedrock edition
    server edition, team edition, for business, for education, for enterprise, for work, for home, work or school
    home and student, home and business
    에디션, 커뮤니티, 프로, 프로페셔널, 프리미엄, 얼티밋, 엔터프라이즈, 비즈니스, 스탠다드, 스탠더드, 베이직
    라이트, 플러스, 익스프레스, 포터블, 무설치, 무료, 유료, 데모, 체험판, 평가판, 시험판, 교육판
    개인용, 가정용, 기업용, 업무용, 교육용, 학생용, 학교용, 교육기관용, 공공기관용, 전문가용, 회사 또는 학교
    개발자 에디션, 홈 에디션, 얼티메이트, 퍼스널, 에듀, 국제판, 배포판, 설치판
    한글판, 한국어판, 영문판, 한국어, 한국어 korean
""")
_PLATFORM_NAMES = _table("""
    windows, win, win32, win64, uwp, mac, macos, mac os, macosx, mac os x, osx, os x, linux, ubuntu, debian
    fedora, chromeos, android, ios, ipados, iphone, ipad, desktop, mobile, tablet, pc, web
    데스크톱, 데스크탑, 모바일, 태블릿, 피시, 웹, 웹앱, 윈도, 윈도우, 윈도우즈, 맥, 맥os, 맥 os, 리눅스, 우분투
    안드로이드, 아이폰, 아이패드
""")
PLATFORMS = (
    _PLATFORM_NAMES
    | {f"for {name}" for name in _PLATFORM_NAMES}
    | {f"{name}용" for name in _PLATFORM_NAMES}
    | _table("""
        x64, x86, x86 64, amd64, arm, arm32, arm64, aarch64, bit, bits, intel, apple silicon, universal
        apple m1, apple m2, apple m3, apple m4, apple m5
        client, app, snap, flatpak, appimage, .appimage, microsoft store, windows store, app store, mac app store
        비트, 앱, 어플, 클라이언트, 인텔, 애플 실리콘, 마이크로소프트 스토어, ms 스토어
    """)
)
HELPERS = _table("""
    helper, helper renderer, helper gpu, helper plugin, helper alerts, web helper, webview helper, web content
    isolated web content, privileged cont, renderer, renderer process, gpu process, utility process, crash handler
""")
"""The processes that a browser or an Electron app shows beside its own."""
DOMAIN_TAILS = frozenset({".us", ".com", ".ai", ".so", ".co", ".kr"})
"""The app that calls itself by its site: `zoom.us`. Not `.net`, `.js`, `.io`: Paint.NET is no Paint."""

_SAYS = VERSIONS | CHANNELS | EDITIONS | PLATFORMS | HELPERS | DOMAIN_TAILS
QUALIFIERS = _SAYS | {said + glued for said in _SAYS for glued in ("판", "버전")}  # 베타판, 무료버전, pc버전
LONGEST_QUALIFIER = max(phrase.count(" ") + 1 for phrase in QUALIFIERS)

# `2024`, `.2`, `v1`, `r2024a`, `cs6`, `rc1`, `10f1` (Unity), `24h2` (Windows), `64bit`, `2022년`,
# `build 1234`. A digit followed by any other letter is part of a name: 3D, 4K, 7zip.
_VERSION = re.compile(
    r"(?:build|update|patch|rev|revision|hotfix|service pack|빌드|업데이트|r) [0-9]+"
    r"|\.?(?:v|ver|r|rc|sp|cs|cc|b|m|u|beta|alpha|build|preview|eap|베타|버전|빌드|제)?"
    r"[0-9]+(?:(?:a|b|c|f|h|p|r|u|rc|beta|alpha|dev|pre)[0-9]*)?(?:bit|비트|년|년판|판|버전)?|\.x"
)

MAX_NAME = 512
"""Characters. Nothing longer is an app's name; and normalising is quadratic in a run of combining marks."""

_TRADEMARKS = dict.fromkeys(map(ord, "®©™℠"), " ")  # before NFKC, which would turn ™ into the letters TM
_INVISIBLE = dict.fromkeys([0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF])
_FOLDED_AWAY = _TRADEMARKS | _INVISIBLE  # WhatsApp on macOS reports a left-to-right mark before its name
_PATH = re.compile(r"(?:[a-zA-Z]:)?[\\/]")
# Letters and digits, with the marks of Latin, Indic and Thai script that stay apart in NFKC. `+` and `#` are
# part of a name where they end a word: Notepad++ is no Notepad, C# no C.
_WORD = re.compile(r"\.?[^\W_]++(?:[\u0300-\u036f\u0900-\u0eff]++[^\W_]*+)*+[+#]*+")


def base_name(name: str) -> str:
    """An app's name in compatibility form, without directories, `.exe`/`.app` and invisible marks.

    Its case stays. Empty where it has more than `MAX_NAME` characters.
    """
    text = name.strip()
    if len(text) > MAX_NAME:
        return ""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_FOLDED_AWAY)).strip()
    if _PATH.match(text):
        text = re.split(r"[\\/]", text.rstrip("\\/"))[-1]
    return text[:-4] if text[-4:].casefold() in (".exe", ".app") else text


def split_name(name: str) -> list[str]:
    """Fold an app's name, or a pattern for one, to its words; no words where it holds no letter or digit.

    Case, NFC/NFD, punctuation, spaces and what `base_name` leaves out are folded away.
    """
    return _WORD.findall(base_name(name).casefold())


def pattern_words(pattern: str) -> tuple[str, ...]:
    """The folded words of a pattern. Raises ValueError, with the reason, for one that could never match."""
    words = split_name(pattern)
    if not words:
        raise ValueError("no letter or digit in it, or far too long for an app's name")
    return tuple(words)


@lru_cache(maxsize=4096)
def is_qualifier(phrase: str) -> bool:
    """Whether the folded words of `phrase` together say one version, edition, channel or platform."""
    return phrase in QUALIFIERS or _VERSION.fullmatch(phrase) is not None


def only_qualifiers(words: Sequence[str], start: int) -> bool:
    """Whether `words[start:]` can be read as qualifiers and nothing else."""
    if all(map(is_qualifier, words[start:])):
        return True
    reached = {start}
    for at in range(start, len(words)):
        if at in reached:
            ends = range(at + 1, min(at + LONGEST_QUALIFIER, len(words)) + 1)
            reached.update(end for end in ends if is_qualifier(" ".join(words[at:end])))
    return len(words) in reached
