"""What a batch writes where another delivery of its messages may have written before it."""

import pytest

from domains.leaderboard.service import BoardCalendar
from domains.patternClassifier.classifier import PatternClassifier
from domains.patternClassifier.model import Classification
from domains.pomodoro.model import CategorizedData, PomodoroPatternClassifyMessage, categorized_data_id
from domains.pomodoro.service import BatchClassification, Decided, Span
from infrastructure.memory.repositories import (
    InMemoryCategorizedDataRepository,
    InMemoryCategoryPatternRepository,
    InMemoryPomodoroUsageLogRepository,
)
from tests.messages import SEOUL, hex_id, message, parser

FALLBACK = Classification("Browsing", hex_id(1))
BY_LLM = Classification("Design", hex_id(2), True, "llm")
CONFIRMED = Classification("Browsing", hex_id(1), True, "llm")


@pytest.mark.parametrize("answer", [BY_LLM, CONFIRMED])
async def test_an_answer_replaces_the_fallback_that_another_instance_has_just_inserted(
    answer: Classification,
) -> None:
    windows = InMemoryCategorizedDataRepository()
    span = Span(_message())
    await _write(windows, Decided(span, FALLBACK, deferred=True))
    await _write(windows, Decided(span, answer))
    assert _category(windows) == (answer.category_id, True)


async def test_a_fallback_does_not_replace_the_answer_that_another_instance_has_just_inserted() -> None:
    windows = InMemoryCategorizedDataRepository()
    span = Span(_message())
    await _write(windows, Decided(span, BY_LLM))
    await _write(windows, Decided(span, FALLBACK, deferred=True))
    assert _category(windows) == (BY_LLM.category_id, True)


async def test_an_answer_that_is_the_fallback_is_written_as_the_llm_s() -> None:
    windows = InMemoryCategorizedDataRepository()
    parsed = _message()
    document = CategorizedData(categorized_data_id(parsed.window), parsed.window, FALLBACK.category_id)
    await windows.save_all([document])
    await _write(windows, Decided(Span(parsed, document), CONFIRMED))
    assert _category(windows) == (FALLBACK.category_id, True)


async def test_a_message_delivered_again_stays_with_the_window_that_its_log_points_at() -> None:
    """Spring's document of the same window came in between: the log's own would keep the fallback for good."""
    windows, parsed = InMemoryCategorizedDataRepository(), _message()
    await _write(windows, Decided(Span(parsed), FALLBACK, deferred=True))
    await windows.save_all([CategorizedData(hex_id(3), parsed.window, BY_LLM.category_id, True)])
    found = await windows.find_many_by_app_url_title_batch({parsed.window})
    assert found[parsed.window].id == categorized_data_id(parsed.window)


def _message() -> PomodoroPatternClassifyMessage:
    parsed = parser().parse("1-0", message(app="Wide Lantern", url="https://lobby.test/"))
    assert isinstance(parsed, PomodoroPatternClassifyMessage)
    return parsed


async def _write(windows: InMemoryCategorizedDataRepository, decided: Decided) -> None:
    logs = InMemoryPomodoroUsageLogRepository()
    classifier = PatternClassifier(InMemoryCategoryPatternRepository(), observer=None)  # type: ignore[arg-type]
    batches = BatchClassification(classifier, windows, logs, BoardCalendar(SEOUL), "stream")
    assert await batches.write([decided]) == {}


def _category(windows: InMemoryCategorizedDataRepository) -> tuple[str | None, bool]:
    (document,) = windows.documents.values()
    return document.category_id, document.is_llm_based
