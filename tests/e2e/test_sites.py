"""Site profiles from end to end: users see an unknown site, it is visited once, and then it is known to everybody."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from infrastructure.operations.task_runner import request_for
from tests.e2e.processes import ROOT, Pipeline, Running, until
from tests.messages import message
from tests.servers import free_port
from tests.site_farm.farm import certificate

STREAM = "pomodoro_pattern_match_stream"
SITE = "farm0.kr"  # a site of Development


class FarmProcess:
    def __init__(self, directory: Path) -> None:
        self.certificate, key = certificate(directory)
        self.log = directory / "requests"
        command = [sys.executable, "-m", "tests.site_farm", str(self.certificate), str(key), str(self.log)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.ports = self._process.stdout.readline().split()

    def asked(self) -> Counter[str]:
        return Counter(self.log.read_text().splitlines())

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate()


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[FarmProcess]:
    farm = FarmProcess(tmp_path)
    yield farm
    farm.close()


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path / "data", SITE_PROFILES="true", SITE_REQUESTS_PER_SECOND="100")
    yield pipeline
    pipeline.close()


def start(pipeline: Pipeline, farm: FarmProcess) -> Running:
    running = pipeline.start_module("tests.site_farm.pipeline", "pipeline", str(farm.certificate), *farm.ports)
    running.until_log("Loaded category patterns")
    return running


def seen(user: str, title: str) -> dict[str, str]:
    return message(userId=user, app="Google Chrome", url=f"https://www.{SITE}/{title}", title=title)


def test_a_site_that_three_users_have_seen_is_visited_once_and_known_to_all(
    pipeline: Pipeline, farm: FarmProcess
) -> None:
    port = free_port()
    pipeline.settings["HTTP_PORT"] = str(port)
    running = start(pipeline, farm)
    with pipeline.redis() as redis:
        for number in range(3):
            redis.xadd(STREAM, seen(f"user-{number}", f"page{number}"))
        until(lambda: redis.zscore("{pomocore:sites}:seen", SITE) == 3, "three users are counted")
        redis.rpush("pomocore:commands", request_for("crawl_sites", "1"))
        running.until_log("Analysed a site")
        waiting = [f'pomocore_jobs_waiting{{queue="pomocore:sites:{name}"}} 0.0' for name in ("new", "fetched")]
        until(
            lambda: all(line in urlopen(f"http://127.0.0.1:{port}/metrics").read().decode() for line in waiting),
            "the queues' backlog is measured",
        )
        redis.rpush("pomocore:commands", request_for("profile_site", "2", {"host": f"www.{SITE}"}))
        running.until_log("status=completed task=profile_site")

        redis.xadd(STREAM, seen("user-9", "later"))
        board = "leaderboard:Development:2025-09-02"
        until(lambda: redis.zscore(board, "user-9") == 120.0, "the new window is decided by its site")

        assert redis.hgetall("{pomocore:sites}:categories") == {SITE: "Development"}
        assert redis.zcard("{pomocore:sites}:seen") == 0
    shown = pipeline.run("sites", "show", SITE, "--json").json()
    assert (shown["category"], shown["evidence"][0]["kind"]) == ("Development", "words")
    assert farm.asked() == {f"{SITE} /robots.txt": 1, f"{SITE} /": 1}
