"""`cmd.classify` as a process of its own, which needs nothing of its surroundings."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import DEADLINE, ROOT

COMMAND = [sys.executable, "-m", "cmd.classify"]
DRIVERS = [
    "openai",
    "motor",
    "pymongo",
    "redis",
    "structlog",
    "dependency_injector",
    "infrastructure.settings",
]


def run(*arguments: str | bytes, lines: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=env, input=lines, capture_output=True, check=False, timeout=DEADLINE
    )


@pytest.mark.parametrize("env", [{}, {"APP_ENV": "prod"}, {"APP_ENV": "no such", "BATCH_SIZE": "x", "LC_ALL": "C"}])
def test_it_needs_no_settings(env: dict[str, str]) -> None:
    result = run("--app", "카카오톡 베타", "--json", **env)

    assert (result.returncode, result.stderr) == (0, b"")
    assert json.loads(result.stdout)["pattern"] == "카카오톡"


def test_arguments_that_are_no_text_are_answered() -> None:
    for form in ([], ["--json"], ["--why"], ["--why", "--json"]):
        result = run("--app", b"Figma \xff", "--url", b"https://\xed\xa0\x80.figma.com/", *form)
        assert (result.returncode, result.stderr) == (0, b""), form
        assert b"figma.com" in result.stdout


def test_a_reader_that_goes_away_gets_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "windows.jsonl"
    file.write_bytes(b'{"app": "Figma"}\n' * 100_000)
    with subprocess.Popen(
        [*COMMAND, "--file", str(file), "--json"], cwd=ROOT, env={}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_it_loads_no_driver() -> None:
    code = f"import sys, cmd.classify; print([name for name in {DRIVERS} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
