"""ActivityWatch's server and its export, brought to a collector. The forms are those of aw-server 0.12."""

import json
import re
from cmd.bridge import app
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web
from typer.testing import CliRunner

from domains.bridge.activity import Interval
from infrastructure.activitywatch.bridge import Bridge, Bridged, Source, sources_of_file, sources_of_server
from infrastructure.activitywatch.posting import CollectorClient, NotPosted, Progress
from infrastructure.activitywatch.recordings import ActivityWatchError, ActivityWatchServer, read_export
from tests.integration.test_collect_door import Place, served

SEOUL = ZoneInfo("Asia/Seoul")
BEGUN = datetime(2025, 9, 2, 0, 30, tzinfo=UTC).timestamp()  # 09:30 in Seoul


def event(start: float, seconds: float, **data: object) -> dict[str, Any]:
    return {
        "id": 1,
        "timestamp": datetime.fromtimestamp(BEGUN + start, UTC).isoformat(),
        "duration": seconds,
        "data": data,
    }


def bucket(kind: str, hostname: str, *events: dict[str, Any]) -> dict[str, Any]:
    """The server sends the latest event first."""
    about = {"client": kind, "created": "2025-09-01T00:00:00+00:00", "data": {}, "name": None, "type": kind}
    return about | {"hostname": hostname, "events": list(reversed(events))}


def recorded() -> dict[str, dict[str, Any]]:
    """Ten minutes at a machine, a pause of half an hour, and five minutes more."""
    return {
        "aw-watcher-window_vm": bucket(
            "currentwindow",
            "vm",
            event(0, 300, app="Code", title="main.py"),
            event(300, 600, app="Firefox", title="GitHub"),
            event(2400, 300, app="Code", title="main.py"),
        ),
        "aw-watcher-afk_vm": bucket(
            "afkstatus",
            "vm",
            event(0, 600, status="not-afk"),
            event(600, 1800, status="afk"),
            event(2400, 300, status="not-afk"),
        ),
        "aw-watcher-web-firefox": bucket(
            "web.tab.current",
            "unknown",
            event(300, 100, url="https://github.com", title="GitHub", incognito=False),
            event(400, 100, url="https://secret.example", title="?", incognito=True),
        ),
        "aw-watcher-vim_vm": bucket("app.editor.activity", "vm", event(0, 10, file="x")),
    }


def export(directory: Path) -> Path:
    path = directory / "export.json"
    path.write_text(json.dumps({"buckets": {name: it | {"id": name} for name, it in recorded().items()}}))
    return path


@asynccontextmanager
async def activitywatch(
    buckets: dict[str, dict[str, Any]], key: str | None = None, wanted: str | None = None
) -> AsyncIterator[ActivityWatchServer]:
    """A server that wants the key `wanted`, for one that sends `key`."""

    async def listing(request: web.Request) -> web.Response:
        if wanted is not None and request.headers.get("Authorization") != f"Bearer {wanted}":
            raise web.HTTPUnauthorized
        return web.json_response({name: it | {"id": name, "events": None} for name, it in buckets.items()})

    async def events(request: web.Request) -> web.Response:
        start, end = (datetime.fromisoformat(request.query[name]) for name in ("start", "end"))
        found = [
            it
            for it in buckets[request.match_info["name"]]["events"]
            if datetime.fromisoformat(it["timestamp"]) < end
            and datetime.fromisoformat(it["timestamp"]).timestamp() + it["duration"] >= start.timestamp()
        ]
        return web.json_response(found)

    app = web.Application()
    app.router.add_get("/api/0/buckets/", listing)
    app.router.add_get("/api/0/buckets/{name}/events", events)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield ActivityWatchServer(session, f"http://127.0.0.1:{runner.addresses[0][1]}", key)
    finally:
        await runner.cleanup()


async def run(directory: Path, place: Place | None, sources: dict[str, Source], token: str | None = None) -> Bridged:
    async with aiohttp.ClientSession() as session:
        client = CollectorClient(session, place.url, token) if place else None
        bridge = Bridge(client, Progress(directory / "bridge.json"), "ann", SEOUL, 900)
        states = [state for host, source in sources.items() async for state in bridge.run(host, source)]
    return states[-1] if states else Bridged(0, 0, 0.0, 0.0)


def posted(place: Place) -> list[dict[str, Any]]:
    return [json.loads(line) for body in place.bodies() for line in body.splitlines()]


async def test_an_export_becomes_spans_and_sessions_once(tmp_path: Path) -> None:
    async with served(tmp_path / "log", max_event=16_384) as place:
        done = await run(tmp_path, place, sources_of_file(export(tmp_path)))
        again = await run(tmp_path, place, sources_of_file(export(tmp_path)))
        spans = posted(place)

    assert (done.spans, done.sessions, done.seconds) == (4, 2, 900.0)
    assert again.spans == 0
    assert [(it["app"], it["url"], it["duration"], it["session"], it["isEnd"]) for it in spans] == [
        ("Code", "", 300.0, 1570, False),
        ("Firefox", "https://github.com", 100.0, 1570, False),
        ("Firefox", "", 200.0, 1570, True),
        ("Code", "", 300.0, 1610, True),
    ]
    assert spans[0] | {"eventId": ""} == {
        "userId": "ann",
        "app": "Code",
        "title": "main.py",
        "url": "",
        "duration": 300.0,
        "timestamp": BEGUN,
        "session": 1570,
        "sessionDate": "2025-09-02",
        "sessionMinutes": 10,
        "isEnd": False,
        "eventId": "",
    }
    assert len({it["eventId"] for it in spans}) == 4


REAL = Path(__file__).with_name("activitywatch_export.json")
"""As aw-server 0.13 exports it, the latest event first: a second or so between the windows, some without length."""
# by hand, in seconds after 00:30:00.123 UTC; somebody was there from 0 to 350.001, and 118.049 to 126.049 is a pause
REAL_SPANS = [
    ("Code.exe", "", 60.012),  # 0 to 60.012
    ("explorer.exe", "", 1.015),  # to 61.027
    ("chrome.exe", "https://github.com/pulls", 31.528),  # to 92.555
    ("SearchApp.exe", "", 1.016),  # to 93.571
    ("chrome.exe", "https://github.com/pulls", 2.430),  # to 96.001, where a private tab begins
    ("chrome.exe", "", 14.501),  # to 110.502
    ("chrome.exe", "https://github.com/issues", 3.479),  # to 113.981
    ("Code.exe", "", 2.038),  # to 116.019
    ("Code.exe", "", 2.030),  # to 118.049
    ("Code.exe", "", 74.951),  # 126.049 to 201
    ("LockApp.exe", "", 1.0),  # to 202
    ("Code.exe", "", 148.001),  # to 350.001, of 500
]
REAL_SECONDS = 342.001


def of_rust(text: str) -> str:
    """The same as aw-server-rust writes it: nanoseconds, Z, and what it knows of a bucket besides."""
    text = re.sub(r'(\.\d+)\+00:00"', r'\g<1>000Z"', text)
    return text.replace('"data": {},', '"data": {}, "metadata": {"start": null, "end": null}, "last_updated": null,')


@pytest.mark.parametrize("written", [str, of_rust], ids=["aw-server", "aw-server-rust"])
async def test_a_real_export_loses_no_time_and_counts_none_twice(
    tmp_path: Path, written: Callable[[str], str]
) -> None:
    path = tmp_path / "export.json"
    path.write_text(written(REAL.read_text()))
    async with served(tmp_path / "log", max_event=16_384) as place:
        done = await run(tmp_path, place, sources_of_file(path))
        spans = posted(place)

    assert [(it["app"], it["url"], it["duration"]) for it in spans] == REAL_SPANS
    assert (done.spans, done.sessions, round(done.seconds, 3)) == (12, 1, REAL_SECONDS)


async def test_a_server_gives_what_its_export_gives(tmp_path: Path) -> None:
    buckets = json.loads(REAL.read_text())["buckets"]
    async with served(tmp_path / "log", max_event=16_384) as place, activitywatch(buckets) as server:
        for now in (200, 1000, 1250, 1251, 9000):
            within = Interval(BEGUN - 86_400 * 20, BEGUN + now)
            await run(tmp_path, place, await sources_of_server(server, within))
        spans = posted(place)

    assert [(it["app"], it["url"], it["duration"]) for it in spans] == REAL_SPANS


def test_the_url_of_a_private_window_is_not_posted(tmp_path: Path) -> None:
    """Its recorder on macOS knows it."""
    data = {"app": "Safari", "title": "?", "url": "https://secret.example", "incognito": True}
    path = tmp_path / "export.json"
    path.write_text(json.dumps({"buckets": {"w": bucket("currentwindow", "vm", event(0, 9, **data))}}))

    assert [it.url for it in read_export(path)["vm"].windows] == [""]


async def test_a_span_longer_than_the_pipeline_takes_is_cut(tmp_path: Path) -> None:
    buckets = {"w": bucket("currentwindow", "vm", event(0, 108_000, app="Code", title="main.py"))}
    (tmp_path / "export.json").write_text(json.dumps({"buckets": buckets}))
    async with served(tmp_path / "log", max_event=16_384) as place:
        await run(tmp_path, place, sources_of_file(tmp_path / "export.json"))
        spans = posted(place)

    assert [(it["timestamp"] - BEGUN, it["duration"], it["isEnd"]) for it in spans] == [
        (0.0, 86_400.0, False),
        (86_400.0, 21_600.0, True),
    ]


async def test_half_a_surrogate_pair_in_a_title_is_a_question_mark(tmp_path: Path) -> None:
    buckets = {"w": bucket("currentwindow", "vm", event(0, 9, app="Code", title="\ud83d \U0001f600 \\ud83d"))}
    (tmp_path / "export.json").write_text(json.dumps({"buckets": buckets}))
    async with activitywatch(buckets) as server:
        ((_, served_buckets),) = (await server.hosts()).items()
        of_server = await server.recording(served_buckets, Interval(BEGUN, BEGUN + 9))

    for recording in (of_server, read_export(tmp_path / "export.json")["vm"]):
        assert [it.title for it in recording.windows] == ["? \U0001f600 \\ud83d"]


async def test_a_server_that_answers_something_else_is_not_said_to_be_silent() -> None:
    async with activitywatch({"w": {"type": 1}}) as server:
        with pytest.raises(ActivityWatchError, match="answers something that cannot be read"):
            await server.hosts()


async def test_a_session_that_may_go_on_waits_and_comes_whole(tmp_path: Path) -> None:
    async with served(tmp_path / "log", max_event=16_384) as place, activitywatch(recorded()) as server:
        counts = []
        for now in (650, 1600, 2650, 2700, 9000):
            within = Interval(BEGUN - 86_400 * 20, BEGUN + now)
            counts.append((await run(tmp_path, place, await sources_of_server(server, within))).spans)
        spans = posted(place)

    assert counts == [0, 3, 0, 0, 1]
    assert [it["duration"] for it in spans] == [300.0, 100.0, 200.0, 300.0]


async def test_a_server_that_wants_its_key_gets_it() -> None:
    async with activitywatch(recorded(), "right", wanted="right") as server:
        assert list(await server.hosts()) == ["vm"]
    async with activitywatch(recorded(), None, wanted="right") as server:
        with pytest.raises(ActivityWatchError, match="--server-key"):
            await server.hosts()


async def test_what_is_not_taken_is_posted_the_next_time(tmp_path: Path) -> None:
    sources = sources_of_file(export(tmp_path))
    async with served(tmp_path / "log", "a-key-of-the-collector", max_event=16_384) as place:
        with pytest.raises(NotPosted, match="401"):
            await run(tmp_path, place, sources, token="wrong")
    async with served(tmp_path / "log", max_event=16_384) as place:
        assert (await run(tmp_path, place, sources)).spans == 4
        assert len(posted(place)) == 4


class Interrupted(Exception):
    """As a kill: nothing is done any more, neither by what is interrupted nor by what called it."""


class InterruptedClient(CollectorClient):
    """It is interrupted at its post `at`, before or after the collector has it."""

    at, comes = -1, False

    async def post(self, body: bytes) -> None:
        self.at -= 1
        if self.at == 0 and not self.comes:
            raise Interrupted
        await super().post(body)
        if self.at == 0:
            raise Interrupted


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("comes", [False, True])
async def test_whichever_post_is_interrupted_each_second_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, comes: bool
) -> None:
    """Also where the time to go back has moved on, and a bucket has come that cuts windows that were posted."""
    monkeypatch.setattr("infrastructure.activitywatch.posting._BATCH_BYTES", 1)
    buckets, late = recorded(), recorded().pop("aw-watcher-web-firefox")
    del buckets["aw-watcher-web-firefox"]
    buckets["aw-watcher-window_vm"]["events"].insert(1, event(1000, 60, app="Code", title="main.py"))
    buckets["aw-watcher-afk_vm"] = bucket("afkstatus", "vm", event(0, 2700, status="not-afk"))
    async with served(tmp_path / "log", max_event=16_384) as place, activitywatch(buckets) as server:
        async with aiohttp.ClientSession() as session:
            client = InterruptedClient(session, place.url, None)
            client.at, client.comes = at, comes
            bridge = Bridge(client, Progress(tmp_path / "bridge.json"), "ann", SEOUL, 900)
            ((host, source),) = (await sources_of_server(server, Interval(BEGUN + 10, BEGUN + 9000))).items()
            with pytest.raises(Interrupted):
                _ = [it async for it in bridge.run(host, source)]
        buckets["aw-watcher-web-firefox"] = late
        left = await run(tmp_path, place, await sources_of_server(server, Interval(BEGUN + 20, BEGUN + 9100)))
        again = await run(tmp_path, place, await sources_of_server(server, Interval(BEGUN + 30, BEGUN + 9200)))
        spans = posted(place)

    assert [(it["timestamp"] - BEGUN, it["duration"], it["isEnd"]) for it in spans] == [
        (10.0, 290.0, False),
        (300.0, 600.0, False),
        (1000.0, 60.0, True),
        (2400.0, 300.0, True),
    ]
    assert (left.spans, again.spans) == (5 - at, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bridge.json", "log"]


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("comes", [False, True])
async def test_history_before_what_is_posted_is_posted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, comes: bool
) -> None:
    """Also where it is interrupted, and where the first run has cut a window."""
    monkeypatch.setattr("infrastructure.activitywatch.posting._BATCH_BYTES", 1)
    async with served(tmp_path / "log", max_event=16_384) as place, activitywatch(recorded()) as server:
        first = await run(tmp_path, place, await sources_of_server(server, Interval(BEGUN + 2500, BEGUN + 9000)))
        sources = await sources_of_server(server, Interval(BEGUN - 86_400 * 20, BEGUN + 9100))
        async with aiohttp.ClientSession() as session:
            client = InterruptedClient(session, place.url, None)
            client.at, client.comes = at, comes
            bridge = Bridge(client, Progress(tmp_path / "bridge.json"), "ann", SEOUL, 900)
            with pytest.raises(Interrupted):
                _ = [it async for it in bridge.run("vm", sources["vm"])]
        left = await run(tmp_path, place, sources)
        again = await run(tmp_path, place, sources)
        spans = posted(place)

    assert [(it["timestamp"] - BEGUN, it["duration"], it["isEnd"]) for it in spans] == [
        (2500.0, 200.0, True),
        (0.0, 300.0, False),
        (300.0, 100.0, False),
        (400.0, 200.0, True),
        (2400.0, 100.0, True),
    ]
    assert (first.spans, left.spans, again) == (1, 5 - at, Bridged(0, 0, 0.0, BEGUN + 2700))


async def test_exports_may_come_in_any_order(tmp_path: Path) -> None:
    day = [event(86_400 * i, 60 * (i + 1), app="Code", title="main.py") for i in range(4)]
    path = tmp_path / "export.json"
    counts = []
    async with served(tmp_path / "log", max_event=16_384) as place:
        for events in (day[3:], day[:1], day[2:], day[:2], day):
            path.write_text(json.dumps({"buckets": {"w": bucket("currentwindow", "vm", *events)}}))
            counts.append((await run(tmp_path, place, sources_of_file(path))).spans)
        spans = posted(place)

    assert counts == [1, 1, 1, 1, 0]
    assert [it["duration"] for it in spans] == [240.0, 60.0, 180.0, 120.0]


async def test_what_an_earlier_version_noted_and_kept_is_neither_lost_nor_posted_again(tmp_path: Path) -> None:
    """It did not note since when all was posted."""
    (tmp_path / "bridge.json").write_text(json.dumps({"ann@vm": BEGUN + 400}))
    noted = Progress(tmp_path / "bridge.json")
    body = json.dumps({"userId": "ann", "duration": 200.0, "isEnd": True, "eventId": "1"}).encode()
    noted.keep("ann", "vm", [body], Interval(0, 0))
    (until,) = tmp_path.glob("*/until")
    until.write_text(repr(BEGUN + 600))
    async with served(tmp_path / "log", max_event=16_384) as place, activitywatch(recorded()) as server:
        await run(tmp_path, place, await sources_of_server(server, Interval(BEGUN - 86_400 * 20, BEGUN + 9000)))
        spans = posted(place)

    assert [it["duration"] for it in spans] == [200.0, 300.0]
    assert noted.posted("ann", "vm") == [Interval(0, BEGUN + 2700)]


@pytest.mark.parametrize(
    ("posted", "why"),
    [
        ([], "there are no windows, or their session may still go on"),
        ([Interval(5, 1_756_773_034)], "everything up to 2025-09-02 09:30:34 KST is posted already"),
    ],
)
def test_a_run_with_nothing_to_post_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, posted: list[Interval], why: str
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    windows = bucket("currentwindow", "vm", *(event(0, 34, app="Code") for _ in posted))
    (tmp_path / "export.json").write_text(json.dumps({"buckets": {"w": windows}}))
    for it in posted:
        Progress(tmp_path / "bridge-activitywatch.json").reached("ann", "vm", it)

    done = CliRunner().invoke(app, ["activitywatch", "--user=ann", f"--file={tmp_path / 'export.json'}"])

    assert (done.exit_code, done.output) == (0, f"vm: nothing to post: {why}\n")


async def test_a_dry_run_posts_and_notes_nothing(tmp_path: Path) -> None:
    sources = sources_of_file(export(tmp_path))

    assert (await run(tmp_path, None, sources)).spans == 4
    assert not (tmp_path / "bridge.json").exists()


@pytest.mark.parametrize("text", ["", "{}", '{"buckets": 1}', '{"buckets": {"a": {"type": 1}}}'])
def test_what_is_no_export_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "export.json").write_text(text)
    with pytest.raises(ActivityWatchError, match="no export"):
        sources_of_file(tmp_path / "export.json")
