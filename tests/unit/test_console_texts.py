"""The console's texts: the same in each language, all of them there, and none that nothing shows."""

import ast
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import fields
from itertools import product
from pathlib import Path
from string import Formatter

import msgspec
import pytest

from domains.activityEvent.quality import PROBLEMS, SourceQuality
from domains.focusCard.model import RunFigures
from domains.focusCard.runs import CardRuns
from domains.kernel.errors import OutageKind
from domains.kernel.window import Window
from domains.operations.model import ENDS, Instance, Outcome, StreamFigures
from domains.patternClassifier.explain import explain
from domains.patternClassifier.model import Tier
from domains.patternClassifier.rules import RuleSet
from domains.pomodoro.consumer import ConsumerVitals
from domains.pomodoro.correcting import Applied
from domains.pomodoro.model import DeadLetter, DeadLetterKind, Lane, RepairedDocuments
from domains.pomodoro.period_reclassification import Changed
from domains.pomodoro.rebuild import Rebuilt
from domains.siteProfile.crawl import Crawled
from domains.siteProfile.model import SiteProfile, as_json
from infrastructure.cards.webhooks import CardWebhooks
from infrastructure.http import analytics
from infrastructure.http.labels import texts
from infrastructure.http.page import console_files
from infrastructure.observing.readable import counted
from infrastructure.operations.health import Check, assess, no_patterns, stuck_loops
from infrastructure.operations.retention import Expired
from infrastructure.operations.task_registry import TASKS, in_plain_words
from infrastructure.operations.tasks import Tasks
from infrastructure.patterns.sites import known_sites
from infrastructure.redis.dead_letters import _NOT_PUBLIC
from infrastructure.redis.rebuild import _LOST
from infrastructure.settings import describe_settings, load_settings
from tests.messages import MAX_BYTES, message, parser
from tests.unit import test_explain as explained

ROOT = Path(__file__).parents[2]

FILES = {name: file.body.decode() for name, file in console_files().items()}
SOURCES = "\n".join(body for name, body in FILES.items() if name.endswith(".js"))
NAMED = {
    *re.findall(r'\bt\("([\w.-]+)"', SOURCES),
    *re.findall(r'data-t(?:-[\w-]+)?="([\w.-]+)"', FILES["console.html"]),
}
BEGUN = set(re.findall(r"`([a-z][\w.-]*\.(?:[\w-]*-)?)\$\{", SOURCES))
"""Beginnings of keys of which the scripts put together the rest."""
QUOTED = set(re.findall(r'"([a-z][\w.-]+)"', SOURCES))
OF_SERVER = {
    f"{kind}.{name}{what}"
    for kind, names in (("tier", Tier), ("lane", Lane))
    for name in names
    for what in ("", ".meaning")
}
OF_SERVER |= set(re.findall(r"""said\[["']([a-z][\w.-]+)["']\]""", Path(analytics.__file__).read_text()))
OF_SERVER |= {
    f"quality.{it.name}" for it in fields(SourceQuality) if it.name not in ("source", "invalid", "problems")
}
OF_SERVER |= {f"quality.problem.{name}" for name, *_ in PROBLEMS}


OF_KOREAN = ("setting.", "task.", "measure.", "param.", "figure.")
"""Beginnings of keys of what the server says in English itself."""


def names_in(text: str) -> set[str]:
    return {name for part in text.split("|") for _, name, _, _ in Formatter().parse(part) if name}


def test_languages_have_the_same_texts_with_the_same_figures_in_them() -> None:
    english, korean = texts("en"), texts("ko")

    assert english.keys() == {key for key in korean if not key.startswith(OF_KOREAN)}
    assert {key for key in english if names_in(english[key]) != names_in(korean[key])} == set()


def figures_of_tasks() -> set[str]:
    """The names of what tasks tell."""
    tell = {
        name
        for it in (RepairedDocuments, Changed, Rebuilt, Crawled, Applied, Expired, RunFigures)
        for name in it._fields
    }
    sources = [Path(str(sys.modules[it.__module__].__file__)).read_text() for it in (Tasks, CardRuns, CardWebhooks)]
    told = [
        line for text in sources for line in text.splitlines() if re.search(r"\breturn(?! NewJob)|told: dict", line)
    ]
    site = as_json(SiteProfile("a.b", 1.0))
    named = {name for line in told for name in re.findall(r'"(\w+)": ', line)} | site.keys()
    return (tell | named) - {"why", "evidence", "facts", "visited_at", "type", "attachments"}


def test_what_settings_and_tasks_are_for_is_said_in_korean() -> None:
    """In English they say it themselves."""
    described = describe_settings()
    wanted = {f"setting.{it.name}" for it in described} | {f"task.{name}" for name in TASKS}
    wanted |= {f"measure.{it.unit}" for it in described if it.unit}
    wanted |= {f"param.{task.name}.{name}" for task in TASKS.values() for name in task.parameters}
    wanted |= {f"figure.{name}" for name in figures_of_tasks()}

    assert wanted == {key for key in texts("ko") if key.startswith(OF_KOREAN)}
    for setting in described:
        said, named = texts("ko")[f"setting.{setting.name}"], r"[A-Z]+(?:_[A-Z0-9]+)+"
        assert set(re.findall(named, setting.description)) == set(re.findall(named, said)), setting.name


def test_each_text_that_is_asked_for_is_there() -> None:
    kinds = {f"outage.{kind}" for kind in OutageKind} | {f"died.{kind}" for kind in DeadLetterKind}

    assert (NAMED | OF_SERVER | kinds) - texts("en").keys() == set()


def test_english_knows_the_form_for_one() -> None:
    alike = {"unit.days"}  # two or more
    counts = re.compile(r"\{(?:n|windows|written|logs)\} (?!ms\b)[a-z]+s\b")

    assert {key for key, text in texts("en").items() if counts.search(text) and "|" not in text} <= alike


def test_no_text_is_left_over() -> None:
    shown = NAMED | OF_SERVER | QUOTED

    assert {key for key in texts("en") if key not in shown and not key.startswith(tuple(BEGUN))} == set()


KOREAN = [
    re.compile(json.loads(english)) for english in re.findall(r'^  \[("(?:[^"\\]|\\.)*"), ', FILES["said.js"], re.M)
]


def clauses(text: str) -> list[str]:
    """The sentence's clauses, and those within them, each of which is to be in the table."""
    found = []
    for part in text.split("; "):
        found.append(part)
        if inner := re.fullmatch(
            r"(?:provisional|the title was not read|the name read in another way \(.+\)): (.+)", part
        ):
            found.append(inner[1])
    return found


def test_every_reason_of_a_decision_can_be_said_in_korean() -> None:
    rules = RuleSet(explained.PATTERNS, explained.ADDITIONS, known_sites())
    words = ("", "Figma", "Google Chrome", "Figma Beta", "figma.com", "Code - Insiders", "!", "x" * 300, "구글 크롬")
    urls = (
        "",
        "figma.com/file/x",
        "docs.figma.com/file",
        "a.b/design-kit/kit",
        "x.io/a/b",
        "www.x.io/b",
        "file:",
        "docs.x.io",
    )
    said = set[str]()
    for app, url, title in product(words, urls, ("", "Sketch - Google Chrome", "a page")):
        trace = explain(rules, Window(app, url, title))
        said |= {trace.note, *(step.reason for step in (*trace.matched, *trace.missed))}

    unknown = {part for text in said - {""} for part in clauses(text) if not any(it.fullmatch(part) for it in KOREAN)}

    assert len(said) > 30
    assert unknown == set()


def untranslated(said: Iterable[str]) -> set[str]:
    return {part for text in said for part in text.split("; ") if not any(it.fullmatch(part) for it in KOREAN)}


def test_every_reason_of_a_dead_letter_can_be_said_in_korean() -> None:
    wrong = dict.fromkeys(("duration", "timestamp", "session", "sessionMinutes", "isEnd", "sessionDate"), "\x00?")
    wrong |= dict.fromkeys(("categorizedDataId", "pomodoroUsageLogId"), "x") | {"userId": ""}
    wrong |= {"app": "x" * 2000, "title": "\udc80"}
    entries = [message(**{name: value}) for name, value in wrong.items()]
    entries += [message(**{name: None}) for name in ("userId", "duration", "timestamp", "session", "sessionDate")]
    entries += [message(title="x" * MAX_BYTES), message(categorizedDataId="a" * 24), message(duration="1e9")]
    entries += [message(timestamp="1"), message(title=None, duration="-1", session="-1")]
    parsed = [parser().parse("7-0", entry) for entry in entries]
    letters = [it for it in parsed if isinstance(it, DeadLetter)]
    said = {text for it in letters for text in (it.reason, it.public_reason)}
    said |= {DeadLetter("1-0", "", {}).public_reason, "a job failed at every try", _NOT_PUBLIC}

    assert len(letters) == len(entries)
    assert {it.kind for it in letters} == {*DeadLetterKind} - {DeadLetterKind.FAILED, DeadLetterKind.UNKNOWN}
    assert untranslated(said) == set()


def test_every_problem_can_be_said_in_korean() -> None:
    settings = load_settings(redis_addr="redis:1", mongo_uri="mongodb://mongo:1")
    silent = Instance("one", 3, 1e6)
    figures = StreamFigures("stream", 10**9, 1, True, 1e5, 3, 300.0, 0, 2.0, 0, 0, [silent], {"other": 5000.0})
    checks = {"patterns": Check(False, no_patterns(settings)), "consumer": Check(False, "stopping")}
    _, problems = assess(checks, [figures], settings)
    stuck = stuck_loops(ConsumerVitals(0, 0, False, False, {"read": 1e4}), 1.0)

    assert len(problems) > 6
    assert untranslated([*problems, *stuck]) == set()


def test_the_usual_reasons_why_a_task_failed_can_be_said_in_korean() -> None:
    sources = [*ROOT.glob("domains/**/*.py"), *ROOT.glob("infrastructure/**/*.py")]
    raised = [
        call.args[0]
        for path in sources
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("TaskRefused", "NoSite") and call.args
    ]
    said = {text for it in raised if not isinstance(it, ast.Name) for text in [_said(it)]}
    said |= {_LOST, "CARD_WEBHOOKS is not set", "there is no card of the week of 2025-09-01"}
    for params in ({"date": "x"}, {"period": "x"}):
        with pytest.raises(msgspec.ValidationError) as fault:
            msgspec.convert(params, TASKS["rebuild_leaderboard"].params)
        said.add(in_plain_words(fault.value))

    assert len(said) > 14
    assert untranslated(said) == set()


def _said(expression: ast.expr) -> str:
    if isinstance(expression, ast.JoinedStr):
        return "".join(_said(part) if isinstance(part, ast.Constant) else "3" for part in expression.values)
    assert isinstance(expression, ast.Constant), ast.unparse(expression)
    return str(expression.value)


def test_every_change_of_the_audit_can_be_said_in_korean() -> None:
    calls = r'(?:changed\(request|note_change\(container|_note\(settings|_begin\(request, \w+), f?"([^"{][^"]*)"'
    sources = [*ROOT.glob("infrastructure/http/*.py"), *ROOT.glob("cmd/*.py")]
    said = {text for path in sources for text in re.findall(calls, path.read_text())}

    assert len(said) > 10
    assert untranslated(re.sub(r"\{[^}]*\}", "x", text) for text in said) == set()
    assert untranslated(["replayed a dead letter", "corrected (a, b) and replayed dead letters"]) == set()


def test_how_every_change_ended_can_be_said_in_korean() -> None:
    calls = r'(?:changed\(request|note_change\(container)[^\n]*, f?"((?:[^"{]|\{[^}]*\})+)"\)'
    sources = [*ROOT.glob("infrastructure/http/*.py"), *ROOT.glob("cmd/*.py")]
    found = {
        text
        for path in sources
        for text in re.findall(calls, path.read_text())
        if "{" in text and "counted" not in text and "{changed}" not in text
    }
    said = {re.sub(r"\{[^}]*\}", "3", text) for text in found}

    assert len(said) > 3, said
    assert untranslated(said) == set()
    counts = (counted(number, noun) for number in (1, 1234) for noun in ("event", "item"))
    assert untranslated(f"{it} added" if "event" in it else it for it in counts) == set()
    assert (
        untranslated(["1 usage log changed, 1 board", "3 changed, 1 board", "1,234 usage logs changed, 2 boards"])
        == set()
    )
    assert untranslated([*Outcome, "done", "3 items, 3 left", "3 replayed: 1 committed, 1 died, 1 waiting"]) == set()
    assert untranslated(f"{state}; reason: it failed" for state in ENDS) == set()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_text_is_empty(language: str) -> None:
    assert {key for key, text in texts(language).items() if not text} <= {"locked.open"}
