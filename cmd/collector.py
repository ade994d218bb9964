"""Takes spans by POST /collect, keeps them durably, and passes them to the activity stream and the archive.

python -m cmd.collector
"""

from __future__ import annotations

if __name__ == "__main__":  # first: everything below takes its time to load
    from infrastructure.process.early_signals import handle_early_signals

    handle_early_signals()

from cmd._output import Json, fail, print_json, say
from cmd._run import run, running_container, settings_or_exit
from typing import TYPE_CHECKING, Annotated

import typer

from infrastructure.process.signals import stop_on_signals

if TYPE_CHECKING:
    from infrastructure.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, invoke_without_command=True)


@app.callback()
def main(context: typer.Context) -> None:
    """Serves POST /collect on COLLECT_PORT until SIGTERM or SIGINT: 202 means that the post is durable.

    Exit codes: 0 stopped as asked, 1 it failed, 2 the settings are wrong.
    """
    if context.invoked_subcommand is not None:
        return
    from infrastructure.observing.logs import configure_logging

    settings = settings_or_exit()
    configure_logging(settings)
    run(lambda: _collect(settings), at_once=True)


async def _collect(settings: Settings) -> None:
    from infrastructure.composition.collector import DEFAULT_PORT, open_collector

    stop = stop_on_signals()
    port = DEFAULT_PORT if settings.collect_port is None else settings.collect_port
    async with running_container(settings) as container:
        collector = await open_collector(settings, container, port)
        await collector.run(stop)


@app.command()
def token(
    user: Annotated[str, typer.Option(help="the id of the user for whom the client may send")],
    as_json: Json = False,
) -> None:
    """Prints a client's token for one user. It is made with COLLECT_TOKEN_KEY, and valid as long as the key is."""
    from infrastructure.collector.tokens import tokens_of

    tokens = tokens_of(settings_or_exit())
    if not tokens:
        fail("COLLECT_TOKEN_KEY is not set, and tokens are made with it", 2)
    if not user:
        fail("a user has an id", 2)
    made = tokens.token_for(user)
    if as_json:
        print_json({"user": user, "token": made})
    else:
        say(made)


if __name__ == "__main__":
    app()
