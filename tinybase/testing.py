"""A running TinyBase for the tests of an extension.

::

    from tinybase.testing import running

    def test_orders_are_counted(tmp_path):
        with running(tmp_path, extension="path/to/shop") as tinybase:
            tinybase.collection("orders", {"fields": [{"name": "item"}]})
            answer = tinybase.post("/api/collections/orders/records", {"item": "tea"})
            assert answer.status_code == 201
            assert shop.hooks.count == 1

Everything is real but the network: an SQLite database in the folder, the application, the
extension under test, and those that are installed. A request returns when all handlers that
it caused have finished. What does not load is an error, with the reason that ``install``
would give.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tinybase import config
from tinybase.actors import ANONYMOUS, SYSTEM, Actor
from tinybase.api.services import Services
from tinybase.app import create_app
from tinybase.cli.main import run as run_command
from tinybase.db import migrate
from tinybase.errors import Conflict
from tinybase.functions.context import Context
from tinybase.functions.registration import check_declaration
from tinybase.host import ExtensionState, Host, caused_by
from tinybase.host.discovery import Candidate
from tinybase.host.plugin import LoadError
from tinybase.host.settings import SettingFacts, checked
from tinybase.host.shares import current_share
from tinybase.host.snapshot import PROJECT
from tinybase.packages.in_folder import candidate_in, import_from
from tinybase.packages.verify import refusal

ADMIN_EMAIL = "admin@example.com"
PASSWORD = "correct-horse-battery"  # noqa: S105 - of users that live as long as a test

_FOR_TESTS = {
    # A request waits for its handlers, so that a test can look at what they did.
    "TINYBASE_HOOKS_WAIT_MS": "30000",
    "TINYBASE_RATE_LIMIT_ENABLED": "false",
    "TINYBASE_DATABASE_DURABILITY": "normal",
}


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass
class Running:
    """A TinyBase that runs, and a client of its API.

    ``get``, ``post``, ``put``, ``patch`` and ``delete`` speak as an admin unless ``headers``
    are given; :meth:`user` makes those of somebody else, and ``headers={}`` is nobody.
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

    def put(
        self, path: str, json: object, headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        """Send a PUT request."""
        return self._send("PUT", path, json, headers)

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

    def x(self, *words: str, stdin: str = "") -> Ended:
        """Run a command of an extension, ``tinybase x`` and the words, as the operator does."""
        instance = str(self.services.config.instance)
        with self._acting(SYSTEM), CliRunner().isolation(stdin) as (stdout, stderr, _):
            try:
                line = ["-C", instance, "x", "--traceback", *words]
                code = run_command(line, self.services)
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else int(error.code is not None)
            written = [stream.getvalue().decode() for stream in (stdout, stderr)]
        sys.stderr.write(written[1])  # pytest shows it when the test fails
        self._wait()
        return Ended(code, *written)

    @contextmanager
    def context(self, headers: Mapping[str, str] | None = None) -> Iterator[Context]:
        """Open a ``ctx``, to call a function or handler with; its session is committed at the end.

        It acts as the operator, or as whom the ``headers`` are of.
        """
        _, _, token = (headers or {}).get("Authorization", "").partition(" ")
        actor = SYSTEM if headers is None else ANONYMOUS
        if token:
            actor = self.services.tokens.authenticate(token)
        contexts = self.services.contexts
        with (
            self._acting(actor),
            contexts.open(function_name="test", trigger_type="manual") as ctx,
        ):
            yield ctx
        self._wait()

    def _send(
        self, method: str, path: str, json: object, headers: Mapping[str, str] | None
    ) -> TestResponse:
        sent = self.headers if headers is None else dict(headers)
        answer = self.client.open(path, method=method, json=json, headers=sent)
        self._wait()
        return answer

    @contextmanager
    def _acting(self, actor: Actor) -> Iterator[None]:
        with self.app.app_context(), caused_by(actor=actor, origin="cli"):
            yield

    def _wait(self) -> None:
        """Wait for all handlers, those as well that nobody waits for otherwise.

        A handler that sends a request must not wait for itself.
        """
        if current_share() is None:
            self.services.host.drain(self.services.config.hooks.wait_ms / 1000)


def import_extension(folder: Path | str) -> ModuleType:
    """Import the extension in a folder under the name that it will be installed as, and return it.

    Call it in ``conftest.py``, so that tests can import the modules of the extension.

    :raises Conflict: for a folder without an extension, and for a module with handlers that
        nothing imports.
    """
    return import_from(Path(folder), check_declaration)


@contextmanager
def running(
    folder: Path | str,
    *,
    extension: Path | str | None = None,
    modules: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Start a TinyBase in an empty folder, made if need be, and stop it after the block.

    :param extension: the folder of the extension under test, with its ``extension.toml`` or
        ``pyproject.toml``. It is imported from there and runs under its own name; others that
        are installed do not run.
    :param modules: modules with handlers and functions that are no extension.
    :param settings: values for the settings of the extension, or else of the modules.
    :param environ: configuration, as environment variables, on top of the process's own.
    :raises Conflict: ``extension_load_failed``, when the extension or a module does not run.
    :raises Invalid: for settings that it does not have, and values that do not fit.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    under_test = None
    variables = {**os.environ, **_FOR_TESTS}
    if extension is not None:
        import_extension(extension)
        under_test = candidate_in(Path(extension))
        variables["TINYBASE_EXTENSIONS"] = under_test.name
    if modules:
        variables["TINYBASE_EXTENSIONS_MODULES"] = ",".join(modules)
    app = create_app(config.load(folder, {**variables, **(environ or {})}))
    services: Services = app.extensions["tinybase"]
    migrate.create(services.database.engine)
    try:
        _load(services, under_test, settings or {})
        services.host.start()
        found = Running(app, services, app.test_client())
        found.headers = found.user(ADMIN_EMAIL, is_admin=True)
        yield found
    finally:
        services.close()


def _load(services: Services, under_test: Candidate | None, settings: Mapping[str, Any]) -> None:
    """Load everything, and refuse to go on without what is tested."""
    host = services.host
    owner = under_test.name if under_test else PROJECT
    if settings:
        host.stored_settings.change(owner, settings)
    if under_test is not None:
        _adopt(host, under_test)
    host.load()
    if declared := _declared(host, owner):
        checked(declared, settings)
    for label, reason in host.project_failures().items():
        raise refusal(f"The module {label}", reason)
    if under_test is not None:
        _require(host.extension(owner))
    checked(declared, settings)


def _adopt(host: Host, under_test: Candidate) -> None:
    try:
        host.adopt(under_test)
    except LoadError as error:
        raise refusal(under_test.name, str(error), under_test.package) from error


def _declared(host: Host, owner: str) -> list[SettingFacts]:
    """Return the settings of the extension under test, or of all modules."""
    found = host.snapshot.settings.items()
    return [facts for name, of_one in found if name.partition(":")[0] == owner for facts in of_one]


def _require(state: ExtensionState) -> None:
    if state.status == "failed":
        raise refusal(state.name, state.reason or "", state.package)
    if state.status != "enabled":
        reason = (state.reason or "").rstrip(".")
        told = f"{state.name} does not run, it is {state.status}: {reason}."
        if state.status == "needs_config":
            told += " In a test: running(..., settings={...})."
        raise Conflict(told, code="extension_load_failed")
