"""Titles of browser windows taken apart, and the names of sites found in them.

A page's title usually ends in the name of its site, and a browser adds its own name, and more, behind it:

| what stands there                                    | what is done                                           |
|------------------------------------------------------|--------------------------------------------------------|
| ` - `, ` – `, ` — `, ` | `, ` · `, ` • `, ` : `, ` / ` | separates segments                                     |
| `YouTube - Whale`, `GitHub — Mozilla Firefox`        | the browser's own name is dropped                      |
| `Gmail - Google Chrome – Kim`                        | and the profile's that follows it                      |
| `(Private Browsing)`, `[InPrivate]`, `시크릿 모드`   | dropped: notes of the browser, see `_NOTE`             |
| `Personal - Microsoft Edge`, `and 3 more pages`      | dropped, where a browser's name follows                |
| `(12) 트위터`, `받은편지함 (3)`, `● `                | the count or mark is dropped                           |
| `stackoverflow.com/`, `https://figma.com/file`       | an address: it counts as that URL                      |

A pattern is compared with whole segments, in folded form (NFKC, lower case, single blanks). `YouTube` matches where
it is the last segment, `* / X` where it is the last one behind that separator, and `Discord | *` where `Discord` is
the first one and `|` follows. A name that a title only mentions is no match: neither `How YouTube works` nor
`YouTube - an introduction` is YouTube.
"""

import fnmatch
import re
import unicodedata
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_MOST = 512
"""Characters of a title that are read, half of them from each end. It keeps normalising, which is quadratic in a run
of combining marks, within bounds."""
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe0e\ufe0f\ufeff]")
_SEPARATOR = re.compile(" ([-‐-―−|·•:/]) ")
_ONE_DASH = dict.fromkeys("‐‑‒–—―−", "-")

_COUNT = r"[(\[]\d{1,6}\+?[)\]]"
_MARKS = re.compile(rf"(?:{_COUNT}|[●•○◉◦∙*▶►🔴🔔🔇🔊])+ ?")
_TRAILING_COUNT = re.compile(rf" ?{_COUNT}\Z")
_MORE_PAGES = re.compile(r" (?:and \d+ more pages?|(?:외|및) (?:페이지 \d+개|\d+개(?:의 다른)? 페이지)(?: 더)?)\Z")
_NOTE_ENDS = tuple(
    note + bracket
    for bracket in ("", ")", "]")
    for note in ("browsing", "window", "inprivate", "incognito", "mode", "guest", "모드", "브라우징", "시크릿", "창")
)
_NOTE = re.compile(
    r" ?[(\[]?(?:private (?:browsing|window)|inprivate(?: browsing)?|incognito(?: mode)?|guest(?: mode)?"
    r"|사생활 보호 (?:모드|브라우징|창)|시크릿(?: 모드| 창)?|게스트 모드|비공개 (?:모드|창))[)\]]?\Z"
)
_BETWEEN = re.compile(  # what a browser puts between a page's title and its own name
    r"personal|work|school|default|(?:profile|person|user) \d+|개인|회사|학교|업무|기본값|(?:프로필|사용자) \d+"
    r"|audio (?:playing|muted)|(?:camera and microphone|camera|microphone|tab) (?:recording|sharing|content shared)"
    r"|network error|crashed|pinned|unresponsive|inactive tab|unnamed group|part of group .*"
    r"|(?:high )?memory usage|[\d.,]+ ?[kmg]b"
    r"|오디오 (?:재생 중|음소거됨)|고정됨|비활성 탭|(?:높은 )?메모리 사용량"
)
_ADDRESS = re.compile(r"(?:https?://)?(?:(?:[^\s./:@]+\.)+[^\W\d_]{2,}|localhost)(?::\d+)?(?:[/?#]\S*)?")


class Title(NamedTuple):
    """A page's title: its folded segments, without what the browser added, and the separators between them."""

    segments: list[str]
    separators: list[str]

    @property
    def address(self) -> str:
        """The last segment, if it is a host or URL; else one of the others that is a host with a path, or empty."""
        for place, segment in enumerate(reversed(self.segments)):
            if ("/" in segment or not place) and " " not in segment and _ADDRESS.fullmatch(segment):
                return segment
        return ""

    @property
    def rest(self) -> str:
        """What follows the first segment and its separator."""
        pairs = zip(self.separators, self.segments[1:], strict=True)
        return " ".join(f"{mark} {segment}" for mark, segment in pairs)[2:]


NO_TITLE = Title([], [])


def fold(text: str) -> str:
    """The form in which segments are compared."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    return " ".join(text.split()).casefold()


def split_title(title: str, is_browser: Callable[[str], bool]) -> Title:
    """The segments of a page's title. `is_browser` says of a folded segment whether it is the name of a browser.

    Linear in the title; never raises.
    """
    if len(title) > _MOST:
        title = f"{title[: _MOST // 2]} {title[-_MOST // 2 :]}"
    parts = _SEPARATOR.split(fold(title))
    segments, separators = parts[::2], parts[1::2]
    segments[0] = _MARKS.sub("", segments[0], count=1) if _MARKS.match(segments[0]) else segments[0]
    end = _end_of_page(segments, separators, is_browser)
    if end < len(segments):
        while end and _BETWEEN.fullmatch(_without_note(segments[end - 1])):
            end -= 1
        if end:
            segments[end - 1] = _MORE_PAGES.sub("", segments[end - 1])
    del segments[end:]
    while segments and not (last := _without_note(segments[-1])):
        segments.pop()
    if segments:
        segments[-1] = _TRAILING_COUNT.sub("", last)
    return Title(segments, [_ONE_DASH.get(mark, mark) for mark in separators[: max(len(segments) - 1, 0)]])


def _end_of_page(segments: list[str], separators: list[str], is_browser: Callable[[str], bool]) -> int:
    """How many segments stand before the browser's own name; all of them where it is not there."""
    last = len(segments) - 1
    if is_browser(_without_note(segments[last])):
        return last
    if last and separators[-1] == "–" and is_browser(segments[last - 1]):
        return last - 1  # `Google Chrome – Kim`: a profile's name may be anything
    return last + 1


def _without_note(segment: str) -> str:
    return _NOTE.sub("", segment) if segment.endswith(_NOTE_ENDS) else segment


class TitlePattern(NamedTuple):
    """Folded: a first segment, a separator, and what follows; only the last of these for a name at the end."""

    first: str
    mark: str
    rest: str


def parse_title_pattern(pattern: str) -> TitlePattern:
    """Reads a pattern: `YouTube`, `* / X` or `* on Steam`, a last segment; or `Discord | *`, the whole title.

    A `*` is any text. Raises ValueError, with the reason, for a pattern that could match nearly anything.
    """
    first, *behind = _SEPARATOR.split(fold(pattern), maxsplit=1)
    if not any(map(str.isalnum, pattern)):
        raise ValueError("no letter or digit in it")
    if not behind:
        return TitlePattern("", "", first)
    mark = _ONE_DASH.get(behind[0], behind[0])
    if first == "*" and not _SEPARATOR.search(behind[1]):
        return TitlePattern("", mark, behind[1])
    if "*" in first:
        raise ValueError("of several segments, the first one must be a name")
    return TitlePattern(first, mark, behind[1])


class TitleMatcher(Generic[T]):
    """Finds the values of all patterns that a title matches; of equal patterns, those added first come first."""

    __slots__ = ("_begins", "_ends", "_first", "_last", "_wild")

    def __init__(self) -> None:
        self._first: dict[str, list[tuple[str, re.Pattern[str], T]]] = {}
        self._last: dict[str, list[tuple[str, T]]] = {}
        self._wild: list[tuple[re.Pattern[str], T]] = []
        self._begins: tuple[str, ...] = ()  # a segment that begins so or ends so may match what is in `_wild`
        self._ends: tuple[str, ...] = ()

    def add(self, pattern: TitlePattern, value: T) -> None:
        if pattern.first:
            self._first.setdefault(pattern.first, []).append((pattern.mark, _wildcard(pattern.rest), value))
        elif _WILD.search(pattern.rest):
            self._wild.append((_wildcard(pattern.rest), value))
            begin, *_, end = _WILD.split(pattern.rest)
            self._begins += () if end else (begin,)
            self._ends += (end,) if end else ()
        else:
            self._last.setdefault(pattern.rest, []).append((pattern.mark, value))

    def find(self, title: Title) -> list[T]:
        """The values for the last segment, and where there are none, for the first."""
        segments, marks = title
        if not segments:
            return []
        if found := self._find_last(segments[-1], marks[len(segments) - 2] if len(segments) > 1 else ""):
            return found
        leading = self._first.get(segments[0]) if len(segments) > 1 else None
        if leading is None:
            return []
        before = _ONE_DASH.get(marks[0], marks[0])
        return [value for mark, rest, value in leading if mark == before and rest.match(title.rest)]

    def _find_last(self, segment: str, mark: str) -> list[T]:
        known = self._last.get(segment)
        if known is not None:
            return [value for wanted, value in known if wanted in ("", _ONE_DASH.get(mark, mark))]
        if segment.startswith(self._begins) or segment.endswith(self._ends):
            return [value for wildcard, value in self._wild if wildcard.match(segment)]
        return []


_WILD = re.compile(r"[*?\[]")


def _wildcard(text: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(text))
