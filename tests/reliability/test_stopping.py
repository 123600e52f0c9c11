"""A server that is told to stop answers every request that it has begun, and takes no other.

``TINYBASE_TEST_STOPPED_REQUESTS`` (24) says how many there are at that moment.
"""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serving import Server

from .conftest import Site

REQUESTS = int(os.environ.get("TINYBASE_TEST_STOPPED_REQUESTS", "24"))

SLOW = """
    import time
    from pathlib import Path
    from tinybase.functions import register

    @register(name="slow", auth="public")
    def slow(payload: dict):
        folder, number = Path(payload["folder"]), payload["number"]
        (folder / f"begun-{number}").touch()
        while not (folder / "go-on").exists():
            time.sleep(0.01)
        (folder / f"done-{number}").touch()
        return {"number": number}
"""

HASTY = """
    import os
    from tinybase.cli import worker

    worker._Signals._stop = lambda *_: os._exit(0)
"""


def slow_requests(server: Server, folder: Path, pool: ThreadPoolExecutor) -> list[int]:
    """Stop the server while it answers requests; return the statuses that they got."""

    def ask(number: int) -> int:
        payload = {"folder": str(folder), "number": number}
        try:
            return server.request("POST", "/api/functions/slow", payload).status
        except OSError:
            return 0

    asked = [pool.submit(ask, number) for number in range(REQUESTS)]
    server.wait_for(lambda: len(list(folder.glob("begun-*"))) == REQUESTS)
    server.process.send_signal(signal.SIGTERM)
    wait_until_refused(server)
    (folder / "go-on").touch()
    return [future.result() for future in asked]


def wait_until_refused(server: Server) -> None:
    """Wait until the server takes no new request."""
    deadline = time.monotonic() + 10
    while True:
        try:
            server.request("GET", "/health", timeout=1)
        except OSError:
            return
        assert time.monotonic() < deadline, "a server that stops still takes requests"
        time.sleep(0.02)


def stopped(site: Site, folder: Path) -> list[int]:
    """Serve, and stop; return what the requests got that were under way."""
    settings = {
        "TINYBASE_SERVER_THREADS": str(REQUESTS + 8),  # one worker may get nearly all of them
        "TINYBASE_FUNCTIONS_MAX_CONCURRENT_PER_USER": str(REQUESTS),
    }
    with ThreadPoolExecutor(REQUESTS) as pool, site.serve(2, **settings) as server:
        statuses = slow_requests(server, folder, pool)
        assert server.process.wait(30) == 0
    return statuses


def test_every_request_that_was_begun_is_answered(site: Site, tmp_path: Path) -> None:
    site.add("slow-one", SLOW)

    assert stopped(site, tmp_path) == [200] * REQUESTS
    assert len(list(tmp_path.glob("done-*"))) == REQUESTS


def test_a_worker_that_ends_at_once_is_found(site: Site, tmp_path: Path) -> None:
    site.add("slow-one", SLOW)
    site.add("hasty-one", HASTY)

    assert 0 in stopped(site, tmp_path)
