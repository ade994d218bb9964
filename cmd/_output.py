"""Everything that the commands print: texts, tables, JSON, progress and errors.

Texts come from users, stores and other services. Whatever they contain, no control character reaches the terminal,
and every parser can read the JSON that is printed.
"""

import csv
import json
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from infrastructure.observing.printable import printable, printable_json, printable_lines

if TYPE_CHECKING:  # rich takes a tenth of a second to load, which most commands need not wait for
    from rich.progress import Progress, ProgressColumn
    from rich.table import Table
    from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def is_plain() -> bool:
    """Whether nothing but text is to be printed: no colours, and nothing bold."""
    return bool(os.environ.get("NO_COLOR")) or not sys.stdout.isatty()


if is_plain():  # for Typer, which prints helps and errors by itself
    os.environ["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"

_PIPE_WIDTH = 10_000
"""Characters. Without a terminal, rows are not wrapped, so that `grep` sees whole rows."""
_LEAST_WIDTH = 8
"""Characters that every column keeps beside those that are shown whole."""


def say(text: str, err: bool = False) -> None:
    """Prints `text`, which may have several lines, on standard output or error."""
    with _while_somebody_reads():
        typer.echo(printable_lines(text), err=err)


def fail(message: str, code: int) -> NoReturn:
    say(message, err=True)
    raise typer.Exit(code)


def json_line(document: Any) -> bytes:
    return printable_json(json.dumps(document, ensure_ascii=False)).encode() + b"\n"


def print_json(document: Any) -> None:
    _write(json_line(document))


def print_json_text(text: str) -> None:
    """`text` is JSON already, of any number of lines."""
    _write(printable_json(text).encode() + b"\n")


def print_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """As RFC 4180 has it, control characters in texts replaced as everywhere."""
    lines = StringIO()
    writer = csv.writer(lines)
    writer.writerow(head)
    for row in rows:
        writer.writerow(printable(each) if isinstance(each, str) else each for each in row)
    _write(lines.getvalue().encode())


def clear_screen() -> None:
    if sys.stdout.isatty():
        _write(b"\x1b[H\x1b[2J")


def _write(line: bytes) -> None:
    with _while_somebody_reads():
        sys.stdout.flush()
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


@contextmanager
def _while_somebody_reads() -> Iterator[None]:
    """Ends the command where the reader has gone, as `head` does."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its end
        raise SystemExit(0) from None


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Collection[str] = (),
    whole: Collection[str] = (),
    **options: Any,
) -> "Table":
    """Columns in `numbers` are aligned to the right, those in `whole` never wrapped; `options` are rich's."""
    from rich.table import Table
    from rich.text import Text

    made = Table(*head, **{"box": None, "pad_edge": False, **options})
    for column in made.columns:
        column.overflow = "fold"
        column.justify = "right" if column.header in numbers else "left"
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    for column in made.columns:
        if column.header in whole:
            column.no_wrap = True
            column.min_width = max((cell.cell_len for cell in column.cells if isinstance(cell, Text)), default=0)
    return made


def print_tables(*parts: "Table | Text") -> None:
    """Prints parts one below the other. If the terminal is too narrow for whole columns, it wraps the lines."""
    from rich.console import Console
    from rich.table import Table

    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    console = Console(width=width, color_system=None if is_plain() else "auto")
    for part in parts:
        if isinstance(part, Table):
            needed = sum(1 + (column.min_width or _LEAST_WIDTH) for column in part.columns)
            console.width = max(console.width, needed)
    with console.capture() as printed:
        console.print(*parts, sep="\n")
    with _while_somebody_reads():
        typer.echo("\n".join(line.rstrip() for line in printed.get().split("\n")), nl=False)


def progress(hidden: bool = False, in_bytes: bool = False) -> "Progress":
    """Shows a bar for each task on standard error, if that is a terminal, until the block ends."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, color_system=None if is_plain() else "auto")
    done: ProgressColumn = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = TextColumn("{task.description:<10}", markup=False), BarColumn(), done, TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=hidden or not console.is_terminal)
