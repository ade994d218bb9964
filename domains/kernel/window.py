"""The value that decides a category."""

from typing import NamedTuple


class Window(NamedTuple):
    """What was in front: the app's name, the URL it showed and the title. Absent parts are empty strings."""

    app: str
    url: str
    title: str
