"""Reads what the head of a page says. Pages are hostile: work is bounded, and nothing in them is followed."""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lxml import etree

from domains.siteProfile.model import PageFacts, facts_of

LONGEST_HEAD = 65_536
"""Bytes. lxml needs 0.1 s for as much of the worst HTML that is known."""

_END_OF_HEAD = re.compile(rb"</head\b", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_KOREAN = frozenset({"euc-kr", "ks_c_5601-1987", "ksc5601", "ks_c_5601", "windows-949", "x-windows-949"})
"""Names under which pages mean cp949, as browsers read them."""
_OF_PAGES = re.compile(
    r"ascii|utf-(?:8|16|32)(?:-[bl]e)?|iso8859-\d+|cp\d+|euc_\w+|shift_\w+|gb\w+|big5\w*|koi8.\w|johab|iso2022_\w+"
)
_MOST_NODES = 2_000
_DEEPEST = 12
_META_NAMES = {
    "description": "description",
    "og:description": "description",
    "twitter:description": "description",
    "keywords": "keywords",
    "og:title": "title",
    "og:type": "open_graph_type",
}
"""The facts that `<meta>` elements give, by their name. The first one that says anything counts."""


class ParsedPage(NamedTuple):
    facts: PageFacts
    manifest: str
    """The address of the web app manifest as the page names it; empty where it names none."""


def parse_page(body: bytes, charset: str | None) -> ParsedPage:
    """The facts of a page's head; never raises. `charset` is what the server said of the encoding."""
    head = body[:LONGEST_HEAD]
    if end := _END_OF_HEAD.search(head):
        head = head[: end.start()]
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(_decoded(head, charset).encode("utf-8", "replace"), parser)
    except (etree.LxmlError, ValueError):
        root = None
    if root is None:
        return ParsedPage(PageFacts(), "")
    return _facts_and_manifest(root)


def parse_manifest(body: bytes) -> tuple[str, ...]:
    """The `categories` of a web app manifest; none where it is no such thing."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    return facts_of({"manifest": found.get("categories")}).manifest if isinstance(found, dict) else ()


def _decoded(head: bytes, charset: str | None) -> str:
    """The text, by the byte order mark, the header or the page itself, else UTF-8, else Korean Windows."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, "replace")
    named = _META_CHARSET.search(head, 0, 4096)
    for name in (charset, named and named[1].decode("ascii", "replace")):
        if name and (encoding := _text_encoding(name)):
            return head.decode(encoding, "replace")
    try:
        return head.decode()
    except UnicodeDecodeError as error:
        cut_off = error.start > len(head) - 4  # the limit may divide a letter
        return head.decode("utf-8" if cut_off else "cp949", "replace")


def _text_encoding(name: str) -> str:
    """Python's name of an encoding that pages use; empty for any other name."""
    name = name.strip().lower()
    if name in _KOREAN:
        return "cp949"
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return ""
    return found if _OF_PAGES.fullmatch(found) else ""


def _facts_and_manifest(root: etree._Element) -> ParsedPage:
    found: dict[str, object] = {}
    types, applications, manifest = list[str](), list[str](), ""
    for _, element in zip(range(_MOST_NODES), root.iter("title", "meta", "link", "script"), strict=False):
        match element.tag:
            case "title" if not found.get("page_title"):
                found["page_title"] = element.text or ""
            case "meta":
                name = (element.get("name") or element.get("property") or "").strip().lower()
                if (fact := _META_NAMES.get(name)) and not found.get(fact):
                    found[fact] = element.get("content") or ""
            case "link" if not manifest and "manifest" in (element.get("rel") or "").lower().split():
                manifest = (element.get("href") or "").strip()
            case "script" if (element.get("type") or "").strip().lower() == "application/ld+json":
                for kind, application in _json_ld(element.text or ""):
                    types.append(kind)
                    applications.append(application)
    title = found.pop("page_title", "") or found.get("title", "")
    return ParsedPage(facts_of({**found, "title": title, "json_ld": types, "applications": applications}), manifest)


def _json_ld(text: str) -> Iterator[tuple[str, str]]:
    """The types and application categories of the things in a JSON-LD block that are about the page."""
    try:
        waiting = [(json.loads(text), 0)]
    except (ValueError, RecursionError):
        return
    for _ in range(_MOST_NODES):
        if not waiting:
            return
        thing, depth = waiting.pop()
        if isinstance(thing, list):
            waiting += [(each, depth + 1) for each in thing[:_MOST_NODES] if depth < _DEEPEST]
        elif isinstance(thing, Mapping):
            for kind in _strings(thing.get("@type")):
                yield kind, ""
            for application in _strings(thing.get("applicationCategory")):
                yield "", application
            waiting += [(thing.get(name), depth + 1) for name in ("@graph", "mainEntity") if depth < _DEEPEST]


def _strings(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]
