"""A message as Spring spells it on the stream. Source: contract, "In: the activity stream"."""

import re
from collections.abc import Mapping
from decimal import Decimal
from math import inf, isfinite


class MessageSpellingError(ValueError):
    """A value cannot be put on the stream. The text is for a person."""


_DOUBLES = frozenset({"duration", "timestamp"})
_SURROGATE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u(?i:(d[89ab]..\\ud[c-f])|d[89a-f][\da-f]{2})", re.DOTALL)
"""The escape of a surrogate in JSON. Group 2: of a pair."""


def spring_fields(message: Mapping[str, object]) -> dict[str, str]:
    """The fields of a stream entry, as Spring writes them: all values are strings, and None is left out.

    Strings stay as they are. Raises MessageSpellingError for a value that is neither a number, a boolean nor
    a string.
    """
    fields = {name: spelled(name, value) for name, value in message.items() if value is not None}
    if not fields:
        raise MessageSpellingError("a message needs at least one field")
    return fields


def spelled(name: str, value: object) -> str:
    """A value of the field `name`. Raises MessageSpellingError."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise MessageSpellingError(f"{name} has half a character (a lone surrogate)")
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or (isinstance(value, int) and name in _DOUBLES):
        try:
            return java_double(float(value))
        except OverflowError:
            raise MessageSpellingError(f"{name} is too large for a double") from None
    if isinstance(value, int):
        return str(value)
    raise MessageSpellingError(f"{name} is neither text, number nor boolean")


def without_halves(json_text: bytes) -> bytes:
    """JSON in which half a surrogate pair, as of a title that is cut off within an emoji, is "?", as Spring has it.

    It is as long as before. Python and JavaScript write such escapes; msgspec and most others refuse them.
    """
    return _SURROGATE.sub(lambda found: found[0] if found[2] else found[1] + rb"\u003f", json_text)


def java_double(value: float) -> str:
    """A double as Java's `Double.toString` spells it: 120.0, 1.756771234E9, 1.5E-4."""
    if not isfinite(value):
        return {inf: "Infinity", -inf: "-Infinity"}.get(value, "NaN")
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    if 1e7 <= value < 1e16:  # times, most of all: what follows gives the same, more slowly
        whole, _, decimals = repr(value).partition(".")
        shown = (whole + decimals).rstrip("0")
        return f"{shown[0]}.{shown[1:] or '0'}E{len(whole) - 1}"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int), "Spring sends finite numbers"
    fraction = "".join(map(str, digits[1:])) or "0"
    return f"{'-' if sign else ''}{digits[0]}.{fraction}E{exponent + len(digits) - 1}"
