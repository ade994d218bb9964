"""Shows the messages that were read and are not committed yet: whose they are, and who has held them for how long.

python -m cmd.pending
"""

from cmd._output import Json, print_json, print_tables, say, table
from cmd._run import run, running_container, settings_or_exit
from typing import Annotated

import typer

from infrastructure.observing.readable import counted, duration, local_time

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    limit: Annotated[int, typer.Option(help="greatest number of rows", min=1)] = 50, as_json: Json = False
) -> None:
    """Shows the oldest messages that an instance has read and not committed, and without which nothing is trimmed.

    Held: since they were last delivered. Tries: how often they were; after MAX_DELIVERIES that fail by themselves, a
    message becomes a dead letter. Titles and URLs are not shown.
    """
    settings = settings_or_exit()

    async def work() -> None:
        async with running_container(settings) as container:
            found = await container.figures().pending(limit)
        if as_json:
            print_json([message._asdict() for message in found])
            return
        rows = [
            (it.id, local_time(it.time, settings.zone), it.user_id, it.app, it.instance, duration(it.idle_seconds),
             str(it.deliveries)) for it in found
        ]  # fmt: skip
        if rows:
            head = ("Id", "Sent", "User", "App", "Instance", "Held", "Tries")
            print_tables(table(head, rows, ("Held", "Tries"), ("Id", "Sent", "User")))
        say(counted(len(found), "message"))

    run(work)


if __name__ == "__main__":
    app()
