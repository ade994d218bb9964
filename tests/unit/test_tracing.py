"""One trace a batch, of either lane, with its stages and a link to each of its messages."""

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from domains.kernel.errors import StoreRefused
from infrastructure.observing.tracing import TracingObserver
from infrastructure.settings import Settings
from tests.messages import message
from tests.unit.pipeline_in_memory import Instance, World, until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def observer(exporter: InMemorySpanExporter) -> TracingObserver:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return TracingObserver(provider, Settings())


def batches(exporter: InMemorySpanExporter, lane: str = "fast") -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if attributes(span).get("pomocore.lane") == lane]


def stages(exporter: InMemorySpanExporter, batch: ReadableSpan) -> list[ReadableSpan]:
    return [
        span for span in exporter.get_finished_spans() if span.parent is not None and span.parent == batch.context
    ]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def linked(batch: ReadableSpan) -> list[str]:
    return [str((link.attributes or {})["messaging.message.id"]) for link in batch.links]


async def consumed(observer: TracingObserver, world: World, *messages: dict[str, str]) -> Sequence[str]:
    """The ids of `messages`, after all of them have left a consumer."""
    ids = world.add(*messages)
    world.llm.gate.set()
    instance = Instance(world, other=observer)
    async with instance.running() as task:
        await until(lambda: instance.seen.committed + len(instance.seen.letters) == len(messages), task)
    return ids


async def test_a_batch_is_a_trace_with_a_span_a_stage(
    observer: TracingObserver, exporter: InMemorySpanExporter
) -> None:
    ids = await consumed(observer, World(), message(), message())

    (batch,) = batches(exporter)
    assert batch.name == "process pomodoro_pattern_match_stream"
    assert batch.kind is SpanKind.CONSUMER
    assert batch.parent is None
    assert batch.status.status_code is StatusCode.UNSET
    assert linked(batch) == list(ids)
    assert attributes(batch)["messaging.batch.message_count"] == 2
    assert attributes(batch)["messaging.consumer.group.name"] == "pomodoro_pattern_match_group"
    assert sum(count for name, count in attributes(batch).items() if name.startswith("pomocore.tier.")) == 2
    found = stages(exporter, batch)
    assert [span.name for span in found] == ["look_up", "decide", "write", "commit"]
    for span in found:
        assert span.start_time is not None
        assert span.end_time is not None
        assert batch.start_time is not None
        assert batch.end_time is not None
        assert batch.start_time <= span.start_time <= span.end_time <= batch.end_time


async def test_what_the_llm_decides_is_a_trace_of_its_own(
    observer: TracingObserver, exporter: InMemorySpanExporter
) -> None:
    _, slow = await consumed(observer, World(), message(), message(app="Frobnicator"))

    assert attributes(batches(exporter)[0])["messaging.batch.message_count"] == 2
    (batch,) = batches(exporter, "slow")
    assert linked(batch) == [slow]
    assert [span.name for span in stages(exporter, batch)] == ["write", "commit"]
    assert batch.context.trace_id != batches(exporter)[0].context.trace_id


async def test_a_message_is_linked_to_the_span_that_sent_it(
    observer: TracingObserver, exporter: InMemorySpanExporter
) -> None:
    await consumed(
        observer, World(), message(traceparent=f"00-{TRACE}-{SPAN}-01"), message(traceparent="nonsense"), message()
    )

    sent, nonsense, none = (link.context for link in batches(exporter)[0].links)
    assert (format_trace_id(sent.trace_id), format_span_id(sent.span_id)) == (TRACE, SPAN)
    assert not nonsense.is_valid
    assert not none.is_valid


async def test_a_batch_that_fails_says_so_without_the_text_of_its_error(
    observer: TracingObserver, exporter: InMemorySpanExporter
) -> None:
    world = World()
    world.store.poison = StoreRefused("what is refused is secret")
    await consumed(observer, world, message(app="poison"), message())

    failed = [batch for batch in batches(exporter) if batch.status.status_code is StatusCode.ERROR]
    assert failed
    assert {attributes(batch)["error.type"] for batch in failed} == {StoreRefused.__name__}
    assert "secret" not in "".join(span.to_json() for span in exporter.get_finished_spans())
