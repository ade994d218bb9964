"""The collector's metrics, and what it logs."""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterator
from itertools import accumulate
from time import time
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector as RegistryCollector
from typing_extensions import override

from domains.collector.model import Bound
from domains.collector.ports import CollectorObserver
from infrastructure.observing.metrics import maker

if TYPE_CHECKING:
    from domains.collector.service import Collector

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_OUTCOMES = (
    "202", "400", "401", "403", "404", "405", "413", "415", "422", "429", "431", *Bound, "outage", "draining",
)  # fmt: skip


class CollectorMetrics(CollectorObserver, RegistryCollector):
    def __init__(self, registry: CollectorRegistry) -> None:
        counter, gauge = maker(Counter, registry), maker(Gauge, registry)
        self._requests = Tally(dict.fromkeys(_OUTCOMES, 0))
        self._events = 0
        self._seconds = 0.0
        self._durable = [0] * (len(_SECONDS) + 1)
        self._published = counter("collect_published_events", "Events that the collector put on the activity stream")
        self._repeated = counter(
            "collect_repeated_events", "Events not put on the stream, since the client had sent their ids before"
        )
        self._stored = counter("collect_stored_segments", "Segments that the archive has taken")
        self._stored_events = counter("collect_stored_events", "Events in these segments")
        self._again = counter(
            "collect_stored_late_segments", "Of these, segments that the archive did not take at first"
        )
        self._damaged = counter("collect_damaged_records", "Records of the log that were damaged and set aside")
        self._dropped = counter(
            "collect_dropped_segments", "Segments given up by the archive, by the bound that they met", ["bound"]
        )
        self._dropped.labels("ttl")
        self._away = gauge("collect_outage", "1 while the collector waits for a service", ["service"])
        for service in ("redis", "archive", "disk"):
            self._away.labels(service)
        self._spool_bytes = gauge("collect_spool_bytes", "Size of what waits for the stream or the archive")
        self._spool_files = gauge("collect_spool_files", "Segments that wait for the stream or the archive")
        self._oldest = gauge(
            "collect_oldest_seconds", "Age of the oldest segment that has not passed a cursor", ["cursor"]
        )
        for cursor in ("stream", "archive"):
            self._oldest.labels(cursor)
        self._log = structlog.stdlib.get_logger("pomocore")
        registry.register(self)

    def attend(self, collector: "Collector") -> None:
        """Reads the gauges from `collector` at each scrape."""
        log = collector.log
        self._spool_bytes.set_function(lambda: log.spooled_bytes)
        self._spool_files.set_function(lambda: log.spooled_files)
        self._oldest.labels("stream").set_function(
            lambda: _age([it.number for it in log.unpublished(collector.position)])
        )
        self._oldest.labels("archive").set_function(lambda: _age([it.number for it in log.closed()]))

    @override
    def answered(self, outcome: str) -> None:
        self._requests[outcome] += 1

    @override
    def accepted(self, events: int, seconds: float) -> None:
        self._events += events
        self._seconds += seconds
        self._durable[bisect_left(_SECONDS, seconds)] += 1

    @override
    def collect(self) -> Iterator[Metric]:
        """What is counted with each post, in plain numbers: the client's own counters take some µs each."""
        meaning = "Posts to the collector, by status or by what refused them"
        requests = CounterMetricFamily("pomocore_collect_requests", meaning, labels=["outcome"])
        for outcome, count in self._requests.items():
            requests.add_metric([outcome], count)
        yield requests
        meaning = "Events accepted, each in a post that is durable"
        yield CounterMetricFamily("pomocore_collect_accepted_events", meaning, value=self._events)
        bounds = [*map(str, map(float, _SECONDS)), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._durable), strict=True))
        meaning = "Time from a whole post to its being durable"
        yield HistogramMetricFamily(
            "pomocore_collect_durable_seconds", meaning, buckets=buckets, sum_value=self._seconds
        )

    @override
    def published(self, events: int, repeated: int) -> None:
        self._published.inc(events)
        self._repeated.inc(repeated)

    @override
    def stored(self, events: int, was_late: bool) -> None:
        self._stored.inc()
        self._stored_events.inc(events)
        self._again.inc(was_late)

    @override
    def damaged(self, records: int) -> None:
        self._damaged.inc(records)

    @override
    def dropped(self, segments: int) -> None:
        self._dropped.labels("ttl").inc(segments)
        self._log.error("Segments given up by the archive", action="collect_dropped", segments=segments)

    @override
    def outage(self, service: str, cause: Exception | None) -> None:
        self._away.labels(service).set(cause is not None)
        if cause is None:
            self._log.info("The collector's outage is over", action="collect_outage", service=service)
        else:
            self._log.warning("The collector waits", action="collect_outage", service=service, cause=str(cause))


def _age(numbers: list[int]) -> float:
    return max(0.0, time() - numbers[0] / 1000) if numbers else 0.0
