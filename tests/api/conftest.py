"""A tiny application that has nothing but the machinery of the API and a few test endpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tinybase import config
from tinybase.actors import Actor, ActorKind
from tinybase.api import fields, routes
from tinybase.api.cors import register_cors
from tinybase.api.errors import register_error_handlers
from tinybase.api.headers import register_headers
from tinybase.api.operation import Answer, Call, Operations, Who
from tinybase.api.paging import PageAnswer, PageQuery, page
from tinybase.api.schemas import AnyObject, Patch, Schema
from tinybase.errors import Forbidden, TinyBaseError, Unauthenticated
from tinybase.host.loading import new_plugin_manager

USER_ID = UUID("0190b6c2-0000-7000-8000-000000000001")

ACTORS = {
    "user": Actor(ActorKind.USER, user_id=USER_ID),
    "admin": Actor(ActorKind.ADMIN, user_id=USER_ID),
    "application": Actor(ActorKind.APPLICATION, token_id=USER_ID, scopes=frozenset({"admin"})),
    "reader": Actor(ActorKind.APPLICATION, token_id=USER_ID, scopes=frozenset({"read"})),
    "metrics": Actor(ActorKind.APPLICATION, token_id=USER_ID, scopes=frozenset({"metrics"})),
}


class FakeTokens:
    """Knows the callers above by name."""

    def authenticate(self, value: str) -> Actor:
        if value not in ACTORS:
            raise Unauthenticated("The token is not valid; sign in again.", code="invalid_token")
        return ACTORS[value]


class FakeLimits:
    """Counts in memory; ``most`` maps the name of a limit to its count."""

    def __init__(self) -> None:
        self.most: dict[str, int] = {}
        self.seen: list[tuple[str, str]] = []

    def applies(self, name: str) -> bool:
        return name in self.most

    def check(self, name: str, key: str) -> Any:
        self.seen.append((name, key))
        left = self.most[name] - self.seen.count((name, key))
        headers = {
            "X-RateLimit-Limit": str(self.most[name]),
            "X-RateLimit-Remaining": str(max(left, 0)),
            "X-RateLimit-Reset": "1800000000",
        }
        if left < 0:
            raise TinyBaseError(
                "Too many.", code="rate_limited", headers={"Retry-After": "7", **headers}
            )
        return SimpleNamespace(headers=lambda: headers)


class Thing(Schema):
    name = fields.String(required=True, min_length=2, max_length=5)
    count = fields.Integer(minimum=1, maximum=10)
    price = fields.Number(minimum=0)
    is_new = fields.Boolean()
    owner = fields.Id()
    seen_at = fields.Time()
    kind = fields.String(choices=("a", "b"))
    tags = fields.List(fields.String(), max_length=2)


class ThingPatch(Patch):
    name = fields.String(min_length=2)
    count = fields.Integer()


class ThingQuery(PageQuery):
    name = fields.String()
    is_new = fields.Boolean()
    tag = fields.List(fields.String())


class ThingList(PageAnswer):
    things = fields.List(fields.Nested(Thing), required=True)


def tiny_operations() -> Operations:
    operations = Operations("things")

    def echo(call: Call) -> object:
        """Return what arrived."""
        return {
            "actor": call.actor.kind.value,
            "is_admin": call.actor.is_admin,
            "path": {name: str(value) for name, value in call.path.items()},
            "query": {name: str(value) for name, value in call.query.items()},
            "body": Thing().dump(call.body),
            "address": call.address,
        }

    for who in Who:
        operations.get(f"/api/{who}", id=f"things_get_{who}", who=who, answers={200: AnyObject})(
            echo
        )
        operations.post(f"/api/{who}", id=f"things_post_{who}", who=who, answers={200: AnyObject})(
            echo
        )

    options: dict[str, Any] = {"who": Who.PUBLIC, "answers": {200: AnyObject}}
    operations.post("/api/things", id="things_create", body=Thing, **options)(echo)
    operations.patch("/api/things", id="things_update", body=ThingPatch, **options)(echo)
    operations.get("/api/things", id="things_list", query=ThingQuery, **options)(echo)
    operations.get("/api/things/<uuid:thing_id>", id="things_get", **options)(echo)
    operations.post("/api/limited", id="things_limited", limit="login", **options)(echo)

    @operations.post("/api/any", id="things_any", body=AnyObject, body_required=False, **options)
    def take_anything(call: Call) -> object:
        """Return the body."""
        return call.body

    @operations.post(
        "/api/call", id="things_function", body=AnyObject, body_limit="functions", **options
    )
    def take_function_input(call: Call) -> object:
        """Return how many keys the body has."""
        return {"keys": len(call.body)}

    @operations.get(
        "/api/pages", id="things_pages", who=Who.PUBLIC, query=PageQuery, answers={200: ThingList}
    )
    def get_page(call: Call) -> object:
        """Return one page."""
        return page("things", [{"name": "one"}], 7, call.query)

    @operations.get("/api/empty", id="things_empty", who=Who.PUBLIC, answers={204: None})
    def get_nothing(call: Call) -> object:
        """Return nothing."""
        return Answer(headers={"X-Total-Count": "0"})

    @operations.get("/api/bytes", id="things_bytes", **options)
    def get_bytes(call: Call) -> object:
        """Return JSON that is ready to be sent."""
        return Answer(b'{"ready": true}')

    def refuse(call: Call) -> None:
        raise Forbidden("Not you.")

    @operations.post(
        "/api/refused/<uuid:thing_id>", id="things_refused", body=Thing, admit=refuse, **options
    )
    def never(call: Call) -> object:
        """Never run."""
        raise AssertionError("the caller was refused")

    @operations.get("/api/broken", id="things_broken", **options)
    def break_down(call: Call) -> object:
        """Fail in a way nobody foresaw."""
        raise RuntimeError("secret of the server")

    return operations


@pytest.fixture
def limits() -> FakeLimits:
    return FakeLimits()


@pytest.fixture
def make_tiny(tmp_path: Path, limits: FakeLimits) -> Callable[..., FlaskClient]:
    """Return a function that makes a client; it takes environment variables."""

    def make(**environ: str) -> FlaskClient:
        services: Any = SimpleNamespace(
            config=config.load(tmp_path, environ),
            tokens=FakeTokens(),
            rate_limits=limits,
            host=SimpleNamespace(bound=nullcontext, pm=new_plugin_manager()),
        )
        app = Flask("tiny", static_folder=None)
        routes.prepare_routing(app)
        register_error_handlers(app)
        register_headers(app)
        register_cors(app, services.config.cors)
        routes.add_operations(app, services, tiny_operations())
        return app.test_client()

    return make


@pytest.fixture
def tiny(make_tiny: Callable[..., FlaskClient]) -> FlaskClient:
    return make_tiny()


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep an expected traceback out of the output."""
    caplog.set_level(logging.CRITICAL)
