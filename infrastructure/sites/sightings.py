"""Tells the sightings of unknown sites what the consumers could not decide by rules."""

from collections.abc import Sequence

from typing_extensions import override

from domains.kernel.window import Window
from domains.siteProfile.sightings import SiteSightings
from infrastructure.observing.observers import Observer


class SightingObserver(Observer):
    def __init__(self, sightings: SiteSightings) -> None:
        self._sightings = sightings

    @override
    def unknown_windows(self, windows: Sequence[tuple[Window, str]]) -> None:
        self._sightings.note(windows)
