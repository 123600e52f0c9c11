"""The routes that extensions bring: who may call them, what they answer, and what is refused."""

from __future__ import annotations

import io
import logging
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from tinybase import config
from tinybase.app import create_app
from tinybase.host.loading import unload
from tinybase.testing import Running, running

BOARD = """
    import time

    from flask import Blueprint, Response, abort, current_app, render_template_string, request
    from flask import url_for
    from flask.views import MethodView
    from tinybase.extensions import Reject, public, register_blueprint, requires
    from tinybase.functions import current_context

    board = Blueprint("board", __name__)
    small = Blueprint("small", __name__, url_prefix="/small")
    register_blueprint(board)
    register_blueprint(small, auth="public", body_bytes=10)

    @board.get("/")
    @public
    def page():
        '''Show the board.

        For browsers.
        '''
        return render_template_string("<a href={{ url_for('board.mine') }}>mine</a>")

    @board.get("/mine")
    def mine(ctx):
        return {"user": ctx.user_id, "is_admin": ctx.is_admin, "at": ctx.now, "path": request.path}

    @board.post("/items/<int:number>")
    @requires("admin")
    def add_item(number):
        return {"number": number, "item": request.get_json(), "same": current_context().is_admin}

    class Things(MethodView):
        def get(self):
            return "things"

        @requires("admin")
        def delete(self):
            return "gone"

    board.add_url_rule("/things", view_func=public(Things.as_view("things")))

    @board.post("/write/<how>")
    def write(ctx, how):
        current_context().records.create("notes", {"text": how})
        ctx.db.execute(__import__("sqlalchemy").text("UPDATE records SET version = 7"))
        if how != "well":
            raise KeyError("handled" if how == "handled" else "unforeseen")
        return {}

    @board.errorhandler(KeyError)
    def handle(error):
        if error.args == ("handled",):
            return "handled", 418
        raise error

    @board.get("/fail/<how>")
    @public
    def fail(how):
        if how == "reject":
            raise Reject("Sold out.", 409, "sold_out")
        if how == "abort":
            abort(404, "No such order.")
        if how == "unprocessable":
            abort(422, "Too many.")
        if how == "response":
            abort(Response("mine", 451))
        if how == "missing":
            current_context().records.get("nothing", "0190b6c2-0000-7000-8000-000000000001")
        if how == "exit":
            raise SystemExit(3)
        raise ValueError("secret of the extension")

    @board.get("/stream")
    @public
    def stream():
        def chunks():
            yield "a"
            yield "b"
            if request_fails:
                raise ValueError("in the middle")
        request_fails = "fails" in request.args
        return Response(chunks(), mimetype="text/plain")

    @board.get("/async")
    @public
    async def later():
        return {"path": request.path}

    @board.get("/policy")
    @public
    def policy():
        return Response("<p>", mimetype="text/html", headers={"Content-Security-Policy": "mine"})

    @small.route("/body", methods=["POST", "PUT"])
    def body():
        return {"bytes": len(request.get_data())}
"""

STRANGER: dict[str, str] = {}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("routes")
    write_module(folder, "board", BOARD)
    with running(folder, environ={"TINYBASE_CORS_ALLOW_ORIGINS": "https://a.example"}) as tinybase:
        assert tinybase.services.host.project_failures() == {}
        tinybase.collection("notes", {"fields": [{"name": "text"}]})
        yield tinybase


@pytest.fixture
def member(served: Running) -> dict[str, str]:
    found = getattr(served, "member", None)
    if found is None:
        found = served.member = served.user("member@example.com")  # type: ignore[attr-defined]
    return dict(found)


def write_module(folder: Path, name: str, source: str) -> None:
    (folder / "functions").mkdir(exist_ok=True)
    (folder / "functions" / f"{name}.py").write_text(textwrap.dedent(source))


class TestWhoMayCall:
    def test_is_whoever_is_signed_in_unless_the_view_says_otherwise(self, served, member):
        def statuses(method: str, path: str, body: object = None) -> list[int]:
            path = f"/api/ext/board{path}"
            return [
                served.client.open(path, method=method, json=body, headers=headers).status_code
                for headers in (STRANGER, member, served.headers)
            ]

        assert statuses("GET", "/mine") == [401, 200, 200]
        assert statuses("GET", "/") == [200, 200, 200]
        assert statuses("POST", "/items/3", {}) == [401, 403, 200]
        assert statuses("GET", "/things") == [200, 200, 200]
        assert statuses("DELETE", "/things") == [401, 403, 200]
        assert statuses("POST", "/small/body", {}) == [200, 200, 200]

    def test_is_known_to_the_view(self, served, member):
        mine = served.get("/api/ext/board/mine", headers=member).json

        assert mine["user"]
        assert mine["is_admin"] is False
        assert mine["at"].endswith("Z")
        assert served.get("/api/ext/board/mine").json["is_admin"] is True

    def test_a_bad_token_is_refused_everywhere(self, served):
        answer = served.get("/api/ext/board/", headers={"Authorization": "Bearer nonsense"})

        assert answer.status_code == 401
        assert answer.json["code"] == "invalid_token"

    def test_a_token_that_may_read_reads_and_does_not_write(self, served):
        def token(scope: str) -> dict[str, str]:
            body = {"name": scope, "scopes": [scope]}
            made = served.post("/api/admin/application-tokens", body).json
            return {"Authorization": f"Bearer {made['token_value']}"}

        reading, writing = token("read"), token("admin")
        assert served.get("/api/ext/board/mine", headers=reading).status_code == 200
        refused = served.post("/api/ext/board/items/1", {}, headers=reading)
        assert (refused.status_code, refused.json["code"]) == (403, "scope_required")
        assert served.post("/api/ext/board/items/1", {}, headers=writing).status_code == 200


class TestAnAddress:
    def test_has_the_name_of_the_extension_in_any_spelling_and_links_to_its_own(self, served):
        page = served.get("/api/ext/Board/", headers=STRANGER)

        assert page.text == "<a href=/api/ext/Board/mine>mine</a>"
        assert served.get("/api/ext/board", headers=STRANGER).status_code == 200
        assert served.get("/api/ext/board/mine/").status_code == 200

    def test_knows_its_methods(self, served):
        options = served.client.options("/api/ext/board/items/3")
        wrong = served.client.put("/api/ext/board/items/3")
        head = served.client.head("/api/ext/board/mine", headers=served.headers)

        assert (options.status_code, options.headers["Allow"]) == (204, "OPTIONS, POST")
        assert (wrong.status_code, wrong.headers["Allow"]) == (405, "OPTIONS, POST")
        assert wrong.json["code"] == "method_not_allowed"
        assert (head.status_code, head.data) == (200, b"")

    @pytest.mark.parametrize("path", ["nothing", "items/three", "small", "static/board.py"])
    def test_that_is_not_there_is_not_found(self, served, path):
        answer = served.get(f"/api/ext/board/{path}")

        assert answer.status_code == 404
        assert answer.json["code"] == "not_found"

    def test_is_called_by_pages_of_other_origins_as_the_rest_of_the_api(self, served):
        headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        answer = served.client.options("/api/ext/board/items/3", headers=headers)

        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]


class TestAnAnswer:
    def test_has_the_headers_of_all_answers(self, served):
        answer = served.get("/api/ext/board/mine", {**served.headers, "X-Request-Id": "mine"})

        assert answer.headers["X-Request-Id"] == "mine"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "private, no-cache"

    def test_that_is_a_page_loads_nothing_from_elsewhere_unless_its_view_says_so(self, served):
        page = served.get("/api/ext/board/", headers=STRANGER)
        own = served.get("/api/ext/board/policy", headers=STRANGER)

        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in page.headers["Content-Security-Policy"].split(";")[0]
        assert own.headers["Content-Security-Policy"] == "mine"
        assert "Content-Security-Policy" not in served.get("/api/ext/board/mine").headers

    def test_may_be_streamed_and_come_from_an_async_view(self, served):
        with served.get("/api/ext/board/stream", headers=STRANGER) as answer:
            assert not served.services.host.snapshot.wait_until_unused(0)
            assert answer.text == "ab"
        assert served.get("/api/ext/board/async", headers=STRANGER).json == {"path": "/async"}
        assert served.services.host.snapshot.wait_until_unused(0)

    def test_that_is_streamed_keeps_its_place_until_it_is_sent(self, served):
        with ExitStack() as streams:
            for _ in range(4):
                streams.enter_context(served.get("/api/ext/board/stream", headers=STRANGER))
            refused = served.get("/api/ext/board/mine")
            assert refused.status_code == 503
            assert refused.get_json()["code"] == "extension_unavailable"
        assert served.get("/api/ext/board/mine").status_code == 200

    def test_that_breaks_off_is_the_extensions_fault(self, served, caplog):
        with (
            served.get("/api/ext/board/stream?fails", headers=STRANGER) as answer,
            pytest.raises(ValueError, match="in the middle"),
        ):
            answer.get_data()

        assert "extension project" in caplog.text
        assert served.services.host.snapshot.wait_until_unused(0)


class TestABody:
    def test_is_as_large_as_the_limit_allows(self, served):
        def send(size: int) -> int:
            return served.client.post("/api/ext/board/small/body", data=b"x" * size).status_code

        assert [send(10), send(11)] == [200, 413]
        large = served.post("/api/ext/board/items/3", {"text": "x" * 2**20})
        assert large.status_code == 413
        assert "exceeds maximum size" in large.json["detail"]

    def test_without_a_length_is_counted_while_it_is_read(self, served):
        def send(size: int) -> int:
            environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
            stream = io.BytesIO(b"x" * size)
            return served.client.post(
                "/api/ext/board/small/body", input_stream=stream, environ_overrides=environ
            ).status_code

        assert [send(10), send(11)] == [200, 413]

    def test_that_is_no_json_is_refused_by_the_view(self, served):
        headers = {**served.headers, "Content-Type": "application/json"}
        answer = served.client.post("/api/ext/board/items/3", data="{", headers=headers)

        assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


class TestAFailure:
    @pytest.mark.parametrize(
        ("how", "status", "code", "detail"),
        [
            ("reject", 409, "sold_out", "Sold out."),
            ("abort", 404, "not_found", "No such order."),
            ("missing", 404, "not_found", None),
            ("unforeseen", 500, "extension_error", "The extension project failed to answer."),
            ("exit", 500, "extension_error", "The extension project failed to answer."),
        ],
    )
    def test_has_the_one_error_body(self, served, caplog, how, status, code, detail):
        caplog.set_level(logging.CRITICAL)
        answer = served.get(f"/api/ext/board/fail/{how}", headers=STRANGER)

        assert (answer.status_code, answer.json["code"]) == (status, code)
        assert detail is None or answer.json["detail"] == detail
        assert answer.json["request_id"] == answer.headers["X-Request-Id"]
        assert "secret" not in answer.text

    def test_that_is_unprocessable_has_a_list_as_all_of_them(self, served):
        answer = served.get("/api/ext/board/fail/unprocessable", headers=STRANGER)

        assert answer.status_code == 422
        assert answer.json["detail"] == [
            {"loc": ["body"], "msg": "Too many.", "type": "rejected_by_extension"}
        ]

    def test_may_be_answered_by_the_view_itself(self, served):
        answer = served.get("/api/ext/board/fail/response", headers=STRANGER)

        assert (answer.status_code, answer.text) == (451, "mine")

    def test_is_logged_and_counted_with_the_name_of_the_view(self, served, caplog):
        plugin = next(iter(served.services.host.snapshot.loaded.values())).plugin
        (before,) = [item.errors for item in plugin.counters if item.handler.endswith(":fail")]
        for stats in plugin.counters:
            stats._logged_at = float("-inf")

        served.get("/api/ext/board/fail/unforeseen", headers=STRANGER)

        (stats,) = [item for item in plugin.counters if item.handler.endswith(":fail")]
        assert stats.errors == before + 1
        assert stats.last_error.type == "ValueError"
        assert f"extension project: the view {stats.handler} failed" in caplog.text

    @pytest.mark.parametrize(
        ("how", "status", "kept"), [("well", 200, 7), ("handled", 418, 1), ("badly", 500, 1)]
    )
    def test_leaves_nothing_of_what_the_view_wrote_with_its_session(
        self, served, caplog, how, status, kept
    ):
        caplog.set_level(logging.CRITICAL)
        for record in served.get("/api/collections/notes/records").json["records"]:
            served.delete(f"/api/collections/notes/records/{record['id']}")

        answer = served.post(f"/api/ext/board/write/{how}")

        assert answer.status_code == status
        (record,) = served.get("/api/collections/notes/records").json["records"]
        assert record["version"] == kept


class TestTheDocument:
    def test_has_the_routes_with_the_extension_they_belong_to(self, served):
        document = served.get("/openapi.json").json
        validate(document)
        page = document["paths"]["/api/ext/board"]["get"]
        item = document["paths"]["/api/ext/board/items/{number}"]["post"]

        assert (page["summary"], page["description"]) == ("Show the board", "For browsers.")
        assert page["security"] == [{"HTTPBearer": []}, {}]
        assert item["x-extension"] == "project"
        assert item["security"] == [{"HTTPBearer": []}]
        assert item["parameters"] == [
            {"in": "path", "name": "number", "required": True, "schema": {"type": "integer"}}
        ]

    def test_gives_every_operation_an_id_of_its_own(self, served):
        paths = served.get("/openapi.json").json["paths"]
        ids = [operation["operationId"] for path in paths.values() for operation in path.values()]

        assert len(ids) == len(set(ids))
        assert "extensions_board_small_body_put" in ids


REFUSED = {
    "reaching": (
        "@routes.before_app_request\ndef note():\n    pass",
        "before_app_request of a blueprint reaches beyond its routes. Use before_request",
    ),
    "handling": (
        "@routes.app_errorhandler(404)\ndef note(error):\n    pass",
        "app_errorhandler of a blueprint reaches beyond its routes. Use errorhandler",
    ),
    "doubled": (
        "routes.add_url_rule('/a/<x>', 'one', print)\nroutes.add_url_rule('/a/<y>', 'two', len)",
        "GET /a/<y> is there twice",
    ),
    "named": (
        "register_blueprint(Blueprint('routes', __name__))",
        "there are two blueprints called 'routes'. Give one of them another name.",
    ),
    "elsewhere": (
        "routes.add_url_rule('/a', 'one', print, subdomain='x')",
        "Make it a plain route.",
    ),
    "failing": (
        "routes.record(lambda state: 1 / 0)",
        "the blueprint 'routes' cannot be mounted: ZeroDivisionError",
    ),
    "strange": ("register_blueprint('routes')", "the blueprint is a flask.Blueprint, not a str."),
    "served": (
        "register_blueprint(Blueprint('code', __name__, static_folder='.'))",
        "has Python files in it, which would be served.",
    ),
    "level": ("register_blueprint(routes, auth='root')", 'auth is "public", "auth" or "admin"'),
    "size": ("register_blueprint(routes, body_bytes='1 MB')", "Write body_bytes=10 * 2**20."),
    "required": ("requires('root')(print)", 'Write @requires("admin") above the view.'),
}


def test_what_cannot_be_mounted_fails_to_load_as_a_whole_with_a_remedy(tmp_path, caplog, make_app):
    caplog.set_level(logging.CRITICAL)
    for name, (lines, _) in REFUSED.items():
        source = (
            "from flask import Blueprint\n"
            "from tinybase.extensions import register_blueprint, requires\n"
            "from tinybase.functions import register\n"
            f"register(name='function_{name}', auth='public')(lambda: 1)\n"
            "routes = Blueprint('routes', __name__)\n"
            "routes.add_url_rule('/here', 'here', print)\n"
            "register_blueprint(routes)\n"
        )
        write_module(tmp_path, name, f"{source}{lines}\n")

    app = make_app(tmp_path)
    failures = app.extensions["tinybase"].host.project_failures()
    client = app.test_client()
    for name, (_, message) in REFUSED.items():
        assert message in failures[f"{name}.py"]
        assert client.get(f"/api/ext/{name}/here").status_code == 404
    assert client.get("/api/functions").json == []


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    packages = tmp_path / "packages"
    (packages / "shop").mkdir(parents=True)
    (packages / "shop" / "__init__.py").write_text(
        "from flask import Blueprint\n"
        "from tinybase.extensions import register_blueprint\n"
        "shop = Blueprint('shop', __name__, static_folder='assets')\n"
        "register_blueprint(shop, auth='admin')\n"
        "@shop.get('/orders')\n"
        "def orders():\n"
        "    return ['order']\n"
    )
    (packages / "shop" / "assets").mkdir()
    (packages / "shop" / "assets" / "shop.js").write_text("1;")
    info = packages / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tinybase.extensions]\nshop = shop\n")
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(packages), *sys.path[1:]]))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "instance").mkdir()
    with running(tmp_path / "instance") as tinybase:
        yield tinybase
    unload("shop")


def test_routes_are_there_exactly_while_their_extension_is_enabled(installed):
    def documented() -> list[str]:
        return [p for p in installed.get("/openapi.json").json["paths"] if "/ext/" in p]

    def switch(on: bool) -> list[str]:
        body = {"is_enabled": on}
        return list(installed.patch("/api/admin/extensions/shop", body).json["routes"])

    routes = ["/api/ext/shop/assets/{filename}", "/api/ext/shop/orders"]
    for _ in range(2):
        assert installed.get("/api/ext/shop/orders").json == ["order"]
        with installed.get("/api/ext/shop/assets/shop.js") as script:
            assert script.text == "1;"
        assert installed.get("/api/ext/shop/assets/../__init__.py").status_code == 404
        assert sorted(installed.get("/api/admin/extensions/shop").json["routes"]) == routes
        assert sorted(documented()) == routes

        assert switch(False) == []
        gone = installed.get("/api/ext/shop/orders")
        assert (gone.status_code, gone.json["code"]) == (503, "extension_unavailable")
        assert gone.json["extension"] == "shop"
        assert documented() == []

        assert sorted(switch(True)) == routes


def test_what_pages_load_is_for_everybody_whomever_the_routes_are_for(installed):
    with installed.get("/api/ext/shop/assets/shop.js", headers=STRANGER) as script:
        assert script.status_code == 200

    assert installed.get("/api/ext/shop/orders", headers=STRANGER).status_code == 401
    served = installed.get("/openapi.json").json["paths"]["/api/ext/shop/assets/{filename}"]
    assert {} in served["get"]["security"], "it is documented so, too"


def test_calls_of_views_are_among_the_numbers_of_the_extension(installed):
    installed.get("/api/ext/shop/orders")

    (numbers,) = installed.get("/api/admin/extensions/shop/metrics").json["hooks"]
    assert numbers["handler"] == "shop:orders"
    assert (numbers["calls"], numbers["errors"]) == (1, 0)


def test_writes_of_a_view_come_from_the_extension_and_the_caller(tmp_path):
    write_module(
        tmp_path,
        "journal",
        """
        from flask import Blueprint
        from tinybase.extensions import on_record_create, register_blueprint
        seen = []
        routes = Blueprint("journal", __name__)
        register_blueprint(routes)
        @routes.post("/notes")
        def add(ctx):
            return {"id": ctx.records.create("notes", {}).id}
        @on_record_create
        def note(event):
            seen.append((event.origin, event.actor, str(event.actor_id), event.depth))
        @routes.get("/seen")
        def show():
            return {"seen": seen}
        """,
    )
    with running(tmp_path) as tinybase:
        tinybase.collection("notes")
        me = tinybase.get("/api/auth/me").json["id"]
        tinybase.post("/api/ext/journal/notes")

        assert tinybase.get("/api/ext/journal/seen").json["seen"] == [["extension", "admin", me, 0]]


def test_a_view_has_the_session_of_flask_sqlalchemy_as_well(tmp_path):
    write_module(
        tmp_path,
        "journal",
        """
        from flask import Blueprint
        from sqlalchemy import text
        from tinybase.db import db
        from tinybase.extensions import register_blueprint
        routes = Blueprint("journal", __name__)
        register_blueprint(routes)
        @routes.post("/<how>")
        def write(how):
            statement = text("UPDATE users SET email = email || :how")
            db.session.execute(statement, {"how": f".{how}"})
            if how == "committed":
                db.session.commit()
            return {"engine": db.engine.name}
        """,
    )
    with running(tmp_path) as tinybase:
        for how in ("open", "committed", "open"):
            assert tinybase.post(f"/api/ext/journal/{how}").json == {"engine": "sqlite"}
        tinybase.collection("notes")

        assert tinybase.get("/api/auth/me").json["email"] == "admin@example.com.committed"


def test_calls_in_other_workers_are_told_by_a_command_that_loads_nothing(installed):
    installed.get("/api/ext/shop/orders")
    host = installed.services.host
    host._metrics.publish(host._counters(), host.requests, now=True)

    command = create_app(config.load(installed.services.config.instance, {}))
    details = command.extensions["tinybase"].extensions.examine("shop")
    command.extensions["tinybase"].close()

    (numbers,) = details.contributed
    assert (numbers["handler"], numbers["calls"]) == ("shop:orders", 1)
    assert details.extension.routes == ("/api/ext/shop/assets/{filename}", "/api/ext/shop/orders")
