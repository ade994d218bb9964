"""What was archived, run through the rules of now, as an operator does it."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.conftest import Places
from tests.e2e.processes import Pipeline, until
from tests.e2e.test_collector import archived, free_port, post, span

DAYS = ("--from", "2025-09-02", "--to", "2025-09-02", "--json")
WEEK_BOARD = "leaderboard:{}:2025-W36"


def scores(place: Pipeline, category: str) -> dict[str, float]:
    with place.redis() as client:
        return dict(client.zrange(WEEK_BOARD.format(category), 0, -1, withscores=True))


def pattern_file(directory: Path) -> str:
    path = directory / "patterns.json"
    path.write_text(json.dumps([{"category": "Design", "appPatterns": ["Unheard Of"], "domainPatterns": []}]))
    return str(path)


@pytest.fixture
def history(place: Places) -> Pipeline:
    """A running pipeline with an archive: of an app that no rule knew, and of one that the rules know.

    One post was sent again to another collector, so its events are archived twice.
    """
    pipeline, port, other = place(COLLECT_FLUSH_SECONDS="0.2"), free_port(), free_port()
    running = pipeline.consumer(COLLECT_PORT=str(port))
    running.until_log("Serving POST /collect")
    apps = ("Unheard Of", "Visual Studio Code")
    spans = [span(user, app=app, eventId=user + app) for user in ("ann", "bob") for app in apps]
    assert post(port, [*spans, span("ann", duration=-1)])[0] == 202
    until(lambda: scores(pipeline, "Development") == {"ann": 60.0, "bob": 60.0}, "the spans are on the boards")
    another = pipeline.start(
        "collector", COLLECT_PORT=str(other), COLLECT_DIR=str(pipeline.directory / "other"), INSTANCE_ID="other"
    )
    another.until_log("Serving POST /collect")
    assert post(other, spans)[0] == 202
    until(lambda: len(archived(pipeline.directory)) == 9, "the spans are archived, those of one post twice")
    assert pipeline.run("patterns", "import", pattern_file(pipeline.directory)).code == 0
    return pipeline


def test_a_replay_says_what_changes_and_changes_it_once(history: Pipeline) -> None:
    dry = history.run("replay", *DAYS, "--dry-run").json()

    moved = [
        {"user": user, "from": "Uncategorized", "to": "Design", "spans": 1, "seconds": 60.0}
        for user in ("ann", "bob")
    ]
    assert dry["moved"] == moved
    assert (dry["spans"], dry["missing"]) == (4, 0)
    assert {(row["user"], row["category"]) for row in dry["archived"]} == {
        (user, category) for user in ("ann", "bob") for category in ("Design", "Development")
    }
    assert scores(history, "Design") == {}

    one = history.run("replay", *DAYS, "--user", "ann").json()
    assert one["moved"] == moved[:1]
    assert scores(history, "Design") == {"ann": 60.0}

    for changed in (moved[1:], []):
        assert history.run("replay", *DAYS).json()["moved"] == changed
    assert scores(history, "Design") == {"ann": 60.0, "bob": 60.0}
    assert scores(history, "Uncategorized") == {}
    assert scores(history, "work") == {"ann": 120.0, "bob": 120.0}
    assert {row["category_id"] for row in history.documents("pomodoro_usage_log")} == {
        row["category_id"] for row in history.documents("categorized_data")
    }


@pytest.mark.spark
@pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed")
def test_spark_says_the_same_as_this_machine(history: Pipeline) -> None:
    """On a cluster of two workers."""
    local = history.run("replay", *DAYS, "--dry-run").json()
    settings = {"SPARK_MASTER": "local-cluster[2,1,1024]", "SPARK_LOCAL_IP": "127.0.0.1"}
    spark = history.run("replay", *DAYS, "--dry-run", "--engine", "spark", seconds=200.0, **settings).json()

    assert spark == local
    assert local["spans"] == 4
