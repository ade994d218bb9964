"""Questions: the least of a window that decides its category. Only this is asked and remembered.

| what stands there                   | what leaves               | why                                          |
|-------------------------------------|---------------------------|----------------------------------------------|
| URL                                 | host, first path segments | up to the first that names one thing or user |
| `file:`, an IP address, `localhost` | that it is one            | never a local path, never an address         |
| title, name of the app              | both masked               | see `masking.py`                             |
| a private host in a title           | [url]                     | see `privacy.py`                             |
| a title that gives orders           | nothing                   | a model might obey it                        |
"""

import re
from typing import NamedTuple

from domains.kernel.window import Window
from domains.patternClassifier.masking import (
    ADDRESSES,
    is_identifier,
    looks_random,
    masked_app,
    masked_host,
    masked_title,
)
from domains.patternClassifier.privacy import Privacy
from domains.patternClassifier.urls import split_url

_SEGMENT = 32  # characters, at most
_NUMBER_DIGITS = 7
_RANDOM_LETTERS = 12
_OTHER_SCHEME = re.compile(r"\s*(?!https?:|view-source:|blob:|filesystem:)([a-zA-Z][a-zA-Z0-9+.-]*):(?://|\Z)")
_HOST_IN_TEXT = re.compile(r"(?<![\w.@-])[^\W_][\w-]*(?:\.[\w-]+)+")
_WORDS_ONLY = re.compile(r"(?:[^\W\d]{1,11}+(?:[-.+]++|\Z))++")
_SEGMENT_CHARACTERS = re.compile(r"[\w.+-]+")
_ACCOUNTS = frozenset({"in", "u", "user", "users", "profile", "profiles", "people", "member", "members"})
"""What follows names a person."""
_SECRETS_FOLLOW = re.compile("reset|recover|verif|confirm|activat|invit|unsubscrib|magic|token|passw|forgot|onetime")
"""What follows opens something."""

_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:previous|above|prior|earlier|instructions?|rules|prompt)"
    r"|\b(?:answer|respond|reply|output|return|classify|categori[sz]e|label|treat)\b.{0,30}"
    r"\b(?:all|every|each|any|other|following|rest)\b.{0,30}\b(?:items?|windows?|titles?|entr|questions?|numbers?|others?)"
    r"|\b(?:answers?|category|number)[\"']\s?:|\bcategory\b.{0,20}\b(?:is now|must be|for all|for every)\b"
    r"|\byou are (?:now )?(?:an? )?(?:assistant|classifier|ai|model|bot)\b|system prompt|new instructions"
    r"|<\|im_|\[/?(?:system|inst)\]|</?(?:system|user|assistant)>|(?:\A|[\]}>\"] ?)(?:system|assistant)\s?:"
    r"|(?:이전|위|앞|지금까지)의?\s?(?:지시|명령|프롬프트|규칙|지침)|(?:지시|명령|지침|규칙)\S{0,3}\s?(?:무시|잊)"
    r"|(?:모든|전부|모두|나머지)\s?(?:항목|창|제목|질문).{0,20}(?:답|분류|대답|출력)",
    re.IGNORECASE,
)
"""Texts that address the model. Such a title says nothing about a person's activity, and may be an attack."""


class Question(NamedTuple):
    """A window as all tiers after the rules know it."""

    app: str
    site: str
    title: str


class Questions:
    """Makes questions of windows. Immutable. A host that is private by `privacy` is masked in titles, too."""

    def __init__(self, privacy: Privacy | None = None, with_titles: bool = True, path_segments: int = 2) -> None:
        self._privacy = privacy or Privacy()
        self._with_titles = with_titles
        self._path_segments = path_segments

    def of(self, window: Window) -> Question:
        """The question of any window. It takes microseconds, and the question of a question is the same."""
        return Question(
            masked_app(window.app),
            self._site(window.url) if window.url else "",
            self._title(window.title) if self._with_titles else "",
        )

    def may_leave(self, window: Window) -> bool:
        """Whether the window may be shown to the LLM."""
        return not self._privacy.is_private(window)

    def _title(self, title: str) -> str:
        title = masked_title(title)
        if _ORDERS.search(title):
            return ""
        if "." not in title:
            return title
        is_private = self._privacy.is_private_host
        return _HOST_IN_TEXT.sub(lambda host: "[url]" if is_private(host[0].lower()) else host[0], title)

    def _site(self, url: str) -> str:
        if scheme := _OTHER_SCHEME.match(url):  # a local path may follow
            return f"{scheme[1].lower()}:"
        if url.lstrip().startswith("\\\\"):
            return "file:"
        host, path = split_url(url)
        host = masked_host(host)
        if not host:
            return ""
        if host in ADDRESSES:
            return host
        kept = [host]
        for segment in path.split("/", self._path_segments + 1)[1 : self._path_segments + 1]:
            if not _says_something(segment):
                break
            kept.append(segment)
            if segment in _ACCOUNTS or _SECRETS_FOLLOW.search(segment):
                break
        return "/".join(kept)


def _says_something(segment: str) -> bool:
    """Whether a path segment consists of words, and not of an identifier, an address or noise."""
    if len(segment) > _SEGMENT or sum(map(str.isdigit, segment)) >= _NUMBER_DIGITS:
        return False
    if _WORDS_ONLY.fullmatch(segment):
        return True
    if not _SEGMENT_CHARACTERS.fullmatch(segment) or segment.isdigit():
        return False
    return not any(is_identifier(part) or _is_random(part) for part in re.split("[-_.+]", segment))


def _is_random(word: str) -> bool:
    """Stricter than for titles, since a missing segment does little harm."""
    return len(word) >= _RANDOM_LETTERS and looks_random(word, usual_share=0.65)
