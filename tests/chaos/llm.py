"""An LLM that is slow, and fails when it is told to. Its answers are known in advance, but not when they come."""

import asyncio
import json
from random import Random
from typing import Literal, get_args

from aiohttp import web

from tests.chaos.model import answer_of

Trouble = Literal["errors", "busy", "prose", "hangs", "slow"]
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)

_HEALED_SLOWEST = 0.1


class FakeLLM:
    """A server for the part of the OpenAI API that the pipeline uses. `slowest` is in seconds."""

    def __init__(self, rng: Random, slowest: float) -> None:
        self._rng = rng
        self._slowest = slowest
        self._trouble: Trouble | None = None
        self._well = asyncio.Event()
        self._well.set()
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.asked = 0
        self.failed = 0

    def fall_ill(self, trouble: Trouble) -> None:
        """Sets its behaviour, in place of an earlier one, until it recovers:

        errors  500, at once
        busy    429, with a Retry-After of up to 2 s
        prose   text without answers
        hangs   no answer until it recovers; then a good answer to clients that still wait
        slow    a good answer, but later than a message waits, and sometimes later than a request may take
        """
        self._trouble = trouble
        self._well.clear()

    def recover(self) -> None:
        self._trouble = None
        self._well.set()

    def heal(self) -> None:
        """Recovers for the rest of the round, and answers fast from now on."""
        self.recover()
        self._slowest = _HEALED_SLOWEST

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, shutdown_timeout=0.1)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def close(self) -> None:
        self.recover()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.asked += 1
        await asyncio.sleep(self._rng.uniform(0, self._slowest))
        self.failed += self._trouble is not None
        match self._trouble:
            case "errors":
                return web.json_response({"error": {"message": "chaos"}}, status=500)
            case "busy":
                seconds = {"Retry-After": str(self._rng.choice((0, 1, 2)))}
                return web.json_response({"error": {"message": "chaos"}}, status=429, headers=seconds)
            case "prose":
                return _completion("These look like windows to me.")
            case "hangs":
                await self._well.wait()
            case "slow":
                await asyncio.sleep(self._rng.uniform(1, 3))
        return _completion(json.dumps({"answers": _answers(json.loads(asked["messages"][-1]["content"]))}))


def _answers(windows: list[dict[str, str]]) -> list[dict[str, object]]:
    return [
        {"number": window["number"], "category": category}
        for window in windows
        if (category := answer_of({"app": window["app"], "url": window["url"]}))
    ]


def _completion(content: str) -> web.Response:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    return web.json_response(
        {"id": "chaos", "object": "chat.completion", "created": 0, "model": "chaos", "choices": [choice]}
    )
