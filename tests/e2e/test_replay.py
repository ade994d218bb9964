"""What was archived, run through the rules of now, as an operator does it."""

import gzip
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


def damage(history: Pipeline) -> dict[str, bytes]:
    """Puts objects that cannot be read, and one that is cut off in its end, beside the others."""
    (path, *_) = sorted(history.directory.glob("**/collect/**/*.jsonl.gz"))
    whole = path.read_bytes()
    other = gzip.decompress(whole).replace(b'"event"', b'"other"')
    wrong = {"y1": b"no gzip", "y2": whole[:-9], "y3": gzip.compress(other), "y4": b""}
    for name, data in wrong.items():
        path.with_name(f"{name}-1.jsonl.gz").write_bytes(data)
    return wrong


def test_damaged_objects_are_named_and_the_others_are_read(history: Pipeline) -> None:
    wrong = damage(history)

    done = history.run("replay", *DAYS, "--dry-run")
    told = history.run("replay", *DAYS[:-1], "--dry-run")

    assert (done.code, told.code) == (1, 1)
    document = json.loads(done.out)
    assert document["spans"] == 4
    assert {key.rpartition("/")[2].partition("-")[0] for key in document["damaged"]} == wrong.keys()
    assert told.err.count(" is damaged: ") == 4
    assert "y2-1.jsonl.gz is damaged: it is cut off" in told.err
    assert "Traceback" not in told.err
    exported = history.run("users", "export", "ann")
    assert exported.code == 1
    assert "in the archive is damaged: " in exported.err


def test_an_empty_archive_is_said(place: Places) -> None:
    result = place().run("replay", *DAYS, "--dry-run")
    assert result.code == 1
    assert "There are no objects in the archive (file:///" in result.err


@pytest.mark.spark
@pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed")
def test_spark_says_the_same_as_this_machine(history: Pipeline) -> None:
    """On a cluster of two workers, also where objects are damaged."""
    damage(history)
    local = json.loads(history.run("replay", *DAYS, "--dry-run").out)
    settings = {"SPARK_MASTER": "local-cluster[2,1,1024]", "SPARK_LOCAL_IP": "127.0.0.1"}
    spark = history.run("replay", *DAYS, "--dry-run", "--engine", "spark", seconds=200.0, **settings)

    assert json.loads(spark.out) == local
    assert len(local["damaged"]) == 4
    assert local["spans"] == 4
