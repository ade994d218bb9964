"""Windows to classify, read from JSON lines as fast as they can be decoded."""

import json
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from domains.kernel.window import Window

_CHUNK_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


class WindowLine(msgspec.Struct, frozen=True):
    """The window in front. None and an empty text mean the same: the part is absent."""

    app: str | None = None
    title: str | None = None
    url: str | None = None

    @property
    def window(self) -> Window:
        return Window(self.app or "", self.url or "", self.title or "")


class BadLine(NamedTuple):
    number: int
    reason: str


_decode = msgspec.json.Decoder(WindowLine).decode


def read_windows(source: BinaryIO) -> Iterator[list[WindowLine | BadLine]]:
    """Yields chunks of about a megabyte: in order, the window of each line that is not blank, or the line's fault.

    Other fields are ignored. Control characters and halves of surrogate pairs are accepted.
    """
    read = 0
    while lines := source.readlines(_CHUNK_BYTES):
        chunk: list[WindowLine | BadLine] = []
        for number, line in enumerate(lines, read + 1):
            try:
                chunk.append(_decode(line))
            except (ValueError, RecursionError):
                if line.removeprefix(_BOM).strip():
                    chunk.append(_leniently(line, number))
        read += len(lines)
        yield chunk


def _leniently(line: bytes, number: int) -> WindowLine | BadLine:
    """A line that msgspec refuses but that still has a clear meaning, or what is wrong with it."""
    try:
        text = line.removeprefix(_BOM).decode("utf-8", "surrogatepass")
        value: object = json.loads(text, strict=False)
        return msgspec.convert(value, WindowLine)
    except UnicodeDecodeError:
        return BadLine(number, "not UTF-8")
    except msgspec.ValidationError as error:
        return BadLine(number, str(error))
    except (ValueError, RecursionError) as error:
        return BadLine(number, f"not JSON ({error})")
