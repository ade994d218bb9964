"""The pipeline: consumes the activity stream until it is stopped.

python -m cmd.stream_consumer
"""

from cmd._run import run, settings_or_exit

import typer

from infrastructure.container import running_container
from infrastructure.logs import announce_stores, configure_logging
from infrastructure.settings import Settings, describe_settings
from infrastructure.signals import stop_on_signals

app = typer.Typer(add_completion=False)


_HELP = """\
Usage: python -m cmd.stream_consumer

Reads activity messages from the Redis stream, classifies them, writes the categories, and raises the leaderboards,
until SIGTERM or SIGINT. With nothing configured it runs on embedded stores in DATA_DIR.

Settings, from the environment or from .env:
"""


def _show_help(wanted: bool) -> None:
    if not wanted:
        return
    typer.echo(_HELP)
    for setting in describe_settings():
        default = f"{setting.default} {setting.unit}".strip() if setting.default else "not set"
        typer.echo(f"  {setting.name:<26}{default}\n      {setting.description}")
    typer.echo("\nExit codes: 0 stopped as asked, 1 it failed, 2 the settings are wrong.")
    raise typer.Exit


@app.command(add_help_option=False)
def main(help: bool = typer.Option(False, "--help", is_eager=True, callback=_show_help)) -> None:
    settings = settings_or_exit()
    configure_logging(settings)
    run(lambda: consume(settings))


async def consume(settings: Settings) -> int:
    stop = stop_on_signals()
    async with running_container(settings) as container:
        announce_stores(settings)
        await container.consumer().run(stop)
    return 0


if __name__ == "__main__":
    app()
