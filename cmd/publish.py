"""Puts activity messages on the stream exactly as the Spring server does.

python -m cmd.publish FILE.jsonl
"""

from __future__ import annotations

import sys
from cmd._output import Json, fail, print_json, progress, say
from cmd._run import run, running_container, settings_or_exit
from contextlib import nullcontext
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from infrastructure.observing.readable import counted, duration

if TYPE_CHECKING:
    from infrastructure.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    file: Annotated[
        Path, typer.Argument(help="a JSON object on each line, with the contract's field names; -: stdin")
    ],
    rate: Annotated[
        float | None, typer.Option(help="messages a second; as fast as possible if not given", min=0.001)
    ] = None,
    as_json: Json = False,
) -> None:
    """Puts the messages of FILE on the activity stream, as the Spring server does.

    Values may be JSON numbers, booleans or strings. On the stream every value is a string, and doubles are spelled as
    Java spells them. A field that is null is left out. The command stops at a line that is not a JSON object of
    simple values, and names the line; the messages before it are published.
    """
    settings = settings_or_exit()
    if str(file) != "-" and (file.is_dir() or not file.exists()):  # a pipe and a device are files to read, too
        fail(f"{file}: no such file", 2)
    run(lambda: _publish(settings, file, rate, as_json))


async def _publish(settings: Settings, file: Path, rate: float | None, as_json: bool) -> int:
    from infrastructure.spring.message_file import publish_lines
    from infrastructure.spring.message_spelling import MessageSpellingError

    started, published, error = monotonic(), 0, ""
    with nullcontext(sys.stdin) if str(file) == "-" else file.open(encoding="utf-8") as lines:
        total = _count(file)
        async with running_container(settings) as container:
            with progress(as_json) as bar:
                task = bar.add_task("published", total=total)
                try:
                    async for published in publish_lines(lines, rate, container.publisher().publish):
                        bar.update(task, completed=published)
                except MessageSpellingError as offence:
                    error = str(offence)
    seconds = monotonic() - started
    if as_json:
        result = {"published": published, "stream": settings.stream_key, "seconds": round(seconds, 3)}
        print_json(result | ({"error": error} if error else {}))
    else:
        say(f"{counted(published, 'message')} on {settings.stream_key} in {duration(seconds)}")
        if error:
            say(error, err=True)
    return 1 if error else 0


def _count(file: Path) -> int | None:
    """None where a file can be read only once."""
    if not file.is_file():
        return None
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


if __name__ == "__main__":
    app()
