"""What operators read, and what must not be written anywhere: the log of a whole consumer, in memory."""

import io
import json
import logging
from cmd._run import settings_or_exit
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from domains.kernel.errors import ClassificationFailed, RedisOutage, StoreOutage, StoreRefused
from domains.kernel.resilience import Breaker
from domains.patternClassifier.model import PatternProblem
from domains.pomodoro.model import CommitResult, StreamState
from infrastructure.observing.logs import LoggingObserver, configure_logging
from infrastructure.settings import Settings
from tests.messages import linked_message, message
from tests.unit.pipeline_in_memory import Instance, World, until

PROD = {"app_env": "prod", "mongo_uri": "mongodb://user:s3cret@host", "redis_addr": "host:6379"}


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr("infrastructure.observing.logs.sys", SimpleNamespace(stdout=text))
    return text


def observer(level: str = "info", **settings: Any) -> LoggingObserver:
    configure_logging(Settings(log_level=level, **settings))
    return LoggingObserver(stream_max_backlog=1000)


def lines_of(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("settings", [{}, PROD], ids=["terminal", "prod"])
def test_the_lines_that_operators_search_for(out: io.StringIO, settings: dict[str, str]) -> None:
    observer(**settings).batch_committed(CommitResult(messages=50, scores=12), 0.1234)

    assert "Successfully processed batch of 50 messages" in out.getvalue()
    assert "Successfully updated leaderboard with 12 aggregated entries" in out.getvalue()


def test_production_writes_one_json_object_a_line(out: io.StringIO) -> None:
    observer(**PROD).batch_committed(CommitResult(messages=50, scores=12), 0.1234)

    first, second = lines_of(out)
    assert {name: first[name] for name in ("event", "level", "action", "messages", "milliseconds")} == {
        "event": "Successfully processed batch of 50 messages",
        "level": "info",
        "action": "commit",
        "messages": 50,
        "milliseconds": 123.4,
    }
    assert second["entries"] == 12
    moment = datetime.fromisoformat(first["timestamp"])
    assert moment.utcoffset() == timedelta(hours=9), "the time is in the zone of the boards"
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_exception_is_one_json_object_too(out: io.StringIO) -> None:
    observer(**PROD)
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")

    (line,) = lines_of(out)
    assert "line two" in line["exception"]
    assert line["event"] == "Task exception was never retrieved"


def test_libraries_are_heard_from_warning_on(out: io.StringIO) -> None:
    observer("debug", **PROD)
    logging.getLogger("openai").info("Request: tell-tale")
    logging.getLogger("httpx").debug("tell-tale")
    logging.getLogger("httpx").warning("slow")

    assert [line["event"] for line in lines_of(out)] == ["slow"]


def test_an_empty_commit_says_nothing(out: io.StringIO) -> None:
    observer(**PROD).batch_committed(CommitResult(), 0.1)

    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("level", "heard"),
    [("debug", ["debug", "info", "warning", "error"]), ("warning", ["warning", "error"]), ("error", ["error"])],
)
def test_the_level_is_kept(out: io.StringIO, level: str, heard: list[str]) -> None:
    log = observer(level, **PROD)
    log.batch_read(1)
    log.batch_committed(CommitResult(messages=1), 0.1)
    log.message_failed("1-0", 1, "busy")
    log.breaker_changed("store", True, StoreOutage("away"))

    assert [line["level"] for line in lines_of(out)] == heard


def test_what_a_person_is_told_of(out: io.StringIO) -> None:
    log = observer(**PROD)
    log.patterns_loaded(3, [PatternProblem("Design", "http://", "it has no host")])
    log.batch_committed(CommitResult(messages=1, failed_scores=2, failure="board: WRONGTYPE"), 0)
    log.batch_committed(CommitResult(duplicates=2), 0)
    log.sessions_announced(0, 0)
    log.sessions_announced(1, 0)
    log.sessions_announced(2, 1)
    log.announcing_failed(RedisOutage("away"))
    log.breaker_changed("redis", True, RedisOutage("ConnectionError: refused"))
    log.breaker_changed("redis", False, None)
    log.tier_failed("cache", RedisOutage("away"))
    log.tier_failed("model", ValueError("s3cret title"))
    log.llm_failed(20, ClassificationFailed("APITimeoutError"))
    log.llm_failed(20, ValueError("s3cret title"))
    log.llm_paused("the budget is spent", 30.4)
    log.reclassified(CommitResult(moved=3, scores=9))
    log.reclassified(CommitResult(moved=1, failed_scores=2, failure="board: WRONGTYPE"))
    log.reclassified(CommitResult())
    log.reclassification_failed(StoreOutage("away"))
    log.stream_tidied(StreamState(length=1001))
    log.stream_tidied(StreamState(length=1000))
    log.stopping(3)
    log.stopped(0)

    assert [line["action"] for line in lines_of(out)] == [
        "patterns",
        "pattern_problem",
        "commit",
        "leaderboard_failed",
        "duplicates",
        "session_end",
        "session_end",
        "session_end_impatient",
        "session_end_failed",
        "breaker_open",
        "breaker_closed",
        "tier_failed",
        "tier_failed",
        "llm_failed",
        "llm_failed",
        "llm_paused",
        "reclassified",
        "reclassified",
        "leaderboard_failed",
        "reclassification_failed",
        "backlog",
        "stopping",
        "stopped",
    ]
    assert "s3cret" not in out.getvalue(), "an error that nobody foresaw may repeat a title"


@pytest.mark.parametrize("settings", [{}, PROD], ids=["terminal", "prod"])
async def test_no_window_shows_at_info_level(
    out: io.StringIO, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    """A consumer goes through all that can happen to messages whose title and URL are known to this test."""
    monkeypatch.setattr(Breaker, "_delay", lambda self: 0.001)
    monkeypatch.setattr("domains.pomodoro.isolation._RETRY_ALONE_SECONDS", 0.001)
    told = {"title": "tell-tale-title", "url": "https://tell-tale.example/url"}
    world = World()
    instance = Instance(world, other=observer(**settings))
    async with instance.running() as task:
        world.add(message(**told), message(app="Frobnicator", **told), linked_message(1, **told))
        world.add(message(duration="-1", **told), message(**told | {"title": "tell-tale\udcff"}))
        world.add(message(**told | {"title": "tell-tale" * 1_000_000}), message(userId="", isEnd="x", **told))
        await until(lambda: instance.seen.committed == 2 and len(instance.seen.letters) == 4, task)
        world.llm.error = ClassificationFailed("no answer")
        world.llm.gate.set()
        await until(lambda: instance.seen.committed == 3, task)
        world.store.error = StoreOutage("away")
        world.add(message(**told))
        await until(lambda: ("store", True) in instance.seen.breakers, task)
        world.store.error = None
        await until(lambda: instance.seen.committed == 4, task)
        world.store.poison = StoreRefused("too large")
        world.add(message(app="poison", **told))
        await until(lambda: len(instance.seen.letters) == 5, task)
        instance.source.error = RedisOutage("away")
        await until(lambda: ("redis", True) in instance.seen.breakers, task)
        instance.source.error = None

    log = out.getvalue()
    assert "Successfully processed batch of" in log
    assert "duration must be" in log
    assert "Outage, waiting" in log
    assert "tell-tale" not in log
    assert "s3cret" not in log


HOSTILE = {"user": "a\x1b[31mb", "c1": "\x9b2J\x7f", "half": "\ud83d", "lines": "one\ntwo", "some": ["\x1b[1m"]}


@pytest.mark.parametrize("settings", [{}, PROD], ids=["terminal", "prod"])
def test_no_value_controls_a_terminal_or_adds_a_line(out: io.StringIO, settings: dict[str, str]) -> None:
    observer(**settings)
    structlog.stdlib.get_logger("pomocore").info("ev\x1b[2Jent\nforged", action="x", **HOSTILE)
    logging.getLogger("a.library").warning("said \x1b[31m%s", "\x9b\ud83d")

    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    out.getvalue().encode()


@pytest.mark.parametrize("settings", [{}, PROD], ids=["terminal", "prod"])
def test_a_traceback_has_no_variables_and_no_control_characters(out: io.StringIO, settings: dict[str, str]) -> None:
    observer(**settings)
    headers = {"Authorization": "Bearer " + "correct horse"}
    try:
        raise ValueError(f"bad \x1b[31m {len(headers)}")
    except ValueError:
        structlog.stdlib.get_logger("pomocore").exception("It failed", action="x")

    text = out.getvalue()
    assert "Traceback" in text
    assert "ValueError: bad " in text
    assert "correct horse" not in text
    assert all(line.isprintable() for line in text.splitlines())


def test_commands_log_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Their standard output is their result, which programs read."""
    settings_or_exit()
    structlog.stdlib.get_logger("pomocore").warning("A change could not be noted")

    out, err = capsys.readouterr()
    assert (out, "A change could not be noted" in err) == ("", True)


@pytest.mark.parametrize(("no_color", "escapes"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_somebody_wants_none(
    out: io.StringIO, monkeypatch: pytest.MonkeyPatch, no_color: str, escapes: bool
) -> None:
    monkeypatch.setattr(out, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", no_color)
    observer().batch_committed(CommitResult(messages=50, scores=12), 0.1234)

    assert ("\x1b[" in out.getvalue()) == escapes
