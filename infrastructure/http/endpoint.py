"""One operation of the API: its input, who may call it, and how its answer and its errors are sent."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel, ValidationError

from domains.kernel.errors import PipelineError
from infrastructure.http.failures import FailureLog
from infrastructure.http.schemas import Problem

EVENT_STREAM = "text/event-stream"

BODY_BYTES = 65_536
ANSWER_BYTES = 4_194_304
"""No answer is longer, whatever there is to tell."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`handler` gets the request, and the parameters and the body if there are schemas for them.

    `access` is "token" if the call needs the token, and "more" if the token shows more. An operation that `streams`
    sends its answer itself; one with `texts` may also answer in plain text, and has an ETag.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[..., Awaitable[web.StreamResponse | BaseModel | Mapping[str, object]]]
    summary: str
    answer: type[BaseModel]
    params: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    access: Literal["open", "more", "token"] = "open"
    problems: tuple[int, ...] = ()
    streams: bool = False
    texts: bool = False

    @property
    def usual_problems(self) -> set[int]:
        """The error codes that follow from its input and its access."""
        statuses = {421, 503}
        if self.params is not None or self.body is not None:
            statuses.add(400)
        if self.access != "open":
            statuses |= {401, 403, 429}
        if self.method == "POST":
            statuses |= {403, 413, 415}
        return statuses

    async def answered(self, request: web.Request) -> web.StreamResponse:
        taken: list[BaseModel] = []
        if self.params is not None:
            taken.append(_params(self.params, request))
        if self.body is not None:
            taken.append(await _body(self.body, request))
        answer = await self.handler(request, *taken)
        return answer if isinstance(answer, web.StreamResponse) else json_response(answer)


def json_response(document: BaseModel | Mapping[str, object]) -> web.Response:
    body = json_text(document).encode()
    if len(body) > ANSWER_BYTES:
        raise web.HTTPServiceUnavailable(text=f"the answer is longer than {ANSWER_BYTES} bytes: ask for less")
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def json_text(document: BaseModel | Mapping[str, object]) -> str:
    if isinstance(document, BaseModel):
        return document.model_dump_json(by_alias=True)
    return json.dumps(document)


def _params(model: type[BaseModel], request: web.Request) -> BaseModel:
    if len(request.query) != len(set(request.query)):
        raise web.HTTPBadRequest(text="a parameter is given twice")
    return _checked(lambda: model.model_validate({**request.query, **request.match_info}))


async def _body(model: type[BaseModel], request: web.Request) -> BaseModel:
    body = await request.read()
    return _checked(lambda: model.model_validate_json(body))


def _checked(validate: Callable[[], BaseModel]) -> BaseModel:
    try:
        return validate()
    except ValidationError as error:
        found = (f"{'.'.join(map(str, it['loc'])) or 'body'}: {it['msg']}" for it in error.errors())
        raise web.HTTPBadRequest(text="; ".join(found)[:1000]) from None


def told_as_problems(failures: FailureLog, in_words: Callable[[PipelineError], str]) -> Middleware:
    """A middleware that sends every error of the API as a problem (RFC 9457), and others in their own way."""

    @web.middleware
    async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_of_api = request.path.startswith("/api/")
        try:
            return await handler(request)
        except web.HTTPException as error:
            if not is_of_api:
                raise
            kept = {name: error.headers[name] for name in _KEPT_HEADERS if name in error.headers}
            usual = f"{error.status}: {error.reason}"
            return problem(error.status, "" if error.text in (None, usual) else str(error.text), kept)
        except PipelineError as error:
            return problem(503, in_words(error))
        except (ConnectionError, web.RequestPayloadError):  # the client has gone, or sent half a body
            return problem(400, "the request has not come whole")
        except Exception as error:
            failures.failed(request, error)
            return problem(500, "")

    return told


_KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    title = HTTPStatus(status).phrase
    document = Problem(title=title, status=status, detail=detail or title)
    return web.Response(
        text=document.model_dump_json(), status=status, headers=headers, content_type="application/problem+json"
    )
