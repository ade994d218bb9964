"""The drill-down of boards and corrections over HTTP: who may, what is answered, and what the tasks make of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import ClientSession
from pydantic import SecretStr

from infrastructure.collector.tokens import tokens_of
from infrastructure.composition.container import task_runner
from infrastructure.http.door import open_door
from infrastructure.operations import corrections
from infrastructure.settings import Settings
from tests.integration.conftest import DEADLINE, StartPipeline
from tests.integration.test_api import ADMIN, DAY, TOKEN, Door
from tests.messages import message
from tests.servers import free_port

WINDOWS = "/api/boards/work/users/ann/windows"
PAGE = {"app": "Google Chrome", "url": "https://github.com/pomocore", "title": "Pull requests"}
WHOLE_DAY = {**DAY, "limit": 1}


@pytest.fixture
async def door(
    pipeline_on: StartPipeline, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Door]:
    """Ann and Ben had a page in front, Ann also wrote code. Tasks are run."""
    monkeypatch.setattr(corrections, "RELOAD_SECONDS", 0.0)
    keyed = settings.model_copy(
        update={
            "admin_tokens": SecretStr(f"kim:{TOKEN}"),
            "collect_token_key": SecretStr("a key of sixteen characters"),
            "http_port": free_port(),
        }
    )
    async with pipeline_on(keyed) as pipeline, ClientSession() as session:
        spans = [message(userId=user, **PAGE) for user in ("ann", "ben", "ann")]
        await pipeline.process(*spans, message(userId="ann", duration="60.0"))
        stop = asyncio.Event()
        running = asyncio.create_task(task_runner(pipeline.container).run(stop, asyncio.Event()))
        container = pipeline.container
        consumers = [container.partition().consumer()]
        async with open_door(container.state(), container.api, consumers, asyncio.Event()) as address:
            assert address is not None
            yield Door(pipeline, session, address)
        stop.set()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_the_windows_of_a_users_board_add_up_to_their_score(door: Door) -> None:
    found = await door.get(WINDOWS, headers=ADMIN, **DAY)

    assert (found["score"], found["seconds"], found["total"]) == (300.0, 300.0, 2)
    page, code = found["content"]
    assert {name: page[name] for name in ("app", "url", "title", "host", "seconds", "logs", "tier")} == {
        **PAGE, "host": "github.com", "seconds": 240.0, "logs": 2, "tier": "url"
    }  # fmt: skip
    assert (code["app"], code["seconds"]) == ("Visual Studio Code", 60.0)
    short = await door.get(WINDOWS, headers=ADMIN, **WHOLE_DAY)
    assert (len(short["content"]), short["seconds"], short["total"]) == (1, 300.0, 2)


async def test_windows_are_shown_to_the_user_and_to_administrators(door: Door) -> None:
    tokens = tokens_of(door.pipeline.settings)

    own = {"Authorization": f"Bearer {tokens.token_for('ann')}"}
    assert (await door.get(WINDOWS, headers=own, **DAY))["total"] == 2
    other = {"Authorization": f"Bearer {tokens.token_for('ben')}"}
    assert (await door.refused(WINDOWS, other, **DAY))[0] == 403
    assert (await door.refused(WINDOWS, **DAY))[0] == 401
    assert (await door.refused(WINDOWS.replace("work", "Working"), ADMIN, **DAY))[0] == 404


async def settled(door: Door) -> None:
    async with asyncio.timeout(DEADLINE):
        while any(
            each["state"] != "applied" for each in (await door.get("/api/corrections", headers=ADMIN))["content"]
        ):
            await asyncio.sleep(0.02)


async def test_a_window_is_corrected_from_the_drill_down_and_the_correction_undone(door: Door) -> None:
    page = (await door.get(WINDOWS, headers=ADMIN, **DAY))["content"][0]

    made = await (await door.post("/api/corrections", {"logId": page["logId"], "category": "SNS"}, ADMIN)).json()
    assert (made["userId"], made["by"], made["state"], made["title"]) == ("ann", "kim", "pending", PAGE["title"])
    await settled(door)

    assert door.pipeline.board("leaderboard:work:2025-09-02") == {"ann": 60.0, "ben": 120.0}
    assert door.pipeline.board("leaderboard:SNS:2025-09-02") == {"ann": 240.0}
    (told,) = (await door.get("/api/corrections", headers=ADMIN))["content"]
    assert (told["logs"], told["seconds"]) == (2, 240.0)
    shown = await door.get("/api/boards/SNS/users/ann/windows", headers=ADMIN, **DAY)
    assert [(each["tier"], each["seconds"]) for each in shown["content"]] == [("correction", 240.0)]

    undone = await (await door.post(f"/api/corrections/{made['id']}/undo", {}, ADMIN)).json()
    assert undone["state"] == "undoing"
    await settled(door)

    assert door.pipeline.board("leaderboard:work:2025-09-02") == {"ann": 300.0, "ben": 120.0}
    assert (await door.get("/api/corrections", headers=ADMIN))["content"] == []
    assert (await door.post(f"/api/corrections/{made['id']}/undo", {}, ADMIN)).status == 404


async def test_a_window_is_corrected_for_everybody(door: Door) -> None:
    body = {**PAGE, "category": "Documentation", "forAll": True}

    assert (await (await door.post("/api/corrections", body, ADMIN)).json())["userId"] == ""
    await settled(door)

    assert door.pipeline.board("leaderboard:Documentation:2025-09-02") == {"ann": 240.0, "ben": 120.0}
    told = await (await door.post("/api/classify", PAGE)).json()
    assert (told["category"], told["tier"]) == ("Documentation", "correction")


async def test_what_is_noted_of_a_correction_names_neither_user_nor_window(door: Door) -> None:
    await door.post("/api/corrections", {**PAGE, "userId": "ann", "category": "SNS"}, ADMIN)
    await settled(door)

    async with asyncio.timeout(DEADLINE):  # each is noted after what it tells of
        while len(changes := (await door.pipeline.container.audit().page(5)).changes) < 2:
            await asyncio.sleep(0.02)
    assert {change.what for change in changes} == {"corrected a window: SNS", "apply_corrections"}
    assert "ann" not in str(changes).replace("kim from 127", "")
    assert "Pull requests" not in str(changes)


async def test_what_is_no_correction_is_refused(door: Door) -> None:
    refused: list[tuple[dict[str, object], int]] = [
        ({"category": "Wroking", **PAGE, "forAll": True}, 404),
        ({"category": "SNS", "logId": "0" * 24}, 404),
        ({"category": "SNS", "logId": "1"}, 400),
        ({"category": "SNS", "userId": "ann"}, 400),
        ({"category": "SNS", **PAGE}, 400),
        ({**PAGE, "forAll": True}, 400),
    ]
    for body, status in refused:
        assert (await door.post("/api/corrections", body, ADMIN)).status == status, body
    assert (await door.get("/api/corrections", headers=ADMIN))["content"] == []


async def test_a_log_of_another_user_is_refused(door: Door) -> None:
    page = (await door.get(WINDOWS, headers=ADMIN, **DAY))["content"][0]

    body = {"logId": page["logId"], "userId": "ben", "category": "SNS"}

    assert (await door.post("/api/corrections", body, ADMIN)).status == 404


async def test_without_the_token_nothing_is_corrected_or_shown(door: Door) -> None:
    assert (await door.post("/api/corrections", {**PAGE, "forAll": True, "category": "SNS"})).status == 401
    assert (await door.refused("/api/corrections"))[0] == 401
