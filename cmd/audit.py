"""Shows who changed what: in the console, by a command, by a task that Spring or the schedule asked for.

python -m cmd.audit
"""

from cmd._output import Json, print_json, print_tables, say, table
from cmd._run import run, running_container, settings_or_exit
from typing import Annotated

import typer

from infrastructure.observing.readable import counted, local_time

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    limit: Annotated[int, typer.Option(help="greatest number of rows", min=1, max=10_000)] = 50,
    as_json: Json = False,
) -> None:
    """Shows the latest changes, the latest first. Some ten thousand are kept, in Redis."""
    settings = settings_or_exit()

    async def work() -> None:
        async with running_container(settings) as container:
            changes, _ = await container.audit().page(limit)
        if as_json:
            print_json([change._asdict() for change in changes])
            return
        rows = [(local_time(it.time, settings.zone), it.who, it.what, it.item, it.outcome) for it in changes]
        if rows:
            print_tables(table(("Time", "Who", "What", "Of what", "Outcome"), rows, whole=("Time",)))
        say(counted(len(changes), "change"))

    run(work)


if __name__ == "__main__":
    app()
