"""`--help` of every command, run in process; the processes themselves are in tests/e2e."""

import importlib
import io
import os
import pty
import re
import signal
import subprocess
import sys
from cmd import status
from cmd.__main__ import main
from cmd._output import json_line, print_tables, say, table
from cmd.leaderboard import print_board
from datetime import date
from functools import partial
from pathlib import Path

import msgspec
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from domains.leaderboard.model import LeaderboardResult, Period
from infrastructure.observing.printable import printable
from infrastructure.settings import describe_settings
from infrastructure.spring.message_file import chunks, read_messages
from infrastructure.spring.message_spelling import MessageSpellingError

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(path.stem for path in (ROOT / "cmd").glob("*.py") if not path.stem.startswith("_"))


def run(command: str, *arguments: str) -> Result:
    """A command in this process; only for what ends before it would start a server."""
    application = importlib.import_module(f"cmd.{command}").app
    return CliRunner().invoke(application, arguments, env={"COLUMNS": "200", "TERM": "dumb"})


def help_of(command: str, *arguments: str) -> str:
    application = importlib.import_module(f"cmd.{command}").app
    assert isinstance(application, typer.Typer)
    result = CliRunner().invoke(application, [*arguments, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does(command: str) -> None:
    text = help_of(command)

    assert "Usage:" in text
    assert len(text) > 200


@pytest.mark.parametrize(
    "option", ["--days=1e9", "--session-gap=59", "--server=localhost:5600", "--collector=localhost:8090"]
)
def test_a_bridge_with_wrong_arguments_reads_nothing(option: str) -> None:
    result = run("bridge", "activitywatch", "--file=no-such-file", option)

    assert (result.exit_code, option.partition("=")[0] in result.output) == (2, True)


def test_nobody_is_erased_without_being_asked_for() -> None:
    result = run("users", "erase", "ann")

    assert (result.exit_code, "--yes" in result.output) == (2, True)


def test_all_commands_are_known() -> None:
    known = {"stream_consumer", "publish", "leaderboard", "dead_letters", "sample", "healthcheck", "classify"}
    assert known <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_module_shows_how_it_is_started(command: str) -> None:
    assert f"python -m cmd.{command}" in str(importlib.import_module(f"cmd.{command}").__doc__)


@pytest.mark.parametrize("subcommand", ["list", "show", "replay", "drop", "scores"])
def test_every_subcommand_says_what_it_does(subcommand: str) -> None:
    assert "--json" in help_of("dead_letters", subcommand)


@pytest.mark.parametrize("subcommand", ["propose", "list", "accept", "reject", "export", "import"])
def test_every_subcommand_on_patterns_says_what_it_does(subcommand: str) -> None:
    assert "--json" in help_of("patterns", subcommand)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("publish", ["FILE", "--rate", "--json", "stdin"]),
        ("leaderboard", ["CATEGORY", "--period", "--date", "--user", "--limit", "--json", "day", "week", "month"]),
        ("sample", ["--exit"]),
        (
            "classify",
            ["--app", "--title", "--url", "--file", "--patterns", "--rules-only", "--why", "--json", "stdin"],
        ),
    ],
)
def test_options_are_listed(command: str, options: list[str]) -> None:
    text = help_of(command)

    assert [option for option in options if option not in text] == []


def test_the_consumer_lists_every_setting_with_default_unit_and_meaning() -> None:
    text = help_of("stream_consumer")

    for setting in describe_settings():
        assert setting.description in text
        row = next(line for line in text.splitlines() if line.split()[:1] == [setting.name])
        assert (setting.default or "not set") in row
        assert setting.unit in row


@pytest.mark.parametrize(
    ("text", "expected"),
    [("카카오톡", "카카오톡"), ("a\x1b[31mb", "a\\x1b[31mb"), ("\udcff", "\\udcff"), ("a\nb", "a\\nb")],
)
def test_hostile_text_is_shown_as_escapes(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_what_comes_before_a_bad_line_is_published() -> None:
    lines = ['{"userId":"a"}\n', '{"userId":"b"}\n', "{\n"]
    found = chunks(read_messages(lines), None)

    assert next(found) == [{"userId": "a"}, {"userId": "b"}]
    with pytest.raises(MessageSpellingError, match=r"^line 3: not JSON"):
        next(found)


@pytest.mark.parametrize("rate", [1.0, 50.0, 10_000.0])
def test_chunks_are_as_small_as_the_rate_needs(rate: float) -> None:
    sizes = [len(chunk) for chunk in chunks(iter([{"userId": "u"}] * 1200), rate)]

    assert sum(sizes) == 1200
    assert max(sizes) <= max(1, rate / 10)
    assert max(sizes) <= 500


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["x"], "line 1: not JSON"),
        (["", "  \n", "[]"], "line 3: not a JSON object"),
        (['{"app":[1]}'], "line 1: app is neither text, number nor boolean"),
        (["{}"], "line 1: a message needs at least one field"),
        (['{"duration":' + "9" * 400 + "}"], "line 1: "),
        (["[" * 200_000], "line 1: not JSON"),
        (['{"title":"\\ud800"}'], "line 1: "),
    ],
    ids=["no JSON", "no object", "a list as value", "no fields", "a number too large", "deep", "half a character"],
)
def test_a_bad_line_is_named(lines: list[str], told: str) -> None:
    with pytest.raises(MessageSpellingError) as offence:
        list(read_messages(lines))
    assert str(offence.value).startswith(told)


def test_a_file_that_is_no_text_is_a_bad_line() -> None:
    with pytest.raises(MessageSpellingError, match=r"^line 1: not UTF-8$"):
        list(read_messages(io.TextIOWrapper(io.BytesIO(b"\xff\xfe\x00\n"), encoding="utf-8")))


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        ("publish", ["nowhere.jsonl"], "nowhere.jsonl: no such file"),
        ("publish", ["-", "--rate", "0"], "--rate"),
        (
            "send",
            ["rebuild_leaderboard", "--param", "dat=x"],
            "dat: no such parameter of rebuild_leaderboard; did you mean date?",
        ),
        ("send", [], "Say which: TASK, or --list"),
        ("users", ["erase", "", "--yes"], "is empty"),
        ("card", [""], "is empty"),
        ("leaderboard", ["Cooking"], "Cooking: no such category; there are AFK, Browsing,"),
        ("leaderboard", ["work", "--date", "2025-02-30"], "--date 2025-02-30: not a date such as 2025-09-02"),
        ("leaderboard", ["work", "--period", "year"], "--period"),
        ("leaderboard", [], "Missing argument"),
        ("patterns", ["accept"], "Say which: either ids, or --all, or --min-answers"),
        ("patterns", ["accept", "0a0a", "--all"], "Say which: either ids, or --all, or --min-answers"),
        ("patterns", ["accept", "--min-answers", "0"], "--min-answers"),
        ("patterns", ["reject"], "Missing argument"),
        ("patterns", ["list", "--status", "new"], "--status"),
        ("patterns", ["import", "nowhere.json"], "nowhere.json: No such file or directory"),
        ("export", ["--once"], "EVENTS is off: there is nothing to export"),
        ("dead_letters", ["replay"], "Say which: ids, --kind, --reason, --search, --older-than, --stream or --all"),
        ("dead_letters", ["drop"], "Say which: ids, --kind, --reason, --search, --older-than, --stream or --all"),
        ("dead_letters", ["drop", "yesterday"], "yesterday: not an id such as"),
        ("dead_letters", ["show", "1-0' or 1"], "not an id such as"),
        ("dead_letters", ["list", "--older-than", "tomorrow"], "not a time such as 90s"),
    ],
)
def test_nothing_is_guessed_at(command: str, arguments: list[str], told: str) -> None:
    result = run(command, *arguments)

    assert result.exit_code == 2, result.output
    assert told in result.stderr


@pytest.mark.parametrize("period", list(Period))
@pytest.mark.parametrize("day", [date.min, date.max])
def test_a_board_at_the_end_of_the_calendar_isshown(
    period: Period, day: date, capsys: pytest.CaptureFixture[str]
) -> None:
    print_board("leaderboard:work", period, day, [])

    assert "nobody yet" in capsys.readouterr().out


@pytest.mark.parametrize("user", ["[/red]", "[bold]loud[/bold]", "카카오", ":tomato:"])
def test_a_board_shows_users_as_they_are_called(user: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_board("leaderboard:work", Period.DAY, date(2025, 9, 2), [LeaderboardResult(user, 60.0, 1)])

    assert user in capsys.readouterr().out


def test_a_board_does_not_let_users_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_board("leaderboard:work", Period.DAY, date(2025, 9, 2), [LeaderboardResult("a\x1b[31mb", 60.0, 1)])

    assert "\x1b" not in capsys.readouterr().out


def test_one_command_lists_all_with_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.startswith("  "))
    assert sorted(rows) == COMMANDS
    assert all(len(purpose) > 20 for purpose in rows.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_one_command_runs_each(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name.replace("_", "-"), "--help"])

    assert ended.value.code == 0
    assert "Usage: python -m cmd" in capsys.readouterr().out


def test_a_command_that_there_is_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["\x1b[31m"]) == 2

    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "stream_consumer" in told


@pytest.mark.parametrize("path", sorted((ROOT / "cmd").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_commands_print_through_one_module_alone(path: Path) -> None:
    assert re.findall(r"typer\.echo|\bprint\(|sys\.stderr\.|stdout\.write|Console\(", path.read_text()) == []


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("카카오", "카카오"),
        ("half \ud83d", "half \ufffd"),
        ("a byte \udcff", "a byte \ufffd"),
        ("\x1b[31m\x7f\x9b2J\u202e", "\x1b[31m\x7f\x9b2J\u202e"),
        ("\U000e0001", "\U000e0001"),
    ],
    ids=["text", "half a pair", "no UTF-8", "control characters", "beyond 16 bits"],
)
def test_json_can_be_read_by_all_and_controls_nothing(value: str, parsed: str) -> None:
    line = json_line({"it": value})

    assert msgspec.json.decode(line) == {"it": parsed}
    assert line.decode().removesuffix("\n").isprintable()


def test_no_text_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("first\x1b[2J\nsecond\x9b1m")

    assert capsys.readouterr().out == "first\\x1b[2J\nsecond\\x9b1m\n"


def test_a_narrow_terminal_cuts_no_id(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    print_tables(table(("Id", "Reason"), [("1756771234000-0", "a long reason " * 9)], whole=("Id",)))

    assert "1756771234000-0 " in capsys.readouterr().out


def test_without_a_terminal_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_tables(table(("Id", "Reason"), [("1-0", "a long reason " * 30)]))

    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_tables_of_the_status_stand_apart(capsys: pytest.CaptureFixture[str]) -> None:
    check = {"ok": True, "cause": "", "why": ""}
    document = {
        "level": "healthy",
        "problems": [],
        "checks": {"redis": check},
        "streams": [],
        "metrics": {"x_total": 3},
    }
    print_tables(*status._page(document, {}, 0))

    assert [line.split()[:1] for line in capsys.readouterr().out.splitlines()] == [
        ["healthy"], [], ["Check"], ["redis"], [], ["Of"], ["x_total"],
    ]  # fmt: skip


def test_where_no_colour_is_wanted_there_is_nothing_but_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    row = LeaderboardResult("ann", 60.0, 1)
    print_board("leaderboard:work", Period.DAY, date(2025, 9, 2), [row], "ann")
    coloured = capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    print_board("leaderboard:work", Period.DAY, date(2025, 9, 2), [row], "ann")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    print_board("leaderboard:work", Period.DAY, date(2025, 9, 2), [row], "ann")

    assert "\x1b[1m" in coloured
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(("no_color", "escapes"), [("1", False), ("", True)])
def test_nor_is_there_in_help_on_a_terminal(no_color: str, escapes: bool) -> None:
    ours, its = pty.openpty()
    env = {"PATH": os.environ["PATH"], "NO_COLOR": no_color, "TERM": "xterm-256color"}
    subprocess.run([sys.executable, "-m", "cmd.audit", "--help"], cwd=ROOT, env=env, stdout=its, check=True)
    os.close(its)
    shown = b"".join(iter(partial(_read, ours), b""))
    os.close(ours)

    assert b"Usage:" in shown
    assert (b"\x1b[" in shown) == escapes


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # on Linux, a terminal that nobody holds open any more
        return b""


# How fast they start


SLOW_TO_LOAD = {"aiohttp", "dependency_injector", "motor", "openai", "pydantic", "pymongo", "redis", "sklearn"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_none_of_what_is_slow_to_load(command: str) -> None:
    loads = f"import sys, cmd.{command}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", loads], cwd=ROOT, capture_output=True, text=True, check=True)

    assert not SLOW_TO_LOAD & set(done.stdout.split())


@pytest.mark.parametrize("command", [["cmd", "leaderboard"], ["cmd.leaderboard"]])
@pytest.mark.parametrize("interrupted", ["typer", "pydantic", "exit"])
def test_an_interrupted_start_or_end_says_nothing(command: list[str], interrupted: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, signal, sys\n"
        "class InterruptedImport:\n"
        "    def find_spec(name, path=None, target=None):\n"
        f"        if name == {interrupted!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, InterruptedImport)\n"
        f"if {interrupted!r} == 'exit':\n"
        "    atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "REDIS_ADDR": "127.0.0.1:1", "DATA_DIR": str(tmp_path)}
    arguments = [sys.executable, "-m", *command, "work"]
    done = subprocess.run(arguments, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)

    assert done.returncode == -signal.SIGINT
    assert "Traceback" not in done.stderr


def test_what_serves_http_is_not_loaded_before_the_first_read() -> None:
    loads = "import sys, infrastructure.observing.logs, infrastructure.composition.pipeline; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", loads], cwd=ROOT, capture_output=True, text=True, check=True)

    loaded = set(done.stdout.split())
    assert not {"aiohttp", "openai", "opentelemetry", "rich", "infrastructure.http.server"} & loaded
    assert len(loaded) < 900, "a start loads more than it did"
