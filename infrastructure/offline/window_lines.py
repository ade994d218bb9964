"""Windows to classify, read from JSON lines as fast as they can be decoded."""

import json
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from domains.kernel.window import Window

_CHUNK_BYTES = 1 << 20
_LONGEST_LINE = 1 << 20
"""Bytes. Windows have a few hundred."""
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
    before = 0
    for lines in _lines(source):
        chunk: list[WindowLine | BadLine] = []
        for number, line in enumerate(lines, before + 1):
            if len(line) > _LONGEST_LINE:
                chunk.append(BadLine(number, f"longer than {_LONGEST_LINE} bytes"))
                continue
            try:
                chunk.append(_decode(line))
            except (ValueError, RecursionError):
                if line.removeprefix(_BOM).strip():
                    chunk.append(_leniently(line, number))
        before += len(lines)
        yield chunk


def _lines(source: BinaryIO) -> Iterator[list[bytes]]:
    """The lines, about a megabyte of them at once; of one that is too long just so much that this is seen."""
    begun = b""
    while block := source.read(_CHUNK_BYTES):
        *lines, begun = (begun + block).split(b"\n")
        begun = begun[: _LONGEST_LINE + 1]
        if lines:
            yield lines
    if begun:
        yield [begun]


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
