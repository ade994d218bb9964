"""Operations on many dead letters at once."""

from domains.operations.model import LetterSummary, Replay, Selection
from domains.operations.ports import DeadLettersPort
from domains.pomodoro.model import DeadLetterKind


async def chosen_letters(letters: DeadLettersPort, selection: Selection) -> list[LetterSummary]:
    return [letter async for letter in letters.all() if letter in selection]


async def replay_letters(letters: DeadLettersPort, selection: Selection) -> Replay:
    """Replays the selected letters, each once. Raises RedisOutage; letters replayed before it stay replayed."""
    replayed, left = dict[str, str](), dict[str, str]()
    for letter in await chosen_letters(
        letters, selection
    ):  # list them first, since a letter that fails again comes back at the end
        if letter.truncated:
            cut = "its fields were cut because of their size"
            left[letter.id] = letter.reason if letter.kind is DeadLetterKind.UNKNOWN else cut
        elif new_id := await letters.replay(letter):
            replayed[letter.id] = new_id
    return Replay(replayed, left)
