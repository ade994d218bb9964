"""Corrects the category of a window, from now on and on all boards.

python -m cmd.correct window Education --user ID --app "Google Chrome" --url https://… --title "Lecture 3"
"""

from cmd._output import Json, fail, print_json, print_tables, say, table
from cmd._run import no_such, note_change, run, running_container, settings_or_exit, this_user
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from domains.kernel.window import Window
from infrastructure.cards.words import duration
from infrastructure.observing.readable import counted, local_time

if TYPE_CHECKING:
    from domains.pomodoro.correcting import Applied
    from infrastructure.composition.container import Container

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)


@app.command()
def window(
    category: Annotated[str, typer.Argument(help="what it is")],
    log: Annotated[str, typer.Option(help="id of a usage log: it is about that log's user and window")] = "",
    user: Annotated[str, typer.Option(help="whose window it is")] = "",
    app_name: Annotated[str, typer.Option("--app", help="the window's app")] = "",
    url: Annotated[str, typer.Option(help="its URL")] = "",
    title: Annotated[str, typer.Option(help="its title")] = "",
    for_all: Annotated[bool, typer.Option("--for-all", help="correct it for everybody")] = False,
    as_json: Json = False,
) -> None:
    """Stores what exactly this window is, which stands above all rules, and recomputes the boards of its days.

    If it is interrupted, the schedule goes on with it, or `apply`.
    """
    if not (log or app_name or url or title):
        fail("Say which window: --log, or --app, --url and --title", 2)
    if not (log or user or for_all):
        fail("Say whose window it is: --user, or --for-all", 2)
    settings = settings_or_exit()

    async def work() -> None:
        from domains.categoryPattern.model import LLM_ONLY_CATEGORIES, PATTERN_CATEGORIES

        async with running_container(settings) as container:
            await container.classifier().load()
            known = PATTERN_CATEGORIES | LLM_ONLY_CATEGORIES | container.classifier().snapshot.categories
            if category not in known:
                no_such("category", category, known)
            whose, what = user, Window(app_name, url, title)
            if log:
                found = await container.corrections().window_of(log)
                if found is None or user not in ("", found[0].user_id):
                    fail(f"{log}: no such usage log of the user, or its window is unknown", 2)
                whose, what = found[0].user_id, found[1]
            made = await container.corrections().correct("" if for_all else whose, what, category, this_user())
            done = await _apply(container, f"corrected a window: {category}", made.id, as_json)
            if not done.changed:
                say("It is for windows to come: no log had to change. App, URL and title have to be exact.", err=True)

    run(work)


@app.command()
def undo(
    correction: Annotated[str, typer.Argument(help="id of a correction, as `list` shows it")], as_json: Json = False
) -> None:
    """Takes a correction back, on the boards as well."""
    settings = settings_or_exit()

    async def work() -> None:
        async with running_container(settings) as container:
            if await container.corrections().undo(correction) is None:
                fail(f"{correction}: no such correction", 2)
            await _apply(container, "undid a correction", correction, as_json)

    run(work)


@app.command()
def apply(as_json: Json = False) -> None:
    """Goes on with corrections that were interrupted, as the schedule does."""
    settings = settings_or_exit()

    async def work() -> None:
        async with running_container(settings) as container:
            await _apply(container, "applied corrections", "", as_json)

    run(work)


@app.command("list")
def list_corrections(as_json: Json = False) -> None:
    """Shows the corrections, the latest first."""
    settings = settings_or_exit()

    async def work() -> None:
        async with running_container(settings) as container:
            found = await container.corrections().find_all()
        if as_json:
            print_json([{**asdict(each), "window": each.window._asdict()} for each in found])
            return
        rows = [
            (each.id, local_time(each.time, settings.zone), each.user_id or "everybody",
             each.window.app, each.window.url or each.window.title, each.category, each.state,
             duration(each.seconds, "en"))
            for each in found
        ]  # fmt: skip
        if rows:
            head = ("Id", "Time", "User", "App", "Page or title", "Category", "State", "Time moved")
            print_tables(table(head, rows, numbers=("Time moved",), whole=("Id",)))
        say(counted(len(found), "correction"))

    run(work)


async def _apply(container: "Container", what: str, item: str, as_json: bool) -> "Applied":
    from infrastructure.operations.corrections import applied_document, apply_corrections

    done: Applied = await apply_corrections(container.task_queue(), container.corrections())
    changed = counted(done.changed, "usage log")
    await note_change(container, what, item, f"{changed} changed, {counted(done.boards, 'board')}")
    if as_json:
        print_json({"id": item, **applied_document(done)})
        return done
    say(f"{changed} changed, {counted(done.boards, 'board')} recomputed" + (f"; {item}" if item else ""))
    if done.archived:
        say(f"left, since the server has archived them: boards of the {', the '.join(done.archived)}")
    if done.proposals:
        say(f"proposed: {counted(done.proposals, 'pattern')}; python -m cmd.patterns list")
    return done


if __name__ == "__main__":
    app()
