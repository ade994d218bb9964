"""Makes the focus cards of all users: starts runs, and works on them.

python -m cmd.cards run --drain
"""

import asyncio
from cmd._output import Json, fail, print_json, say
from cmd._run import run as run_command
from cmd._run import running_container, settings_or_exit
from datetime import date
from enum import StrEnum
from typing import Annotated

import typer

from domains.focusCard.model import YEARS
from infrastructure.observing.readable import counted

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)


class Stage(StrEnum):
    BOARDS = "boards"
    USERS = "users"


@app.command()
def run(
    drain: Annotated[bool, typer.Option("--drain", help="work on it until both queues are empty")] = False,
    on: Annotated[
        str, typer.Option("--date", help="a day of the periods, such as 2025-09-02; today if not given")
    ] = "",
    as_json: Json = False,
) -> None:
    """Starts a run: every user of the day's, week's and month's boards gets a card for each of them.

    A run without workers waits for some, which is said.

    Exit codes: 0 started, or with --drain nothing is left to do; 1 another run is under way.
    """
    settings, day = settings_or_exit(), day_of(on)

    async def work() -> int:
        from infrastructure.composition.container import drain_cards

        async with running_container(settings) as container:
            runs = container.card_runs()
            started = await runs.start(day, resume=drain)
            if not drain:
                if as_json:
                    print_json((await runs.progress(started))[1])
                else:
                    say(f"run {started.id} started")
                _say_who_is_missing(await runs.workers())
                return 0
            await drain_cards(container)
            _, told = await runs.progress(started)
            queues = container.card_boards_queue(), container.card_users_queue()
            dead = sum([(await queue.figures()).dead_letters for queue in queues])
        if as_json:
            print_json(told)
        else:
            users, cards = (
                counted(int(str(told[name])), one) for name, one in (("users", "user"), ("written", "card"))
            )
            say(f"{users}: {cards} written, {told['unchanged']} right already")
        if dead:
            say(f"dead letters: {counted(int(dead), 'job')}; python -m cmd.dead_letters list", err=True)
        return 0

    run_command(work)


def _say_who_is_missing(workers: tuple[int, int]) -> None:
    missing = [stage for stage, count in zip(Stage, workers, strict=True) if not count]
    if missing:
        option = f" --stage {missing[0]}" if len(missing) == 1 else ""
        say(f"nobody works on {' and '.join(missing)}: start python -m cmd.cards worker{option}", err=True)


@app.command()
def worker(
    stage: Annotated[Stage | None, typer.Option(help="work on one stage only")] = None,
) -> None:
    """Works on runs until it is stopped by SIGTERM or Ctrl-C. Any number of workers may run, on any machines."""
    from infrastructure.observing.logs import configure_logging

    settings = settings_or_exit()
    configure_logging(settings)

    async def work() -> None:
        from infrastructure.composition.container import card_worker
        from infrastructure.process.signals import stop_on_signals

        stop = stop_on_signals()
        async with running_container(settings) as container, asyncio.TaskGroup() as group:
            for each in [stage] if stage else list(Stage):
                group.create_task(card_worker(container, each.value).run(stop))

    run_command(work)


def day_of(text: str) -> date | None:
    """What --date says."""
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        fail(f"--date {text}: not a date such as 2025-09-02", 2)
    if day is not None and day.year not in YEARS:
        fail(f"--date {text}: cards are from {YEARS.start} to {YEARS.stop - 1}", 2)
    return day


if __name__ == "__main__":
    app()
