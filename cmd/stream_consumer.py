"""Runs the pipeline: consumes the activity stream until it is stopped.

python -m cmd.stream_consumer
"""

from __future__ import annotations

if __name__ == "__main__":  # first: everything below takes its time to load
    from infrastructure.process.early_signals import handle_early_signals

    handle_early_signals()

from cmd._output import say
from cmd._run import run, settings_or_exit
from typing import TYPE_CHECKING

import typer

from infrastructure.process.signals import reload_on_signal, stop_on_signals

if TYPE_CHECKING:
    from infrastructure.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


_HELP = """\
Usage: python -m cmd.stream_consumer

Reads activity messages from the Redis stream, classifies them, writes the categories, and raises the leaderboards,
until SIGTERM or SIGINT. With nothing configured it runs on embedded stores in DATA_DIR.

Settings, from the environment or from .env:
"""


def _show_help(wanted: bool) -> None:
    if not wanted:
        return
    from infrastructure.settings import describe_settings

    say(_HELP)
    settings = describe_settings()
    width = max(len(setting.name) for setting in settings) + 2
    for setting in settings:
        default = f"{setting.default} {setting.unit}".strip() if setting.default else "not set"
        say(f"  {setting.name:<{width}}{default}\n      {setting.description}")
    say("\nExit codes: 0 stopped as asked, 1 it failed, 2 the settings are wrong.")
    raise typer.Exit


@app.command(add_help_option=False)
def main(help: bool = typer.Option(False, "--help", is_eager=True, callback=_show_help)) -> None:
    from infrastructure.observing.logs import configure_logging

    settings = settings_or_exit()
    configure_logging(settings)
    run(lambda: consume(settings), at_once=True)


async def consume(settings: Settings) -> None:
    from infrastructure.composition.pipeline import running_pipeline, supervise

    stop, reload = stop_on_signals(), reload_on_signal()
    if settings.consumer_processes > 1:
        await supervise(settings, stop, reload)
    else:
        async with running_pipeline(settings, stop, reload):
            pass  # it runs until `stop` is set


if __name__ == "__main__":
    app()
