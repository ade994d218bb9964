"""What is sent and remembered of a window: the least that decides its category.

| what stands there                             | what leaves                 | why                                  |
|-----------------------------------------------|-----------------------------|--------------------------------------|
| URL                                           | host, first path segments   | up to the first identifier           |
| `file:`, an IP address, `localhost`           | that it is one              | never a local path, never an address |
| a URL in a title                              | its host                    |                                      |
| e-mail address, `user@host`                   | [email]                     |                                      |
| absolute path; relative one to a file         | [path], with the extension  | the extension decides                |
| key, hash, UUID, any word that looks random   | [token]                     |                                      |
| IPv4, IPv6, MAC address                       | [address]                   |                                      |
| phone, card, account, resident number, amount | [number]                    | 7 digits, with or without separators |
| 5 digits in a row; `JIRA-123`, `#42`, `66.7%` | [number]; `JIRA-`, `#`, `%` | names one thing of many, or changes  |
| date, time, a timer's `24:59`                 | [date], [time]              | equal windows are to share an answer |
| `(12)`; `● `, `*` at the beginning            | nothing                     | unread, unsaved: the same window     |
| `Windows 11`, `H2O`, `3D`, `2024`, `v2.3.1`,  | as it stands                | part of a name: it decides           |
| `1000번`, `SHA-256`, `S01E02`, `focus-timer`  |                             |                                      |

The names of people and of files stay in a title, since nothing tells them from what decides; a setting sends no
titles at all.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from domains.kernel.window import Window
from domains.patternClassifier.privacy import Privacy, address_of
from domains.patternClassifier.urls import split_url

_TITLE, _APP, _SEGMENT = 160, 80, 32  # characters, at most
_READ = 512
"""Characters of a title or name that are looked at. What follows could only show if most before it were masked."""


class Question(NamedTuple):
    """A window as all tiers after the rules know it."""

    app: str
    site: str
    title: str


class Questions:
    """Makes questions of windows. Immutable. A host that is private by `privacy` does not show in a title either."""

    def __init__(self, privacy: Privacy | None = None, with_titles: bool = True, path_segments: int = 2) -> None:
        self._privacy = privacy or Privacy()
        self._with_titles = with_titles
        self._path_segments = path_segments

    def of(self, window: Window) -> Question:
        """Of any window at all; takes microseconds, and the question of a question is the same one."""
        return Question(
            _masked(window.app, _APP, _base_name, _RULES_OF_NAMES),
            self._site(window.url) if window.url else "",
            self._without_private_hosts(_masked(window.title, _TITLE, _without_marks)) if self._with_titles else "",
        )

    def may_leave(self, window: Window) -> bool:
        """Whether the window may be shown to the LLM."""
        return not self._privacy.is_private(window)

    def _without_private_hosts(self, title: str) -> str:
        if "." not in title:
            return title
        is_private = self._privacy.is_private_host
        return _HOST_IN_TEXT.sub(lambda host: "[url]" if is_private(host[0].lower()) else host[0], title)

    def _site(self, url: str) -> str:
        if scheme := _OTHER_SCHEME.match(url):  # what follows may be a path of this machine
            return f"{scheme[1].lower()}:"
        if url.lstrip().startswith("\\\\"):
            return "file:"
        host, path = split_url(url)
        host = _masked_host(host)
        if not host:
            return ""
        if host in _ADDRESSES:
            return host
        kept = [host]
        for segment in path.split("/", self._path_segments + 1)[1 : self._path_segments + 1]:
            if not _says_something(segment):
                break
            kept.append(segment)
            if segment in _ACCOUNTS:
                break
        return "/".join(kept)


# ---------------------------------------------------------------------------------------------- hosts

_ADDRESSES = _LOCALHOST, _PUBLIC, _PRIVATE = "localhost", "address", "private-address"
_ORDINARY_HOST = re.compile(r"(?:[a-z-]{1,20}+(?:\.|\Z))++")  # nearly all: no digit, nothing to mask
_OTHER_SCHEME = re.compile(r"\s*(?!https?:|view-source:|blob:|filesystem:)([a-zA-Z][a-zA-Z0-9+.-]*):(?://|\Z)")
_HOST_IN_TEXT = re.compile(r"(?<![\w.@-])[^\W_][\w-]*(?:\.[\w-]+)+")
_NUMBER_DIGITS = 7
_HOST_CHARACTERS = re.compile(r"[\w.-]+")
_ADDRESS_IN_HOST = re.compile(r"[0-9]{1,3}(?:[.-][0-9]{1,3}){3}")  # ip-10-0-0-1.ec2.example, 10.0.0.1.nip.io
_WORDS_ONLY = re.compile(r"(?:[^\W\d]{1,20}+[-.+]*+)++")
_SEGMENT_CHARACTERS = re.compile(r"[\w.+-]+")
_ACCOUNTS = frozenset({"in", "u", "user", "users", "profile", "profiles", "people", "member", "members"})
"""What follows names a person."""


def _masked_host(host: str) -> str:
    """The host without labels that are identifiers, or what kind of address it is; empty where it is no host."""
    if host == "localhost" or host.endswith(".localhost"):
        return _LOCALHOST
    if _ORDINARY_HOST.fullmatch(host):
        return host
    address = address_of(host)
    if address is not None:
        return _LOCALHOST if address.is_loopback else _PUBLIC if address.is_global else _PRIVATE
    if not _HOST_CHARACTERS.fullmatch(host):
        return ""
    embedded = _ADDRESS_IN_HOST.search(host)
    if embedded:
        host = host[embedded.end() :].partition(".")[2]
    while host and not _is_host_label(host.partition(".")[0]):
        host = host.partition(".")[2]
    return host


def _is_host_label(label: str) -> bool:
    return label != "" and not any(map(_is_identifier, re.split("[-_]", label)))


def _says_something(segment: str) -> bool:
    """Whether a path segment is words, and not an identifier, an address or noise."""
    if len(segment) > _SEGMENT or sum(map(str.isdigit, segment)) >= _NUMBER_DIGITS:
        return False
    if _WORDS_ONLY.fullmatch(segment):
        return True
    if not _SEGMENT_CHARACTERS.fullmatch(segment) or segment.isdigit():
        return False
    return not any(map(_is_identifier, re.split("[-_.+]", segment)))


# ----------------------------------------------------------------------------------- words and numbers

_LONG_NUMBER = re.compile(r"\d{5}")
_HEX = re.compile(r"[0-9a-fA-F]{8,}")
# Letters and digits that take turns: three times in a long word, four times in any. S01E02 and R2D2 are names.
_ALTERNATING = re.compile(
    r"(?=.{11})(?:[^\W\d]++\d++[^\W\d]++\d|\d++[^\W\d]++\d++[^\W\d])"
    r"|(?:[^\W\d]++\d++){2}[^\W\d]|(?:\d++[^\W\d]++){2}\d"
)
_HUMP = re.compile(r"[a-z][A-Z]")


def _is_identifier(word: str) -> bool:
    """Whether letters and digits look like a number, a hash or a random string, and not like a word or a name."""
    if len(word) < 5:
        return False
    if word.isalpha():  # AbstractProxyFactoryBean is a word, dGhpcyBpcyBh is none
        return (
            word.isascii() and len(word) > _LONG_WORD and (len(word) > 40 or len(_HUMP.findall(word)) * 4 > len(word))
        )
    if not word.isascii():  # 2025학년도대학수학능력시험
        return _LONG_NUMBER.search(word) is not None
    return bool(len(word) >= 16 or _LONG_NUMBER.search(word) or _HEX.fullmatch(word) or _ALTERNATING.match(word))


# ------------------------------------------------------------------------------------ names and titles

# Controls, bidi marks, zero-width characters, variation selectors, tags, lone surrogates. Blanks are not among them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ud800-\udfff\ufe00-\ufe0f\ufeff\ufff0-\uffff\U000e0000-\U000e0fff]+"
)
_UNREAD = re.compile(r"(?:[●•○◉◦∙*🔴🔔]++ ?|! |\(\d{1,4}\+?\) ?)++")
_ABSOLUTE = re.compile(r"(?:[a-zA-Z]:)?[\\/]")


def _without_marks(title: str) -> str:
    marks = _UNREAD.match(title)
    return title[marks.end() :] if marks else title


def _base_name(app: str) -> str:
    if not _ABSOLUTE.match(app):
        return app
    path = app.rstrip("\\/")
    return path[max(path.rfind("/"), path.rfind("\\")) + 1 :]


def _masked(text: str, most: int, core: Callable[[str], str], rules: "Rules | None" = None) -> str:
    """At most `most` characters of `text`, without what is invisible, identifies somebody, or changes."""
    if len(text) > _READ:  # not in the middle of a word, which could be the half of an address
        text = text[:_READ]
        text = text[: max(text.rfind(" "), 0)] or text[:most]
    if not text.isascii() or not text.isprintable():
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    text = " ".join(text.split())
    # A mask may lay bare what another one finds, and so may the cut.
    for _ in range(_ROUNDS):
        before = text
        text = core(text)
        if _MARKS.search(text) or max(map(len, text.split()), default=0) > _LONG_WORD:
            for mark, mask in rules or _RULES:
                if mark.search(text):
                    text = mask(text)
        text = text[:most].strip()
        if text == before:
            return text
    return text


_ROUNDS = 8
_MARKS = re.compile(r"[@＠/\\\d=:]")
_LONG_WORD = 20

_URL = re.compile(
    r"(?<![a-zA-Z0-9+.-])(?:[a-zA-Z][a-zA-Z0-9+.-]{1,20}+://|www\.)[^\s\"<>]++"
    r"|(?<![\w.@/\\-])(?:[a-zA-Z0-9-]{1,63}+\.)++(?!js/)[a-zA-Z]{2,20}+(?::\d+)?[/?][^\s\"<>]*+"
)
_SECRET = re.compile(
    r"(?<![a-zA-Z0-9])(?:sk|pk|rk|ghp|gho|ghs|ghu|github_pat|glpat|xox[a-z]|hf|npm|AKIA|ASIA|AIza|eyJ|ya29)"
    r"(?=[\w.-]*[\d_])[\w.-]{12,}"
)
_NAMED_SECRET = re.compile(
    r"((?:password|passwd|pwd|passphrase|token|secret|api[-_ ]?key|비밀번호|암호)\s?[=:]\s?)[^\s\[][^\s]*+",
    re.IGNORECASE,
)
_UUID = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}(?![0-9a-fA-F])")
_WORD = re.compile(r"(?<![^\W_])(?=[^\W\d_]*+\d|[a-zA-Z]{21})[^\W_]{6,}+")
_EMAIL = re.compile(r"(?<![^\s@＠\"<>()\[\],;:])[^\s@＠\"<>()\[\],;:]++(?:[@＠]++[^\s@＠\"<>()\[\],;:]++)++")
# Up to what cannot stand in a name, or to what divides a title: a name may hold blanks.
_PATH = re.compile(
    r"(?:(?<![a-zA-Z])[a-zA-Z]:[\\/]|\\\\(?=\w)"
    r"|(?<![\w/~])(?:~|/(?:Users|home|Volumes|mnt|media|root|private|var/folders))/)"
    r"(?:(?! [-–—|·:] )[^\"<>|*?\[\]():\n])*+"
    r"|(?<![\w/\\.:~\])])(?:~|\.{1,2})?/[^\s/\"<>|]++/[^\s\"<>|]*+"
    r"|(?<![\w.-])[\w.-]++(?:\\[\w.-]++)++"
    r"|(?<![\w.-])[\w.-]++(?:/[\w.-]++){2,}+(?:(?<=\.\w)|(?<=\.\w\w)|(?<=\.\w\w\w)|(?<=\.\w{4}))"
)
_EXTENSION = re.compile(r"\.[a-zA-Z]\w{0,4}(?=\W*\Z)")
_NUMBERS = re.compile(
    r"(?=[+(\d])(?:"  # fails at once nearly everywhere
    r"(?P<date>(?:19|20)\d\d(?P<mark>[-./]) ?\d{1,2}(?P=mark) ?\d{1,2}(?!\d)|\d{1,2}/\d{1,2}/(?:19|20)\d\d(?!\d)"
    r"|(?:19|20)\d\d년 ?\d{1,2}월(?: ?\d{1,2}일)?)"
    r"|(?P<time>\d{1,3}:[0-5]\d(?::[0-5]\d)?(?![\d:]))"
    r"|(?P<percent>\d++(?:[.,]\d++)?(?= ?%))"
    r"|(?P<run>[+(]?\d(?:[ .,()/_~|:·‐-―-]{0,3}\d)*+))"
)
_YEARS = re.compile(r"\(?(?:19|20)\d\d *[-/ ] *(?:19|20)\d\d")
_IP6 = re.compile(
    r"(?<![\w:])(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){3,7}|(?=[a-fA-F:]*\d)[0-9a-fA-F]{1,4}::[0-9a-fA-F]{1,4})"
    r"(?![\w:])"
)
_TICKET = re.compile(
    r"(?<![\w-])(?!(?:SHA|RFC|ISO|UTF|AES|IEEE|CVE|CES|BOJ|GPT|MD|PEP|RTX|GTX)-)([A-Z][A-Z0-9]{1,9}-)\d{3,}"
)
_COUNTER = re.compile(r" \(\d{1,3}\+?\)(?= |\Z)")  # Inbox (3) - Gmail; a year has four digits
_REFERENCE = re.compile(r"(?<!\w)#\d{2,}+(?!\w)")


def _host_only(url: re.Match[str]) -> str:
    host = _masked_host(split_url(url[0])[0])
    return host if "." in host or host == _LOCALHOST else "[address]" if host in _ADDRESSES else "[url]"


def _path(path: re.Match[str]) -> str:
    extension = _EXTENSION.search(path[0])
    return f"[path]{extension[0] if extension else ''}" + (" " if path[0].endswith(" ") else "")


def _word(word: re.Match[str]) -> str:
    return "[token]" if not word[0].isdigit() and _is_identifier(word[0]) else word[0]


def _number(number: re.Match[str]) -> str:
    kind = number.lastgroup
    if kind != "run":
        return f"[{kind}]" if kind in ("date", "time") else "[number]"
    text = number[0]
    if len(text) < 5:
        return text
    runs = re.findall(r"\d+", text)
    dotted = len(runs) > 2 and text == ".".join(runs)
    if dotted and len(runs) == 4 and all(len(run) < 4 and int(run) < 256 for run in runs):
        before = number.string[number.start() - 1 : number.start()]
        return text if before in ("v", "V") else "[address]"
    if dotted:  # a version, but for 010.1234.5678
        whole = len(runs) == 3 and len(runs[2]) == 4 and len(text) > 10
    else:
        whole = sum(map(len, runs)) >= (9 if " " in text else 7) and not _YEARS.fullmatch(text)
    return "[number]" if whole else re.sub(r"\d{5,}", "[number]", text)


Rules = tuple[tuple[re.Pattern[str], Callable[[str], str]], ...]
_OF_NAMES = 3
"""The first rules are those for the name of an app, too: its numbers are part of the name, up to a phone number's."""

_RULES: Rules = tuple(
    # What stands in every text that has something to mask, and the mask. What may hold another one comes first.
    (re.compile(mark), mask)
    for mark, mask in (
        ("[/?]|www", lambda text: _URL.sub(_host_only, text)),
        ("[@＠]", lambda text: _EMAIL.sub("[email]", text)),
        (r"\\|/\S*/|[:~]/", lambda text: _PATH.sub(_path, text)),
        (r"[\d_]", lambda text: _SECRET.sub("[token]", text)),
        ("[=:]", lambda text: _NAMED_SECRET.sub(r"\1[token]", text)),
        (r"\d|[A-Za-z]{21}", lambda text: _WORD.sub(_word, _UUID.sub("[token]", text))),
        (r":\w*:", lambda text: _IP6.sub("[address]", text)),
        (r"\d", lambda text: _NUMBERS.sub(_number, text)),
        (r"[A-Z0-9]-\d", lambda text: _TICKET.sub(r"\1[number]", text)),
        (r" \(\d", lambda text: _COUNTER.sub("", text)),
        (r"#\d", lambda text: _REFERENCE.sub("#[number]", text)),
    )
)

_LONG_RUN = re.compile(r"\d(?:[ ._()/-]{0,2}\d){6,}+")
_RULES_OF_NAMES: Rules = (*_RULES[:_OF_NAMES], (re.compile(r"\d"), lambda text: _LONG_RUN.sub("[number]", text)))
