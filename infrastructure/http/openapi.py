"""The API in OpenAPI 3.1, made from the operations that serve it."""

from collections.abc import Sequence

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from infrastructure.http.endpoint import EVENT_STREAM, Endpoint
from infrastructure.http.schemas import Problem

_MODEL = "#/components/schemas/{model}"
_PROBLEMS = {
    400: "What was asked for is not of the documented form",
    401: "The token is missing or wrong",
    403: "There is no ADMIN_TOKEN, or another site asks",
    404: "There is no such thing",
    409: "It cannot be done with this one",
    413: "The body is too large",
    415: "The body is not JSON",
    421: "HTTP_ALLOWED_HOSTS does not have the host that was asked for",
    429: "Too many wrong tokens",
    503: "Something that it needs is away, or busy",
}


def document(operations: Sequence[Endpoint]) -> dict[str, object]:
    models = [(operation.answer, "serialization") for operation in operations]
    models += [(operation.body, "validation") for operation in operations if operation.body is not None]
    _, schemas = models_json_schema([*models, (Problem, "serialization")], ref_template=_MODEL)  # type: ignore[list-item]
    paths: dict[str, dict[str, object]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pomocore data pipeline",
            "version": "1",
            "description": "How the pipeline is, and what it has made. Errors are problem documents (RFC 9457).",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"admin": {"type": "http", "scheme": "bearer", "description": "ADMIN_TOKEN"}},
        },
    }


def _described(operation: Endpoint) -> dict[str, object]:
    content = {EVENT_STREAM: {"schema": {"type": "string"}}} if operation.streams else _json(operation.answer)
    if operation.texts:
        content |= {"text/plain": {"schema": {"type": "string"}}}
    described: dict[str, object] = {
        "operationId": operation.handler.__name__,
        "summary": operation.summary,
        "responses": {"200": {"description": "OK", "content": content}}
        | {str(status): _problem(status) for status in sorted({*operation.problems, *operation.usual_problems})},
    }
    if operation.texts:
        described["responses"] |= {"304": {"description": "It is what If-None-Match names"}}  # type: ignore[operator]
    if operation.params is not None:
        described["parameters"] = _parameters(operation.params, operation.path)
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _json(operation.body)}
    if operation.access != "open":
        described["security"] = [{"admin": []}] if operation.access == "token" else [{}, {"admin": []}]
    return described


def _parameters(params: type[BaseModel], path: str) -> list[dict[str, object]]:
    schema = params.model_json_schema()
    return [
        {
            "name": name,
            "in": "path" if f"{{{name}}}" in path else "query",
            "required": name in schema.get("required", ()),
            "schema": field,
        }
        for name, field in schema["properties"].items()
    ]


def _json(model: type[BaseModel]) -> dict[str, object]:
    return {"application/json": {"schema": {"$ref": _MODEL.format(model=model.__name__)}}}


def _problem(status: int) -> dict[str, object]:
    schema = {"$ref": _MODEL.format(model=Problem.__name__)}
    return {"description": _PROBLEMS[status], "content": {"application/problem+json": {"schema": schema}}}
