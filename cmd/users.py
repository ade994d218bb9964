"""Hands out all that is kept of a user, or erases it.

python -m cmd.users export ID > user.jsonl
"""

import asyncio
from cmd._output import Json, print_json, print_tables, say, table
from cmd._run import not_empty, note_change, run, running_container, settings_or_exit, want_yes
from typing import TYPE_CHECKING, Annotated

import typer

from infrastructure.observing.readable import counted

if TYPE_CHECKING:
    from domains.userData.model import Held

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)


User = Annotated[str, typer.Argument(help="the user's id", metavar="ID", callback=not_empty)]


@app.command()
def export(user: User) -> None:
    """Prints all that is kept of the user: a line of JSON for each item, with the place where it is.

    What is not ours is Spring's. Standard error names the places that cannot be looked into from here.
    """
    settings = settings_or_exit()

    async def work() -> None:
        from infrastructure.composition.user_data import elsewhere, user_data_of

        async with running_container(settings) as container:
            count = 0
            async for item in user_data_of(container).export(user):
                count += 1
                print_json({"place": item.place, "ours": item.is_ours, **item.data})
            await note_change(container, "exported a user", _shown(user), counted(count, "item"))
            say(
                "\n".join([counted(count, "item"), *(f"not looked into: {it}" for it in elsewhere(container))]),
                err=True,
            )

    run(work)


@app.command()
def erase(
    user: User,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count what there is")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Json = False,
) -> None:
    """Erases all that is ours of the user, for good. In a terminal it asks before that.

    It may be interrupted and run again. Documents that Spring wrote stay: Spring has to be asked. Exit codes: 0
    nothing of ours is left; 1 something is, and what.
    """
    want_yes(dry_run or yes)
    settings = settings_or_exit()

    async def work() -> int:
        from infrastructure.composition.user_data import elsewhere, forget_files, user_data_of

        async with running_container(settings) as container:
            data = user_data_of(container)
            before = await data.held(user)
            ours = sum(held.ours for held in before.values())
            if dry_run:
                _show(
                    before, {place: held.ours for place, held in before.items()}, True, elsewhere(container), as_json
                )
                return 0
            if not yes:
                await asyncio.to_thread(
                    typer.confirm, f"Erase {counted(ours, 'item')} of {user} for good?", abort=True
                )
            erased = await data.erase(user)
            left = await data.held(user)
            await forget_files(container, settings)
            still = sum(held.ours for held in left.values())
            done = counted(erased.total(), "item") + (f", {still} left" if still else "")
            await note_change(container, "erased a user", _shown(user), done)
            _show(left, erased, False, elsewhere(container), as_json)
        return 1 if still else 0

    run(work)


def _show(
    held: "dict[str, Held]", erased: "dict[str, int]", dry_run: bool, elsewhere: list[str], as_json: bool
) -> None:
    of_spring = {place: it.of_spring for place, it in held.items() if it.of_spring}
    left = {} if dry_run else {place: it.ours for place, it in held.items() if it.ours}
    if as_json:
        notes = {"left": left, "ofSpring": of_spring, "notLookedInto": elsewhere}
        print_json({"dryRun": dry_run, "erased": dict(erased), **notes})
        return
    rows = [(place, str(count)) for place, count in sorted(erased.items()) if count]
    if rows:
        print_tables(table(("Place", "To erase" if dry_run else "Erased"), rows, numbers=("To erase", "Erased")))
    say(f"{counted(sum(erased.values()), 'item')} {'would be ' if dry_run else ''}erased")
    for place, count in of_spring.items():
        say(f"not ours, ask Spring: {place}: {count}; until they are gone, a rebuild of boards counts the logs")
    for place in elsewhere:
        say(f"not looked into: {place}")
    for place, count in left.items():
        say(f"left: {place}: {count}; run it again when no message of the user is under way", err=True)


def _shown(user: str) -> str:
    """What stands for the user in the audit, which is to outlive them."""
    from domains.collector.erasures import digest_of_user

    return digest_of_user(user)


if __name__ == "__main__":
    app()
