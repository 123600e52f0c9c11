"""Extensions that end the process: found out by name, counted and switched off."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from serving import Server, tinybase

from .conftest import ADMIN, PASSWORD, Site, make_collection
from .load import Ask, Connection, expects
from .test_switching_under_load import STEADY

EXIT = "import os; os._exit(1)"
CRASH = "import ctypes; ctypes.string_at(0)"
HANG = "import ctypes; ctypes.PyDLL(None).sleep(1000)"
WAYS = (
    (EXIT, "ended with exit code 1"),
    (CRASH, "was ended by signal 11"),
    (HANG, "was ended by signal 9"),
)
OUT_OF_MEMORY = "import os; os.kill(os.getpid(), 9)"  # as the kernel does it

ON_CREATE = """
    from tinybase.extensions import on_record_create

    @on_record_create(collection="orders")
    def fatal(event):
        if event.data["title"] == "deadly":
            {how}
"""
FUNCTION = """
    from tinybase.functions import register

    @register(name="deadly", auth="public")
    def deadly():
        {how}
"""
ON_STARTUP = """
    from tinybase.extensions import on_startup

    @on_startup
    def fatal():
        {how}
"""


class Orders:
    """A collection in which some records are deadly, and what was acknowledged there."""

    PATH = "/api/collections/orders/records"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.token = server.login(ADMIN, PASSWORD)
        make_collection(server, self.token, "orders")
        self.acknowledged: list[str] = []

    def create(self, title: str) -> bool:
        """Create a record; say whether there was an answer."""
        try:
            answer = self.server.request("POST", self.PATH, {"title": title}, token=self.token)
        except OSError:
            return False
        assert answer.status == 201, answer.json
        self.acknowledged.append(answer.json["id"])
        return True

    def kill_a_worker(self) -> int:
        """Create a deadly record and wait until two workers serve again; say who died."""
        self.server.wait_for(self.both_serve)
        before = self.server.workers
        assert not self.create("deadly")
        self.server.wait_for(lambda: set(self.server.workers) != set(before))
        self.server.wait_for(self.both_serve)
        (dead,) = set(before) - set(self.server.workers)
        return dead

    def both_serve(self) -> bool:
        """Say whether both workers answer; the kernel deals out new connections to them."""
        answers = (self.server.request("POST", "/api/functions/steady", {}) for _ in range(6))
        with contextlib.suppress(OSError):
            return {answer.json["result"]["pid"] for answer in answers} == set(self.server.workers)
        return False

    def stored(self) -> list[dict[str, Any]]:
        """Return all records."""
        answer = self.server.request("GET", f"{self.PATH}?limit=1000", token=self.token)
        records: list[dict[str, Any]] = answer.json["records"]
        return records

    def last_errors(self, name: str) -> list[str]:
        """Return the types of what the handlers of an extension failed with the last time."""
        path = f"/api/admin/extensions/{name}/metrics"
        hooks = self.server.request("GET", path, token=self.token).json["hooks"]
        return [hook["last_error"]["type"] for hook in hooks if hook["last_error"]]

    def extension(self, name: str) -> Any:
        """Return what the API shows of an extension."""
        return self.server.request("GET", f"/api/admin/extensions/{name}", token=self.token).json


@contextmanager
def connection_to(server: Server, pid: int, token: str) -> Iterator[Connection]:
    """Open a connection to one of the workers."""
    ask = Ask("steady", "POST", "/api/functions/steady", expects(200), dict, token).encoded()
    with contextlib.ExitStack() as stack:
        while True:
            connection = Connection(server.port)
            stack.callback(connection.close)
            if json.loads(connection.ask(ask)[1])["result"]["pid"] == pid:
                yield connection
                return


def is_known_everywhere(orders: Orders, name: str, times: int) -> bool:
    """Say whether all workers show that an extension was found in processes that died."""
    reasons = [orders.extension(name)["status_reason"] or "" for _ in range(6)]
    return all(f"a process died {times}× within an hour" in reason for reason in reasons)


def listed(site: Site, name: str) -> Any:
    """Return what the command shows of an extension."""
    shown = tinybase("extensions", "list", "--json", instance=site.instance, env=site.environment)
    (found,) = (item for item in json.loads(shown.stdout) if item["name"] == name)
    return found


def is_quarantined_everywhere(orders: Orders, name: str) -> bool:
    return all(orders.extension(name)["status"] == "quarantined" for _ in range(6))


def test_a_handler_that_ends_the_worker_is_switched_off_at_the_third_time_in_whatever_way(
    site: Site,
) -> None:
    ways = site.instance / "ways"
    site.add("bad-one", ON_CREATE.format(how=f"exec(open({str(ways)!r}).read())"))
    site.add("good-one", ON_CREATE.format(how="pass"))
    site.add("steady", STEADY)
    with site.serve(TINYBASE_SERVER_HANG_SECONDS="2") as server:
        orders = Orders(server)
        for times, (way, ending) in enumerate(WAYS, 1):
            ways.write_text(way)
            assert orders.create("harmless")
            assert orders.extension("bad-one")["status"] == "enabled"
            orders.kill_a_worker()
            assert (
                f"{ending} while it was running bad_one:fatal of bad-one (on_record_create)"
                in server.output
            )
            if times < 3:
                server.wait_for(partial(is_known_everywhere, orders, "bad-one", times), 5)
                assert server.request("GET", "/health").json == {"status": "degraded"}
                assert "bad_one:fatal" in listed(site, "bad-one")["status_reason"]

        server.wait_for(lambda: is_quarantined_everywhere(orders, "bad-one"), 5)
        reason = orders.extension("bad-one")["status_reason"]
        assert "died 3× in bad_one:fatal (on_record_create)" in reason
        assert "tinybase extensions enable bad-one" in reason
        assert server.request("GET", "/health").json == {"status": "degraded"}
        assert orders.extension("good-one")["status"] == "enabled"
        assert orders.create("deadly")

        stored = orders.stored()
        assert set(orders.acknowledged) <= {record["id"] for record in stored}
        assert sum(record["data"]["title"] == "deadly" for record in stored) == 4

    bad = listed(site, "bad-one")
    assert (bad["status"], bad["status_reason"]) == ("quarantined", reason)


def test_the_other_worker_serves_while_one_dies_in_a_function(site: Site) -> None:
    site.add("bad-one", FUNCTION.format(how=EXIT))
    site.add("steady", STEADY)
    with site.serve() as server:
        orders = Orders(server)
        victim, survivor = server.workers
        with (
            connection_to(server, survivor, orders.token) as kept,
            connection_to(server, victim, orders.token) as doomed,
        ):
            deadly = Ask("deadly", "POST", "/api/functions/deadly", expects(200), dict)
            health = Ask("health", "GET", "/health", expects(200)).encoded()
            with contextlib.suppress(OSError):
                doomed.ask(deadly.encoded())
                pytest.fail("a dead worker answered")

            def is_replaced() -> bool:
                assert kept.ask(health)[0] == 200
                return victim not in server.workers and orders.both_serve()

            server.wait_for(is_replaced)
        assert survivor in server.workers
        assert "while it was running the function deadly of bad-one" in server.output


@pytest.mark.parametrize(
    ("source", "how"), [(ON_STARTUP, EXIT), ("{how}", CRASH)], ids=["on_startup", "import"]
)
def test_an_extension_that_ends_the_worker_at_the_start_is_switched_off_at_once(
    site: Site, source: str, how: str
) -> None:
    site.add("bad-one", source.format(how=how))
    site.add("good-one", "")
    with site.serve() as server:
        token = server.login(ADMIN, PASSWORD)
        path = "/api/admin/extensions/"
        assert server.request("GET", f"{path}bad-one", token=token).json["status"] == "quarantined"
        assert server.request("GET", f"{path}good-one", token=token).json["status"] == "enabled"
        assert server.request("GET", "/health").json == {"status": "degraded"}
        assert "extension bad-one is quarantined" in server.output


def test_an_extension_is_blamed_when_the_kernel_ends_a_worker_for_its_memory(site: Site) -> None:
    site.add("bad-one", ON_CREATE.format(how=OUT_OF_MEMORY))
    site.add("steady", STEADY)
    with site.serve() as server:
        orders = Orders(server)
        orders.kill_a_worker()
        server.wait_for(lambda: is_known_everywhere(orders, "bad-one", 1), 5)
        assert "was ended by signal 9 while it was running bad_one:fatal" in server.output


HOARD = """
    import resource
    from tinybase.extensions import on_record_create

    @on_record_create(collection="orders")
    def hoard(event):
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, hard))
        hoarded = []
        try:
            while True:
                hoarded.append(bytearray(2**24))
        finally:
            hoarded.clear()
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
"""


def test_a_handler_that_reaches_the_limit_of_memory_fails_alone(site: Site) -> None:
    site.add("bad-one", HOARD)
    with site.serve(1) as server:
        orders = Orders(server)
        before = server.workers
        assert orders.create("large")
        server.wait_for(lambda: "MemoryError" in orders.last_errors("bad-one"))
        assert orders.create("large")
        assert server.workers == before
        assert len(orders.stored()) == 2
