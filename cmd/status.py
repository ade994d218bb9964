"""Shows the health of the pipeline: stores, streams, instances, and the figures of the instance on this machine.

python -m cmd.status
"""

from __future__ import annotations

from cmd._output import Json, clear_screen, print_json, print_tables, table
from cmd._run import run, running_container, settings_or_exit
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from domains.kernel.resilience import pause
from domains.operations.model import DEGRADED, DOWN, HEALTHY
from infrastructure.observing.printable import printable
from infrastructure.observing.readable import duration
from infrastructure.process.signals import stop_on_signals

CODES = {HEALTHY: 0, DEGRADED: 1, DOWN: 2}
_WRONG_SETTINGS = 3
_COLOURS = {HEALTHY: "green", DEGRADED: "yellow", DOWN: "red"}

if TYPE_CHECKING:
    from infrastructure.operations.health import PipelineHealth
    from infrastructure.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    watch: Annotated[bool, typer.Option("--watch", help="update the output until Ctrl-C")] = False,
    every: Annotated[float, typer.Option(help="seconds between two updates of --watch", min=0.2)] = 2.0,
    as_json: Json = False,
) -> None:
    """Shows the health of the pipeline. It asks Redis and the document store directly, so it works without HTTP.

    If an instance on this machine serves /metrics, at HTTP_PORT or 8080, its figures are added.

    Exit codes: 0 healthy, 1 degraded (late messages, silent instances that hold some, scores kept for replay, too
    long a stream), 2 down (Redis, store or patterns not usable, or no consumer at work; also an unknown option),
    3 the settings are wrong.
    """
    settings = settings_or_exit(_WRONG_SETTINGS)
    run(lambda: _show(settings, every if watch else None, as_json), settings_code=_WRONG_SETTINGS)


async def _show(settings: Settings, every: float | None, as_json: bool) -> int:
    from infrastructure.operations.inspection import inspect

    async with running_container(settings) as container:
        state = container.state()
        document = await inspect(state)
        if every is None:
            _print(document, as_json, {}, 0)
        else:
            document = await _watch(state, document, every, as_json)
    return CODES[document["level"]]


async def _watch(state: PipelineHealth, document: dict[str, Any], every: float, as_json: bool) -> dict[str, Any]:
    """Updates the output until a signal. Returns the last snapshot."""
    from infrastructure.operations.inspection import inspect

    stop = stop_on_signals()
    before: dict[str, Any] = {}
    while not stop.is_set():
        if not as_json:
            clear_screen()
        _print(document, as_json, before, every)
        before = document
        await pause(stop, every)
        if not stop.is_set():
            document = await inspect(state)
    return document


def _print(document: dict[str, Any], as_json: bool, before: dict[str, Any], seconds: float) -> None:
    if as_json:
        print_json(document)
    else:
        print_tables(*_page(document, before, seconds))


def _page(document: dict[str, Any], before: dict[str, Any], seconds: float) -> list[Table | Text]:
    """The output for a terminal. `before` is the snapshot of `seconds` ago; empty if there is none."""
    level = document["level"]
    parts: list[Table | Text] = [Text(level, style=f"bold {_COLOURS[level]}")]
    parts += [Text(f"  {printable(problem)}") for problem in document["problems"]]
    checks = [
        (name, "ok" if check["ok"] else "no", check["cause"] or check["why"])
        for name, check in document["checks"].items()
    ]
    tables = [table(("Check", "", "Why not"), checks)]
    if document["streams"]:
        tables += [_streams(document["streams"]), _instances(document["streams"])]
    if document["metrics"]:
        tables.append(_figures(document["metrics"], before.get("metrics") or {}, seconds))
    return [*parts, *(part for each in tables for part in (Text(), each))]


def _streams(streams: list[dict[str, Any]]) -> Table:
    numbers = ("Entries", "Waiting", "Pending", "Oldest", "Dead", "Kept", "Deferred")
    rows = [
        (
            it["stream"],
            _count(it["entries"]),
            ("" if it["undelivered_exact"] else "about ") + _count(it["undelivered"]),
            _count(it["pending"]),
            duration(max(it["oldest_undelivered_seconds"], it["oldest_pending_seconds"])),
            *(_count(it[name]) for name in ("dead_letters", "failed_scores", "deferred")),
        )
        for it in streams
    ]
    return table(("Stream", *numbers), rows, numbers, ("Stream",))


def _instances(streams: list[dict[str, Any]]) -> Table:
    numbers = ("Pending", "Last asked for work")
    rows = [
        (it["name"], _count(it["pending"]), f"{duration(it['idle_seconds'])} ago")
        for it in sorted((it for stream in streams for it in stream["instances"]), key=lambda it: str(it["name"]))
    ]
    return table(("Instance", *numbers), rows, numbers, ("Instance",))


def _figures(metrics: dict[str, float | None], before: dict[str, float | None], seconds: float) -> Table:
    numbers = ("Since its start", "A second" if before else "")
    rows = []
    for name, value in metrics.items():
        if value and name.partition("{")[0].endswith("_total"):
            rate = (value - (before.get(name) or 0)) / seconds if before else 0.0
            rows.append((name.removeprefix("pomocore_"), _count(value), f"{rate:,.1f}" if before else ""))
    return table(("Of the instance here", *numbers), rows, numbers)


def _count(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"


if __name__ == "__main__":
    app()
