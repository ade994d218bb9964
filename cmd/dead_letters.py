"""Shows messages that could not be processed, puts them back on the stream, or drops them.

python -m cmd.dead_letters list
"""

import asyncio
import re
from cmd._output import Json, fail, print_json, print_tables, say, table
from cmd._run import no_such, note_change, run, running_container, settings_or_exit, want_yes
from collections.abc import Collection
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from domains.operations.model import Entry, Replay, Selection
from domains.operations.service import chosen_letters, grouped_letters, outcome_of, outcomes_within, replay_letters
from domains.pomodoro.model import DeadLetterKind
from infrastructure.observing.printable import printable
from infrastructure.observing.readable import counted, local_time

if TYPE_CHECKING:
    from domains.operations.ports import DeadLettersPort
    from infrastructure.composition.container import Container

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)

Ids = Annotated[list[str] | None, typer.Argument(help="ids of dead letters, as `list` shows them")]
Reason = Annotated[str, typer.Option(help="only those whose reason contains this text, in any case")]
OlderThan = Annotated[str, typer.Option(help="only those older than this: 90s, 15m, 12h, 7d")]
Stream = Annotated[str, typer.Option(help="only those of this stream or work queue, such as pomocore:cards:users")]
Kind = Annotated[str, typer.Option(help="only those of this kind, as `summary` shows it")]
Search = Annotated[str, typer.Option(help="only those with this text in their reason, user or ids, in any case")]
All = Annotated[bool, typer.Option("--all", help="all of them")]
_IDS_NOTED = 10
"""In an entry of the audit."""


@app.command("list")
def list_letters(
    reason: Reason = "",
    older_than: OlderThan = "",
    stream: Stream = "",
    kind: Kind = "",
    search: Search = "",
    limit: Annotated[int, typer.Option(help="greatest number of rows", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """Shows the dead letters, oldest first."""
    settings, selection = settings_or_exit(), _selection(None, reason, older_than, stream, kind, search)
    when = partial(local_time, zone=settings.zone)

    async def work() -> None:
        async with running_container(settings) as container:
            found = await chosen_letters(_letters(container, stream), selection)
        if as_json:
            print_json([asdict(letter) for letter in found[:limit]])
            return
        rows = [(it.id, when(it.time), str(it.deliveries), it.user_id, it.stream, it.reason) for it in found[:limit]]
        if rows:
            head = ("Id", "Time", "Tries", "User", "Stream", "Reason")
            print_tables(table(head, rows, ("Tries",), ("Id", "Time", "User")))
        say(counted(len(found), "dead letter") + (f", {limit} shown" if len(found) > limit else ""))

    run(work)


@app.command()
def summary(reason: Reason = "", older_than: OlderThan = "", stream: Stream = "", as_json: Json = False) -> None:
    """Counts the dead letters by kind and reason, with the time of the oldest and of the latest."""
    settings, selection = settings_or_exit(), _selection(None, reason, older_than, stream)
    when = partial(local_time, zone=settings.zone)

    async def work() -> None:
        async with running_container(settings) as container:
            groups = await grouped_letters(_letters(container, stream), selection)
        if as_json:
            names = ("kind", "reason", "count", "oldest", "latest", "streams")
            print_json([dict(zip(names, group, strict=True)) for group in groups])
            return
        rows = [(it.kind, str(it.size), when(it.oldest), when(it.latest), it.reason) for it in groups]
        if rows:
            head = ("Kind", "Count", "Oldest", "Latest", "Reason")
            print_tables(table(head, rows, ("Count",), ("Oldest", "Latest")))
        say(counted(sum(group.size for group in groups), "dead letter"))

    run(work)


@app.command()
def show(letter_id: Annotated[str, typer.Argument(help="id of a dead letter")], as_json: Json = False) -> None:
    """Shows one dead letter with all fields of its message."""
    settings = settings_or_exit()
    when = partial(local_time, zone=settings.zone)
    _check_ids([letter_id])

    async def work() -> None:
        async with running_container(settings) as container:
            letter = await container.dead_letters().get(letter_id)
        if letter is None:
            fail(f"{letter_id}: no such dead letter", 1)
        if as_json:
            print_json(asdict(letter))
            return
        from infrastructure.spring.replayed_message import OUR_FIELDS, past_replays

        say(f"reason      {printable(letter.reason)}")
        for past in past_replays(letter.fields):
            say(f"earlier     parked {when(past.parked)}, replayed {when(past.replayed)}: {printable(past.reason)}")
        say(f"original id {letter.original_id}\ntries       {letter.deliveries}\ntime        {when(letter.time)}")
        say(f"fields      {'(cut because of their size)' if letter.truncated else ''}")
        for name, value in letter.fields.items():
            if name not in OUR_FIELDS:
                say(f"  {printable(name)}: {printable(value)}")

    run(work)


@app.command()
def replay(
    ids: Ids = None,
    reason: Reason = "",
    older_than: OlderThan = "",
    stream: Stream = "",
    kind: Kind = "",
    search: Search = "",
    everything: All = False,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE: a field of the one message that gets another value; NAME=: none"),
    ] = None,
    wait: Annotated[float, typer.Option(help="seconds for which the ends are waited for", min=0)] = 3.0,
    as_json: Json = False,
) -> None:
    """Puts messages back on the stream, each exactly once, and says what became of them.

    They keep the id under which they first came. A message whose fields were cut because of their size cannot be put
    back; it stays. Exit codes: 1 if one of the ids is not there, or a message died again.
    """
    chosen = _check_ids(ids), reason, older_than, stream, kind, search, everything
    settings, selection, changes = settings_or_exit(), _selection(*chosen), _changes(change, ids)

    async def work() -> int:
        async with running_container(settings) as container:
            letters = _letters(container, stream)
            replay = _corrected(container, ids or [], changes) if changes else replay_letters(letters, selection)
            replayed, left = await replay
            ends = await outcomes_within(letters, replayed.values(), wait)
            died = {entry: letter for entry, letter in ends.items() if letter is not None}
            counts = f"{len(ends) - len(died)} committed, {len(died)} died again, {len(replayed) - len(ends)} waiting"
            what = f"corrected ({', '.join(changes)}) and replayed" if changes else "replayed"
            outcome = f"{len(replayed)} replayed: {counts}"
            if replayed:
                await note_change(container, f"{what} dead letters", _described(*chosen), outcome)
        if as_json:
            pairs = [
                {"id": letter_id, "newId": entry.id, "outcome": outcome_of(entry, ends)}
                for letter_id, entry in replayed.items()
            ]
            print_json({"replayed": pairs, "truncated": len(left)})
        else:
            for entry, letter in died.items():
                say(f"{letter.id} (was {entry.id}): {printable(letter.reason)}")
            say(outcome + (f"; {len(left)} cut by their size and left" if left else ""))
        missing = _missing(ids, {*replayed, *left})
        return 1 if missing or died else 0

    run(work)


async def _corrected(container: "Container", ids: list[str], changes: dict[str, str | None]) -> Replay:
    """Replays one letter with other fields. Ends with exit code 1 where that cannot work."""
    from infrastructure.spring.replayed_message import fault_of_correction  # pydantic is slow to import

    letters, (letter_id,) = container.dead_letters(), ids
    letter = await letters.get(letter_id)
    if letter is None or letter.truncated:
        fail(f"{letter_id}: " + ("its fields were cut because of their size" if letter else "no such dead letter"), 1)
    if fault := fault_of_correction(letter, changes, container.parser(), container.streams()):
        fail(f"{letter_id}: {printable(fault)}", 1)
    new_id = await letters.replay(letter, changes)
    return Replay({letter_id: Entry(letter.stream, new_id)} if new_id else {}, {})


@app.command()
def drop(
    ids: Ids = None,
    reason: Reason = "",
    older_than: OlderThan = "",
    stream: Stream = "",
    kind: Kind = "",
    search: Search = "",
    everything: All = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count them")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Json = False,
) -> None:
    """Deletes dead letters for good. It asks before that. Exit codes: 1 if one of the ids is not there."""
    criteria = _check_ids(ids), reason, older_than, stream, kind, search, everything
    settings, selection = settings_or_exit(), _selection(*criteria)
    want_yes(dry_run or yes)

    async def work() -> int:
        async with running_container(settings) as container:
            letters = _letters(container, stream)
            chosen = await chosen_letters(letters, selection)
            if chosen and not (dry_run or yes):
                await asyncio.to_thread(
                    typer.confirm, f"Delete {counted(len(chosen), 'dead letter')} for good?", abort=True
                )
            dropped = len(chosen) if dry_run else await letters.drop(chosen)
            if chosen and not dry_run:
                await note_change(container, "dropped dead letters", _described(*criteria), f"{dropped} dropped")
        if as_json:
            print_json({"dropped": dropped, "dryRun": dry_run})
        else:
            say(f"{dropped} {'would be ' if dry_run else ''}dropped")
        return 1 if _missing(ids, {letter.id for letter in chosen}) else 0

    run(work)


def _letters(container: "Container", stream: str) -> "DeadLettersPort":
    """Ends with exit code 2 if there is no such `stream`."""
    letters = container.dead_letters()
    if stream and stream not in letters.streams:
        no_such("stream", stream, letters.streams)
    return letters


def _missing(ids: list[str] | None, found: Collection[str]) -> list[str]:
    """The ids that were given and are not there, each of which it tells of."""
    missing = [each for each in ids or () if each not in found]
    for each in missing:
        say(f"{each}: no such dead letter", err=True)
    return missing


@app.command()
def scores(
    replay: Annotated[bool, typer.Option("--replay", help="add the kept seconds to the boards")] = False,
    as_json: Json = False,
) -> None:
    """Shows seconds that a board could not take, such as one whose key has the wrong type, or adds them now."""
    settings = settings_or_exit()

    async def work() -> int:
        async with running_container(settings) as container:
            kept = await container.failed_scores().all()
            still = [score for score in kept if not (replay and await container.failed_scores().replay(score))]
            if replay:
                await note_change(container, "replayed scores", "", f"{len(kept) - len(still)} of {len(kept)}")
        if as_json:
            print_json({"replayed": len(kept) - len(still), "kept": [asdict(score) for score in still]})
        else:
            for score in still:
                say(f"{score.board}  {printable(score.user_id)}  {score.seconds:g} s")
            say(f"{len(kept) - len(still)} replayed, {len(still)} kept")
        return 1 if replay and still else 0

    run(work)


def _selection(
    ids: list[str] | None,
    reason: str,
    older_than: str,
    stream: str = "",
    kind: str = "",
    search: str = "",
    everything: bool = True,
) -> Selection:
    if not (ids or reason or older_than or stream or kind or search or everything):
        fail("Say which: ids, --kind, --reason, --search, --older-than, --stream or --all", 2)
    if kind and kind not in set(DeadLetterKind):
        no_such("kind of dead letters", kind, list(DeadLetterKind))
    try:
        return Selection(ids or (), reason, older_than, stream, kind, search)
    except ValueError as error:
        fail(f"--older-than {error}", 2)


def _described(
    ids: list[str] | None, reason: str, older_than: str, stream: str, kind: str, search: str, everything: bool
) -> str:
    """What was asked for, for the audit: short, however many letters that is."""
    criteria = {"stream": stream, "kind": kind, "reason": reason, "q": search, "older_than": older_than}
    named = [f"{name}={value}" for name, value in criteria.items() if value]
    some = (ids or [])[:_IDS_NOTED]
    rest = len(ids or ()) - len(some)
    return ", ".join([*named, *some, *([f"and {rest:,} more"] if rest else [])]) or "all"


def _changes(changes: list[str] | None, ids: list[str] | None) -> dict[str, str | None]:
    if changes and len(ids or ()) != 1:
        fail("--set corrects one message: give its id", 2)
    pairs = [change.partition("=") for change in changes or ()]
    if wrong := [name for name, sign, _ in pairs if not (name and sign)]:
        fail(f"--set {wrong[0]}: not NAME=VALUE", 2)
    return {name: value or None for name, _, value in pairs}


def _check_ids(ids: list[str] | None) -> list[str] | None:
    for letter_id in ids or ():
        if not re.fullmatch(r"\d{1,20}-\d{1,20}", letter_id):
            fail(f"{letter_id}: not an id such as 1756771234000-0", 2)
    return ids


if __name__ == "__main__":
    app()
