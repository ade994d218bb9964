"""An LLM that takes its time: its answers are known in advance, when they come is not."""

import asyncio
import json
from random import Random

from aiohttp import web

from tests.chaos.model import LLM_APPS


class FakeLLM:
    """Speaks as much of the OpenAI API as the pipeline uses. `slowest` is in seconds."""

    def __init__(self, rng: Random, slowest: float) -> None:
        self._rng = rng
        self._slowest = slowest
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.asked = 0

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, shutdown_timeout=0.1)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.asked += 1
        await asyncio.sleep(self._rng.uniform(0, self._slowest))
        windows = json.loads(asked["messages"][-1]["content"])
        answers = [
            {"number": window["number"], "category": category}
            for window in windows
            if (category := LLM_APPS.get(window["app"]))
        ]
        message = {"role": "assistant", "content": json.dumps({"answers": answers})}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return web.json_response(
            {"id": "chaos", "object": "chat.completion", "created": 0, "model": "chaos", "choices": [choice]}
        )
