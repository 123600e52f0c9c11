"""The OpenAPI document, made from the same operations and schemas that serve requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_cls

from tinybase import __version__
from tinybase.api import fields
from tinybase.api.operation import PARAMETER, Operation, Who
from tinybase.api.schemas import Schema
from tinybase.errors import STATUS_OF_CODE

__all__ = ["ErrorResponse", "ValidationErrorResponse", "build_document", "error_responses"]

SECURITY_SCHEME = "HTTPBearer"

_ANY = (400, 404, 405, 414, 422, 429, 431, 500, 503)
_WITH_BODY = (413, 415)
_WITH_TOKEN = (401, 403)
_REQUEST_HEADERS = frozenset({"If-Match", "If-None-Match", "Idempotency-Key"})


class FaultInfo(Schema):
    """One thing that is wrong with an input."""

    loc = fields.List(fields.Json(), required=True)
    msg = fields.String(required=True)
    type = fields.String(required=True)


class ErrorResponse(Schema):
    """Why a request failed. Some codes have further members."""

    detail = fields.String(required=True)
    code = fields.String(required=True)
    request_id = fields.String(required=True)
    errors = fields.List(fields.Nested(FaultInfo))


class ValidationErrorResponse(Schema):
    """Everything that is wrong with the input."""

    detail = fields.List(fields.Nested(FaultInfo), required=True)
    code = fields.String(required=True)
    request_id = fields.String(required=True)


def build_document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the operations."""
    plugin = MarshmallowPlugin(schema_name_resolver=_component_name)
    spec = APISpec(
        title="TinyBase",
        version=__version__,
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": "Users, collections of records, and server functions."},
    )
    spec.components.security_scheme(SECURITY_SCHEME, {"type": "http", "scheme": "bearer"})
    for status in sorted({*_ANY, *_WITH_BODY, *_WITH_TOKEN}):
        spec.components.response(_response_name(status), _error(status, _codes(status)))
    writer = _OperationWriter(plugin)
    for operation in operations:
        written = {operation.method.lower(): writer.write(operation)}
        spec.path(operation.template, operations=written)
    document: dict[str, Any] = spec.to_dict()
    _allow_growth_of_answers(document)
    return document


class _OperationWriter:
    """Writes one operation after the other."""

    def __init__(self, plugin: MarshmallowPlugin) -> None:
        self._plugin = plugin

    def write(self, operation: Operation) -> dict[str, Any]:
        """Return the operation object."""
        written: dict[str, Any] = {
            "operationId": operation.id,
            "tags": [operation.tag],
            "summary": operation.summary.rstrip("."),
            "security": _security(operation.who),
            "parameters": list(self._parameters(operation)),
            "responses": {**_successes(operation), **_failures(operation)},
        }
        if operation.description:
            written["description"] = operation.description
        if operation.body:
            written["requestBody"] = {
                "required": operation.body_required,
                "content": {"application/json": {"schema": operation.body}},
            }
        return written

    def _parameters(self, operation: Operation) -> Iterator[Mapping[str, Any]]:
        for kind, name in PARAMETER.findall(operation.path):
            schema = {"type": "string", "format": "uuid"} if kind == "uuid" else {"type": "string"}
            yield {"in": "path", "name": name, "required": True, "schema": schema}
        if operation.query:
            converter = self._plugin.converter
            assert converter is not None, "spec.path has initialised the plugin"  # noqa: S101
            yield from converter.schema2parameters(operation.query, location="query")
        yield from operation.parameters
        for name in operation.headers:
            if name in _REQUEST_HEADERS:
                yield {"in": "header", "name": name, "schema": {"type": "string"}}


def _security(who: Who) -> list[dict[str, list[str]]]:
    bearer: dict[str, list[str]] = {SECURITY_SCHEME: []}
    if who is Who.PUBLIC:
        return []
    # Clients attach a token when they have one, because it comes first.
    return [bearer, {}] if who in (Who.OPEN, Who.RULE, Who.FUNCTION) else [bearer]


def _successes(operation: Operation) -> dict[str, Any]:
    headers = {
        name: {"schema": {"type": "string"}}
        for name in operation.headers
        if name not in _REQUEST_HEADERS
    }
    return {
        str(status): _success(status, schema, many=operation.many) | _optional(headers=headers)
        for status, schema in operation.answers.items()
    }


def _success(status: int, schema: type[Schema] | None, *, many: bool) -> dict[str, Any]:
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if schema:
        body: Any = {"type": "array", "items": schema} if many else schema
        response["content"] = {"application/json": {"schema": body}}
    return response


def error_responses(*, with_token: bool) -> dict[str, Any]:
    """Return references to the errors that an operation with a body may have."""
    statuses = sorted({*_ANY, *_WITH_BODY, *(_WITH_TOKEN if with_token else ())})
    return {str(s): {"$ref": f"#/components/responses/{_response_name(s)}"} for s in statuses}


def _failures(operation: Operation) -> dict[str, Any]:
    statuses = {*_ANY, *(_WITH_BODY if operation.body else ())}
    if operation.who is not Who.PUBLIC:
        statuses.update(_WITH_TOKEN)
    failures: dict[str, Any] = {str(status): _response_name(status) for status in statuses}
    own: dict[int, list[str]] = {}
    for code in operation.errors:
        own.setdefault(STATUS_OF_CODE[code], []).append(code)
    failures.update({str(status): _error(status, codes) for status, codes in own.items()})
    return dict(sorted(failures.items()))


def _error(status: int, codes: Iterable[str]) -> dict[str, Any]:
    schema = ValidationErrorResponse if status == 422 else ErrorResponse
    described = ", ".join(f"`{code}`" for code in codes)
    return {
        "description": f"{HTTPStatus(status).phrase}: {described}",
        "content": {"application/json": {"schema": schema}},
    }


def _codes(status: int) -> list[str]:
    return [code for code, own in STATUS_OF_CODE.items() if own == status]


def _response_name(status: int) -> str:
    return f"Error{status}"


def _optional(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


def _component_name(schema: Any) -> str:
    cls: Any = resolve_schema_cls(schema)
    return str(vars(cls).get("component") or cls.__name__)


def _allow_growth_of_answers(document: dict[str, Any]) -> None:
    """Say that unknown keys are refused in requests only: answers may get more of them."""
    schemas = document["components"]["schemas"]
    requested: set[str] = set()
    for path in document["paths"].values():
        for operation in path.values():
            _collect(operation.get("requestBody"), schemas, requested)
    for name, schema in schemas.items():
        if name not in requested and schema.get("additionalProperties") is False:
            del schema["additionalProperties"]


def _collect(node: Any, schemas: Mapping[str, Any], found: set[str]) -> None:
    if isinstance(node, list):
        for item in node:
            _collect(item, schemas, found)
    elif isinstance(node, dict):
        name = str(node.get("$ref", "")).rpartition("/")[2]
        if name and name not in found:
            found.add(name)
            _collect(schemas[name], schemas, found)
        for value in node.values():
            _collect(value, schemas, found)
