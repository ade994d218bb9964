"""That every script is whole, says what it is, and is put together from what it needs."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from domains.leaderboard.model import NOTHING_SECONDS
from infrastructure.redis import scripts
from tests.servers import documented_user

FOLDER = Path(str(files(scripts)))
NAMES = sorted(path.stem for path in FOLDER.glob("*.lua"))
SHARED = {
    path.stem: re.findall(r"^local function (\w+)", path.read_text(), re.M) for path in FOLDER.glob("shared/*.lua")
} | {"NOTHING_SECONDS": ["NOTHING_SECONDS"]}


def _parts(name: str) -> tuple[str, str]:
    """Head and body."""
    head, _, body = (FOLDER / f"{name}.lua").read_text().partition("\n\n")
    return head, body


def test_the_documented_permissions_are_no_more_than_what_is_used() -> None:
    """That they suffice is shown by all tests whose `settings` connect as that user."""
    scripts_and_adapters = [*FOLDER.rglob("*.lua"), *FOLDER.parent.glob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in scripts_and_adapters)
    quoted = {word.lower() for word in re.findall(r"""['"]([A-Z]+)['"]""", text)}
    used = quoted | set(re.findall(r"\b_?(?:client|pipeline|channel)\.(\w+?)(?:_iter)?\b", text))
    of_the_client = {"auth", "hello", "client", "select", "multi", "exec", "evalsha", "script", "unsubscribe"}
    of_a_cluster = {"cluster", "command", "readonly"}

    allowed = {word[1:] for word in documented_user("secret") if word.startswith("+")}

    assert allowed - of_the_client - of_a_cluster <= used


@pytest.mark.parametrize("name", NAMES)
def test_every_script_has_a_name_in_the_module(name: str) -> None:
    assert getattr(scripts, name.upper()).endswith((FOLDER / f"{name}.lua").read_text())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["Atomic", "KEYS  ", "ARGV  ", "Returns "])
def test_the_head_of_every_script_says(name: str, part: str) -> None:
    assert f"\n-- {part}" in _parts(name)[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_script_declares_exactly_what_it_uses_of_the_shared_parts(name: str) -> None:
    head, body = _parts(name)
    declared = {part for line in re.findall(r"^-- Needs: (.+)$", head, re.M) for part in line.split(", ")}

    assert declared == {part for part, given in SHARED.items() if any(re.search(rf"\b{it}\b", body) for it in given)}


def test_what_is_needed_stands_in_front_with_the_value_that_python_uses() -> None:
    assert scripts.REPLAY_SCORE.startswith(f"local NOTHING_SECONDS = {NOTHING_SECONDS!r}\n-- How the score of a user")


def test_what_a_shared_part_needs_stands_once_and_in_front_of_it() -> None:
    raising = scripts.COMMIT.index("local function raise(")

    assert scripts.COMMIT.index("local NOTHING_SECONDS") < raising
    assert scripts.COMMIT.index("local function failure") < raising
    assert scripts.COMMIT.count("local function failure") == 1
