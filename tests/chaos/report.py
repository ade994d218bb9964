"""The findings of a round. Look at the first divergence: the others often follow from it."""

import time


class Report:
    def __init__(self) -> None:
        self._started = time.monotonic()
        self.divergences: list[str] = []
        self.events: list[str] = []

    def diverged(self, what: str) -> None:
        self.divergences.append(f"[{self._clock()}] {what}")

    def happened(self, what: str) -> None:
        """Records something that helps to understand a divergence, such as a fault."""
        self.events.append(f"[{self._clock()}] {what}")

    def _clock(self) -> str:
        return f"{time.monotonic() - self._started:6.2f} s"
