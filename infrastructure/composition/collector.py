"""The collector of a process: built from the settings, served until it is stopped, drained in its order."""

import asyncio
from itertools import chain
from typing import TYPE_CHECKING

import structlog
from prometheus_client import generate_latest

from domains.collector.model import Durability
from domains.collector.service import Bounds, Collector
from domains.kernel.resilience import cancel_all
from infrastructure.collector.archive import Archive, open_archive
from infrastructure.collector.events import BodyError, known_ids, split
from infrastructure.collector.span_log import LogInUse, SegmentedSpanLog
from infrastructure.collector.tokens import tokens_of
from infrastructure.composition.container import Container
from infrastructure.http.listening import reason_of
from infrastructure.observing.collector_metrics import CollectorMetrics
from infrastructure.redis.collected_spans import RedisSpanPublisher
from infrastructure.settings import Settings, SettingsError, names_of

if TYPE_CHECKING:
    from infrastructure.collector.http import Door

DEFAULT_PORT = 8090
_BACKLOG = 1024
_ANSWER_SECONDS = 5.0
_DAY = 86_400
_RECENT_BYTES = 33_554_432
"""How much of the log is read at a start for the ids that clients gave."""


def archive_of(settings: Settings) -> Archive | None:
    """What ARCHIVE_URL names. Raises SettingsError if it cannot be used."""
    url, endpoint = archive_url(settings), settings.archive_s3_endpoint
    return None if url is None else open_archive(url, str(endpoint) if endpoint else None)


def archive_url(settings: Settings) -> str | None:
    if settings.archive_url is None and settings.app_env == "dev":
        return (settings.data_dir / "archive").absolute().as_uri()
    return settings.archive_url


def port_beside_consumer(settings: Settings) -> int:
    """The port of a collector in the process of the consumer; 0 if it has none there."""
    if settings.collect_port is not None:
        return settings.collect_port
    is_embedded = settings.embeds_redis and settings.embeds_store and settings.app_env == "dev"
    return DEFAULT_PORT if is_embedded else 0


class RunningCollector:
    """A collector that listens at `address` and has its log to itself."""

    def __init__(
        self, log: SegmentedSpanLog, collector: Collector, door: "Door", server: asyncio.Server, seconds: float
    ) -> None:
        self.address = "http://{}:{}".format(*server.sockets[0].getsockname()[:2])
        self._log = log
        self._collector = collector
        self._door = door
        self._server = server
        self._seconds = seconds
        self._said = structlog.stdlib.get_logger("pomocore")

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then drains: what is not published and stored in time stays in the log."""
        self._said.info("Serving POST /collect", action="collect", address=self.address)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._log.run(), name="span log"),
                    group.create_task(self._collector.run(), name="cursors of the span log"),
                    group.create_task(self._door.sweep(), name="silent connections"),
                ]
                await stop.wait()
                is_drained = await self._drain()
                await cancel_all(tasks)
        finally:
            self._server.close()
            self._log.close()
        left = self._log.spooled_files
        self._said.info("The collector has stopped", action="collect_stopped", drained=is_drained, segments_left=left)

    async def _drain(self) -> bool:
        self._collector.draining = True
        self._server.close()
        await self._door.close(min(self._seconds, _ANSWER_SECONDS))
        return await self._collector.drain(self._seconds)


async def open_collector(settings: Settings, container: Container, port: int) -> RunningCollector:
    """Raises SettingsError if the port, the directory or the archive cannot be used. Port 0 is any that is free."""
    try:
        from infrastructure.collector.http import Door, DoorOptions
    except ImportError:
        raise SettingsError("COLLECT_PORT: the collector needs httptools: pip install httptools") from None
    archive, durability = archive_of(settings), Durability(settings.collect_durability)
    log = _open_log(settings, durability)
    metrics = CollectorMetrics(container.registry())
    bounds = Bounds(
        settings.collect_max_waiting,
        settings.collect_max_waiting_bytes,
        settings.archive_spool_max_bytes,
        settings.archive_spool_ttl_days * _DAY,
    )
    publisher = RedisSpanPublisher(container.redis(), container.partition_keys())
    collector = Collector(log, publisher, archive, metrics, bounds, durability)
    metrics.attend(collector)
    if durability is Durability.DISK:  # elsewhere, the stream need not have what the log has
        _remember_recent(collector, log)
    options = DoorOptions(
        settings.collect_max_body,
        settings.collect_max_event,
        settings.collect_rate,
        frozenset(names_of(settings.collect_allowed_origins)),
    )
    pages = {"/healthz": lambda: b"ok\n", "/metrics": lambda: generate_latest(container.registry())}
    door = Door(collector, tokens_of(settings), options, pages)
    try:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(door, settings.collect_host, port, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        log.close()
        raise SettingsError(f"COLLECT_PORT: {settings.collect_host}:{port}: {reason_of(error)}") from None
    return RunningCollector(log, collector, door, server, settings.shutdown_timeout)


async def open_beside_consumer(settings: Settings, container: Container) -> RunningCollector | None:
    """The collector in the process of a consumer, if it has one. Raises SettingsError if COLLECT_PORT asks for it."""
    if not (port := port_beside_consumer(settings)):
        return None
    try:
        return await open_collector(settings, container, port)
    except SettingsError as error:
        if settings.collect_port is not None:
            raise
        structlog.stdlib.get_logger("pomocore").warning("No collector", action="collect", reason=str(error))
        return None


def _open_log(settings: Settings, durability: Durability) -> SegmentedSpanLog:
    directory = settings.collect_dir or settings.data_dir / "collector"
    try:
        return SegmentedSpanLog(
            directory,
            settings.instance_id,
            settings.collect_batch_bytes,
            settings.collect_flush_seconds,
            syncs=durability is Durability.DISK,
        )
    except (OSError, LogInUse) as error:
        raise SettingsError(f"COLLECT_DIR: {error}") from None


def _remember_recent(collector: Collector, log: SegmentedSpanLog) -> None:
    for record in log.recent(_RECENT_BYTES):
        post = record.post
        try:
            events = split(post.form, post.body)
        except BodyError:
            continue
        collector.remember(b"".join(chain(*known_ids(post, events))))
