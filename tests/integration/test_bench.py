"""That the benchmark fits the pipeline: it calls its parts one by one, which nothing else does."""

from pathlib import Path

import pytest

from bench import stages
from bench.workload import GROUP, STREAM, Kind
from tests.servers import RedisServer


@pytest.mark.parametrize("kind", ["linked", "unlinked", "mixed"])
def test_every_stage_runs_and_redis_commits_what_it_is_sent(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "MESSAGES", 50)
    monkeypatch.setattr(stages, "_BATCHES", 2)
    monkeypatch.setattr(stages, "_RUNS", 2)
    server = RedisServer(tmp_path).start()
    try:
        _, reply = stages.in_redis(server, kind)
        with server.client() as client:
            pending = {group["name"]: group["pending"] for group in client.xinfo_groups(STREAM)}
            boards = client.keys("leaderboard:*")
    finally:
        server.stop()

    assert pending == {GROUP: 0, "again": 50}, "what was sent is committed; the other group has read once"
    assert boards
    assert all(spent > 0 for spent in stages.Stages(reply).timed().values())
