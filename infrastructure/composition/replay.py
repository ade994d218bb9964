"""The replay of the archive, built from the settings."""

from collections.abc import Sequence
from typing import Literal

from domains.categoryPattern.model import CategoryPattern
from domains.replay.service import Replay, ReplayEnginePort
from infrastructure.composition import from_settings
from infrastructure.composition.collector import archive_of, archive_url
from infrastructure.composition.container import Container
from infrastructure.replay.archived_spans import SpanReader
from infrastructure.replay.local_engine import LocalEngine
from infrastructure.replay.spark_engine import SparkEngine
from infrastructure.settings import Settings, SettingsError

Engine = Literal["local", "spark"]


def replay_of(container: Container, engine: Engine) -> Replay:
    """The classifier must have loaded its patterns. Raises SettingsError if there is no archive, or no Spark."""
    settings = container.settings()
    made = _engine(settings, container.classifier().snapshot.patterns, engine)
    return Replay(made, container.usage_logs(), container.period_reclassification())


def _engine(settings: Settings, patterns: Sequence[CategoryPattern], engine: Engine) -> ReplayEnginePort:
    archive, url = archive_of(settings), archive_url(settings)
    if archive is None or url is None:
        raise SettingsError("ARCHIVE_URL: there is no archive")
    if engine == "local":
        return LocalEngine(archive, span_reader(settings, patterns))
    endpoint = settings.archive_s3_endpoint
    return SparkEngine(archive, settings, tuple(patterns), url, str(endpoint) if endpoint else None)


def span_reader(settings: Settings, patterns: Sequence[CategoryPattern]) -> SpanReader:
    """With the rules that a consumer makes of `patterns`."""
    from dependency_injector import providers

    container = Container(settings=providers.Object(settings))
    snapshot = from_settings.snapshot_of(container.pattern_additions(), settings)(patterns)
    return SpanReader(snapshot, container.parser(), container.calendar(), container.partition_keys())
