"""A server that speaks the OpenAI chat completions API and behaves, or misbehaves, as a test tells it.

    with llm_server() as llm:                    # in a thread of its own, for tests of real processes
        llm.behave(status(429), well)            # the first request meets 429, all others the last behaviour

`async with LLMServer() as llm:` runs it in the test's own loop.
"""

import asyncio
import json
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

DEFAULT_CATEGORY = "Documentation"


@dataclass(frozen=True)
class Request:
    """A request of the pipeline: its windows, the categories that its schema offers, and its whole body."""

    windows: list[dict[str, Any]]
    categories: list[str]
    model: str
    key: str
    body: Mapping[str, Any]


class LLMServer:
    """Answers with `answers[app]`, or Documentation for unknown apps, unless it is told to behave otherwise."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.requests: list[Request] = []
        self.url = ""
        self._behaviours: list[Behaviour] = [well]
        self._runner: web.AppRunner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._released = asyncio.Event()

    def behave(self, *behaviours: "Behaviour") -> None:
        """Sets a behaviour for each of the next requests; the last one stays. Requests that hang continue to hang."""
        self._behaviours = list(behaviours)

    def release(self) -> None:
        """Answers the requests that hang. May be called from any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._released.set)

    def asked(self, app: str) -> int:
        """How many times windows of `app` were asked for."""
        return sum(window["app"] == app for request in list(self.requests) for window in request.windows)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def close(self) -> None:
        self._released.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> "LLMServer":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def hanging(self) -> None:
        await self._released.wait()

    def answer(self, window: Mapping[str, Any]) -> dict[str, Any]:
        return {"number": window["number"], "category": self.answers.get(window["app"], DEFAULT_CATEGORY)}

    async def _complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        windows = json.loads(body["messages"][-1]["content"])
        categories = _offered(body.get("response_format", {}))
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        asked = Request(windows, categories, body["model"], key, body)
        self.requests.append(asked)
        behaviour = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
        return await behaviour(self, asked)


def _offered(response_format: Mapping[str, Any]) -> list[str]:
    if response_format.get("type") != "json_schema":
        return []
    answers = response_format["json_schema"]["schema"]["properties"]["answers"]
    categories: list[str] = answers["items"]["properties"]["category"]["enum"]
    return categories


Behaviour = Callable[[LLMServer, Request], Awaitable[web.Response]]


@contextmanager
def llm_server() -> Iterator[LLMServer]:
    """A running server in a thread of its own."""
    server, started, stop = LLMServer(), threading.Event(), threading.Event()

    async def serve() -> None:
        async with server:
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=[serve()], name="llm-server")
    thread.start()
    try:
        assert started.wait(10), "the server starts"
        yield server
    finally:
        stop.set()
        thread.join(10)


TOKENS = 321
"""The tokens that every completion reports."""


def completion(
    content: str | None, finish_reason: str = "stop", refusal: str | None = None, total_tokens: Any = TOKENS
) -> web.Response:
    """A response of the API whose answer is `content`; without usage if `total_tokens` is None."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    choice = {"index": 0, "finish_reason": finish_reason, "message": message}
    usage = {"prompt_tokens": TOKENS - 21, "completion_tokens": 21, "total_tokens": total_tokens}
    said = {"id": "test", "object": "chat.completion", "created": 0, "model": "test", "choices": [choice]}
    return web.json_response(said | ({} if total_tokens is None else {"usage": usage}))


def answers_of(answers: list[dict[str, Any]]) -> web.Response:
    return completion(json.dumps({"answers": answers}))


async def well(server: LLMServer, request: Request) -> web.Response:
    return answers_of([server.answer(window) for window in request.windows])


def charging(total_tokens: Any) -> Behaviour:
    """Good answers, and anything at all for what they cost."""

    async def behaviour(server: LLMServer, request: Request) -> web.Response:
        answers = [server.answer(window) for window in request.windows]
        return completion(json.dumps({"answers": answers}), total_tokens=total_tokens)

    return behaviour


_ORDER = re.compile(r"answer (\w+)", re.IGNORECASE)


async def obedient(server: LLMServer, request: Request) -> web.Response:
    """A model that obeys: if any title says "answer X", it answers X for every item of the request."""
    order = next((found for window in request.windows if (found := _ORDER.search(window["title"]))), None)
    answers = [server.answer(window) for window in request.windows]
    return answers_of(answers if order is None else [answer | {"category": order[1]} for answer in answers])


async def hang(server: LLMServer, request: Request) -> web.Response:
    """Gives no answer until `release` is called, and then a good one."""
    await server.hanging()
    return await well(server, request)


def slowly(seconds: float) -> Behaviour:
    async def behaviour(server: LLMServer, request: Request) -> web.Response:
        await asyncio.sleep(seconds)
        return await well(server, request)

    return behaviour


def status(code: int, text: str = "no", **headers: str) -> Behaviour:
    """An error as the API sends it. Without `retry_after` it says that the client may ask again at once."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def behaviour(server: LLMServer, request: Request) -> web.Response:
        error = {"error": {"message": text, "type": "test", "code": None, "param": None}}
        return web.json_response(error, status=code, headers=named or {"retry-after-ms": "1"})

    return behaviour


def says(content: str) -> Behaviour:
    """Any content in place of the requested answers."""

    async def behaviour(server: LLMServer, request: Request) -> web.Response:
        return completion(content)

    return behaviour


def around(before: str, behind: str) -> Behaviour:
    """Good answers with text around them: a fence, or prose."""

    async def behaviour(server: LLMServer, request: Request) -> web.Response:
        answers = [server.answer(window) for window in request.windows]
        return completion(before + json.dumps({"answers": answers}) + behind)

    return behaviour


def ending(finish_reason: str, refusal: str | None = None) -> Behaviour:
    """Good answers with a finish reason that says that they are not complete or not allowed."""

    async def behaviour(server: LLMServer, request: Request) -> web.Response:
        answers = [server.answer(window) for window in request.windows]
        return completion(json.dumps({"answers": answers}), finish_reason, refusal)

    return behaviour


def body(text: str, content_type: str = "application/json") -> Behaviour:
    """A response with status 200, which may be anything but a completion."""

    async def behaviour(server: LLMServer, request: Request) -> web.Response:
        return web.Response(text=text, content_type=content_type)

    return behaviour


def taking(*formats: str) -> Behaviour:
    """Good answers, but only for requests with one of these response formats ("" is none)."""

    async def behaviour(server: LLMServer, request: Request) -> web.Response:
        kind = request.body.get("response_format", {}).get("type", "")
        if kind not in formats:
            return await status(400, f"'response_format' of type '{kind}' is not supported with this model")(
                server, request
            )
        return await well(server, request)

    return behaviour


async def prose(server: LLMServer, request: Request) -> web.Response:
    """The refusal of a model that does not support schemas. As real ones do, it repeats the question."""
    return completion(f"{request.windows[0]['title']} looks like Documentation to me.")


async def no_choices(server: LLMServer, request: Request) -> web.Response:
    return web.json_response(
        {"id": "test", "object": "chat.completion", "created": 0, "model": "test", "choices": []}
    )


async def wrong_categories(server: LLMServer, request: Request) -> web.Response:
    """A category that is not in the list for the first window, good answers for the others."""
    answers = [server.answer(window) for window in request.windows]
    return answers_of([answers[0] | {"category": "Cooking"}, *answers[1:]])


async def missing(server: LLMServer, request: Request) -> web.Response:
    """No answer for the first window."""
    return answers_of([server.answer(window) for window in request.windows[1:]])


async def duplicated(server: LLMServer, request: Request) -> web.Response:
    """Two different answers for the first window, the same answer twice for the others, and one for no window."""
    answers = [server.answer(window) for window in request.windows]
    return answers_of([*answers, answers[0] | {"category": "SNS"}, *answers[1:], {"number": 99, "category": "SNS"}])


async def shuffled(server: LLMServer, request: Request) -> web.Response:
    """Good answers in another order."""
    return answers_of([server.answer(window) for window in reversed(request.windows)])
