"""The requests that bring about what extensions are called for, one for each event."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from serving import Server

from .conftest import ADMIN, PASSWORD

RECORDS = "/api/collections/notes/records"
SWITCHED = "/api/admin/extensions/switched"

_SCHEMA = {"fields": [{"name": "title", "type": "string"}]}
_WIDER = {"fields": [*_SCHEMA["fields"], {"name": "done", "type": "boolean"}]}


@dataclass(frozen=True)
class Request:
    """A request that causes something.

    :param title: of the record that is there afterwards, if it is about one.
    :param record: the id of that record, unless it is new.
    """

    method: str
    path: str
    body: Any = None
    succeeds: int = 200
    authorization: str | None = ""
    if_match: str | None = None
    record: str | None = None
    title: str | None = None
    writes: bool = False

    def headers(self, token: str, request_id: str) -> dict[str, str]:
        """Return the headers; ``""`` stands for the authorization of an admin."""
        found = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {token}" if self.authorization == "" else self.authorization,
            "If-Match": self.if_match,
            "X-Request-Id": request_id or None,
        }
        return {name: value for name, value in found.items() if value is not None}


class Asking:
    """Whoever sends requests to a server, as an admin."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.token = server.login(ADMIN, PASSWORD)
        self.ask(Request("POST", "/api/collections", {"name": "notes", "schema": _SCHEMA}))

    def ask(self, request: Request, request_id: str = "") -> tuple[int, Any]:
        """Send a request; return the status and the body of the answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)) as to:
            body = None if request.body is None else json.dumps(request.body)
            to.request(request.method, request.path, body, request.headers(self.token, request_id))
            answer = to.getresponse()
            text = answer.read()
            if answer.headers.get_content_type().endswith("json"):
                return answer.status, json.loads(text)
            return answer.status, text.decode()

    def made(self, request: Request) -> Any:
        """Send a request that prepares another one; return what it has made."""
        status, body = self.ask(request)
        assert status < 300, body
        return body

    def extensions(self) -> list[Any]:
        """Return all extensions, as the API shows them."""
        found: dict[str, list[Any]] = self.made(Request("GET", "/api/admin/extensions?limit=1000"))
        return found["extensions"]

    def prepare(self, name: str, request_id: str) -> Request:
        """Return the request of a name, after those that have to come before it."""
        prepare: Callable[[str], Request] = getattr(self, f"_{name}")
        return prepare(request_id)

    # --- records ---------------------------------------------------------------------

    def _create(self, request_id: str) -> Request:
        body = {"title": request_id}
        return Request("POST", RECORDS, body, 201, title=request_id, writes=True)

    def _create_with_a_key(self, request_id: str) -> Request:
        body = {"title": request_id}
        key = "Key of the admin"
        return Request("POST", RECORDS, body, 201, key, title=request_id, writes=True)

    def _update(self, request_id: str) -> Request:
        record, body = self._record(request_id), {"title": request_id}
        path = f"{RECORDS}/{record}"
        return Request("PATCH", path, body, record=record, title=request_id, writes=True)

    def _delete(self, request_id: str) -> Request:
        record = self._record(request_id)
        return Request("DELETE", f"{RECORDS}/{record}", succeeds=204, record=record, writes=True)

    def _fail_to_write(self, request_id: str) -> Request:
        path, body = f"{RECORDS}/{self._record(request_id)}", {"title": request_id}
        return Request("PATCH", path, body, 412, if_match='"99"')

    def _read(self, request_id: str) -> Request:
        return Request("GET", f"{RECORDS}/{self._record(request_id)}")

    def _list(self, _: str) -> Request:
        return Request("GET", f"{RECORDS}?limit=1")

    def _record(self, request_id: str) -> str:
        return str(self.made(Request("POST", RECORDS, {"title": before(request_id)}))["id"])

    # --- collections -----------------------------------------------------------------

    def _make_collection(self, request_id: str) -> Request:
        body = {"name": f"number_{_number(request_id)}", "schema": _SCHEMA}
        return Request("POST", "/api/collections", body, 201)

    def _change_collection(self, request_id: str) -> Request:
        name = self.made(self._make_collection(request_id))["name"]
        return Request("PATCH", f"/api/collections/{name}", {"schema": _WIDER})

    def _drop_collection(self, request_id: str) -> Request:
        name = self.made(self._make_collection(request_id))["name"]
        return Request("DELETE", f"/api/collections/{name}", succeeds=204)

    # --- users -----------------------------------------------------------------------

    def _login(self, _: str) -> Request:
        body = {"email": ADMIN, "password": PASSWORD}
        return Request("POST", "/api/auth/login", body, authorization=None)

    def _fail_to_login(self, _: str) -> Request:
        body = {"email": ADMIN, "password": "wrong"}
        return Request("POST", "/api/auth/login", body, 401, None)

    def _logout(self, _: str) -> Request:
        token = self.made(self._login(""))["access_token"]
        return Request("POST", "/api/auth/logout?scope=session", None, 200, f"Bearer {token}")

    def _register(self, request_id: str) -> Request:
        body = {"email": f"{request_id}@example.com", "password": PASSWORD}
        return Request("POST", "/api/auth/register", body, 201, None)

    def _change_email(self, request_id: str) -> Request:
        return Request("PATCH", self._user(request_id), {"email": f"new.{request_id}@example.com"})

    def _change_password(self, request_id: str) -> Request:
        return Request("PATCH", self._user(request_id), {"password": f"{PASSWORD} again"})

    def _delete_user(self, request_id: str) -> Request:
        return Request("DELETE", self._user(request_id), succeeds=204)

    def _user(self, request_id: str) -> str:
        body = {"email": f"{request_id}@example.com", "password": PASSWORD}
        return f"/api/admin/users/{self.made(Request('POST', '/api/admin/users', body))['id']}"

    # --- extensions, and what they contribute ----------------------------------------

    def _switch_on(self, _: str) -> Request:
        self.made(Request("PATCH", SWITCHED, {"is_enabled": False}))
        return Request("PATCH", SWITCHED, {"is_enabled": True})

    def _switch_off(self, _: str) -> Request:
        self.made(Request("PATCH", SWITCHED, {"is_enabled": True}))
        return Request("PATCH", SWITCHED, {"is_enabled": False})

    def _call(self, _: str) -> Request:
        return Request("POST", "/api/functions/pay", {})

    def _break(self, _: str) -> Request:
        return Request("POST", "/api/functions/broken", {})

    def _call_the_function(self, _: str) -> Request:
        return Request("POST", "/api/functions/function", {})

    def _visit(self, _: str) -> Request:
        return Request("POST", "/api/ext/culprit/", {})

    def _probe(self, _: str) -> Request:
        is_enabled = self.made(Request("GET", SWITCHED))["is_enabled"]
        # Checks are made anew when something was switched, and else every few seconds.
        self.made(Request("PATCH", SWITCHED, {"is_enabled": not is_enabled}))
        return Request("GET", "/health/ready")

    def _scrape(self, _: str) -> Request:
        return Request("GET", "/metrics")

    def workers(self) -> set[int]:
        """Return who answers; the kernel deals out new connections to the workers."""
        with suppress(OSError, http.client.HTTPException):
            return {self.ask(self._call(""))[1]["result"] for _ in range(8)}
        return set()


def before(request_id: str) -> str:
    """Return the title of a record before the request."""
    return f"before {request_id}"


def _number(request_id: str) -> str:
    return request_id.rpartition(".")[2]
