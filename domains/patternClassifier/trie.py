"""The trie of app patterns: one level a word, so a pattern is found as a whole-word prefix of a name."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from domains.patternClassifier.words import only_qualifiers, split_name

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.values: list[T] = []


class AppTrie(Generic[T]):
    """Finds the values of all patterns that a name matches."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

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

    def find(self, name: str) -> Iterator[T]:
        """The values of the patterns that match, the longest pattern first."""
        words = split_name(name)
        for length, values in reversed(self._prefixes(words)):
            if length == len(words) or only_qualifiers(words, length):
                yield from values

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
