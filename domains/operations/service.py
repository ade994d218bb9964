"""Operations on many dead letters at once, and the history of tasks."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import suppress
from time import monotonic

from domains.kernel.errors import RedisOutage
from domains.operations.model import (
    ENDS,
    Entry,
    LetterGroup,
    LetterSummary,
    Outcome,
    Outcomes,
    Replay,
    Selection,
    TaskRun,
    TaskState,
    TaskStatus,
)
from domains.operations.ports import DeadLettersPort, TaskQueuePort
from domains.pomodoro.model import DeadLetterKind

_LOOK_SECONDS = 0.05
_LONGEST_LOOK_SECONDS = 0.5


async def chosen_letters(
    letters: DeadLettersPort, selection: Selection, limit: int | None = None
) -> list[LetterSummary]:
    """The selected letters, or the first `limit` of them, the oldest of each partition first."""
    found = list[LetterSummary]()
    async for letter in letters.all():
        if letter in selection:
            found.append(letter)
            if len(found) == limit:
                break
    return found


async def grouped_letters(letters: DeadLettersPort, selection: Selection) -> list[LetterGroup]:
    """The selected letters by kind and public reason, the largest group first."""
    groups = dict[tuple[DeadLetterKind, str], LetterGroup]()
    async for letter in letters.all():
        if letter in selection:
            name = letter.kind, letter.public_reason
            _, _, size, oldest, latest, streams = groups.get(
                name, LetterGroup(*name, 0, letter.time, letter.time, {})
            )
            streams = {**streams, letter.stream: streams.get(letter.stream, 0) + 1}
            groups[name] = LetterGroup(*name, size + 1, min(oldest, letter.time), max(latest, letter.time), streams)
    return sorted(groups.values(), key=lambda group: (-group.size, group.kind, group.reason))


async def replay_letters(letters: DeadLettersPort, selection: Selection, limit: int | None = None) -> Replay:
    """Replays the selected letters, or `limit` of them, each once.

    Raises RedisOutage; letters replayed before it stay replayed.
    """
    chosen, replayed, left = list[LetterSummary](), dict[str, Entry](), dict[str, str]()
    async for letter in letters.all():  # list them first, since a letter that fails again comes back at the end
        if letter not in selection:
            continue
        if letter.truncated:
            cut = "its fields were cut because of their size"
            left[letter.id] = letter.reason if letter.kind is DeadLetterKind.UNKNOWN else cut
            continue
        chosen.append(letter)
        if len(chosen) == limit:
            break
    for letter in chosen:
        if new_id := await letters.replay(letter):
            replayed[letter.id] = Entry(letter.stream, new_id)
    return Replay(replayed, left)


def outcome_of(entry: Entry, outcomes: Outcomes) -> Outcome:
    if entry not in outcomes:
        return Outcome.WAITING
    return Outcome.COMMITTED if outcomes[entry] is None else Outcome.DIED


async def outcomes_within(letters: DeadLettersPort, replayed: Collection[Entry], seconds: float) -> Outcomes:
    """What became of replayed messages. Those that are still on their way after `seconds` are left out.

    An outage of Redis is none of the messages' ends.
    """
    deadline, look, found = monotonic() + seconds, _LOOK_SECONDS, dict[Entry, LetterSummary | None]()
    while waiting := [entry for entry in replayed if entry not in found]:
        with suppress(RedisOutage):
            found |= await letters.outcomes(waiting)
        left = deadline - monotonic()
        if left <= 0 or len(found) == len(replayed):
            break
        await asyncio.sleep(min(look, left))
        look = min(2 * look, _LONGEST_LOOK_SECONDS)
    return found


async def told_of(queue: TaskQueuePort, request: str, request_id: str) -> AsyncGenerator[TaskStatus]:
    """Sends a request that has the id, and gives what is told of it, up to its end. Raises RedisOutage."""
    async with queue.statuses() as statuses:
        await queue.send(request)
        async for status in statuses:
            if status.id == request_id:
                yield status
                if status.status in ENDS:
                    return


def runs_of(statuses: Iterable[TaskStatus]) -> list[TaskRun]:
    """The runs of tasks that statuses, in their order, tell of; the latest first. The same status may come twice."""
    runs, running, seen = list[TaskRun](), dict[tuple[str, str | int | None], int](), set[tuple[object, ...]]()
    for status in statuses:
        name = status.task, status.id
        told = *name, status.status, status.time
        if told in seen:
            continue
        seen.add(told)
        if status.status is TaskState.STARTED:
            running[name] = len(runs)
            runs.append(TaskRun(*name, status.status, status.time, None, {}))
        elif status.status in ENDS:  # a request that is not understood ends without having begun
            begun = runs[running[name]].started if name in running else status.time
            ended = TaskRun(*name, status.status, begun, status.time, status.data)
            if name in running:
                runs[running.pop(name)] = ended
            else:
                runs.append(ended)
    return runs[::-1]
