"""Shows a user's focus card: the stored one, or one that is made now if there is none.

python -m cmd.card USER --period week
"""

from cmd._output import Json, print_csv, print_json, say
from cmd._run import not_empty, run, running_container, settings_or_exit
from cmd.cards import day_of
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from domains.leaderboard.model import Period

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    user: Annotated[str, typer.Argument(help="the user's id", callback=not_empty)],
    period: Annotated[Period, typer.Option(help="which card")] = Period.DAY,
    on: Annotated[
        str, typer.Option("--date", help="a day in the period, such as 2025-09-02; today if not given")
    ] = "",
    lang: Annotated[Literal["ko", "en"], typer.Option(help="language of the text")] = "en",
    now: Annotated[bool, typer.Option("--now", help="make it now, whatever is stored")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="print CSV: starts, category, seconds of a day; else day, seconds")
    ] = False,
    as_json: Json = False,
) -> None:
    """Shows the card of USER for a day, ISO week or month of the server's time zone."""
    settings = settings_or_exit()
    day = day_of(on) or datetime.now(UTC).astimezone(settings.zone).date()

    async def work() -> None:
        from infrastructure.cards.text import text_of

        async with running_container(settings) as container:
            cards = container.cards()
            card = await (cards.made_now if now else cards.card)(user, period, day)
        if as_json:
            print_json(dict(card.document))
        elif as_csv and period is Period.DAY:
            rows = [(it["starts"], it["category"], it["seconds"]) for it in card.document["timeline"]]
            print_csv(("starts", "category", "seconds"), rows)
        elif as_csv:
            print_csv(("day", "seconds"), card.document["days"].items())
        else:
            say(text_of(card.document, lang))

    run(work)


if __name__ == "__main__":
    app()
