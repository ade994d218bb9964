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
LETTERS = str.maketrans("0123456789", "ghijklmnop")
"""A title may lose its numbers on the way to the LLM, and is to be another one each time."""


@pytest.fixture(scope="module")
def asking(shared_place: Places, llm: LLMServer) -> Pipeline:
    """A consumer that asks `llm`, asks again once, and soon reclassifies what had no answer."""
    pipeline = shared_place(
        OPENAI_API_KEY=KEY,
        OPENAI_BASE_URL=llm.url,
        OPENAI_TIMEOUT="3",
        OPENAI_MAX_RETRIES="1",
        OPENAI_MODEL="a-model",
        RECLASSIFY_SECONDS="0.2",
    )
    pipeline.consumer()
    return pipeline


def publish(pipeline: Pipeline, *apps: str) -> str:
    """One message for each app, all in one read. Returns the user of them."""
    user = f"user-{uuid4().hex[:8].translate(LETTERS)}"
    with pipeline.redis() as client, client.pipeline(transaction=True) as batch:
        for i, app in enumerate(apps):
            title = f"tell-tale {user} {'abcdef'[i]}"
            batch.xadd(STREAM, message(userId=user, app=app, title=title))  # type: ignore[arg-type]
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


class LogSince:
    """What the one consumer has logged since this was made."""

    def __init__(self, pipeline: Pipeline) -> None:
        (self._consumer,) = pipeline.running
        self._before = len(self._consumer.log)

    def text(self) -> str:
        return self._consumer.log[self._before :]


def deferred(pipeline: Pipeline) -> int:
    """Messages that wait for their category; none of any other kind is to be seen."""
    with pipeline.redis() as client:
        assert client.xlen(f"{STREAM}:dlq") == 0
        return int(client.xlen(f"{STREAM}:deferred"))  # type: ignore[arg-type]


def categories_of(pipeline: Pipeline, user: str) -> set[str]:
    """What the logs of a user, and the windows that they point at, say."""
    names = {row["id"]: row["category"] for row in pipeline.documents("category_pattern")}
    windows = {row["id"]: row["category_id"] for row in pipeline.documents("categorized_data")}
    logs = [row for row in pipeline.documents("pomodoro_usage_log") if row["user_id"] == user]
    return {names[id_] for log in logs for id_ in (log["category_id"], windows[log["categorized_data_id"]])}


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
    ],
)
def test_whatever_it_answers_the_messages_are_committed(
    asking: Pipeline, llm: LLMServer, behaviours: list[Behaviour], expected: dict[str, float]
) -> None:
    llm.behave(*behaviours)
    logged = LogSince(asking)
    user = publish(asking, "Frobnicator", "Zyzzyva")
    comes_to(asking, user, **expected)

    assert deferred(asking) == 0
    assert "tell-tale" not in logged.text(), "no title shows at info level"
    assert KEY not in logged.text()


@pytest.mark.parametrize("behaviour", [wrong_categories, missing, duplicated])
def test_an_item_without_a_usable_answer_spoils_no_other_and_is_asked_about_again(
    asking: Pipeline, llm: LLMServer, behaviour: Behaviour
) -> None:
    llm.behave(behaviour, well)
    user = publish(asking, "Frobnicator", "Zyzzyva")
    comes_to(asking, user, Documentation=240.0, work=240.0)

    assert deferred(asking) == 0
    assert categories_of(asking, user) == {"Documentation"}


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(status(429), id="429 for good"),
        pytest.param(status(500), id="500 for good"),
        pytest.param(status(401), id="401"),
        pytest.param(prose, id="prose"),
        pytest.param(no_choices, id="no choices"),
        pytest.param(says('{"answers": 7}'), id="answers that are no list"),
        pytest.param(says("[" * 100_000), id="deep JSON"),
        pytest.param(status(400, f"cannot process 'tell-tale' with key {KEY}"), id="an error that repeats all"),
    ],
)
def test_without_a_usable_answer_messages_are_uncategorized_until_there_is_one(
    asking: Pipeline, llm: LLMServer, behaviour: Behaviour
) -> None:
    llm.behave(behaviour)
    logged = LogSince(asking)
    user = publish(asking, "Frobnicator", "Zyzzyva")
    comes_to(asking, user, Uncategorized=240.0)
    assert deferred(asking) == 2
    assert categories_of(asking, user) == {"Uncategorized"}

    llm.behave(well)
    comes_to(asking, user, Documentation=240.0, work=240.0)
    assert deferred(asking) == 0
    assert categories_of(asking, user) == {"Documentation"}
    assert "tell-tale" not in logged.text(), "no title shows at info level"
    assert KEY not in logged.text()


def test_an_llm_that_keeps_failing_is_left_alone_for_a_while(asking: Pipeline, llm: LLMServer) -> None:
    llm.behave(status(500))
    (consumer,) = asking.running
    logged = LogSince(asking)
    user = publish(asking, "Frobnicator")
    consumer.until(lambda: "LLM is not asked for a while" in logged.text(), "a pause")
    asked = len(llm.requests)
    later = publish(asking, "Frobnicator", "Visual Studio Code")
    comes_to(asking, later, Uncategorized=120.0, Development=120.0, work=120.0)
    tried = len(llm.requests) - asked
    assert tried <= 4, "no more than one call for each of the two windows, and its retry, to see whether it is back"

    llm.behave(well)
    comes_to(asking, user, Documentation=120.0, work=120.0)
    comes_to(asking, later, Documentation=120.0, Development=120.0, work=240.0)


def test_without_a_key_what_no_rule_knows_is_uncategorized(pipeline: Pipeline, llm: LLMServer) -> None:
    pipeline.settings["OPENAI_BASE_URL"] = llm.url
    asked = len(llm.requests)
    pipeline.consumer()
    user = publish(pipeline, "Frobnicator", "Visual Studio Code")
    comes_to(pipeline, user, Uncategorized=120.0, Development=120.0, work=120.0)

    assert len(llm.requests) == asked
    assert [row["is_llm_based"] for row in pipeline.documents("categorized_data")] == [0, 0]
