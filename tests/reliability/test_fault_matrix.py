"""Every event, every fault: what a handler does wrong costs its extension and nobody else.

One instance with two workers is served. A request says which fault its handler is to commit;
then it is seen what was answered, that the handlers of another extension ran, that what was
acknowledged is stored and what was refused is not. Faults that end the process are committed
at a few events of each kind, and a part of the others where an event has its code from another
one; ``TINYBASE_TEST_FAULTS=all`` is every fault at every event.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from serving import Server

from .conftest import ADMIN, PASSWORD, Site
from .faults import FAULTS, RETURNED, SITES, Kind, Outcome, bad_one, good_one
from .ledger import is_sound
from .planted_guards import PLANTS

DECIDE_SECONDS = 1
LATEST = DECIDE_SECONDS + 6  # of an answer, on a machine that is busy with other tests
SUCCEEDED = {
    "create": 201,
    "update": 200,
    "delete": 204,
    "login": 200,
    "register": 201,
    "call": 200,
    "collect": 201,
    "refused": 401,
}
HARMLESS = [name for name, (outcome, _) in FAULTS.items() if outcome is not Outcome.DEATH]
DEADLY = [name for name, (outcome, _) in FAULTS.items() if outcome is Outcome.DEATH]
EVERYTHING = os.environ.get("TINYBASE_TEST_FAULTS") == "all"
RECORDS = "/api/collections/notes/records"


class Matrix:
    """A served instance whose handlers commit faults, and what was acknowledged there."""

    def __init__(self, server: Server, site: Site, ran: Path) -> None:
        self.server = server
        self._database = site.instance / "tinybase.db"
        self._ran = ran
        self._numbers = itertools.count()
        self._stored: dict[str, str | None] = {}
        self.token = server.login(ADMIN, PASSWORD)
        body = {"name": "notes", "schema": {"fields": [{"name": "title", "type": "string"}]}}
        self.ask("POST", "/api/collections", body)

    def ask(self, method: str, path: str, body: Any = None, request_id: str = "") -> Any:
        """Send a request; return the status and the body of the answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)) as to:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            if path.startswith("/api/auth"):
                del headers["Authorization"]
            if request_id:
                headers["X-Request-Id"] = request_id
            to.request(method, path, None if body is None else json.dumps(body), headers)
            answer = to.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None

    def commit(self, site: str, fault: str) -> list[str]:
        """Have a handler commit a fault; return what is not as it has to be."""
        request_id = f"{site}.{fault}.{next(self._numbers)}"
        request = SITES[site].request
        record = self._record_for(request, request_id)
        began = time.monotonic()
        status, body = getattr(self, f"_{request}")(request_id, record)
        took = time.monotonic() - began
        found = [*self._complaints(site, fault, status, body)]
        if took > LATEST:
            found.append(f"answered after {took:.1f} s")
        succeeded = status == SUCCEEDED[request]
        self._note(request, request_id, record, succeeded=succeeded)
        if not self._has_run(f"bad {request_id}"):
            found.append("the handler was not called")
        if succeeded and not self._has_run(f"witness {request_id}"):
            found.append("the handler of another extension did not run")
        found += self._stored_wrongly(request_id)
        return [f"{site} × {fault}: {complaint}" for complaint in found]

    def die(self, site: str, fault: str) -> list[str]:
        """Have a handler end its worker; return what is not as it has to be."""
        self.server.wait_for(self._both_serve)
        before = set(self.server.workers)
        request_id = f"{site}.{fault}.{next(self._numbers)}"
        request = SITES[site].request
        record = self._record_for(request, request_id)
        found = []
        with suppress(OSError, http.client.HTTPException):
            status, _ = getattr(self, f"_{request}")(request_id, record)
            succeeded = status == SUCCEEDED[request]
            self._note(request, request_id, record, succeeded=succeeded)
            if fault != "termination":
                found.append(f"answered with {status}")
        self.server.wait_for(lambda: before - set(self.server.workers))
        self.server.wait_for(self._both_serve)
        if len(before & set(self.server.workers)) != 1:
            found.append("the other worker did not live on")
        if fault != "termination":
            self.server.wait_for(lambda: f"{site} of bad-one" in self.server.output)
        self._forget_deaths()
        return [f"{site} × {fault}: {complaint}" for complaint in found]

    def problems(self) -> list[str]:
        """Return which acknowledged writes are not as they were acknowledged."""
        stored = self._titles()
        lost = [
            f"{record} is {stored.get(record)!r} instead of {title!r}"
            for record, title in self._stored.items()
            if stored.get(record) != title
        ]
        return lost if is_sound(self._database) else [*lost, "the database is damaged"]

    # --- the requests ----------------------------------------------------------------

    def _record_for(self, request: str, request_id: str) -> str:
        if request not in ("update", "delete"):
            return ""
        status, body = self.ask("POST", RECORDS, {"title": f"before {request_id}"})
        assert status == 201, body
        self._stored[body["id"]] = f"before {request_id}"
        return str(body["id"])

    def _create(self, request_id: str, _: str) -> Any:
        return self.ask("POST", RECORDS, {"title": request_id}, request_id)

    def _update(self, request_id: str, record: str) -> Any:
        return self.ask("PATCH", f"{RECORDS}/{record}", {"title": request_id}, request_id)

    def _delete(self, request_id: str, record: str) -> Any:
        return self.ask("DELETE", f"{RECORDS}/{record}", None, request_id)

    def _login(self, request_id: str, _: str) -> Any:
        body = {"email": ADMIN, "password": PASSWORD}
        return self.ask("POST", "/api/auth/login", body, request_id)

    def _collect(self, request_id: str, _: str) -> Any:
        schema = {"fields": [{"name": "title", "type": "string"}]}
        name = f"number_{request_id.rpartition('.')[2]}"
        return self.ask("POST", "/api/collections", {"name": name, "schema": schema}, request_id)

    def _refused(self, request_id: str, _: str) -> Any:
        body = {"email": ADMIN, "password": "wrong"}
        return self.ask("POST", "/api/auth/login", body, request_id)

    def _register(self, request_id: str, _: str) -> Any:
        body = {"email": f"{request_id}@example.com", "password": PASSWORD}
        return self.ask("POST", "/api/auth/register", body, request_id)

    def _call(self, request_id: str, _: str) -> Any:
        return self.ask("POST", "/api/functions/pay", {}, request_id)

    # --- what has to come of it ------------------------------------------------------

    def _complaints(self, site: str, fault: str, status: int, body: Any) -> Iterator[str]:
        at = SITES[site]
        outcome = FAULTS[fault][0] if fault in FAULTS else Outcome.NOTHING
        if fault in RETURNED and at.answers:
            outcome = Outcome.FAILURE
        if outcome is Outcome.ENDLESS and at.creates:
            if (status, body["code"]) != (409, "conflict") or " -> " not in body["detail"]:
                yield f"was answered {status} {body}"
        elif outcome in (Outcome.FAILURE, Outcome.DELAY) and at.kind is Kind.ASKED:
            told = (status, body.get("code"), body.get("extension"))
            if told != (500, "extension_error", "bad-one"):
                yield f"was answered {status} {body}"
        elif status != SUCCEEDED[at.request]:
            yield f"was answered {status} {body}"

    def _note(self, request: str, request_id: str, record: str, *, succeeded: bool) -> None:
        """Remember what has to be stored from now on."""
        if request == "update" and succeeded:
            self._stored[record] = request_id
        if request == "delete" and succeeded:
            self._stored[record] = None
        if request == "create":
            self._stored[f"title:{request_id}"] = request_id if succeeded else None

    def _has_run(self, line: str) -> bool:
        deadline = time.monotonic() + 10
        while line not in self._ran.read_text().splitlines():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _stored_wrongly(self, request_id: str) -> list[str]:
        return [problem for problem in self.problems_of_records() if request_id in problem]

    def problems_of_records(self) -> list[str]:
        stored = self._titles()
        return [
            f"{record} is {stored.get(record)!r} instead of {title!r}"
            for record, title in self._stored.items()
            if stored.get(record) != title
        ]

    def _titles(self) -> dict[str, str]:
        """Return the titles of all records by their ids, and each by itself."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            rows = connection.execute(
                "SELECT id, json_extract(data, '$.title') FROM records"
            ).fetchall()
        ids = {str(row[0]): row[1] for row in rows}
        return {**ids, **{f"title:{title}": title for title in ids.values()}}

    def _both_serve(self) -> bool:
        """Say whether both workers answer; the kernel deals out new connections to them."""
        with suppress(OSError, http.client.HTTPException):
            pids = {self.ask("POST", "/api/functions/pay", {})[1]["result"] for _ in range(8)}
            return len(pids) == 2 and pids == set(self.server.workers)
        return False

    def _forget_deaths(self) -> None:
        """Let none of many deaths in a short time be the third."""
        with closing(sqlite3.connect(self._database, timeout=30)) as connection:
            connection.execute("DELETE FROM extension_deaths")
            connection.commit()


@contextmanager
def served(site: Site, folder: Path, workers: int = 2) -> Iterator[Matrix]:
    """Serve an instance whose handlers commit faults."""
    ran = folder / "ran"
    ran.touch()
    site.add("bad-one", bad_one())
    site.add("good-one", good_one())
    settings = {
        "TINYBASE_HOOKS_DECIDE_SECONDS": str(DECIDE_SECONDS),
        "TINYBASE_HOOKS_HANG_SECONDS": "2",
        "FAULTS_RAN": str(ran),
    }
    with site.serve(workers, **settings) as server:
        yield Matrix(server, site, ran)


def cells() -> list[tuple[str, str]]:
    """Return the cells whose fault leaves the process alive.

    Of a site that is sampled every fourth, another quarter than of the site before.
    """
    faults = [*HARMLESS, *RETURNED]
    found = []
    for number, (name, at) in enumerate(SITES.items()):
        some = faults[number % 4 :: 4] if at.sampled and not EVERYTHING else faults
        found += [(name, fault) for fault in some]
    return found


def deaths() -> list[tuple[str, str]]:
    """Return the cells whose fault ends the process: each fault at events of each kind."""
    if EVERYTHING:
        return list(itertools.product(SITES, DEADLY))
    some = ["on_record_create", "before_record_create", "on_function_call", "on_user_login"]
    return list(zip(some, DEADLY, strict=True))


def test_whatever_a_handler_does_costs_its_own_extension_only(site: Site, tmp_path: Path) -> None:
    with served(site, tmp_path) as matrix:
        workers = set(matrix.server.workers)
        found = [complaint for cell in cells() for complaint in matrix.commit(*cell)]
        assert found == []
        assert matrix.problems() == []
        assert set(matrix.server.workers) == workers
        assert all(f"bad_one:{name} " in matrix.server.output for name in SITES)


def test_a_handler_that_ends_its_worker_ends_no_other_and_loses_nothing(
    site: Site, tmp_path: Path
) -> None:
    with served(site, tmp_path) as matrix:
        found = [complaint for cell in deaths() for complaint in matrix.die(*cell)]
        assert found == []
        assert matrix.problems() == []


@pytest.mark.parametrize(
    ("plant", "cells"),
    [
        ("an unguarded implementation", [("on_record_create", "exception")]),
        ("a shared event", [("on_record_create", "mutation")]),
        ("a shared session", [("before_user_login", "written")] * 2),
        ("no deadline", [("before_record_create", "hang")]),
    ],
)
def test_a_planted_bug_is_found(
    plant: str, cells: list[tuple[str, str]], site: Site, tmp_path: Path
) -> None:
    (site.packages / "sitecustomize.py").write_text(PLANTS[plant])
    with served(site, tmp_path, workers=1) as matrix:
        assert [complaint for cell in cells for complaint in matrix.commit(*cell)] != []
