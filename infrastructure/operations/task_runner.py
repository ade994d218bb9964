"""Takes requests for tasks from a list, runs them one at a time, and publishes their status.

One instance at a time does this. A request stays on a second list until its end has been published, so that after a
crash the next instance runs it again: all tasks can be repeated.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from time import monotonic

import msgspec

from domains.kernel.errors import Outage, PipelineError, RedisOutage
from domains.kernel.resilience import Breaker, cancel_all, pause
from domains.operations.model import LEASE_SECONDS, TaskState, TaskStatus
from domains.operations.ports import AuditPort, TaskObserver, TaskQueuePort
from infrastructure.observing.readable import in_words
from infrastructure.operations.task_registry import Params, in_plain_words
from infrastructure.operations.tasks import Data, Task

_WAIT_SECONDS = 1
SCHEDULED = "schedule:"
"""How the ids of requests begin that the schedule makes."""
CORRECTION = "correction:"
"""How the ids of requests begin that a correction in the console makes, which is an entry of the audit itself."""
_TELL_SECONDS = 1.0
_LONGEST = 65_536
"""Characters of a request. A longer one is refused."""


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    task_type: str
    params: dict[str, object] | None = None
    id: str | int | None = None


class TaskRunner:
    """Runs tasks while this instance has the lease, and reloads the patterns when their version has changed."""

    def __init__(
        self,
        queue: TaskQueuePort,
        tasks: Mapping[str, Task],
        observer: TaskObserver,
        audit: AuditPort | None = None,
    ) -> None:
        self._queue = queue
        self._tasks = tasks
        self._observer = observer
        self._audit = audit
        self._redis = Breaker(partial(observer.breaker_changed, "tasks"))
        self._channel_works = True

    async def run(self, stop: asyncio.Event, reload: asyncio.Event) -> None:
        """Runs until `stop` is set. Sets `reload` when the patterns have to be loaded."""
        patterns = ""
        with suppress(Outage):  # once `stop` is set
            while not stop.is_set():
                turn = await self._redis.run(self._queue.turn, stop)
                if turn.patterns != (patterns or turn.patterns):
                    reload.set()
                patterns = turn.patterns
                if not turn.ours:
                    await pause(stop, _WAIT_SECONDS)
                    continue
                request = turn.left_behind
                if request is None:
                    request = await self._redis.run(self._take, stop)
                if request is not None:
                    await self._run_while_ours(request)

    async def _take(self) -> str | None:
        return await self._queue.take(_WAIT_SECONDS)

    async def _run_while_ours(self, request: str) -> None:
        """Runs a task while this instance has the lease.

        Without it, the task is cancelled: the next holder runs it again.
        """
        running = asyncio.create_task(self._run(request), name="task")
        try:
            while not (await asyncio.wait({running}, timeout=LEASE_SECONDS / 3))[0]:
                with suppress(RedisOutage):
                    if not (await self._queue.turn()).ours:
                        return
            await running
        finally:
            await cancel_all([running])

    async def _run(self, text: str) -> None:
        request, task, params, fault = self._understood(text)
        tell = partial(self._tell, request)
        if task is None:
            await tell(TaskState.FAILED, {"reason": fault})
        else:
            await tell(TaskState.STARTED, {})
            state, data = await self._outcome(task, params, tell)
            if self._audit is not None and request.task_type != "ping" and not _did_nothing(request.id, state, data):
                asked, done = in_words(request.params or {}), in_words(data)
                outcome = f"{state}; {done}" if done else str(state)
                await self._audit.note(f"task {request.id}", request.task_type, asked, outcome)
            await tell(state, data)
        await self._redis.run(lambda: self._queue.finished(text))

    def _understood(self, text: str) -> tuple[_Request, Task | None, Params, str]:
        """The request, its task and its parameters; if there is no task, what is wrong with the request."""
        request = _Request("")
        try:
            if len(text) > _LONGEST:
                raise ValueError(f"the request is longer than {_LONGEST} characters")
            request = msgspec.json.decode(text, type=_Request)
            if (task := self._tasks.get(request.task_type)) is None:
                raise ValueError(f"there is no such task; there are {', '.join(self._tasks)}")
            return request, task, msgspec.convert(request.params or {}, task.params), ""
        except (ValueError, RecursionError) as error:  # errors of msgspec and of encodings are ValueErrors
            return request, None, Params(), in_plain_words(error)

    async def _outcome(
        self, task: Task, params: Params, tell: Callable[[TaskState, Data], Awaitable[None]]
    ) -> tuple[TaskState, Data]:
        last = monotonic()

        async def progress(data: Data) -> None:
            nonlocal last
            if monotonic() - last >= _TELL_SECONDS:
                last = monotonic()
                await tell(TaskState.PROGRESS, data)

        try:
            return TaskState.COMPLETED, await task.run(params, progress)
        except (PipelineError, ValueError) as error:
            return TaskState.FAILED, {"reason": str(error)}
        except Exception as error:  # an error of any kind ends the task, and not the instance
            return TaskState.FAILED, {"reason": f"{type(error).__name__}: {error}"}

    async def _tell(self, request: _Request, state: TaskState, data: Data) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        status = TaskStatus(state, request.task_type, request.id, now, data)
        self._observer.task_told(status)
        try:
            await self._queue.publish(status)
        except RedisOutage:
            if state is not TaskState.PROGRESS:
                cause = await self._published_later(status)
        else:
            cause = None
        self._channel_is(cause)

    async def _published_later(self, status: TaskStatus) -> RedisOutage | None:
        """Publishes a status once Redis answers. Returns why that is impossible: the channel may be forbidden to us.

        The task goes on then, without its status.
        """
        await self._redis.run(self._queue.turn)
        try:
            await self._queue.publish(status)
        except RedisOutage as cause:
            return cause
        return None

    def _channel_is(self, fault: RedisOutage | None) -> None:
        if (fault is None) != self._channel_works:
            self._channel_works = fault is None
            self._observer.breaker_changed("status_channel", fault is not None, fault)


def _did_nothing(request_id: object, state: TaskState, data: Data) -> bool:
    """Whether nobody asked for it by itself, and it has changed nothing: no figure but zeros."""
    follows = str(request_id).startswith((SCHEDULED, CORRECTION))
    return follows and state is TaskState.COMPLETED and not any(isinstance(it, int) and it for it in data.values())


def request_for(task: str, request_id: str, params: Mapping[str, object] | None = None) -> str:
    """A request in the form in which Spring writes it."""
    return json.dumps({"task_type": task, "params": params or {}, "id": request_id})
