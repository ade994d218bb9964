"""The console in a browser: what it shows is so, what it offers works, and it can be used by everybody."""

import re
from typing import Any

import pytest
from aiohttp import ClientSession
from axe_playwright_python.async_playwright import Axe
from prometheus_client.parser import text_string_to_metric_families

from domains.categoryPattern.model import Evidence, PatternKind, PatternProposal
from domains.kernel.errors import RedisOutage
from domains.patternClassifier.model import Tier
from domains.pomodoro.model import Lane
from infrastructure.http import labels
from infrastructure.observing.metrics import values_of
from tests.messages import message
from tests.page.conftest import TOKEN, Console

WEEK = "?period=week&date=2025-09-02"
SECRET = "what nobody may see"


async def metrics_of(console: Console) -> dict[str, float]:
    async with ClientSession() as session, session.get(console.address + "metrics") as answer:
        return values_of(text_string_to_metric_families(await answer.text()))


async def unlock(console: Console, token: str = TOKEN) -> None:
    await console.page.click("#unlock")
    await console.page.fill("#token", token)
    await console.page.keyboard.press("Enter")


async def test_live_figures_agree_with_the_metrics(console: Console) -> None:
    await console.open()
    await console.until("#now-title", "Waiting for messages")
    await console.pipeline.process(*(message(title=f"window {n}") for n in range(40)))
    await console.pipeline.process(*(message(title=f"window {n}", app="Nobody's app") for n in range(10)))
    await console.until("#committed", "50")
    metrics = await metrics_of(console)

    assert metrics['pomocore_messages_committed_total{lane="fast"}'] == 50
    assert metrics['pomocore_classifications_total{tier="app"}'] == 40
    assert await console.text("#tiers li:has-text('App rule') .share") == "80 %"
    assert await console.text("#tiers li:has-text('stays Uncategorized') .share") == "20 %"
    assert await console.text("#lanes tr:has-text('Fast') td >> nth=0") == "50"
    assert await console.text("#level") == "Healthy"
    await console.until("#plot-rate .keys", "Fast lane")
    assert await console.page.locator("#plot-rate path.series.fast").count() >= 1
    assert console.errors == []


async def test_tiers_and_lanes_are_called_what_the_server_calls_them(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(labels._TIERS, Tier.APP, ("Rule of apps", "whatever it means"))
    monkeypatch.setitem(labels._LANES, Lane.FAST, ("Motorway", "without a limit"))
    await console.pipeline.process(message())
    await console.open()
    await console.until("#committed", "1")

    assert "whatever it means" in await console.text("#tiers li:has-text('Rule of apps')")
    assert "without a limit" in await console.text("#lanes tr:has-text('Motorway')")
    await console.until("#plot-rate .keys", "Motorway lane")
    await console.page.fill("#try-app", "Visual Studio Code")
    await console.page.press("#try-app", "Enter")
    await console.until("#explained .tag", "Rule of apps")
    assert console.errors == []


async def test_who_comes_late_sees_what_was(console: Console) -> None:
    await console.pipeline.process(*(message(userId=f"user-{n}") for n in range(40)))
    await console.open()
    await console.until("#committed", "40")

    assert await console.page.locator("#plot-rate path.series.fast").count() >= 1
    assert console.errors == []


async def test_a_board_its_pages_and_a_user_on_it(console: Console) -> None:
    await console.pipeline.process(*(message(userId=f"user-{n}", duration=str(60 * n)) for n in range(1, 26)))
    await console.open(WEEK)
    await console.until("#board caption", "work, 2025-09-01 to 2025-09-07: 25 users")

    assert (await console.text("#board tbody tr >> nth=0")).split() == ["1", "user-25", "25", "min"]
    await console.page.click("#page-after")
    await console.until("#page-shown", "Page 2 of 3")
    assert "user-15" in await console.text("#board tbody tr >> nth=0")
    await console.page.select_option("#board-category", "Development")
    await console.page.check("input[value=day]", force=True)
    await console.page.fill("#board-user", "user-3")
    await console.until("#board .caption", "user-3: rank 23 of 25")
    assert "user-3" in await console.text("#board tr.own")
    await console.page.click("#later")
    await console.until("#board .caption", "user-3: not on this board")
    assert await console.page.input_value("#board-date") == "2025-09-03"
    assert console.errors == []


async def test_a_window_is_classified_and_explained(console: Console) -> None:
    await console.pipeline.process(message())
    await console.open()
    await console.page.fill("#try-app", "Google Chrome")
    await console.page.fill("#try-url", "https://docs.google.com/document")
    await console.page.keyboard.press("Enter")
    await console.until("#explained .verdict", "Documentation")

    assert "docs.google.com" in await console.text("#explained .wins")
    assert "docs.google.com is the host" in await console.text("#explained")
    assert console.errors == []


async def test_a_dead_letter_is_seen_unlocked_and_replayed(console: Console) -> None:
    await console.open()
    await console.until("#letters", "None: every message could be processed.")
    await console.pipeline.process(message(duration="-1", title=SECRET, url=f"https://x.example/{SECRET}"))
    await console.until("#letters", "duration must be a finite number")
    assert await console.page.is_disabled("#letters button")
    assert SECRET not in await console.page.content()
    (before,) = console.pipeline.dead_letters()

    await unlock(console)
    await console.page.click("#letters summary")
    await console.until("#letters details", SECRET)
    await console.page.click("#letters button")
    await console.until("#told", "It is back on the stream.")
    await console.pipeline.settled()

    (after,) = console.pipeline.dead_letters()
    assert after["originalId"] != before["originalId"]
    await console.page.click("#unlock")
    await console.until("#unlock", "Unlock")
    await console.page.wait_for_selector("#letters button:disabled")
    assert SECRET not in await console.page.content()
    assert console.errors == []


async def test_a_wrong_token_opens_nothing(console: Console) -> None:
    await console.open()
    await unlock(console, "no such token")
    await console.until("#token-error", "This is not the token.")
    await console.page.click("#token-cancel")

    assert await console.text("#unlock") == "Unlock"
    assert await console.page.evaluate("() => sessionStorage.length") == 0


@pytest.mark.parametrize("admin_token", [None])
async def test_without_a_token_in_the_settings_it_says_so(console: Console) -> None:
    await console.open()
    await console.until(".locked-note", "ADMIN_TOKEN is not set")

    assert await console.page.is_hidden("#unlock")


async def test_a_proposal_is_accepted(console: Console) -> None:
    await console.pipeline.process(message())
    evidence = Evidence(40, 9, {"SNS": 1})
    proposal = PatternProposal("a1", PatternKind.DOMAIN, "linear.app", "Development", evidence)
    await console.pipeline.container.proposals().save_all([proposal])
    await console.open()
    await unlock(console)
    await console.page.click("#proposals button:enabled:has-text('Accept')")
    await console.until("#proposals", "None.")

    patterns = await console.pipeline.container.category_patterns().find_all()
    assert any("linear.app" in pattern.domain_patterns for pattern in patterns)


async def test_it_survives_that_the_server_goes_and_comes_back(shut_console: Console) -> None:
    console = shut_console
    async with console.door():
        await console.open(WEEK)
        await console.page.fill("#board-user", "user-1")
        await console.until("#board", "not on this board")
    await console.until("#lost", "trying again")
    assert await console.text("#connection") == "Disconnected"
    await console.pipeline.process(message(), message())
    async with console.door():
        await console.page.wait_for_selector("#connection[data-state=live]")
        await console.until("#committed", "2")
        await console.until("#board", "rank 1 of 1")  # what was chosen stays
        assert await console.page.is_hidden("#lost")


async def test_what_is_down_is_said(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    await console.open()
    await console.until("#level", "Healthy")

    async def gone() -> None:
        raise RedisOutage("no route to it")

    for name in ("streams", "ping"):
        monkeypatch.setattr(console.pipeline.container.figures(), name, gone)
    await console.until("#level", "Down")
    await console.until("#problems", "redis: no route to it")
    await console.until("#checks li", "not usable")
    monkeypatch.undo()
    await console.until("#level", "Healthy")
    assert console.errors == []


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_stands_in_anybodys_way(console: Console, scheme: Any, width: int) -> None:
    proposal = PatternProposal("a1", PatternKind.APP, "Linear", "Development", Evidence(40, 9, {"SNS": 1}))
    await console.pipeline.container.proposals().save_all([proposal])
    await console.pipeline.process(*(message(userId=f"user-{n}") for n in range(20)), message(duration="-1"))
    await console.page.emulate_media(color_scheme=scheme)
    await console.page.set_viewport_size({"width": width, "height": 900})
    await console.open(WEEK)
    await console.page.fill("#try-app", "Visual Studio Code")
    await console.page.press("#try-app", "Enter")
    for selector in ("#explained .verdict", "#board table", "#letters li", "#proposals li"):
        await console.page.wait_for_selector(selector)
    await unlock(console)
    await console.page.wait_for_selector("#letters button:enabled")
    found = await Axe().run(console.page)

    serious = [it for it in found.response["violations"] if it["impact"] in ("serious", "critical")]
    assert serious == [], found.generate_report()
    assert await console.page.evaluate("() => document.documentElement.scrollWidth") == width
    assert console.errors == []


async def test_it_is_used_with_the_keyboard_alone(console: Console) -> None:
    await console.pipeline.process(message(duration="-1"))
    await console.open(WEEK)
    await console.page.wait_for_selector("#letters li")
    keyboard = console.page.keyboard
    await keyboard.press("Tab")
    assert await focused(console) == "Skip to the figures"
    await keyboard.press("Tab")
    assert await focused(console) == "Unlock"
    await keyboard.press("Enter")
    await keyboard.type(TOKEN)
    await keyboard.press("Enter")
    await console.page.wait_for_selector("#unlock:text-is('Lock')")
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    assert await console.page.get_attribute("html", "data-theme") == "dark"
    await tab_to(console, "Replay")
    await keyboard.press("Enter")
    await console.until("#told", "It is back on the stream.")
    await console.pipeline.settled()
    assert console.errors == []


async def focused(console: Console) -> str:
    return str(await console.page.evaluate("() => document.activeElement.textContent.trim()"))


async def tab_to(console: Console, text: str) -> None:
    for _ in range(40):
        await console.page.keyboard.press("Tab")
        if re.fullmatch(text, await focused(console)):
            return
    raise AssertionError(f"{text} is not to be reached")
