"""What is asked, sent and remembered of a window: the least that decides its category."""

from collections.abc import Sequence
from typing import NamedTuple

from domains.patternClassifier.urls import split_url
from domains.pomodoro.model import ActivityKey


class Question(NamedTuple):
    """What is sent and remembered of a window: the least that decides."""

    app: str
    site: str
    title: str


class Questions:
    def __init__(
        self,
        private_apps: Sequence[str] = (),
        private_hosts: Sequence[str] = (),
        with_titles: bool = True,
        path_segments: int = 2,
    ) -> None:
        self._with_titles = with_titles

    def of(self, key: ActivityKey) -> Question:
        return Question(key.app, "".join(split_url(key.url)), key.title if self._with_titles else "")

    def may_leave(self, key: ActivityKey) -> bool:
        return True
