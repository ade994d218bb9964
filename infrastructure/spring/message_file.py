"""Files of activity messages: JSON lines with the contract's field names, published as Spring spells them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from time import monotonic

from infrastructure.spring.message_spelling import MessageSpellingError, spring_fields

_CHUNK = 500

Fields = dict[str, str]


async def publish_lines(
    lines: Iterable[str], rate: float | None, publish: Callable[[Sequence[Fields]], Awaitable[object]]
) -> AsyncIterator[int]:
    """Publishes the messages at `rate` a second, or as fast as possible; yields how many are published so far.

    Raises MessageSpellingError, which names the line, if a line is not a message. The lines before it are published.
    """
    started, published = monotonic(), 0
    for chunk in chunks(read_messages(lines), rate):
        await publish(chunk)
        published += len(chunk)
        yield published
        if rate:
            await asyncio.sleep(started + published / rate - monotonic())


def read_messages(lines: Iterable[str]) -> Iterator[Fields]:
    """The messages in the lines that are not blank. Raises MessageSpellingError, which names the line."""
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


def chunks(messages: Iterator[Fields], rate: float | None) -> Iterator[list[Fields]]:
    """Chunks with at most the messages of a tenth of a second, so that the rate is even."""
    size = _CHUNK if rate is None else max(1, min(_CHUNK, int(rate / 10)))
    chunk: list[Fields] = []
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


def _object(line: str) -> dict[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageSpellingError(f"not JSON ({error})") from None
    if not isinstance(value, dict):
        raise MessageSpellingError("not a JSON object")
    return value
