"""The routes, and the server that runs on the consumers' event loop.

Nothing here may delay or end a consumer: answers come from memory or within a deadline, and a port that is not
available is an error only if HTTP_PORT names it.
"""

import asyncio
import json
from dataclasses import asdict
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client.exposition import choose_encoder

from infrastructure.http import openapi
from infrastructure.http.api import Api
from infrastructure.http.connections import Connections
from infrastructure.http.endpoint import BODY_BYTES, Endpoint, json_text, told_as_problems
from infrastructure.http.failures import FailureLog, server_log
from infrastructure.http.guard import refuse_forms, refuse_other_sites
from infrastructure.http.listening import Listener
from infrastructure.http.page import PAGE, POLICY, ROUTES, console_files
from infrastructure.operations.health import PipelineHealth

INSTANCE_HEADER = "Pomocore-Instance"
"""The header of /metrics with the consumer's name, which says whose figures they are."""

_ANSWER_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
STATE = web.AppKey("state", PipelineHealth)

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


async def healthz(request: web.Request) -> web.Response:
    """200 while the consumers' loops turn, rest on purpose, or drain. It asks no other server."""
    stuck = request.app[STATE].stuck()
    return _json({"ok": not stuck, "problems": stuck}, ok=not stuck)


async def readyz(request: web.Request) -> web.Response:
    """200 if Redis, store and patterns are usable and the consumers take work; else 503 with the reasons."""
    checks = await request.app[STATE].checks()
    ok = all(check.ok for check in checks.values())
    document = {name: asdict(check) for name, check in checks.items()}
    return _json({"ok": ok, "checks": document}, ok)


async def metrics(request: web.Request) -> web.Response:
    """The metrics, in the format that the scraper asks for."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    state = request.app[STATE]
    headers = {"Content-Type": content_type, INSTANCE_HEADER: quote(state.settings.consumer_name)}
    return web.Response(body=encode(state.registry), headers=headers)


def bounded(handler: Handler) -> Handler:
    """The handler with a deadline, for all routes except streams."""

    async def within(request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await handler(request)
        except TimeoutError:
            raise web.HTTPServiceUnavailable(text="no answer in time") from None

    return within


async def console(request: web.Request) -> web.Response:
    """The console's page, or the file that the path names."""
    file = console_files().get(request.match_info.get("file", PAGE))
    if file is None:
        raise web.HTTPNotFound
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    if any(tag.value == file.tag for tag in request.if_none_match or ()):
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)
    response.etag = file.tag
    return response


def nowhere(request: web.Request) -> web.Response | None:
    """For a browser, the console's page: its script says that there is nothing at this address."""
    is_looked_at = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    if (
        request.match_info.http_exception is None
        or not is_looked_at
        or request.path.startswith(("/api/", "/console/"))
    ):
        return None
    body, content_type, _ = console_files()[PAGE]
    headers = {"Content-Security-Policy": POLICY}
    return web.Response(status=404, body=body, content_type=content_type, charset="utf-8", headers=headers)


def serving(operation: Endpoint, api: Api) -> Handler:
    """The handler of an operation. It refuses a request without access before it reads the content."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if operation.method == "POST":
            refuse_other_sites(request)
        api.admit(request, operation)
        if operation.method == "POST":
            refuse_forms(request)
        return await operation.answered(request)

    return answer if operation.streams else bounded(answer)


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _any_name(path: str) -> str:
    """The path as a route whose parts may have braces: aiohttp's own pattern takes none."""
    return path.replace("}", ":[^/]+}")


def make_app(state: PipelineHealth, api: Api) -> web.Application:
    @web.middleware
    async def ours_alone(request: web.Request, handler: Handler) -> web.StreamResponse:
        api.peers.refuse_other_hosts(request)
        try:
            return await handler(request)
        except web.HTTPNotFound:
            if (page := nowhere(request)) is None:
                raise
            return page

    middlewares = [told_as_problems(FailureLog(), lambda error: state.in_words(error)), ours_alone]
    app = web.Application(client_max_size=BODY_BYTES, middlewares=middlewares)
    app[STATE] = state
    operations = api.endpoints
    described = ""

    async def openapi_json(request: web.Request) -> web.Response:
        nonlocal described  # made once somebody asks, beside the event loop: it takes a while
        described = described or await asyncio.to_thread(lambda: json_text(openapi.document(operations)))
        return web.Response(text=described, content_type="application/json")

    beside = {
        **dict.fromkeys(ROUTES, console),
        "/console/{file}": console,
        "/openapi.json": openapi_json,
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": metrics,
    }
    beside["/users/{userId}"] = api.cards.page
    beside["/analytics/page"] = api.analytics.page
    for path, handler in beside.items():
        app.router.add_get(_any_name(path), bounded(handler))
    for operation in operations:
        app.router.add_route(operation.method, _any_name(operation.path), serving(operation, api))
    app.on_response_prepare.append(_harden)
    app.on_shutdown.append(api.live.end)
    return app


async def serve(listener: Listener, state: PipelineHealth, api: Api, closing: asyncio.Event) -> None:
    """Serves on the ports that the listener has, until `closing` is set."""
    runner = web.AppRunner(
        make_app(state, api),
        access_log=None,
        logger=server_log(),
        handle_signals=False,
        shutdown_timeout=_CLOSE_SECONDS,
        keepalive_timeout=30,
    )
    await runner.setup()
    assert runner.server is not None, "it is set up"
    try:
        await listener.serve(Connections(runner.server, api.peers.is_proxy))
        async with asyncio.TaskGroup() as watching:
            watching.create_task(state.watch(closing), name="watch")
            watching.create_task(api.live.run(closing), name="console")
            await closing.wait()
    finally:
        await listener.stop()
        await runner.cleanup()


def _json(document: dict[str, object], ok: bool) -> web.Response:
    return web.json_response(document, status=200 if ok else 503, dumps=_dumps)


def _dumps(document: object) -> str:
    return json.dumps(document, ensure_ascii=False)
