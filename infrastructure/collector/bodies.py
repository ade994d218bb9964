"""Bodies as they were before a client compressed them, bounded while they are inflated."""

import zlib
from collections.abc import Callable

from infrastructure.collector.events import BodyError

_CHUNK = 65_536
_ZSTD_PIECE = 256
"""Bytes that are inflated at once: the library bounds what goes in, and 4 bytes can stand for 128 KiB."""
_ZSTD_WINDOW = 2**23


class UnknownEncoding(BodyError):
    """The Content-Encoding is none that can be read here."""


class TooLong(BodyError):
    """The body is too long once it is inflated."""


def inflated(encoding: str, body: bytes, most: int) -> bytes:
    """The body, of at most `most` bytes. Raises UnknownEncoding, TooLong, and BodyError where it is damaged."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name == "gzip":
        return _bounded(_gzip_chunks(body), most)
    if name == "zstd":
        return _bounded(_zstd_chunks(body), most)
    raise UnknownEncoding("Content-Encoding must be gzip or zstd")


def _bounded(next_chunk: Callable[[], bytes], most: int) -> bytes:
    chunks, size = [], 0
    while chunk := next_chunk():
        size += len(chunk)
        if size > most:
            raise TooLong(f"a body may have {most:,} bytes (COLLECT_MAX_BODY), also when it is inflated")
        chunks.append(chunk)
    return b"".join(chunks)


def _gzip_chunks(body: bytes) -> Callable[[], bytes]:
    inflate, left = zlib.decompressobj(wbits=31), body

    def next_chunk() -> bytes:
        nonlocal left
        try:
            chunk = inflate.decompress(left, _CHUNK)
        except zlib.error:
            raise BodyError("the body is no gzip") from None
        left = inflate.unconsumed_tail
        if not chunk and (not inflate.eof or inflate.unused_data):
            raise BodyError("the gzip of the body is cut off, or something follows it")
        return chunk

    return next_chunk


def _zstd_chunks(body: bytes) -> Callable[[], bytes]:
    try:
        import zstandard
    except ImportError:
        raise UnknownEncoding("zstd cannot be read here: pip install zstandard") from None
    inflate = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    pieces = iter([body[start : start + _ZSTD_PIECE] for start in range(0, len(body), _ZSTD_PIECE)])

    def next_chunk() -> bytes:
        try:
            for piece in pieces:
                if inflate.eof:
                    raise BodyError("something follows the zstd of the body")
                if chunk := inflate.decompress(piece):
                    return chunk
        except zstandard.ZstdError:
            raise BodyError("the body is no zstd") from None
        if not inflate.eof or inflate.unused_data:
            raise BodyError("the zstd of the body is cut off, or something follows it")
        return b""

    return next_chunk
