"""Answers questions about where the time went, in SQL, from the events in DuckDB (EVENTS=true).

python -m cmd.ask "SELECT category, sum(seconds)/3600 AS hours FROM spans GROUP BY 1"
python -m cmd.ask top-sites
"""

from cmd._output import Json, fail, print_json, print_tables, say, table
from cmd._run import no_such, run, settings_or_exit
from typing import Annotated, Any

import typer

from infrastructure.observing.readable import plain

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _list(wanted: bool) -> None:
    if not wanted:
        return
    from infrastructure.duckdb.questions import QUESTIONS

    print_tables(table(("Question", "What it tells"), [(name, it.tells) for name, it in QUESTIONS.items()]))
    say("\npomocore ask NAME runs one; pomocore ask --show NAME prints its SQL.")
    raise typer.Exit


@app.command()
def main(
    question: Annotated[str, typer.Argument(help="SQL over the table spans, or the name of a ready question")],
    as_json: Json = False,
    show: Annotated[bool, typer.Option("--show", help="print the SQL of a ready question")] = False,
    list_: Annotated[bool, typer.Option("--list", help="ready questions", is_eager=True, callback=_list)] = False,
) -> None:
    """Runs a question that changes nothing. Without Kafka alone: with it, events are in Druid.

    A table is in docs/analytics.md. Exit codes: 0 answered, 1 the question is wrong, 2 its name or the settings are.
    """
    from infrastructure.duckdb.event_sink import DuckDbMissing
    from infrastructure.duckdb.questions import QUESTIONS, NoEvents, WrongQuestion, answer

    ready = QUESTIONS.get(question)
    if ready is None and len(question.split()) == 1:
        no_such("question", question, QUESTIONS)
    if show:
        say(ready.sql if ready else question)
        return
    settings = settings_or_exit()

    async def work() -> None:
        try:
            columns, rows = answer(settings.analytics_path, ready.sql if ready else question)
        except (DuckDbMissing, NoEvents, WrongQuestion) as error:
            fail(str(error), 1)
        if as_json:
            print_json([dict(zip(columns, map(_plain, row), strict=True)) for row in rows])
            return
        numbers = [name for number, name in enumerate(columns) if rows and type(rows[0][number]) in (int, float)]
        print_tables(table(columns, [list(map(_text, row)) for row in rows], numbers=numbers))

    run(work)


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | bool | str | None) else str(value)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return "" if value is None else plain(value)


if __name__ == "__main__":
    app()
