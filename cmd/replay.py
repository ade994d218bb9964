"""Runs the archive through the rules of now: what would change, and with it documents and boards.

python -m cmd.replay --from 2025-09-01 --to 2025-09-30 --dry-run
"""

from __future__ import annotations

from cmd._output import Json, fail, print_json, print_tables, progress, say, table
from cmd._run import note_change, run, running_container, settings_or_exit
from datetime import date, datetime
from enum import StrEnum
from time import time
from typing import TYPE_CHECKING, Annotated

import typer

from infrastructure.observing.readable import counted

if TYPE_CHECKING:
    from domains.leaderboard.model import Period
    from domains.replay.service import Amount, Replayed, Wanted
    from infrastructure.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Engine(StrEnum):
    LOCAL = "local"
    SPARK = "spark"


@app.command()
def main(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="the first day, in TIMEZONE")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="the last day")],
    user: Annotated[str | None, typer.Option(help="only the spans of this user")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would change")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="also boards that the server has archived, and then archives once more")
    ] = False,
    engine: Annotated[
        Engine, typer.Option(help="who reads the archive: this machine, or the cluster of SPARK_MASTER")
    ] = Engine.LOCAL,
    as_json: Json = False,
) -> None:
    """Reads the collector's archive (ARCHIVE_URL) and decides its spans by the patterns of now.

    It says what changes, by user and category. Then documents get their category and the boards of the days are
    recomputed, exactly, while messages keep coming; if it is interrupted, run it again. What the LLM has named stays,
    unless a rule decides.

    Exit codes: 0 done, 1 the store has refused a document, an object of the archive is damaged, or there is none, 2
    wrong arguments.
    """
    from domains.replay.service import Wanted

    settings = settings_or_exit()
    wanted = Wanted(first.date(), last.date(), user)
    if not wanted.first <= wanted.last:
        fail("--from must not be after --to", 2)
    run(lambda: _replay(settings, wanted, dry_run, force, engine, as_json))


async def _replay(
    settings: Settings, wanted: Wanted, dry_run: bool, force: bool, engine: Engine, as_json: bool
) -> int:
    from infrastructure.composition.collector import archive_of, archive_url
    from infrastructure.composition.replay import replay_of
    from infrastructure.replay.archived_spans import PREFIX

    async with running_container(settings) as container:
        await container.classifier().load()
        calendar = container.calendar()
        has_server = settings.mongo_uri is not None  # the one that archives boards

        def boards_of(period: Period, start: date) -> bool:
            return force or not has_server or calendar.archived_from(period, start) > time()

        with progress(as_json) as bar:
            task = bar.add_task("spans", total=None)

            async def told(state: Replayed) -> None:
                bar.update(task, completed=state.spans)

            done = await replay_of(container, engine.value).run(wanted, dry_run, boards_of, told)
        if not dry_run:
            days = f"{wanted.first} to {wanted.last}"
            await note_change(container, "replay", days, f"{done.changed} changed, {counted(done.boards, 'board')}")
    _show(done, dry_run, as_json)
    for key, reason in done.damaged.items():
        say(f"{key} is damaged: {reason}; what stands behind that was not read", err=True)
    is_empty = (
        not done.spans and (archive := archive_of(settings)) and not [key async for key in archive.keys(PREFIX)]
    )
    if is_empty:
        say(f"There are no objects in the archive ({archive_url(settings)})", err=True)
    return 1 if done.refused or done.damaged or is_empty else 0


def _show(done: Replayed, dry_run: bool, as_json: bool) -> None:
    moved = [(*names, *_figures(amount)) for names, amount in sorted(done.moved.items())]
    archived = [(*names, *_figures(amount)) for names, amount in sorted(done.archived.items())]
    if as_json:
        print_json(
            {
                "dryRun": dry_run,
                "spans": done.spans,
                "missing": done.missing,
                "damaged": done.damaged,
                "changed": done.changed,
                "refused": done.refused,
                "boards": done.boards,
                "moved": [dict(zip(("user", "from", "to", "spans", "seconds"), row, strict=True)) for row in moved],
                "archived": [
                    dict(zip(("user", "category", "spans", "seconds"), row, strict=True)) for row in archived
                ],
            }
        )
        return
    verb = "would change" if dry_run else "changed"
    say(f"{counted(done.spans, 'span')} in the archive: {done.changed} {verb}, {done.missing} without a log")
    if not dry_run:
        say(f"{counted(done.boards, 'board')} recomputed")
    if moved:
        numbers = ("Spans", "Seconds")
        rows = [tuple(map(str, row)) for row in moved]
        print_tables(table(("User", "From", "To", *numbers), rows, numbers=numbers))


def _figures(amount: Amount) -> tuple[int, float]:
    return amount.spans, round(amount.seconds.value, 3)


if __name__ == "__main__":
    app()
