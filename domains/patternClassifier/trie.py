"""The trie of app patterns: one level a word, so a pattern is found as a whole-word prefix of a name.

A name that no pattern matches as it stands is read as `app_names` reads what platforms write, and compared with the
patterns by letters, however the words are joined.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from domains.patternClassifier.app_names import Reading, Spelling, joined, readings
from domains.patternClassifier.words import only_qualifiers, split_name

T = TypeVar("T")

_LETTERS = 3
"""Letters, at least, of a pattern that is found in a name whose words are joined otherwise."""


class Found(NamedTuple, Generic[T]):
    """A pattern's value, how the name was read (None: as it stands), and the words behind those of the pattern."""

    value: T
    spelling: Spelling | None
    behind: list[str]


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

    def add(self, words: Sequence[str], value: T) -> None:
        """Adds a pattern's words, at least one; of equal patterns, the one added first wins."""
        node = self._root
        for word in words:
            child = node.children.get(word)
            if child is None:
                child = node.children[word] = _Node()
            node = child
        node.values.append(value)
        pattern = list(words)
        self._by_letters.setdefault(joined(pattern), []).append((pattern, value))

    def find(self, name: str) -> Iterator[T]:
        """The values of the patterns that match: the surest reading of the name first, then the longest pattern."""
        return (found.value for found in self.explained(name))

    def explained(self, name: str) -> Iterator[Found[T]]:
        """The same with how the name was read."""
        return _each_once(self._in_all_readings(name))

    def near(self, name: str) -> Iterator[Found[T]]:
        """Patterns that only begin the name, in any reading: the longest first, and what stands behind them."""
        words = split_name(name)
        beginnings = [Found(value, None, words[n:]) for n, values in self._prefixes(words) for value in values]
        for reading in readings(name):
            for length in range(len(reading.words)):
                for _, value in self._by_letters.get(joined(reading.words[:length]), ()):
                    beginnings.append(Found(value, reading.spelling, reading.words[length:]))
        matching = {id(found.value) for found in self._in_all_readings(name)}
        longest_first = sorted(beginnings, key=lambda found: len(found.behind))
        return _each_once(found for found in longest_first if id(found.value) not in matching)

    def _in_all_readings(self, name: str) -> Iterator[Found[T]]:
        words = split_name(name)
        for length, values in reversed(self._prefixes(words)):
            if length == len(words) or only_qualifiers(words, length):
                for value in values:
                    yield Found(value, None, words[length:])
        for reading in readings(name):
            yield from self._matches(reading)

    def _matches(self, reading: Reading) -> Iterator[Found[T]]:
        words = reading.words
        for length in range(len(words), 0, -1):
            letters = joined(words[:length])
            found = self._by_letters.get(letters)
            if found and (length == len(words) or only_qualifiers(words, length)):
                for pattern, value in found:
                    whole = len(letters) >= _LETTERS or pattern == words[:length]
                    if whole and not (reading.spelling is Spelling.MAKER and len(pattern) > 1):
                        yield Found(value, reading.spelling, words[length:])

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


def _each_once(found: Iterable[Found[T]]) -> Iterator[Found[T]]:
    seen = set()
    for each in found:
        if id(each.value) not in seen:
            seen.add(id(each.value))
            yield each
