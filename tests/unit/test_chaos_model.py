"""The fault suite's model, against results worked out by hand from contract.md: a judge has to be judged, too."""

from random import Random

import pytest

from tests.chaos.model import (
    Day,
    Model,
    Published,
    Session,
    boards_of,
    broken_rule,
    by_llm,
    category_of,
    days_of,
    iso_week,
    local_day,
    midnight,
    number_of_letter,
)
from tests.chaos.workload import Workload, java_double

GOOD = {
    "userId": "u1",
    "app": "Forge Editor",
    "duration": "120.0",
    "timestamp": "1.756771234E9",
    "session": "3",
    "sessionDate": "2025-09-02",
}


@pytest.mark.parametrize(
    ("date", "year", "week"),
    [
        ("2024-12-29", 2024, 52),  # a Sunday
        ("2024-12-30", 2025, 1),  # the contract's own example
        ("2025-09-02", 2025, 36),
        ("2026-01-01", 2026, 1),
        ("2027-01-01", 2026, 53),  # the contract's own example
        ("2027-01-04", 2027, 1),
        ("2021-01-03", 2020, 53),
        ("2000-02-29", 2000, 9),
    ],
)
def test_weeks_belong_to_the_year_of_their_thursday(date: str, year: int, week: int) -> None:
    assert iso_week(Day(*map(int, date.split("-")))) == (year, week)


@pytest.mark.parametrize(
    ("timestamp", "day"),
    [
        (1756738799.999, "2025-09-01"),
        (1756738800.0, "2025-09-02"),  # 2025-09-01T15:00:00Z, midnight in Seoul
        (0.0, "1970-01-01"),
        (-32400.0, "1970-01-01"),
        (-32400.5, "1969-12-31"),
        (951750000.0, "2000-02-29"),
    ],
)
def test_days_are_those_of_seoul(timestamp: float, day: str) -> None:
    assert str(local_day(timestamp)) == day


def test_the_midnight_of_a_date_is_nine_hours_before_that_of_utc() -> None:
    assert midnight("2025-09-02") == 1756738800
    assert days_of(Day(1970, 1, 1)) == 0


def test_a_work_category_counts_in_six_boards() -> None:
    assert boards_of("Development", 1756771234.0) == [
        "leaderboard:Development:2025-09-02",
        "leaderboard:Development:2025-W36",
        "leaderboard:Development:2025-M9",
        "leaderboard:work:2025-09-02",
        "leaderboard:work:2025-W36",
        "leaderboard:work:2025-M9",
    ]


@pytest.mark.parametrize("category", ["SNS", "Game", "AFK", "Uncategorized", "Music", "Communication"])
def test_any_other_category_counts_in_its_own_three(category: str) -> None:
    assert all(board.startswith(f"leaderboard:{category}:") for board in boards_of(category, 0.0))
    assert len(boards_of(category, 0.0)) == 3


@pytest.mark.parametrize(
    ("fields", "llm", "category"),
    [
        ({"app": "Forge Editor"}, False, "Development"),
        ({"app": "Quiet Surf", "url": "https://docs.pomo.example/page/1"}, False, "Documentation"),
        ({"app": "Quiet Surf", "url": "https://elsewhere.test/"}, False, "Uncategorized"),
        ({"app": "Zyx Atelier"}, True, "Design"),
        ({"app": "Zyx Atelier"}, False, "Uncategorized"),
        ({"app": "Kjh Riddle"}, True, "Uncategorized"),
        ({}, True, "Uncategorized"),
        ({"app": "Wide Lantern"}, True, "Browsing"),
        ({"app": "Wide Lantern", "url": "https://seminar.pomo.example/page/1"}, True, "Education"),
        ({"app": "Wide Lantern", "title": "제목 1"}, True, "Browsing"),
        ({"app": "Wide Lantern", "url": "https://seminar.pomo.example/page/1"}, False, "Browsing"),
        ({"app": "Wide Lantern", "url": "https://fog.pomo.example/page/1"}, True, "Browsing"),
        ({"app": "Wide Lantern", "url": "https://docs.pomo.example/page/1"}, True, "Documentation"),
        ({"app": "Quiet Surf", "url": "https://plaza.pomo.example/page/1"}, True, "SNS"),
        ({"app": "Quiet Surf", "url": "https://plaza.pomo.example/page/1"}, False, "Uncategorized"),
        ({"app": "Forge Editor", "url": "https://plaza.pomo.example/page/1"}, True, "Development"),
        ({"app": "Forge Editor", "url": "https://docs.pomo.example/page/1"}, True, "Development"),
    ],
)
def test_categories(fields: dict[str, str], llm: bool, category: str) -> None:
    assert category_of(fields, llm) == category


@pytest.mark.parametrize(
    ("fields", "decides"),
    [
        ({"app": "Zyx Atelier"}, True),
        ({"app": "Kjh Riddle"}, False),
        ({"app": "Forge Editor"}, False),
        ({"app": "Wide Lantern"}, False),
        ({"app": "Wide Lantern", "url": "https://lobby.pomo.example/page/1"}, True),
        ({"app": "Wide Lantern", "url": "https://fog.pomo.example/page/1"}, False),
        ({"app": "Zyx Atelier", "url": "https://docs.pomo.example/page/1"}, False),
    ],
)
def test_when_the_llm_decides(fields: dict[str, str], decides: bool) -> None:
    assert by_llm(fields) == decides


def test_until_the_llm_answers_a_log_has_the_category_that_is_right_without_it() -> None:
    model = Model(llm=True)
    model.add(Published(0, GOOD | {"app": "Wide Lantern", "url": "https://plaza.pomo.example/page/1"}))
    (log,) = model.all_logs
    assert (log.category, log.fallback) == ("SNS", "Browsing")
    assert all(board.startswith("leaderboard:SNS:") for board in model.boards)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({}, None),
        ({"sessionDate": "2025-09-02T08:30:00+09:00"}, None),
        ({"isEnd": "", "sessionMinutes": "", "categorizedDataId": ""}, None),
        ({"userId": ""}, "userId"),
        ({"duration": "-0.5"}, "duration"),
        ({"duration": "NaN"}, "duration"),
        ({"timestamp": "Infinity"}, "timestamp"),
        ({"session": "1.5"}, "session"),
        ({"sessionMinutes": "-1"}, "sessionMinutes"),
        ({"sessionDate": "2025-02-29"}, "sessionDate"),
        ({"isEnd": "yes"}, "isEnd"),
        ({"categorizedDataId": "0" * 24}, "ids"),
        ({"categorizedDataId": "0" * 24, "pomodoroUsageLogId": "x" * 24}, "ids"),
        ({"categorizedDataId": "0" * 24, "pomodoroUsageLogId": "f" * 24}, None),
    ],
)
def test_what_breaks_the_table(change: dict[str, str], rule: str | None) -> None:
    assert broken_rule(GOOD | change) == rule


def test_the_model_sums_up_ends_and_parks() -> None:
    model = Model(llm=False)
    for number, change in enumerate([{}, {"duration": "0.5"}, {"duration": "-1"}, {"isEnd": "true", "userId": "u2"}]):
        model.add(Published(number, GOOD | change))
    assert model.boards["leaderboard:work:2025-M9"] == {"u1": 120.5, "u2": 120.0}
    assert len(model.boards) == 6
    assert model.ended == {Session("u2", "2025-09-02", "3")}
    assert [message.number for message in model.dead] == [2]
    assert [log.message.number for log in model.all_logs] == [0, 1, 3]


def test_a_workload_is_the_same_for_the_same_seed() -> None:
    def published() -> list[Published]:
        return [message for batch in Workload(Random(5), 300, True).batches() for message in batch.messages]

    assert published() == published()
    assert len(published()) == 300


def test_a_workload_has_all_that_can_go_wrong() -> None:
    messages = [message for batch in Workload(Random(5), 2000, True).batches() for message in batch.messages]
    model = Model(llm=True)
    for message in messages:
        model.add(message)
    assert len(model.dead) > 40
    assert len(model.ended) > 100
    categories = {"Development", "SNS", "Design", "Music", "Uncategorized", "Education", "Browsing"}
    assert {log.category for log in model.all_logs} >= categories
    assert {log.fallback for log in model.all_logs if log.fallback != log.category} == {"Browsing", "Uncategorized"}
    assert len({log.timestamp for log in model.all_logs}) == len(model.all_logs)
    with_ids = sum("pomodoroUsageLogId" in log.message.fields for log in model.all_logs)
    assert 0.5 < with_ids / len(model.all_logs) < 0.7
    assert 50 < sum(message.repeated for message in messages) < 200


def test_an_end_is_the_last_message_of_its_session_or_its_first_where_all_have_ids() -> None:
    """The latter where Spring had to send the session again."""
    sessions: dict[tuple[str, str], list[Published]] = {}
    for batch in Workload(Random(6), 2000, True, broken=0.0).batches():
        for message in batch.messages:
            if not message.repeated:
                sessions.setdefault((message.fields["userId"], message.fields["session"]), []).append(message)
    reversed_ones = 0
    for messages in sessions.values():
        ends = [number for number, message in enumerate(messages) if message.fields.get("isEnd") == "true"]
        assert ends in ([], [0], [len(messages) - 1])
        if ends == [0] and len(messages) > 1:
            reversed_ones += 1
            assert all("pomodoroUsageLogId" in message.fields for message in messages)
    assert reversed_ones > 20


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (120.0, "120.0"), (1.5e-4, "1.5E-4"), (1e7, "1.0E7"), (1756771234.0, "1.756771234E9")],
)
def test_doubles_are_spelled_as_java_does(value: float, text: str) -> None:
    assert java_double(value) == text


def test_a_dead_letter_is_known_by_its_number() -> None:
    assert number_of_letter('{"chaosNumber": "17", "userId": ""}') == 17
    assert number_of_letter("no JSON") is None
