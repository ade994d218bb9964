"""Traces as a collector gets them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.conftest import Places
from tests.e2e.processes import jsonl
from tests.messages import message


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, ExportTraceServiceRequest]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_collector_gets_a_trace_of_each_batch_before_the_pipeline_has_stopped(place: Places) -> None:
    with collector() as server:
        pipeline = place(OTEL_EXPORTER_OTLP_ENDPOINT=server.url + "/")
        consumer = pipeline.consumer()
        pipeline.run("publish", "-", input=jsonl(message(), message(userId="user-2")))
        with pipeline.redis() as client:
            consumer.until(lambda: client.zcard("leaderboard:work:2025-09-02") == 2, "both are committed")
        assert consumer.stop() == 0

    assert {path for path, _ in server.requests} == {"/v1/traces"}
    resources = [resource for _, request in server.requests for resource in request.resource_spans]
    named = {attribute.key: attribute.value.string_value for attribute in resources[0].resource.attributes}
    assert named["service.name"] == "pomocore-data-pipeline"
    assert named["service.instance.id"].startswith("pomodoro_pattern_match_consumer")
    spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    batches = [span for span in spans if not span.parent_span_id]
    assert sum(len(batch.links) for batch in batches) == 2
    assert {span.name for span in spans if span.parent_span_id == batches[0].span_id} >= {"write", "commit"}


@pytest.mark.parametrize("silent", [False, True], ids=["away", "silent"])
def test_a_collector_that_takes_nothing_hinders_nothing(place: Places, silent: bool) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if silent:  # connections come about, and nobody answers
            server.listen()
        pipeline = place(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{server.getsockname()[1]}")
        consumer = pipeline.consumer()
        pipeline.run("publish", "-", input=jsonl(message()))
        consumer.until_log("Successfully processed batch")

        assert consumer.stop() == 0
    assert "Stopped" in consumer.log
    assert "Traceback" not in consumer.log


def test_an_endpoint_that_is_no_url_is_a_wrong_setting(place: Places) -> None:
    result = place().run("stream_consumer", OTEL_EXPORTER_OTLP_ENDPOINT="collector:4318")

    assert result.code == 2
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in result.err
    assert "Traceback" not in result.err
