"""Extensions come and go while clients are served, and no client notices.

``TINYBASE_TEST_SWITCHES`` and ``TINYBASE_TEST_REQUESTS`` set the size.
"""

from __future__ import annotations

import json
import os
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from serving import Server, tinybase

from tinybase import config
from tinybase.api.services import Services
from tinybase.app import create_app

from .conftest import ADMIN, PASSWORD, Site, make_collection
from .load import Ask, Connection, Load, expects

SWITCHES = int(os.environ.get("TINYBASE_TEST_SWITCHES", "50"))
REQUESTS = int(os.environ.get("TINYBASE_TEST_REQUESTS", "20000"))
SECONDS_TO_FOLLOW = 1.0

STEADY = """
    import os
    from tinybase.functions import register

    @register(name="steady", auth="public")
    def steady(payload: dict):
        return {"pid": os.getpid(), **payload}
"""

PULSE = """
    import threading
    import time
    from flask import Blueprint
    from tinybase.extensions import on_function_call, on_shutdown, on_startup, register_blueprint
    from tinybase.functions import register

    running = threading.Event()
    tickets = set()
    routes = Blueprint("pulse", __name__)
    register_blueprint(routes, auth="public")

    @routes.get("/beat")
    def beat():
        before = running.is_set()
        time.sleep(0.002)
        return {"before": before, "after": running.is_set()}

    @on_startup
    def start():
        time.sleep(0.02)
        running.set()

    @on_shutdown
    def stop():
        running.clear()

    @on_function_call(name="pulse")
    def note(event):
        tickets.add(event.payload["ticket"])

    @register(name="pulse", auth="public")
    def pulse(payload: dict):
        before = running.is_set()
        time.sleep(0.002)
        hooked = payload["ticket"] in tickets
        tickets.discard(payload["ticket"])
        return {"hooked": hooked, "before": before, "after": running.is_set()}
"""


def is_whole_or_absent(status: int, body: bytes) -> str | None:
    """Complain unless the extension is not there at all, or there with everything it has."""
    if status == 404:
        return None
    result = json.loads(body).get("result")
    whole = {"hooked": True, "before": True, "after": True}
    return None if status == 200 and result == whole else f"{status}: {body[:200]!r}"


def is_running_or_unavailable(status: int, body: bytes) -> str | None:
    """Complain unless the route is that of a running extension, or of none."""
    if status == 503:
        return None if json.loads(body)["code"] == "extension_unavailable" else str(body[:200])
    running = {"before": True, "after": True}
    return None if status == 200 and json.loads(body) == running else f"{status}: {body[:200]!r}"


def asks(token: str) -> list[Ask]:
    """Return what the clients ask, as often as it is in the list."""
    health = Ask("health", "GET", "/health", expects(200))
    create = Ask(
        "create",
        "POST",
        "/api/collections/notes/records",
        expects(201),
        lambda: {"title": "a note"},
        token,
    )
    steady = Ask("steady", "POST", "/api/functions/steady", is_echo, lambda: {"n": 1}, token)
    beat = Ask("beat", "GET", "/api/ext/pulse/beat", is_running_or_unavailable)
    return [*[health] * 12, create, steady, pulse(token), beat]


def is_echo(status: int, body: bytes) -> str | None:
    """Complain about anything but the result of ``steady``."""
    fine = status == 200 and json.loads(body)["result"]["n"] == 1
    return None if fine else f"{status}: {body[:200]!r}"


def pulse(token: str) -> Ask:
    """Return a call of the extension that comes and goes."""
    return Ask(
        "pulse",
        "POST",
        "/api/functions/pulse",
        is_whole_or_absent,
        lambda: {"ticket": os.urandom(8).hex()},
        token,
    )


class Workers:
    """A kept-alive connection to each worker."""

    def __init__(self, server: Server, stack: ExitStack, token: str) -> None:
        self._pulse = pulse(token)
        self._steady = Ask(
            "steady", "POST", "/api/functions/steady", is_echo, lambda: {"n": 1}, token
        )
        self._connections: dict[int, Connection] = {}
        deadline = time.monotonic() + 20
        while len(self._connections) < len(server.workers):
            assert time.monotonic() < deadline
            connection = Connection(server.port)
            stack.callback(connection.close)
            _, body = connection.ask(self._steady.encoded())
            self._connections.setdefault(json.loads(body)["result"]["pid"], connection)

    def follow(self, enabled: bool) -> float:
        """Wait until all workers have the extension, or none; return the seconds it took.

        What counts is when the request began: it keeps to what was in force then.
        """
        began = asked = time.monotonic()
        for connection in self._connections.values():
            while (connection.ask(self._pulse.encoded())[0] == 200) != enabled:
                if asked - began > 10:
                    return float("inf")
                time.sleep(0.01)
                asked = time.monotonic()
        return asked - began


@contextmanager
def opened(site: Site) -> Iterator[Services]:
    """Open the instance as a command does."""
    app = create_app(config.load(site.instance, {}))
    services: Services = app.extensions["tinybase"]
    try:
        with app.app_context():
            yield services
    finally:
        services.close()


def switch(server: Server, token: str, services: Services) -> Callable[[int, bool], None]:
    """Return what switches: by turns the API, and the service as commands use it."""

    def by_service(enabled: bool) -> None:
        services.extensions.set_enabled("pulse", enabled)

    def by_api(enabled: bool) -> None:
        answer = server.request(
            "PATCH", "/api/admin/extensions/pulse", {"is_enabled": enabled}, token=token
        )
        assert answer.status == 200, answer.json
        assert answer.json["status"] == ("enabled" if enabled else "disabled")

    def switch(number: int, enabled: bool) -> None:
        # The command tries an extension out before it enables it, which takes long.
        every = 20 if enabled else 4
        (by_service if number % every in (10, 11, 2) else by_api)(enabled)

    return switch


def switch_under_load(
    site: Site,
    *,
    switches: int,
    requests: int,
    asked: Callable[[str], Sequence[Ask]] = asks,
) -> tuple[Load, list[float]]:
    """Switch so often while so many requests are answered; return what became of them."""
    site.add("steady", STEADY)
    site.add("pulse", PULSE)
    with ExitStack() as stack:
        server = stack.enter_context(site.serve())
        server.wait_for(lambda: len(server.workers) == 2)
        token = server.login(ADMIN, PASSWORD)
        make_collection(server, token, "notes")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.syspath_prepend(str(site.packages))
        patch.setenv("PYTHONPATH", str(site.packages))
        services = stack.enter_context(opened(site))
        switch_by_turns = switch(server, token, services)
        workers = Workers(server, stack, token)
        load = stack.enter_context(Load(server.port, asked(token)))
        delays = []
        for number in range(switches):
            enabled = bool(number % 2)
            switch_by_turns(number, enabled)
            delays.append(workers.follow(enabled))
            load.wait_for(requests * (number + 1) // switches)
    return load, delays


def test_no_request_fails_while_an_extension_is_switched_on_and_off(site: Site) -> None:
    began = time.monotonic()
    load, delays = switch_under_load(site, switches=SWITCHES, requests=REQUESTS)
    print(
        f"{load.done} requests, {len(load.faults)} failed, {SWITCHES} switches in "
        f"{time.monotonic() - began:.1f} s; the slowest was followed after {max(delays):.3f} s; "
        f"{dict(load.answers)}"
    )
    assert load.faults == []
    assert load.done >= REQUESTS
    assert max(delays) < SECONDS_TO_FOLLOW
    assert load.answers["pulse", 200] > 0
    assert load.answers["pulse", 404] > 0
    assert load.answers["beat", 200] > 0
    assert load.answers["beat", 503] > 0


SHUT_DOWN_AT_ONCE = """
from tinybase.host.snapshot import Snapshot

Snapshot.wait_until_unused = lambda self, seconds: True
"""
START_AFTERWARDS = """
import threading
from tinybase.host.starting import Starting

start = Starting.run


def start_later(self, snapshot, started):
    threading.Timer(0.2, start, (self, snapshot, started)).start()


Starting.run = start_later
"""


@pytest.mark.parametrize("planted", [SHUT_DOWN_AT_ONCE, START_AFTERWARDS], ids=["stop", "start"])
def test_the_load_finds_a_host_that_stops_too_early_or_starts_too_late(
    site: Site, planted: str
) -> None:
    (site.instance / "functions" / "planted.py").write_text(planted)
    load, _ = switch_under_load(site, switches=10, requests=600, asked=lambda token: [pulse(token)])
    assert load.faults
    assert all("pulse: 200" in fault for fault in load.faults)


def test_no_request_fails_while_extensions_are_installed_and_removed(
    site: Site, tmp_path: Path
) -> None:
    site.add("steady", STEADY)
    names = ("first", "second")
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "extension.toml").write_text(f'[extension]\nname = "{name}"\nversion = "1.0.0"\n')
        (folder / "__init__.py").write_text(
            textwrap.dedent(PULSE).replace('name="pulse"', f'name="{name}"')
        )
    with site.serve() as server:
        token = server.login(ADMIN, PASSWORD)
        make_collection(server, token, "notes")
        others = [ask for ask in asks(token) if ask.name != "beat"]  # nobody brings that route
        arrivals = [replace(pulse(token), name=n, path=f"/api/functions/{n}") for n in names]
        with Load(server.port, [*others, *arrivals], pause=0.01) as load:
            for name in names:
                run(site, "install", str(tmp_path / name), "--yes")
                server.wait_for(lambda name=name: load.answers[name, 200] > 3, 10)
            run(site, "uninstall", "first", "--yes")
            load.wait_for(load.done + 500)
    print(f"{load.done} requests, {len(load.faults)} failed; {dict(load.answers)}")
    assert load.faults == []


def run(site: Site, *arguments: str) -> None:
    """Run a command on extensions, which must succeed."""
    done = tinybase("extensions", *arguments, instance=site.instance, env=site.environment)
    assert done.returncode == 0, done.stderr
