"""What a person has said of a window. It stands above all tiers, and so above what the window's document says."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from domains.kernel.window import Window


class CorrectionState(StrEnum):
    """PENDING and UNDOING: messages are classified accordingly, and earlier usage logs are not yet."""

    PENDING = "pending"
    APPLIED = "applied"
    UNDOING = "undoing"


@dataclass(frozen=True, slots=True)
class Correction:
    """The category of exactly this window: for one user, or for all (''). A user's own stands above the one for all.

    `by` is who made it, `time` when it was last changed (Unix seconds). Once it is applied, `logs` and `seconds` say
    how much it has decided until then.
    """

    id: str
    user_id: str
    window: Window
    category: str
    by: str
    time: float
    state: CorrectionState = CorrectionState.PENDING
    logs: int = 0
    seconds: float = 0.0


class CorrectionRepositoryPort(Protocol):
    """The corrections. Methods raise StoreOutage, or StoreRefused where data are to blame."""

    async def find_all(self) -> list[Correction]:
        """All corrections, the latest first."""

    async def save(self, correction: Correction) -> None:
        """Saves it; a stored one with the same id is replaced."""

    async def settle(self, correction: Correction) -> bool:
        """Saves one that is applied, and deletes one that is undone, if nobody has changed it since its `time`."""

    async def delete(self, ids: Iterable[str]) -> int:
        """Deletes corrections. Returns how many there were."""


class CorrectedWindows:
    """Corrections of one moment, by user and window."""

    def __init__(self, corrections: Iterable[Correction] = ()) -> None:
        self._categories = {
            (each.user_id, each.window): each.category
            for each in corrections
            if each.state is not CorrectionState.UNDOING
        }

    def __bool__(self) -> bool:
        return bool(self._categories)

    def category(self, user_id: str, window: Window) -> str | None:
        return self._categories.get((user_id, window)) or self._categories.get(("", window))
