"""Messages that were committed without the LLM, on real servers: they move when it is back, and everything agrees."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from dependency_injector import providers

from domains.categoryPattern.model import UNCATEGORIZED, CategoryPattern, category_id
from domains.kernel.errors import ClassificationFailed, RedisOutage
from domains.patternClassifier.llm_queue import LLMQueue
from domains.patternClassifier.ports import LLMAnswers
from domains.patternClassifier.questions import Question
from domains.pomodoro.model import Commit, CommitResult, Session
from infrastructure.composition.container import Container
from infrastructure.composition.from_settings import llm_queue_limits
from infrastructure.settings import Settings
from tests.integration.conftest import DEADLINE, Pipeline, StartPipeline, other_instance
from tests.messages import DOCUMENTATION, categorized, hex_id, linked_message, message, usage_log

DAY = date(2025, 9, 2)
BROWSING = hex_id(5)
STRANGE = {"app": "Frobnicator"}
PAGE = {"app": "Google Chrome", "url": "https://zyzzyva.example/a"}


class LLM:
    """Says Documentation, unless it is `away`."""

    def __init__(self, away: bool = False) -> None:
        self.away = away

    def most_tokens(self, questions: Sequence[Question], categories: Sequence[str]) -> int:
        return 1

    async def classify(self, questions: Sequence[Question], categories: Sequence[str]) -> LLMAnswers:
        if self.away:
            raise ClassificationFailed("away")
        return LLMAnswers(["Documentation"] * len(questions), tokens=1)


def with_llm(llm: LLM, commits: Any = None) -> Callable[[Container], Any]:
    async def prepare(container: Container) -> None:
        await container.category_patterns().save_all([CategoryPattern(BROWSING, "Browsing", 9, ("Google Chrome",))])
        limits = replace(
            llm_queue_limits(container.settings()),
            linger_seconds=0.0,
            first_pause_seconds=0.01,
            longest_pause_seconds=0.05,
        )
        llm_queue = LLMQueue(llm, container.llm_budget(), container.answer_memory(), container.observer(), limits)
        container.llm_queue.override(providers.Object(llm_queue))
        if commits is not None:
            container.partition().commits.override(providers.Object(commits))

    return prepare


class NoCommits:
    async def deferring(self, messages: Mapping[str, Session]) -> None:
        return

    async def commit(self, commit: Commit) -> CommitResult:
        raise RedisOutage("away")


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not (await value if asyncio.iscoroutine(value := condition()) else value):
            await asyncio.sleep(0.01)


def boards_of_the_day(pipeline: Pipeline) -> dict[str, dict[str, float]]:
    return {key.split(":")[1]: pipeline.board(key) for key in pipeline.boards() if key.endswith("2025-09-02")}


async def categories(pipeline: Pipeline) -> list[str | None]:
    """Those of the logs of the session."""
    return [log.category_id for log in await pipeline.container.usage_logs().find_by_session("user-1", DAY, 3)]


async def test_what_was_committed_without_the_llm_moves_when_it_is_back(
    pipeline_on: StartPipeline, any_settings: Settings
) -> None:
    llm = LLM(away=True)
    async with pipeline_on(any_settings, with_llm(llm)) as pipeline:
        container = pipeline.container
        await container.categorized_data().save_all([categorized(1, "Frobnicator")])
        await container.usage_logs().save_all([usage_log(1)])
        windows = [message(**window, title=str(n)) for n in range(20) for window in (STRANGE, PAGE)]
        await pipeline.process(linked_message(1, **STRANGE), *windows, message(isEnd="true"))

        assert boards_of_the_day(pipeline) == {
            "Uncategorized": {"user-1": 41 * 120.0},
            "Development": {"user-1": 120.0},
            "work": {"user-1": 120.0},
        }
        assert pipeline.redis.xlen(container.keys().deferred) == 41
        assert pipeline.events() == [], "Spring would score the session from categories that are not the right ones"
        before = await categories(pipeline)
        assert before.count(category_id(UNCATEGORIZED)) == 41

        llm.away = False
        await _reclassify(container)
        await pipeline.settled()

        assert len(pipeline.events()) == 1
        assert not pipeline.redis.exists(container.keys().deferred_sessions)
        assert boards_of_the_day(pipeline) == {
            "Documentation": {"user-1": 41 * 120.0},
            "Development": {"user-1": 120.0},
            "work": {"user-1": 42 * 120.0},
        }
        assert (await categories(pipeline)).count(DOCUMENTATION) == 41
        key = categorized(1, "Frobnicator").window
        found = await container.categorized_data().find_many_by_app_url_title_batch([key])
        assert [(data.category_id, data.is_llm_based) for data in found.values()] == [(DOCUMENTATION, True)]


async def test_postings_follow_what_was_committed_and_what_moved(
    pipeline_on: StartPipeline, any_settings: Settings
) -> None:
    llm, settings = LLM(away=True), any_settings.model_copy(update={"events": True})
    async with pipeline_on(settings, with_llm(llm)) as pipeline:
        page = "https://user:secret@wiki.example.com/private/plan?q=1"
        await pipeline.process(message(**STRANGE), message(app="Code", url=page, source="bridge"), message())
        llm.away = False
        await _reclassify(pipeline.container)

        entries = await pipeline.container.partition().event_outbox().after("0-0", 100)
        postings = [posting for entry in entries for posting in entry.postings]
        sums: dict[str, float] = {}
        for posting in postings:
            for board in [posting.category, *(["work"] if posting.work else [])]:
                sums[board] = sums.get(board, 0.0) + posting.seconds
        scores = {board: users["user-1"] for board, users in boards_of_the_day(pipeline).items()}
        assert {board: seconds for board, seconds in sums.items() if seconds} == scores
        assert -120.0 in [posting.seconds for posting in postings]
        assert {("wiki.example.com", "bridge"), ("", "spring")} >= {(it.host, it.source) for it in postings}
        assert "plan" not in str(postings)


async def _reclassify(container: Container) -> None:
    """Until no message is deferred any more."""
    keys, redis = container.keys(), container.redis()

    async def none_left() -> bool:
        await container.partition().reclassification().reclassify_all(asyncio.Event())
        return bool(await redis.xlen(keys.deferred) == 0)

    await until(none_left)


@pytest.mark.parametrize("first_away", [True, False], ids=["answered at the second delivery", "at the first"])
async def test_a_redelivery_that_decides_otherwise_leaves_log_and_boards_agreeing(
    pipeline_on: StartPipeline, any_settings: Settings, first_away: bool
) -> None:
    """The first delivery dies between its documents and its commit. Without ids, the second finds its log there."""
    settings = any_settings.model_copy(update={"shutdown_timeout": 0.1, "classification_tiers": "llm"})
    async with pipeline_on(settings, with_llm(LLM(away=first_away), NoCommits())) as pipeline:
        await pipeline.publish(message(**STRANGE))

        async def written() -> bool:
            return await pipeline.count("pomodoro_usage_log") == 1

        await until(written)
    second = LLM(away=not first_away)
    async with pipeline_on(other_instance(settings), with_llm(second)) as pipeline:
        await pipeline.settled()
        second.away = False
        await _reclassify(pipeline.container)

        assert boards_of_the_day(pipeline) == {"Documentation": {"user-1": 120.0}, "work": {"user-1": 120.0}}
        assert await categories(pipeline) == [DOCUMENTATION]
        assert await pipeline.count("pomodoro_usage_log") == await pipeline.count("categorized_data") == 1


async def test_two_instances_that_reclassify_move_each_message_once(
    pipeline_on: StartPipeline, settings: Settings
) -> None:
    llm = LLM(away=True)
    other = other_instance(settings)
    async with pipeline_on(settings, with_llm(llm)) as one, pipeline_on(other, with_llm(llm)) as two:
        await one.process(*[message(**STRANGE, userId=f"user-{n % 5}", title=str(n)) for n in range(100)])
        llm.away = False
        await asyncio.gather(_reclassify(one.container), _reclassify(two.container))

        assert boards_of_the_day(one) == {
            board: {f"user-{n}": 20 * 120.0 for n in range(5)} for board in ("Documentation", "work")
        }
