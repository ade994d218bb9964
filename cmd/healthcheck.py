"""Checks that the consumer of this host is alive; for the container's HEALTHCHECK.

python -m cmd.healthcheck
"""

from __future__ import annotations

from cmd._output import fail, say
from cmd._run import run, running_container, settings_or_exit
from typing import TYPE_CHECKING

import typer

from infrastructure.observing.readable import duration

if TYPE_CHECKING:
    from infrastructure.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main() -> None:
    """Exits with 0 if a consumer of this host has recently asked the stream for work, else with 1 and the reason.

    During an outage of the document store the consumer reads nothing but still asks for abandoned messages, so it
    counts as alive.
    """
    settings = settings_or_exit()
    run(lambda: _check(settings))


async def _check(settings: Settings) -> int:
    from infrastructure.settings import HOST_NAME

    allowed = settings.silence_allowed
    async with running_container(settings) as container:
        silent = await container.backlog().seconds_since_seen(
            f"{settings.stream_consumer}-{HOST_NAME}",  # INSTANCE_ID differs in every process
            settings.consumer_name,
        )
    if silent is None:
        fail("no consumer of this host has ever asked for work", 1)
    if silent > allowed:
        fail(f"the consumer has not asked for work for {duration(silent)} (allowed: {duration(allowed)})", 1)
    say(f"alive: asked for work {duration(silent)} ago")
    return 0


if __name__ == "__main__":
    app()
