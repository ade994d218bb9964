"""Exports what commits have counted (EVENTS=true) to Kafka, or to DuckDB, exactly once.

python -m cmd.export [--once]
python -m cmd.export rebuild --day 2025-09-02
"""

import asyncio
from cmd._output import Json, fail, print_json, say
from cmd._run import note_change, run, running_container, settings_or_exit
from contextlib import suppress
from datetime import datetime
from typing import Annotated

import typer

from domains.kernel.errors import TaskRefused
from infrastructure.observing.readable import counted

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="export what waits now, and end")] = False,
) -> None:
    """Exports events until SIGTERM or SIGINT. The consumer does it, too; several exporters take turns.

    HTTP_PORT, where it is set, has its health and metrics.
    """
    if context.invoked_subcommand is not None:
        return
    from infrastructure.http.door import open_door
    from infrastructure.observing.logs import configure_logging
    from infrastructure.process.signals import stop_on_signals

    settings = settings_or_exit()
    if once and not settings.events:
        fail("EVENTS is off: there is nothing to export", 2)
    configure_logging(settings)

    async def work() -> None:
        stop = stop_on_signals()
        async with running_container(settings) as container:
            exporter = container.event_exporter()
            if once:
                say(f"{counted(await exporter.drain(), 'event')} exported")
                await exporter.release()
            elif settings.http_port:
                async with open_door(container.state(), container.api, [], stop):
                    await exporter.run(stop)
            else:
                await exporter.run(stop)

    run(work)


@app.command()
def rebuild(
    day: Annotated[list[str] | None, typer.Option(help="local day (yyyy-MM-dd); several may be given")] = None,
    as_json: Json = False,
) -> None:
    """Makes the events of a day what its usage logs say: after a gap, say. Without a day: of all days with a gap.

    Only what is missing is added, and what is too much taken back, so that it may be repeated.
    """
    for each in day or ():
        try:
            datetime.strptime(each, "%Y-%m-%d")  # noqa: DTZ007 - a local day
        except ValueError:
            raise typer.BadParameter(f"{each}: not a day such as 2025-09-02") from None
    settings = settings_or_exit()

    async def work() -> None:
        async with running_container(settings) as container:
            outboxes = container.event_outboxes()
            exporter, added = container.event_exporter(), dict[str, int]()
            gaps = {name for outbox in outboxes for name in (await outbox.state()).gap_by_day}
            exporting = asyncio.create_task(exporter.run(asyncio.Event()))
            try:
                for each in day or sorted(gaps):
                    added |= await container.event_rebuild().rebuild([each])
                    await note_change(container, "export rebuild", each, f"{counted(added[each], 'event')} added")
            finally:
                exporting.cancel()
                with suppress(asyncio.CancelledError):
                    await exporting
        if as_json:
            print_json([{"day": each, "added": count} for each, count in added.items()])
            return
        for each, count in added.items():
            say(f"{each}: {counted(count, 'event')} added" if count else f"{each}: the events are what the logs say")
        if not added:
            raise TaskRefused("no day has a gap; --day names one")

    run(work)


if __name__ == "__main__":
    app()
