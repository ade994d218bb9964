"""python -m bench: measures the pipeline on private servers. README.md says what each number means."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from bench.figures import Outcome
from bench.measure import testbed
from bench.plot import HOW_TO_GET_IT, draw
from bench.report import as_json, print_table, write_json
from bench.scenarios import SCENARIOS, Options

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_QUICK = {"messages": 20_000, "many": None, "repeats": 1, "n_plus_one_messages": 100, "latency_seconds": 4.0}


@app.command()
def main(
    quick: Annotated[bool, typer.Option(help="smaller and fewer: about a minute, to see that it works")] = False,
    only: Annotated[str, typer.Option(help="parts: a (with b), c to i, events, collect")] = ",".join(SCENARIOS),
    messages: Annotated[
        int | None, typer.Option(help="backlog of (a), (c), (f), (h) and (i) in messages; (e) uses twice as many")
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="how often each is measured, by turns")] = None,
    kind: Annotated[
        Literal["linked", "unlinked", "mixed"],
        typer.Option(help="messages with both ids (linked), without ids, or both kinds by turns"),
    ] = "linked",
    order: Annotated[
        Literal["sessions", "random"], typer.Option(help="a session's spans together, as Spring sends them, or mixed")
    ] = "sessions",
    aof: Annotated[bool, typer.Option(help="Redis writes all to its AOF, once a second to the disk")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all figures here")] = None,
    plot: Annotated[Path | None, typer.Option(help="draw the ratios into this PNG (needs matplotlib)")] = None,
) -> None:
    """Measures the pipeline on private servers and prints one table.

    MongoDB is a stand-in that acknowledges at once and keeps nothing; MONGO_TEST_URI names a real server instead.
    """
    given = {"messages": messages, "repeats": repeats}
    options = Options(
        **{"kind": kind, "order": order}
        | (_QUICK if quick else {})
        | {k: v for k, v in given.items() if v is not None}  # type: ignore[arg-type]
    )
    parts = ["a" if part == "b" else part for part in only.replace(" ", "").split(",")]
    if unknown := set(parts) - SCENARIOS.keys():
        raise typer.BadParameter(f"there is no part {', '.join(sorted(unknown))}", param_hint="--only")
    console = Console(width=None if sys.stdout.isatty() else 150)
    outcomes: dict[str, Outcome] = {}
    with testbed(aof) as bed, Console(stderr=True).status("") as status:
        for part in dict.fromkeys(parts):
            title, measure = SCENARIOS[part]
            if not sys.stderr.isatty():
                typer.echo(f"({part}) {title} …", err=True)
            outcomes[part] = measure(bed, options, lambda text, title=title: status.update(f"{title}: {text}"))
        result = as_json(outcomes, options, bed, " ".join(["python -m bench", *sys.argv[1:]]))
    print_table([row for outcome in outcomes.values() for row in outcome.rows], console)
    if json_file:
        write_json(result, json_file)
    if plot:
        _draw(result, plot)


def _draw(result: dict[str, object], file: Path) -> None:
    try:
        draw(result, file)
    except ImportError:
        typer.echo(HOW_TO_GET_IT, err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
