"""A window's category is corrected: its seconds move once, whatever breaks off, and what comes goes by it."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from dependency_injector import providers

from domains.categoryPattern.model import PatternKind
from domains.kernel.errors import StoreOutage
from domains.kernel.window import Window
from domains.leaderboard.model import Period
from domains.patternClassifier.corrections import Correction, CorrectionState
from domains.patternClassifier.model import Tier
from infrastructure.composition.user_data import user_data_of
from infrastructure.settings import Settings
from tests.integration.conftest import Pipeline, StartPipeline
from tests.messages import categorized, data_id, linked_message, message, usage_log

DAY = date(2025, 9, 2)
LECTURE = Window("Google Chrome", "https://www.youtube.com/watch?v=1", "Lecture 3")
VIDEO = dict(LECTURE._asdict())
PERIODS = ("2025-09-02", "2025-W36", "2025-M9")


def seconds(pipeline: Pipeline) -> dict[str, dict[str, float]]:
    """The boards of the day, which those of week and month have to equal."""
    boards = {key: board for key in pipeline.boards() if (board := pipeline.board(key))}
    by_period = [
        {key.split(":")[1]: board for key, board in boards.items() if key.endswith(f":{period}")}
        for period in PERIODS
    ]
    assert by_period[0] == by_period[1] == by_period[2]
    return by_period[0]


async def corrected(pipeline: Pipeline, user: str, category: str = "Education") -> Correction:
    await pipeline.container.corrections().correct(user, LECTURE, category, "min")
    await pipeline.container.corrections().apply()
    (correction, *_) = await pipeline.container.corrections().find_all()
    return correction


@pytest.fixture
async def watched(pipeline: Pipeline) -> Pipeline:
    return await _watched(pipeline)


@pytest.fixture
async def watched_anywhere(any_pipeline: Pipeline) -> Pipeline:
    """On each store."""
    return await _watched(any_pipeline)


async def _watched(pipeline: Pipeline) -> Pipeline:
    """Two users watch the same video, ann twice; ann also wrote code."""
    pipeline.container.archived_periods.override(providers.Object(lambda period, start: False))
    spans = [message(userId=user, **VIDEO) for user in ("ann", "ben", "ann")]
    await pipeline.process(*spans, message(userId="ann"))
    assert seconds(pipeline) == {
        "Entertainment": {"ann": 240.0, "ben": 120.0}, "Development": {"ann": 120.0}, "work": {"ann": 120.0}
    }  # fmt: skip
    return pipeline


CORRECTED = {
    "Education": {"ann": 240.0}, "Entertainment": {"ben": 120.0}, "Development": {"ann": 120.0},
    "work": {"ann": 360.0},
}  # fmt: skip


async def test_a_correction_moves_the_users_seconds_and_nobody_elses(watched_anywhere: Pipeline) -> None:
    correction = await corrected(watched_anywhere, "ann")

    assert seconds(watched_anywhere) == CORRECTED
    assert (correction.state, correction.logs, correction.seconds) == (CorrectionState.APPLIED, 2, 240.0)


async def test_a_correction_for_all_moves_everybodys_seconds(watched: Pipeline) -> None:
    await corrected(watched, "")

    assert seconds(watched)["Education"] == {"ann": 240.0, "ben": 120.0}
    assert "Entertainment" not in seconds(watched)


async def test_a_users_own_correction_stands_above_the_one_for_all(watched: Pipeline) -> None:
    await corrected(watched, "ann")
    await corrected(watched, "", "SNS")

    assert seconds(watched)["Education"] == {"ann": 240.0}
    assert seconds(watched)["SNS"] == {"ben": 120.0}


async def test_what_comes_later_goes_by_it(watched_anywhere: Pipeline) -> None:
    await corrected(watched_anywhere, "ann")
    await watched_anywhere.container.categorized_data().save_all([categorized(1, *LECTURE)])
    await watched_anywhere.container.usage_logs().save_all([usage_log(1, user_id="ann")])

    await watched_anywhere.process(*(message(userId=user, **VIDEO) for user in ("ann", "ben", "cat")))
    await watched_anywhere.process(linked_message(1, userId="ann", **VIDEO))

    found = seconds(watched_anywhere)
    assert found["Education"] == {"ann": 480.0}
    assert found["Entertainment"] == {"ben": 240.0, "cat": 120.0}


async def test_a_new_window_that_was_corrected_for_one_user_is_decided_by_rules_for_others(
    pipeline: Pipeline,
) -> None:
    await corrected(pipeline, "ann")

    await pipeline.process(message(userId="ann", **VIDEO), message(userId="ben", **VIDEO))

    assert seconds(pipeline)["Education"] == {"ann": 120.0}
    assert seconds(pipeline)["Entertainment"] == {"ben": 120.0}


async def test_it_holds_when_a_period_is_decided_again(watched: Pipeline) -> None:
    await corrected(watched, "ann")

    async def silent(state: object) -> None:
        return

    again = await watched.container.period_reclassification().decide(DAY, DAY, False, silent)

    assert again.changed == 0


async def test_repeated_it_changes_nothing_more(watched: Pipeline) -> None:
    for _ in range(2):
        await corrected(watched, "ann")
        assert seconds(watched) == CORRECTED


async def test_another_category_takes_its_place(watched: Pipeline) -> None:
    await corrected(watched, "ann")
    await corrected(watched, "ann", "Music")

    assert seconds(watched)["Music"] == {"ann": 240.0}
    assert "Education" not in seconds(watched)
    assert len(await watched.container.corrections().find_all()) == 1


async def test_undone_everything_is_as_it_was(watched_anywhere: Pipeline) -> None:
    before = seconds(watched_anywhere)
    correction = await corrected(watched_anywhere, "ann")

    await watched_anywhere.container.corrections().undo(correction.id)
    await watched_anywhere.process(message(userId="cat", **VIDEO))
    await watched_anywhere.container.corrections().apply()

    assert seconds(watched_anywhere) == {**before, "Entertainment": {"ann": 240.0, "ben": 120.0, "cat": 120.0}}
    assert await watched_anywhere.container.corrections().find_all() == []
    assert await watched_anywhere.container.corrections().undo(correction.id) is None


async def test_what_the_llm_had_named_comes_back_when_it_is_undone(pipeline: Pipeline) -> None:
    window = Window("An app that no rule knows", "", "")
    data = categorized(1, *window, category_id="0" * 23 + "2", is_llm_based=True)
    await pipeline.container.categorized_data().save_all([data])
    await pipeline.container.usage_logs().save_all([usage_log(1, category_id=data.category_id)])
    service = pipeline.container.corrections()
    made = await service.correct("user-1", window, "SNS", "min")
    await service.apply()
    assert seconds(pipeline) == {"SNS": {"user-1": 120.0}}

    await service.undo(made.id)
    await service.apply()

    assert seconds(pipeline) == {"Documentation": {"user-1": 120.0}, "work": {"user-1": 120.0}}
    assert (await pipeline.container.categorized_data().find_by_ids([data_id(1)]))[data_id(1)] == data


STEPS: dict[str, Callable[[Any], Any]] = {
    "before the logs": lambda container: (container.usage_logs(), "update_category_all", "before"),
    "after the logs": lambda container: (container.usage_logs(), "update_category_all", "after"),
    "between two boards": lambda container: (container.leaderboard_rebuild(), "rebuild", "second"),
    "after the boards": lambda container: (container.correction_store(), "settle", "before"),
    "at the end": lambda container: (container.correction_store(), "settle", "after"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("what", ["correct", "undo"])
async def test_what_broke_off_anywhere_is_exact_once_it_was_repeated(
    pipeline_on: StartPipeline, settings: Settings, monkeypatch: pytest.MonkeyPatch, step: str, what: str
) -> None:
    async with pipeline_on(settings) as pipeline:
        spans = [message(userId=user, **VIDEO) for user in ("ann", "ben", "ann")]
        await pipeline.process(*spans, message(userId="ann"))
        expected, service = seconds(pipeline) if what == "undo" else CORRECTED, pipeline.container.corrections()
        made = await service.correct("ann", LECTURE, "Education", "min")
        if what == "undo":
            await service.apply()
            await service.undo(made.id)
        owner, name, when = STEPS[step](pipeline.container)
        calls, real = 0, getattr(owner, name)

        async def breaking(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if when == "before" or (when == "second" and calls == 2):
                raise StoreOutage("away")
            result = await real(*args, **kwargs)
            if when == "after":
                raise StoreOutage("away")
            return result

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, breaking)
            with pytest.raises(StoreOutage):
                await service.apply()
        assert calls

        await pipeline.process(message(userId="dan", **VIDEO))
        await service.apply()

        assert seconds(pipeline) == {**expected, "Entertainment": {**expected["Entertainment"], "dan": 120.0}}
        assert not await service.are_pending()


async def test_boards_that_the_server_has_archived_are_left_and_named(
    pipeline_on: StartPipeline, mongo_settings: Settings
) -> None:
    async with pipeline_on(mongo_settings) as pipeline:
        await pipeline.process(message(userId="ann", **VIDEO))
        service = pipeline.container.corrections()
        await service.correct("ann", LECTURE, "Education", "min")

        done = await service.apply()

        assert done.changed == 1
        assert done.archived == ["day of 2025-09-02", "week of 2025-09-01", "month of 2025-09-01"]
        assert seconds(pipeline) == {"Entertainment": {"ann": 120.0}}


async def test_windows_of_one_site_that_were_corrected_alike_become_a_proposal(pipeline: Pipeline) -> None:
    service = pipeline.container.corrections()
    for number in range(3):
        assert await pipeline.container.proposals().find_all() == []
        window = Window("Google Chrome", f"https://lectures.example.org/{number}", f"Lecture {number}")
        await service.correct("ann" if number else "", window, "Education", "min")
        done = await service.apply()

    (proposal,) = await pipeline.container.proposals().find_all()
    assert done.proposals == 1
    assert (proposal.kind, proposal.pattern, proposal.category) == (
        PatternKind.DOMAIN, "lectures.example.org", "Education"
    )  # fmt: skip
    assert (proposal.evidence.corrections, proposal.evidence.answers) == (3, 0)


async def test_corrections_of_two_minds_propose_nothing(pipeline: Pipeline) -> None:
    service = pipeline.container.corrections()
    for number in range(4):
        window = Window("Google Chrome", f"https://lectures.example.org/{number}", f"Lecture {number}")
        await service.correct("ann", window, "Education" if number else "SNS", "min")
    await service.apply()

    assert await pipeline.container.proposals().find_all() == []


async def test_the_windows_of_a_board_add_up_to_its_score(watched_anywhere: Pipeline) -> None:
    await corrected(watched_anywhere, "ann")
    windows = watched_anywhere.container.board_windows()

    for period in Period:
        for board, users in seconds(watched_anywhere).items():
            for user, score in users.items():
                found = await windows.find(board, user, period, DAY)
                assert sum(each.seconds for each in found) == score
    (lecture, code) = await windows.find("work", "ann", Period.WEEK, DAY)
    assert (lecture.category, lecture.window, lecture.logs, lecture.tier) == (
        "Education", LECTURE, 2, Tier.CORRECTION
    )  # fmt: skip
    assert (code.category, code.tier) == ("Development", Tier.APP)
    assert await windows.find("work", "nobody", Period.DAY, DAY) == []


async def test_a_users_corrections_are_handed_out_and_erased(watched: Pipeline) -> None:
    await corrected(watched, "ann")
    await corrected(watched, "", "SNS")
    data = user_data_of(watched.container)
    assert (await data.held("ann"))["corrections"].ours == 1

    await data.erase("ann")

    assert "corrections" not in await data.held("ann")
    assert len(await watched.container.corrections().find_all()) == 1
