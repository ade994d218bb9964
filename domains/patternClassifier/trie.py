"""The trie of app patterns: one level a word, so a pattern is found as a whole-word prefix of a name.

A name that no pattern matches as it stands is read as `app_names` reads what platforms write, and compared with the
patterns by letters, however the words are joined.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from domains.patternClassifier.app_names import Spelling, joined, readings
from domains.patternClassifier.words import only_qualifiers, split_name

T = TypeVar("T")

_LETTERS = 3
"""Letters, at least, of a pattern that is found in a name whose words are joined otherwise."""


class _Node(Generic[T]):
    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.values: list[T] = []


class AppTrie(Generic[T]):
    """Finds the values of all patterns that a name matches."""

    __slots__ = ("_by_letters", "_root")

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._by_letters: dict[str, list[tuple[list[str], T]]] = {}

    def add(self, pattern: str, value: T) -> None:
        """Add a pattern; of equal patterns, the one added first wins.

        Raises ValueError, with the reason, for a pattern that could never match.
        """
        words = split_name(pattern)
        if not words:
            raise ValueError("no letter or digit in it, or far too long for an app's name")
        node = self._root
        for word in words:
            child = node.children.get(word)
            if child is None:
                child = node.children[word] = _Node()
            node = child
        node.values.append(value)
        self._by_letters.setdefault(joined(words), []).append((words, value))

    def find(self, name: str) -> Iterator[T]:
        """The values of the patterns that match: the surest reading of the name first, then the longest pattern."""
        seen = set()
        for value in self._in_all_readings(name):
            if id(value) not in seen:
                seen.add(id(value))
                yield value

    def _in_all_readings(self, name: str) -> Iterator[T]:
        words = split_name(name)
        for length, values in reversed(self._prefixes(words)):
            if length == len(words) or only_qualifiers(words, length):
                yield from values
        for reading in readings(name):
            yield from self._matches(reading.words, reading.spelling is Spelling.MAKER)

    def _matches(self, words: list[str], one_word: bool) -> Iterator[T]:
        for length in range(len(words), 0, -1):
            letters = joined(words[:length])
            found = self._by_letters.get(letters)
            if found and (length == len(words) or only_qualifiers(words, length)):
                for pattern, value in found:
                    whole = len(letters) >= _LETTERS or pattern == words[:length]
                    if whole and not (one_word and len(pattern) > 1):
                        yield value

    def find_prefixes(self, name: str) -> Iterator[T]:
        """The values of the patterns that begin the name, the longest first, whatever stands behind them."""
        for _, values in reversed(self._prefixes(split_name(name))):
            yield from values

    def _prefixes(self, words: list[str]) -> list[tuple[int, list[T]]]:
        node, found = self._root, []
        for length, word in enumerate(words, start=1):
            child = node.children.get(word)
            if child is None:
                break
            node = child
            if node.values:
                found.append((length, node.values))
        return found
