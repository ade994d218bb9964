"""What `make run` does: the bundled week through the whole pipeline, once, whatever happens in between."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import quote

import pytest

from infrastructure.sample import sample_week
from tests.e2e.conftest import Places, _places
from tests.e2e.processes import Pipeline, Result
from tests.servers import free_port

Boards = dict[str, dict[str, float]]


def boards_of(pipeline: Pipeline) -> Boards:
    """The week of `work`. The redis-server of a directory at rest is started for it by `cmd.leaderboard`."""
    return {"work": pipeline.board("work", "week", "2025-09-07")}


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[tuple[Pipeline, Result, Boards]]:
    with ExitStack() as stack:
        pipeline = _places(stack)(HTTP_PORT=str(free_port()))
        result = pipeline.run("sample", "--exit")
        yield pipeline, result, boards_of(pipeline)


def test_it_shows_the_boards_of_day_week_and_month(undisturbed: tuple[Pipeline, Result, Boards]) -> None:
    pipeline, result, boards = undisturbed
    assert result.code == 0, result
    assert "Traceback" not in result.err
    for board in ("leaderboard:work:2025-09-07", "leaderboard:work:2025-W36", "leaderboard:work:2025-M9"):
        assert board in result.out
    assert len(boards["work"]) >= 30
    best = max(boards["work"], key=lambda user: boards["work"][user])
    assert best in result.out
    page = f"http://127.0.0.1:{pipeline.settings['HTTP_PORT']}/users?user={quote(best)}&date=2025-09-07"
    assert page in result.out, "the console's page, in which a token can be given"
    assert not pipeline.redis_runs()


def test_work_is_a_part_of_the_week(undisturbed: tuple[Pipeline, Result, Boards]) -> None:
    _, _, boards = undisturbed
    total = sum(span.duration for span in sample_week())

    assert 0 < sum(boards["work"].values()) < total


def test_a_second_run_counts_nothing_twice(undisturbed: tuple[Pipeline, Result, Boards]) -> None:
    pipeline, first, boards = undisturbed
    second = pipeline.run("sample", "--exit")

    assert second.code == 0, second
    assert "not published again" in second.out
    assert boards_of(pipeline) == boards
    assert second.out[second.out.index("leaderboard:work") :] == first.out[first.out.index("leaderboard:work") :]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_is_ended_in_the_middle_is_finished_by_the_next(
    undisturbed: tuple[Pipeline, Result, Boards], place: Places, number: int
) -> None:
    _, _, boards = undisturbed
    pipeline = place()
    first = pipeline.start("sample", "--exit")
    with pipeline.redis() as client:
        first.until(lambda: pipeline.redis_runs() and client.exists("leaderboard:work:2025-W36"), "it is at work")
    first.send(number)
    assert first.wait() == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    second = pipeline.run("sample", "--exit")

    assert second.code == 0, second
    assert boards_of(pipeline) == boards


def test_it_goes_on_consuming_until_it_is_stopped(undisturbed: tuple[Pipeline, Result, Boards]) -> None:
    pipeline, _, _ = undisturbed
    running = pipeline.start("sample")
    running.until_log("Still consuming; Ctrl-C stops")
    assert "leaderboard:work:2025-M9" in running.log

    assert running.stop(signal.SIGINT) == 0
    assert "Traceback" not in running.log
