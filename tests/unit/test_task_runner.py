"""What an instance does with the tasks that it is asked for, on a queue in memory."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from domains.kernel.errors import Outage, RedisOutage
from domains.operations.model import TaskState, TaskStatus
from domains.operations.ports import TaskObserver
from infrastructure.memory.operations import InMemoryTaskQueue, InMemoryTasks
from infrastructure.operations.task_registry import Params
from infrastructure.operations.task_runner import TaskRunner, request_for
from infrastructure.operations.tasks import Task


class Told(TaskObserver):
    def __init__(self) -> None:
        self.statuses: list[TaskStatus] = []
        self.ended = asyncio.Event()
        self.breakers: list[tuple[str, bool]] = []

    def breaker_changed(self, name: str, is_open: bool, cause: Outage | None) -> None:
        self.breakers.append((name, is_open))

    def task_told(self, status: TaskStatus) -> None:
        self.statuses.append(status)
        if status.status is not TaskState.STARTED:
            self.ended.set()


def runner_of(queue: InMemoryTaskQueue, work: Callable[..., Any], told: Told | None = None) -> TaskRunner:
    return TaskRunner(queue, {"work": Task(Params, work)}, told or Told())


async def test_a_runner_that_is_cancelled_waits_for_the_end_of_its_task() -> None:
    queue, begun, ended = InMemoryTaskQueue(InMemoryTasks()), asyncio.Event(), False

    async def work(params: Params, progress: Any) -> dict[str, object]:
        nonlocal ended
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)  # as a driver that gives its connection back
            ended = True
        return {}

    await queue.send(request_for("work", "1"))
    running = asyncio.create_task(runner_of(queue, work).run(asyncio.Event(), asyncio.Event()))
    await asyncio.wait_for(begun.wait(), 30)
    running.cancel()
    await asyncio.wait({running}, timeout=30)

    assert ended


async def test_tasks_run_one_after_the_other() -> None:
    queue, told, order = InMemoryTaskQueue(InMemoryTasks()), Told(), []

    async def work(params: Params, progress: Any) -> dict[str, object]:
        order.append("begin")
        await asyncio.sleep(0)
        order.append("end")
        if len(order) == 4:
            stop.set()
        return {}

    stop = asyncio.Event()
    for number in range(2):
        await queue.send(request_for("work", str(number)))
    await asyncio.wait_for(runner_of(queue, work, told).run(stop, asyncio.Event()), 30)

    assert order == ["begin", "end"] * 2
    assert [(it.id, it.status.value) for it in told.statuses] == [
        (number, state) for number in ("0", "1") for state in ("started", "completed")
    ]


@pytest.mark.parametrize("error", [KeyError("duration"), ValueError("no such day")])
async def test_a_task_that_fails_says_why_and_is_finished(error: Exception) -> None:
    tasks, told = InMemoryTasks(), Told()

    async def work(params: Params, progress: Any) -> dict[str, object]:
        raise error

    queue, stop = InMemoryTaskQueue(tasks), asyncio.Event()
    await queue.send(request_for("work", "1"))
    running = asyncio.create_task(runner_of(queue, work, told).run(stop, asyncio.Event()))
    await asyncio.wait_for(told.ended.wait(), 30)
    stop.set()
    await asyncio.wait_for(running, 30)

    assert told.statuses[-1].status is TaskState.FAILED
    assert str(error.args[0]) in str(told.statuses[-1].data["reason"])
    assert (list(tasks.waiting), tasks.processing) == ([], [])


class Mute(InMemoryTaskQueue):
    """Its channel is forbidden to it, until it is not."""

    forbidden = True

    async def publish(self, status: TaskStatus) -> None:
        if self.forbidden:
            raise RedisOutage("NOPERM")
        await super().publish(status)


async def test_a_status_that_cannot_be_published_stops_no_task_and_is_told_once() -> None:
    queue, told, done = Mute(InMemoryTasks()), Told(), asyncio.Event()

    async def work(params: Params, progress: Any) -> dict[str, object]:
        if len(told.statuses) > 4:
            queue.forbidden = False
            done.set()
        return {}

    stop = asyncio.Event()
    for number in range(3):
        await queue.send(request_for("work", str(number)))
    running = asyncio.create_task(runner_of(queue, work, told).run(stop, asyncio.Event()))
    await asyncio.wait_for(done.wait(), 30)
    stop.set()
    await asyncio.wait_for(running, 30)

    assert [it.status.value for it in told.statuses] == ["started", "completed"] * 3
    assert told.breakers == [("status_channel", True), ("status_channel", False)]


class Refusing(InMemoryTaskQueue):
    """Its list is of the wrong type for a while."""

    left = 2

    async def take(self, seconds: int) -> str | None:
        if self.left:
            self.left -= 1
            raise RedisOutage("WRONGTYPE")
        return await super().take(seconds)


async def test_requests_that_cannot_be_taken_are_told_of() -> None:
    queue, told = Refusing(InMemoryTasks()), Told()

    async def work(params: Params, progress: Any) -> dict[str, object]:
        return {}

    stop = asyncio.Event()
    await queue.send(request_for("work", "1"))
    running = asyncio.create_task(runner_of(queue, work, told).run(stop, asyncio.Event()))
    await asyncio.wait_for(told.ended.wait(), 30)
    stop.set()
    await asyncio.wait_for(running, 30)

    assert told.breakers == [("tasks", True), ("tasks", False)]
