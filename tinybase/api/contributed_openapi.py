"""The routes of extensions in the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tinybase.api.openapi import SECURITY_SCHEME, error_responses
from tinybase.web import Route

_TYPES = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "uuid": {"type": "string", "format": "uuid"},
}


def paths_of(routes: Iterable[Route]) -> dict[str, dict[str, Any]]:
    """Return the routes as path items.

    What a view takes and answers beyond its address only its author knows.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return paths


def _operation(route: Route) -> dict[str, Any]:
    written: dict[str, Any] = {
        "operationId": _id(route),
        "tags": ["extensions"],
        "summary": route.summary.rstrip(".") or route.rule.endpoint,
        "security": _security(route.level),
        "parameters": [
            {
                "in": "path",
                "name": name,
                "required": True,
                "schema": _TYPES.get(converter, {"type": "string"}),
            }
            for name, converter in route.parameters
        ],
        "responses": {
            "default": {"description": "What the extension answers."},
            **error_responses(with_token=route.level != "public"),
        },
        "x-extension": route.extension,
    }
    if route.description:
        written["description"] = route.description
    return written


def _id(route: Route) -> str:
    place = re.sub(r"\W+", "_", route.path.removeprefix("/api/ext/")).strip("_")
    return f"extensions_{place}_{route.method.lower()}"


def _security(level: str) -> list[dict[str, list[str]]]:
    bearer: dict[str, list[str]] = {SECURITY_SCHEME: []}
    return [bearer, {}] if level == "public" else [bearer]
