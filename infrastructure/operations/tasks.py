"""The functions of the tasks, each under its name in the registry."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from time import time
from typing import Any, NamedTuple

from domains.kernel.errors import TaskRefused
from domains.leaderboard.model import Period
from domains.leaderboard.service import BoardCalendar
from domains.operations.model import Selection
from domains.operations.ports import DeadLettersPort, TaskQueuePort
from domains.operations.service import replay_letters
from domains.patternClassifier.classifier import PatternClassifier
from domains.pomodoro.model import RepairedDocuments
from domains.pomodoro.period_reclassification import Changed, PeriodReclassification
from domains.pomodoro.ports import FieldNamesPort
from domains.pomodoro.rebuild import LeaderboardRebuild, Rebuilt
from domains.pomodoro.reclassification import Reclassification
from infrastructure.operations.task_registry import TASKS, Params, PeriodParams, RebuildParams, ReplayParams

Data = Mapping[str, object]
"""Publishes the progress of a task: JSON values by name."""
Progress = Callable[[Data], Awaitable[None]]
_MOST_MOVES = 100


class Task(NamedTuple):
    """`run` gets an object of `params`, and returns the data that are published at the end.

    It raises PipelineError, or ValueError if a parameter is wrong.
    """

    params: type[Params]
    run: Callable[[Any, Progress], Awaitable[Data]]


class Tasks:
    """`reclassifications` are those of all partitions.

    `field_names` is None if the store has never known other names.
    """

    def __init__(
        self,
        queue: TaskQueuePort,
        classifier: PatternClassifier,
        dead_letters: DeadLettersPort,
        reclassifications: Sequence[Reclassification],
        leaderboards: LeaderboardRebuild,
        period_reclassification: PeriodReclassification,
        field_names: FieldNamesPort | None,
        calendar: BoardCalendar,
    ) -> None:
        self._queue = queue
        self._classifier = classifier
        self._dead_letters = dead_letters
        self._reclassifications = reclassifications
        self._leaderboards = leaderboards
        self._period_reclassification = period_reclassification
        self._field_names = field_names
        self._calendar = calendar
        self.by_name = {name: Task(entry.params, getattr(self, name)) for name, entry in TASKS.items()}

    async def ping(self, params: Params, progress: Progress) -> Data:
        return {}

    async def reload_patterns(self, params: Params, progress: Progress) -> Data:
        await self._classifier.load()
        await self._queue.patterns_changed()
        return {"patterns": self._classifier.snapshot.rules.size}

    async def replay_dead_letters(self, params: ReplayParams, progress: Progress) -> Data:
        selection = Selection(params.ids, params.reason, params.older_than)
        replayed, left = await replay_letters(self._dead_letters, selection)
        return {"replayed": len(replayed), "truncated": len(left)}

    async def reclassify(self, params: Params, progress: Progress) -> Data:
        if not self._classifier.can_ask:
            raise TaskRefused("there is no LLM that may be asked now")
        moved = 0
        for reclassification in self._reclassifications:
            moved += await reclassification.reclassify_all(asyncio.Event(), at_once=True)
            await progress({"moved": moved})
        return {"moved": moved}

    async def repair_field_names(self, params: Params, progress: Progress) -> Data:
        done = RepairedDocuments()
        if self._field_names is not None:
            async for done in self._field_names.repair():
                await progress(done._asdict())
        return done._asdict()

    async def reclassify_period(self, params: PeriodParams, progress: Progress) -> Data:
        async def changed(state: Changed) -> None:
            await progress({"logs": state.logs, "changed": state.changed})

        async def rebuilt(state: Rebuilt) -> None:
            await progress({"rebuilt": state.logs})

        first, last = params.first, params.last or params.first
        if not first <= last <= self._calendar.day(time()):
            raise TaskRefused("the days must lie in the past, the first before the last")
        if not params.dry_run:
            self._leaderboards.ensure_possible()  # before documents change that the boards could not follow
        await self.reload_patterns(params, progress)
        done = await self._period_reclassification.decide(first, last, params.dry_run, changed)
        largest = sorted(done.moved.items(), key=lambda moved: -moved[1])[:_MOST_MOVES]
        moves = [{"from": before, "to": now, "seconds": round(seconds, 3)} for (before, now), seconds in largest]
        data = {**done._asdict(), "moved": moves}
        if params.dry_run:
            return data
        left = list[str]()

        def wanted(period: Period, start: date) -> bool:
            if params.force or self._calendar.archived_from(period, start) > time():
                return True
            left.append(f"{period.value} of {start}")
            return False

        boards = await self._period_reclassification.rebuild(first, last, wanted, rebuilt)
        return {**data, "boards": boards, "archived": left}

    async def rebuild_leaderboard(self, params: RebuildParams, progress: Progress) -> Data:
        async def told(state: Rebuilt) -> None:
            await progress({"logs": state.logs})

        periods = list(Period) if params.period is None else [params.period]
        day = params.day or self._calendar.day(time())
        archived = [period for period in periods if self._calendar.archived_from(period, day) <= time()]
        if archived and not params.force:
            raise TaskRefused(
                f"the server has archived the boards of the {archived[0]} of {day}, and would archive new ones once "
                "more; force=true rebuilds them all the same"
            )
        done = await self._leaderboards.rebuild(periods, day, told)
        return {"date": day.isoformat(), "periods": [period.value for period in periods], **done._asdict()}
