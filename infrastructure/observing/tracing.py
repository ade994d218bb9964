"""OpenTelemetry traces: one trace a batch, with a span for each stage and a link to each message.

Needs the extra `otel`.

Names follow OpenTelemetry's conventions for messaging. The SDK's own `OTEL_…` variables set sampling, headers and
limits (128 links a span).
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from time import monotonic, time_ns

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from domains.patternClassifier.model import Tier
from domains.pomodoro.model import Lane, PomodoroPatternClassifyMessage, Stage
from infrastructure.observing.observers import Observer
from infrastructure.settings import Settings

_W3C = TraceContextTextMapPropagator()
_batch: ContextVar[Span | None] = ContextVar("batch", default=None)
"""The span of the batch that this task works on. A task that the batch has started inherits the span, which may have
ended by then."""


def make_provider(settings: Settings) -> TracerProvider:
    """A provider whose own thread sends the spans to OTEL_EXPORTER_OTLP_ENDPOINT."""
    ours = {"service.name": "pomocore-data-pipeline", "service.instance.id": settings.consumer_name}
    provider = TracerProvider(
        resource=Resource.create(ours).merge(OTELResourceDetector().detect()),
        shutdown_on_exit=False,
    )
    endpoint = f"{str(settings.otel_exporter_otlp_endpoint).rstrip('/')}/v1/traces"
    session = requests.Session()
    session.trust_env = False  # no proxies and no .netrc but what is configured
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, session=session)))
    return provider


class TracingObserver(Observer):
    """The methods of ConsumerObserver from which traces are made."""

    def __init__(self, provider: TracerProvider, settings: Settings) -> None:
        self._tracer = provider.get_tracer("pomocore")
        self._name = f"process {settings.stream_key}"
        self._attributes: dict[str, str | int] = {
            "messaging.system": "redis",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": settings.stream_key,
            "messaging.consumer.group.name": settings.stream_group,
            "messaging.client.id": settings.consumer_name,
        }

    @override
    def batch_started(
        self, messages: Sequence[PomodoroPatternClassifyMessage], started: float, lane: Lane = Lane.FAST
    ) -> None:
        counted: dict[str, str | int] = {"messaging.batch.message_count": len(messages), "pomocore.lane": lane}
        span = self._tracer.start_span(
            self._name,
            Context(),
            SpanKind.CONSUMER,
            self._attributes | counted,
            start_time=_ago(monotonic() - started),
        )
        if span.is_recording():
            for message in messages:
                span.add_link(_sent_in(message.fields), {"messaging.message.id": message.entry_id})
        _batch.set(span)

    @override
    def stage_done(self, stage: Stage, seconds: float) -> None:
        if (batch := _recording()) is not None:
            self._tracer.start_span(stage, set_span_in_context(batch), start_time=_ago(seconds)).end()

    @override
    def classified(self, tier_counts: Mapping[Tier, int]) -> None:
        if (batch := _recording()) is not None:
            batch.set_attributes({f"pomocore.tier.{tier}": count for tier, count in tier_counts.items()})

    @override
    def batch_failed(self, cause: Exception) -> None:
        """Marks the span as failed. The error's text is left out, since it may repeat a title."""
        if (batch := _recording()) is not None:
            batch.set_attribute("error.type", type(cause).__name__)
            batch.set_status(StatusCode.ERROR)

    @override
    def batch_ended(self) -> None:
        if (batch := _recording()) is not None:
            batch.end()


def _recording() -> Span | None:
    batch = _batch.get()
    return batch if batch is not None and batch.is_recording() else None


def _ago(seconds: float) -> int:
    return time_ns() - int(seconds * 1e9)


def _sent_in(fields: Mapping[str, str]) -> SpanContext:
    """The span in which a message was sent, if the producer names it in a field `traceparent` (W3C)."""
    if "traceparent" not in fields:
        return INVALID_SPAN_CONTEXT
    return get_current_span(_W3C.extract(fields, Context())).get_span_context()
