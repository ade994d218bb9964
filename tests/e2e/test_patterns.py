"""cmd.patterns as a user runs it: what the LLM answered becomes patterns, and patterns travel between stores."""

import asyncio
import json
from pathlib import Path
from uuid import uuid4

import pytest

from domains.categoryPattern.model import category_id
from domains.kernel.window import Window
from domains.pomodoro.model import CategorizedData
from infrastructure.composition.container import running_store
from infrastructure.settings import Settings
from tests.e2e.conftest import Places
from tests.e2e.processes import Pipeline, until
from tests.e2e.test_commands import STREAM, one_readable_message
from tests.messages import message

SECRET = "salary of minjun"
DESIGN = category_id("Design")


@pytest.fixture
def learned(request: pytest.FixtureRequest, place: Places) -> Pipeline:
    """A store in which the LLM has named a site and an app often enough, and another app too rarely."""
    if getattr(request, "param", "embedded") == "embedded":
        pipeline = place()
    else:
        uri, database = (request.getfixturevalue(name) for name in ("mongo_uri", "mongo_database"))
        pipeline = place(MONGO_URI=uri, MONGO_DATABASE=database)
        assert pipeline.run("patterns", "import", "infrastructure/patterns/default.json").code == 0
    assert pipeline.run("patterns", "list").code == 0  # the embedded store gets its default patterns
    asyncio.run(_answer(pipeline))
    return pipeline


async def _answer(pipeline: Pipeline) -> None:
    settings = Settings(
        data_dir=pipeline.directory,
        mongo_uri=pipeline.settings.get("MONGO_URI"),  # type: ignore[arg-type]
        mongo_database=pipeline.settings.get("MONGO_DATABASE", "pomocore"),
    )
    windows = [
        *(Window("Chrome", f"https://www.kiln-atelier.com/{n}", SECRET) for n in range(20)),
        *(Window("kilnworks.exe", "", f"{SECRET} {n}") for n in range(30)),
        *(Window("Rarely", "", f"{SECRET} {n}") for n in range(19)),
        *(Window("Slack", "", f"{SECRET} {n}") for n in range(30)),  # a rule decides it
    ]
    async with running_store(settings) as stores:
        await stores.categorized_data().save_all(
            [CategorizedData(uuid4().hex[:24], key, DESIGN, is_llm_based=True) for key in windows]
        )


def patterns_of(pipeline: Pipeline, category: str) -> tuple[list[str], list[str]]:
    entries = pipeline.run("patterns", "export").json()
    (entry,) = [each for each in entries if each["category"] == category]
    return entry["appPatterns"], entry["domainPatterns"]


@pytest.mark.parametrize("learned", ["embedded", pytest.param("mongo", marks=pytest.mark.mongo)], indirect=True)
def test_what_the_llm_keeps_answering_is_proposed_accepted_and_rejected(learned: Pipeline) -> None:
    result = learned.run("patterns", "propose", "--json")
    told = result.json()
    assert (told["answers"], told["new"], told["withdrawn"]) == (99, 2, 0)
    by_pattern = {each["pattern"]: each for each in told["proposals"]}
    site, app = by_pattern["kiln-atelier.com"], by_pattern["kilnworks"]
    assert site == {
        "id": site["id"],
        "status": "proposed",
        "kind": "domain",
        "pattern": "kiln-atelier.com",
        "category": "Design",
        "answers": 20,
        "windows": 20,
        "share": 1.0,
        "others": {},
        "examples": ["www.kiln-atelier.com"],
    }

    shown = learned.run("patterns", "list")
    assert shown.code == 0, shown
    assert "2 proposals" in shown.out
    for text in (site["id"], "www.kiln-atelier.com", "100 %", "kilnworks"):
        assert text in shown.out
    assert SECRET not in shown.out + result.out

    (exported,) = learned.run("patterns", "export", "--proposed").json()
    assert (exported["category"], exported["appPatterns"], exported["domainPatterns"]) == (
        "Design",
        ["kilnworks"],
        ["kiln-atelier.com"],
    )

    unknown = one_readable_message(learned.run("patterns", "accept", site["id"], "ffff"), 1)
    assert "ffff: no such proposal" in unknown
    assert learned.run("patterns", "reject", app["id"], "--json").json()["rejected"][0]["pattern"] == "kilnworks"
    for _ in range(2):
        assert "1 accepted" in learned.run("patterns", "accept", site["id"]).out
    apps, domains = patterns_of(learned, "Design")
    assert (domains.count("kiln-atelier.com"), "kilnworks" in apps) == (1, False)
    assert "accepted already" in one_readable_message(learned.run("patterns", "reject", site["id"]), 1)

    assert learned.run("patterns", "propose", "--json").json()["proposals"] == []
    assert learned.run("patterns", "list", "--status", "accepted", "--json").json()[0]["id"] == site["id"]
    (back,) = learned.run("patterns", "propose", "--again", "--json").json()["proposals"]
    assert (back["pattern"], back["status"]) == ("kilnworks", "proposed")
    assert "0 accepted" in learned.run("patterns", "accept", "--min-answers", "31").out
    assert "1 accepted" in learned.run("patterns", "accept", "--min-answers", "30").out
    assert "kilnworks" in patterns_of(learned, "Design")[0]


def test_proposals_can_be_accepted_at_once_and_are_withdrawn(learned: Pipeline) -> None:
    (first, second) = learned.run("patterns", "propose", "--json").json()["proposals"]
    strict = learned.run("patterns", "propose", PATTERN_MIN_EVIDENCE="25")
    assert "1 pattern proposed, 0 of them new, 1 withdrawn" in strict.out

    result = learned.run("patterns", "propose", "--json", PATTERN_AUTO_ACCEPT="true")

    assert {each["status"] for each in result.json()["proposals"]} == {"accepted"}
    apps, domains = patterns_of(learned, "Design")
    assert {first["pattern"], second["pattern"]} <= {*apps, *domains}


def test_patterns_travel_between_stores(learned: Pipeline, place: Places, tmp_path: Path) -> None:
    learned.run("patterns", "propose", PATTERN_AUTO_ACCEPT="true")
    file, other = tmp_path / "all.json", place()
    written = learned.run("patterns", "export", str(file), "--json").json()
    assert written["patterns"] > 2500

    dry = other.run("patterns", "import", str(file), "--dry-run", "--json").json()
    assert {each["pattern"] for each in dry["added"]} == {"kiln-atelier.com", "kilnworks"}
    assert "kilnworks" not in patterns_of(other, "Design")[0]
    assert "2 added" in other.run("patterns", "import", str(file)).out
    assert "0 added" in other.run("patterns", "import", "-", input=file.read_text(encoding="utf-8")).out
    assert patterns_of(other, "Design")[0][-1] == "kilnworks"


def test_a_bad_file_is_named(pipeline: Pipeline) -> None:
    entry = {"category": "Game", "priority": None, "appPatterns": ["—", "Kiln \x1b[31m"], "domainPatterns": ["com"]}
    broken = pipeline.run("patterns", "import", "-", input=json.dumps([entry]))
    assert broken.code == 1, broken
    assert "1 added, 0 already there, 2 broken" in broken.out
    assert "Game: domain 'com': would match nearly every site" in broken.err

    wrong = pipeline.run("patterns", "import", "-", input=json.dumps([entry | {"category": "Gmae"}, entry]))
    assert one_readable_message(wrong, 2) == "-: item 1: Gmae: no such category\n"
    assert "not JSON" in one_readable_message(pipeline.run("patterns", "import", "-", input="{"), 2)
    assert "No such file" in one_readable_message(pipeline.run("patterns", "export", "/nowhere/f.json"), 1)
    away = pipeline.run("patterns", "list", MONGO_URI="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200")
    assert "refused" in one_readable_message(away, 1)
    assert "PATTERN_MIN_SHARE" in one_readable_message(pipeline.run("patterns", "list", PATTERN_MIN_SHARE="2"), 2)
    assert not (pipeline.directory / "redis.sock").exists(), "none of this needs Redis"


def test_a_running_pipeline_takes_an_accepted_pattern_up(place: Places) -> None:
    pipeline = place(PATTERN_REFRESH_SECONDS="0.2")
    pipeline.consumer()
    asyncio.run(_answer(pipeline))
    pipeline.run("patterns", "propose", PATTERN_AUTO_ACCEPT="true")

    def counted() -> bool:
        client.xadd(STREAM, message(app="KilnWorks 2", userId="potter"))
        return client.zscore("leaderboard:Design:2025-09-02", "potter") is not None

    with pipeline.redis() as client:
        until(counted, "the rule is in effect")
