"""Results of measurements: medians with their spread, ratios of pairs, lines of the table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of the table. `holds` says whether the target is reached; None if there is no target."""

    part: str
    what: str
    value: str
    target: str = ""
    holds: bool | None = None


@dataclass
class Outcome:
    figures: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Spread:
    """The median of several measurements, with the lowest and the highest."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.values)

    def show(self, digits: int = 2, unit: str = "") -> str:
        middle, least, most = self.median, min(self.values), max(self.values)
        return f"{middle:,.{digits}f}{unit}  ({least:,.{digits}f} … {most:,.{digits}f})"

    def as_json(self) -> dict[str, Any]:
        return {"median": self.median, "values": list(self.values)}


def turns(repeats: int, names: tuple[str, ...]) -> Iterator[str]:
    """The order A B, B A, A B, …, so that drift of the machine affects all alike."""
    for repeat in range(repeats):
        yield from names if repeat % 2 == 0 else reversed(names)


def ratios_of(over: Sequence[float], under: Sequence[float]) -> Spread:
    """The ratio of each pair."""
    return Spread([a / b for a, b in zip(over, under, strict=True)])
