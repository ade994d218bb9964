"""A naive matcher, which is the reference for the fast one.

It tries each pattern by itself, without trie, automaton, cache or fast path, and takes URLs and names apart
with code of its own. It shares three tables with the engine, which have rows of their own in the tests:
`is_qualifier` (version words), `readings` (spellings of names) and `page_inside` (addresses in addresses).
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

from domains.categoryPattern.model import CategoryPattern
from domains.patternClassifier.app_names import Spelling, readings
from domains.patternClassifier.urls import page_inside
from domains.patternClassifier.words import is_qualifier

TOO_GENERAL = {"com", "net", "org", "co", "www", "http", "https"}

Place = tuple[str, list[str]]
Answer = tuple[str, str, str, str]  # category, tier, pattern, category id: the fields of a RuleMatch


def candidates(patterns: Iterable[CategoryPattern], app: str, url: str) -> list[Answer]:
    """All patterns that match a window without a title, best first: an app that is no browser, the URL, a browser."""
    apps, urls = [], []
    for document in patterns:
        last = (document.priority is None, document.priority or 0, document.category)
        for pattern in document.app_patterns:
            strength = app_strength(pattern, app)
            if strength is not None:
                apps.append((strength, *last, pattern, document.id))
    address = url if url or apps else app_address(app)
    for document in patterns:
        last = (document.priority is None, document.priority or 0, document.category)
        for pattern in document.domain_patterns:
            strength = url_strength(pattern, address)
            if strength is not None:
                urls.append((strength, *last, pattern, document.id))
    by_app = [(category, "app", pattern, id_) for *_, category, pattern, id_ in sorted(apps)]
    by_url = [(category, "url", pattern, id_) for *_, category, pattern, id_ in sorted(urls)]
    return by_app + by_url if by_app and by_app[0][0] != "Browsing" else by_url + by_app


def provisional(patterns: Iterable[CategoryPattern], app: str, url: str) -> bool:
    """Whether the best of `candidates` cannot know: a browser's name, or a host of Browsing for a site below it."""
    category, tier, pattern, _ = candidates(patterns, app, url)[0]
    if category != "Browsing":
        return False
    if tier == "app":
        return url != "" and not re.match("(?i)(about|arc|brave|chrome|edge|opera|vivaldi|whale):(?!reader)", url)
    read, place = read_pattern(pattern), split(url or app_address(app))
    if read is None or isinstance(read, str) or read[1] or place is None:
        return False
    before = place[0].removesuffix(read[0]).strip(".").split(".")
    return any(label not in ("", "www", "m", "en") for label in before)  # those of the labels of the tests


def app_address(app: str) -> str:
    """The address that the name of an installed web app is."""
    host = re.sub("^(google-)?(chrome|brave|msedge|vivaldi|opera)-", "", app.split("__")[0])
    return host if re.fullmatch(r"([a-zA-Z0-9-]+\.)+[a-zA-Z]{2,}", host) else ""


# ---------------------------------------------------------------------------------------------- URLs


def url_strength(pattern: str, url: str) -> tuple[int, int, int] | None:
    """(token, -length of host or token, -length of path) if the pattern matches the URL."""
    read, place = read_pattern(pattern), split(url)
    if read is None or place is None:
        return None
    host, segments = place
    if isinstance(read, str):
        if read.startswith("*."):
            name = segments[-1] if segments and not host else ""
            return (0, 0, 0) if name.endswith(read[1:]) else None
        hit = host and (read in host.split(".") or any(segment.split(".")[0] == read for segment in segments))
        return (1, -len(read), 0) if hit else None
    wanted, path = read
    below = host.endswith("." + wanted) and not is_ip(wanted)
    if (host == wanted or below) and segments[: len(path)] == path:
        return (0, -len(wanted), -sum(len(segment) + 1 for segment in path))
    return None


def read_pattern(pattern: str) -> str | Place | None:
    """A token, `*.` and the extension of local files, a host with its path, or None for a broken pattern."""
    text = pattern.strip()
    if files := re.fullmatch(r"file:/*(\*\.[a-z0-9]{1,8})", text.lower()):
        return files[1]
    if text.startswith("*://"):
        text = text[4:]
    if text.endswith("/*"):
        text = text[:-2]
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*:)?//", text)
    front, rest = (scheme[0], text[scheme.end() :]) if scheme else ("", text)
    stripped = rest
    while stripped.startswith((".", "*.")):
        stripped = stripped[1:].removeprefix(".") if stripped[0] == "*" else stripped[1:]
    text = front + stripped
    if "*" in text or not text.strip("/"):
        return None
    bare = text.strip("/")
    whole = stripped == rest and not set(bare) & set("./:@?#[]") and not any(map(str.isspace, bare))
    if whole and bare.lower() != "localhost":
        segments = split_path(bare)
        token = decode_label(segments[0]) if segments else ""
        return None if token in TOO_GENERAL or "." in token or not any(map(str.isalnum, token)) else token
    place = split(f"[{text}]" if text.count(":") > 1 and set(text.lower()) <= set("0123456789abcdef:.") else text)
    if place is None:
        return None
    host, segments = place
    if host.startswith("www.") and host.count(".") > 1:
        host = host.removeprefix("www.")
    if "" in host.split(".") or host in TOO_GENERAL:
        return None
    return host, segments


def split(url: str) -> Place | None:
    """The canonical host (which may be empty) and the path segments; None if the URL has neither."""
    url = url[:8192]
    for ignored in "\t\r\n":
        url = url.replace(ignored, "")
    while url and (url[0] <= " " or url[0] in "\x85\xa0\u200b\u3000\ufeff"):
        url = url[1:]
    while url and (url[-1] <= " " or url[-1] in "\x85\xa0\u200b\u3000\ufeff"):
        url = url[:-1]
    url = url.replace("\\", "/")
    for _ in range(3):
        url = page_inside(url) or url
    url = url.split("?")[0].split("#")[0]
    while url.lower().startswith(("view-source:", "blob:", "filesystem:")):
        url = url.partition(":")[2]
    scheme, colon, rest = url.partition(":")
    if not (colon and re.fullmatch("[a-zA-Z][a-zA-Z0-9+.-]*", scheme)):
        return at_host(url.lstrip("/")) if url.startswith("//") else at_host(url)
    scheme = scheme.lower()
    if scheme in {"http", "https", "ws", "wss", "ftp", "about"}:
        return at_host(rest.lstrip("/"))
    if scheme == "file":
        return "", split_path(rest[2:].partition("/")[2] if rest.startswith("//") else rest)
    if scheme in {"data", "javascript", "mailto", "tel", "sms", "urn", "magnet", "cid", "mid"}:
        return None
    if rest.startswith("//"):
        return at_host(rest[2:])
    if rest.startswith("/"):
        return "", split_path(rest)
    if set(rest.partition("/")[0]) <= set("0123456789"):
        return at_host(url)
    return at_host(url) if "@" in rest.split("/")[0] else None


def at_host(text: str) -> Place | None:
    authority, _, path = text.partition("/")
    if not authority:
        return "", split_path(path)
    host = read_host(authority.split("@")[-1])
    return (host, split_path(path)) if host else None


def read_host(host: str) -> str:
    if len(host) > 9 * 253:
        return ""
    port = re.search(r":[0-9]*$", host)
    if port and not (host.startswith("[") and "]" not in host[: port.start()]):
        host = host[: port.start()]
    if host.startswith("[") or host.endswith("]"):
        address = host.removeprefix("[").removesuffix("]")
        sound = host == f"[{address}]" and ":" in address and "%" not in address and is_ip(address)
        if sound and ipaddress.ip_address(address).is_loopback:
            return "127.0.0.1"
        return f"[{ipaddress.ip_address(address)}]" if sound else ""
    if ":" in host:
        return ""
    host = fold(unquote(host))
    while host.endswith("."):
        host = host[:-1]
    if host.endswith(".translate.goog") and host.count(".") == 2:
        host = ".".join(part.replace("\0", "-") for part in host.split(".")[0].replace("--", "\0").split("-"))
    host = ".".join(decode_label(label) for label in host.split("."))
    if len(host) > 253:
        return ""
    if re.fullmatch("[0-9]+", host.split(".")[-1]):
        return host if is_ip(host) else ""
    return "" if any(c <= " " or c in '"#%/:<>?@[\\]^`{|}\x7f' for c in host) else host


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def fold(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).replace("。", ".")
    for invisible in "\xad\u200b\u2060\ufeff":
        text = text.replace(invisible, "")
    return text.lower()


def decode_label(label: str) -> str:
    if label.startswith("xn--") and len(label) <= 63:
        try:
            decoded = label[4:].encode("ascii").decode("punycode")
        except (UnicodeError, ValueError, OverflowError):
            return label
        if not decoded.isascii() and fold(decoded) == decoded:
            return decoded
    return label


def split_path(path: str) -> list[str]:
    segments: list[str] = []
    for raw in unquote(re.sub("%2[fF]", "%252f", path)).split("/"):
        segment = "".join("\ufffd" if c < " " or c == "\x7f" else c for c in raw)
        if segment == "..":
            segments = segments[:-1]
        elif segment not in ("", "."):
            segments.append((unicodedata.normalize("NFC", segment) if len(segment) <= 1024 else segment).lower())
    return segments


# ---------------------------------------------------------------------------------------------- apps


def app_strength(pattern: str, app: str) -> tuple[int, int, int] | None:
    """(number of the reading, -words of the name, 0) where the pattern matches the app's name."""
    wanted, words = app_words(pattern), app_words(app)
    if not wanted:
        return None
    if words[: len(wanted)] == wanted and says_nothing_more(words[len(wanted) :]):
        return 0, -len(wanted), 0
    letters = "".join(wanted).replace(".", "")
    for number, (read, spelling) in enumerate(readings(app), 1):
        for end in range(len(read), 0, -1):
            same = read[:end] == wanted
            if not same and (len(letters) < 3 or "".join(read[:end]).replace(".", "") != letters):
                continue
            if says_nothing_more(read[end:]) and not (spelling is Spelling.MAKER and len(wanted) > 1):
                return number, -end, 0
    return None


def says_nothing_more(words: list[str]) -> bool:
    if not words:
        return True
    heads = range(1, min(len(words), 8) + 1)
    return any(is_qualifier(" ".join(words[:n])) and says_nothing_more(words[n:]) for n in heads)


def app_words(name: str) -> list[str]:
    name = name.strip()
    if len(name) > 512:
        return []
    for mark in "®©™℠":
        name = name.replace(mark, " ")
    name = "".join(c for c in name if unicodedata.category(c) != "Cf" or (c > "\u206f" and c != "\ufeff"))
    name = unicodedata.normalize("NFKC", name).strip().casefold()
    if re.match(r"[a-z]:[\\/]|[\\/]", name):
        name = name.rstrip("\\/").replace("\\", "/").split("/")[-1]
    for suffix in (".exe", ".app"):
        if name.endswith(suffix):
            name = name.removesuffix(suffix)
            break
    words, word = [], ""
    for c in name + " ":
        open_ = word[-1:] not in ("+", "#")
        mark = "\u0300" <= c <= "\u036f" or "\u0900" <= c <= "\u0eff"
        if (c.isalnum() and open_) or (((mark and open_) or c in "+#") and word.strip(".")):
            word += c
        else:
            words.append(word)
            word = c if c == "." or c.isalnum() else ""
    return [word for word in words if word.strip(".")]
