"""When the schedule asks for a task: at its time, once, and once for all the times that were missed."""

import json
from datetime import datetime, timedelta

import pytest

from domains.operations.ports import TaskObserver
from infrastructure.memory.operations import InMemoryTaskQueue, InMemoryTasks
from infrastructure.operations.schedule import Schedule
from tests.messages import SEOUL

NIGHTLY = {"rebuild_leaderboard": "0 4 * * *"}
NOON = datetime(2025, 9, 2, 12, tzinfo=SEOUL)
FOUR = datetime(2025, 9, 3, 4, tzinfo=SEOUL)


class Told(TaskObserver):
    def __init__(self) -> None:
        self.caught_up: list[tuple[str, datetime]] = []

    def schedule_caught_up(self, task: str, due: datetime) -> None:
        self.caught_up.append((task, due))


class Machine:
    """What outlives an instance: the queue; `instance` starts one."""

    def __init__(self) -> None:
        self.tasks = InMemoryTasks()
        self.told = Told()

    def instance(self, crons: dict[str, str] | None = None) -> Schedule:
        return Schedule(InMemoryTaskQueue(self.tasks), crons or NIGHTLY, SEOUL, self.told)

    @property
    def asked(self) -> list[str]:
        return [json.loads(request)["id"] for request in self.tasks.waiting]


@pytest.fixture
def machine() -> Machine:
    return Machine()


async def test_a_task_is_asked_for_when_it_is_due(machine: Machine) -> None:
    schedule = machine.instance()

    assert await schedule.send_due(NOON) == timedelta(hours=16).total_seconds()
    assert await schedule.send_due(FOUR - timedelta(microseconds=1)) == pytest.approx(0, abs=1e-5)
    assert machine.asked == []
    assert await schedule.send_due(FOUR) == timedelta(days=1).total_seconds()
    assert machine.asked == ["schedule:rebuild_leaderboard:2025-09-03T04:00"]
    await schedule.send_due(FOUR + timedelta(seconds=1))
    assert len(machine.asked) == 1
    assert machine.told.caught_up == []


async def test_a_busy_loop_may_be_a_little_late(machine: Machine) -> None:
    schedule = machine.instance()
    await schedule.send_due(NOON)

    await schedule.send_due(FOUR + timedelta(seconds=29))

    assert (len(machine.asked), machine.told.caught_up) == (1, [])


async def test_what_a_restart_missed_is_caught_up_once_and_told(machine: Machine) -> None:
    await machine.instance().send_due(FOUR - timedelta(minutes=1))
    late = FOUR + timedelta(minutes=2)

    for _ in range(2):  # by the instance that starts, and by another one
        await machine.instance().send_due(late)

    assert machine.asked == ["schedule:rebuild_leaderboard:2025-09-03T04:00"]
    assert machine.told.caught_up == [("rebuild_leaderboard", FOUR)]


@pytest.mark.parametrize(("cron", "last"), [("0 4 * * *", "2025-10-07T04:00"), ("* * * * *", "2025-10-07T12:34")])
async def test_of_many_missed_times_the_last_is_caught_up(machine: Machine, cron: str, last: str) -> None:
    crons = {"reclassify": cron}
    await machine.instance(crons).send_due(NOON)

    await machine.instance(crons).send_due(datetime(2025, 10, 7, 12, 34, 50, tzinfo=SEOUL))

    assert machine.asked == [f"schedule:reclassify:{last}"]


async def test_a_new_schedule_has_missed_nothing(machine: Machine) -> None:
    await machine.instance().send_due(NOON)

    await machine.instance({"rebuild_leaderboard": "0 5 * * *"}).send_due(FOUR + timedelta(days=3, hours=2))

    assert machine.asked == []


async def test_each_task_has_its_own_times(machine: Machine) -> None:
    schedule = machine.instance(NIGHTLY | {"reclassify": "30 3 * * *"})
    await schedule.send_due(NOON)

    assert await schedule.send_due(datetime(2025, 9, 3, 3, 30, tzinfo=SEOUL)) == 1800
    await schedule.send_due(FOUR)

    assert machine.asked == ["schedule:reclassify:2025-09-03T03:30", "schedule:rebuild_leaderboard:2025-09-03T04:00"]
