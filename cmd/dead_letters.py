"""Shows messages that could not be processed, puts them back on the stream, or drops them.

python -m cmd.dead_letters list
"""

import asyncio
import re
import sys
from cmd._output import Json, fail, print_json, print_tables, say, table
from cmd._run import note_change, run, running_container, settings_or_exit
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from domains.operations.model import Selection
from domains.operations.service import chosen_letters, replay_letters
from domains.pomodoro.model import DeadLetterKind
from infrastructure.observing.printable import printable

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)

Ids = Annotated[list[str] | None, typer.Argument(help="ids of dead letters, as `list` shows them")]
Reason = Annotated[str, typer.Option(help="only those whose reason contains this text, in any case")]
OlderThan = Annotated[str, typer.Option(help="only those older than this: 90s, 15m, 12h, 7d")]
All = Annotated[bool, typer.Option("--all", help="all of them")]


@app.command("list")
def list_letters(
    reason: Reason = "",
    older_than: OlderThan = "",
    limit: Annotated[int, typer.Option(help="greatest number of rows", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """Shows the dead letters, oldest first."""
    settings, selection = settings_or_exit(), _selection(None, reason, older_than)

    async def work() -> None:
        async with running_container(settings) as container:
            found = await chosen_letters(container.dead_letters(), selection)
        if as_json:
            print_json([asdict(letter) for letter in found[:limit]])
            return
        rows = [(it.id, _when(it.time), str(it.deliveries), it.user_id, it.reason) for it in found[:limit]]
        if rows:
            print_tables(table(("Id", "Time", "Tries", "User", "Reason"), rows, ("Tries",), ("Id", "Time", "User")))
        say(f"{len(found)} dead letters" + (f", {limit} shown" if len(found) > limit else ""))

    run(work)


@app.command()
def summary(reason: Reason = "", older_than: OlderThan = "", as_json: Json = False) -> None:
    """Counts the dead letters by kind, with the time of the oldest and of the latest."""
    settings, selection = settings_or_exit(), _selection(None, reason, older_than)

    async def work() -> None:
        async with running_container(settings) as container:
            found = await chosen_letters(container.dead_letters(), selection)
        kinds = {kind: [letter.time for letter in found if letter.kind is kind] for kind in DeadLetterKind}
        counted = {kind: times for kind, times in kinds.items() if times}
        if as_json:
            print_json(
                [
                    {"kind": kind, "count": len(times), "oldest": min(times), "latest": max(times)}
                    for kind, times in counted.items()
                ]
            )
            return
        rows = [(kind, str(len(times)), _when(min(times)), _when(max(times))) for kind, times in counted.items()]
        if rows:
            print_tables(table(("Kind", "Count", "Oldest", "Latest"), rows, ("Count",), ("Oldest", "Latest")))
        say(f"{len(found)} dead letters")

    run(work)


@app.command()
def show(letter_id: Annotated[str, typer.Argument(help="id of a dead letter")], as_json: Json = False) -> None:
    """Shows one dead letter with all fields of its message."""
    settings = settings_or_exit()
    _check_ids([letter_id])

    async def work() -> None:
        async with running_container(settings) as container:
            letter = await container.dead_letters().get(letter_id)
        if letter is None:
            fail(f"{letter_id}: no such dead letter", 1)
        if as_json:
            print_json(asdict(letter))
            return
        say(f"reason      {printable(letter.reason)}")
        say(f"original id {letter.original_id}\ntries       {letter.deliveries}\ntime        {_when(letter.time)}")
        say(f"fields      {'(cut because of their size)' if letter.truncated else ''}")
        for name, value in letter.fields.items():
            say(f"  {printable(name)}: {printable(value)}")

    run(work)


@app.command()
def replay(
    ids: Ids = None, reason: Reason = "", older_than: OlderThan = "", everything: All = False, as_json: Json = False
) -> None:
    """Puts messages back on the stream, each exactly once. They keep the id under which they first came.

    A message whose fields were cut because of their size cannot be put back; it stays.
    """
    settings, selection = settings_or_exit(), _selection(_check_ids(ids), reason, older_than, everything)

    async def work() -> None:
        async with running_container(settings) as container:
            replayed, left = await replay_letters(container.dead_letters(), selection)
            await note_change(container, "replayed dead letters", ", ".join(replayed), f"{len(replayed)} replayed")
        if as_json:
            pairs = [{"id": letter_id, "newId": new_id} for letter_id, new_id in replayed.items()]
            print_json({"replayed": pairs, "truncated": len(left)})
        else:
            say(f"{len(replayed)} replayed" + (f", {len(left)} cut by their size and left" if left else ""))

    run(work)


@app.command()
def drop(
    ids: Ids = None,
    reason: Reason = "",
    older_than: OlderThan = "",
    everything: All = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count them")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Json = False,
) -> None:
    """Deletes dead letters for good. In a terminal it asks before that."""
    settings, selection = settings_or_exit(), _selection(_check_ids(ids), reason, older_than, everything)

    async def work() -> None:
        async with running_container(settings) as container:
            letters = container.dead_letters()
            chosen = await chosen_letters(letters, selection)
            if not (dry_run or yes) and sys.stdin.isatty():
                await asyncio.to_thread(typer.confirm, f"Delete {len(chosen)} dead letters for good?", abort=True)
            dropped = len(chosen) if dry_run else await letters.drop(chosen)
            if not dry_run:
                ids = ", ".join(letter.id for letter in chosen)
                await note_change(container, "dropped dead letters", ids, f"{dropped} dropped")
        if as_json:
            print_json({"dropped": dropped, "dryRun": dry_run})
        else:
            say(f"{dropped} {'would be ' if dry_run else ''}dropped")

    run(work)


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


def _selection(ids: list[str] | None, reason: str, older_than: str, everything: bool = True) -> Selection:
    if not (ids or reason or older_than or everything):
        fail("Say which: ids, --reason, --older-than or --all", 2)
    try:
        return Selection(ids or (), reason, older_than)
    except ValueError as error:
        fail(f"--older-than {error}", 2)


def _check_ids(ids: list[str] | None) -> list[str] | None:
    for letter_id in ids or ():
        if not re.fullmatch(r"\d{1,20}-\d{1,20}", letter_id):
            fail(f"{letter_id}: not an id such as 1756771234000-0", 2)
    return ids


def _when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}Z"


if __name__ == "__main__":
    app()
