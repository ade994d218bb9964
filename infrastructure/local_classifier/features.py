"""The features of a window: hashed words and letter sequences, as row numbers of the weights.

A change here makes existing model files wrong, so it has to raise `VERSION`.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from domains.patternClassifier.questions import Question

VERSION = 1
BUCKETS = 1 << 16
"""Rows for each of the two fields. The fields share no row, so that rows without training data stay at zero."""

_WORD = re.compile(r"[^\W_]+")
_MAX_CHARACTERS = 200
_MAX_WORD = 30
_LETTERS = range(3, 6)
_SYLLABLES = range(2, 5)


class Features(NamedTuple):
    """Row numbers, each once. `place` is of the site, or of the app if there is no site."""

    place: list[int]
    title: list[int]


def features(question: Question) -> Features:
    """The features of a question; never raises.

    An app counts only without a site: next to a site, the app is the browser and says nothing.
    """
    place = _of_site(_folded(question.site)) if question.site else _of_app(_folded(question.app))
    return Features(_rows(place, 0), _rows(_of_title(_folded(question.title)), BUCKETS))


def _of_site(site: str) -> Iterator[str]:
    host, _, path = site.partition("/")
    *names, top = host.split(".")
    if top:
        yield f"top {top}"
    for name in names:
        yield f"host {name}"
        yield from _sequences(name)
    for word in _WORD.findall(path):
        yield f"path {word}"
        yield from _sequences(word)


def _of_app(app: str) -> Iterator[str]:
    for word in _WORD.findall(app):
        yield "app"
        yield f"app {word}"
        yield from _sequences(word)


def _of_title(title: str) -> Iterator[str]:
    for word in _WORD.findall(title):
        yield word
        if not word.isascii():  # Korean particles are attached to their word
            yield from (word[i : i + 2] for i in range(len(word) - 1))


def _sequences(word: str) -> Iterator[str]:
    framed = f"<{word[:_MAX_WORD]}>"
    for size in _LETTERS if word.isascii() else _SYLLABLES:
        for i in range(len(framed) - size + 1):
            yield framed[i : i + size]


def _folded(text: str) -> str:
    text = text[:_MAX_CHARACTERS]
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def _rows(words: Iterator[str], first: int) -> list[int]:
    return sorted({first + (crc32(word.encode("utf-8", "replace")) & (BUCKETS - 1)) for word in words})
