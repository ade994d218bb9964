"""Watching a running pipeline: over HTTP, and with the status command."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infrastructure.observing.metrics import values_of
from tests.e2e.conftest import Places
from tests.e2e.processes import DEADLINE, ROOT, environment, jsonl, until
from tests.messages import message
from tests.servers import RedisServer, free_port


def ask(port: int, path: str) -> tuple[int, str]:
    """(0, "") where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def metrics(port: int) -> dict[str, float]:
    return values_of(text_string_to_metric_families(ask(port, "/metrics")[1]))


def checks(port: int) -> dict[str, Any]:
    status, text = ask(port, "/readyz")
    return {"status": status, **(json.loads(text)["checks"] if text else {})}


def test_figures_agree_with_what_was_published_and_the_drain_can_be_watched(place: Places) -> None:
    port = free_port()
    pipeline = place(HTTP_PORT=str(port))
    consumer = pipeline.consumer()
    consumer.until(lambda: checks(port)["status"] == 200, "it is ready")
    published = [message(userId=f"user-{number}", isEnd="true") for number in range(300)] + [message(duration="-1")]
    pipeline.run("publish", "-", input=jsonl(*published))
    committed = 'pomocore_messages_committed_total{lane="fast"}'
    consumer.until(lambda: metrics(port)[committed] == 300, "all are committed")
    consumer.until(lambda: metrics(port)['pomocore_dead_letters_total{reason="invalid_field"}'] == 1, "one is parked")
    consumer.until(lambda: metrics(port)["pomocore_in_flight_messages"] == 0, "none is in flight")
    values = metrics(port)

    assert values["pomocore_messages_read_total"] == 301
    assert values["pomocore_scores_raised_total"] == 300 * 6
    assert sum(value for name, value in values.items() if name.startswith("pomocore_classifications_total")) == 300
    assert ask(port, "/healthz")[0] == 200

    status = pipeline.run("status", "--json")
    assert status.json()["level"] == "healthy"
    assert status.json()["metrics"][committed] == 300
    assert "healthy" in pipeline.run("status").out
    with socket.create_connection(("127.0.0.1", port)):  # a client that says nothing holds up no stop
        assert consumer.stop(signal.SIGTERM) == 0
    assert "Traceback" not in consumer.log
    assert ask(port, "/healthz")[0] == 0


def test_the_lines_that_verify_a_deployment_work_as_typed(place: Places) -> None:
    port = free_port()
    pipeline = place(HTTP_PORT=str(port))
    consumer = pipeline.consumer()
    consumer.until(lambda: checks(port)["status"] == 200, "it is ready")
    block = (ROOT / "deploy" / "README.md").read_text().partition("## Verify it")[2].split("```")[1]
    ready, status, *publish, board, card, erase = block.strip().splitlines()
    env = environment(**pipeline.settings, PYTHON=sys.executable)

    def typed(*lines: str) -> str:
        text = "\n".join(('pomocore() { "$PYTHON" -m cmd "$@"; }', *lines)).replace(":8080", f":{port}")
        command = ["bash", "-c", text]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, done
        return done.stdout

    assert typed(ready).startswith('{"ok": true')
    assert typed(status).startswith("healthy\n")
    assert typed(*publish).startswith("1 message on ")
    with pipeline.redis() as client:
        until(lambda: client.keys("leaderboard:Design:*"), "it is on its board")
    assert board.partition("# ")[2] in typed(board)
    assert "1 min  Design" in typed(card)
    typed(erase)
    with pipeline.redis() as client:
        assert not client.keys("leaderboard:*")


def test_jobs_that_workers_of_their_own_have_buried_are_seen(place: Places) -> None:
    port, queue = free_port(), "pomocore:cards:users"
    pipeline = place(HTTP_PORT=str(port), CARDS="false", COMMANDS="false")
    consumer = pipeline.consumer()
    with pipeline.redis() as redis:
        redis.xadd(f"{queue}:dlq", {"reason": "a job failed at every try"})
        redis.xadd(queue, {"key": "k", "run": "", "data": "{}"})

    names = f'{{queue="{queue}"}}'
    consumer.until(lambda: metrics(port).get(f"pomocore_jobs_dead_letters{names}") == 1, "the dead letter is seen")
    assert metrics(port)[f"pomocore_jobs_waiting{names}"] == 1


WORST = [
    *(piece * (60_000 // len(piece.encode())) for piece in ("a.", "a/", "%2f", " - ", "\u0300\u0327", "a@a.com ")),
    "https://" + "?url=https://a.com/&" * 3000,
    "https://" + "xn--a." * 10_000,
    "C:\\Users\\" + "한글 " * 8000,
]
"""Texts on which rules, masking and explanations were once quadratic, as long as a message lets three of them be."""


def test_the_worst_messages_do_not_hold_up_the_answer_that_it_is_alive(place: Places) -> None:
    port = free_port()
    pipeline = place(HTTP_PORT=str(port))
    consumer = pipeline.consumer()
    consumer.until(lambda: checks(port)["status"] == 200, "it is ready")
    windows = [{"app": "Google Chrome", "url": text, "title": text} for text in WORST]
    windows += [{"app": text[:300], "url": "https://a.com/" + text, "title": ""} for text in WORST]
    pipeline.run("publish", "-", input=jsonl(*(message(**window) for window in windows * 10)))
    waited = []

    def all_are_committed() -> bool:
        sent = time.monotonic()
        assert ask(port, "/healthz")[0] == 200
        waited.append(time.monotonic() - sent)
        time.sleep(max(0.0, 0.1 - waited[-1]))
        return metrics(port)['pomocore_messages_committed_total{lane="fast"}'] == 10 * len(windows)

    consumer.until(all_are_committed, "all are committed")
    assert max(waited) < 5, "a probe gives up"


def test_readiness_and_status_follow_redis(place: Places, tmp_path: Path) -> None:
    port, server = free_port(), RedisServer(tmp_path).start()
    try:
        pipeline = place(HTTP_PORT=str(port), REDIS_ADDR=server.address)
        consumer = pipeline.consumer()
        consumer.until(lambda: checks(port)["status"] == 200, "it is ready")
        assert pipeline.run("status").code == 0
        server.kill()
        consumer.until(lambda: checks(port)["status"] == 503, "it is not ready")
        assert not checks(port)["redis"]["ok"]
        assert f"Redis at {server.address} has not answered since 20" in checks(port)["redis"]["why"]
        assert checks(port)["store"]["ok"]
        assert ask(port, "/healthz")[0] == 200
        down = pipeline.run("status")
        assert (down.code, f"Redis at {server.address} has not answered" in down.out) == (2, True), down
        server.start()
        consumer.until(lambda: checks(port)["status"] == 200, "it is ready again")
        consumer.until(lambda: metrics(port)['pomocore_breaker_open{service="redis"}'] == 0, "the breaker is closed")
        assert metrics(port)['pomocore_breaker_openings_total{service="redis"}'] >= 1
        assert consumer.stop() == 0
    finally:
        server.stop()


def test_status_tells_degraded_and_down_apart(place: Places) -> None:
    pipeline = place()
    consumer = pipeline.consumer()
    with pipeline.redis() as client:
        until(lambda: pipeline.run("status").code == 0, "it is healthy")
        client.hset("pomodoro_pattern_match_stream:failed_scores", "leaderboard:work:2025-09-02\nuser", "1")
        degraded = pipeline.run("status")
        assert degraded.code == 1, degraded
        assert "1 score kept for replay" in degraded.out
    assert consumer.stop() == 0
    down = pipeline.run("status", "--json")
    assert down.code == 2, down
    assert "no consumer is at work" in json.loads(down.out)["problems"]


def test_wrong_settings_are_no_state_of_the_pipeline(place: Places) -> None:
    result = place().run("status", BATCH_SIZE="many")

    assert result.code == 3
    assert "BATCH_SIZE" in result.err


def test_another_pipelines_figures_are_not_taken_for_ours(place: Places) -> None:
    port = free_port()
    theirs = place(HTTP_PORT=str(port), INSTANCE_ID="theirs")
    consumer = theirs.consumer()
    consumer.until(lambda: checks(port)["status"] == 200, "it is ready")

    assert json.loads(theirs.run("status", "--json").out)["metrics"]
    assert json.loads(place(HTTP_PORT=str(port)).run("status", "--json").out)["metrics"] is None


@pytest.mark.parametrize(("options", "shown"), [(["--json"], '"level"'), ([], "Check")])
def test_status_goes_on_until_it_is_stopped(place: Places, options: list[str], shown: str) -> None:
    pipeline = place()
    watching = pipeline.start("status", "--watch", "--every", "0.2", *options)
    watching.until(lambda: watching.log.count(shown) >= 2, "it looks twice")

    assert watching.stop(signal.SIGINT) == 2
    assert "Traceback" not in watching.log


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_port_that_cannot_be_had_is_said_at_once(place: Places, processes: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = place().run("stream_consumer", HTTP_PORT=str(port), CONSUMER_PROCESSES=processes)
        collecting = place().run("collector", COLLECT_PORT=str(port))

    assert result.code == collecting.code == 2, result
    assert f"HTTP_PORT: 127.0.0.1:{port}: the port is in use" in result.err
    assert f"COLLECT_PORT: 127.0.0.1:{port}: the port is in use" in collecting.err
    assert "Traceback" not in result.err


def test_each_of_several_processes_has_a_port_and_tells_of_the_others(place: Places) -> None:
    port = free_port(also_free=1)
    supervisor = place().start("stream_consumer", HTTP_PORT=str(port), CONSUMER_PROCESSES="2")
    supervisor.until(lambda: checks(port)["status"] == checks(port + 1)["status"] == 200, "both are ready")
    names = [json.loads(ask(port + number, "/api/state")[1])["instance"] for number in (0, 1)]
    other = f"/api/state?instance={names[1]}"

    def patterns() -> float:
        status, text = ask(port, other)
        return float(json.loads(text)["metrics"]["pomocore_patterns"]) if status == 200 else 0.0

    supervisor.until(patterns, "the one tells of the other")
    assert supervisor.stop() == 0


def test_an_exporter_of_its_own_has_health_and_figures(place: Places) -> None:
    pipeline, port = place(EVENTS="true"), free_port()
    consumer = pipeline.consumer()
    pipeline.run("publish", "-", input=jsonl(*(message(userId=f"user-{number}") for number in range(20))))
    with pipeline.redis() as redis:
        until(lambda: redis.zcard("leaderboard:Development:2025-09-02") == 20, "all are committed")
    pipeline.settings["HTTP_PORT"] = str(port)
    exporter = pipeline.start_module("cmd.export")

    def figures() -> dict[str, float]:
        return metrics(port) if ask(port, "/healthz")[0] == 200 else {}

    exporter.until(lambda: figures().get("pomocore_events_waiting") == 0, "it serves what it watches")
    consumer.end()
    exporter.end()
    (counted,) = pipeline.run("ask", "SELECT count(*) AS events FROM spans", "--json").json()
    assert counted == {"events": 20}
