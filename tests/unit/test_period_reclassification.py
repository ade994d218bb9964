"""What a period's logs become by the rules of now, in memory: what stays, what is left alone, what is refused."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from domains.categoryPattern.model import UNCATEGORIZED, CategoryPattern
from domains.patternClassifier.classifier import PatternClassifier
from domains.pomodoro.model import CategorizedData, CategoryUpdate, DeferredMessage, PomodoroUsageLog
from domains.pomodoro.period_reclassification import Changed, PeriodReclassification
from infrastructure.memory.repositories import (
    InMemoryCategorizedDataRepository,
    InMemoryCategoryPatternRepository,
    InMemoryPomodoroUsageLogRepository,
)
from tests.messages import DEVELOPMENT, SEOUL, SNS, categorized, data_id, hex_id, log_id, patterns, usage_log
from tests.unit.test_live_patterns import Observer

DAY = date(2025, 9, 2)
NOTHING = hex_id(9)
EDITOR = "Visual Studio Code"


class Refusing(InMemoryCategorizedDataRepository):
    refused: str = ""

    async def update_category_all(self, updates: Sequence[CategoryUpdate]) -> dict[str, str]:
        failures = {id_: "refused" for update in updates for id_ in update.ids if id_ == self.refused}
        left = [update._replace(ids=[id_ for id_ in update.ids if id_ not in failures]) for update in updates]
        return failures | await super().update_category_all(left)


class Deferred:
    def __init__(self) -> None:
        self.messages: list[DeferredMessage] = []

    async def after(self, record_id: str, limit: int) -> list[DeferredMessage]:
        return self.messages if record_id == "0" else []


class Side:
    def __init__(self) -> None:
        self.data, self.logs, self.deferred = Refusing(), InMemoryPomodoroUsageLogRepository(), Deferred()

    async def put(self, number: int, app: str, is_llm_based: bool = False, category: str = NOTHING) -> None:
        """A span of 60 s and its window."""
        data = replace(categorized(number, app), category_id=category, is_llm_based=is_llm_based)
        log = replace(usage_log(number), categorized_data_id=data_id(number), category_id=category, duration=60.0)
        await self.data.save_all([data])
        await self.logs.save_all([log])

    async def decide(self, dry_run: bool = False) -> Changed:
        kept: list[CategoryPattern] = [*patterns(), CategoryPattern(NOTHING, UNCATEGORIZED)]
        observer: Any = Observer()
        classifier = PatternClassifier(InMemoryCategoryPatternRepository(kept), observer)
        await classifier.load()
        boards: Any = SimpleNamespace(zone=SEOUL)
        deferred: Any = [self.deferred]
        told: list[Changed] = []

        async def progress(state: Changed) -> None:
            told.append(state)

        again = PeriodReclassification(self.logs, self.data, deferred, classifier, boards)
        done = await again.decide(DAY, DAY, dry_run, progress)
        assert told[-1] == done
        return done

    def documents(self, number: int) -> tuple[CategorizedData, PomodoroUsageLog]:
        return self.data.documents[data_id(number)], self.logs.documents[log_id(number)]

    def category(self, number: int) -> tuple[str | None, str | None]:
        data, log = self.documents(number)
        return data.category_id, log.category_id


@pytest.fixture
def side() -> Side:
    return Side()


async def test_what_a_rule_decides_now_changes_in_both_documents(side: Side) -> None:
    await side.put(1, EDITOR)
    await side.put(2, EDITOR, is_llm_based=True, category=SNS)

    done = await side.decide()

    assert done == Changed(2, 2, 0, 0, {(UNCATEGORIZED, "Development"): 60.0, ("SNS", "Development"): 60.0})
    assert side.category(1) == side.category(2) == (DEVELOPMENT, DEVELOPMENT)
    assert not side.documents(2)[0].is_llm_based


async def test_what_the_llm_has_named_stays_where_no_rule_decides(side: Side) -> None:
    await side.put(1, "An app that no rule knows", is_llm_based=True, category=SNS)
    await side.put(2, "An app that no rule knows any more", category=SNS)

    assert (await side.decide()).moved == {("SNS", UNCATEGORIZED): 60.0}
    assert side.category(1) == (SNS, SNS)
    assert side.category(2) == (NOTHING, NOTHING)


async def test_what_waits_for_the_llm_is_left_alone(side: Side) -> None:
    await side.put(1, EDITOR)
    window = side.documents(1)[0].window
    side.deferred.messages = [DeferredMessage("1-1", "u", window, 60.0, 0.0, UNCATEGORIZED, data_id(1), log_id(1))]

    assert (await side.decide()).changed == 0
    assert side.category(1) == (NOTHING, NOTHING)


async def test_a_dry_run_tells_the_same_and_writes_nothing(side: Side) -> None:
    await side.put(1, EDITOR)

    dry = await side.decide(dry_run=True)
    assert side.category(1) == (NOTHING, NOTHING)
    assert dry == await side.decide()


async def test_what_the_store_refuses_stays_as_a_whole_and_is_counted(side: Side) -> None:
    await side.put(1, EDITOR)
    await side.put(2, EDITOR)
    side.data.refused = data_id(1)

    done = await side.decide()

    assert (done.changed, done.refused) == (1, 1)
    assert side.category(1) == (NOTHING, NOTHING)
    assert side.category(2) == (DEVELOPMENT, DEVELOPMENT)


async def test_a_log_without_its_window_is_told_of(side: Side) -> None:
    await side.put(1, EDITOR)
    side.data.documents.clear()

    assert (await side.decide())[:4] == (1, 0, 1, 0)
