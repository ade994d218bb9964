"""The console's API on real servers: what it answers, what it hides, and whom it refuses."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession
from structlog.testing import capture_logs
from yarl import URL

from domains.categoryPattern.model import CategoryPattern, Evidence, PatternKind, PatternProposal, ProposalStatus
from domains.kernel.errors import OutageKind, RedisOutage, StoreOutage
from domains.kernel.window import Window
from domains.operations.counters import SPANS
from domains.operations.model import StreamFigures, TaskState, TaskStatus
from domains.patternClassifier.model import Classification, Tier
from domains.patternClassifier.snapshot import PatternSnapshot
from domains.pomodoro.model import CommitResult, Lane
from domains.siteProfile.model import EvidenceKind, PageFacts, SiteEvidence, SiteProfile, SiteState, VisitOutcome
from infrastructure.composition.container import running_container, task_runner
from infrastructure.http import live
from infrastructure.http.door import open_door
from infrastructure.http.page import console_files
from infrastructure.observing.deployment_counters import DeploymentCounters
from infrastructure.operations import instance_snapshots
from infrastructure.operations.task_registry import TASKS
from infrastructure.redis.keys import INSTANCE
from infrastructure.settings import Settings, SettingsError, load_settings
from tests.integration.conftest import DEADLINE, Pipeline, StartPipeline
from tests.messages import hex_id, message
from tests.servers import RedisServer, free_port

TOKEN = "correct horse battery staple"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}
DAY = {"period": "day", "date": "2025-09-02"}

PROPOSAL = PatternProposal("a1", PatternKind.DOMAIN, "linear.app", "Development", Evidence(40, 9, {"SNS": 1}))


@dataclass
class Door:
    """A pipeline with its door open, and a client that knocks at it."""

    pipeline: Pipeline
    session: ClientSession
    address: str

    async def get(self, path: str, headers: Mapping[str, str] | None = None, **query: str | int) -> Any:
        async with self.session.get(self.address + path, params=query, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> ClientResponse:
        answer = await self.session.post(self.address + path, json={} if body is None else body, headers=headers)
        await answer.read()
        return answer

    async def refused(self, path: str, headers: Mapping[str, str] | None = None, **query: str) -> tuple[int, str]:
        async with self.session.get(self.address + path, params=query, headers=headers) as answer:
            return answer.status, await told(answer)

    async def dead_letter(self) -> dict[str, Any]:
        await self.pipeline.process(message(duration="-1", title="my secret", url="https://private.example/x"))
        (letter,) = (await self.get("/api/dead-letters"))["content"]
        return dict(letter)


async def told(answer: ClientResponse) -> str:
    """What a problem document says."""
    assert answer.content_type == "application/problem+json"
    document = await answer.json()
    assert document["status"] == answer.status
    return str(document["detail"])


@pytest.fixture
def admin_token() -> str | None:
    return TOKEN


@pytest.fixture
async def door(pipeline_on: StartPipeline, settings: Settings, admin_token: str | None) -> AsyncIterator[Door]:
    chosen = load_settings(
        **settings.model_dump(exclude_unset=True),
        http_port=free_port(),
        admin_token=admin_token,
        admin_tokens="kim:another long token,lee:a third long token" if admin_token else None,
    )
    async with pipeline_on(chosen) as pipeline, ClientSession() as session:
        container = pipeline.container
        async with open_door(
            container.state(), container.api, [container.partition().consumer()], asyncio.Event()
        ) as address:
            await pipeline.process(message())  # so that the patterns are there
            assert address is not None
            yield Door(pipeline, session, address)


# How it is


async def test_the_state_is_that_of_the_metrics(door: Door) -> None:
    await door.pipeline.container.state().refresh()
    state = await door.get("/api/state")

    assert state["level"] == "healthy"
    assert state["metrics"]["pomocore_messages_read_total"] == 1
    assert state["streams"][0]["instances"][0]["name"] == state["instance"]
    assert state["llm"] is False


async def test_the_history_and_the_totals_are_those_of_the_deployment(door: Door) -> None:
    container = door.pipeline.container
    await container.counting().flush()
    another = DeploymentCounters(container.counters())  # as another instance, or this one before it was restarted
    another.classified({Tier.LLM: 3})
    another.batch_committed(CommitResult(messages=3), 0.02, Lane.SLOW)
    await another.flush()
    await container.state().refresh()

    deployment = (await door.get("/api/state"))["deployment"]
    assert {**deployment, "since": None} == {
        "since": None, "committed": 4, "dead_letters": 0, "tiers": {"app": 1, "llm": 3},
        "categories": {"Development": 120.0},
    }  # fmt: skip
    for span, (step, points) in SPANS.items():
        history = await door.get("/api/history", span=span)
        assert (history["step"], history["since"]) == (step, deployment["since"])
        assert history["start"] <= history["now"] - step * (points - 1) < history["start"] + step
        series = history["committed"], history["tiers"]["llm"], history["lanes"]["slow"]["messages"]
        assert [(len(each), sum(each)) for each in series] == [(points, 4), (points, 3), (points, 3)]
        assert sum(history["categories"]["Development"]) == 120.0
        assert [p for p in history["lanes"]["slow"]["p95"] if p is not None] == [pytest.approx(0.02425)]
    assert (await door.refused("/api/history", span="2y"))[0] == 400


async def test_the_history_has_the_greatest_backlog(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    container = door.pipeline.container
    (seen,) = await container.figures().streams()

    async def streams() -> list[StreamFigures]:
        return [replace(seen, undelivered=40, oldest_undelivered_seconds=70.5)]

    monkeypatch.setattr(container.figures(), "streams", streams)
    await container.state().refresh()
    await container.counting().flush()
    for span in SPANS:
        backlog = (await door.get("/api/history", span=span))["backlog"]
        assert [it for it in backlog["waiting"] if it] == [40]
        assert [it for it in backlog["oldest"] if it] == [70.5]
        assert backlog["working"].count(None) >= SPANS[span].points - 2


async def test_events_are_a_state_each_second(door: Door) -> None:
    async with door.session.get(f"{door.address}/api/events") as answer:
        assert answer.content_type == "text/event-stream"
        events = [await event(answer) for _ in range(2)]

    assert [name for name, _ in events] == ["state", "state"]
    assert 0 < events[1][1]["time"] - events[0][1]["time"] < 30


async def event(answer: ClientResponse) -> tuple[str, Any]:
    async with asyncio.timeout(DEADLINE):
        text = (await answer.content.readuntil(b"\n\n")).decode()
    name, data = text.strip().split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_silence_is_broken_now_and_then(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_HEARTBEAT_SECONDS", 0.05)
    async with door.session.get(f"{door.address}/api/events") as answer, asyncio.timeout(DEADLINE):
        assert await answer.content.readuntil(b": still here\n\n")


async def test_events_go_on_while_redis_is_away(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone() -> None:
        raise RedisOutage("gone", OutageKind.UNREACHABLE)

    for name in ("streams", "ping"):
        monkeypatch.setattr(door.pipeline.container.figures(), name, gone)
    async with door.session.get(f"{door.address}/api/events") as answer:
        _, state = await event(answer)

    assert (state["level"], state["streams"]) == ("down", [])
    (outage,) = state["outages"]
    assert (outage["kind"], outage["cause"]) == ("unreachable", "gone")
    assert abs(state["time"] - outage["since"]) < DEADLINE
    assert state["checks"]["redis"]["why"] == outage["words"]


async def test_no_more_than_some_may_listen(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LISTENERS", 1)
    async with door.session.get(f"{door.address}/api/events") as first:
        await event(first)
        status, detail = await door.refused("/api/events")

    assert (status, detail) == (503, "1 listen already")


async def test_who_has_gone_makes_room(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LISTENERS", 1)
    async with door.session.get(f"{door.address}/api/events") as first:
        await event(first)
    async with asyncio.timeout(DEADLINE):
        while (second := await door.session.get(f"{door.address}/api/events")).status == 503:
            second.close()
            await asyncio.sleep(0.05)

    assert second.status == 200
    second.close()


async def test_listeners_are_told_of_the_end(settings: Settings) -> None:
    chosen = settings.model_copy(update={"http_port": free_port()})
    async with running_container(chosen) as container, ClientSession() as session:
        async with open_door(container.state(), container.api, [], asyncio.Event()) as address:
            answer = await session.get(f"{address}/api/events")
            assert (await event(answer))[0] == "state"
        rest = await answer.content.read()

    assert rest.endswith(b"event: end\ndata: {}\n\n")


async def test_the_console_runs_nothing_but_files_of_this_server(door: Door) -> None:
    async with door.session.get(door.address) as answer:
        html, headers = await answer.text(), answer.headers

    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert answer.content_type == "text/html"
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert {sources for name, sources in policy.items() if name.endswith("-src")} == {"'none'", "'self'"}
    assert not re.search(r"<style|<script>| style=| on\w+=|javascript:", html)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


async def files_of_the_console(door: Door) -> dict[str, str]:
    """{name: text} of all that the pages load, and of what this loads."""
    wanted, loaded = [*CHOSEN], dict[str, str]()
    for page in ("/", "/users/user-1"):
        async with door.session.get(door.address + page, headers=ADMIN) as answer:
            wanted += re.findall(r'"/console/([\w.]+)"', await answer.text())
    for name in wanted:
        if name not in loaded:
            async with door.session.get(f"{door.address}/console/{name}") as answer:
                assert answer.status == 200, name
                assert answer.content_type == CONTENT_TYPES[name.rpartition(".")[2]]
                loaded[name] = await answer.text()
            wanted += re.findall(r'(?:from|import) "\./([\w.]+)"', loaded[name])
    return loaded


CONTENT_TYPES = {"js": "text/javascript", "css": "text/css", "json": "application/json", "svg": "image/svg+xml"}
CHOSEN = ["en.json", "ko.json", "icon-degraded.svg", "icon-down.svg"]
"""Files whose names the scripts put together."""


async def test_every_file_of_the_console_is_loaded_and_of_its_type(door: Door) -> None:
    assert {*await files_of_the_console(door), "console.html"} == console_files().keys()


async def test_every_tier_and_lane_has_a_label_and_a_meaning(door: Door) -> None:
    known = await door.get("/api/labels")

    assert [tier["name"] for tier in known["tiers"]] == list(Tier)
    assert [lane["name"] for lane in known["lanes"]] == list(Lane)
    assert all(it["label"] and it["meaning"] for it in (*known["tiers"], *known["lanes"]))


async def test_a_file_that_a_browser_has_is_not_sent_again(door: Door) -> None:
    async with door.session.get(f"{door.address}/console/console.js") as first:
        tag = first.headers["ETag"]
    async with door.session.get(f"{door.address}/console/console.js", headers={"If-None-Match": tag}) as second:
        assert (second.status, await second.read()) == (304, b"")
    async with door.session.get(f"{door.address}/console/console.js", headers={"If-None-Match": '"old"'}) as third:
        assert third.status == 200


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fserver.py", "%2e%2e/api.py", "__init__.py"])
async def test_nothing_but_the_console_is_served_as_a_file(door: Door, name: str) -> None:
    async with door.session.get(URL(f"{door.address}/console/{name}", encoded=True)) as answer:
        assert answer.status == 404


# System


async def test_the_system_is_described_without_secrets(pipeline_on: StartPipeline, settings: Settings) -> None:
    chosen = load_settings(
        **settings.model_dump(exclude_unset=True),
        http_port=free_port(),
        admin_token=TOKEN,
        openai_proxy="http://user:hidden-password@proxy:3128",
        schedule_reload_patterns="0 4 * * *",
        batch_max=7,
    )
    async with pipeline_on(chosen) as pipeline, ClientSession() as session:
        container = pipeline.container
        for state in (TaskState.STARTED, TaskState.COMPLETED):
            status = TaskStatus(state, "ping", "1", "2025-09-02T00:00:34.500+00:00", {})
            await container.task_queue().publish(status)
        consumers = [container.partition().consumer()]
        async with open_door(container.state(), container.api, consumers, asyncio.Event()) as address:
            await pipeline.process(message())
            await container.state().refresh()
            async with session.get(f"{address}/api/system") as answer:
                text, system = await answer.text(), await answer.json()

    (instance,) = system["instances"]
    assert (instance["name"], instance["alive"], instance["here"]) == (chosen.consumer_name, True, True)
    assert [(store["service"], store["address"], store["ok"]) for store in system["stores"]] == [
        ("redis", chosen.redis_addr, True),
        ("store", str(chosen.data_dir / "pomocore.db"), True),
    ]
    shown = {setting["name"]: setting for setting in system["settings"]}
    assert shown.keys() == {name.upper() for name in Settings.model_fields}
    assert (shown["BATCH_MAX"]["value"], shown["BATCH_MAX"]["default"], shown["BATCH_MAX"]["isSet"]) == (
        "7", "1000", True,
    )  # fmt: skip
    assert (shown["LLM_BATCH_SIZE"]["value"], shown["LLM_BATCH_SIZE"]["isSet"]) == ("1", False)
    assert (shown["ADMIN_TOKEN"]["value"], shown["ADMIN_TOKEN"]["isSet"], shown["ADMIN_TOKEN"]["secret"]) == (
        None, True, True,
    )  # fmt: skip
    assert shown["OPENAI_PROXY"]["value"] == "http://…@proxy:3128/"
    assert not any(secret in text for secret in (TOKEN, "hidden-password"))
    tasks = {task["name"]: task for task in system["tasks"]}
    assert tasks.keys() == TASKS.keys()
    assert tasks["reload_patterns"]["schedule"] == "0 4 * * *"
    assert datetime.fromtimestamp(tasks["reload_patterns"]["next"], chosen.zone).hour == 4
    (run,) = system["runs"]
    assert run == tasks["ping"]["lastRun"]
    assert (run["status"], run["started"], run["ended"]) == ("completed", 1756771234.5, 1756771234.5)


async def test_an_instance_shows_what_another_one_tells_of_itself(door: Door, pipeline_on: StartPipeline) -> None:
    pipeline, chosen = door.pipeline, door.pipeline.settings
    other = load_settings(**chosen.model_dump(exclude_unset=True) | {"instance_id": "another", "batch_max": 7})
    async with pipeline_on(other) as another:
        another.container.observer().batch_committed(CommitResult(messages=5), 0.1)
        another.container.observer().breaker_changed("store", True, StoreOutage("gone", OutageKind.UNREACHABLE))
        await another.container.telling().tell()
    state = await door.get("/api/state", instance=other.consumer_name)
    mine = await door.get("/api/state", instance=chosen.consumer_name)
    system = await door.get("/api/system", instance=other.consumer_name)

    committed = 'pomocore_messages_committed_total{lane="fast"}'
    assert (state["instance"], state["metrics"][committed]) == (other.consumer_name, 5)
    assert 0 <= state["time"] - state["taken"] < DEADLINE
    assert (state["checks"]["store"]["ok"], state["breakers"].keys(), state["level"]) == (False, {"store"}, "healthy")
    assert [(it["service"], it["words"]) for it in state["outages"]] == [("store", state["checks"]["store"]["why"])]
    assert (mine["metrics"][committed], mine["time"]) == (1, mine["taken"])
    shown = {it["name"]: (it["value"], it["isSet"]) for it in system["settings"]}
    assert (system["instance"], shown["BATCH_MAX"]) == (other.consumer_name, ("7", True))
    ours = {it["name"]: (it["value"], it["isSet"]) for it in (await door.get("/api/system"))["settings"]}
    assert {name for name in ours if ours[name] != shown[name]} == {"BATCH_MAX", "INSTANCE_ID"}
    assert TOKEN not in pipeline.redis.get(INSTANCE + other.consumer_name)


async def test_a_task_is_run_by_hand_told_and_noted(door: Door) -> None:
    async def asked(**body: Any) -> tuple[int, dict[str, Any]]:
        answer = await door.post("/api/tasks", body, ADMIN)
        return answer.status, await answer.json()

    assert (await door.post("/api/tasks", {"task": "ping"})).status == 401
    runner, stop = task_runner(door.pipeline.container), asyncio.Event()
    running = asyncio.create_task(runner.run(stop, asyncio.Event()))
    _, done = await asked(task="apply_retention", params={"dry_run": True})
    _, failed = await asked(task="reclassify")
    unknown, wrong = await asked(task="reclasify"), await asked(task="rebuild_leaderboard", params={"date": "9/2"})
    stop.set()
    await running

    assert (done["status"], done["data"]["dry_run"], failed["status"]) == ("completed", True, "failed")
    assert failed["data"] == {"reason": "there is no LLM that may be asked now"}
    assert (unknown[0], unknown[1]["detail"]) == (404, "reclasify: no such task; did you mean reclassify?")
    assert (wrong[0], wrong[1]["detail"]) == (400, "date: not a date such as 2025-09-02")
    (_, first) = (await door.get("/api/audit", ADMIN))["content"]
    assert re.fullmatch(r"task console by admin: \w{8}", first["who"])
    assert (first["what"], first["item"]) == ("apply_retention", "dry_run: yes")
    runs = (await door.get("/api/system"))["runs"]
    assert [run["id"] for run in runs] == [failed["id"], done["id"]]


async def test_a_task_that_nobody_runs_waits(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infrastructure.http.system._WAIT_SECONDS", 0.2)
    answer = await (await door.post("/api/tasks", {"task": "ping"}, ADMIN)).json()

    assert (answer["status"], answer["data"]) == ("waiting", {})
    assert json.loads(door.pipeline.redis.lindex("pomocore:commands", 0))["id"] == answer["id"]


@pytest.mark.parametrize("written", [None, "no snapshot", "{}"])
async def test_of_whom_nothing_is_heard_there_is_no_instance(door: Door, written: str | None) -> None:
    if written is not None:
        door.pipeline.redis.set(f"{INSTANCE}nobody", written)

    for path in ("/api/state", "/api/system"):
        refused = await door.refused(path, instance="nobody")
        assert refused == (404, "there is no such instance; /api/system has them all")


async def test_an_instance_tells_within_bounds_and_through_everything(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    container, said, stop = door.pipeline.container, list[str](), asyncio.Event()

    async def put(_: str, snapshot: str) -> None:
        said.append(snapshot)
        match len(said):
            case 1:
                raise RedisOutage("gone", OutageKind.UNREACHABLE)
            case 2:
                raise ValueError("a fault of ours")
            case 3:
                monkeypatch.setattr(instance_snapshots, "_MOST_CHARACTERS", len(snapshot) - 1000)
            case _:
                stop.set()

    monkeypatch.setattr(container.instance_snapshots(), "put", put)
    monkeypatch.setattr(instance_snapshots, "_EVERY_SECONDS", 0.0)
    with capture_logs() as logs:
        await container.telling().run(stop)

    assert [log["action"] for log in logs if log["log_level"] == "error"] == ["console"]
    assert [bool(json.loads(it)["metrics"]) for it in said] == [True, True, True, False]


async def test_the_audit_shows_what_only_with_the_token(door: Door) -> None:
    for number in range(3):
        await door.pipeline.container.audit().note("kim", "changed", f"my secret {number}", "done")
    first = await door.get("/api/audit", limit=2)
    rest = await door.get("/api/audit", limit=2, before=first["next"], headers=ADMIN)

    assert [(it["who"], it["what"], it["item"], it["outcome"]) for it in first["content"]] == [
        ("kim", "changed", None, None)
    ] * 2
    assert [(it["item"], it["outcome"]) for it in rest["content"]] == [("my secret 0", "done")]
    assert rest["next"] is None


async def test_the_system_is_shown_while_redis_is_away(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        raise RedisOutage("gone", OutageKind.UNREACHABLE)

    container = door.pipeline.container
    monkeypatch.setattr("infrastructure.operations.health._CHECK_KEPT_SECONDS", 0.0)
    monkeypatch.setattr(container.figures(), "ping", gone)
    monkeypatch.setattr(container.task_queue(), "runs", gone)
    system = await door.get("/api/system")

    redis, store = system["stores"]
    assert (redis["ok"], redis["kind"], store["ok"], system["runs"]) == (False, "unreachable", True, None)
    assert redis["since"] is not None
    assert redis["words"].startswith(f"Redis at {redis['address']} has not answered since ")


# Boards


async def test_a_page_of_a_board(door: Door) -> None:
    await door.pipeline.process(*(message(userId=f"user-{n}", duration=str(n)) for n in range(2, 7)))
    board = await door.get("/api/boards/Development", page=1, size=2, **DAY)

    assert board == DAY | {
        "category": "Development",
        "page": 1,
        "size": 2,
        "total": 6,
        "content": [
            {"rank": 3, "userId": "user-5", "score": 5.0},
            {"rank": 4, "userId": "user-4", "score": 4.0},
        ],
    }


async def test_a_user_and_those_around(door: Door) -> None:
    await door.pipeline.process(*(message(userId=f"user-{n}", duration=str(n)) for n in range(2, 7)))
    found = await door.get("/api/boards/work/users/user-4", distance=1, **DAY)

    assert found["user"] == {"rank": 4, "userId": "user-4", "score": 4.0}
    assert [row["userId"] for row in found["content"]] == ["user-5", "user-4", "user-3"]
    assert (found["distance"], found["total"]) == (1, 6)


async def test_who_is_not_on_a_board_has_rank_0(door: Door) -> None:
    found = await door.get("/api/boards/work/users/" + "a%2Fb%20%25", **DAY)

    assert found["user"] == {"rank": 0, "userId": "a/b %", "score": 0.0}
    assert found["content"] == []


async def test_users_of_any_spelling_are_shown(door: Door) -> None:
    fields = {name.encode(): value.encode() for name, value in message(userId="준 / ☕").items()}
    door.pipeline.publish_raw(fields)
    await door.pipeline.settled()
    door.pipeline.redis.zadd("leaderboard:SNS:2025-09-02", {b"\xff\xfe": 1.0})

    found = await door.get("/api/boards/Development/users/%EC%A4%80%20%2F%20%E2%98%95", **DAY)
    assert found["user"] == {"rank": 1, "userId": "준 / ☕", "score": 120.0}
    assert (await door.get("/api/boards/SNS", **DAY))["content"][0]["userId"] == "��"


async def test_without_a_date_it_is_today(door: Door) -> None:
    today = (await door.get("/api/categories"))["today"]

    assert (await door.get("/api/boards/work"))["date"] == today


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/boards/Nonsense", 404),
        ("/api/boards/work?period=year", 400),
        ("/api/boards/work?date=1756771234", 400),
        ("/api/boards/work?date=2025-02-30", 400),
        ("/api/boards/work?page=-1", 400),
        ("/api/boards/work?size=101", 400),
        ("/api/boards/work?priod=day", 400),
        ("/api/boards/work?page=1&page=2", 400),
        ("/api/dead-letters?limit=0", 400),
        ("/api/nowhere", 404),
    ],
)
async def test_what_is_wrong_is_said_as_a_problem(door: Door, path: str, status: int) -> None:
    assert (await door.refused(path))[0] == status


async def test_a_board_that_redis_cannot_read_is_a_problem_too(door: Door) -> None:
    door.pipeline.redis.set("leaderboard:work:2025-09-01", "a board of the wrong type")

    status, detail = await door.refused("/api/boards/work", period="day", date="2025-09-01")
    assert status == 503
    assert "has had a key of another type" in detail


async def test_categories_say_what_is_work(door: Door) -> None:
    document = await door.get("/api/categories")
    work = {each["name"]: each["work"] for each in document["categories"]}

    assert document["overall"] == "work"
    assert (work["Development"], work["SNS"], work["Music"]) == (True, False, False)


# Dead letters


async def test_a_dead_letter_without_the_token_quotes_nothing(door: Door) -> None:
    letter = await door.dead_letter()

    assert (letter["kind"], letter["userId"], letter["fields"]) == ("invalid_field", "user-1", None)
    assert "-1" not in letter["reason"]
    assert "secret" not in json.dumps(letter)


async def test_quotation_marks_hide_nothing_from_the_masking(door: Door) -> None:
    await door.pipeline.process(message(duration="""it's "my" secret"""))
    (letter,) = (await door.get("/api/dead-letters"))["content"]

    assert letter["reason"] == "duration must be a finite number of seconds, 0 or more, not …"


async def test_what_a_store_said_of_a_message_is_not_shown_either(door: Door) -> None:
    letter = {"reason": "StoreRefused: title my secret", "originalId": "1-0", "deliveryCount": "5", "time": "1.5"}
    door.pipeline.redis.xadd(
        f"{door.pipeline.settings.stream_key}:dlq", letter | {"truncated": "true", "fields": "{}"}
    )
    (shown,) = (await door.get("/api/dead-letters"))["content"]

    assert (shown["kind"], "secret" in shown["reason"]) == ("unknown", False), "an earlier version wrote it"
    assert (await door.get("/api/dead-letters", reason="secret"))["content"] == []
    assert (await door.get("/api/dead-letters", reason="secret", headers=ADMIN))["content"] != []
    refused = await door.post(f"/api/dead-letters/{shown['id']}/replay", headers=ADMIN)
    assert refused.status == 409
    assert "cut because of their size" in await told(refused)


async def test_the_token_shows_the_fields(door: Door) -> None:
    await door.dead_letter()
    (letter,) = (await door.get("/api/dead-letters", headers=ADMIN))["content"]

    assert letter["fields"]["title"] == "my secret"
    assert "'-1'" in letter["reason"]


async def test_the_latest_come_first_and_can_be_chosen(door: Door) -> None:
    await door.pipeline.process(message(duration="-1"))
    await door.pipeline.process(message(session="-1"), message(userId=None))

    reasons = [letter["reason"] for letter in (await door.get("/api/dead-letters", limit=2))["content"]]
    assert len(reasons) == 2
    assert not any("duration" in reason for reason in reasons)
    (chosen,) = (await door.get("/api/dead-letters", reason="DURATION"))["content"]
    assert "duration" in chosen["reason"]


async def test_the_latest_of_all_partitions(settings: Settings, redis_server: RedisServer) -> None:
    async with running_container(settings.model_copy(update={"stream_partitions": 3})) as container:
        with redis_server.client() as client:
            for time in range(1500):
                letter = {"reason": f"number {time}", "originalId": "1-0", "deliveryCount": "1", "time": str(time)}
                stream = f"{settings.stream_key}:{time % 3}:dlq"
                client.xadd(stream, letter | {"truncated": "false", "fields": "{}"}, id=f"{1000 + time}-0")
        latest, _ = await container.dead_letters().page(4, lambda letter: True)
        rare, _ = await container.dead_letters().page(4, lambda letter: letter.reason in ("number 2", "number 1498"))

    assert [letter.reason for letter in latest] == [f"number {time}" for time in (1499, 1498, 1497, 1496)]
    assert [letter.reason for letter in rare] == ["number 1498", "number 2"]


async def test_a_replay_puts_it_back_once_and_is_logged(door: Door) -> None:
    letter = await door.dead_letter()
    with capture_logs() as logs:
        answer = await door.post(f"/api/dead-letters/{letter['id']}/replay", headers=ADMIN)
        again = await door.post(f"/api/dead-letters/{letter['id']}/replay", headers=ADMIN)
    await door.pipeline.settled()

    assert (answer.status, again.status) == (200, 404)
    (noted,) = (log for log in logs if log.get("action") == "admin")
    assert (noted["item"], noted["remote"]) == (letter["id"], "127.0.0.1")
    assert TOKEN not in str(logs)
    (returned,) = (await door.get("/api/dead-letters"))["content"]
    assert returned["originalId"] == (await answer.json())["newId"]


async def test_what_became_of_a_replayed_message_is_told_and_kept_as_its_history(door: Door) -> None:
    letter = await door.dead_letter()
    answer = await (await door.post(f"/api/dead-letters/{letter['id']}/replay", headers=ADMIN)).json()
    (again,) = (await door.get("/api/dead-letters", headers=ADMIN))["content"]

    assert (answer["outcome"], answer["letterId"], answer["why"]) == ("died", again["id"], again["reason"])
    assert again["fields"] == message(duration="-1", title="my secret", url="https://private.example/x")
    assert again["firstCame"] == int(letter["originalId"].split("-")[0]) / 1000
    (past,) = again["history"]
    assert (past["parked"], past["kind"], past["reason"]) == (letter["time"], letter["kind"], letter["reason"])


async def test_a_letter_is_corrected_and_replayed(door: Door) -> None:
    letter = await door.dead_letter()
    path = f"/api/dead-letters/{letter['id']}/replay"
    still_wrong = await door.post(path, {"fields": {"duration": "1.5", "session": "x"}}, ADMIN)
    not_theirs = await door.post(path, {"fields": {"pomocoreOriginalId": "1-1"}}, ADMIN)
    done = await door.post(path, {"fields": {"duration": "1.5", "url": None}}, ADMIN)

    assert (still_wrong.status, not_theirs.status, done.status) == (409, 409, 200)
    assert "session must be a whole number" in await told(still_wrong)
    assert (await done.json())["outcome"] == "committed"
    assert (await door.get("/api/boards/work", **DAY))["content"][0]["score"] == 121.5
    assert (await door.get("/api/dead-letters"))["content"] == []
    ((change,), _) = await door.pipeline.container.audit().page(5)
    assert change[2:] == ("corrected (duration, url) and replayed a dead letter", letter["id"], "committed")


async def test_a_message_that_nobody_takes_is_said_to_wait(door: Door) -> None:
    letter = await door.dead_letter()
    key = f"{door.pipeline.settings.stream_key}:dlq"
    with door.pipeline.redis.pipeline() as both:  # onto a queue on which nobody is at work
        ((_, fields),) = door.pipeline.redis.xrange(key)
        both.xadd("pomocore:cards:users:dlq", fields | {"fields": '{"key": "k", "run": "r", "data": "{}"}'})
        both.xdel(key, letter["id"])
        _, _ = both.execute()
    (job,) = (await door.get("/api/dead-letters", stream="pomocore:cards:users"))["content"]
    path = f"/api/dead-letters/{job['id']}/replay"

    assert (await door.post(path, {"fields": {"duration": "1"}}, ADMIN)).status == 409
    answer = await (await door.post(path, {"wait": 0}, ADMIN)).json()
    assert (answer["outcome"], answer["letterId"], answer["why"]) == ("waiting", None, None)


async def test_letters_are_chosen_by_their_stream(door: Door) -> None:
    await door.dead_letter()
    queue, stream = "pomocore:cards:users", door.pipeline.settings.stream_key
    ((_, fields),) = door.pipeline.redis.xrange(f"{stream}:dlq")
    door.pipeline.redis.xadd(f"{queue}:dlq", fields)

    (group,) = (await door.get("/api/dead-letters/summary"))["groups"]
    of_queue = (await door.get("/api/dead-letters", stream=queue))["content"]
    dropped = await (await door.post("/api/dead-letters/drop", {"stream": queue}, ADMIN)).json()

    assert group["streams"] == {stream: 1, queue: 1}
    assert [letter["stream"] for letter in of_queue] == [queue]
    assert dropped["dropped"] == 1
    assert [letter["stream"] for letter in (await door.get("/api/dead-letters"))["content"]] == [stream]


async def test_letters_of_a_stream_that_there_is_not_are_no_empty_list(door: Door) -> None:
    meant = "pomocore:card:users: no such stream; did you mean pomocore:cards:users?"
    for verb in ("replay", "drop"):
        answer = await door.post(f"/api/dead-letters/{verb}", {"stream": "pomocore:card:users"}, ADMIN)
        assert (answer.status, await told(answer)) == (404, meant)

    assert await door.refused("/api/dead-letters", stream="pomocore:card:users") == (404, meant)


async def test_many_are_counted_replayed_and_dropped(door: Door) -> None:
    bad = [message(duration="-1"), message(duration="-2"), message(userId=None), message(session="-3")]
    await door.pipeline.process(*bad)
    summary = await door.get("/api/dead-letters/summary")
    await door.pipeline.process(message(session="-4"))

    assert summary["total"] == 4
    assert [(group["kind"], group["reason"][:8], group["count"]) for group in summary["groups"]] == [
        ("invalid_field", "duration", 2),
        ("invalid_field", "session ", 1),
        ("missing_field", "userId i", 1),
    ]
    of_group = {"kind": "invalid_field", "reason": summary["groups"][0]["reason"]}
    replayed = await (await door.post("/api/dead-letters/replay", of_group, ADMIN)).json()
    assert replayed["counts"] == {"committed": 0, "died": 2, "waiting": 0, "left": 0}
    again = await (await door.post("/api/dead-letters/replay", of_group | {"until": replayed["until"]}, ADMIN)).json()
    assert (again["replayed"], again["more"]) == ([], False), "those that came back are later"
    first = (await door.get("/api/dead-letters", limit=3, q="SESSION"))["content"]
    dropped = await (await door.post("/api/dead-letters/drop", {"ids": [each["id"] for each in first]}, ADMIN)).json()
    assert (len(first), dropped["dropped"]) == (2, 2)
    page = await door.get("/api/dead-letters", limit=2)
    rest = await door.get("/api/dead-letters", limit=2, before=page["next"])
    assert (len(page["content"]), len(rest["content"]), rest["next"]) == (2, 1, None)
    changes, _ = await door.pipeline.container.audit().page(3)
    assert [(it.what, it.outcome) for it in changes][::2] == [
        ("dropped dead letters", "2 dropped"),
        ("replayed dead letters", "2 replayed: 0 committed, 2 died, 0 waiting"),
    ]
    for path in ("/api/dead-letters/replay", "/api/dead-letters/drop"):
        assert (await door.post(path, {}, ADMIN)).status == 400, "all of them have to be asked for by something"
        assert (await door.post(path, of_group)).status == 401


@pytest.mark.parametrize(
    ("token", "owner"), [(TOKEN, "admin"), ("another long token", "kim"), ("a third long token", "lee")]
)
async def test_a_change_is_noted_with_the_owner_of_the_token(door: Door, token: str, owner: str) -> None:
    letter = await door.dead_letter()
    answer = await door.post(f"/api/dead-letters/{letter['id']}/replay", headers={"Authorization": f"Bearer {token}"})
    ((change,), _) = await door.pipeline.container.audit().page(5)

    assert answer.status == 200
    assert change[1:] == (f"{owner} from 127.0.0.1", "replayed a dead letter", letter["id"], "died")


# Who may


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        (ADMIN | {"Origin": "https://elsewhere.example"}, 403),
        (ADMIN | {"Origin": "null"}, 403),
        (ADMIN | {"Sec-Fetch-Site": "cross-site"}, 403),
        (ADMIN | {"Sec-Fetch-Site": "same-site"}, 403),
        (ADMIN | {"Content-Type": "text/plain"}, 415),
        (ADMIN | {"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
async def test_who_may_change_something(door: Door, headers: dict[str, str], status: int) -> None:
    letter = await door.dead_letter()
    path = f"{door.address}/api/dead-letters/{letter['id']}/replay"
    async with door.session.post(path, data=b"{}", headers={"Content-Type": "application/json"} | headers) as answer:
        assert answer.status == status
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    await door.pipeline.settled()
    assert ((await door.get("/api/dead-letters"))["content"][0]["id"] == letter["id"]) == (status != 200)


async def test_this_very_site_may(door: Door) -> None:
    answer = await door.post("/api/classify", {"app": "Slack"}, headers={"Origin": door.address})

    assert answer.status == 200


async def test_guessing_is_slowed_down_even_for_the_right_token(door: Door) -> None:
    wrong = {"Authorization": "Bearer guess"}
    statuses = [(await door.refused("/api/access", headers=wrong))[0] for _ in range(4)]
    async with door.session.get(f"{door.address}/api/access", headers=ADMIN) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")

    assert statuses == [401, 401, 401, 429]
    assert (await door.get("/api/access"))["changes"] == "locked"


async def test_the_right_token_opens(door: Door) -> None:
    assert await door.get("/api/access", headers=ADMIN) == {"changes": "open", "user": None, "usersHaveTokens": False}


@pytest.mark.parametrize("admin_token", [None])
async def test_without_a_token_in_the_settings_nothing_can_be_changed(door: Door) -> None:
    letter = await door.dead_letter()
    answer = await door.post(f"/api/dead-letters/{letter['id']}/replay", headers=ADMIN)

    assert (answer.status, await told(answer)) == (403, "nobody may do that here: ADMIN_TOKEN is not set")
    assert (await door.get("/api/access", headers=ADMIN))["changes"] == "off"
    assert (await door.get("/api/dead-letters", headers=ADMIN))["content"][0]["fields"] is None


def test_a_short_token_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError, match=r"^ADMIN_TOKEN: ") as error:
        load_settings(admin_token="short")
    with pytest.raises(SettingsError, match="ADMIN_TOKENS"):
        load_settings(admin_tokens="kim:short")

    assert "short" not in str(error.value).replace("should have at least", "")


# Windows


async def test_a_window_is_explained(door: Door) -> None:
    answer = await door.post("/api/classify", {"app": "Visual Studio Code", "url": "https://docs.google.com/x"})
    found = await answer.json()

    assert (found["category"], found["tier"], found["pattern"]) == ("Development", "app", "Visual Studio Code")
    assert [other["category"] for other in found["also"]] == ["Documentation"]
    reason = found["why"]["matched"][1]["reason"]
    assert reason == "docs.google.com is the host; an app that is no browser comes before the URL"
    assert (found["provisional"], found["llmWouldBeAsked"]) == (False, False)


async def test_a_provisional_answer_says_so_and_that_the_title_was_read(door: Door) -> None:
    window = {"app": "crx_agimnkijcaahngcdmfeangaknmldooml", "title": "무한도전 - YouTube"}
    found = await (await door.post("/api/classify", window)).json()

    assert (found["category"], found["tier"], found["pattern"]) == ("Entertainment", "title", "YouTube")
    assert found["provisional"] is True
    assert found["why"]["segments"] == ["무한도전", "youtube"]


async def test_a_page_that_nobody_knows_counts_as_the_pipeline_counts_it(door: Door) -> None:
    container = door.pipeline.container
    await container.category_patterns().save_all([CategoryPattern(hex_id(5), "Browsing", 9, ("Whale",))])
    await container.classifier().load()
    window = {"app": "Whale", "url": "https://zyzzyva.example/", "title": "A page"}
    found = await (await door.post("/api/classify", window)).json()
    at_once = container.classifier().at_once(Window(window["app"], window["url"], window["title"]))

    assert (found["category"], found["tier"], found["provisional"]) == ("Uncategorized", "app", True)
    assert at_once is not None
    assert (at_once.category, at_once.tier) == ("Uncategorized", "provisional")


async def test_what_nobody_knows_is_uncategorized(door: Door) -> None:
    found = await (await door.post("/api/classify", {"app": "Nobody's app"})).json()

    assert (found["category"], found["tier"], found["pattern"]) == ("Uncategorized", "fallback", None)
    assert found["also"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"app": 7}, 400),
        ({"application": "Slack"}, 400),
        ([], 400),
        ({"url": "x" * 4001}, 400),
        ({"url": "x" * 70_000}, 413),
    ],
)
async def test_bodies_of_another_form_are_refused(door: Door, body: Any, status: int) -> None:
    answer = await door.post("/api/classify", body)

    assert answer.status == status
    assert await told(answer)


# Proposals


async def test_a_proposal_is_accepted(door: Door) -> None:
    await door.pipeline.container.proposals().save_all([PROPOSAL])
    (proposal,) = (await door.get("/api/proposals"))["content"]
    accepted = await door.post("/api/proposals/a1/accept", headers=ADMIN)

    assert (proposal["status"], proposal["share"]) == ("proposed", pytest.approx(40 / 41))
    assert (accepted.status, (await accepted.json())["status"]) == (200, "accepted")
    (development,) = (
        it for it in await door.pipeline.container.category_patterns().find_all() if it.category == "Development"
    )
    assert "linear.app" in development.domain_patterns
    rejected = await door.post("/api/proposals/a1/reject", headers=ADMIN)
    assert rejected.status == 409


async def test_a_proposal_is_rejected(door: Door) -> None:
    await door.pipeline.container.proposals().save_all([PROPOSAL])

    assert (await door.post("/api/proposals/a1/reject")).status == 401
    assert (await door.post("/api/proposals/a1/reject", headers=ADMIN)).status == 200
    assert (await door.post("/api/proposals/a2/reject", headers=ADMIN)).status == 404
    (kept,) = await door.pipeline.container.proposals().find_all()
    assert kept.status is ProposalStatus.REJECTED


# Sites


async def test_sites_are_shown_with_their_evidence_in_pages(door: Door) -> None:
    profiles = door.pipeline.container.site_profiles()
    reason = SiteEvidence(EvidenceKind.MANIFEST, "games", "Game", 0.85)
    for site, state in {"b.io": SiteState.CONCLUDED, "a.io": SiteState.OPEN, "c.io": SiteState.OPEN}.items():
        await profiles.begin_visit(site, 7.0, 0.0)
        concluded = ("Game", 0.85, (reason,)) if state is SiteState.CONCLUDED else ("", 0.0, ())
        await profiles.save(SiteProfile(site, 7.0, state, VisitOutcome.PAGE, "", PageFacts("T"), *concluded))

    page = await door.get("/api/sites?limit=2")
    rest = await door.get("/api/sites?after=b.io")

    assert ([site["site"] for site in page["content"]], page["hasMore"]) == (["a.io", "b.io"], True)
    assert ([site["site"] for site in rest["content"]], rest["hasMore"]) == (["c.io"], False)
    assert (await door.get("/api/sites?state=concluded"))["content"] == [
        {
            "site": "b.io",
            "state": "concluded",
            "visitedAt": 7.0,
            "outcome": "page",
            "detail": "",
            "category": "Game",
            "confidence": 0.85,
            "title": "T",
            "evidence": [{"kind": "manifest", "found": "games", "category": "Game", "weight": 0.85}],
        }
    ]


async def test_a_window_of_a_profiled_site_is_explained_by_its_profile(door: Door) -> None:
    class Sites:
        def at_once(self, window: Window, snapshot: PatternSnapshot) -> Classification | None:
            return snapshot.by_tier[Tier.SITE]["Development"] if "a.io" in window.url else None

    classifier = door.pipeline.container.classifier()
    classifier._sites = Sites()
    asked = {"app": "Google Chrome", "url": "https://a.io/", "title": "A - Google Chrome"}

    found = await (await door.post("/api/classify", asked)).json()

    assert (found["category"], found["tier"], found["pattern"]) == ("Development", "site", None)


async def test_sites_are_visited_and_forgotten_with_the_token_and_only_where_profiles_are_on(door: Door) -> None:
    for verb in ("visit", "forget"):
        assert (await door.post(f"/api/sites/a.io/{verb}")).status == 401
        assert (await door.post(f"/api/sites/a.io/{verb}", headers=ADMIN)).status == 409
