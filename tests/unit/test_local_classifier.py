"""The local classifier: trained on a small world of sites, apps and titles, written, read, and asked."""

import asyncio
import builtins
import importlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.window import Window
from domains.patternClassifier.questions import Question, Questions
from domains.pomodoro.model import CategorizedData
from domains.siteProfile.model import EvidenceKind, PageFacts, SiteEvidence, SiteProfile, SiteState
from infrastructure.composition.container import running_store
from infrastructure.local_classifier import training
from infrastructure.local_classifier.features import BUCKETS, VERSION, features
from infrastructure.local_classifier.linear import LinearModel, ModelCard, ModelFileError, load_model
from infrastructure.local_classifier.past_answers import past_answers, site_texts
from infrastructure.local_classifier.training import (
    Measures,
    TooLittleData,
    most_frequent,
    train,
    windows_of_patterns,
)
from infrastructure.memory.repositories import InMemoryCategorizedDataRepository
from infrastructure.memory.site_profiles import InMemorySiteProfileRepository
from infrastructure.settings import Settings
from tests.messages import DEVELOPMENT, SNS, categorized, patterns

KINDS = {"Education": ("school", "학교"), "Game": ("games", "게임"), "Finance": ("bank", "은행")}


def small_world() -> dict[Question, str]:
    """Sites and apps that end in a word for their category, and as many that say nothing."""
    windows, random = {}, Random(1)
    for number in range(60):
        name = f"{chr(97 + number % 26)}{number * 7919 % 1009:x}q"
        for category, (english, korean) in KINDS.items():
            windows[Question("", f"{name}{english}.com", "")] = category
            windows[Question(f"{name} {korean}", "", "")] = category
            windows[Question("", f"{random.randrange(1 << 40):x}.net", "")] = random.choice(list(KINDS))
            windows[Question(f"{random.randrange(1 << 40):x}", "", "")] = random.choice(list(KINDS))
    return windows


@pytest.fixture(scope="module")
def trained() -> tuple[LinearModel, Measures]:
    return train(small_world(), 0.9)


@pytest.fixture
def model(trained: tuple[LinearModel, Measures]) -> LinearModel:
    return trained[0]


@pytest.fixture
def file(model: LinearModel, tmp_path: Path) -> Path:
    model.save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


UNSEEN = [
    (Question("", "unseenschool.com", ""), "Education"),
    (Question("", "unseengames.com", ""), "Game"),
    (Question("무엇 은행", "", ""), "Finance"),
]
NOTHING_KNOWN = [Question("", "zzyzx.io", ""), Question("Wwwv", "", ""), Question("", "", ""), Question("", "/", "")]


# Answers


def test_it_decides_what_looks_like_what_it_knows(model: LinearModel) -> None:
    assert model.predict([question for question, _ in UNSEEN]) == [category for _, category in UNSEEN]


def test_it_does_not_decide_what_it_knows_nothing_of(model: LinearModel) -> None:
    assert model.predict(NOTHING_KNOWN) == [None] * len(NOTHING_KNOWN)


def test_below_the_threshold_there_is_no_answer(model: LinearModel) -> None:
    (question, category) = UNSEEN[0]
    confidence = float(model.confidence([question]).max())

    below, above = (
        LinearModel(model._weights, model._bias, replace(model.card, threshold=confidence + change)).predict(
            [question]
        )
        for change in (-0.01, 0.01)
    )

    assert (below, above) == ([category], [None])


def test_no_questions_have_no_answers(model: LinearModel) -> None:
    assert model.predict([]) == []


@pytest.mark.parametrize(
    "question",
    [
        Question("\ud800", "\udfff.com/\ud800", "\ud800"),
        Question("x" * 100_000, "", "y" * 100_000),
        Question("", "." * 5000, "\0\n\t"),
        Question("", "[::1]/a", "🍜"),
        Question("", "///", "\u0301" * 1000),
    ],
    ids=["surrogates", "long", "dots", "ipv6", "marks"],
)
def test_any_text_has_an_answer_or_none(model: LinearModel, question: Question) -> None:
    (answer,) = model.predict([question])

    assert answer is None or answer in model.card.categories


def test_an_answer_does_not_depend_on_the_others(model: LinearModel) -> None:
    questions = [question for question, _ in UNSEEN] + NOTHING_KNOWN

    assert model.predict(questions) == [answer for question in questions for answer in model.predict([question])]


# Features


def test_a_title_that_was_never_trained_on_changes_nothing(model: LinearModel) -> None:
    question = UNSEEN[0][0]

    with_title = model.confidence([question._replace(title="게임 games bank 은행")])

    assert np.array_equal(with_title, model.confidence([question]))


def test_titles_are_learnt_where_answers_have_them() -> None:
    windows = {question._replace(title=f"제목 {KINDS[name][1]}"): name for question, name in small_world().items()}
    model, _ = train(windows, 0.9)

    assert model.predict([Question("", "zzyzx.io", "새로운 게임을")]) == ["Game"]  # with a particle


def test_beside_a_site_the_app_is_not_looked_at() -> None:
    site = Question("Google Chrome", "figma.com", "")

    assert features(site) == features(site._replace(app="Safari"))


def test_decomposed_hangul_and_case_are_folded() -> None:
    assert features(Question("\u110f\u1161\u1110\u1169\u11a8", "", "A")) == features(Question("카톡", "", "a"))


def test_the_fields_share_no_row() -> None:
    place, title = features(Question("", "figma.com/a", "figma"))

    assert max(place) < BUCKETS <= min(title) < 2 * BUCKETS


# Training


def test_its_measures_are_those_of_sites_it_has_not_seen(trained: tuple[LinearModel, Measures]) -> None:
    model, result = trained

    assert result.windows + model.card.trained_on == len(small_world())
    assert result.decided == sum(row.named for row in result.categories.values())
    assert 0 < result.coverage < 1  # half of them say nothing
    assert result.precision >= 0.85
    assert (model.card.precision, model.card.coverage) == (result.precision, result.coverage)


def test_the_same_site_is_never_on_both_sides() -> None:
    sites = ["figma.com", "help.figma.com/en", "figma.co.kr"]
    windows = {Question("", site.replace("figma", f"figma{n}"), ""): "Design" for n in range(40) for site in sites}
    windows |= {Question(f"Figma{n} Desktop", "", ""): "Design" for n in range(40)}

    train_side, test_side = training._split(windows, seed=1)

    assert train_side
    assert test_side
    assert {training._owner(question) for question in train_side}.isdisjoint(map(training._owner, test_side))
    assert len({training._owner(question) for question in windows}) == 40


def test_a_site_of_many_titles_is_not_all_that_is_learnt() -> None:
    windows = small_world() | {Question("", "github.com", str(number)): "Development" for number in range(1000)}

    sides = training._split(windows, seed=0)

    assert sum(question.site == "github.com" for side in sides for question in side) == 50


def test_the_same_seed_makes_the_same_model(model: LinearModel) -> None:
    again, _ = train(small_world(), 0.9)

    assert again.card == model.card
    assert np.array_equal(again._weights, model._weights)


def test_luck_with_a_few_does_not_set_the_threshold() -> None:
    assert training._surely(np.array([20]), np.array([20]))[0] < 0.96
    assert training._surely(np.array([960]), np.array([1000]))[0] > 0.95


@pytest.mark.parametrize(
    ("windows", "told"),
    [
        ({Question(str(n), "", ""): "Game" for n in range(50)}, "50 windows are too few"),
        ({Question(str(n), "", ""): "Game" for n in range(300)}, "one category"),
        ({Question("a", "", str(n)): ("Game", "SNS")[n % 2] for n in range(300)}, "too few sites and apps"),
        ({Question(f"{n * 7919}", "", ""): ("Game", "SNS")[n % 2] for n in range(300)}, "no confidence reaches"),
    ],
    ids=["few", "one_category", "one_app", "nothing_to_learn"],
)
def test_too_little_is_said_to_be_too_little(windows: dict[Question, str], told: str) -> None:
    with pytest.raises(TooLittleData, match=told):
        train(windows, 0.99)


def test_windows_come_from_patterns_that_name_an_app_or_a_host() -> None:
    found = windows_of_patterns(
        [
            CategoryPattern(
                "a" * 24, "Design", 1, ("Figma",), ("*.figma.com", "google.com/search", "swagger-ui", "*")
            ),
            CategoryPattern("b" * 24, "SNS", 2, ("Figma",), ()),
            CategoryPattern("c" * 24, "Uncategorized", None, ("Nothing",), ()),
        ]
    )

    assert found == {
        Question("Figma", "", ""): "Design",
        Question("", "figma.com", ""): "Design",
        Question("", "google.com/search", ""): "Design",
    }


def test_of_several_answers_the_most_frequent_counts() -> None:
    question = Question("a", "", "")

    assert most_frequent([(question, "SNS"), (question, "Game"), (question, "Game")]) == {question: "Game"}


# Files


def test_a_model_that_was_written_answers_as_before(model: LinearModel, file: Path) -> None:
    loaded = load_model(file)
    questions = [*small_world(), *NOTHING_KNOWN]

    assert loaded.card == model.card
    assert loaded.predict(questions) == model.predict(questions)


def test_writing_leaves_one_file(file: Path, model: LinearModel) -> None:
    model.save(file)

    assert [path.name for path in file.parent.iterdir()] == ["model.npz"]


def card(**changes: Any) -> np.ndarray[Any, Any]:
    good = asdict(ModelCard(("Game", "SNS"), 0.9, 0.95, 0.1, 100)) | changes
    return np.frombuffer(json.dumps(good).encode(), dtype=np.uint8)


PARTS: dict[str, Any] = {
    "weights": np.zeros((2 * BUCKETS, 2), np.float16),
    "bias": np.zeros(2, np.float32),
    "card": card(),
}


@pytest.mark.parametrize(
    "changes",
    [
        {"card": card(version=VERSION + 1)},
        {"card": card(categories=["Game"])},
        {"card": card(categories=[1, 2])},
        {"card": card(threshold="high")},
        {"card": card(threshold=0)},
        {"card": card(surprise=1)},
        {"card": np.frombuffer(b"[]", dtype=np.uint8)},
        {"card": np.frombuffer(b"\xff", dtype=np.uint8)},
        {"card": np.array([{"version": VERSION}], dtype=object)},
        {"weights": np.zeros((4, 2), np.float16)},
        {"weights": np.full((2 * BUCKETS, 2), np.nan, np.float16)},
        {"bias": np.array(["a", "b"])},
        {"weights": np.zeros((2 * BUCKETS, 600), np.float16)},
    ],
    ids=[
        "version",
        "fewer_categories",
        "categories_no_text",
        "threshold_no_number",
        "threshold_zero",
        "unknown_field",
        "card_no_object",
        "card_no_text",
        "pickled",
        "shape",
        "nan",
        "text",
        "too_large",
    ],
)
def test_what_is_no_model_of_this_version_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    np.savez_compressed(tmp_path / "good.npz", **PARTS)
    np.savez_compressed(tmp_path / "bad.npz", **{**PARTS, **changes})

    assert load_model(tmp_path / "good.npz").predict([Question("", "", "")]) == [None]
    with pytest.raises(ModelFileError, match=r"bad\.npz: not a model that this version can use"):
        load_model(tmp_path / "bad.npz")


def broken(file: Path) -> bytes:
    content = bytearray(file.read_bytes())
    content[200:400] = bytes(200)
    return bytes(content)


@pytest.mark.parametrize("kind", ["absent", "directory", "empty", "text", "cut", "broken", "other_zip"])
def test_a_file_that_cannot_be_read_is_refused(file: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other.npz"
    contents = {"empty": b"", "text": b"hello", "cut": file.read_bytes()[:-100], "broken": broken(file)}
    if kind == "directory":
        path.mkdir()
    elif kind == "other_zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("card", "hello")
    elif kind in contents:
        path.write_bytes(contents[kind])

    with pytest.raises(ModelFileError, match=r"other\.npz: "):
        load_model(path)


# In the container


@pytest.mark.parametrize("there", [True, False])
async def test_the_container_has_the_model_of_the_data_directory_or_none(file: Path, there: bool) -> None:
    if not there:
        file.unlink()

    async with running_store(Settings(data_dir=file.parent)) as container:
        model = container.local_classifier()

    assert (model is not None) == there


@pytest.mark.parametrize("content", [None, b"hello"], ids=["absent", "foreign"])
async def test_a_model_that_cannot_be_used_is_warned_of_and_done_without(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "named.npz"
    if content is not None:
        path.write_bytes(content)

    async with running_store(Settings(data_dir=tmp_path, model_file=path)) as container:
        assert container.local_classifier() is None

    assert "Local classifier not loaded" in capsys.readouterr().out


def test_without_a_model_file_neither_numpy_nor_scikit_learn_is_loaded(tmp_path: Path) -> None:
    script = (
        "import sys; from dependency_injector import providers; import cmd.train, cmd.stream_consumer;"
        "from infrastructure.composition.container import Container; from infrastructure.settings import Settings;"
        f"container = Container(settings=providers.Object(Settings(data_dir={str(tmp_path)!r})));"
        "assert container.local_classifier() is None; print({'numpy', 'scipy', 'sklearn'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )

    assert done.stdout.strip() == "set()", done.stderr


# The command


def command(*arguments: str, **environment: str) -> Result:
    application = importlib.import_module("cmd.train").app
    return CliRunner().invoke(application, arguments, env={"COLUMNS": "200", "TERM": "dumb"} | environment)


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def blocked(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] in ("sklearn", "scipy"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **named)

    monkeypatch.delitem(sys.modules, "infrastructure.local_classifier.training")
    monkeypatch.setattr(builtins, "__import__", blocked)


@pytest.mark.usefixtures("without_extra")
def test_without_the_extra_the_command_says_how_to_get_it() -> None:
    result = command("--patterns-only")

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "pip install scikit-learn" in result.stderr


@pytest.mark.usefixtures("without_extra")
async def test_without_scikit_learn_a_model_is_used_all_the_same(file: Path) -> None:
    async with running_store(Settings(data_dir=file.parent)) as container:
        model = container.local_classifier()

    assert model.predict([UNSEEN[0][0]]) == [UNSEEN[0][1]]


@pytest.fixture
def small_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    def defaults() -> Sequence[CategoryPattern]:
        return [
            CategoryPattern(
                f"{number:024x}",
                category,
                None,
                tuple(window.app for window, name in small_world().items() if name == category and window.app),
                tuple(window.site for window, name in small_world().items() if name == category and window.site),
            )
            for number, category in enumerate(KINDS)
        ]

    monkeypatch.setattr("infrastructure.patterns.pattern_file.default_patterns", defaults)


@pytest.mark.usefixtures("small_defaults")
def test_the_command_prints_what_it_measured_and_writes_the_model(tmp_path: Path) -> None:
    result = command("--min-precision", "0.9", DATA_DIR=str(tmp_path))

    assert result.exit_code == 0, result.output
    assert "720 windows from patterns, 0 from answers" in result.stderr
    assert [word for word in ("Education", "coverage", "precision", "not seen") if word not in result.stdout] == []
    assert load_model(tmp_path / "model.npz").card.threshold > 0


@pytest.mark.usefixtures("small_defaults")
def test_the_command_learns_from_the_answers_in_the_store(tmp_path: Path) -> None:
    async def fill() -> None:
        async with running_store(Settings(data_dir=tmp_path)) as container:
            await container.category_patterns().save_all(patterns())
            await container.categorized_data().save_all(
                [
                    categorized(number, f"{chr(97 + number % 26)}{number}", "", category, category_id=of_category)
                    for number in range(240)
                    for category, of_category in [(("SNS", SNS), ("Development", DEVELOPMENT))[number % 2]]
                ]
            )

    asyncio.run(fill())
    result = command("--min-precision", "0.9", DATA_DIR=str(tmp_path))

    assert result.exit_code == 0, result.output
    assert "240 from answers" in result.stderr
    (answer,) = load_model(tmp_path / "model.npz").predict([Question("unseen", "", "sns")])
    assert answer == "SNS"


@pytest.mark.usefixtures("small_defaults")
def test_the_command_prints_json_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "m.npz"

    result = command("--patterns-only", "--json", "--min-precision", "0.9", "--output", str(path))

    document = json.loads(result.stdout)
    assert document["file"] == str(path)
    assert document["bytes"] == path.stat().st_size
    assert document["test"]["precision"] == document["test"]["right"] / document["test"]["decided"]
    assert document["test"]["categories"].keys() == KINDS.keys()


@pytest.mark.usefixtures("small_defaults")
def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = command("--patterns-only", "--min-precision", "0.9", "--output", str(tmp_path / "file" / "m.npz"))

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"{tmp_path / 'file' / 'm.npz'}: ")


@pytest.mark.parametrize("precision", ["0", "1", "nan", "2"])
def test_a_precision_that_is_none_is_refused(precision: str) -> None:
    result = command("--min-precision", precision)

    assert result.exit_code == 2
    assert "not between 0 and 1" in result.stderr


async def test_answers_that_say_nothing_are_left_out() -> None:
    known, browsing = patterns()[0], CategoryPattern("b" * 24, "Browsing")
    site, app = Window("Chrome", "https://a.b", ""), Window("Chrome", "", "")

    async def answers(window: Window, category: CategoryPattern, by_llm: bool) -> list[str]:
        documents = InMemoryCategorizedDataRepository()
        await documents.save_all([CategorizedData("1" * 24, window, category.id, by_llm)])
        found = await past_answers(documents, [*patterns(), browsing], Questions())
        return [given for _, given in found]

    assert await answers(site, known, False) == await answers(app, known, True) == [known.category]
    assert await answers(site, browsing, True) == await answers(app, browsing, False) == ["Browsing"]
    assert await answers(site, browsing, False) == []


async def test_texts_of_profiled_sites_are_learnt_from_unless_the_classifier_decided_them() -> None:
    profiles = InMemorySiteProfileRepository()
    for site, kind in {"a.io": EvidenceKind.MANIFEST, "b.io": EvidenceKind.LOCAL_CLASSIFIER}.items():
        await profiles.begin_visit(site, 1.0, 0.0)
        evidence = (SiteEvidence(kind, "", "Game", 0.9),)
        facts = PageFacts("Dragons", "Raid dungeons")
        await profiles.save(SiteProfile(site, 1.0, SiteState.CONCLUDED, None, "", facts, "Game", 0.9, evidence))

    assert await site_texts(profiles, Questions()) == [(Question("", "a.io", "Dragons · Raid dungeons"), "Game")]
