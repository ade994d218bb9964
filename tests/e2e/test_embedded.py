"""The consumer with nothing configured: what it starts, what it keeps, and how it ends."""

import signal

import pytest

from tests.e2e.conftest import Places
from tests.e2e.processes import Pipeline, Running, until
from tests.llm_server import LLMServer, hang
from tests.messages import message

STREAM = "pomodoro_pattern_match_stream"
GROUP = "pomodoro_pattern_match_group"
BOARD = "leaderboard:work:2025-09-02"


def publish(pipeline: Pipeline, *messages: dict[str, str]) -> None:
    with pipeline.redis() as client:
        for fields in messages:
            client.xadd(STREAM, fields)  # type: ignore[arg-type]


def counted(pipeline: Pipeline, user: str = "user-1", board: str = BOARD) -> float:
    with pipeline.redis() as client:
        return float(client.zscore(board, user) or 0.0)  # type: ignore[arg-type]


def test_it_says_where_it_runs_counts_and_keeps_its_data(pipeline: Pipeline) -> None:
    consumer = pipeline.consumer()
    assert f"Consuming {STREAM} from an embedded redis-server in {pipeline.directory}" in consumer.log
    publish(pipeline, message(), message(duration="1.5E-1", extra="x"), message(userId="ann", isEnd="true"))
    consumer.until(lambda: counted(pipeline) == 120.15 and counted(pipeline, "ann") == 120.0, "both are counted")
    consumer.until_log("Successfully processed batch of")
    consumer.until_log("Successfully updated leaderboard with")

    assert consumer.stop() == 0
    assert not pipeline.redis_runs()

    consumer = pipeline.consumer()
    assert counted(pipeline) == 120.15
    assert len(pipeline.documents("pomodoro_usage_log")) == 3
    publish(pipeline, message())
    consumer.until(lambda: counted(pipeline) == 240.15, "it goes on counting")
    with pipeline.redis() as client:
        events = [event for _, event in client.xrange("session_score_stream")]
    assert events == [{"userId": "ann", "sessionDate": "2025-09-02", "session": "3"}]
    assert consumer.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(pipeline: Pipeline, number: int) -> None:
    consumer = pipeline.consumer()
    assert consumer.stop(number) == 0

    assert "Stopping: finishing what is in flight" in consumer.log
    assert "Stopped" in consumer.log
    assert "left_pending" in consumer.log
    assert "Traceback" not in consumer.log
    assert not pipeline.redis_runs()


def slow_consumer(place: Places, llm: LLMServer, **settings: str) -> tuple[Pipeline, Running]:
    """A consumer with one message for which it waits for the LLM."""
    pipeline = place(OPENAI_API_KEY="key", OPENAI_BASE_URL=llm.url, OPENAI_TIMEOUT="60", **settings)
    llm.behave(hang)
    asked = llm.asked("Frobnicator")
    consumer = pipeline.consumer()
    publish(pipeline, message(app="Frobnicator"))
    consumer.until(lambda: llm.asked("Frobnicator") > asked, "the LLM is asked")
    return pipeline, consumer


def test_a_second_signal_ends_it_at_once(place: Places, llm: LLMServer) -> None:
    pipeline, consumer = slow_consumer(place, llm, SHUTDOWN_TIMEOUT="600")
    consumer.send(signal.SIGTERM)
    consumer.until_log("Stopping: finishing what is in flight")
    assert consumer.stop(signal.SIGTERM) == 128 + signal.SIGTERM

    with pipeline.redis() as client:
        assert client.xpending(STREAM, GROUP)["pending"] == 1


def test_what_is_late_at_a_stop_is_left_to_the_next_one(place: Places, llm: LLMServer) -> None:
    pipeline, consumer = slow_consumer(place, llm, SHUTDOWN_TIMEOUT="0.2")
    assert consumer.stop() == 0
    assert "left_pending" in consumer.log

    consumer = pipeline.consumer(OPENAI_API_KEY="")
    consumer.until(lambda: counted(pipeline, board="leaderboard:Uncategorized:2025-09-02") == 120.0, "it is counted")


def test_a_killed_consumer_loses_nothing_and_the_next_one_counts_once(pipeline: Pipeline) -> None:
    consumer = pipeline.consumer()
    users = [f"user-{i}" for i in range(20)]
    for round_ in range(3):
        with pipeline.redis() as client, client.pipeline(transaction=False) as batch:
            for i in range(1000):
                batch.xadd(STREAM, message(userId=users[i % 20], title=f"{round_} {i % 50}"))  # type: ignore[arg-type]
            batch.execute()
        before = sum(counted(pipeline, user) for user in users)
        consumer.until(lambda: counted(pipeline, users[0]) > 0, "it is at work")
        consumer.kill()
        assert pipeline.redis_runs()
        assert before <= 3000 * 120.0
        consumer = pipeline.consumer()

    consumer.until(lambda: sum(counted(pipeline, user) for user in users) >= 3000 * 120.0, "all are counted")
    with pipeline.redis() as client:
        until(lambda: client.xpending(STREAM, GROUP)["pending"] == 0, "nothing is pending")
    assert [counted(pipeline, user) for user in users] == [150 * 120.0] * 20
    assert len(pipeline.documents("pomodoro_usage_log")) == 3000
    assert consumer.stop() == 0
    assert not pipeline.redis_runs(), "also one that another process had started"
