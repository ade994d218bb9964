"""A pipeline that serves HTTP, and the Chromium on PATH that opens its console."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from infrastructure.http.door import open_door
from infrastructure.settings import Settings, load_settings
from tests.browser import find_browser
from tests.integration.conftest import Pipeline, pipeline_on  # noqa: F401 - a fixture
from tests.servers import free_port

TOKEN = "correct horse battery staple"
MILLISECONDS = 30_000
"""Seconds, far more than anything here takes even on a busy machine."""


@dataclass
class Console:
    """The page and the pipeline behind it. `errors` are the browser's error messages."""

    page: Page
    pipeline: Pipeline
    address: str
    browser: Browser
    errors: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def door(self) -> AsyncIterator[None]:
        """As of a process that has just been started."""
        container, stop = self.pipeline.container, asyncio.Event()
        container.api.reset()
        async with open_door(container.state(), container.api, [container.partition().consumer()], asyncio.Event()):
            counting = asyncio.create_task(container.counting().run(stop))
            yield
            stop.set()
            await counting

    async def open(self, path: str = "") -> None:
        await self.page.goto(self.address + path)
        await self.page.wait_for_selector("#connection[data-state=live]")

    async def text(self, selector: str) -> str:
        return await self.page.inner_text(selector)

    async def until(self, selector: str, text: str) -> None:
        await self.page.locator(selector, has_text=text).first.wait_for()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    executable = find_browser()
    if executable is None:
        if os.environ.get("BROWSER_REQUIRED"):
            pytest.fail("there is no Chromium on PATH")
        pytest.skip("there is no Chromium on PATH")
    async with async_playwright() as playwright:
        # no sandbox: nothing but our own page is opened, and as root there is none
        yield await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    async with await browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        context.set_default_timeout(MILLISECONDS)
        yield context


@pytest.fixture
def admin_token() -> str | None:
    return TOKEN


@pytest.fixture
def token_key() -> str | None:
    """COLLECT_TOKEN_KEY."""
    return None


@asynccontextmanager
async def _page(context: BrowserContext, pipeline: Pipeline, address: str) -> AsyncIterator[Console]:
    page = await context.new_page()
    assert context.browser is not None
    console = Console(page, pipeline, address, context.browser)
    page.on("console", lambda said: console.errors.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: console.errors.append(str(error)))
    yield console


@pytest.fixture
async def shut_console(
    context: BrowserContext,
    pipeline_on,  # type: ignore[no-untyped-def]  # noqa: F811
    settings: Settings,
    admin_token: str | None,
    token_key: str | None,
) -> AsyncIterator[Console]:
    """The door is the test's to open."""
    port = free_port()
    secrets = {"admin_token": admin_token, "collect_token_key": token_key}
    chosen = load_settings(**settings.model_dump(exclude_unset=True), http_port=port, **secrets)
    async with (
        pipeline_on(chosen) as pipeline,
        _page(context, pipeline, f"http://127.0.0.1:{port}/") as console,
    ):
        yield console


@pytest.fixture
async def console(shut_console: Console) -> AsyncIterator[Console]:
    async with shut_console.door():
        yield shut_console
