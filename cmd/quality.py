"""Shows how good the data of each source are: rate, invalid messages, unknown share, duplicates, lateness, drift.

python -m cmd.quality [--day 2025-09-02]
"""

from cmd._output import Json, print_json, print_tables, say, table
from cmd._run import run, running_container, settings_or_exit
from datetime import date
from typing import Annotated, Any

import typer

from infrastructure.observing.readable import share

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_SHARES = (
    "unknown_share",
    "invalid_share",
    "duplicate_share",
    "ahead_share",
    "short_share",
    "long_share",
    "open_share",
)


@app.command()
def main(
    day: Annotated[str | None, typer.Option(help="local day (yyyy-MM-dd); without it, the last full hour")] = None,
    as_json: Json = False,
) -> None:
    """Needs EVENTS=true: the figures are counted as events are exported, and kept for 90 days.

    Exit codes: 0 all is well, 1 a source has a problem (or Redis is away), 2 wrong settings or arguments.
    """
    if day is not None:
        try:
            date.fromisoformat(day)
        except ValueError:
            raise typer.BadParameter(f"{day}: not a day such as 2025-09-02") from None
    settings = settings_or_exit()

    async def work() -> int:
        from domains.activityEvent.data_quality import document

        async with running_container(settings) as container:
            quality = container.data_quality()
            sources = await quality.of_day(day) if day else [document(it) for it in await quality.now()]
        if as_json:
            print_json(sources)
        else:
            _print(sources, settings.events)
        return int(any(source["problems"] for source in sources))

    run(work)


def _print(sources: list[dict[str, Any]], events: bool) -> None:
    names = [name for name in (sources[0] if sources else ()) if name not in ("source", "problems", "invalid")]
    rows = [(name.replace("_", " "), *(_text(name, source[name]) for source in sources)) for name in names]
    rows.append(("invalid", *(", ".join(f"{n} {kind}" for kind, n in it["invalid"].items()) for it in sources)))
    if sources:
        heads = [source["source"] for source in sources]
        print_tables(table(("", *heads), rows, numbers=heads))
    for source in sources:
        for problem in source["problems"]:
            say(f"{source['source']}: {problem}")
    if not any(source["problems"] for source in sources):
        nothing = "Nothing is known of that time" + ("." if events else ": EVENTS is off.")
        say("No problem." if sources else nothing)


def _text(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in _SHARES:
        return share(value)
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


if __name__ == "__main__":
    app()
