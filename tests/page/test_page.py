"""The console in a browser: what it shows is so, what it offers works, and it can be used by everybody."""

import asyncio
import re
from collections.abc import Awaitable
from typing import Any

import pytest
from aiohttp import ClientSession
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Dialog, Page, Route
from prometheus_client.parser import text_string_to_metric_families

from domains.categoryPattern.model import Evidence, PatternKind, PatternProposal
from domains.kernel.errors import OutageKind, RedisOutage
from domains.pomodoro.model import CommitResult
from domains.siteProfile.model import (
    EvidenceKind,
    PageFacts,
    SiteEvidence,
    SiteProfile,
    SiteState,
    VisitOutcome,
)
from domains.workQueue.model import QueueFigures
from infrastructure.collector.tokens import Tokens
from infrastructure.composition.container import drain_cards, task_runner
from infrastructure.observing.collector_metrics import CollectorMetrics
from infrastructure.observing.metrics import values_of
from infrastructure.redis.keys import INSTANCE
from tests.integration.conftest import StartPipeline, other_instance
from tests.messages import message
from tests.page.conftest import TOKEN, Console

WEEK = "boards?period=week&date=2025-09-02"
SECRET = "what nobody may see"


async def metrics_of(console: Console) -> dict[str, float]:
    async with ClientSession() as session, session.get(console.address + "metrics") as answer:
        return values_of(text_string_to_metric_families(await answer.text()))


async def unlock(console: Console, token: str = TOKEN) -> None:
    await console.page.click("#unlock")
    await console.page.fill("#token", token)
    await console.page.keyboard.press("Enter")
    if token == TOKEN:  # until the dialog is closed, it takes what is typed
        await console.page.wait_for_selector("#token-dialog", state="hidden")


async def test_live_figures_agree_with_the_metrics(console: Console) -> None:
    await console.open()
    await console.until("#now-title", "Waiting for messages")
    await console.pipeline.process(*(message(title=f"window {n}") for n in range(40)))
    await console.pipeline.process(*(message(title=f"window {n}", app="Nobody's app") for n in range(10)))
    await console.until("#committed", "50")
    await console.until("#tiers li:has-text('Nobody') .share", "20 %")
    metrics = await metrics_of(console)

    assert metrics['pomocore_messages_committed_total{lane="fast"}'] == 50
    assert metrics['pomocore_classifications_total{tier="app"}'] == 40
    assert await console.text("#tiers li:has-text('App rule') .share") == "80 %"
    assert await console.text("#tiers li:has-text('stays Uncategorized') .share") == "20 %"
    assert await console.text("#level") == "Healthy"
    await console.until("#plot-rate .keys", "Fast lane")
    await console.page.locator("#plot-rate path.series.fast").first.wait_for(state="attached")
    await console.page.click("nav >> text=System")
    await console.until("#lanes tr:has-text('Fast') td >> nth=0", "50")
    assert console.errors == []


async def test_it_speaks_korean_to_a_korean_browser_and_english_by_the_switch(console: Console) -> None:
    await console.pipeline.process(message())
    context = await console.browser.new_context(locale="ko-KR", viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    await page.goto(console.address)
    await page.wait_for_selector("#level:text-is('정상')")
    await page.wait_for_selector("#tiers li:has-text('앱 규칙') .share:text-is('100 %')")
    assert await page.get_attribute("html", "lang") == "ko"
    assert re.findall("[a-z]{3,}", await page.inner_text("nav")) == []
    await console.pipeline.process(message(duration="-1"))
    await page.goto(console.address + "dead-letters")
    reason = page.locator("#letters .what", has_text="duration은(는) 0 이상의 유한한 수(초)여야 하는데 …임")
    assert await reason.get_attribute("title") == "duration must be a finite number of seconds, 0 or more, not …"
    await page.locator("#letter-groups", has_text="잘못된 필드: duration은(는) 0 이상의").wait_for()
    outcome = "completed; corrections: 1; changed: 7; moved: from Design to Documentation seconds 2879.875"
    audit = console.pipeline.container.audit()
    await audit.note("task correction:c6d9a17a", "apply_corrections", "", outcome)
    await page.goto(console.address + "system")
    told = "완료; 바로잡은 것: 1; 바뀜: 7; 옮김: Design → Documentation 47분"
    await page.locator("#audit tr:has-text('바로잡기')").wait_for()  # without the token: no outcome
    await page.locator("#tasks tr:has-text('ping')", has_text="누군가 듣고 있음").wait_for()
    await page.locator("#settings tr:has-text('HTTP_PORT')", has_text="콘솔, /healthz").first.wait_for()
    await page.click("#unlock")
    await page.fill("#token", TOKEN)
    await page.keyboard.press("Enter")
    await page.locator("#audit small", has_text=told).wait_for()

    await page.goto(console.address)
    await page.click("#language")

    await page.wait_for_selector("#level:text-is('Healthy')")
    assert await page.get_attribute("html", "lang") == "en"
    await context.close()


async def test_who_comes_late_sees_what_was(console: Console) -> None:
    await console.pipeline.process(*(message(userId=f"user-{n}") for n in range(40)))
    await console.open("?date=2025-09-02")
    await console.until("#committed", "40")
    await console.until("#top caption", "40 users")

    await console.page.locator("#plot-rate path.series.fast").first.wait_for(state="attached")
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
    await console.open("windows")
    await console.page.fill("#try-app", "Google Chrome")
    await console.page.fill("#try-url", "https://docs.google.com/document")
    await console.page.keyboard.press("Enter")
    await console.until("#explained .verdict", "Documentation")

    assert "docs.google.com" in await console.text("#explained .wins")
    assert "docs.google.com is the host" in await console.text("#explained")
    assert console.errors == []


async def test_a_dead_letter_is_seen_unlocked_and_replayed(console: Console) -> None:
    await console.open("dead-letters")
    await console.until("#letters", "None: every message and job could be processed.")
    await console.pipeline.process(message(duration="-1", title=SECRET, url=f"https://x.example/{SECRET}"))
    await console.until("#letters", "duration must be a finite number")
    assert await console.page.is_disabled("#letters button")
    assert SECRET not in await console.page.content()
    (before,) = console.pipeline.dead_letters()

    await unlock(console)
    await console.page.click("#letters summary")
    await console.until("#letters details", SECRET)
    await console.page.click("#letters button:text-is('Replay')")
    await console.until("#told", "It died again: duration must be a finite number")
    await console.until("#letters details", "Put back 1 time before")

    (after,) = console.pipeline.dead_letters()
    assert after["originalId"] != before["originalId"]
    await console.page.click("#unlock")
    await console.until("#unlock", "Unlock")
    await console.page.wait_for_selector("#letters button:disabled")
    assert SECRET not in await console.page.content()
    assert console.errors == []


async def test_a_dead_letter_is_corrected_and_commits(console: Console) -> None:
    await console.pipeline.process(message(duration="-1"))
    await console.open("dead-letters")
    await unlock(console)
    await console.page.click("#letters button:text-is('Edit'):enabled")
    await console.page.fill("#edit-fields input[name=duration]", "-2")
    await console.page.press("#edit-fields input[name=duration]", "Enter")
    await console.until("#edit-error", "it would become a dead letter again")
    await console.page.fill("#edit-fields input[name=duration]", "60")
    await console.page.press("#edit-fields input[name=duration]", "Enter")
    await console.until("#told", "It is committed.")
    await console.until("#letters", "None: every message and job could be processed.")

    assert console.pipeline.dead_letters() == []


async def test_dead_letters_are_grouped_searched_and_dropped_by_kind(console: Console) -> None:
    few = [message(duration="-1", userId=f"user-{n}") for n in range(3)]
    await console.pipeline.process(*few, message(timestamp="never"))
    await console.open("dead-letters")
    await console.until("#letter-groups button >> nth=0", "All 4")
    await unlock(console)
    await console.page.fill("#letter-search", "user-2")
    await console.page.wait_for_selector("#letters .items:not(:has(> li:nth-child(2)))")
    assert console.page.url.endswith("?q=user-2")
    await console.page.fill("#letter-search", "")
    await console.page.click("#letter-groups button:has-text('duration')")
    await console.page.wait_for_selector("#letters .items:not(:has(> li:nth-child(4))) > li:nth-child(3)")
    console.page.on("dialog", lambda dialog: dialog.accept())
    await console.page.click("#letters-drop")
    await console.until("#told", "3 deleted.")
    await console.until("#letter-groups button >> nth=0", "All 1")

    (left,) = console.pipeline.dead_letters()
    assert "timestamp" in left["reason"]
    assert console.errors == []


async def test_a_kind_that_an_address_names_is_dropped_after_its_count_is_told(console: Console) -> None:
    few = [message(duration=f"-{n}", userId=f"user-{n}") for n in range(1, 23)]
    await console.pipeline.process(*few, message(timestamp="never"))
    asked = list[str]()

    def accept(dialog: Dialog) -> Awaitable[None]:
        asked.append(dialog.message)
        return dialog.accept()

    console.page.on("dialog", accept)
    await console.open("dead-letters?kind=invalid_field")
    await console.page.wait_for_selector("#letters li")
    await unlock(console)
    await console.page.click("#letters-drop")
    await console.until("#told", "23 deleted.")

    assert asked == ["Delete 23 messages for good? invalid field"]


async def test_dead_letters_are_chosen_by_their_stream(console: Console) -> None:
    await console.pipeline.process(message(duration="-1"), message(duration="-2"))
    ((_, fields), _) = console.pipeline.redis.xrange(f"{console.pipeline.settings.stream_key}:dlq")
    console.pipeline.redis.xadd("pomocore:cards:users:dlq", fields)
    await console.open("dead-letters")
    await console.until("#letter-groups button >> nth=0", "All 3")
    await console.page.select_option("#letter-stream", "pomocore:cards:users")
    await console.until("#letter-groups button >> nth=0", "All 1")
    await console.page.wait_for_selector("#letters .items:not(:has(> li:nth-child(2)))")

    assert console.page.url.endswith("?stream=pomocore%3Acards%3Ausers")
    console.pipeline.container.observer().queue_seen(QueueFigures("pomocore:cards:users", 0, 0, 0.0, 1, 0))
    await console.until("#letter-count", "3")
    assert console.errors == []


async def test_who_rises_is_shown_by_itself(console: Console) -> None:
    await console.pipeline.process(message(userId="first", duration="600"), message(userId="second", duration="60"))
    await console.open(WEEK)
    await console.until("#board tbody tr >> nth=0", "first")
    await console.pipeline.process(message(userId="second", duration="1200"))

    await console.until("#board tbody tr >> nth=0", "▲ 1 +20 min")
    await console.until("#board-updated", "as of")
    assert console.errors == []


async def test_what_comes_anew_leaves_the_keyboard_where_it_was(console: Console) -> None:
    await console.pipeline.process(message(userId="first", duration="600"), message(userId="second", duration="60"))
    await console.open(WEEK)
    await unlock(console)
    await console.page.focus("#board button:text-is('second')")
    await console.pipeline.process(message(userId="second", duration="1200"))
    await console.until("#board tbody tr >> nth=0", "▲ 1 +20 min")
    assert await focused(console) == "second"

    await console.page.click("nav >> text=System")
    await console.page.click("#settings summary")
    await console.page.evaluate("() => { document.querySelector('#settings table').id = 'old' }")
    await console.page.wait_for_selector("#old", state="detached")
    assert await console.page.get_attribute("#settings details", "open") == ""
    assert await focused(console) == await console.text("#settings summary")
    assert console.errors == []


async def test_a_window_behind_a_score_is_corrected(console: Console) -> None:
    await console.pipeline.process(message(duration="3600", app="Nobody's app", title="a thesis"))
    await console.open("boards?category=Uncategorized&period=day&date=2025-09-02")
    await unlock(console)
    await console.page.click("#board button.link")
    await console.until("#drill-windows tr", "a thesis")
    assert await console.text("#drill-windows .number") == "1 h"
    await console.page.set_viewport_size({"width": 390, "height": 900})
    chosen = await console.page.locator("#drill-windows select").bounding_box()
    assert chosen is not None
    assert chosen["width"] > 140, "on a telephone, one sees which category is chosen"
    await console.page.focus("#drill-windows select")
    await console.page.keyboard.type("E-")  # a closed list takes it at once
    assert await console.page.input_value("#drill-windows select") == "E-commerce & Shopping"
    await console.page.select_option("#drill-windows select", "Education")
    await console.page.keyboard.press("Tab")
    await console.page.keyboard.press("Enter")
    await console.until("#told", "Education from now on")
    changes, _ = await console.pipeline.container.audit().page(10)
    assert [it.what for it in changes if it.who.startswith("admin")] == ["corrected a window: Education"]
    await console.page.click("nav >> text=Windows")
    await console.until("#corrections", "→ Education")

    await console.page.click("#corrections button")
    await console.until("#told", "It is being undone.")
    assert console.errors == []


async def test_a_link_to_a_users_page_leads_to_where_it_can_be_unlocked(console: Console) -> None:
    await console.open("users/user%201?date=2025-09-02&lang=ko")
    await console.until("#user-problem", "Only the user and administrators may see this.")

    assert console.page.url == console.address + "users?user=user+1&date=2025-09-02"
    assert await console.page.input_value("#user-id") == "user 1"


@pytest.mark.parametrize("admin_token", [TOKEN, None])
@pytest.mark.parametrize("token_key", ["a key for the tokens of clients"])
async def test_a_user_sees_their_page_with_their_own_token(
    console: Console, admin_token: str | None, token_key: str
) -> None:
    await console.pipeline.process(message(userId="user-1", duration="600"))
    await console.open("users?user=user-1&date=2025-09-02")
    await unlock(console, "no such token")
    await console.until("#token-error", "This is not the token.")
    await console.page.fill("#token", Tokens([token_key]).token_for("user-1"))
    await console.page.keyboard.press("Enter")
    await console.page.wait_for_selector("#unlock:text-is('Lock')")
    await console.until("#user-card .figure", "10 min")
    await console.page.click("nav >> text=Dead letters")
    await console.until(
        "#letters-title ~ .caption", "Only administrators" if admin_token else "ADMIN_TOKEN is not set"
    )

    await console.page.click("#unlock")
    await console.page.wait_for_selector("#unlock:text-is('Unlock')")


async def test_a_users_day_outside_the_years_says_which_there_are(console: Console) -> None:
    await console.open("users?user=user-1&date=1960-01-01")
    await unlock(console)
    await console.until("#user-problem", "There are cards of days from 1971 to 8999")


async def test_a_users_day_is_shown_to_who_may_see_it(console: Console) -> None:
    await console.pipeline.process(message(userId="user-1", duration="600"))
    await console.open("users?user=user-1&date=2025-09-02")
    await console.until("#user-problem", "Only the user and administrators may see this.")
    await unlock(console)
    await console.until("#user-card h1", "user-1")
    await console.until("#user-card .figure", "10 min")
    await console.page.click("#user-card nav a >> nth=0")
    await console.page.wait_for_url("**date=2025-09-01*")
    await console.until("#user-card nav", "2025-09-01")
    await console.open("users?user=user-1&date=2025-09-02")
    await console.page.click("#user-problem a")
    await console.until("#drill-title", "What made user-1's 10 min")
    await console.until("#drill-windows tr", "Visual Studio Code")


async def test_the_address_says_what_is_shown_and_back_leads_back(console: Console) -> None:
    await console.open()
    for name in ("Boards", "Windows", "Patterns", "System"):
        await console.page.click(f"nav >> text={name}")
        await console.page.wait_for_selector(f".page:not([hidden])[data-page={name.lower()}]")
        assert console.page.url == console.address + name.lower()
        await console.page.wait_for_function("title => document.title === title", arg=f"{name} · Pomocore")
    await console.page.go_back()
    await console.page.wait_for_selector(".page:not([hidden])[data-page=patterns]")
    assert await console.page.locator(".page:not([hidden])").count() == 1
    assert console.errors == []


@pytest.mark.parametrize(
    ("language", "said", "back"), [("en-US", "no such page", "overview"), ("ko-KR", "없는", "개요")]
)
async def test_a_mistyped_path_leads_back(console: Console, language: str, said: str, back: str) -> None:
    context = await console.browser.new_context(locale=language)
    page = await context.new_page()
    for path in ("bords", "boards/2025", "no&#<b>such'\"]"):
        answer = await page.goto(console.address + path)
        assert answer is not None
        assert answer.status == 404
        await page.wait_for_selector("#connection[data-state=live]")
        assert [said in text for text in await page.locator(".page:visible h2").all_inner_texts()] == [True]
        await fits_and_is_accessible(page)
    await page.click(f"main a:has-text('{back}')")
    await page.wait_for_selector("#now-title:visible")
    assert page.url == console.address
    await context.close()


@pytest.mark.parametrize(("language", "boards"), [("en-US", "Boards"), ("ko-KR", "순위표")])
async def test_analytics_leads_to_the_other_pages(console: Console, language: str, boards: str) -> None:
    context = await console.browser.new_context(locale=language)
    page = await context.new_page()
    await page.goto(console.address + "analytics")
    await page.get_by_text("EVENTS=true").wait_for()
    assert await page.get_attribute("nav a[aria-current]", "href") == "/analytics"
    await fits_and_is_accessible(page)
    await page.click(f"nav >> text={boards}")
    await page.wait_for_selector("#board-form")
    assert page.url == console.address + "boards"
    await page.click("#theme")
    await page.click("nav a[href='/analytics']")
    ground = page.locator("#analytics section").first.evaluate("it => getComputedStyle(it).backgroundColor")
    assert await ground == "rgb(29, 33, 37)", "as the console, not as the system"
    await fits_and_is_accessible(page)
    await page.goto(console.address + "analytics?date=2025-09-02")
    await page.get_by_role("heading", name="2025-09-02").wait_for()
    await page.goto(console.address + "analytics?date=x")
    await page.locator("#analytics").get_by_text("2025-09-02").wait_for()
    await context.close()


async def test_patterns_are_found(console: Console) -> None:
    await console.pipeline.process(message())
    await console.open("patterns?q=github.com")
    await console.until("#patterns details[open]", "github.com")
    await console.page.fill("#pattern-search", "no such pattern")
    await console.until("#patterns", "No pattern has this in it.")
    assert console.errors == []


async def test_plots_share_a_cursor_that_the_keyboard_moves(console: Console) -> None:
    await console.pipeline.process(*(message(title=f"window {n}") for n in range(40)))
    await console.open()
    await console.until("#committed", "40")
    for span in ("1h", "24h", "30d", "5m"):
        await console.page.check(f"#span input[value='{span}']", force=True)
        await console.page.locator("#plot-rate path.series.fast").first.wait_for(state="attached")
        await console.page.locator("#plot-backlog path.series.waiting").first.wait_for(state="attached")
        assert console.page.url == console.address + ("" if span == "5m" else f"?span={span}")
    await console.page.wait_for_selector("#plot-backlog .keys b:text-is('0')")
    await console.page.focus("#plot-rate svg")
    await console.page.keyboard.press("ArrowLeft")
    await console.page.wait_for_selector("#plot-latency .values:visible")
    said = await console.page.get_attribute("#plot-rate svg", "aria-valuetext")
    assert said is not None
    assert "Fast lane" in said
    await console.page.keyboard.press("Escape")
    assert await console.page.locator(".values:visible").count() == 0
    assert console.errors == []


async def test_an_address_says_which_span_the_plots_have(console: Console) -> None:
    async with console.page.expect_request(lambda it: "/api/history?span=24h" in it.url):
        await console.open("?span=24h")
    assert await console.page.is_checked("#span input[value='24h']")


async def test_the_values_at_a_cursor_stay_within_their_plot(console: Console) -> None:
    await console.pipeline.process(*(message() for _ in range(20)))
    await console.page.set_viewport_size({"width": 390, "height": 900})
    await console.open()
    await console.page.locator("#plot-rate path.series.fast").first.wait_for(state="attached")
    plot = console.page.locator("#plot-rate")
    for share in (0.2, 0.45, 0.55, 0.95):
        around = await plot.bounding_box()
        assert around is not None
        await plot.locator("svg").hover(position={"x": share * around["width"], "y": 50})
        card = await plot.locator(".values").bounding_box()
        assert card is not None
        assert around["x"] <= card["x"] <= card["x"] + card["width"] <= around["x"] + around["width"], share


async def test_a_wrong_token_opens_nothing(console: Console) -> None:
    await console.open()
    await unlock(console, "no such token")
    await console.until("#token-error", "This is not the token.")
    await console.page.click("#token-cancel")

    assert await console.text("#unlock") == "Unlock"
    assert await console.page.evaluate("() => sessionStorage.length") == 0


@pytest.mark.parametrize("admin_token", [None])
async def test_without_a_token_in_the_settings_it_says_so(console: Console) -> None:
    await console.open("dead-letters")
    await console.until("#letters-title ~ .caption", "ADMIN_TOKEN is not set")

    assert await console.page.is_hidden("#unlock")


async def test_a_proposal_is_accepted(console: Console) -> None:
    await console.pipeline.process(message())
    evidence = Evidence(40, 9, {"SNS": 1})
    proposal = PatternProposal("a1", PatternKind.DOMAIN, "linear.app", "Development", evidence)
    await console.pipeline.container.proposals().save_all([proposal])
    await console.open("patterns")
    await unlock(console)
    await console.page.click("#proposals button:enabled:has-text('What would move?')")
    await console.until("#proposals .preview", "It would move nothing.")
    await console.page.click("#proposals button:enabled:has-text('Accept')")
    await console.until("#proposals", "None.")

    patterns = await console.pipeline.container.category_patterns().find_all()
    assert any("linear.app" in pattern.domain_patterns for pattern in patterns)


async def test_another_instance_is_chosen_and_one_that_vanishes_is_missed(
    console: Console,
    pipeline_on: StartPipeline,
) -> None:
    settings = console.pipeline.settings
    await console.pipeline.process(*(message() for _ in range(3)))
    await console.open("system")
    lanes, select = "#lanes tr:has-text('Fast') td >> nth=0", console.page.locator("#instance-name")
    await console.until(lanes, "3")
    await console.until(".of-instance .scope >> nth=0", f"This instance: {settings.consumer_name}, as of")
    assert await select.is_hidden()
    other = other_instance(settings)
    async with pipeline_on(other) as another:
        another.container.observer().batch_committed(CommitResult(messages=41), 0.1)
        await another.container.telling().tell()
        await select.select_option(other.consumer_name)
        await console.until(lanes, "41")
        await console.until(".of-instance .scope >> nth=0", f"This instance: {other.consumer_name}, as of")
        assert console.page.url.endswith(f"/system?instance={other.consumer_name}")
        await fits_and_is_accessible(console.page)

    console.pipeline.redis.delete(INSTANCE + other.consumer_name)
    await console.until("#instance-problem", f"Nothing has been heard of {other.consumer_name} lately")
    assert await console.page.locator("#lanes").is_hidden()
    await fits_and_is_accessible(console.page)
    await console.page.reload()
    await console.until("#instance-problem", f"Nothing has been heard of {other.consumer_name} lately")
    await console.until("#tasks", "ping")
    await console.page.click("#instance-own:has-text('Show')")
    await console.until(lanes, "3")
    assert console.page.url.endswith("/system")
    assert await console.page.locator("#instance-gone").is_hidden()
    assert all("404" in error for error in console.errors)


async def test_the_run_over_the_focus_cards_is_shown_as_it_goes(console: Console) -> None:
    container = console.pipeline.container
    await console.open("system")
    await console.until("#instances", "pomodoro")
    assert await console.page.is_hidden("#cards-card")

    await container.card_runs().start()
    await console.page.reload()
    await console.until("#cards", "Under way: 0 users")
    await console.until("#cards", "Nobody works on it: start pomocore cards worker")
    await drain_cards(container)

    await console.until("#cards", "All cards were last made at")
    assert console.errors == []


@pytest.mark.parametrize(("language", "run"), [("en-US", "Run {} now"), ("ko-KR", "{} 지금 실행")])
async def test_a_task_is_run_by_hand_and_its_outcome_told(console: Console, language: str, run: str) -> None:
    is_english, runner, stop = language == "en-US", task_runner(console.pipeline.container), asyncio.Event()
    running = asyncio.create_task(runner.run(stop, asyncio.Event()))
    context = await console.browser.new_context(locale=language)
    page = await context.new_page()
    await page.goto(console.address + "system")
    await page.wait_for_selector("#connection[data-state=live]")
    assert await page.get_by_role("button", name=run.format("ping")).is_disabled()
    await page.evaluate(f"sessionStorage.setItem('pomocore-token', '{TOKEN}')")
    await page.reload()
    outcome = page.locator("#task-outcome")

    await page.get_by_role("button", name=run.format("apply_retention")).click()
    await page.click("#task-dry")
    await outcome.get_by_text("dry run: yes" if is_english else "시험 실행: 예").wait_for()
    await fits_and_is_accessible(page)
    await page.click("#task-cancel")
    await page.get_by_role("button", name=run.format("rebuild_leaderboard")).click()
    await page.select_option("#task-fields select", "day")
    await page.fill("#task-fields input[type=date]", "2025-09-02")
    await fits_and_is_accessible(page)
    await page.click("#task-run")
    refused = "the server has archived the boards of the day of 2025-09-02" if is_english else "서버가 이미 보관했고"
    await outcome.get_by_text(refused).first.wait_for()
    await outcome.locator(".tag.bad").wait_for()
    await page.check("#task-fields input[type=checkbox]")
    await page.click("#task-run")
    await outcome.get_by_text("boards: 0" if is_english else "순위표: 0").wait_for()
    await page.click("#task-cancel")
    await page.locator(
        "#audit", has_text="console by admin" if is_english else "콘솔에서 admin이(가) 요청한 작업"
    ).wait_for()
    await page.click("#tasks summary")
    history = page.locator("#tasks details", has_text=refused)
    await history.wait_for()
    assert "the server has archived" in await history.inner_text(), "also in Korean, in the server's own words"
    stop.set()
    await running
    await context.close()


async def test_times_are_the_boards_from_the_first_on(console: Console) -> None:
    async def late(route: Route) -> None:
        await asyncio.sleep(0.5)
        await route.continue_()

    context = await console.browser.new_context(timezone_id="America/New_York")
    page = await context.new_page()
    await page.route("**/api/labels*", late)
    await page.add_init_script(
        """const seen = (globalThis.seen = []);
        addEventListener("DOMContentLoaded", () => {
          const tasks = document.getElementById("tasks");
          new MutationObserver(() => seen.push(tasks.innerText)).observe(tasks, { childList: true });
        });"""
    )
    await page.goto(console.address + "system")
    await page.wait_for_selector("#connection[data-state=live]")
    await page.locator("#tasks", has_text="04:40:00").wait_for()  # of apply_retention, in Seoul
    assert [text for text in await page.evaluate("seen") if "04:40:00" not in text] == []
    await context.close()


async def test_a_long_task_is_followed_to_its_end(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infrastructure.http.system._WAIT_SECONDS", 0.2)
    await console.open("system")
    await unlock(console)
    await console.page.get_by_role("button", name="Run ping now").click()
    await console.page.click("#task-run")
    await console.until("#task-outcome", "waits: no instance runs tasks")
    runner, stop = task_runner(console.pipeline.container), asyncio.Event()
    running = asyncio.create_task(runner.run(stop, asyncio.Event()))
    await console.until("#task-outcome .tag.good", "completed")
    stop.set()
    await running
    assert console.errors == []


async def test_sites_are_shown_with_what_they_say_where_there_are_any(console: Console) -> None:
    await console.open("patterns")
    await console.until("#proposals", "None.")
    assert await console.page.is_hidden("#sites-card")
    profiles = console.pipeline.container.site_profiles()
    await profiles.begin_visit("moonlit.io", 1.8e9, 0.0)
    evidence = (SiteEvidence(EvidenceKind.MANIFEST, "games", "Game", 0.85),)
    facts = PageFacts("<b>Moonlit</b>")
    found = SiteProfile(
        "moonlit.io", 1.8e9, SiteState.CONCLUDED, VisitOutcome.PAGE, "", facts, "Game", 0.85, evidence
    )
    await profiles.save(found)

    await unlock(console)

    await console.until("#sites", "moonlit.io → Game")
    await console.page.click("#sites summary")
    await console.until("#sites details", "web app manifest (85 %): games")
    assert "<b>Moonlit</b>" in await console.text("#sites summary")
    assert console.errors == []


async def test_it_survives_that_the_server_goes_and_comes_back(shut_console: Console) -> None:
    console = shut_console
    async with console.door():
        await console.open(WEEK)
        await console.page.fill("#board-user", "user-1")
        await console.until("#board", "not on this board")
    await console.until("#lost", "trying again")
    assert await console.page.title() == "Disconnected · Pomocore"
    assert await console.text("#connection") == "Disconnected"
    await fits_and_is_accessible(console.page)
    await console.pipeline.process(message(), message())
    async with console.door():
        await console.page.wait_for_selector("#connection[data-state=live]")
        await console.until("#board", "rank 1 of 1")  # what was chosen stays
        assert await console.page.is_hidden("#lost")


async def test_what_is_down_is_said(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    await console.open()
    await console.until("#level", "Healthy")

    async def gone() -> None:
        raise RedisOutage("no route to it", OutageKind.UNREACHABLE)

    for name in ("streams", "ping"):
        monkeypatch.setattr(console.pipeline.container.figures(), name, gone)
    monkeypatch.setattr(console.pipeline.container.task_queue(), "runs", lambda limit: gone())
    cause = RedisOutage("no route to it", OutageKind.UNREACHABLE)
    console.pipeline.container.observer().breaker_changed("tasks", True, cause)
    await console.until("#level", "Down")
    await console.until("#problems", "does not answer, since")
    assert "wait at their senders" in await console.text("#problems")
    assert "stream" not in await console.text("#now-text"), "which is away itself"
    assert "Commands wait" not in await console.text("#problems"), "that messages go on is not said beside it"
    assert await console.page.title() == "Down · Pomocore"
    await fits_and_is_accessible(console.page)
    await console.page.click("nav >> text=System")
    await console.until("#checks li", "not usable")
    for breaker in ("redis", "schedule"):
        console.pipeline.container.observer().breaker_changed(breaker, True, cause)
    await console.until("#checks li", "waiting for it")
    await console.until("#checks li", "1 outage waited for")
    await console.until("#instances", "Not available during the outage.")
    await console.until("#tasks", "Not available during the outage.")
    await console.until("#settings", "HTTP_PORT")
    await fits_and_is_accessible(console.page)
    monkeypatch.undo()
    for breaker in ("redis", "schedule", "tasks"):
        console.pipeline.container.observer().breaker_changed(breaker, False, None)
    await console.page.wait_for_selector("link[rel=icon][href='/console/icon.svg']", state="attached")


PAGES = {
    "": ("#tiers li", "#plot-rate svg"),
    WEEK: ("#board table",),
    "users?user=user-1&date=2025-09-02": ("#user-card .figure",),
    "windows?app=Visual+Studio+Code": ("#explained .verdict",),
    "dead-letters": ("#letters li",),
    "patterns?q=github": ("#proposals li", "#patterns details"),
    "system": ("#instances table", "#settings table"),
}


@pytest.mark.parametrize(("language", "scheme"), [("en-US", "light"), ("ko-KR", "dark")])
async def test_nothing_stands_in_anybodys_way(console: Console, scheme: Any, language: str) -> None:
    proposal = PatternProposal("a1", PatternKind.APP, "Linear", "Development", Evidence(40, 9, {"SNS": 1}))
    await console.pipeline.container.proposals().save_all([proposal])
    await console.pipeline.process(*(message(userId=f"user-{n}") for n in range(20)), message(duration="-1"))
    context = await console.browser.new_context(locale=language, color_scheme=scheme)
    page = await context.new_page()
    await page.add_init_script(f"sessionStorage.setItem('pomocore-token', '{TOKEN}')")
    for path, selectors in PAGES.items():
        await page.goto(console.address + path)
        for selector in ("#connection[data-state=live]", *selectors):
            await page.locator(selector).first.wait_for()
        await fits_and_is_accessible(page)
    await context.close()


@pytest.mark.parametrize(("language", "scheme"), [("en-US", "dark"), ("ko-KR", "light")])
async def test_nor_while_it_is_empty_and_locked(console: Console, scheme: Any, language: str) -> None:
    context = await console.browser.new_context(locale=language, color_scheme=scheme)
    page = await context.new_page()
    for path in ("", "boards", "users", "windows", "dead-letters", "patterns", "analytics", "system"):
        await page.goto(console.address + path)
        await page.wait_for_selector("#connection[data-state=live]")
        await fits_and_is_accessible(page)
    await context.close()


async def test_plots_and_tiers_are_seen_in_forced_colours(console: Console) -> None:
    await console.pipeline.process(*(message() for _ in range(20)))
    context = await console.browser.new_context(forced_colors="active")
    page = await context.new_page()
    await page.goto(console.address)
    for selector in ("#connection[data-state=live]", *PAGES[""]):
        await page.locator(selector).first.wait_for()
    canvas = await page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    colours = await page.evaluate(
        """() => [
          ...[...document.querySelectorAll("svg .series")].map(it => getComputedStyle(it).stroke),
          ...[...document.querySelectorAll("#tiers .swatch")].map(it => getComputedStyle(it).backgroundColor),
        ]"""
    )
    assert len(colours) > 4
    assert not {canvas, "none", "rgba(0, 0, 0, 0)"} & set(colours)
    await context.close()


async def fits_and_is_accessible(page: Page) -> None:
    """On a telephone and on a desk."""
    for width in (390, 1440):
        await page.set_viewport_size({"width": width, "height": 900})
        found = await Axe().run(page)
        assert found.response["violations"] == [], (page.url, width, found.generate_report())
        assert await page.evaluate("() => document.documentElement.scrollWidth") == width, page.url


async def test_it_is_used_with_the_keyboard_alone(console: Console) -> None:
    await console.pipeline.process(message(duration="-1"))
    await console.open("dead-letters")
    await console.page.wait_for_selector("#letters li")
    keyboard = console.page.keyboard
    await keyboard.press("Tab")
    assert await focused(console) == "Skip to the figures"
    await tab_to(console, "Unlock")
    await keyboard.press("Enter")
    await keyboard.type(TOKEN)
    await keyboard.press("Enter")
    await console.page.wait_for_selector("#unlock:text-is('Lock')")
    await tab_to(console, "Dark")
    await keyboard.press("Enter")
    assert await console.page.get_attribute("html", "data-theme") == "dark"
    await console.page.wait_for_selector("#letters button:enabled")
    await tab_to(console, "Replay")
    await keyboard.press("Enter")
    await console.until("#told", "It died again")
    assert console.errors == []


async def focused(console: Console) -> str:
    return str(await console.page.evaluate("() => document.activeElement.textContent.trim()"))


async def tab_to(console: Console, text: str) -> None:
    for _ in range(40):
        await console.page.keyboard.press("Tab")
        if re.fullmatch(text, await focused(console)):
            return
    raise AssertionError(f"{text} is not to be reached")


async def test_a_collector_in_the_process_has_its_card(console: Console) -> None:
    await console.open("system")
    await console.until("#instances", "pomodoro")
    assert not await console.page.is_visible("#collector-card")
    metrics = CollectorMetrics(console.pipeline.container.registry())
    metrics.accepted(40, 0.001)
    metrics.answered("202")
    metrics.answered("413")

    await console.until("#collector div:has-text('Events accepted')", "40")
    assert await console.text("#collector div:has-text('Posts refused') dd") == "1"
    metrics.outage("archive", OSError("away"))
    await console.until("#collector-text", "waits for the archive")
