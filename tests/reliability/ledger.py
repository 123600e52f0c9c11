"""Clients that write, and keep account of what was acknowledged.

Each has records of its own, and knows what every one of them must be: exactly what was
acknowledged last, or, after a request without an answer, that or what the request would have
made of it. Of such a request the client also asks again, with the key that it had.
"""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .load import Connection

COLLECTION = "entries"
RECORDS = f"/api/collections/{COLLECTION}/records"
BATCH = 5
_TRIES = 10
_SCHEMA = {
    "fields": [
        {"name": "key", "type": "string", "indexed": True},
        {"name": "n", "type": "int"},
        {"name": "group", "type": "string"},
    ]
}
SETUP = {"name": COLLECTION, "schema": _SCHEMA}


@dataclass(frozen=True)
class Entry:
    """What a record is: ``n`` rises with every update, as the version does."""

    n: int
    version: int


@dataclass
class Request:
    """A request that is under way; ``becomes`` is what it makes of records by their keys."""

    method: str
    path: str
    body: Any
    becomes: dict[str, Entry | None]
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self, token: str) -> bytes:
        """Return its bytes."""
        body = b"" if self.body is None else json.dumps(self.body).encode()
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Authorization: Bearer {token}", f"Content-Length: {len(body)}"]
        if body:
            lines.append("Content-Type: application/json")
        return "\r\n".join([*lines, "", ""]).encode() + body


class Client:
    """One client; ``faults`` are answers that nobody may get."""

    def __init__(self, name: str, token: str, seed: int) -> None:
        self.name = name
        self.known: dict[str, set[Entry | None]] = {}
        self.ids: dict[str, str] = {}
        self._noted: list[str] = []
        self.unanswered: list[Request] = []
        self.outcomes: Counter[str] = Counter()
        self.faults: list[str] = []
        self._token = token
        self._chosen = random.Random(seed)
        self._number = 0

    def run(self, port: int, is_over: threading.Event, allowed: Iterable[int] = ()) -> None:
        """Write until it is over.

        :param allowed: statuses that refuse a request, which then has changed nothing.
        """
        connection = Connection(port)
        while not is_over.is_set():
            request = self._next()
            before = {key: self.known.get(key, {None}) for key in request.becomes}
            answer = self._send(connection, request)
            if answer is None:
                self.unanswered.append(request)
            elif answer[0] < 300:
                self._note(request, answer[1])
            else:
                self.known.update(before)
                if answer[0] not in allowed:
                    self.faults.append(f"{request.method} {request.path}: {answer}")
        connection.close()

    def settle(self, port: int) -> None:
        """Ask again for everything that got no answer, and know then what there is."""
        connection = Connection(port)
        for request in self.unanswered:
            if "Idempotency-Key" not in request.headers:
                continue
            answer = self._send(connection, request)
            if answer is None or answer[0] >= 300:
                self.faults.append(f"again: {request.method} {request.path}: {answer}")
            else:
                self._note(request, answer[1])
        self.unanswered.clear()
        connection.close()

    def compared(self, records: list[dict[str, Any]]) -> list[str]:
        """Say which records are not what they may be, and learn what the others are."""
        stored: dict[str, Entry | None] = {}
        for record in records:
            data = record["data"]
            stored[data["key"]] = Entry(data["n"], record["version"])
            if data["key"] in self.known:
                self._note_id(record)
        wrong = [
            f"{key} is {stored.get(key)}, not {may_be}"
            for key, may_be in self.known.items()
            if stored.get(key) not in may_be
        ]
        halves = [
            f"{request.method} {request.path} is done by half"
            for request in self.unanswered
            if len({stored.get(key) == entry for key, entry in request.becomes.items()}) > 1
        ]
        self.known = {key: {stored.get(key)} for key in self.known}
        return wrong + halves

    def _send(self, connection: Connection, request: Request) -> tuple[int, bytes] | None:
        for key, entry in request.becomes.items():
            self.known[key] = self.known.get(key, {None}) | {entry}
        try:
            answer = connection.ask(request.encoded(self._token))
        except (OSError, ValueError, IndexError):
            connection.close()
            self.outcomes["unknown"] += 1
            return None
        self.outcomes[str(answer[0])] += 1
        return answer

    def _note(self, request: Request, body: bytes) -> None:
        self.known.update({key: {entry} for key, entry in request.becomes.items()})
        answer = json.loads(body) if body else {}
        for record in [answer, *(item["record"] or {} for item in answer.get("results", ()))]:
            if "data" in record:
                self._note_id(record)

    def _note_id(self, record: dict[str, Any]) -> None:
        key = record["data"]["key"]
        if key not in self.ids:
            self._noted.append(key)
        self.ids[key] = record["id"]

    def _next(self) -> Request:
        kind = self._chosen.random()
        key = None if kind < 0.4 else self._certain()
        if key is None:
            return self._create()
        if kind < 0.7:
            return self._update(key)
        return self._delete(key) if kind < 0.8 else self._batch(key)

    def _certain(self) -> str | None:
        """Return a record that is known to be there, if one is soon found."""
        for _ in range(_TRIES if self._noted else 0):
            key = self._chosen.choice(self._noted)
            if len(self.known[key]) == 1 and None not in self.known[key]:
                return key
        return None

    def _new_key(self) -> str:
        self._number += 1
        return f"{self.name}-{self._number}"

    def _create(self) -> Request:
        key = self._new_key()
        body = {"key": key, "n": 1, "group": ""}
        return Request("POST", RECORDS, body, {key: Entry(1, 1)}, {"Idempotency-Key": key})

    def _update(self, key: str) -> Request:
        (entry,) = self.known[key]
        assert entry is not None
        after = Entry(entry.n + 1, entry.version + 1)
        headers = {"If-Match": f'"{entry.version}"'}
        return Request("PATCH", f"{RECORDS}/{self.ids[key]}", {"n": after.n}, {key: after}, headers)

    def _delete(self, key: str) -> Request:
        return Request("DELETE", f"{RECORDS}/{self.ids[key]}", None, {key: None})

    def _batch(self, key: str) -> Request:
        (entry,) = self.known[key]
        assert entry is not None
        group = self._new_key()
        keys = [f"{group}.{number}" for number in range(BATCH)]
        created = [{"key": item, "n": 1, "group": group} for item in keys]
        operations: list[dict[str, Any]] = [{"op": "create", "data": data} for data in created]
        after = Entry(entry.n + 1, entry.version + 1)
        change = {"op": "update", "id": self.ids[key], "data": {"n": after.n}}
        becomes: dict[str, Entry | None] = dict.fromkeys(keys, Entry(1, 1))
        return Request(
            "POST",
            f"{RECORDS}/batch",
            {"operations": [*operations, {**change, "version": entry.version}]},
            {**becomes, key: after},
            {"Idempotency-Key": group},
        )


class Ledger:
    """Several clients, and the account of them all."""

    def __init__(self, token: str, clients: int, seed: int = 1) -> None:
        self._token = token
        self.clients = [Client(f"c{n}", token, seed * 100 + n) for n in range(clients)]

    @property
    def acknowledged(self) -> int:
        """Return how many writes were answered with success."""
        return sum(
            count
            for client in self.clients
            for status, count in list(client.outcomes.items())
            if status.startswith("2")
        )

    @property
    def outcomes(self) -> dict[str, int]:
        """Return how often each status was answered, and how often nothing."""
        return dict(sum((client.outcomes for client in self.clients), Counter[str]()))

    def during(self, port: int, what: Callable[[], object], allowed: Sequence[int] = ()) -> None:
        """Let the clients write while something is done."""
        is_over = threading.Event()
        threads = [
            threading.Thread(target=client.run, args=(port, is_over, allowed))
            for client in self.clients
        ]
        for thread in threads:
            thread.start()
        try:
            what()
        finally:
            is_over.set()
            for thread in threads:
                thread.join()

    def problems(self, port: int) -> list[str]:
        """Compare what is there with what may be there, and again once all is settled."""
        found = [fault for client in self.clients for fault in client.faults]
        found += self._compare(port)
        for client in self.clients:
            client.settle(port)
        found += [fault for client in self.clients for fault in client.faults]
        return found + self._compare(port)

    def _compare(self, port: int) -> list[str]:
        records = read_all(port, self._token)
        keys = Counter(record["data"]["key"] for record in records)
        problems = [f"{key} is there {count} times" for key, count in keys.items() if count > 1]
        return problems + [
            problem for client in self.clients for problem in client.compared(records)
        ]


def read_all(port: int, token: str) -> list[dict[str, Any]]:
    """Return all records, page by page."""
    connection, found, cursor = Connection(port), list[dict[str, Any]](), ""
    while True:
        path = f"{RECORDS}?limit=1000&count=false{cursor}"
        status, body = connection.ask(Request("GET", path, None, {}).encoded(token))
        assert status == 200, body
        page = json.loads(body)
        found += page["records"]
        if not page.get("next_cursor"):
            connection.close()
            return found
        cursor = f"&cursor={page['next_cursor']}"


def is_sound(database: Path) -> bool:
    """Say whether SQLite finds nothing wrong with its file."""
    with closing(sqlite3.connect(database)) as connection:
        try:
            found: list[tuple[str]] = connection.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.DatabaseError:
            return False
    return found == [("ok",)]
