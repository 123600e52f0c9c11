"""Extensions that hold the interpreter: noticed, ended, blamed by name and switched off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from serving import Server, tinybase

from tinybase.cli.watchdog import Watchdog

from .conftest import ADMIN, PASSWORD, Site
from .load import Ask, Connection, expects
from .test_blame import FUNCTION, Orders, is_known_everywhere
from .test_switching_under_load import STEADY

BACKTRACKING = 'import re; re.match("(a+)+$", "a" * 64 + "b")'
SLEEP = "import ctypes; ctypes.PyDLL(None).sleep(1000)"
HANG_SECONDS = "2"


@contextmanager
def hanging(server: Server) -> Iterator[None]:
    """Have one worker hang in the function ``deadly`` while the block runs, or until it ends."""
    connection = Connection(server.port)
    deadly = Ask("deadly", "POST", "/api/functions/deadly", expects(200), dict).encoded()

    def ask() -> None:
        with suppress(OSError):
            connection.ask(deadly)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        thread.join(40)
        connection.close()


def test_a_worker_in_an_endless_loop_of_native_code_is_replaced_and_the_extension_named(
    site: Site,
) -> None:
    site.add("bad-one", FUNCTION.format(how=BACKTRACKING))
    site.add("steady", STEADY)
    with site.serve(TINYBASE_SERVER_HANG_SECONDS=HANG_SECONDS) as server:
        orders = Orders(server)
        server.wait_for(orders.both_serve)
        before = set(server.workers)
        with hanging(server):
            server.wait_for(lambda: len(set(server.workers) - before) == 1)
        server.wait_for(orders.both_serve)
        assert len(before & set(server.workers)) == 1
        assert "has not moved for 2 s while it was running the function deadly of bad-one" in (
            server.output
        )
        server.wait_for(lambda: is_known_everywhere(orders, "bad-one", 1), 5)
        assert server.request("GET", "/health").json == {"status": "degraded"}


def test_without_the_watchdog_the_worker_hangs_on(site: Site) -> None:
    site.add("bad-one", FUNCTION.format(how=SLEEP))
    with site.serve(1, TINYBASE_SERVER_HANG_SECONDS="0") as server:
        (pid,) = server.workers
        with hanging(server):
            time.sleep(2 * float(HANG_SECONDS))
            assert server.workers == [pid]
            with pytest.raises(OSError, match="timed out"):
                server.request("GET", "/health", timeout=1)
            os.kill(pid, signal.SIGKILL)


def test_an_extension_that_hangs_the_worker_at_the_start_is_switched_off_at_once(
    site: Site,
) -> None:
    site.add("bad-one", SLEEP)
    site.add("good-one", "")
    with site.serve(TINYBASE_SERVER_HANG_SECONDS=HANG_SECONDS) as server:
        token = server.login(ADMIN, PASSWORD)
        path = "/api/admin/extensions/"
        assert server.request("GET", f"{path}bad-one", token=token).json["status"] == "quarantined"
        assert server.request("GET", f"{path}good-one", token=token).json["status"] == "enabled"
        assert "has not moved for 2 s while it was running the import of bad-one" in server.output


FLOOD = """
    import os, sys
    from pathlib import Path
    Path(__file__).with_name(f"of-{{os.getpid()}}").touch()
    while True:
        sys.{stream}.write("again" + chr(10))
"""


def imported_in(site: Site) -> set[int]:
    """Return the processes that have begun to import the extension that floods."""
    folder = site.packages / "bad_one"
    return {int(path.name.removeprefix("of-")) for path in folder.glob("of-*")}


def lives(pid: int) -> bool:
    """Say whether there is such a process."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_no_process_serves_in_which_an_import_goes_on_for_ever(site: Site) -> None:
    site.add("bad-one", FLOOD.format(stream="stdout"))
    site.add("good-one", "")
    with site.serve(TINYBASE_EXTENSIONS_IMPORT_TIMEOUT_SECONDS="1") as server:
        token = server.login(ADMIN, PASSWORD)
        path = "/api/admin/extensions/"
        found = server.request("GET", f"{path}bad-one", token=token).json
        assert (found["status"], found["is_enabled"]) == ("quarantined", False)
        assert "took longer than 1 s" in found["status_reason"]
        assert server.request("GET", f"{path}good-one", token=token).json["status"] == "enabled"
        assert server.request("GET", "/health").json == {"status": "degraded"}
        assert 1 <= len(imported_in(site)) <= 2
        server.wait_for(lambda: not any(lives(pid) for pid in imported_in(site)))
        server.wait_for(lambda: len(server.workers) == 2)
    tried = imported_in(site)
    with site.serve() as server:
        assert imported_in(site) == tried


def test_a_worker_that_has_tried_what_never_ends_to_import_is_replaced(site: Site) -> None:
    site.add("bad-one", FLOOD.format(stream="stderr"))
    switched = tinybase(
        "extensions", "disable", "bad-one", instance=site.instance, env=site.environment
    )
    assert switched.returncode == 0, switched.stderr
    with site.serve(1, TINYBASE_EXTENSIONS_IMPORT_TIMEOUT_SECONDS="1") as server:
        token = server.login(ADMIN, PASSWORD)
        path = "/api/admin/extensions/bad-one"
        before = server.request("GET", path, token=token).json
        answer = server.request("PATCH", path, {"is_enabled": True}, token=token)
        assert answer.status == 409
        assert "took longer than 1 s" in answer.json["detail"]
        (pid,) = imported_in(site)
        while lives(pid):
            assert server.request("GET", "/health").status == 200
        assert server.request("GET", path, token=token).json == before
    assert imported_in(site) == {pid}


WAITING = """
    import os, time
    from pathlib import Path
    from flask import Blueprint
    from tinybase.extensions import public, register_blueprint

    views = Blueprint("views", __name__)
    register_blueprint(views, auth="public")

    @views.get("/wait/<number>")
    def wait(number):
        folder = Path(__file__).parent
        (folder / f"entered-{number}").touch()
        while not (folder / "over").exists():
            time.sleep(0.02)
        return {}

    @views.get("/")
    def page():
        return {}
"""


def test_views_that_hang_take_only_a_part_of_the_threads_and_others_are_answered(
    site: Site,
) -> None:
    site.add("bad-one", WAITING)
    site.add("good-one", WAITING)
    folder = site.packages / "bad_one"
    statuses: list[int] = []
    with site.serve(1, TINYBASE_SERVER_THREADS="4") as server:

        def ask(number: int) -> None:
            statuses.append(server.request("GET", f"/api/ext/bad-one/wait/{number}").status)

        clients = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for client in clients:
            client.start()
        server.wait_for(lambda: statuses == [503, 503])
        assert len(list(folder.glob("entered-*"))) == 2

        refused = server.request("GET", "/api/ext/bad-one/")
        assert (refused.status, refused.json["code"]) == (503, "extension_unavailable")
        assert (refused.json["extension"], refused.headers["Retry-After"]) == ("bad-one", "5")
        assert server.output.count("extension bad-one: further requests get 503") == 1
        assert "in bad_one:wait (2×)" in server.output
        assert server.request("GET", "/health").status == 200
        assert server.request("GET", "/api/ext/good-one/").status == 200
        token = server.login(ADMIN, PASSWORD)
        assert server.request("GET", "/api/collections", token=token).status == 200

        (folder / "over").touch()
        for client in clients:
            client.join(30)
        assert sorted(statuses) == [200, 200, 503, 503]
        assert server.request("GET", "/api/ext/bad-one/").status == 200


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_worker_hangs_only_when_it_has_stood_still_for_long_enough(clock: Clock) -> None:
    watchdog = Watchdog(3, clock)
    found = []
    for tick in range(60):
        clock.now += 0.1
        found.append(watchdog.hanging({1: tick, 2: min(tick, 20)}))
    (first,) = (tick for tick, pids in enumerate(found) if pids)
    assert found[first] == [2]
    assert 49 <= first <= 51


def test_time_that_the_supervisor_has_slept_through_does_not_count(clock: Clock) -> None:
    watchdog = Watchdog(3, clock)
    assert watchdog.hanging({1: 7}) == []
    for _ in range(5):
        clock.now += 1000
        assert watchdog.hanging({1: 7}) == []


def test_a_worker_that_somebody_has_stopped_is_left_alone(clock: Clock) -> None:
    watchdog = Watchdog(1, clock)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        for _ in range(30):
            clock.now += 0.1
            assert watchdog.hanging({process.pid: 7}) == []
        process.send_signal(signal.SIGCONT)
        os.waitid(os.P_PID, process.pid, os.WCONTINUED)
        found = []
        for _ in range(15):
            clock.now += 0.1
            found += watchdog.hanging({process.pid: 7})
        assert found == [process.pid]
        process.kill()


def test_no_worker_is_ended_where_the_watchdog_is_off(clock: Clock) -> None:
    watchdog = Watchdog(0, clock)
    for _ in range(100):
        clock.now += 0.4
        assert watchdog.hanging({1: 7}) == []
