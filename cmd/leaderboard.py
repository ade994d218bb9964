"""Shows a leaderboard, a user's rank, and the users around.

python -m cmd.leaderboard work --period week
"""

from __future__ import annotations

import asyncio
from cmd._output import Json, clear_screen, fail, print_csv, print_json, print_tables, say, table
from cmd._run import no_such, run, running_container, settings_or_exit
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from domains.categoryPattern.model import LLM_ONLY_CATEGORIES, PATTERN_CATEGORIES
from domains.kernel.resilience import pause
from domains.leaderboard.model import OVERALL_BOARD, LeaderboardResult, Period, board_key
from infrastructure.cards.words import duration
from infrastructure.observing.printable import printable
from infrastructure.process.signals import stop_on_signals

if TYPE_CHECKING:
    from infrastructure.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    category: Annotated[str, typer.Argument(help="a category such as Development, or work for the overall board")],
    period: Annotated[Period, typer.Option(help="which board")] = Period.DAY,
    on: Annotated[
        str, typer.Option("--date", help="a day in the period, such as 2025-09-02; today if not given")
    ] = "",
    user: Annotated[str, typer.Option(help="show this user's rank and the users around")] = "",
    limit: Annotated[
        int, typer.Option(help="number of rows; with --user, on either side of the user", min=1, max=10_000)
    ] = 10,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV: rank, user, seconds")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="update the output until Ctrl-C")] = False,
    every: Annotated[float, typer.Option(help="seconds between two updates of --watch", min=0.2)] = 2.0,
    as_json: Json = False,
) -> None:
    """Shows the leaderboard of CATEGORY in a day, ISO week or month of the server's time zone."""
    settings = settings_or_exit()
    known = {name.lower(): name for name in (OVERALL_BOARD, *PATTERN_CATEGORIES, *LLM_ONLY_CATEGORIES)}
    if category.lower() not in known:
        no_such("category", category, known.values())
    try:
        day = date.fromisoformat(on) if on else datetime.now(UTC).astimezone(settings.zone).date()
    except ValueError:
        fail(f"--date {on}: not a date such as 2025-09-02", 2)
    board = settings.key_prefix + board_key(known[category.lower()], period, day)

    def show(total: int, own: LeaderboardResult | None, rows: list[LeaderboardResult]) -> None:
        if as_json:
            print_json(_document(board, total, own, rows))
        elif as_csv:
            print_csv(("rank", "user", "seconds"), [(row.rank, row.user_id, row.score) for row in rows])
        else:
            print_board(board, period, day, rows, highlight=user)
            if own is not None:
                place = (
                    f"rank {own.rank} of {total}, {duration(own.score, 'en')}" if own.rank else "not on this board"
                )
                say(f"{printable(own.user_id)}: {place}")

    run(lambda: _show(settings, board, user, limit, every if watch else None, show))


async def _show(
    settings: Settings,
    board: str,
    user: str,
    limit: int,
    every: float | None,
    show: Callable[[int, LeaderboardResult | None, list[LeaderboardResult]], None],
) -> None:
    stop = stop_on_signals() if every else asyncio.Event()
    async with running_container(settings) as container:
        boards = container.leaderboard()
        while not stop.is_set():
            total = await boards.size(board)
            if user:
                found = await boards.around(board, user, limit)
                own, rows = found.user, list(found.around)
            else:
                own, rows = None, await boards.top(board, limit)
            if every:
                clear_screen()
            show(total, own, rows)
            if every is None:
                return
            await pause(stop, every)


def _document(
    board: str, total: int, own: LeaderboardResult | None, rows: list[LeaderboardResult]
) -> dict[str, object]:
    listed = [{"rank": row.rank, "userId": row.user_id, "score": row.score} for row in rows]
    document: dict[str, object] = {"board": board, "total": total, "rows": listed}
    if own is not None:
        document["user"] = {"rank": own.rank, "userId": own.user_id, "score": own.score}
    return document


def print_board(board: str, period: Period, day: date, rows: list[LeaderboardResult], highlight: str = "") -> None:
    first, last = period.days(day)
    title = f"{board}  ({first})" if first == last else f"{board}  ({first} to {last})"
    say(title)
    if rows:
        cells = [(str(row.rank), row.user_id, duration(row.score, "en")) for row in rows]
        board_table = table(("Rank", "User", "Time"), cells, ("Rank", "Time"), ("User",), min_width=40)
        for row, made in zip(rows, board_table.rows, strict=True):
            made.style = "bold" if row.user_id == highlight else None
        print_tables(board_table)
    elif not highlight:
        say("nobody yet")


if __name__ == "__main__":
    app()
