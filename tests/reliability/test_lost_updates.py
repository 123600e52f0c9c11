"""Clients that raise one number at the same time: none of their writes is lost."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections import Counter
from typing import Any

from serving import Server

from .conftest import ADMIN, PASSWORD, Site

CLIENTS = 16
INCREMENTS = int(os.environ.get("TINYBASE_TEST_INCREMENTS", "120"))


class Client:
    """Raises the number over one connection, until enough was done by all."""

    def __init__(self, server: Server, token: str, path: str, left: threading.Semaphore) -> None:
        self.outcomes: Counter[int] = Counter()
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._path, self._left = path, left

    def run(self) -> None:
        while self._left.acquire(blocking=False):
            while not self._increment():
                pass
        self._connection.close()

    def _increment(self) -> bool:
        etag, record = self._ask("GET")
        body = {"n": record["data"]["n"] + 1}
        self._ask("PATCH", body, {"If-Match": etag})
        return self._status == 200

    def _ask(self, method: str, body: Any = None, more: dict[str, str] | None = None) -> Any:
        sent = None if body is None else json.dumps(body)
        self._connection.request(method, self._path, sent, {**self._headers, **(more or {})})
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        self._status = answer.status
        if method == "PATCH":
            self.outcomes[answer.status] += 1
        return answer.headers["ETag"], content


def test_no_update_of_sixteen_clients_is_lost(site: Site) -> None:
    with site.serve() as server:
        token = server.login(ADMIN, PASSWORD)
        collection = {
            "name": "counters",
            "schema": {"fields": [{"name": "n", "type": "int"}]},
            "options": {"require_if_match": True},
        }
        assert server.request("POST", "/api/collections", collection, token=token).status == 201
        records = "/api/collections/counters/records"
        path = f"{records}/{server.request('POST', records, {'n': 0}, token=token).json['id']}"
        assert server.request("PATCH", path, {"n": 1}, token=token).status == 428

        left = threading.Semaphore(INCREMENTS)
        clients = [Client(server, token, path, left) for _ in range(CLIENTS)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        outcomes = sum((client.outcomes for client in clients), Counter[int]())
        record = server.request("GET", path, token=token).json
        print(dict(outcomes))
        assert outcomes.keys() <= {200, 412}
        assert (outcomes[200], record["data"]["n"]) == (INCREMENTS, INCREMENTS)
        assert record["version"] == INCREMENTS + 1
