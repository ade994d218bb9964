"""Whether the server may be publishing to another stream than the one that is read.

Two names are in use (contract, "In: the activity stream"). A pipeline that reads the wrong one has nothing to do for
ever, and must not count as healthy.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from domains.kernel.errors import RedisOutage
from domains.operations.ports import StreamFiguresPort
from infrastructure.settings import Settings

KNOWN_STREAMS = {
    "pomodoro_pattern_match_stream": "pomodoro_pattern_match_group",
    "pattern_match_stream": "pattern_match_group",
}
"""The consumer group of each."""

_EVERY_SECONDS = 10.0


class StreamChoice:
    """`partitions` are the keys that are read. Once one of them has had an entry, nothing is asked any more."""

    def __init__(self, figures: StreamFiguresPort, settings: Settings, partitions: Sequence[str]) -> None:
        self._figures = figures
        self._settings = settings
        self._partitions = partitions
        self._is_used = False

    async def problem(self) -> str | None:
        """What is wrong, with the settings to change; None while nothing is. Raises RedisOutage."""
        if self._is_used:
            return None
        for key in self._partitions:
            if await self._figures.ever_used(key):
                self._is_used = True
                return None
        for stream, group in KNOWN_STREAMS.items():
            if stream != self._settings.stream_key and await self._figures.ever_used(
                self._settings.key_prefix + stream
            ):
                return (
                    f"{self._settings.stream_key} has never had an entry, but {stream} has: the server publishes "
                    f"there; set STREAM_KEY={stream} and STREAM_GROUP={group}"
                )
        return None

    async def warn(self) -> None:
        """Logs the problem, once, and ends; also ends once there can be none."""
        while not self._is_used:
            with suppress(RedisOutage):  # the breaker says so; or these keys are forbidden to us
                if (problem := await self.problem()) is not None:
                    log = structlog.stdlib.get_logger("pomocore")
                    log.warning("Nothing comes on this stream", action="stream_choice", cause=problem)
                    return
            await asyncio.sleep(_EVERY_SECONDS)
