"""Puts activity messages on the stream exactly as the Spring server does.

python -m cmd.publish FILE.jsonl
"""

import asyncio
import json
import sys
from cmd._output import Json, fail, print_json, progress, say
from cmd._run import run, settings_or_exit
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, TextIO

import typer

from infrastructure.composition.container import running_container
from infrastructure.settings import Settings
from infrastructure.spring.message_spelling import MessageSpellingError, spring_fields

_CHUNK = 500

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    file: Annotated[Path, typer.Argument(help="one JSON object a line, with the contract's field names; -: stdin")],
    rate: Annotated[
        float | None, typer.Option(help="messages a second; as fast as it goes if not given", min=0.001)
    ] = None,
    as_json: Json = False,
) -> None:
    """Puts the messages of FILE on the activity stream, as the Spring server does.

    Values may be JSON numbers, booleans or strings; on the stream every value is a string, and doubles are spelled
    as Java spells them. null leaves the field out. A line that is no JSON object of simple values ends it with an
    error that names the line; what came before it stays published.
    """
    settings = settings_or_exit()
    if str(file) != "-" and not file.is_file():
        fail(f"{file}: no such file", 2)
    run(lambda: _publish(settings, file, rate, as_json))


async def _publish(settings: Settings, file: Path, rate: float | None, as_json: bool) -> int:
    with nullcontext(sys.stdin) if str(file) == "-" else file.open(encoding="utf-8") as lines:
        total = None if lines is sys.stdin else _count(file)
        async with running_container(settings) as container:
            publisher = container.publisher()
            started, published, error = monotonic(), 0, ""
            with progress(as_json) as bar:
                task = bar.add_task(f"to {settings.stream_key}", total=total)
                try:
                    for chunk in _chunks(_messages(lines), rate):
                        await publisher.publish(chunk)
                        published += len(chunk)
                        bar.update(task, completed=published)
                        if rate:
                            await asyncio.sleep(started + published / rate - monotonic())
                except MessageSpellingError as offence:
                    error = str(offence)
    seconds = monotonic() - started
    if as_json:
        result = {"published": published, "stream": settings.stream_key, "seconds": round(seconds, 3)}
        print_json(result | ({"error": error} if error else {}))
    else:
        say(f"{published} messages on {settings.stream_key} in {seconds:.1f} s")
    if error and not as_json:
        say(error, err=True)
    return 1 if error else 0


def _count(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _messages(lines: TextIO) -> Iterator[dict[str, str]]:
    number = 1
    try:
        for line in lines:
            if line.strip():
                yield spring_fields(_object(line))
            number += 1
    except UnicodeDecodeError:
        raise MessageSpellingError(f"line {number}: not UTF-8") from None
    except MessageSpellingError as offence:
        raise MessageSpellingError(f"line {number}: {offence}") from None


def _object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageSpellingError(f"not JSON ({error})") from None
    if not isinstance(value, dict):
        raise MessageSpellingError("not a JSON object")
    return value


def _chunks(messages: Iterator[dict[str, str]], rate: float | None) -> Iterator[list[dict[str, str]]]:
    """Chunks of a tenth of a second's messages at the most, so that a rate is kept evenly."""
    size = _CHUNK if rate is None else max(1, min(_CHUNK, int(rate / 10)))
    chunk: list[dict[str, str]] = []
    try:
        for message in messages:
            chunk.append(message)
            if len(chunk) == size:
                yield chunk
                chunk = []
    except MessageSpellingError:
        yield chunk
        raise
    if chunk:
        yield chunk


if __name__ == "__main__":
    app()
