"""The slow lane of a real process, against an LLM that answers well, badly, or not at all."""

from uuid import uuid4

import pytest

from tests.e2e.conftest import Places
from tests.e2e.processes import Pipeline
from tests.llm_server import (
    Behaviour,
    LLMServer,
    duplicated,
    hang,
    missing,
    no_choices,
    prose,
    says,
    shuffled,
    slowly,
    status,
    well,
    wrong_categories,
)
from tests.messages import message

STREAM = "pomodoro_pattern_match_stream"
KEY = "sk-s3cret"


@pytest.fixture(scope="module")
def asking(shared_place: Places, llm: LLMServer) -> Pipeline:
    """A consumer that asks `llm`, and asks again once."""
    pipeline = shared_place(
        OPENAI_API_KEY=KEY,
        OPENAI_BASE_URL=llm.url,
        OPENAI_TIMEOUT="3",
        OPENAI_MAX_RETRIES="1",
        OPENAI_MODEL="a-model",
    )
    pipeline.consumer()
    return pipeline


def publish(pipeline: Pipeline, *apps: str) -> str:
    """One message for each app, all in one read. Returns the user of them."""
    user = f"user-{uuid4().hex[:8]}"
    with pipeline.redis() as client, client.pipeline(transaction=True) as batch:
        for i, app in enumerate(apps):
            batch.xadd(STREAM, message(userId=user, app=app, title=f"tell-tale {user} {i}"))  # type: ignore[arg-type]
        batch.execute()
    return user


def seconds(pipeline: Pipeline, user: str) -> dict[str, float]:
    """A user's seconds by category, on the boards of the day."""
    with pipeline.redis() as client:
        found = {key.split(":")[1]: client.zscore(key, user) for key in client.keys("leaderboard:*:2025-09-02")}  # type: ignore[union-attr]
    return {category: score for category, score in found.items() if score is not None}  # type: ignore[misc]


def comes_to(pipeline: Pipeline, user: str, **expected: float) -> None:
    (consumer,) = pipeline.running
    consumer.until(lambda: seconds(pipeline, user) == expected, f"{expected} for {user}")


def test_an_answer_is_committed_and_remembered(asking: Pipeline, llm: LLMServer) -> None:
    llm.behave(well)
    llm.answers["Melodica"] = "Music"
    user = publish(asking, "Melodica", "Frobnicator")
    comes_to(asking, user, Music=120.0, Documentation=120.0, work=120.0)

    request = llm.requests[-1]
    assert (request.model, request.key) == ("a-model", KEY)
    assert {"Music", "Communication", "Development", "Uncategorized"} < set(request.categories)
    documents = asking.documents("categorized_data")
    assert {row["app"]: row["is_llm_based"] for row in documents if user in row["title"]} == {
        "Melodica": 1,
        "Frobnicator": 1,
    }


def test_rules_do_not_wait_for_an_llm_that_hangs(asking: Pipeline, llm: LLMServer) -> None:
    llm.behave(hang, well)
    asked = llm.asked("Hangman")
    user = publish(asking, "Hangman", "Visual Studio Code")
    comes_to(asking, user, Development=120.0, work=120.0)
    later = publish(asking, "Visual Studio Code")
    comes_to(asking, later, Development=120.0, work=120.0)
    # it gives up that request and asks again
    comes_to(asking, user, Development=120.0, Documentation=120.0, work=240.0)
    assert llm.asked("Hangman") == asked + 2


@pytest.mark.parametrize(
    ("behaviours", "expected"),
    [
        pytest.param([slowly(0.3)], {"Documentation": 240.0, "work": 240.0}, id="slow"),
        pytest.param([shuffled], {"Documentation": 240.0, "work": 240.0}, id="in another order"),
        pytest.param([status(429), well], {"Documentation": 240.0, "work": 240.0}, id="429, then well"),
        pytest.param([status(500), well], {"Documentation": 240.0, "work": 240.0}, id="500, then well"),
        pytest.param([status(429)], {"Uncategorized": 240.0}, id="429 for good"),
        pytest.param([status(500)], {"Uncategorized": 240.0}, id="500 for good"),
        pytest.param([status(401)], {"Uncategorized": 240.0}, id="401"),
        pytest.param([prose], {"Uncategorized": 240.0}, id="prose"),
        pytest.param([no_choices], {"Uncategorized": 240.0}, id="no choices"),
        pytest.param([says('{"answers": 7}')], {"Uncategorized": 240.0}, id="answers that are no list"),
        pytest.param([says("[" * 100_000)], {"Uncategorized": 240.0}, id="deep JSON"),
        pytest.param(
            [wrong_categories],
            {"Uncategorized": 120.0, "Documentation": 120.0, "work": 120.0},
            id="a category that is not in the list",
        ),
        pytest.param([missing], {"Uncategorized": 120.0, "Documentation": 120.0, "work": 120.0}, id="one is missing"),
        pytest.param(
            [duplicated], {"Uncategorized": 120.0, "Documentation": 120.0, "work": 120.0}, id="two that differ"
        ),
    ],
)
def test_whatever_it_answers_the_messages_are_committed(
    asking: Pipeline, llm: LLMServer, behaviours: list[Behaviour], expected: dict[str, float]
) -> None:
    llm.behave(*behaviours)
    (consumer,) = asking.running
    before = len(consumer.log)
    user = publish(asking, "Frobnicator", "Zyzzyva")
    comes_to(asking, user, **expected)

    logged = consumer.log[before:]
    assert "tell-tale" not in logged, "no title shows at info level"
    assert KEY not in logged
    with asking.redis() as client:
        assert client.xlen(f"{STREAM}:dlq") == 0


def test_an_error_that_repeats_the_question_is_not_logged(asking: Pipeline, llm: LLMServer) -> None:
    llm.behave(status(400, f"cannot process 'tell-tale-echo' with key {KEY}"))
    (consumer,) = asking.running
    before = len(consumer.log)
    user = publish(asking, "Frobnicator")
    comes_to(asking, user, Uncategorized=120.0)

    logged = consumer.log[before:]
    assert "tell-tale-echo" not in logged
    assert KEY not in logged


def test_without_a_key_what_no_rule_knows_is_uncategorized(pipeline: Pipeline, llm: LLMServer) -> None:
    pipeline.settings["OPENAI_BASE_URL"] = llm.url
    asked = len(llm.requests)
    pipeline.consumer()
    user = publish(pipeline, "Frobnicator", "Visual Studio Code")
    comes_to(pipeline, user, Uncategorized=120.0, Development=120.0, work=120.0)

    assert len(llm.requests) == asked
    assert [row["is_llm_based"] for row in pipeline.documents("categorized_data")] == [0, 0]
