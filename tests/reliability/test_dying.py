"""An extension ends one worker again and again: the other one answers as if nothing happened.

``TINYBASE_TEST_DYING_SECONDS`` (3) says for how long. The full size is 30 or more, and is
repeated with 50 other extensions.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from .conftest import Site
from .load import Ask, FreshConnection, Load, expects
from .test_blame import Orders, connection_to
from .test_switching_under_load import STEADY

SECONDS = float(os.environ.get("TINYBASE_TEST_DYING_SECONDS", "3"))
FULL_SECONDS, OTHERS = 30, 50
SLOWEST_SECONDS = 5.0
CLIENTS = 2
FEWEST = 3

DYING = """
    import contextlib, fcntl, os, threading, time
    from pathlib import Path
    from tinybase.extensions import on_startup
    from tinybase.functions import register

    DEATHS = Path(os.environ["DEATHS"])
    asked = threading.Event()

    def end():
        asked.wait()
        time.sleep(0.2)
        with DEATHS.open("a") as file:
            file.write(f"{os.getpid()}\\n")
        os._exit(1)

    @on_startup
    def choose():
        # A process keeps this lock until it ends, so one of two is chosen, and then its successor.
        global lock
        lock = DEATHS.with_suffix(".lock").open("a")
        with contextlib.suppress(BlockingIOError):
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # No handler runs when the process ends: nobody is blamed, and nothing is quarantined.
            threading.Thread(target=end, daemon=True).start()

    @register(name="deadly", auth="public")
    def deadly():
        asked.set()
"""
ANOTHER = """
    from tinybase.extensions import on_record_create, on_startup

    @on_startup
    def start(ctx): ctx.log.info("started")

    @on_record_create
    def note(event, ctx): ctx.records.count("orders")
"""


def ended(deaths: Path) -> list[int]:
    """Return the processes that the extension has ended."""
    return [int(line) for line in deaths.read_text().split()] if deaths.exists() else []


@pytest.mark.parametrize(
    "others",
    [
        0,
        pytest.param(
            OTHERS,
            marks=pytest.mark.skipif(
                SECONDS < FULL_SECONDS,
                reason=f"only at full size: TINYBASE_TEST_DYING_SECONDS={FULL_SECONDS}",
            ),
        ),
    ],
)
def test_the_other_worker_answers_everything_while_one_ends_again_and_again(
    site: Site, tmp_path: Path, others: int
) -> None:
    site.add("dying", DYING)
    site.add("steady", STEADY)
    for number in range(others):
        site.add(f"another-{number}", ANOTHER)
    deaths = tmp_path / "deaths"
    with ExitStack() as stack:
        server = stack.enter_context(site.serve(DEATHS=str(deaths)))
        orders = Orders(server)
        server.wait_for(orders.both_serve)
        both = {
            pid: stack.enter_context(connection_to(server, pid, orders.token))
            for pid in server.workers
        }
        deadly = Ask("deadly", "POST", "/api/functions/deadly", expects(200), dict)
        strangers = Load(
            server.port, [deadly], clients=CLIENTS, pause=0.02, connect=FreshConnection
        )
        stack.enter_context(strangers)
        server.wait_for(lambda: ended(deaths))
        (survivor,) = set(both) - set(ended(deaths))

        health = Ask("health", "GET", "/health", expects(200))
        create = Ask(
            "create", "POST", orders.PATH, expects(201), lambda: {"title": "kept"}, orders.token
        )
        began, slowest, rounds = time.monotonic(), 0.0, 0
        while time.monotonic() - began < SECONDS or len(ended(deaths)) < FEWEST:
            for ask in (health, create):
                asked = time.monotonic()
                assert ask.verdict(*both[survivor].ask(ask.encoded())) is None
                slowest = max(slowest, time.monotonic() - asked)
            rounds += 1
            time.sleep(0.01)  # as a client that thinks; the cores are for the workers that start
        took = time.monotonic() - began

        looks = [
            Ask("total", "GET", f"{orders.PATH}?limit=1", expects(200), None, orders.token),
            Ask("status", "GET", "/api/admin/extensions/dying", expects(200), None, orders.token),
        ]
        stored, dying = (json.loads(both[survivor].ask(ask.encoded())[1]) for ask in looks)
        assert stored["total"] == rounds
        assert dying["status"] == "enabled"
        assert survivor in server.workers
        times = len(ended(deaths))
    print(
        f"{times} ends in {took:.1f} s; the other worker answered {rounds} reads and {rounds} "
        f"writes, the slowest after {slowest:.3f} s; of the requests of strangers "
        f"{strangers.done} were answered and {len(strangers.faults)} cut"
    )
    assert slowest < SLOWEST_SECONDS
    assert all("Connection" in fault for fault in strangers.faults)
    # What a client had with the process that ended, and once more until its door is closed.
    assert len(strangers.faults) <= 2 * CLIENTS * times
