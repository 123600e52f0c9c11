"""Bugs that are put into a server, to see that what it loses is found.

They are made where every way to write has to pass, in the driver of the database and before
the application, and so know nothing of its insides.
"""

from __future__ import annotations

import fcntl
import io
import json
import sqlite3
import sqlite3.dbapi2
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from flask import Flask

Environ = dict[str, Any]
WSGI = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_connect = sqlite3.dbapi2.connect


def acknowledge_before_the_commit(_: Flask) -> None:
    """Say that a transaction is committed, and commit it a little later."""
    _connect_with(_Procrastinating)


def keep_no_journal(_: Flask) -> None:
    """Write pages in place, with nothing to go back to."""
    _connect_with(partial(_Rewriting, _NO_JOURNAL))


def never_synchronise(_: Flask) -> None:
    """Leave it to the system when what was committed gets to the disk."""
    _connect_with(partial(_Rewriting, {"PRAGMA SYNCHRONOUS = FULL": "PRAGMA synchronous = OFF"}))


def take_the_lock_late(_: Flask) -> None:
    """Begin to write without waiting for one's turn, and ask for the lock in the middle."""
    fcntl.flock = lambda *_: None
    _connect_with(partial(_Rewriting, {"BEGIN IMMEDIATE": "BEGIN"}))


def commit_every_statement() -> None:
    """Let each statement of a command be a transaction of its own."""
    _connect_with(partial(_Rewriting, {"BEGIN IMMEDIATE": "SELECT 1", "BEGIN": "SELECT 1"}))


def split_batches(app: Flask) -> None:
    """Carry out each operation of a batch for itself."""
    _put_before(app, _split)


def forget_keys(app: Flask) -> None:
    """Carry out a request that is repeated as if it were a new one."""

    def forget(inner: WSGI, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        environ.pop("HTTP_IDEMPOTENCY_KEY", None)
        return inner(environ, start)

    _put_before(app, forget)


def compare_before_the_write(app: Flask) -> None:
    """Look whether a version is still the newest, and only then begin to write."""
    _put_before(app, _compare)


def swallow_faults(app: Flask) -> None:
    """Answer with success although the disk failed."""

    def swallow(inner: WSGI, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        def begin(status: str, headers: Any, *more: Any) -> Any:
            return start("201 CREATED" if status.startswith("5") else status, headers, *more)

        return inner(environ, begin)

    _put_before(app, swallow)


_NO_JOURNAL = {"PRAGMA JOURNAL_MODE = WAL": "PRAGMA journal_mode = OFF"}


def _connect_with(factory: Any) -> None:
    """Have every connection made that way from now on."""

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return _connect(*arguments, **{**options, "factory": factory})

    sqlite3.dbapi2.connect = connect  # type: ignore[assignment]
    sqlite3.connect = connect  # type: ignore[assignment]


class _Rewriting(sqlite3.Connection):
    """Says other words to the database."""

    def __init__(self, words: dict[str, str], *arguments: Any, **options: Any) -> None:
        # Then it begins nothing by itself.
        super().__init__(*arguments, **{**options, "isolation_level": None})
        self._words = words

    def cursor(self, *_: Any) -> Any:
        return super().cursor(partial(_RewritingCursor, self._words))

    def execute(self, statement: str, *parameters: Any) -> Any:
        return self.cursor().execute(statement, *parameters)


class _RewritingCursor(sqlite3.Cursor):
    def __init__(self, words: dict[str, str], connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._words = words

    def execute(self, statement: str, *parameters: Any) -> Any:
        return super().execute(self._words.get(statement.upper(), statement), *parameters)


class _Procrastinating(sqlite3.Connection):
    """Commits in a while; who needs the connection before that waits."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._later: threading.Thread | None = None

    def commit(self) -> None:
        if self.in_transaction and self._later is None:
            self._later = threading.Thread(target=self._commit, daemon=True)
            self._later.start()

    def rollback(self) -> None:
        if self._later is None:
            super().rollback()

    def cursor(self, *_: Any) -> Any:
        if self._later is not None:
            self._later.join()
            self._later = None
        return super().cursor(_ProcrastinatingCursor)

    def execute(self, statement: str, *parameters: Any) -> Any:
        return self.cursor().execute(statement, *parameters)

    def _commit(self) -> None:
        time.sleep(0.02)
        super().commit()


class _ProcrastinatingCursor(sqlite3.Cursor):
    def execute(self, statement: str, *parameters: Any) -> Any:
        if statement.upper() == "COMMIT":
            self.connection.commit()
            return self
        return super().execute(statement, *parameters)


def _put_before(
    app: Flask, layer: Callable[[WSGI, Environ, Callable[..., Any]], Iterable[bytes]]
) -> None:
    app.wsgi_app = partial(layer, app.wsgi_app)  # type: ignore[method-assign]


def _split(inner: WSGI, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    if not environ["PATH_INFO"].endswith("/batch"):
        return inner(environ, start)
    operations = json.loads(_body_of(environ))["operations"]
    environ.pop("HTTP_IDEMPOTENCY_KEY", None)
    results: list[Any] = []
    for operation in operations:
        answer = _asked(inner, environ, {"operations": [operation]})
        results += answer.get("results", [answer])
    body = json.dumps({"results": results}).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _compare(inner: WSGI, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    wanted = environ.get("HTTP_IF_MATCH")
    if environ["REQUEST_METHOD"] != "PATCH" or wanted is None:
        return inner(environ, start)
    found = _asked(inner, {**environ, "REQUEST_METHOD": "GET"})
    if f'"{found["version"]}"' == wanted:
        environ["HTTP_IF_MATCH"] = "*"
    return inner(environ, start)


def _body_of(environ: Environ) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body: bytes = environ["wsgi.input"].read(length)
    return body


def _asked(inner: WSGI, environ: Environ, body: Any = None) -> Any:
    """Ask the application something, and return what it answers."""
    text = b"" if body is None else json.dumps(body).encode()
    changed = {"CONTENT_LENGTH": str(len(text)), "wsgi.input": io.BytesIO(text)}
    answer = inner({**environ, **changed}, lambda *_: None)
    return json.loads(b"".join(answer))
