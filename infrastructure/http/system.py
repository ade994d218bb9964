"""What runs where, with which settings, and who changed what: the console's page for those who operate it."""

import asyncio
from contextlib import aclosing, suppress
from datetime import datetime
from secrets import token_hex
from time import time

import msgspec
from aiohttp import web

from domains.kernel.errors import RedisOutage
from domains.operations.model import Change, TaskRun
from domains.operations.ports import AuditPort, TaskQueuePort
from domains.operations.service import told_of
from infrastructure.command_line import VERSION
from infrastructure.http import schemas
from infrastructure.http.endpoint import Endpoint
from infrastructure.http.guard import Guard
from infrastructure.http.instances import OtherInstances
from infrastructure.observing.nearest_name import hint
from infrastructure.operations.health import PipelineHealth
from infrastructure.operations.instance_snapshots import ChosenSettings, settings_of
from infrastructure.operations.outages import server_of
from infrastructure.operations.task_registry import TASKS, in_plain_words
from infrastructure.operations.task_runner import request_for
from infrastructure.settings import Settings, describe_settings, is_secret

_RUNS = 100
_WAIT_SECONDS = 5.0


class SystemApi:
    def __init__(
        self,
        settings: Settings,
        state: PipelineHealth,
        tasks: TaskQueuePort,
        audit: AuditPort,
        guard: Guard,
        others: OtherInstances,
    ) -> None:
        self._settings = settings
        self._state = state
        self._tasks = tasks
        self._audit = audit
        self._guard = guard
        self._others = others

    async def system(self, request: web.Request, query: schemas.InstanceQuery) -> schemas.System:
        other = await self._others.snapshot(query.instance)
        runs: list[TaskRun] | None = None
        with suppress(RedisOutage):  # the stores say so
            runs = await self._tasks.runs(_RUNS)
        return schemas.System(
            version=VERSION,
            instance=query.instance or self._settings.consumer_name,
            zone=self._settings.timezone,
            time=time(),
            instances=self._instances(),
            stores=await self._stores(),
            settings=_settings(other or settings_of(self._settings)),
            tasks=self._described_tasks(runs or []),
            runs=None if runs is None else [_run(run) for run in runs],
        )

    async def run_task(self, request: web.Request, body: schemas.TaskRequest) -> schemas.RequestedTask:
        """Requests a task as Spring does. Whoever runs it notes it in the audit, with the id."""
        if (task := TASKS.get(body.task)) is None:
            raise web.HTTPNotFound(text=f"{body.task}: no such task; {hint(body.task, TASKS)}")
        try:
            msgspec.convert(body.params, task.params)
        except msgspec.ValidationError as fault:
            raise web.HTTPBadRequest(text=in_plain_words(fault)) from None
        request_id = f"console by {self._guard.owner(request)}: {token_hex(4)}"
        told = schemas.RequestedTask(id=request_id, status="waiting", data={})
        statuses = told_of(self._tasks, request_for(task.name, request_id, body.params), request_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_SECONDS), aclosing(statuses):
                async for it in statuses:
                    told = schemas.RequestedTask(id=request_id, status=it.status.value, data=dict(it.data))
        return told

    async def audit(self, request: web.Request, query: schemas.AuditQuery) -> schemas.Audit:
        admitted = self._guard.admits(request)
        changes, following = await self._audit.page(query.limit, query.before)
        return schemas.Audit(content=[_change(change, admitted) for change in changes], next=following)

    def _instances(self) -> list[schemas.SystemInstance]:
        return [
            schemas.SystemInstance(
                name=instance.name,
                stream=stream.stream,
                pending=instance.pending,
                idle_seconds=instance.idle_seconds,
                alive=instance.idle_seconds <= self._settings.silence_allowed,
                here=instance.name == self._settings.consumer_name,
            )
            for stream in self._state.gauges.streams or ()
            for instance in stream.instances
        ]

    async def _stores(self) -> list[schemas.StoreDocument]:
        await self._state.checks()
        outages, made = self._state.outages, list[schemas.StoreDocument]()
        for service in ("redis", "store"):
            (name, address), outage = server_of(service, self._settings), outages.get(service)
            document = schemas.StoreDocument(service=service, server=name, address=address, ok=outage is None)
            if outage is not None:
                document.kind, document.since = outage.kind.value, outage.since
                document.words = outage.in_words(self._settings)
            made.append(document)
        return made

    def _described_tasks(self, runs: list[TaskRun]) -> list[schemas.TaskDocument]:
        from infrastructure.operations.schedule import next_time  # apscheduler is only for schedules

        schedule, now = self._settings.schedule if self._settings.commands else {}, datetime.now(self._settings.zone)
        return [
            schemas.TaskDocument(
                name=task.name,
                help=task.help,
                params=[schemas.TaskParameter(**{**it._asdict(), "choices": [*it.choices]}) for it in task.described],
                schedule=schedule.get(task.name),
                next=next_time(schedule[task.name], now) if task.name in schedule else None,
                last_run=next((_run(run) for run in runs if run.task == task.name), None),
            )
            for task in TASKS.values()
        ]

    @property
    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET", "/api/system", self.system,
                "Instances, stores, settings of one of them without secrets, and tasks with their history",
                schemas.System, schemas.InstanceQuery, problems=(404,),
            ),
            Endpoint(
                "POST", "/api/tasks", self.run_task,
                "Has a task run, and tells how it ended, or how far it came within a few seconds",
                schemas.RequestedTask, body=schemas.TaskRequest, access="token", problems=(404,),
            ),
            Endpoint(
                "GET", "/api/audit", self.audit, "Who changed what, the latest first; with the token, all of it",
                schemas.Audit, schemas.AuditQuery, access="more",
            ),
        ]  # fmt: skip


def _settings(of: schemas.InstanceSnapshot | ChosenSettings) -> list[schemas.SettingDocument]:
    return [
        schemas.SettingDocument(
            name=name,
            value=of.settings.get(name, default or None),
            default=default or None,
            is_set=name in of.given,
            secret=is_secret(name.lower()),
            unit=unit,
            description=description,
        )
        for name, default, unit, description in describe_settings()
    ]


def _run(run: TaskRun) -> schemas.TaskRun:
    ended = None if run.ended is None else _unix(run.ended)
    return schemas.TaskRun(**run._asdict() | {"started": _unix(run.started), "ended": ended})


def _unix(moment: str) -> float:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except (ValueError, OverflowError):  # anybody may publish anything
        return 0.0


def _change(change: Change, admitted: bool) -> schemas.ChangeDocument:
    document = schemas.ChangeDocument(time=change.time, who=change.who, what=change.what)
    if admitted:
        document.item, document.outcome = change.item, change.outcome
    return document
