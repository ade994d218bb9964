"""Commands that Spring, an operator or the schedule puts on a list: taken, run one at a time, and told of.

One instance runs them at a time. What it takes stays on a second list until its end has been told, so that after a
crash the next one runs it again: all tasks can be repeated.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from time import monotonic
from typing import Annotated, Any, NamedTuple

import msgspec

from domains.kernel.errors import Outage, PipelineError, RedisOutage, TaskRefused
from domains.kernel.resilience import Breaker, cancel_all, pause
from domains.leaderboard.model import Period
from domains.patternClassifier.classifier import PatternClassifier
from domains.pomodoro.rebuild import LeaderboardRebuild, Rebuilt
from domains.pomodoro.reclassification import Reclassification
from infrastructure.redis.dead_letters import DeadLetterStreams, Selection
from infrastructure.redis.task_queue import LEASE_SECONDS, RedisTaskQueue

_WAIT_SECONDS = 1
_TELL_SECONDS = 1.0
_LONGEST = 65_536
"""Characters of a command: beyond, it is not looked at."""

Progress = Callable[[Mapping[str, Any]], Awaitable[None]]


class _Params(msgspec.Struct, forbid_unknown_fields=True):
    """Of a task that has none."""


class _ReplayParams(_Params, forbid_unknown_fields=True):
    reason: str = ""
    older_than: str = ""
    ids: list[Annotated[str, msgspec.Meta(pattern=r"^\d{1,20}-\d{1,20}$")]] = []


class _RebuildParams(_Params, forbid_unknown_fields=True):
    period: Period | None = None
    day: date | None = msgspec.field(default=None, name="date")


class _Command(msgspec.Struct, forbid_unknown_fields=True):
    task_type: str
    params: dict[str, Any] | None = None
    id: str | int | None = None


class Task(NamedTuple):
    params: type[_Params]
    run: Callable[[Any, Progress], Awaitable[Mapping[str, Any]]]


class TaskObserver:
    """Told what is told on the channel, for logs and metrics. A base class like ConsumerObserver; must not raise."""

    def command_told(self, status: Mapping[str, Any]) -> None: ...


class Tasks:
    """What commands can ask for. Each raises PipelineError, or ValueError where a parameter is wrong."""

    def __init__(
        self,
        queue: RedisTaskQueue,
        classifier: PatternClassifier,
        dead_letters: DeadLetterStreams,
        reclassifications: Sequence[Reclassification],
        leaderboards: LeaderboardRebuild,
        today: Callable[[], date],
    ) -> None:
        self._queue = queue
        self._classifier = classifier
        self._dead_letters = dead_letters
        self._reclassifications = reclassifications
        self._leaderboards = leaderboards
        self._today = today
        self.by_name = {
            "ping": Task(_Params, self._ping),
            "reload_patterns": Task(_Params, self._reload_patterns),
            "replay_dead_letters": Task(_ReplayParams, self._replay_dead_letters),
            "reclassify": Task(_Params, self._reclassify),
            "rebuild_leaderboard": Task(_RebuildParams, self._rebuild_leaderboard),
        }

    async def _ping(self, params: _Params, progress: Progress) -> Mapping[str, Any]:
        return {}

    async def _reload_patterns(self, params: _Params, progress: Progress) -> Mapping[str, Any]:
        await self._classifier.load()
        await self._queue.patterns_changed()
        return {"patterns": self._classifier.snapshot.rules.size}

    async def _replay_dead_letters(self, params: _ReplayParams, progress: Progress) -> Mapping[str, Any]:
        selection = Selection(params.ids, params.reason, params.older_than)
        replayed, truncated = await self._dead_letters.replay_all(selection)
        return {"replayed": len(replayed), "truncated": truncated}

    async def _reclassify(self, params: _Params, progress: Progress) -> Mapping[str, Any]:
        if not self._classifier.can_ask:
            raise TaskRefused("there is no LLM that may be asked now")
        moved = 0
        for reclassification in self._reclassifications:
            moved += await reclassification.reclassify_all(asyncio.Event(), at_once=True)
            await progress({"moved": moved})
        return {"moved": moved}

    async def _rebuild_leaderboard(self, params: _RebuildParams, progress: Progress) -> Mapping[str, Any]:
        async def told(state: Rebuilt) -> None:
            await progress({"logs": state.logs})

        periods = list(Period) if params.period is None else [params.period]
        day = params.day or self._today()
        done = await self._leaderboards.rebuild(periods, day, told)
        return {"date": day.isoformat(), "periods": [period.value for period in periods], **done._asdict()}


class TaskRunner:
    """Runs commands while this instance has the lease, and has the patterns loaded when somebody changed them."""

    def __init__(self, queue: RedisTaskQueue, tasks: Mapping[str, Task], observer: TaskObserver) -> None:
        self._queue = queue
        self._tasks = tasks
        self._observer = observer
        self._redis = Breaker(lambda is_open, cause: None)  # the consumer's tells of the same outage

    async def run(self, stop: asyncio.Event, reload: asyncio.Event) -> None:
        """Until `stop` is set. Sets `reload` when the patterns are to be loaded."""
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
                command = turn.left_behind
                if command is None:
                    command = await self._redis.run(self._take, stop)
                if command is not None:
                    await self._run_while_ours(command)

    async def _take(self) -> str | None:
        return await self._queue.take(_WAIT_SECONDS)

    async def _run_while_ours(self, command: str) -> None:
        """Whoever has the lease next runs the same command: two at once would only be in each other's way."""
        running = asyncio.create_task(self._run(command), name="command")
        try:
            while not (await asyncio.wait({running}, timeout=LEASE_SECONDS / 3))[0]:
                with suppress(RedisOutage):
                    if not (await self._queue.turn()).ours:
                        return
            await running
        finally:
            await cancel_all([running])

    async def _run(self, text: str) -> None:
        command, task, params, fault = self._understood(text)
        tell = partial(self._tell, command)
        if task is None:
            await self._redis.run(lambda: tell("failed", {"reason": fault}))
        else:
            await self._redis.run(lambda: tell("started", {}))
            status, data = await self._outcome(task, params, tell)
            await self._redis.run(lambda: tell(status, data))
        await self._redis.run(lambda: self._queue.finished(text))

    def _understood(self, text: str) -> tuple[_Command, Task | None, _Params, str]:
        """The command, its task and parameters; without a task what is wrong with it."""
        command = _Command("")
        try:
            if len(text) > _LONGEST:
                raise ValueError(f"the command is longer than {_LONGEST} characters")
            command = msgspec.json.decode(text, type=_Command)
            if (task := self._tasks.get(command.task_type)) is None:
                raise ValueError(f"there is no such task; there are {', '.join(self._tasks)}")
            return command, task, msgspec.convert(command.params or {}, task.params), ""
        except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors, and so are those of encodings
            return command, None, _Params(), str(error)

    async def _outcome(
        self, task: Task, params: _Params, tell: Callable[[str, Mapping[str, Any]], Awaitable[None]]
    ) -> tuple[str, Mapping[str, Any]]:
        last = monotonic()

        async def progress(data: Mapping[str, Any]) -> None:
            nonlocal last
            if monotonic() - last >= _TELL_SECONDS:
                last = monotonic()
                with suppress(RedisOutage):
                    await tell("progress", data)

        try:
            return "completed", await task.run(params, progress)
        except (PipelineError, ValueError) as error:
            return "failed", {"reason": str(error)}
        except Exception as error:  # whatever it is, it is the command's end and not the instance's
            return "failed", {"reason": f"{type(error).__name__}: {error}"}

    async def _tell(self, command: _Command, status: str, data: Mapping[str, Any]) -> None:
        told = {
            "status": status,
            "task": command.task_type,
            "id": command.id,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "data": data,
        }
        await self._queue.tell(told)
        self._observer.command_told(told)


def command_of(task: str, command_id: str, params: Mapping[str, Any] | None = None) -> str:
    """A command as Spring writes it."""
    return json.dumps({"task_type": task, "params": params or {}, "id": command_id})
