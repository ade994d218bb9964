"""URLs taken apart, and domain patterns found in them with one Aho-Corasick automaton.

A URL is parsed as a browser would parse what its address bar shows (the WHATWG URL standard), and leniently
where it has no scheme. Both URLs and patterns are reduced to the same canonical host and path, so the
automaton can compare them letter by letter. Where an address holds the address of the page that is shown, that one
counts (`page_inside`).
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

import ahocorasick

T = TypeVar("T")

LONGEST_URL = 8192

# ---------------------------------------------------------------------------------------------- URLs

# The URLs that are canonical already but for their case: most of all there are. No IP address (the host ends
# in a letter), no percent sign, no empty or dotted segment. Possessive quantifiers: no backtracking, ever.
_PLAIN = re.compile(
    r"(https?://)?([a-z0-9.-]{1,253}+)(?<=[a-z])(?(1)(?::[0-9]*+)?+)"
    r"((?:/[!\"$&-\-0->@-\[\]-~][!\"$&-.0->@-\[\]-~]*+)*+)/?+(?=[?#]|\Z)"
)
_BLANKS = "".join(map(chr, range(33))) + "\x85\xa0\u200b\u3000\ufeff"
_BACKSLASHES = {ord("\\"): "/", ord("\t"): None, ord("\r"): None, ord("\n"): None}  # as browsers read them
_WRAPPERS = re.compile(r"\A(?:(?:view-source|blob|filesystem):)+", re.IGNORECASE)  # the address inside counts
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(.*)", re.DOTALL)
_WEB_SCHEMES = frozenset({"http", "https", "ws", "wss", "ftp"})  # any number of slashes may follow
_CONTENT_SCHEMES = frozenset({"data", "javascript", "mailto", "tel", "sms", "urn", "magnet", "cid", "mid"})
_PORT = re.compile(r"(?::[0-9]*)?")
_PORT_THEN_PATH = re.compile(r"[0-9]*(?:/|\Z)")
_NOT_IN_HOST = re.compile(r"[\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f]")
_HOST_FOLDING = {ord("。"): ".", 0xAD: None, 0x200B: None, 0x2060: None, 0xFEFF: None}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")

MAX_HOST = 253
"""Characters of a host, as in DNS: room for 127 labels. What is longer is no host, so nothing looks at it."""
_MAX_SPELLED = 9 * MAX_HOST
"""Characters of a host with its port as the URL spells it: a Korean letter takes nine with percent signs."""
_MAX_UNICODE = 1024
"""Characters of a path segment beyond ASCII. Normalising is quadratic in a run of combining marks (100 kB take
seconds), so a longer segment keeps its form."""


def split_url(url: str) -> tuple[str, str]:
    """The canonical (host, path) of a URL; either may be empty, both are for what names no place.

    The host is in lower case, in Unicode (never punycode), without port, user info or final dot; IPv6 keeps
    its brackets. The path is percent-decoded and in lower case, begins with a slash, does not end with one,
    and is empty for the root. Query and fragment are gone. A file has no host. Linear in the URL, of which
    LONGEST_URL characters are looked at; never raises.
    """
    url = url[:LONGEST_URL]
    lower = url.lower()
    plain = _PLAIN.match(lower)
    if plain and lower.rfind("http") <= 0:
        host, path = plain[2], plain[3]
        if "xn--" not in host and not host.endswith(_NOT_PLAIN) and path[:5] != "/amp/":
            return host, path
    text = url.strip(_BLANKS).translate(_BACKSLASHES)
    for _ in range(_MOST_INSIDE):
        if (inside := page_inside(text)) is None:
            break
        text = inside
    return _split(text)


def _split(text: str) -> tuple[str, str]:
    text = _WRAPPERS.sub("", re.split(r"[?#]", text, maxsplit=1)[0])
    place = _after_scheme(text)
    if place is None:
        return "", ""
    authority, _, path = place.partition("/")
    if not authority:
        return "", _canonical_path(path)
    host = _canonical_host(authority.rpartition("@")[2])
    return (host, _canonical_path(path)) if host else ("", "")


def _after_scheme(text: str) -> str | None:
    """`authority/path` of a URL without query, with an empty authority where it has none by its nature.

    None for content in a URL's clothes (`data:`, `javascript:`, `mailto:`) and for schemes unknown to us.
    """
    match = _SCHEME.match(text)
    if match is None:
        return text.lstrip("/") if text.startswith("//") else text
    scheme, rest = match[1].lower(), match[2]
    if scheme in _WEB_SCHEMES or scheme == "about":  # about:newtab is what chrome://newtab is
        return rest.lstrip("/")
    if scheme == "file":  # its host is a file server at most, never a site
        return "/" + (rest[2:].partition("/")[2] if rest.startswith("//") else rest)
    if scheme in _CONTENT_SCHEMES:
        return None
    if rest.startswith("//"):
        return rest[2:]
    if _PORT_THEN_PATH.match(rest):
        return text if rest[:1] != "/" else rest  # localhost:3000, but C:/Users
    return text if "@" in rest.partition("/")[0] else None  # user:password@figma.com


def _canonical_host(host: str) -> str:
    """The host without port; empty where no browser would take it for one."""
    if len(host) > _MAX_SPELLED:
        return ""
    if host.startswith("["):
        address, bracket, port = host[1:].partition("]")
        return _ip(address) if bracket and _PORT.fullmatch(port) else ""
    host, colon, port = host.partition(":")
    if not _PORT.fullmatch(colon + port):
        return ""
    host = _fold_host(unquote(host)).rstrip(".")
    if host.endswith(_TRANSLATED) and "." not in host.removesuffix(_TRANSLATED):
        host = host.removesuffix(_TRANSLATED).replace("--", "\0").replace("-", ".").replace("\0", "-")
    if "xn--" in host:
        host = ".".join(map(_decode_label, host.split(".")))
    if len(host) > MAX_HOST:
        return ""
    last = host.rpartition(".")[2]
    if last.isascii() and last.isdigit():
        return _ip(host)
    return "" if _NOT_IN_HOST.search(host) else host


def _ip(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if ip.version == 4:
        return str(ip)
    if "%" in address:  # a zone (`fe80::1%eth0`) may hold any text at all
        return ""
    return _LOOPBACK if ip.is_loopback else f"[{ip}]"


def _fold_host(host: str) -> str:
    # lower(), not casefold(): IDNA 2008 keeps straße.de and strasse.de apart, as browsers do.
    if host.isascii():
        return host.lower()
    return unicodedata.normalize("NFKC", host).translate(_HOST_FOLDING).lower()


def _decode_label(label: str) -> str:
    """The Unicode of an `xn--` label, or the label itself where it is no punycode that IDNA would produce."""
    if not label.startswith("xn--") or len(label) > 63:
        return label
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return label
    # IDNA never encodes plain ASCII or unfolded text; decoding it would let `xn--figma-` pass for `figma`.
    return label if decoded.isascii() or _fold_host(decoded) != decoded else decoded


def _canonical_path(path: str) -> str:
    if "%" in path:  # an encoded slash is part of a segment: it stays encoded
        path = unquote(re.sub("%2f", "%252f", path, flags=re.IGNORECASE))
    path = _CONTROLS.sub("\ufffd", path)  # also keeps the sentinel of the automaton out
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(_fold_segment(segment))
    return "".join(f"/{segment}" for segment in segments)


def _fold_segment(segment: str) -> str:
    if segment.isascii() or len(segment) > _MAX_UNICODE:
        return segment.lower()
    return unicodedata.normalize("NFC", segment).lower()


# ----------------------------------------------------------------------------- addresses in addresses

_MOST_INSIDE = 3
_TRANSLATED = ".translate.goog"  # stack--a-com.translate.goog is stack-a.com
_NOT_PLAIN = (_TRANSLATED, "web.archive.org", "ampproject.org")
_ADDRESS = r"(?=(?:https?:|file:|[^/?#\s]{1,253}\.)[^?#\s])"
_IN_PATH = re.compile(
    rf"""(?:
        [a-z-]{{1,30}}extension://[^/?\#]*/(?=https?:|file:)                       # a viewer that is an extension
        | (?:https?:/*)?(?:
            web\.archive\.org/(?:web|save)/(?:\d{{1,14}}[a-z_*]{{0,5}}/|\*/)?
            | archive\.(?:ph|is|today|li|md|vn|fo)/(?:[\w.-]{{1,30}}/)?(?=https?:)
            | (?:www\.)?(?:google\.[a-z.]{{2,6}}|bing\.com)/amp/(?:s/)?
            | (?:[a-z0-9-]{{1,63}}\.)?cdn\.ampproject\.org/[a-z]{{1,3}}/(?:s/)?
            | (?:12ft\.io|r\.jina\.ai)/(?=https?:)
        )
    ){_ADDRESS}""",
    re.IGNORECASE | re.VERBOSE,
)
"""What stands before an address that is the rest of the URL: archives, AMP caches, viewers."""
_IN_QUERY = re.compile(
    r"""
    [a-z-]{1,30}extension://                             # suspended tabs, viewers of documents
    | about:reader\b | read:// | chrome-distiller://     # the reader views of Firefox, Edge and Chrome
    | https?:/*(?:www\.)?(?:
        google\.[a-z.]{2,6}/(?:url|imgres)\b
        | translate\.google\.[a-z.]{2,6}/(?:translate|website)\b | papago\.naver\.(?:net|com)/website\b
        | lm?\.facebook\.com/l\.php | l\.(?:instagram|threads|messenger)\.(?:com|net)/ | vk\.com/away\.php
        | youtube\.com/redirect\b | steamcommunity\.com/linkfilter\b | linkedin\.com/(?:safety/go|redir)\b
        | duckduckgo\.com/l/ | out\.reddit\.com/ | t\.umblr\.com/redirect\b | link\.zhihu\.com/
        | slack-redir\.net/link\b | [a-z0-9.-]{1,63}\.safelinks\.protection\.outlook\.com/
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""What stands before a query, or the fragment of an extension's page, that holds an address."""
_PARAMETERS = frozenset({"url", "q", "u", "uri", "target", "to", "uddg", "z", "src", "file", "imgrefurl"})
_WHOLE_ADDRESS = re.compile(r"(?:https?|file):/", re.IGNORECASE)


def page_inside(url: str) -> str | None:
    """The address of the page that is shown, where `url` is that of a viewer, an archive, a cache or a redirect."""
    url = _WRAPPERS.sub("", url)
    if (before := _IN_PATH.match(url)) is not None:
        return url[before.end() :]
    if _IN_QUERY.match(url) is None:
        return None
    for pair in re.split("[?#&]", url)[1:]:
        name, _, value = pair.partition("=")
        if name.lower() in _PARAMETERS and _WHOLE_ADDRESS.match(value := unquote(value)):
            return value
    return None


# ------------------------------------------------------------------------------------------ patterns

_LOCALHOST, _LOOPBACK = "localhost", "127.0.0.1"
_FILES = re.compile(r"file:/*\*\.([a-z0-9]{1,8})", re.IGNORECASE)
_TOO_GENERAL = frozenset({"com", "net", "org", "co", "www", "http", "https"})
_WORD_CHARACTERS = re.compile(r"[^\s./:@?#\[\]]+")
_BARE_IPV6 = re.compile(r"[0-9a-fA-F.]*(?::[0-9a-fA-F.]*){2,}")  # its colons would be taken for a port
_PLAIN_HOST = re.compile(r"(?=.{4,200}$)(?!www\.)(?:(?!xn--)[a-z0-9][a-z0-9-]*\.)+[a-z]{2,}")
"""A host that is canonical as it stands: lower case, no port, nothing to be decoded."""
_SUBDOMAINS = re.compile(r"((?:[a-z][a-z0-9+.-]*:)?//)?(?:\*?\.)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class UrlPattern:
    """A domain pattern in canonical form: a host with the path its URLs begin with, a token, or a kind of file."""

    host: str = ""
    path: str = ""
    token: str = ""
    extension: str = ""

    @property
    def needle(self) -> str:
        """What the automaton searches for in `_haystack`."""
        if self.token:
            return self.token
        if self.extension:
            return f"{_FILE_END}{self.extension}{_FILE_END}"
        return f".{self.host}{_HOST_END}{self.path}/" if self.path else f".{self.host}{_HOST_END}"

    @property
    def specificity(self) -> tuple[bool, int, int]:
        """Sorts the more specific pattern first: hosts before tokens, longer host, longer path.

        All hosts that match one URL end alike, so the one with more characters has more labels too.
        """
        return (bool(self.token), -len(self.host or self.token), -len(self.path))


def parse_pattern(pattern: str) -> UrlPattern:
    """Read a domain pattern as administrators write it.

    - `figma.com`, also as `https://www.figma.com/`, `*.figma.com`, `.figma.com:443`, `*://*.figma.com/*`:
      that host and all below it. A port is not compared. `www.` adds nothing, so it is dropped.
    - `google.com/search`: the same, for paths that begin with these segments. A query is dropped.
    - `10.0.0.1`, `[::1]`: exactly this host. `localhost`, `http://intranet`: hosts of one label.
    - `swagger-ui`, `/swagger-ui/`: a token, a whole label of the host or a whole segment of the path, which may have
      an extension behind it (`swagger-ui.html`).
    - `file:///*.pdf`: a local file with this extension. No other pattern matches a local file.

    Raises ValueError, with the reason, for a pattern that means none of these.
    """
    if _PLAIN_HOST.fullmatch(pattern):  # most are, and a start reads ten thousand
        return UrlPattern(host=pattern)
    text = pattern.strip()
    if files := _FILES.fullmatch(text):
        return UrlPattern(extension=files[1].lower())
    text = text.removeprefix("*://").removesuffix("/*")
    subdomains = _SUBDOMAINS.match(text)
    if subdomains:
        text = (subdomains[1] or "") + text[subdomains.end() :]
    if not text.strip("/"):
        raise ValueError("empty")
    if "*" in text:
        raise ValueError("a wildcard may only stand as *. at the beginning or as /* at the end")
    if not subdomains and _WORD_CHARACTERS.fullmatch(text.strip("/")) and text.lower().strip("/") != _LOCALHOST:
        return _token(text)
    host, path = split_url(f"[{text}]" if _BARE_IPV6.fullmatch(text) else text)
    if host.startswith("www.") and "." in host[4:]:
        host = host[4:]
    if not all(host.split(".")):
        raise ValueError("neither a host, nor a host with a path, nor a single word")
    _refuse_too_general(host)
    return UrlPattern(host=host, path=path)


def _token(text: str) -> UrlPattern:
    token = _decode_label(_canonical_path(text).removeprefix("/"))
    if "." in token or not any(map(str.isalnum, token)):  # a dot may come out of a percent sign
        raise ValueError("not a word")
    _refuse_too_general(token)
    return UrlPattern(token=token)


def _refuse_too_general(name: str) -> None:
    if name in _TOO_GENERAL:
        raise ValueError("would match nearly every site")


# ------------------------------------------------------------------------------------------- matcher

_HOST_END, _FILE_END = "\x01", "\x02"
"""Stand between host and path, and around the extension of a file. No canonical host or path holds them, so a needle
that does cannot match across, and what looks like a host in a path is none."""


_LABEL_ENDS = "." + _HOST_END


def _haystack(host: str, path: str) -> str:
    if not host:
        _, dot, extension = path.rpartition("/")[2].rpartition(".")
        return f"{_FILE_END}{extension}{_FILE_END}" if dot else ""
    # The dot before and the slash behind make the first label and the last segment like all others.
    return f".{host}{_HOST_END}{path}/"


class UrlMatcher(Generic[T]):
    """Finds the values of all patterns that a URL matches.

    Ranks number the patterns, the most specific first; among equally specific ones, the order in which they
    were given decides. Tokens come last, so `rank >= first_token` tells a token.
    """

    __slots__ = ("_automaton", "_equals", "_first_token", "_lengths", "_values")

    def __init__(self, patterns: Iterable[tuple[UrlPattern, T]]) -> None:
        ranked = sorted(patterns, key=lambda pair: pair[0].specificity)
        self._values = [value for _, value in ranked]
        self._lengths = [len(pattern.token) for pattern, _ in ranked]
        self._first_token = sum(not pattern.token for pattern, _ in ranked)
        self._equals: dict[int, list[int]] = {}  # first rank of a needle -> the other ranks with that needle
        self._automaton: Any = ahocorasick.Automaton(ahocorasick.STORE_INTS)
        for rank, (pattern, _) in enumerate(ranked):
            needle = pattern.needle
            first = self._automaton.get(needle, rank)
            if first == rank:
                self._automaton.add_word(needle, rank)
            else:
                self._equals.setdefault(first, []).append(rank)
        self._automaton.make_automaton()

    def best(self, host: str, path: str) -> T | None:
        """The value of the most specific pattern that matches a URL's host and path, or None."""
        best = nothing = len(self._values)
        if not nothing:  # an automaton without words cannot search
            return None
        text = _haystack(host, path)
        for end, rank in self._automaton.iter(text):
            if rank < best and (rank < self._first_token or self._is_whole(text, end, rank)):
                best = rank
        return self._values[best] if best < nothing else None

    def find(self, host: str, path: str) -> list[T]:
        """The values of all patterns that match, the most specific first."""
        if not self._values:
            return []
        text = _haystack(host, path)
        firsts = {
            rank
            for end, rank in self._automaton.iter(text)
            if rank < self._first_token or self._is_whole(text, end, rank)
        }
        ranks = firsts.union(*(self._equals.get(first, ()) for first in firsts))
        return [self._values[rank] for rank in sorted(ranks)]

    def _is_whole(self, text: str, end: int, rank: int) -> bool:
        """Whether the token that ends at `end` is a whole label, or a whole segment up to its first dot."""
        # A token holds neither dot nor slash, and the text begins and ends with one: both neighbours exist.
        start = end - self._lengths[rank]
        if text[start] == "/":
            return text[end + 1] in "/."
        return text[start] == "." and text[end + 1] in _LABEL_ENDS and text.find(_HOST_END, 0, end) < 0
