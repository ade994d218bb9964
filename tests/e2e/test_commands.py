"""The commands beside the consumer, each run as a user runs it."""

import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import redis

from tests.e2e.processes import DEADLINE, ROOT, Pipeline, Result, environment, jsonl, until
from tests.messages import message, unix_seconds
from tests.servers import RedisServer

STREAM = "pomodoro_pattern_match_stream"
GROUP = "pomodoro_pattern_match_group"
DEAD_LETTERS = f"{STREAM}:dlq"
COMMANDS = [
    "stream_consumer",
    "publish",
    "leaderboard",
    "dead_letters",
    "sample",
    "healthcheck",
    "classify",
    "patterns",
]


def one_readable_message(result: Result, code: int) -> str:
    """What a person is told when a command ends with an error."""
    assert result.code == code, result
    assert "Traceback" not in result.out + result.err, result
    assert result.out == "", result
    assert result.err.strip(), result
    return result.err


def test_help_starts_nothing_and_needs_no_right_settings(pipeline: Pipeline) -> None:
    started = {command: pipeline.start(command, "--help", BATCH_SIZE="x") for command in COMMANDS}
    for process in started.values():
        assert process.wait() == 0, process.log
        assert "Usage:" in process.log

    assert list(pipeline.directory.iterdir()) == []


# Wrong settings


def test_wrong_settings_are_all_named_in_one_message(pipeline: Pipeline) -> None:
    wrong = {"APP_ENV": "prod", "BATCH_SIZE": "0", "TIMEZONE": "Mars", "REDIS_PASSWORD": "s3cret"}
    result = pipeline.run("stream_consumer", **wrong)

    told = one_readable_message(result, 2)
    for name in ("BATCH_SIZE", "TIMEZONE", "MONGO_URI", "REDIS_ADDR"):
        assert name in told
    assert "s3cret" not in told
    assert list(pipeline.directory.iterdir()) == [], "nothing is started"


def test_a_mongo_uri_that_is_none_is_named(pipeline: Pipeline) -> None:
    uri = "mongodb://user:s3cret@host:port"
    told = one_readable_message(pipeline.run("stream_consumer", MONGO_URI=uri, REDIS_ADDR="127.0.0.1:1"), 2)

    assert "MONGO_URI" in told
    assert "s3cret" not in told


def test_a_data_directory_that_is_none_is_named(pipeline: Pipeline) -> None:
    file = pipeline.directory / "file"
    file.touch()

    assert "DATA_DIR" in one_readable_message(pipeline.run("leaderboard", "work", DATA_DIR=str(file)), 2)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("leaderboard", ["work"]), ("sample", ["--exit"])],
)
def test_a_redis_that_is_not_there_takes_one_line(pipeline: Pipeline, command: str, arguments: list[str]) -> None:
    result = pipeline.run(command, *arguments, REDIS_ADDR="127.0.0.1:1")

    assert result.code == 1, result
    assert "Traceback" not in result.out + result.err, result
    assert "refused" in result.err, result


# publish


def test_publish_and_leaderboard(running: Pipeline, tmp_path: Path) -> None:
    today = datetime.now(UTC).astimezone(ZoneInfo("Asia/Seoul"))
    spans = [
        {
            "userId": user,
            "app": app,
            "title": "제목 — title",
            "url": None,
            "duration": seconds,
            "timestamp": today.timestamp(),
            "session": 1,
            "sessionDate": today.date().isoformat(),
            "sessionMinutes": 25,
            "isEnd": True,
        }
        for user, app, seconds in [
            ("지우", "Visual Studio Code", 1500),
            ("ann", "Visual Studio Code", 120.5),
            ("ann", "IntelliJ IDEA", 30),
            ("bob", "KakaoTalk", 60),
        ]
    ]
    file = tmp_path / "week.jsonl"
    file.write_text("\n" + jsonl(*spans) + "\n", encoding="utf-8")

    published = running.run("publish", str(file), "--json").json()
    assert {name: published[name] for name in ("published", "stream")} == {"published": 4, "stream": STREAM}

    board = f"leaderboard:work:{today.date()}"
    with running.redis() as client:
        until(lambda: client.zscore(board, "ann") == 150.5, "the boards are raised")
        until(lambda: client.xlen("session_score_stream") == 3, "the sessions are announced")
        (fields,) = [fields for _, fields in client.xrange("session_score_stream", count=1)]
    assert fields == {"userId": "지우", "sessionDate": str(today.date()), "session": "1"}

    assert running.run("leaderboard", "Work", "--json").json() == {
        "board": board,
        "total": 2,
        "rows": [{"rank": 1, "userId": "지우", "score": 1500.0}, {"rank": 2, "userId": "ann", "score": 150.5}],
    }
    shown = running.run("leaderboard", "development", "--period", "week", "--user", "ann", "--limit", "1")
    assert shown.code == 0
    assert "지우" in shown.out
    assert "25 min" in shown.out
    assert "ann: rank 2 of 2, 2 min" in shown.out
    absent = running.run("leaderboard", "SNS", "--period", "month", "--user", "nobody", "--json").json()
    assert absent["user"] == {"rank": 0, "userId": "nobody", "score": 0.0}
    assert absent["rows"] == []


@pytest.mark.parametrize(("source", "count"), [("/dev/stdin", 1), ("/dev/null", 0)])
def test_what_is_published_may_come_from_a_pipe_or_a_device(running: Pipeline, source: str, count: int) -> None:
    command = [sys.executable, "-m", "cmd.publish", source]
    env = environment(**running.settings, REDIS_ADDR=f"unix://{running.directory}/redis.sock")
    line = jsonl(dict(message(userId="from a pipe")))
    done = subprocess.run(command, cwd=ROOT, env=env, input=line, capture_output=True, text=True, timeout=DEADLINE)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 message on " if count == 1 else f"{count} messages on ")


def test_publish_writes_as_spring_does_and_keeps_a_rate(pipeline: Pipeline) -> None:
    told = {"userId": "u", "duration": 0.15, "timestamp": 1756771234, "session": 3, "isEnd": False, "url": None}
    keeper = pipeline.start("stream_consumer", STREAM_KEY="another_stream")  # keeps the redis-server
    keeper.until_log("Loaded category patterns")

    with pipeline.redis() as client:
        begun, microseconds = client.time()
    result = pipeline.run("publish", "-", "--rate", "2", input=jsonl(*[told] * 6))

    assert result.code == 0, result
    assert f"6 messages on {STREAM}" in result.out
    with pipeline.redis() as client:
        entries = client.xrange(STREAM)
    assert [fields for _, fields in entries] == [
        {"userId": "u", "duration": "0.15", "timestamp": "1.756771234E9", "session": "3", "isEnd": "false"}
    ] * 6
    last = int(entries[-1][0].split("-")[0])  # the first may be late, and those behind it then make up for it
    assert last - (begun * 1000 + microseconds // 1000) >= 2490, "the sixth is due after two and a half seconds"


@pytest.mark.parametrize("as_json", [False, True])
def test_publish_names_a_bad_line_and_keeps_what_came_before(running: Pipeline, as_json: bool) -> None:
    user = f"before-a-bad-line-{as_json}"
    lines = jsonl(message(userId=user)) + "\n" + "{oops\n" + jsonl(message(userId="never"))
    result = running.run("publish", "-", *(["--json"] if as_json else []), input=lines)

    assert result.code == 1, result
    assert "Traceback" not in result.err, result
    if as_json:
        told = json.loads(result.out)
        assert told["published"] == 1
        assert told["error"].startswith("line 3: not JSON")
    else:
        assert "line 3: not JSON" in result.err
        assert "1 message on" in result.out
    with running.redis() as client:
        until(lambda: client.zscore("leaderboard:work:2025-09-02", user) == 120.0, "what came before is counted")
        assert client.zscore("leaderboard:work:2025-09-02", "never") is None


# dead_letters


def test_dead_letters_are_listed_shown_replayed_and_dropped(pipeline: Pipeline) -> None:
    pipeline.consumer()
    with pipeline.redis() as client:
        bad = client.xadd(STREAM, message(duration="-1", userId="[/red]카카오"))
        half = client.xadd(STREAM, message(categorizedDataId="6" * 24))
        large = client.xadd(STREAM, message(title="t" * 2_000_000))
        until(lambda: client.xlen(DEAD_LETTERS) == 3, "they are parked")

    listed = pipeline.run("dead_letters", "list", "--json").json()
    assert [letter["original_id"] for letter in listed] == [bad, half, large]
    assert [letter["user_id"] for letter in listed] == ["[/red]카카오", "user-1", "user-1"]
    one = pipeline.run("dead_letters", "show", listed[0]["id"], "--json").json()
    assert one["fields"] == message(duration="-1", userId="[/red]카카오")
    shown = pipeline.run("dead_letters", "show", listed[0]["id"])
    assert shown.code == 0, shown
    assert f"original id {bad}" in shown.out
    assert "duration: -1" in shown.out

    ended = pipeline.run("dead_letters", "replay", "--all", "--wait", "30", "--json")
    assert ended.code == 1, "they die again"
    replayed = json.loads(ended.out)
    (change, *_) = pipeline.run("audit", "--json").json()
    assert (change["item"], change["outcome"][:11]) == ("all", "2 replayed:")
    assert [letter["id"] for letter in replayed["replayed"]] == [letter["id"] for letter in listed[:2]]
    assert replayed["truncated"] == 1
    assert [letter["outcome"] for letter in replayed["replayed"]] == ["died", "died"]
    with pipeline.redis() as client:
        until(lambda: client.xlen(DEAD_LETTERS) == 3, "they fail again")
        assert [fields["reason"] for _, fields in client.xrange(DEAD_LETTERS)][1:] == [
            letter["reason"] for letter in listed[:2]
        ]

    groups = pipeline.run("dead_letters", "summary", "--json").json()
    assert [(group["kind"], group["count"]) for group in groups] == [
        ("invalid_field", 1), ("one_id", 1), ("too_large", 1),
    ]  # fmt: skip
    assert "too_large" in pipeline.run("dead_letters", "summary").out
    chosen = ("dead_letters", "drop", "--reason", "BYTES long", "--json")
    assert pipeline.run(*chosen, "--dry-run").json() == {"dropped": 1, "dryRun": True}
    assert "give --yes" in one_readable_message(pipeline.run(*chosen), 2)
    assert pipeline.run(*chosen, "--yes").json() == {"dropped": 1, "dryRun": False}
    (change, *_) = pipeline.run("audit", "--json").json()
    assert (change["item"], change["outcome"]) == ("reason=BYTES long", "1 dropped")
    assert "2 dropped" in pipeline.run("dead_letters", "drop", "--all", "--yes").out
    with pipeline.redis() as client:
        for _ in range(12):
            client.xadd(STREAM, message(duration="-1"))
        until(lambda: client.xlen(DEAD_LETTERS) == 12, "they are parked")
    many = [letter["id"] for letter in pipeline.run("dead_letters", "list", "--json").json()]
    assert "12 dropped" in pipeline.run("dead_letters", "drop", *many, "--yes").out
    (change, *_) = pipeline.run("audit", "--json").json()
    assert change["item"] == f"{', '.join(many[:10])}, and 2 more", "whole ids, and how many they were"
    for command in ("drop", "replay"):
        gone = pipeline.run("dead_letters", command, listed[0]["id"], *(["--yes"] if command == "drop" else []))
        assert (gone.code, gone.err) == (1, f"{listed[0]['id']}: no such dead letter\n")
    with pipeline.redis() as client:
        assert client.xlen(DEAD_LETTERS) == 0


def test_a_dead_letter_is_corrected_and_its_end_is_told(running: Pipeline) -> None:
    address = {"REDIS_ADDR": f"unix://{running.directory}/redis.sock"}
    mine = ("dead_letters", "list", "--search", "to be corrected", "--kind", "invalid_field", "--json")

    def of_mine(*arguments: str) -> Result:
        (letter,) = running.run(*mine, **address).json()
        command, *options = arguments
        return running.run("dead_letters", command, letter["id"], *options, **address)

    with running.redis() as client:
        client.xadd(STREAM, message(duration="-1", userId="to be corrected"))
        until(lambda: "to be corrected" in running.run(*mine, **address).out, "it is parked")
        again = of_mine("replay", "--wait", "30")
        assert again.code == 1
        assert again.out.endswith("1 replayed: 0 committed, 1 died again, 0 waiting\n")
        assert "duration must be a finite number" in again.out
        assert "earlier     parked 20" in of_mine("show").out
        wrong = one_readable_message(of_mine("replay", "--set", "duration=-2"), 1)
        assert "it would become a dead letter again: duration must be" in wrong
        assert "not NAME=VALUE" in one_readable_message(of_mine("replay", "--set", "duration"), 2)
        right = of_mine("replay", "--set", "duration=2", "--wait", "30")
        assert right.out == "1 replayed: 1 committed, 0 died again, 0 waiting\n"
        assert client.zscore("leaderboard:work:2025-09-02", "to be corrected") == 2.0


def test_a_correction_that_changes_no_log_says_so(running: Pipeline) -> None:
    made = running.run("correct", "window", "Education", "--user", "nobody", "--app", "No such window")
    assert made.code == 0, made
    assert "no log had to change. App, URL and title have to be exact" in made.err


def test_what_a_person_did_is_noted(running: Pipeline) -> None:
    with running.redis() as client:
        client.xadd(STREAM, message(duration="-1", userId="to be noted"))
        until(lambda: client.xlen(DEAD_LETTERS) >= 1, "it is parked")
    address = {"REDIS_ADDR": f"unix://{running.directory}/redis.sock"}
    (letter, *_) = running.run("dead_letters", "list", "--json", **address).json()
    assert running.run("dead_letters", "drop", letter["id"], "--yes", **address).code == 0
    (change, *_) = running.run("audit", "--json", **address).json()

    assert (change["what"], change["item"], change["outcome"]) == ("dropped dead letters", letter["id"], "1 dropped")
    assert " on " in change["who"]
    assert letter["id"] in running.run("audit", **address).out
    rules = json.dumps([{"category": "Design", "appPatterns": ["To be noted"], "domainPatterns": []}])
    assert running.run("patterns", "import", "/dev/stdin", input=rules).code == 0, "Redis is the embedded one here"
    (change, *_) = running.run("audit", "--json", **address).json()
    assert (change["what"], change["item"], change["outcome"]) == ("imported patterns", "To be noted", "1 in all")
    sent = ("send", "apply_retention", "--param", "dry_run=true", "--wait")
    assert running.run(*sent, **address).code == 0
    listed = {it["task"]: it for it in running.run("send", "--list", "--json", **address).json()}["apply_retention"]
    assert (listed["lastRun"]["status"], listed["next"] > 0) == ("completed", True)
    (line,) = re.findall(r"^apply_retention .*", running.run("send", "--list", **address).out, re.MULTILINE)
    assert re.fullmatch(r"apply_retention( +20[-0-9]+ [:0-9]+ KST){2}  completed", line)
    who = [it["who"] for it in running.run("audit", "--json", **address).json() if it["what"] == "apply_retention"]
    assert who[0].startswith(f"task cmd.send by {change['who']}: ")


def test_dead_letters_are_listed_whatever_they_hold(running: Pipeline) -> None:
    with running.redis() as client:
        client.xadd(STREAM, message(duration="[/red]", userId="[/red]카카오\x1b[31m"))
        until(lambda: client.xlen(DEAD_LETTERS) >= 1, "it is parked")
    listed = running.run("dead_letters", "list", "--reason", "[/red]")

    assert listed.code == 0, listed
    assert "duration must be a finite number of seconds, 0 or more, not '[/red]'" in listed.out
    assert "[/red]카카오" in listed.out
    assert "\x1b[31m" not in listed.out
    assert "1 dead letter\n" in listed.out


@pytest.mark.parametrize("command", [["list"], ["summary"], ["replay"], ["drop", "--yes"]])
def test_a_stream_that_there_is_not_is_named(running: Pipeline, command: list[str]) -> None:
    result = running.run("dead_letters", *command, "--stream", STREAM.replace("match", "mach"))

    assert f"no such stream; did you mean {STREAM}?" in one_readable_message(result, 2)


def test_scores_that_a_board_could_not_take_are_kept_and_replayed(running: Pipeline) -> None:
    day = "2025-10-07"
    board = f"leaderboard:SNS:{day}"
    with running.redis() as client:
        client.set(board, "not a board")
        client.xadd(STREAM, message(app="KakaoTalk", userId="kept", timestamp=unix_seconds(f"{day}T10:00:00")))
        until(lambda: client.zscore("leaderboard:SNS:2025-M10", "kept") == 120.0, "the other boards are raised")

        (kept,) = running.run("dead_letters", "scores", "--json").json()["kept"]
        assert (kept["board"], kept["user_id"], kept["seconds"]) == (board, "kept", 120.0)
        still = running.run("dead_letters", "scores", "--replay")
        assert still.code == 1
        assert f"{board}  kept  120 s" in still.out
        client.delete(board)
        assert running.run("dead_letters", "scores", "--replay", "--json").json() == {"replayed": 1, "kept": []}
        assert client.zscore(board, "kept") == 120.0


# healthcheck


def idle_ms(client: redis.Redis) -> int:
    """How long ago Redis saw the consumer: before 7.2 a read that finds nothing does not count."""
    return min(consumer["idle"] for consumer in client.xinfo_consumers(STREAM, GROUP))


def test_healthcheck_of_a_consumer_at_work(pipeline: Pipeline) -> None:
    """Also of one that has had nothing to do for longer than a stuck one would be allowed to be silent."""
    pipeline.consumer(BLOCK_MS="20", CLAIM_IDLE_MS="100")
    with pipeline.redis() as client:
        first = client.xadd(STREAM, message())
        until(lambda: client.zcard("leaderboard:work:2025-09-02"), "it works")
        until(lambda: client.time()[0] - int(first.split("-")[0]) // 1000 >= 2, "two quiet seconds")
    result = pipeline.run("healthcheck", BLOCK_MS="20", CLAIM_IDLE_MS="100")

    assert result.code == 0, result
    assert result.out.startswith("alive: asked for work")


def test_healthcheck_of_a_consumer_with_an_instance_id(pipeline: Pipeline) -> None:
    pipeline.consumer(INSTANCE_ID="blue")

    result = pipeline.run("healthcheck", INSTANCE_ID="blue")
    assert result.code == 0, result


def test_healthcheck_without_a_consumer(pipeline: Pipeline) -> None:
    assert "no consumer" in one_readable_message(pipeline.run("healthcheck"), 1)


def test_healthcheck_of_a_consumer_that_is_stuck(pipeline: Pipeline) -> None:
    consumer = pipeline.consumer()
    with pipeline.redis() as client:
        client.xadd(STREAM, message())
        until(lambda: client.zcard("leaderboard:work:2025-09-02"), "it works")
        consumer.send(signal.SIGSTOP)
        until(lambda: idle_ms(client) > 500, "it is silent for longer than allowed")

    result = pipeline.run("healthcheck", BLOCK_MS="1", CLAIM_IDLE_MS="100")
    assert "has not asked for work for" in one_readable_message(result, 1)


def test_the_default_date_is_today_in_the_zone(running: Pipeline) -> None:
    zone = ZoneInfo("Pacific/Kiritimati")
    today = datetime.now(UTC).astimezone(zone).date()
    board = running.run("leaderboard", "work", "--json", TIMEZONE="Pacific/Kiritimati").json()["board"]

    assert board in (f"leaderboard:work:{today}", f"leaderboard:work:{today + timedelta(days=1)}")


def test_a_reader_that_goes_ends_a_command_quietly(pipeline: Pipeline) -> None:
    command = [sys.executable, "-m", "cmd.sample"]
    env = environment(**pipeline.settings)
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sample:
        assert sample.stdout is not None
        sample.stdout.readline()
        sample.stdout.close()
        assert sample.wait(DEADLINE) == 0
        assert sample.stderr is not None
        assert b"Traceback" not in sample.stderr.read()
    assert not pipeline.redis_runs()


def test_a_board_as_csv(running: Pipeline) -> None:
    day = "2025-11-04"
    with running.redis() as client:
        client.zadd(f"leaderboard:work:{day}", {'a "quoted", user': 61.5, "bob": 3600})
    printed = running.run("leaderboard", "work", "--date", day, "--csv")

    assert printed.code == 0
    assert printed.out.splitlines() == ["rank,user,seconds", "1,bob,3600.0", '2,"a ""quoted"", user",61.5']


def test_a_users_day_as_csv(running: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "day.jsonl"
    file.write_text(jsonl(dict(message(userId="csv", timestamp="1756771234", duration="90", app="IntelliJ IDEA"))))
    assert running.run("publish", str(file)).code == 0
    with running.redis() as client:
        until(lambda: client.zscore("leaderboard:work:2025-09-02", "csv") == 90.0, "it is committed")
    day = running.run("card", "csv", "--date", "2025-09-02", "--csv")
    week = running.run("card", "csv", "--date", "2025-09-02", "--period", "week", "--csv")

    assert day.out.splitlines() == ["starts,category,seconds", "2025-09-02T09:00:34+09:00,Development,90.0"]
    assert week.out.splitlines()[:3] == ["day,seconds", "2025-09-01,0.0", "2025-09-02,90.0"]
    for command in (["card", "csv"], ["cards", "run"]):
        refused = running.run(*command, "--date", "0001-01-01")
        assert (refused.code, refused.err.strip()) == (2, "--date 0001-01-01: cards are from 1971 to 8999")


def test_a_run_of_cards_that_nobody_works_on_says_so(pipeline: Pipeline) -> None:
    alone = pipeline.run("cards", "run")
    pipeline.start("cards", "worker")
    until(lambda: (attended := pipeline.run("cards", "run")).code == 0 and attended.err == "", "a run has workers")

    assert (alone.code, alone.err.strip()) == (
        0,
        "nobody works on boards and users: start python -m cmd.cards worker",
    )


def test_where_events_are_off_nothing_is_known_of_their_quality(running: Pipeline) -> None:
    assert running.run("quality").out == "Nothing is known of that time: EVENTS is off.\n"


def test_a_board_is_watched_until_a_signal(running: Pipeline) -> None:
    watching = running.start("leaderboard", "work", "--date", "2025-11-05", "--watch", "--every", "0.2")
    watching.until(lambda: watching.log.count("leaderboard:work:2025-11-05") >= 2, "it is shown again")

    assert watching.stop() == 0


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (("send", "rebuild_leaderbord"), "rebuild_leaderboard"),
        (("leaderboard", "develpment"), "Development"),
        (("ask", "top-site"), "top-sites"),
    ],
)
def test_what_was_meant_is_named(running: Pipeline, command: tuple[str, ...], meant: str) -> None:
    assert f"did you mean {meant}?" in one_readable_message(running.run(*command), 2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("reclassify_period",), "reclassify_period: from is missing"),
        (("rebuild_leaderboard", "--param", "period=weak"), "rebuild_leaderboard: period: Invalid enum value 'weak'"),
        (("rebuild_leaderboard", "--param", "date=9/2"), "rebuild_leaderboard: date: not a date such as 2025-09-02"),
    ],
)
def test_a_task_that_cannot_run_is_not_sent(running: Pipeline, arguments: tuple[str, ...], told: str) -> None:
    assert one_readable_message(running.run("send", *arguments), 2).strip() == told


def test_what_does_not_answer_is_named_by_its_setting(pipeline: Pipeline) -> None:
    away = {"REDIS_ADDR": "127.0.0.1:1", "MONGO_URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"}

    assert "REDIS_ADDR" in one_readable_message(pipeline.run("leaderboard", "work", **away), 1)
    told = one_readable_message(pipeline.run("patterns", "list", **away), 1)
    assert "MONGO_URI" in told
    assert "Topology" not in told


def test_a_missing_password_is_named_by_its_setting(pipeline: Pipeline, tmp_path: Path) -> None:
    server = RedisServer(tmp_path).start()
    with server.client() as client:
        client.config_set("requirepass", "secret")
    told = one_readable_message(pipeline.run("leaderboard", "work", REDIS_ADDR=server.address), 1)
    server.stop()

    assert "REDIS_PASSWORD" in told
