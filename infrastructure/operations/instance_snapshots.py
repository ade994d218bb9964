"""What this process tells of itself every few seconds, so that any instance's console can show it."""

import asyncio
import json
import re
from contextlib import suppress
from typing import NamedTuple

import structlog

from domains.kernel.errors import RedisOutage
from domains.kernel.resilience import pause
from domains.operations.ports import InstanceSnapshotsPort
from infrastructure.operations.health import PipelineHealth
from infrastructure.settings import Settings, as_given, describe_settings, is_secret

_EVERY_SECONDS = 5.0
_MOST_CHARACTERS = 65_536
"""About six times what there is to tell. A snapshot that is longer goes without its metrics, whose labels vary."""
_CREDENTIALS = re.compile(r"(?<=://)[^/@]*@")


class InstanceSnapshots:
    def __init__(self, health: PipelineHealth, snapshots: InstanceSnapshotsPort) -> None:
        self._health = health
        self._snapshots = snapshots
        self._chosen = settings_of(health.settings)._asdict()

    async def run(self, stop: asyncio.Event) -> None:
        """Tells until `stop` is set. Errors here stop nothing else."""
        while not stop.is_set():
            try:
                await self.tell()
            except Exception:
                log = structlog.stdlib.get_logger("pomocore")
                log.exception("This instance cannot tell of itself", action="console")
            await pause(stop, _EVERY_SECONDS)

    async def tell(self) -> None:
        document = self._health.of_process() | self._chosen
        if len(text := json.dumps(document)) > _MOST_CHARACTERS:
            text = json.dumps(document | {"metrics": {}})
        with suppress(RedisOutage):  # the breakers tell of it
            await self._snapshots.put(self._health.settings.consumer_name, text)


class ChosenSettings(NamedTuple):
    """Those that were `given`, and the values of those that are not at their defaults (None if secret), by name."""

    given: list[str]
    settings: dict[str, str | None]


def settings_of(settings: Settings) -> ChosenSettings:
    """Without secrets: also an address may have a password."""
    made = ChosenSettings([], {})
    for name, default, *_ in describe_settings():
        value = getattr(settings, name.lower())
        text = None if value is None or is_secret(name.lower()) else _CREDENTIALS.sub("…@", as_given(value))
        if value is not None and name.lower() in settings.model_fields_set:
            made.given.append(name)
        if text != (default or None):
            made.settings[name] = text
    return made
