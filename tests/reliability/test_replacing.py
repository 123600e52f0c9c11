"""Extensions are updated, and workers replaced, while clients are served: none notices.

``TINYBASE_TEST_REPLACEMENTS`` says how often all workers are replaced.
"""

from __future__ import annotations

import json
import os
import signal
import textwrap
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from github import Hub
from serving import Server, tinybase

from tinybase.packages.wheels import write_wheel

from .conftest import Site
from .load import Ask, FreshConnection, Load, expects

REPLACEMENTS = int(os.environ.get("TINYBASE_TEST_REPLACEMENTS", "2"))

SHOP = """
    import os
    from pathlib import Path
    from tinybase.extensions import on_shutdown, on_startup
    from tinybase.functions import register
    import shared_library

    def note(what):
        with Path(os.environ["LIVES"]).open("a") as file:
            file.write(f"{what} {os.getpid()} {VERSION}\\n")

    @on_startup
    def start():
        note("started")

    @on_shutdown
    def stop():
        note("stopped")

    @register(name="shop", auth="public")
    def shop(payload: dict):
        return {"pid": os.getpid(), "shop": VERSION, "library": shared_library.version}
"""


@dataclass
class Market:
    """An instance, a GitHub with the extension ``shop``, and an index with its library."""

    site: Site
    hub: Hub
    index: Path

    @property
    def lives(self) -> Path:
        """Return the file in which the extension notes its starts and ends."""
        return self.site.instance / "lives.txt"

    @property
    def environment(self) -> dict[str, str]:
        """Return what the server and the commands need; neither has a network."""
        return {
            **self.site.environment,
            **self.hub.environment,
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.index),
            "LIVES": str(self.lives),
        }

    def release(self, version: str, library: str) -> None:
        """Publish a version of the extension that needs a version of the library."""
        stem = f"shared_library-{library}"
        metadata = f"Metadata-Version: 2.1\nName: shared-library\nVersion: {library}\n"
        wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        members = [
            ("shared_library/__init__.py", f"version = {library!r}\n".encode()),
            (f"{stem}.dist-info/METADATA", metadata.encode()),
            (f"{stem}.dist-info/WHEEL", wheel.encode()),
        ]
        write_wheel(self.index, f"{stem}-py3-none-any", members)
        manifest = f'[extension]\nname = "shop"\nversion = "{version}"\n'
        needs = f'[extension.dependencies]\nshared-library = "=={library}"\n'
        files = {
            "extension.toml": manifest + needs,
            "__init__.py": f"VERSION = {version!r}\n{textwrap.dedent(SHOP)}",
        }
        self.hub.repository("shop", files, tag=f"v{version}")

    def run(self, *arguments: str) -> None:
        """Run a command on extensions, which must succeed."""
        done = tinybase(
            "extensions", *arguments, "--yes", instance=self.site.instance, env=self.environment
        )
        assert done.returncode == 0, done.stderr

    def lived(self) -> Counter[tuple[str, int, str]]:
        """Return how often each process started and stopped each version."""
        lines = (line.split() for line in self.lives.read_text().splitlines())
        return Counter((what, int(pid), version) for what, pid, version in lines)


@pytest.fixture
def market(site: Site, tmp_path: Path) -> Market:
    for name in ("hub", "index"):
        (tmp_path / name).mkdir()
    return Market(site, Hub(tmp_path / "hub"), tmp_path / "index")


def is_one_version(status: int, body: bytes) -> str | None:
    """Complain unless an extension and its library are those that belong together."""
    together = {("1.0.0", "1.0"), ("1.1.0", "1.0"), ("1.2.0", "2.0")}
    if status == 200:
        result = json.loads(body)["result"]
        if (result["shop"], result["library"]) in together:
            return None
    return f"{status}: {body[:200]!r}"


SHOP_ASK = Ask("shop", "POST", "/api/functions/shop", is_one_version, dict)
HEALTH = Ask("health", "GET", "/health", expects(200))


def seen(server: Server) -> dict[int, str]:
    """Return which version each worker answers with that a new connection comes to."""
    answers = (server.request("POST", "/api/functions/shop", {}).json for _ in range(6))
    return {answer["result"]["pid"]: answer["result"]["shop"] for answer in answers}


def all_have(server: Server, version: str) -> Callable[[], bool]:
    """Return a function that says whether both workers, and no other, have a version."""

    def have() -> bool:
        found = seen(server)
        return set(found) == set(server.workers) and set(found.values()) == {version}

    return have


def clients(port: int, asks: list[Ask], stack: ExitStack) -> list[Load]:
    """Start clients of all kinds: busy ones, ones that think, and ones that never stay."""
    loads = [
        Load(port, asks, clients=3, pause=0.05),
        Load(port, asks, clients=3, pause=0.2, seed=2),
        Load(port, asks, clients=2, pause=2, seed=3),
        Load(port, asks, clients=2, pause=0.1, connect=FreshConnection, seed=4),
    ]
    for load in loads:
        stack.enter_context(load)
    return loads


def test_no_request_fails_while_an_extension_and_its_library_are_updated(market: Market) -> None:
    market.release("1.0.0", library="1.0")
    market.run("install", "user/shop")
    with ExitStack() as stack:
        server = stack.enter_context(market.site.serve(**market.environment))
        server.wait_for(lambda: len(server.workers) == 2)
        server.wait_for(all_have(server, "1.0.0"))
        loads = clients(server.port, [*[HEALTH] * 8, SHOP_ASK], stack)
        first = set(server.workers)

        market.release("1.1.0", library="1.0")
        market.run("update", "shop")
        server.wait_for(all_have(server, "1.1.0"))
        assert set(server.workers) == first

        market.release("1.2.0", library="2.0")
        market.run("update", "shop")
        server.wait_for(all_have(server, "1.2.0"))
        second = set(server.workers)
        assert not first & second
        loads[0].wait_for(loads[0].done + 100)
    report(loads)
    assert [load.faults for load in loads] == [[]] * len(loads)
    assert market.lived() == Counter(
        {
            (what, pid, version): 1
            for pids, versions in ((first, ("1.0.0", "1.1.0")), (second, ("1.2.0",)))
            for what in ("started", "stopped")
            for pid in pids
            for version in versions
        }
    )


SLOW = """
    import time
    from tinybase.functions import register

    @register(name="slow", auth="public")
    def slow():
        time.sleep(0.5)
"""


SHUT_THE_DOOR = """
from tinybase.cli.leaving import Departure

Departure.see_clients_off = lambda self, app: None
"""


def replaced(server: Server, before: set[int]) -> Callable[[], bool]:
    return lambda: len(server.workers) == 2 and not before & set(server.workers)


def test_no_request_fails_while_workers_are_replaced_on_sighup(site: Site) -> None:
    site.add("steady", SLOW)
    slow = Ask("slow", "POST", "/api/functions/slow", expects(200), dict)
    with ExitStack() as stack:
        server = stack.enter_context(site.serve())
        server.wait_for(lambda: len(server.workers) == 2)
        loads = clients(server.port, [*[HEALTH] * 20, slow], stack)
        loads[0].wait_for(50)
        for _ in range(REPLACEMENTS):
            before = set(server.workers)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for(replaced(server, before), 60)
    report(loads)
    assert [load.faults for load in loads] == [[]] * len(loads)
    assert "Traceback" not in server.output


def test_the_load_finds_workers_that_go_without_a_word(site: Site) -> None:
    (site.instance / "functions" / "planted.py").write_text(SHUT_THE_DOOR)
    with site.serve() as server:
        server.wait_for(lambda: len(server.workers) == 2)
        with Load(server.port, [HEALTH], clients=4, pause=0.1) as load:
            load.wait_for(20)
            before = set(server.workers)
            server.process.send_signal(signal.SIGHUP)
            server.wait_for(replaced(server, before), 60)
            load.wait_for(load.done + 20)
    assert load.faults
    assert all("health: " in fault for fault in load.faults)


def test_workers_stay_when_their_successors_cannot_start(site: Site) -> None:
    with site.serve() as server:
        server.wait_for(lambda: len(server.workers) == 2)
        before = set(server.workers)
        (site.instance / "tinybase.toml").write_text("[server]\nthreads = 0\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda: "The workers from before go on" in server.output)
        assert "server.threads in tinybase.toml must be at least 1" in server.output
        assert server.request("GET", "/health").status == 200
        server.wait_for(lambda: set(server.workers) == before)


def report(loads: list[Load]) -> None:
    """Print what the clients did."""
    print(f"{sum(load.done for load in loads)} requests", [dict(load.answers) for load in loads])
