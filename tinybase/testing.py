"""A running TinyBase for the tests of an extension.

::

    from tinybase.testing import running

    def test_orders_are_counted(tmp_path):
        with running(tmp_path, modules=["my_extension"]) as tinybase:
            tinybase.collection("orders", {"fields": [{"name": "item"}]})
            answer = tinybase.post("/api/collections/orders/records", {"item": "tea"})
            assert answer.status_code == 201
            assert my_extension.hooks.count == 1

Everything is real but the network: an SQLite database in the folder, the application, the
extensions that are installed, and the modules that you name. A request returns when all
handlers that it caused have finished.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tinybase import config
from tinybase.api.services import Services
from tinybase.app import create_app
from tinybase.db import db
from tinybase.host.shares import current_share

ADMIN_EMAIL = "admin@example.com"
PASSWORD = "correct-horse-battery"  # noqa: S105 - of users that live as long as a test

_FOR_TESTS = {
    # A request waits for its handlers, so that a test can look at what they did.
    "TINYBASE_HOOKS_WAIT_MS": "30000",
    "TINYBASE_RATE_LIMIT_ENABLED": "false",
    "TINYBASE_DATABASE_DURABILITY": "normal",
}


@dataclass
class Running:
    """A TinyBase that runs, and a client of its API.

    ``get``, ``post``, ``patch`` and ``delete`` speak as an admin unless ``headers`` are
    given; :meth:`user` makes those of somebody else, and ``headers={}`` is nobody.
    """

    app: Flask
    services: Services
    client: FlaskClient
    headers: dict[str, str] = field(default_factory=dict)

    def user(self, email: str, *, is_admin: bool = False) -> dict[str, str]:
        """Make a user, sign it in and return the headers of its requests."""
        self.services.users.create(email, PASSWORD, is_admin=is_admin)
        result = self.services.tokens.login(email, PASSWORD, address="127.0.0.1")
        return {"Authorization": f"Bearer {result.access_token}"}

    def collection(self, name: str, schema: Mapping[str, Any] | None = None, **access: str) -> None:
        """Make a collection; ``access`` are its rules, such as ``read="public"``."""
        body = {"name": name, "schema": schema or {}, "options": {"access": access}}
        answer = self.post("/api/collections", body)
        if answer.status_code != 201:
            raise ValueError(answer.get_data(as_text=True))

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> TestResponse:
        """Send a GET request."""
        return self._send("GET", path, None, headers)

    def post(
        self, path: str, json: object = None, headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        """Send a POST request."""
        return self._send("POST", path, {} if json is None else json, headers)

    def patch(
        self, path: str, json: object, headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        """Send a PATCH request."""
        return self._send("PATCH", path, json, headers)

    def delete(self, path: str, headers: Mapping[str, str] | None = None) -> TestResponse:
        """Send a DELETE request."""
        return self._send("DELETE", path, None, headers)

    def call(
        self, function: str, payload: object = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Call a function and return the body of the answer."""
        return self.post(f"/api/functions/{function}", payload, headers).get_json()

    def _send(
        self, method: str, path: str, json: object, headers: Mapping[str, str] | None
    ) -> TestResponse:
        sent = self.headers if headers is None else dict(headers)
        answer = self.client.open(path, method=method, json=json, headers=sent)
        if current_share() is None:  # a handler that sends a request must not wait for itself
            # For those as well that nobody waits for otherwise, such as on_user_login_failed.
            self.services.host.drain(self.services.config.hooks.wait_ms / 1000)
        return answer


@contextmanager
def running(
    folder: Path | str, *, modules: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Start a TinyBase in an empty folder, made if need be, and stop it after the block.

    :param modules: modules with handlers and functions that are not installed as an
        extension.
    :param environ: settings, as environment variables, on top of the process's own.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    settings = {**os.environ, **_FOR_TESTS, **(environ or {})}
    if modules:
        settings["TINYBASE_EXTENSIONS_MODULES"] = ",".join(modules)
    app = create_app(config.load(folder, settings))
    services: Services = app.extensions["tinybase"]
    db.metadata.create_all(services.database.engine)
    try:
        services.host.start()
        found = Running(app, services, app.test_client())
        found.headers = found.user(ADMIN_EMAIL, is_admin=True)
        yield found
    finally:
        services.close()
