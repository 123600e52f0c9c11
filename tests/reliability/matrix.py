"""A served instance whose extensions commit faults, and what has to come of each."""

from __future__ import annotations

import http.client
import itertools
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from serving import Server

from .asking import Asking, Request, before
from .conftest import ADMIN, Site
from .culprits import culprit, witness
from .faults import SITES, Kind, Outcome, outcome_of
from .ledger import is_sound

DECIDE_SECONDS = 1
LATEST = DECIDE_SECONDS + 6  # of an answer, on a machine that is busy with other tests

Answer = tuple[int, Any]


class Matrix:
    """Has faults committed, and remembers what was acknowledged meanwhile.

    :param folder: where the extensions write down which of them ran.
    """

    def __init__(self, server: Server, site: Site, folder: Path) -> None:
        self.server = server
        self._asking = Asking(server)
        self._database = site.instance / "tinybase.db"
        self._folder = folder
        self._numbers = itertools.count()
        self._stored: dict[str, str | None] = {}

    def commit(self, site: str, fault: str) -> list[str]:
        """Have a fault committed; return what is not as it has to be."""
        request_id, request = self._prepare(site, fault)
        began = time.monotonic()
        try:
            status, body = self._cause(site, request, request_id)
        except OSError as error:
            status, body = 0, repr(error)
        took = time.monotonic() - began
        outcome = outcome_of(site, fault)
        found = (
            []
            if _is_right(site, outcome, request, (status, body))
            else [f"was answered {status} {str(body)[:500]}"]
        )
        if took > LATEST:
            found.append(f"answered after {took:.1f} s")
        succeeded = status == request.succeeds
        self._note(request, request_id, is_written=succeeded)
        if not self._has_run(f"culprit {request_id}"):
            found.append("nothing was called")
        if succeeded and SITES[site].has_witness and not self._has_run(f"witness {request_id}"):
            found.append("nothing of another extension was called")
        found += [problem for problem in self.lost() if request_id in problem]
        return [f"{site} × {fault}: {complaint}" for complaint in found]

    def die(self, site: str, fault: str) -> list[str]:
        """Have a worker ended; return what is not as it has to be."""
        self.server.wait_for(self._both_serve)
        existing = set(self.server.workers)
        request_id, request = self._prepare(site, fault)
        # What is told has happened, and what is asked about has not.
        is_written, found = SITES[site].kind is not Kind.ASKED, []
        with suppress(OSError, http.client.HTTPException):
            status, _ = self._cause(site, request, request_id)
            is_written = status == request.succeeds
            # Who is told may be late, and is not waited for.
            if fault != "termination" and SITES[site].kind is not Kind.TOLD:
                found.append(f"answered with {status}")
        self._note(request, request_id, is_written=is_written)
        self.server.wait_for(lambda: existing - set(self.server.workers))
        self.server.wait_for(self._both_serve)
        if len(existing & set(self.server.workers)) != 1:
            found.append("the other worker did not live on")
        if fault != "termination":
            named = re.compile(rf"ended .*while it was running .*{site}\b.* of culprit")
            self.server.wait_for(lambda: named.search(self.server.output))
        self._forget_deaths()
        return [f"{site} × {fault}: {complaint}" for complaint in found]

    def problems(self) -> list[str]:
        """Return which acknowledged writes are not as they were acknowledged."""
        return self.lost() if is_sound(self._database) else [*self.lost(), "it is damaged"]

    def lost(self) -> list[str]:
        """Return which records are not as they have to be."""
        stored = self._titles()
        return [
            f"{record} is {stored.get(record)!r} instead of {title!r}"
            for record, title in self._stored.items()
            if stored.get(record) != title
        ]

    def _prepare(self, site: str, fault: str) -> tuple[str, Request]:
        request_id = f"{site}.{fault}.{next(self._numbers)}"
        request = self._asking.prepare(SITES[site].request, request_id)
        if request.record is not None:
            self._stored[request.record] = before(request_id)
        return request_id, request

    def _cause(self, site: str, request: Request, request_id: str) -> Answer:
        wanted = self._folder / "wanted"
        wanted.write_text(request_id)
        try:
            while True:
                answer = self._asking.ask(request, request_id)
                # What a check has told is good for some time: somebody asks on.
                if SITES[site].kind is not Kind.PROBE or self._ran(f"culprit {request_id}"):
                    return answer
        finally:
            wanted.write_text("")

    def _note(self, request: Request, request_id: str, *, is_written: bool) -> None:
        """Remember what has to be stored from now on."""
        if not request.writes:
            return
        if request.record is None:
            self._stored[f"title:{request_id}"] = request_id if is_written else None
        elif is_written:
            self._stored[request.record] = request.title

    def _has_run(self, line: str) -> bool:
        deadline = time.monotonic() + 10
        while not self._ran(line):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _ran(self, line: str) -> bool:
        return line in (self._folder / "ran").read_text().splitlines()

    def _titles(self) -> dict[str, str]:
        """Return the titles of all records by their ids, and each by itself."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            rows = connection.execute(
                "SELECT id, json_extract(data, '$.title') FROM records"
            ).fetchall()
        ids = {str(row[0]): row[1] for row in rows}
        return {**ids, **{f"title:{title}": title for title in ids.values()}}

    def _both_serve(self) -> bool:
        """Say whether both workers answer."""
        pids = self._asking.workers()
        return len(pids) == 2 and pids == set(self.server.workers)

    def _forget_deaths(self) -> None:
        """Let none of many deaths in a short time be the third."""
        with closing(sqlite3.connect(self._database, timeout=30)) as connection:
            connection.execute("DELETE FROM extension_deaths")
            connection.commit()


def _is_right(site: str, outcome: Outcome, request: Request, answer: Answer) -> bool:
    """Say whether a request is answered as the outcome demands."""
    (status, body), kind = answer, SITES[site].kind
    has_failed = outcome is Outcome.FAILURE
    if outcome is Outcome.ENDLESS:
        return (status, body["code"]) == (409, "conflict") and " -> " in body["detail"]
    if has_failed and kind in (Kind.ASKED, Kind.VIEW):
        told = (status, body.get("code"), body.get("extension"))
        return told == (500, "extension_error", "culprit")
    if status != request.succeeds:
        return False
    if kind is Kind.CALL:
        return bool(body["status"] == ("failed" if has_failed else "succeeded"))
    if kind is Kind.PROBE:
        return bool(body["checks"]["extensions"] == ("degraded" if has_failed else "ok"))
    if kind is Kind.SCRAPE:
        return "of_the_witness" in body and ("of_the_culprit" not in body) is has_failed
    return True


@contextmanager
def served(site: Site, folder: Path, workers: int = 2) -> Iterator[Matrix]:
    """Serve an instance whose extensions commit faults."""
    for name in ("ran", "wanted"):
        (folder / name).touch()
    site.add("culprit", culprit())
    site.add("witness", witness())
    site.add("switched", "")
    settings = {
        "TINYBASE_HOOKS_DECIDE_SECONDS": str(DECIDE_SECONDS),
        "TINYBASE_HOOKS_HANG_SECONDS": "2",
        "FAULTS_FOLDER": str(folder),
        "FAULTS_ADMIN": ADMIN,
    }
    with site.serve(workers, **settings) as server:
        yield Matrix(server, site, folder)
