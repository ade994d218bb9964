"""A task is one entry of the registry and one function: all that lists tasks follows."""

import pytest

from infrastructure.observing.metrics import MetricsObserver, make_registry, values_of
from infrastructure.operations.task_registry import TASKS, TaskEntry
from infrastructure.operations.tasks import Tasks
from infrastructure.settings import Settings

tasks = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


@tasks
def test_a_task_has_a_function_of_its_name(task: TaskEntry) -> None:
    assert callable(getattr(Tasks, task.name))


@tasks
def test_a_task_and_its_parameters_are_described(task: TaskEntry) -> None:
    assert len(task.help) > 5
    assert len(task.parameters) == len(task.params.__struct_fields__)
    assert all(len(text) > 5 for text in task.parameters.values())


@tasks
def test_a_task_is_counted_under_its_name(task: TaskEntry) -> None:
    MetricsObserver(registry := make_registry())

    assert values_of(registry.collect())[f'pomocore_commands_total{{task="{task.name}",status="failed"}}'] == 0


def test_what_may_be_scheduled_has_a_setting_and_nothing_else_has() -> None:
    fields = {name for name in Settings.model_fields if name.startswith("schedule_")}

    assert fields == {task.schedule_setting for task in TASKS.values() if task.scheduled}
    assert "schedule_ping" not in fields


def test_the_schedule_is_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDULE_RECLASSIFY", "0 4 * * *")

    usual = {task.name: task.cron for task in TASKS.values() if task.cron and task.name != "crawl_sites"}
    assert Settings().schedule == {"reclassify": "0 4 * * *", **usual}
    assert usual["refresh_cards"] == "0 */2 * * *"
