"""Which sources send messages that break the contract, from the dead letters."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from domains.activityEvent.data_quality import Invalid
from domains.operations.ports import DeadLettersPort
from domains.pomodoro.model import DeadLetterKind
from domains.pomodoro.posting import source_of

_LETTERS = 500
"""Of a time, the latest: their fields say what their source is, and may be large."""


def invalid_by_source(dead_letters: DeadLettersPort) -> Invalid:
    async def invalid(start: float, end: float) -> Mapping[str, Mapping[str, int]]:
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for summary in (await dead_letters.page(_LETTERS, lambda letter: start <= letter.time < end)).letters:
            letter = None if summary.kind is DeadLetterKind.FAILED else await dead_letters.get(summary.id)
            if letter is not None:
                counts[source_of(letter.fields)][letter.kind.value] += 1
        return counts

    return invalid
