"""TinyBase, as ``tinybase serve`` runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from uuid_utils.compat import uuid7

from benchmarks import dataset
from benchmarks.processes import Server, free_port
from benchmarks.scenarios import BATCH_SIZE, Scenario
from benchmarks.target import Size
from benchmarks.wrk import Load
from tinybase import config
from tinybase.api.services import Services
from tinybase.app import create_app
from tinybase.db import tables

_NAPS = 8

_RECORDS = f"/api/collections/{dataset.COLLECTION}/records"
_ROWS: Any = tables.records
_AT_A_TIME = 5_000
_SIGNED_IN = dict.fromkeys(("list", "read", "create", "update", "delete"), "auth")
_HANDLER = """
@on_record_create(collection="{collection}")
def handler_{number}(event):
    global seen
    seen += 1
"""
_FUNCTION = """
import time

from pydantic import BaseModel

from tinybase.functions import Context, register


class Nothing(BaseModel):
    pass


@register(name="nap", description="Sleep.", auth="auth", input_model=Nothing, output_model=Nothing)
def nap(ctx: Context, payload: Nothing) -> Nothing:
    time.sleep(0.1)
    return Nothing()
"""


class TinyBase:
    """One instance, in one configuration.

    :param matching: handlers that are told of every new record; :param others: handlers
        for the records of other collections.
    :param database: the address of an empty database; SQLite in the folder by default.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        size: Size,
        durability: str = "normal",
        matching: int = 0,
        others: int = 0,
        database: str | None = None,
    ) -> None:
        self.name = name
        self._folder = folder
        self._size = size
        self._handlers = [dataset.COLLECTION] * matching
        self._handlers += [f"other_{number}" for number in range(others)]
        settings = {
            "TINYBASE_DATABASE_DURABILITY": durability,
            "TINYBASE_RATE_LIMIT_ENABLED": "false",
            "TINYBASE_FUNCTIONS_MAX_CONCURRENT_PER_USER": "100",
        }
        if self._handlers:
            settings["TINYBASE_EXTENSIONS_MODULES"] = "bench_handlers"
        if database:
            settings["TINYBASE_DATABASE_URL"] = database
        self._env = {**_clean_environment(), **settings}
        self._token = ""

    def prepare(self) -> None:
        """Make the instance by the command line, and its data by the services."""
        command = [sys.executable, "-m", "tinybase", "init", str(self._folder), "--no-admin"]
        subprocess.run(command, check=True, capture_output=True, env=self._env)
        (self._folder / "functions" / "nap.py").write_text(_FUNCTION)
        (self._folder / "bench_handlers.py").write_text(self._handler_module())
        services = self._services()
        try:
            services.users.create(dataset.USER, dataset.PASSWORD)
            _fill(services, dataset.PLAIN, self._size.records, indexed=False)
            _fill(services, dataset.COLLECTION, self._size.with_victims, indexed=True)
        finally:
            services.close()

    def start(self) -> Server:
        """Start the server."""
        port = free_port()
        command = [sys.executable, "-m", "tinybase", "-C", str(self._folder), "serve"]
        return Server(
            [*command, "--port", str(port)],
            port=port,
            health="/health",
            log=self._folder / "server.log",
            env=self._env,
        )

    def sign_in(self, url: str) -> None:
        """Get the token of the user as whom all requests are made."""
        body = json.dumps({"email": dataset.USER, "password": dataset.PASSWORD}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/api/auth/login", body, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
            self._token = json.load(answer)["access_token"]

    def stored(self) -> int:
        """Return how many records of the collection are in the database."""
        services = self._services()
        try:
            collection = services.collections.get(dataset.COLLECTION)
            mine = _ROWS.c.collection_id == collection.id
            with services.database.connect() as connection:
                found = connection.scalar(select(func.count()).select_from(_ROWS).where(mine))
        finally:
            services.close()
        return int(found or 0)

    def load(self, scenario: Scenario) -> Load:
        """Return the requests of a scenario."""
        method, paths, bodies, status = self._requests(scenario)
        return Load(
            method=method,
            paths=paths,
            bodies=[json.dumps(body) for body in bodies],
            connections=scenario.connections,
            status=status,
            headers={"Authorization": f"Bearer {self._token}"},
            once=scenario is Scenario.DELETE,
        )

    def disturbances(self) -> Mapping[str, Load]:
        """Return functions that sleep, and sign-ins."""
        naps = Load(
            method="POST",
            paths=["/api/functions/nap"],
            bodies=["{}"],
            connections=_NAPS,
            status=200,
            headers={"Authorization": f"Bearer {self._token}"},
        )
        return {f"{_NAPS} functions that sleep": naps, "4 log-ins": self.load(Scenario.LOGIN)}

    def _requests(self, scenario: Scenario) -> tuple[str, list[str], list[Any], int]:
        match scenario:
            case Scenario.READ:
                return "GET", self._addresses(1_000), [], 200
            case Scenario.LIST:
                return "GET", _lists(dataset.COLLECTION), [], 200
            case Scenario.LIST_UNCOUNTED:
                return "GET", _lists(dataset.COLLECTION, "&count=false"), [], 200
            case Scenario.LIST_PLAIN:
                return "GET", _lists(dataset.PLAIN), [], 200
            case Scenario.UPDATE:
                scores = [{"score": number} for number in range(997)]
                return "PATCH", self._addresses(1_000), scores, 200
            case Scenario.CREATE:
                return "POST", [_RECORDS], list(map(dataset.new_document, range(997))), 201
            case Scenario.DELETE:
                return "DELETE", self._addresses(self._size.victims, newest=True), [], 204
            case Scenario.BATCH:
                return "POST", [f"{_RECORDS}/batch"], [_batch(number) for number in range(97)], 200
            case Scenario.LOGIN:
                login = {"email": dataset.USER, "password": dataset.PASSWORD}
                return "POST", ["/api/auth/login"], [login], 200
            case Scenario.HEALTH:
                return "GET", ["/health"], [], 200

    def _addresses(self, count: int, *, newest: bool = False) -> list[str]:
        services = self._services()
        try:
            collection = services.collections.get(dataset.COLLECTION)
            order = _ROWS.c.created_at.desc() if newest else _ROWS.c.created_at
            statement = (
                select(_ROWS.c.id)
                .where(
                    _ROWS.c.collection_id == collection.id, _ROWS.c.created_at < dataset.LOADED_AT
                )
                .order_by(order)
                .limit(count)
            )
            with services.database.connect() as connection:
                return [f"{_RECORDS}/{record_id}" for record_id in connection.scalars(statement)]
        finally:
            services.close()

    def _handler_module(self) -> str:
        handlers = [
            _HANDLER.format(collection=collection, number=number)
            for number, collection in enumerate(self._handlers)
        ]
        return "\n".join(
            ["from tinybase.extensions import on_record_create", "seen = 0", *handlers]
        )

    def _services(self) -> Services:
        app = create_app(config.load(self._folder, self._env))
        services: Services = app.extensions["tinybase"]
        return services


def _lists(collection: str, more: str = "") -> list[str]:
    """Return the first pages of all categories, the newest records first."""
    return [
        f"/api/collections/{collection}/records?limit={dataset.LISTED}&sort=-created_at"
        f"&filter[category]={dataset.category(number)}{more}"
        for number in range(dataset.CATEGORIES)
    ]


def _batch(number: int) -> dict[str, Any]:
    first = number * BATCH_SIZE
    return {
        "operations": [
            {"op": "create", "data": dataset.new_document(each)}
            for each in range(first, first + BATCH_SIZE)
        ]
    }


def _fill(services: Services, name: str, count: int, *, indexed: bool) -> None:
    fields = [
        {"name": "title", "type": "string", "required": True, "max_length": 200},
        {"name": "category", "type": "string", "required": True, "indexed": indexed},
        {"name": "score", "type": "number", "min": 0},
        {"name": "done", "type": "boolean"},
        {"name": "note", "type": "string"},
    ]
    collection = services.collections.create(
        name, schema={"fields": fields}, options={"access": _SIGNED_IN}
    )
    rows = _rows(count, collection.id)
    while chunk := list(islice(rows, _AT_A_TIME)):
        with services.database.write() as work:
            work.connection.execute(_ROWS.insert(), chunk)


def _rows(count: int, collection_id: Any) -> Iterator[Mapping[str, Any]]:
    for created, document in dataset.documents(count):
        yield {
            "id": uuid7(),
            "collection_id": collection_id,
            "owner_id": None,
            "data": document,
            "version": 1,
            "created_at": created,
            "updated_at": created,
        }


def _clean_environment() -> dict[str, str]:
    # Without compiled modules a start would be measured that compiles them all.
    ours = ("TINYBASE_", "PYTHONDONTWRITEBYTECODE")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)}
