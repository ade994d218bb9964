"""Commands on a real Redis: what becomes of each is told on the channel, and none is lost or ends the instance."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers
from pydantic import SecretStr
from structlog.testing import capture_logs

from domains.categoryPattern.model import CategoryPattern
from domains.kernel.errors import RedisOutage
from domains.operations.model import TaskStatus
from domains.pomodoro.model import Commit, DeadLetter
from infrastructure.composition.container import Container, card_worker, running_container, task_runner
from infrastructure.observing.observers import Observer
from infrastructure.operations.schedule import Schedule
from infrastructure.operations.task_registry import Params
from infrastructure.operations.task_runner import TaskRunner, request_for
from infrastructure.operations.tasks import Task
from infrastructure.redis.keys import TaskQueueKeys
from infrastructure.redis.task_queue import RedisTaskQueue
from infrastructure.settings import Settings
from tests.cards import make_past, remember
from tests.integration.conftest import DEADLINE
from tests.messages import (
    DEVELOPMENT,
    SEOUL,
    SNS,
    categorized,
    data_id,
    hex_id,
    message,
    patterns,
    unix_seconds,
    usage_log,
)
from tests.servers import RedisServer, redis_cluster

COMMANDS = "pomocore:commands"
PROCESSING = "pomocore:commands:processing"
MONTH = "leaderboard:Development:2025-M9"


class Spring:
    """Sends commands and hears what is told of them, with the synchronous client."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._channel = client.pubsub(ignore_subscribe_messages=True)
        self._channel.subscribe("pomocore:status")
        self.heard: list[dict[str, Any]] = []

    def send(self, task: str, command_id: Any = "1", **params: Any) -> None:
        self.client.rpush(COMMANDS, json.dumps({"task_type": task, "params": params, "id": command_id}))

    async def hears(self, *statuses: str) -> dict[str, Any]:
        """Waits until the next things told, but for progress, are these. Returns the last of them."""
        async with asyncio.timeout(DEADLINE):
            for status in statuses:
                told = await self._next()
                assert told["status"] == status, told
        return told

    async def nothing_left(self) -> None:
        """A command is removed just after its end was told."""
        await _until(lambda: not self.client.exists(COMMANDS, PROCESSING), "nothing is left of the command")

    async def _next(self) -> dict[str, Any]:
        while True:
            found = self._channel.get_message()
            if found is None:
                await asyncio.sleep(0.005)
            elif found["type"] == "message":
                self.heard.append(json.loads(found["data"]))
                if self.heard[-1]["status"] != "progress":
                    return self.heard[-1]


@pytest.fixture
def spring(redis_client: Any) -> Spring:
    return Spring(redis_client)


@pytest.fixture
async def container(settings: Settings) -> AsyncIterator[Container]:
    async with running_container(settings) as container:
        await container.category_patterns().save_all(patterns())
        await container.classifier().load()
        await container.partition().source().ensure_group()
        yield container


@asynccontextmanager
async def going(runner: TaskRunner, reload: asyncio.Event | None = None) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop, reload or asyncio.Event()))
    try:
        yield task
    finally:
        stop.set()
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def running(container: Container) -> AsyncIterator[asyncio.Task[None]]:
    async with going(task_runner(container)) as task:
        yield task


async def parked(container: Container, *reasons: str) -> None:
    for number, reason in enumerate(reasons):
        await container.publisher().publish([message(title=str(number))])
        batch = await container.partition().source().read_new(1, 100)
        letter = DeadLetter(batch.messages[0].entry_id, reason, batch.messages[0].fields)
        await container.partition().commits().commit(Commit(dead_letters=[letter]))


# Every task


@pytest.mark.usefixtures("running")
async def test_a_command_is_told_of_with_task_id_and_time(spring: Spring) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    spring.send("ping", "from Spring")

    told = await spring.hears("started", "completed")

    assert [(each["task"], each["id"], each["data"]) for each in spring.heard] == [("ping", "from Spring", {})] * 2
    assert before <= datetime.fromisoformat(told["time"]) <= datetime.now(UTC)
    await spring.nothing_left()


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    "command",
    [{"task_type": "ping"}, {"task_type": "ping", "params": None, "id": None}, {"task_type": "ping", "id": 7}],
    ids=["nothing else", "nulls", "a number"],
)
async def test_params_and_id_may_be_absent(spring: Spring, command: dict[str, Any]) -> None:
    spring.client.rpush(COMMANDS, json.dumps(command))

    assert (await spring.hears("started", "completed"))["id"] == command.get("id")


async def test_patterns_are_reloaded_in_every_instance(
    container: Container, spring: Spring, settings: Settings, tmp_path: Path
) -> None:
    reload, elsewhere = asyncio.Event(), asyncio.Event()
    async with running_container(settings.model_copy(update={"instance_id": "another"})) as other:
        runners = [(container, reload), (other, elsewhere)]
        async with (
            going(task_runner(container), reload),
            going(task_runner(other), elsewhere),
        ):
            spring.send("ping")
            await spring.hears("started", "completed")
            await _until(lambda: not reload.is_set() and not elsewhere.is_set(), "both are idle")
            await container.category_patterns().save_all(
                [CategoryPattern(hex_id(9), "Design", 9, ("Figma", "Sketch"))]
            )
            await asyncio.sleep(1.2)  # both have looked once
            assert not reload.is_set()
            spring.send("reload_patterns")

            told = await spring.hears("started", "completed")

            sizes = {each.classifier().snapshot.rules.size for each, _ in runners}
            assert told["data"]["patterns"] == max(sizes), "whoever ran it has them at once"
            async with asyncio.timeout(DEADLINE):
                for _, event in runners:
                    await event.wait()


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("params", "replayed"),
    [
        ({}, 3),
        ({"reason": "FULL"}, 2),
        ({"older_than": "1h"}, 0),
        ({"older_than": "0s", "reason": "store is full"}, 2),
        ({"ids": ["1-1"]}, 0),
    ],
    ids=["all", "reason", "too young", "both", "ids"],
)
async def test_dead_letters_are_replayed(
    container: Container, spring: Spring, params: dict[str, Any], replayed: int
) -> None:
    await parked(container, "the store is full", "not so", "the store is full")
    spring.send("replay_dead_letters", **params)

    told = await spring.hears("started", "completed")

    assert told["data"] == {"replayed": replayed, "truncated": 0}
    assert spring.client.xlen(container.keys().dead_letters) == 3 - replayed


@pytest.mark.usefixtures("running")
async def test_without_an_llm_there_is_nothing_to_reclassify_by(spring: Spring) -> None:
    spring.send("reclassify")

    assert "LLM" in (await spring.hears("started", "failed"))["data"]["reason"]


async def test_every_partition_is_reclassified_at_once(container: Container, spring: Spring) -> None:
    class Reclassifying:
        async def reclassify_all(self, stop: asyncio.Event, at_once: bool = False) -> int:
            assert at_once
            return 2

    container.llm_queue.override(providers.Object(_Asking()))
    container.classifier.reset()
    await container.classifier().load()
    partition = container.partition()
    partition.reclassification.override(providers.Object(Reclassifying()))
    container.partitions.override(providers.Object([partition, partition]))
    async with going(task_runner(container)):
        spring.send("reclassify")
        assert (await spring.hears("started", "completed"))["data"] == {"moved": 4}


class _Asking:
    is_paused = False

    async def aclose(self) -> None:
        pass


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("period", ["day", "week", "month", None])
async def test_boards_are_rebuilt(container: Container, spring: Spring, period: str | None) -> None:
    await container.publisher().publish([message(timestamp=unix_seconds("2025-09-02T12:00:00"))])
    batch = await container.partition().source().read_new(1, 100)
    decided, _ = container.partition().batches().decide(batch.messages, {})
    await container.partition().batches().write(decided)
    await container.partition().commits().commit(container.partition().batches().commit_of(decided))
    boards = {"day": "2025-09-02", "week": "2025-W36", "month": "2025-M9"}
    for label in boards.values():
        spring.client.zincrby(f"leaderboard:Development:{label}", 1000, "user-1")

    spring.send("rebuild_leaderboard", date="2025-09-02", force=True, **({"period": period} if period else {}))
    told = await spring.hears("started", "completed")

    asked = [period] if period else list(boards)
    assert told["data"] == {
        "date": "2025-09-02",
        "periods": asked,
        "logs": 1,
        "boards": 2 * len(asked),
        "unknown": 0,
        "unreadable": 0,
        "first_unreadable": "",
    }
    for name, label in boards.items():
        score = spring.client.zscore(f"leaderboard:Development:{label}", "user-1")
        assert score == (120.0 if name in asked else 1120.0)


async def committed(container: Container, *messages: dict[str, str]) -> None:
    await container.publisher().publish(messages)
    batch = await container.partition().source().read_new(len(messages), 100)
    decided, _ = container.partition().batches().decide(batch.messages, {})
    await container.partition().batches().write(decided)
    await container.partition().commits().commit(container.partition().batches().commit_of(decided))


@pytest.mark.usefixtures("running")
async def test_a_period_is_decided_again_by_the_rules_of_now(container: Container, spring: Spring) -> None:
    span, lines = 60.0, message(app="Ledger Lines", title="", timestamp=unix_seconds("2025-09-02T12:00:00"))
    later = lines | {"timestamp": unix_seconds("2025-09-03T12:00:00"), "userId": "ann"}
    other = message(app="카카오톡", title="", timestamp=unix_seconds("2025-09-02T13:00:00"))
    await committed(container, *(each | {"duration": str(span)} for each in (lines, later, other, lines)))
    assert spring.client.zscore("leaderboard:Uncategorized:2025-M9", "user-1") == 2 * span
    await container.category_patterns().add_patterns("Finance", ["Ledger Lines"], [])
    period = {"from": "2025-09-02", "to": "2025-09-03"}
    moved = [{"from": "Uncategorized", "to": "Finance", "seconds": 3 * span}]

    spring.send("reclassify_period", dry_run=True, **period)
    told = (await spring.hears("started", "completed"))["data"]
    assert told == {"logs": 4, "changed": 3, "unknown": 0, "refused": 0, "moved": moved}
    assert not spring.client.exists("leaderboard:Finance:2025-M9")

    for changed in (3, 0):  # the second time there is nothing to change, and the boards are what they are
        spring.send("reclassify_period", force=True, **period)
        told = (await spring.hears("started", "completed"))["data"]
        assert told["changed"] == changed
        boards = {
            key: dict(spring.client.zrange(key, 0, -1, withscores=True))
            for key in spring.client.keys("leaderboard:*")
        }
        for label, users in (
            ("2025-09-02", {"user-1": 2 * span}),
            ("2025-09-03", {"ann": span}),
            ("2025-W36", {"user-1": 2 * span, "ann": span}),
            ("2025-M9", {"user-1": 2 * span, "ann": span}),
        ):
            assert boards[f"leaderboard:Finance:{label}"] == boards[f"leaderboard:work:{label}"] == users
        assert boards["leaderboard:SNS:2025-M9"] == {"user-1": span}
        assert not any(key.startswith("leaderboard:Uncategorized") for key in boards)

    spring.send("reclassify_period", **period)
    told = (await spring.hears("started", "completed"))["data"]
    assert told["archived"] == ["day of 2025-09-02", "week of 2025-09-01", "month of 2025-09-01", "day of 2025-09-03"]
    spring.send("reclassify_period", **{"from": "2025-09-03", "to": "2025-09-02"})
    assert "in the past" in (await spring.hears("started", "failed"))["data"]["reason"]


@pytest.mark.usefixtures("running")
async def test_what_a_task_did_is_noted(container: Container, spring: Spring) -> None:
    spring.client.xadd("pomocore:audit", {"foreign": "entry"})
    spring.send("ping")
    await spring.hears("started", "completed")
    spring.send("rebuild_leaderboard", "7", date="1000-01-01")
    await spring.hears("started", "failed")
    spring.send("apply_corrections", "schedule:apply_corrections:2025-09-02T00:27")  # which changes nothing
    await spring.hears("started", "completed")
    spring.send("apply_corrections", "correction:of-a-page-that-asked-twice")
    await spring.hears("started", "completed")
    await spring.nothing_left()

    (latest, foreign), _ = await container.audit().page(10)
    assert (latest.who, latest.what, latest.item) == ("task 7", "rebuild_leaderboard", "date: 1000-01-01")
    assert latest.outcome.startswith("failed; reason: the server has archived")
    assert foreign[1:] == ("", "", "", "")


@pytest.mark.usefixtures("running")
async def test_boards_of_today_are_rebuilt_where_no_date_is_given(container: Container, spring: Spring) -> None:
    spring.send("rebuild_leaderboard", period="day")

    told = await spring.hears("started", "completed")

    today = datetime.now(container.settings().zone).date()
    assert abs((datetime.fromisoformat(told["data"]["date"]).date() - today).days) <= 1


# What cannot be run


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("command", "told"),
    [
        (b"", (None, "truncated")),
        (b"{", (None, "truncated")),
        (b"[1]", (None, "Expected")),
        (b'{"id": "1"}', (None, "task_type")),
        (b'{"task_type": 3}', (None, "Expected `str`")),
        (b'{"task_type": "ping", "parameters": {}}', (None, "parameters")),
        (b"\xff\xfe{}", (None, "")),
        (b"[" * 40_000, (None, "")),
        (b'{"task_type": "ping", "id": "' + b"x" * 70_000 + b'"}', (None, "longer than 65536")),
        (b'{"task_type": "dance", "id": "1"}', ("1", "no such task; there are ping, ")),
        (b'{"task_type": "ping", "id": "1", "params": {"loud": true}}', ("1", "loud")),
        (b'{"task_type": "rebuild_leaderboard", "id": "1", "params": {"period": "year"}}', ("1", "year")),
        (
            b'{"task_type": "rebuild_leaderboard", "id": "1", "params": {"date": "2025-02-30"}}',
            ("1", "date: not a date"),
        ),
        (b'{"task_type": "rebuild_leaderboard", "id": "1", "params": {"date": 20250902}}', ("1", "date")),
        (b'{"task_type": "replay_dead_letters", "id": "1", "params": {"ids": ["*"]}}', ("1", "regex")),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_what_cannot_be_understood_is_failed_and_removed(
    spring: Spring, command: bytes, told: tuple[str | None, str]
) -> None:
    spring.client.rpush(COMMANDS, command)

    failed = await spring.hears("failed")

    assert failed["id"] == told[0]
    assert told[1] in failed["data"]["reason"]
    spring.send("ping")
    await spring.hears("started", "completed")
    await spring.nothing_left()


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("task", "params", "reason"),
    [
        ("replay_dead_letters", {"older_than": "yesterday"}, "not a time such as"),
        ("rebuild_leaderboard", {"date": "9999-12-31"}, "date value out of range"),
        ("rebuild_leaderboard", {"date": "2025-09-02", "period": "week"}, "force"),
        ("rebuild_leaderboard", {"date": "0001-01-01"}, ""),
    ],
)
async def test_what_cannot_be_done_is_failed(spring: Spring, task: str, params: dict[str, Any], reason: str) -> None:
    spring.send(task, **params)

    assert reason in (await spring.hears("started", "failed"))["data"]["reason"]
    await spring.nothing_left()


async def test_an_error_that_nobody_foresaw_ends_the_command_alone(container: Container, spring: Spring) -> None:
    async def broken(params: Any, progress: Any) -> dict[str, Any]:
        raise KeyError("duration")

    async with going(_runner(container, broken)) as task:
        spring.send("work")
        assert (await spring.hears("started", "failed"))["data"]["reason"] == "KeyError: 'duration'"
        assert not task.done()


# Crashes, and more than one instance


def _runner(container: Container, work: Callable[..., Any], queue: RedisTaskQueue | None = None) -> TaskRunner:
    queue = queue or RedisTaskQueue(container.redis(), container.task_keys(), "pomocore:status")
    return TaskRunner(queue, {"work": Task(Params, work)}, container.observer())


async def test_a_command_that_was_being_run_in_a_crash_is_run_again(container: Container, spring: Spring) -> None:
    begun = asyncio.Event()

    async def never_ends(params: Any, progress: Any) -> dict[str, Any]:
        begun.set()
        await asyncio.Event().wait()
        return {}

    async def ends(params: Any, progress: Any) -> dict[str, Any]:
        return {"by": "the next one"}

    async with going(_runner(container, never_ends)):
        spring.send("work")
        async with asyncio.timeout(DEADLINE):
            await begun.wait()
    await spring.hears("started")
    assert spring.client.llen(PROCESSING) == 1
    spring.send("work", "2")
    spring.client.delete("pomocore:commands:lease")  # as its time does

    async with going(_runner(container, ends)):
        first = await spring.hears("started", "completed")
        second = await spring.hears("started", "completed")

    assert (first["id"], first["data"], second["id"]) == ("1", {"by": "the next one"}, "2")
    await spring.nothing_left()


async def test_of_two_instances_one_runs_commands(container: Container, spring: Spring) -> None:
    by: list[str] = []

    def work(name: str) -> Callable[..., Any]:
        async def done(params: Any, progress: Any) -> dict[str, Any]:
            by.append(name)
            return {}

        return done

    async with going(_runner(container, work("one"))), going(_runner(container, work("other"))):
        for number in range(10):
            spring.send("work", number)
        for _ in range(10):
            await spring.hears("started", "completed")

    assert len(set(by)) == 1
    assert len(by) == 10


async def test_who_loses_the_lease_stops_what_it_runs(
    container: Container, spring: Spring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.operations.task_runner.LEASE_SECONDS", 0.1)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def stopped(params: Any, progress: Any) -> dict[str, Any]:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    async with going(_runner(container, stopped)):
        spring.send("work")
        async with asyncio.timeout(DEADLINE):
            await begun.wait()
            spring.client.set("pomocore:commands:lease", "somebody else")
            await ended.wait()
    assert spring.client.llen(PROCESSING) == 1


async def test_an_outage_of_redis_is_waited_out(tmp_path: Path) -> None:
    server = RedisServer(tmp_path).start()
    try:
        async with (
            running_container(Settings(redis_addr=server.address, data_dir=tmp_path)) as container,
            going(task_runner(container)) as task,
        ):
            for _ in range(2):
                with server.client() as client:
                    spring = Spring(client)
                    spring.send("ping")
                    await spring.hears("started", "completed")
                server.stop()
                server.start()
            assert not task.done()
    finally:
        server.kill()


async def test_progress_is_told_at_most_once_a_second(
    container: Container, spring: Spring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.operations.task_runner._TELL_SECONDS", 0.05)

    async def slow(params: Any, progress: Any) -> dict[str, Any]:
        for number in range(100):
            await progress({"number": number})
            await asyncio.sleep(0.002)
        return {}

    async with going(_runner(container, slow)):
        begun = time.monotonic()
        spring.send("work")
        await spring.hears("started", "completed")

    told = [each for each in spring.heard if each["status"] == "progress"]
    assert 1 <= len(told) <= (time.monotonic() - begun) / 0.05 + 1
    assert told[-1]["data"]["number"] > 0


# The schedule


async def test_a_time_of_the_schedule_sends_one_request_from_all_instances(
    container: Container, spring: Spring
) -> None:
    due = datetime(2025, 9, 2, 4, tzinfo=SEOUL)
    schedules = [
        Schedule(
            RedisTaskQueue(container.redis(), container.task_keys(), "pomocore:status"), crons, SEOUL, Observer()
        )
        for crons in [{"reload_patterns": "0 4 * * *"}] * 3
    ]
    for schedule in schedules:
        await schedule.send_due(due - timedelta(hours=1))

    await asyncio.gather(*(schedule.send_due(due) for schedule in schedules))

    async with going(task_runner(container)):
        told = await spring.hears("started", "completed")
        await spring.nothing_left()
    assert told["id"] == "schedule:reload_patterns:2025-09-02T04:00"


async def test_what_was_refused_was_not_sent(container: Container, redis_client: Any) -> None:
    queue = container.task_queue()
    redis_client.set(COMMANDS, "of the wrong type")
    with pytest.raises(RedisOutage):
        await queue.send_scheduled("ping", 60.0, "{}")
    redis_client.delete(COMMANDS)

    assert await queue.send_scheduled("ping", 60.0, "{}")


# What commands alone cannot do


async def test_a_list_of_the_wrong_type_is_told_of_and_waited_out(container: Container, spring: Spring) -> None:
    spring.client.set(COMMANDS, "of the wrong type")
    with capture_logs() as logs:
        async with going(task_runner(container)):
            await _until(lambda: "tasks" in container.metrics().open_breakers, "it is known")
            await container.state().refresh()
            snapshot = await container.state().snapshot()
            spring.client.delete(COMMANDS)
            spring.send("ping")
            await spring.hears("started", "completed")

    (outage,) = snapshot["outages"]
    assert (outage["service"], outage["kind"]) == ("tasks", "wrong_type")
    assert outage["words"] in snapshot["problems"]
    assert "Tasks wait; no message is affected." in outage["words"]
    outages = [log for log in logs if log.get("service") == "tasks"]
    assert [log["action"] for log in outages] == ["breaker_open", "breaker_closed"]
    assert container.metrics().open_breakers == {}


async def test_a_task_is_run_where_its_status_cannot_be_published(
    container: Container, settings: Settings, redis_client: Any
) -> None:
    redis_client.execute_command("ACL", "SETUSER", "mute", "on", ">secret", "~*", "+@all", "resetchannels")
    mute = settings.model_copy(update={"redis_username": "mute", "redis_password": SecretStr("secret")})
    try:
        with capture_logs() as logs:
            async with running_container(mute) as forbidden, going(task_runner(forbidden)):
                redis_client.rpush(COMMANDS, request_for("reload_patterns", "1"))
                await _until(lambda: not redis_client.exists(COMMANDS, PROCESSING), "it is finished")
                redis_client.rpush(COMMANDS, request_for("ping", "2"))
                await _until(lambda: not redis_client.exists(COMMANDS, PROCESSING), "so is the next one")
                (outage,) = (await forbidden.state().snapshot())["outages"]
    finally:
        redis_client.execute_command("ACL", "DELUSER", "mute")

    assert (outage["service"], outage["kind"]) == ("status_channel", "forbidden")
    tasks = [(log["task"], log["status"]) for log in logs if log.get("action") == "task"]
    assert tasks == [(task, status) for task in ("reload_patterns", "ping") for status in ("started", "completed")]
    assert [log["action"] for log in logs if log.get("service") == "status_channel"] == ["breaker_open"]


async def test_requests_that_nobody_serves_are_a_problem(container: Container, spring: Spring) -> None:
    spring.send("ping")
    await container.state().refresh()

    assert "1 task waiting, and no instance runs tasks" in (await container.state().snapshot())["problems"]


# Clusters


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@pytest.mark.parametrize(
    ("task", "params"),
    [("rebuild_leaderboard", {"date": "2025-09-02"}), ("reclassify_period", {"from": "2025-09-02"})],
)
@pytest.mark.parametrize("prefix", ["", "{pomocore}:"], ids=["boards in other slots", "one slot"])
async def test_on_a_cluster_boards_can_be_rebuilt_where_one_step_reaches_them(
    masters: list[RedisServer], tmp_path: Path, prefix: str, task: str, params: dict[str, Any]
) -> None:
    settings = Settings(redis_addr=masters[0].address, redis_cluster=True, key_prefix=prefix, data_dir=tmp_path)
    async with running_container(settings) as container:
        await container.category_patterns().save_all(patterns())
        await container.categorized_data().save_all([categorized(1, "Visual Studio Code", category_id=SNS)])
        await container.usage_logs().save_all([usage_log(1, category_id=SNS)])
        queue = container.task_queue()
        async with going(task_runner(container)), queue.statuses() as statuses:
            await queue.send(request_for(task, "1", {**params, "force": True}))
            async with asyncio.timeout(DEADLINE):
                told = [each async for each in _up_to_the_end(statuses)]
        (data,) = (await container.categorized_data().find_by_ids([data_id(1)])).values()

    assert data.category_id == (DEVELOPMENT if prefix and task == "reclassify_period" else SNS)

    if prefix:
        assert (told[0].status, told[-1].status) == ("started", "completed")
    else:
        assert told[-1].status == "failed"
        assert "KEY_PREFIX" in str(told[-1].data["reason"])


async def test_cards_are_made_at_springs_command_and_it_is_told_how_far_they_are(
    container: Container, redis_client: Any
) -> None:
    today, users = container.cards().today(), ["a", "b", "c"]
    past = make_past(users, today - timedelta(days=3), today, SEOUL)
    await remember(container, past)
    stop = asyncio.Event()
    async with container.task_queue().statuses() as statuses, asyncio.TaskGroup() as group:
        redis_client.rpush(COMMANDS, '{"task_type": "refresh_cards", "params": {}, "id": "7"}')
        async with asyncio.timeout(DEADLINE):
            async with going(task_runner(container)):
                seen = [await anext(statuses), await anext(statuses)]
            async with going(task_runner(container)):  # as after a crash: the request is still there
                for stage in ("boards", "users"):
                    group.create_task(card_worker(container, stage).run(stop))
                seen += [each async for each in _up_to_the_end(statuses)]
        stop.set()

    assert [(each.status, each.id) for each in seen[:3]] == [("started", "7"), ("progress", "7"), ("started", "7")]
    assert seen[1].data["users"] == 0
    assert seen[-1].status == "completed"
    assert seen[-1].data["run"] == seen[1].data["run"]
    assert {name: seen[-1].data[name] for name in ("boards_left", "chunks_left", "users")} == {
        "boards_left": 0, "chunks_left": 0, "users": len(past.users)
    }  # fmt: skip
    cards = [await container.focus_cards().of_user(user) for user in past.users]
    assert sum(map(len, cards)) == seen[-1].data["written"] > 0


async def test_field_names_of_earlier_versions_are_repaired(mongo_settings: Settings) -> None:
    async with running_container(mongo_settings) as container:
        windows = container.mongo_database()["categorized_data"]
        await windows.insert_many([{"app": "Slack", "isLLMBased": True}, {"app": "Slack", "IsLLMBased": False}])
        queue = container.task_queue()
        async with going(task_runner(container)), queue.statuses() as statuses:
            await queue.send(request_for("repair_field_names", "1"))
            async with asyncio.timeout(DEADLINE):
                told = [each async for each in _up_to_the_end(statuses)]

        assert (told[-1].status, dict(told[-1].data)) == ("completed", {"looked_at": 2, "repaired": 1})
        assert await windows.count_documents({"isLLMBased": {"$exists": True}}) == 0


async def test_the_embedded_store_has_no_field_names_to_repair(container: Container, spring: Spring) -> None:
    async with going(task_runner(container)):
        spring.send("repair_field_names")
        assert (await spring.hears("started", "completed"))["data"] == {"looked_at": 0, "repaired": 0}


async def _up_to_the_end(statuses: AsyncIterator[TaskStatus]) -> AsyncIterator[TaskStatus]:
    async for told in statuses:
        yield told
        if told.status in ("completed", "failed"):
            return


def test_on_a_cluster_all_keys_of_commands_lie_in_one_slot() -> None:
    keys = TaskQueueKeys(COMMANDS, clustered=True)
    assert keys.commands == COMMANDS
    assert {keys.processing, keys.lease, keys.patterns} == {
        f"{{{COMMANDS}}}:{name}" for name in ("processing", "lease", "patterns")
    }


async def _until(condition: Callable[[], Any], what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not so: {what}") from None
