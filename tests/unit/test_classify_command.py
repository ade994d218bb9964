"""`cmd.classify` run in process; that it needs nothing around it is in tests/e2e/test_classify.py."""

import importlib
import json
import re
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from click.testing import Result
from typer.testing import CliRunner

from infrastructure.offline.window_lines import BadLine, WindowLine, read_windows

PATTERNS = [
    {
        "_id": {"$oid": "68b6f0c1a2b3c4d5e6f70812"},
        "category": "Design",
        "priority": None,
        "appPatterns": ["Figma", "한글"],
        "domainPatterns": ["figma.com", "figma.com", "한국.kr"],
        "createdBy": "admin",
    },
    {"category": "Browsing", "priority": 9.0, "appPatterns": ["Google Chrome"], "domainPatterns": []},
    {"category": "Development", "priority": 1, "domainPatterns": ["figma.com/dev", "swagger-ui"]},
    {"category": "AFK", "appPatterns": None},
]
NOTHING = {"category": None, "tier": None, "pattern": None, "provisional": False}
BY_URL = {"category": "Design", "tier": "url", "pattern": "figma.com", "provisional": False}
BY_APP = {"category": "Design", "tier": "app", "pattern": "Figma", "provisional": False}


@pytest.fixture
def patterns(tmp_path: Path) -> str:
    file = tmp_path / "patterns.json"
    file.write_text(json.dumps(PATTERNS), encoding="utf-8")
    return str(file)


def classify(*arguments: str, lines: bytes | None = None) -> Result:
    return CliRunner().invoke(
        importlib.import_module("cmd.classify").app, arguments, input=lines, env={"COLUMNS": "200", "TERM": "dumb"}
    )


def answers(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def lines_of(windows: Sequence[object]) -> bytes:
    return b"".join(json.dumps(window).encode() + b"\n" for window in windows)


# One window


def test_a_window_is_told_with_what_decided_and_what_else_matches(patterns: str) -> None:
    result = classify("--patterns", patterns, "--app", "Google Chrome", "--url", "https://figma.com/dev")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Development: url pattern figma.com/dev",
        "also matches: Design, url pattern figma.com",
        "also matches: Design, url pattern figma.com",
        "also matches: Browsing, app pattern Google Chrome, provisionally",
    ]


def test_a_window_as_json(patterns: str) -> None:
    result = classify("--patterns", patterns, "--app", "Figma", "--url", "x.kr", "--title", "t", "--json")

    assert answers(result) == [{**BY_APP, "also": []}]


@pytest.mark.parametrize("arguments", [["--app", "Nobody"], ["--title", "Figma"], ["--app", "", "--url", ""]])
def test_a_window_that_no_rule_matches_is_no_error(patterns: str, arguments: list[str]) -> None:
    assert answers(classify("--patterns", patterns, *arguments, "--json")) == [{**NOTHING, "also": []}]
    assert classify("--patterns", patterns, *arguments).stdout == "No rule matches.\n"


def test_the_default_patterns_are_used_where_no_others_are_named() -> None:
    (found,) = answers(classify("--app", "IntelliJ IDEA 2024.2", "--rules-only", "--json"))

    assert (found["category"], found["tier"], found["pattern"]) == ("Development", "app", "IntelliJ IDEA")


def test_why_shows_how_url_and_name_were_taken_apart_and_why_the_winner_won(patterns: str) -> None:
    url = "https://me:secret@WWW.Figma.com:8443/Dev/x?y#z"
    text = classify("--patterns", patterns, "--app", "Google Chrome Beta", "--url", url, "--why").stdout

    for said in (
        "host  www.figma.com",
        "path  /dev/x",
        "name  google chrome",
        "may be left off  beta",
        "1. url pattern figma.com/dev: Development, priority 1",
        "the longer path comes first",
        "the URL comes before the title, and before a browser's name",
        "nothing is asked: the rules decide for good",
    ):
        assert said in text
    assert "secret" not in text


def test_why_as_json(patterns: str) -> None:
    (found,) = answers(classify("--patterns", patterns, "--app", "Figma of Time", "--why", "--json"))

    assert found["why"]["words"] == ["figma", "of", "time"]
    assert found["why"]["matched"] == []
    assert found["why"]["missed"] == [{**BY_APP, "priority": None, "reason": "the words behind it say more: of time"}]


@pytest.mark.parametrize("url", ["a" * 100_000, "https://figma.com/" + "\x1b[31m" * 20_000])
def test_why_is_fit_for_a_terminal(patterns: str, url: str) -> None:
    text = classify("--patterns", patterns, "--url", url, "--why").stdout

    assert "\x1b" not in text
    assert len(text) < 5_000


# A file


def test_a_file_gives_one_answer_a_line_in_its_order(patterns: str, tmp_path: Path) -> None:
    windows = [
        {"app": "Figma"},
        {"url": "https://figma.com/x", "duration": 1.5, "userId": None},
        {"app": None, "title": None, "url": None},
        {},
        {"app": "Nobody", "url": "https://figma.com/"},
    ]
    file = tmp_path / "windows.jsonl"
    file.write_bytes(lines_of(windows).rstrip())

    for result in (
        classify("--patterns", patterns, "--file", str(file), "--json"),
        classify("--patterns", patterns, "--file", "-", "--json", lines=file.read_bytes()),
    ):
        assert result.exit_code == 0
        assert result.stderr == ""
        assert answers(result) == [BY_APP, BY_URL, NOTHING, NOTHING, BY_URL]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"app": "Figma\\u0000"}', BY_APP),
        (b'{"app": "Figma\x00"}', BY_APP),
        (b'{"url": "https://figma.com/\\ud800"}', BY_URL),
        (b'{"app": "Figma", "title": "\xed\xa0\x80"}', BY_APP),
        (b'{"app": "Figma", "duration": NaN}', BY_APP),
        (b'{"app": "Figma"}\r', BY_APP),
        (b'\xef\xbb\xbf{"app": "Figma"}', BY_APP),
        (b'{"app": "x", "app": "Figma"}', BY_APP),
        (b'{"app": "' + b"x" * 100_000 + b'", "url": "figma.com/' + b"y" * 100_000 + b'"}', BY_URL),
        ('{"app": "\u1112\u1161\u11ab\u1100\u1173\u11af 2022"}'.encode(), {**BY_APP, "pattern": "한글"}),
    ],
    ids=["NUL", "raw NUL", "half a pair", "half, raw", "NaN", "CRLF", "BOM", "twice", "100 kB", "decomposed"],
)
def test_odd_lines_are_windows_too(patterns: str, line: bytes, expected: dict[str, str]) -> None:
    result = classify("--patterns", patterns, "--file", "-", "--json", lines=line + b"\n")

    assert (result.exit_code, answers(result)) == (0, [expected]), result.stderr


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"app": 1}', "got `int` - at `$.app`"),
        (b'{"url": ["figma.com"]}', "got `array` - at `$.url`"),
        (b'["Figma"]', "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"app": "Fi', "not JSON"),
        (b'{"app": "Figma"} {"app": "Figma"}', "not JSON"),
        (b'{"app": "\xff"}', "not UTF-8"),
        (b'{"x": ' + b"[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_line_is_named_and_keeps_its_place(patterns: str, line: bytes, told: str) -> None:
    lines = b'{"app": "Figma"}\n\n' + line + b'\n{"url": "figma.com"}\n'
    result = classify("--patterns", patterns, "--file", "-", "--json", lines=lines)

    assert result.exit_code == 1
    assert result.stderr.startswith("line 3: ")
    assert told in result.stderr
    first, bad, last = answers(result)
    assert (first, last) == (BY_APP, BY_URL)
    assert told in bad.pop("error")
    assert bad == NOTHING


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_that_is_too_long_is_named_and_not_kept(end: bytes) -> None:
    class Source:
        """A good line, 64 MB without an end, and a good line."""

        def __init__(self) -> None:
            self.left = [b'{"app": "Figma"}\n', *[b"x" * (1 << 20)] * 64, end + b'{"app": "Figma"}']

        def read(self, size: int = -1) -> bytes:
            return self.left.pop(0) if self.left else b""

    tracemalloc.start()
    first, *others = (window for windows in read_windows(cast(BinaryIO, Source())) for window in windows)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert first == WindowLine("Figma")
    assert others == [BadLine(2, "longer than 1048576 bytes"), *([WindowLine("Figma")] if end else [])]
    assert most < 8 << 20


def test_line_numbers_go_on_over_chunks(patterns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infrastructure.offline.window_lines._CHUNK_BYTES", 40)
    result = classify("--patterns", patterns, "--file", "-", "--json", lines=b'{"app": "Figma"}\n' * 50 + b"x\n")

    assert answers(result)[:50] == [BY_APP] * 50
    assert result.stderr.startswith("line 51: not JSON")


def test_a_file_as_tables_of_tiers_categories_and_what_stayed_unknown(patterns: str) -> None:
    windows = [
        *[{"app": "Figma"}] * 3,
        *[{"app": "Google Chrome", "url": "https://figma.com/"}] * 4,
        *[{"app": "Safari", "url": f"https://www.unknown.io/{n}"} for n in range(2)],
        {"app": "Nob[b]ody\x1b"},
        {"title": "x"},
    ]
    result = classify("--patterns", patterns, "--file", "-", lines=lines_of(windows))

    assert result.exit_code == 0
    rows = [re.split(" {2,}", line) for line in result.stdout.splitlines() if line.endswith("%")]
    assert rows == [
        ["url", "4", "36.4 %"],
        ["unknown", "4", "36.4 %"],
        ["app", "3", "27.3 %"],
        ["Design", "7", "63.6 %"],
        ["www.unknown.io", "2", "18.2 %"],
        ["Nob[b]ody\\x1b", "1", "9.1 %"],
    ]
    assert "11 windows in" in result.stdout


def test_an_empty_file_is_no_error(patterns: str) -> None:
    for arguments in ([], ["--json"]):
        assert classify("--patterns", patterns, "--file", "-", *arguments, lines=b"").exit_code == 0


# Another set of patterns


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "not JSON"),
        ("{}", "not an array"),
        ("[1]", "item 1: Expected `object`"),
        ('[{"category": "A"}, {"priority": 1}]', "item 2: Object missing required field `category`"),
        ('[{"category": ""}]', "item 1: category is empty"),
        ('[{"category": "\\ud800"}]', "item 1 (\\ud800): category is no text"),
        ('[{"category": "A", "priority": "1"}]', "item 1 (A): Expected `int | float | null`, got `str`"),
        ('[{"category": "A", "priority": 1.5}]', "item 1 (A): priority is not a whole number"),
        ('[{"category": "A", "appPatterns": "x"}]', "item 1 (A): Expected `array | null`, got `str`"),
        ('[{"category": "A", "domainPatterns": ["x", null]}]', "at `$.domainPatterns[1]`"),
    ],
)
def test_patterns_of_a_wrong_form_are_named(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "patterns.json"
    file.write_text(text, encoding="utf-8")
    result = classify("--patterns", str(file), "--app", "x")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert told in result.stderr


def test_broken_patterns_are_reported_and_skipped(tmp_path: Path) -> None:
    file = tmp_path / "patterns.json"
    broken = {"category": "Design", "appPatterns": ["Figma", "\ud800"], "domainPatterns": ["com", "figma.com"]}
    file.write_text(json.dumps([broken]), encoding="utf-8")
    result = classify("--patterns", str(file), "--url", "figma.com", "--json")

    assert answers(result) == [{**BY_URL, "also": []}]
    assert sorted(result.stderr.splitlines()) == [
        "skipped '\\ud800' of Design: app pattern: no letter or digit in it, or far too long for an app's name",
        "skipped 'com' of Design: url pattern: would match nearly every site",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Say what to classify"),
        (["--app", "x", "--file", "-"], "Say what to classify"),
        (["--file", "-", "--why"], "--why is for one window"),
        (["--file", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["--patterns", "nowhere.json", "--app", "x"], "nowhere.json: No such file"),
    ],
)
def test_nothing_is_guessed_at(arguments: list[str], told: str) -> None:
    result = classify(*arguments)

    assert result.exit_code == 2, result.output
    assert told in result.stderr
