"""The archive read by Spark: a task for each object, which classifies its lines by the code of the local engine.

SPARK_MASTER names the cluster. The workers need this code and the archive; Spark's own settings come from its
configuration files.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from domains.categoryPattern.model import CategoryPattern
from domains.collector.erasures import erasures_of
from domains.replay.service import DamagedObject, ReplayedSpan, Wanted
from infrastructure.collector.archive import Archive, open_archive
from infrastructure.replay.archived_spans import PREFIX, SpanReader, may_hold
from infrastructure.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PAGE = 1000
_ROOT = Path(__file__).parents[2]
_SCHEMA = "log_id string, user_id string, category string, seconds double, event long, day long"


class Job(NamedTuple):
    """What a worker needs. All of it can be pickled."""

    settings: Settings
    patterns: tuple[CategoryPattern, ...]
    url: str
    endpoint: str | None
    wanted: Wanted


class SparkEngine:
    """ReplayEnginePort."""

    def __init__(
        self,
        archive: Archive,
        settings: Settings,
        patterns: tuple[CategoryPattern, ...],
        url: str,
        endpoint: str | None,
    ) -> None:
        """Raises SettingsError if pyspark is not installed."""
        try:
            import pyspark  # noqa: F401
        except ImportError:
            raise SettingsError("--engine spark needs pyspark: pip install pyspark pyarrow 'pandas<3'") from None
        self._archive = archive
        self._settings = settings
        self._patterns = patterns
        self._url = url
        self._endpoint = endpoint

    async def spans(self, wanted: Wanted) -> AsyncIterator[list[ReplayedSpan | DamagedObject]]:
        keys = [key async for key in self._archive.keys(PREFIX) if may_hold(key, wanted.first)]
        if not keys:
            return
        wanted = wanted._replace(erasures=await erasures_of(self._archive))
        job = Job(self._settings, self._patterns, self._url, self._endpoint, wanted)
        session = await asyncio.to_thread(_session, self._settings.spark_master)
        try:
            rows = await asyncio.to_thread(_rows, session, keys, job)
            while page := await asyncio.to_thread(lambda: [*map(_read, islice(rows, _PAGE))]):
                yield page
        finally:
            await asyncio.to_thread(session.stop)


def _row(found: ReplayedSpan | DamagedObject) -> ReplayedSpan:
    """A damaged object as a row: a span without a log."""
    return found if isinstance(found, ReplayedSpan) else ReplayedSpan("", found.key, found.reason, 0.0, 0, 0)


def _read(row: tuple[str, str, str, float, int, int]) -> ReplayedSpan | DamagedObject:
    return ReplayedSpan(*row) if row[0] else DamagedObject(*row[1:3])


def _session(master: str) -> "SparkSession":
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder: Any = SparkSession.builder
    builder = builder.appName("pomocore replay").master(master).config("spark.ui.enabled", "false")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"):
        if name in os.environ:
            builder = builder.config(f"spark.executorEnv.{name}", os.environ[name])
    builder = builder.config("spark.executorEnv.PYTHONPATH", str(_ROOT))
    session: SparkSession = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _rows(session: "SparkSession", keys: list[str], job: Job) -> Iterator[tuple[str, str, str, float, int, int]]:
    """In the order of the keys."""
    each = session.sparkContext.parallelize([(key,) for key in keys], len(keys))
    frame = session.createDataFrame(each, "key string")
    rows: Iterator[tuple[str, str, str, float, int, int]] = frame.mapInArrow(_decide(job), _SCHEMA).toLocalIterator()
    return rows


def _decide(job: Job) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """The UDF: batches of keys in, batches of decided spans out."""

    def decide(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow

        archive, reader = open_archive(job.url, job.endpoint), reader_of(job.settings, job.patterns)
        for batch in batches:
            for key in batch.column(0).to_pylist():
                spans = reader.spans(key, asyncio.run(archive.get(key)), job.wanted)
                while page := [*map(_row, islice(spans, 10_000))]:
                    columns = [pyarrow.array(column) for column in zip(*page, strict=True)]
                    yield pyarrow.RecordBatch.from_arrays(columns, names=list(ReplayedSpan._fields))

    return decide


@lru_cache(1)
def reader_of(settings: Settings, patterns: tuple[CategoryPattern, ...]) -> SpanReader:
    """The reader of a process: the rules take a second to build."""
    from infrastructure.composition.replay import span_reader

    return span_reader(settings, patterns)
