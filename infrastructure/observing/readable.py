"""How commands, logs and answers in words give times, durations and shares. The console does the same (format.js).

How long users worked is said in hours and minutes, as on their cards: `infrastructure.cards.words.duration`.
"""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

_UNITS = ((86_400, 172_800, "days"), (3600, 7200, "h"), (60, 120, "min"), (1, 1, "s"))
"""Each from so many seconds on."""


def local_time(seconds: float, zone: ZoneInfo) -> str:
    """Unix seconds in the zone of the boards: 2025-09-02 09:00:34 KST."""
    return f"{datetime.fromtimestamp(seconds, zone):%Y-%m-%d %H:%M:%S %Z}"


def duration(seconds: float) -> str:
    """As one number with the unit that suits it: 3.5 min."""
    if seconds == 0:
        return "0 s"
    for size, least, unit in _UNITS:
        if seconds >= least:
            return f"{_number(seconds / size)} {unit}"
    return f"{_number(seconds * 1000)} ms"


def share(value: float) -> str:
    """Of 1, in percent: 12.3 %."""
    return "<0.1 %" if 0 < value < 0.001 else f"{value * 100:.1f} %".replace(".0 %", " %")


def _number(value: float) -> str:
    shown = f"{value:.1f}" if value < 10 else f"{value:,.0f}"
    return shown.removesuffix(".0")


def counted(number: int, one: str, many: str = "") -> str:
    """1 dead letter, 2 dead letters; `many` is for what does not just get an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def in_words(values: Mapping[str, object]) -> str:
    """What a person reads of a task's parameters or of what it did: zeros and what is empty are left out."""
    return "; ".join(f"{name}: {plain(value)}" for name, value in values.items() if value)


def plain(value: object) -> str:
    """A value of JSON as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {plain(each)}" for name, each in value.items())
    return ", ".join(map(plain, value)) if isinstance(value, list | tuple) else str(value)
