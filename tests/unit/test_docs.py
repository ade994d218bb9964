"""What the pages for people name exists: commands, make targets, settings, metrics, paths and links."""

import importlib
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from domains.patternClassifier.model import Tier
from domains.pomodoro.model import Stage
from infrastructure.composition.reference_pages import metrics_page
from infrastructure.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "deploy/*.md", "bench/*.md")
    for page in ROOT.glob(pattern)
    if page.name != "CHANGELOG.md"  # it tells of what is gone
)
SETTINGS = {name.upper() for name in Settings.model_fields}
OTHER_NAMES = {
    "COLLECT_TOKEN",  # of cmd.bridge
    "AWS_ACCESS_KEY_ID",  # of every S3 client
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "MONGO_TEST_URI",  # of the tests
    "POSTGRES_TEST_URL",  # of the tests
    "OPTIONAL_TIERS",  # in infrastructure/settings
    "POMOCORE_MONGO_PASSWORD",  # of compose.yaml
    "MONGO_INITDB_ROOT_PASSWORD",
    "MONGO_INITDB_ROOT_USERNAME",
    "REDISCLI_AUTH",
    "SUPERSET_PASSWORD",
    "SUPERSET_SECRET_KEY",
    "POMOCORE_REDIS_PASSWORD",
}
"""Names in capitals with an underscore that are not settings."""

MAX_README_WORDS = 700

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_of(text: str) -> list[str]:
    """The lines of code blocks, without their comments, and the pieces of code in sentences and tables."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line.split(" #")[0] for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return lines + [code.replace("\\|", "|") for code in re.findall(r"`([^`\n]+)`", prose)]


# Commands


def commands_of(text: str) -> list[tuple[str, list[str]]]:
    """Modules that are run by `python -m`, each with its arguments."""
    found = (re.search(r"python -m ([\w.]+)(?![\w.]*<)([^#>]*)", code) for code in code_of(text))
    return [(match[1], re.split(r"[\s()]+", match[2].strip())) for match in found if match]


def faults_of_command(module: str, arguments: list[str]) -> Iterator[str]:
    if importlib.util.find_spec(module) is None:
        yield "there is no such module"
    elif module.startswith("cmd."):
        command: Any = typer.main.get_command(importlib.import_module(module).app)
        if hasattr(command, "commands") and arguments and arguments[0] and arguments[0][0] != "-":
            for name in arguments.pop(0).split("|"):
                if name not in command.commands:
                    yield f"there is no subcommand {name}"
                else:
                    yield from faults_of_options(command.commands[name], arguments)
        else:
            yield from faults_of_options(command, arguments)


def faults_of_options(command: Any, arguments: list[str]) -> Iterator[str]:
    known = {"--help", *(name for parameter in command.params for name in parameter.opts)}
    for option in arguments:
        if option.startswith("--") and option.partition("=")[0] not in known:
            yield f"there is no option {option}"


@each_page
def test_commands_on_a_page_can_be_run(page: Path) -> None:
    faults = [
        f"python -m {module} {' '.join(arguments)}: {fault}"
        for module, arguments in commands_of(text_of(page))
        for fault in faults_of_command(module, list(arguments))
    ]

    assert faults == []


@each_page
def test_make_targets_on_a_page_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {name for code in code_of(text_of(page)) for name in re.findall(r"(?:^|\s)make ([a-z][\w-]*)", code)}

    assert named - targets == set()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("python -m cmd.nothing", "there is no such module"),
        ("python -m cmd.status --loud", "there is no option --loud"),
        ("python -m cmd.dead_letters list|burn", "there is no subcommand burn"),
        ("python -m cmd.dead_letters list --loud", "there is no option --loud"),
    ],
)
def test_a_command_that_cannot_be_run_is_found(line: str, fault: str) -> None:
    ((module, arguments),) = commands_of(f"```\n{line}\n```\n")

    assert list(faults_of_command(module, arguments)) == [fault]


def test_the_page_of_commands_has_every_command() -> None:
    modules = {f"cmd.{path.stem}" for path in (ROOT / "cmd").glob("[a-z]*.py")}
    named = {module for module, _ in commands_of(text_of(ROOT / "docs" / "commands.md"))}

    assert modules - named == set()


# Settings and metrics


def settings_of(text: str) -> set[str]:
    """Names with an underscore wherever they stand, and others where a value follows them."""
    assigned = {name for code in code_of(text) for name in re.findall(r"(?:^|\s)([A-Z][A-Z0-9_]+)=", code)}
    return assigned | set(re.findall(r"(?<![\w{-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w.])", text))


@each_page
def test_settings_on_a_page_exist(page: Path) -> None:
    variables_of_make = {"ARGS", "ROUNDS", "SEED", "JOBS"}

    assert settings_of(text_of(page)) - SETTINGS - OTHER_NAMES - variables_of_make == set()


@each_page
def test_metrics_on_a_page_exist(page: Path) -> None:
    metrics = set(re.findall(r"^\| `(\w+)`", metrics_page(), re.MULTILINE))
    named = set(re.findall(r"\bpomocore_[a-z_]*[a-z]", text_of(page)))

    assert named - metrics == set()


# Paths and links


@each_page
def test_paths_on_a_page_exist(page: Path) -> None:
    rooms = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
    named = {code for code in code_of(text_of(page)) if re.fullmatch(rf"({rooms})/[\w./-]*", code)}

    assert {path for path in named if not (ROOT / path).exists()} == set()


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    return [
        link
        for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page))
        if not link.startswith(("http://", "https://")) and not is_there(page, *link.partition("#")[::2])
    ]


def is_there(page: Path, path: str, anchor: str) -> bool:
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors_of(target))


@each_page
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


# What a page promises to have


def test_the_readme_is_short() -> None:
    assert len(text_of(ROOT / "README.md").split()) <= MAX_README_WORDS


def test_contributing_has_every_room() -> None:
    rooms = {
        path.parent.name for path in ROOT.glob("*/*/__init__.py") if path.parts[-3] in {"domains", "infrastructure"}
    }
    named = set(re.findall(r"\w+", " ".join(code_of(text_of(ROOT / "CONTRIBUTING.md")))))

    assert rooms - named == set()


def test_the_page_of_classification_has_every_tier() -> None:
    assert {tier.value for tier in Tier} - set(code_of(text_of(ROOT / "docs" / "classification.md"))) == set()


def test_how_it_works_has_every_stage() -> None:
    assert {stage.value for stage in Stage} - set(code_of(text_of(ROOT / "docs" / "how-it-works.md"))) == set()


# Korean


TRANSLATED = {ROOT / "README.ko.md": ROOT / "README.md"} | {
    page: ROOT / ("deploy" if page.name == "runbook.md" else "docs") / page.name
    for page in sorted((ROOT / "docs" / "ko").glob("*.md"))
}


def sections_of(page: Path) -> list[str]:
    """The text before the first heading of second or third order, and that of each such heading."""
    prose = re.sub(
        r"^```.*?^```", lambda block: block[0].replace("\n#", "\n "), text_of(page), flags=re.DOTALL | re.M
    )
    return re.split(r"^##+ ", prose, flags=re.MULTILINE)


def names_in(section: str) -> set[str]:
    commands = {" ".join(["python -m", module, *arguments]).strip() for module, arguments in commands_of(section)}
    targets = {name for code in code_of(section) for name in re.findall(r"(?:^|\s)(make [a-z][\w-]*)", code)}
    return settings_of(section) | commands | targets


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_korean_page_has_the_sections_of_the_english_one(page: Path) -> None:
    assert len(sections_of(page)) == len(sections_of(TRANSLATED[page]))


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_korean_page_names_what_the_english_one_names(page: Path) -> None:
    pairs = zip(sections_of(page), sections_of(TRANSLATED[page]), strict=False)

    different = {korean.partition("\n")[0]: names_in(korean) ^ names_in(english) for korean, english in pairs}

    assert {section: names for section, names in different.items() if names} == {}


def test_the_korean_runbook_has_every_alert_under_its_name() -> None:
    korean, english = (sections_of(page)[1:] for page in (ROOT / "docs/ko/runbook.md", ROOT / "deploy/runbook.md"))

    assert [it.partition("\n")[0] for it in korean] == [it.partition("\n")[0] for it in english]
    for one, other in zip(korean, english, strict=True):
        assert set(re.findall("`[^`]+`", one)) == set(re.findall("`[^`]+`", other)), one.partition("\n")[0]
