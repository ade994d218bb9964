"""The health of a pipeline from outside: its stores, and its instance on this machine if there is one."""

from collections.abc import Collection
from contextlib import suppress
from math import isnan
from typing import Any
from urllib.parse import unquote

from aiohttp import ClientError, ClientSession, ClientTimeout
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from domains.kernel.errors import RedisOutage
from infrastructure.http.listening import DEFAULT_PORT
from infrastructure.http.server import INSTANCE_HEADER
from infrastructure.observing.metrics import values_of
from infrastructure.operations.health import PipelineHealth
from infrastructure.settings import Settings

_PATIENCE_SECONDS = 2.0


async def inspect(health: PipelineHealth) -> dict[str, Any]:
    """The snapshot of `health` with fresh figures of the streams, and the metrics of the instance on this machine.

    `metrics` is None if no instance of this pipeline serves HTTP on this machine.
    """
    with suppress(RedisOutage):  # the checks report the outage
        await health.refresh()
    document = await health.snapshot()
    instances = {instance.name for stream in health.gauges.streams or () for instance in stream.instances}
    return document | {"metrics": await _metrics_of_one(health.settings, instances)}


async def _metrics_of_one(settings: Settings, instances: Collection[str]) -> dict[str, float | None] | None:
    """The metrics of one of `instances` that serves HTTP here. Another process at that port is ignored."""
    if settings.http_port == 0:
        return None
    host = "127.0.0.1" if settings.http_host in ("0.0.0.0", "::") else settings.http_host  # noqa: S104
    address = URL.build(scheme="http", host=host, port=settings.http_port or DEFAULT_PORT, path="/metrics")
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=_PATIENCE_SECONDS)) as session,
            session.get(address) as answer,
        ):
            if unquote(answer.headers.get(INSTANCE_HEADER, "")) not in instances:
                return None
            values = values_of(text_string_to_metric_families(await answer.text()))
    except (ClientError, OSError, TimeoutError, ValueError):
        return None
    return {name: None if isnan(value) else value for name, value in values.items()} or None
