"""Runs the pipeline, publishes a bundled sample week through it, shows its boards, and keeps consuming.

python -m cmd.sample
"""

from __future__ import annotations

if __name__ == "__main__":  # first: everything below takes its time to load
    from infrastructure.process.early_signals import handle_early_signals

    handle_early_signals()

import asyncio
from cmd._output import progress, say
from cmd._run import run, settings_or_exit
from cmd.leaderboard import print_board
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from domains.kernel.errors import TaskRefused
from domains.kernel.resilience import pause
from domains.leaderboard.model import OVERALL_BOARD, Period, board_key
from infrastructure.process.signals import reload_on_signal, stop_on_signals
from infrastructure.sample import SAMPLE_START

_TOP = 5
_LOOK_SECONDS = 0.1
_LAST_DAY = SAMPLE_START + timedelta(days=6)

_POST = """\
  curl {0}/collect -H 'Content-Type: application/json' -d '{{"userId": "me", "app": "Figma", "duration": 90,
    "timestamp": 1757200000, "session": 1, "sessionDate": "{1}"}}'
"""

if TYPE_CHECKING:
    from infrastructure.composition.container import Container
    from infrastructure.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    exit_when_done: Annotated[bool, typer.Option("--exit", help="stop after showing the boards")] = False,
) -> None:
    """Runs the pipeline and publishes a bundled sample: one week of 40 users, once for each data directory.

    Then it shows the best users of the day, the week and the month, and keeps consuming until Ctrl-C.
    """
    settings = settings_or_exit()
    run(lambda: _run_sample(settings, exit_when_done))


async def _run_sample(settings: Settings, exit_when_done: bool) -> int:
    from infrastructure.composition.pipeline import running_pipeline
    from infrastructure.observing.logs import configure_logging, describe_stores

    stop, reload = stop_on_signals(), reload_on_signal()
    say(describe_stores(settings))
    async with running_pipeline(settings, stop, reload) as (container, address, collector):
        if address is not None:
            say(f"Watch it in your browser: {address}/?period=week&date={_LAST_DAY}")
        await _feed(container, stop)
        if not stop.is_set():
            await _print_boards(container)
            await _make_cards(container, address, stop)
        if exit_when_done or stop.is_set():
            stop.set()
        else:
            configure_logging(settings)
            say("\nStill consuming; Ctrl-C stops. In another terminal, for example:")
            say(f"  .venv/bin/python -m cmd.leaderboard Development --period week --date {_LAST_DAY}")
            if collector is not None:
                say(_POST.format(collector, _LAST_DAY))
    return 0


async def _feed(container: Container, stop: asyncio.Event) -> None:
    from infrastructure.sample.feeding import SampleFeed

    feed = SampleFeed(
        container.publisher(), container.backlog(), container.categorized_data(), container.usage_logs()
    )
    if await container.publisher().published_of_sample() >= feed.total:
        say(f"The sample's {feed.total:,} spans are on the stream already: not published again.")
    with progress() as bars:
        publishing, working = (bars.add_task(name, total=feed.total) for name in ("published", "classified"))
        async for fed in feed.run(stop):
            bars.update(publishing, completed=fed.published)
            bars.update(working, completed=fed.committed)


async def _make_cards(container: Container, address: str | None, stop: asyncio.Event) -> None:
    """Everyone's focus cards of the sample's last week, and where to look at the best user's."""
    with suppress(TaskRefused):  # a run is under way, and makes them
        run = await container.card_runs().start(_LAST_DAY)
        while not stop.is_set() and not (await container.card_runs().progress(run))[0]:
            await pause(stop, _LOOK_SECONDS)
    best = await container.leaderboard().top(board_key(OVERALL_BOARD, Period.WEEK, _LAST_DAY), 1)
    if address is not None and best:
        say(f"\nThe best user's week: {address}/users?user={quote(best[0].user_id, safe='')}&date={_LAST_DAY}")


async def _print_boards(container: Container) -> None:
    for period in Period:
        board = board_key(OVERALL_BOARD, period, _LAST_DAY)
        say("")
        print_board(board, period, _LAST_DAY, await container.leaderboard().top(board, _TOP))


if __name__ == "__main__":
    app()
