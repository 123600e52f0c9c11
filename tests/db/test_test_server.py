"""The PostgreSQL of the tests goes when they go."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
RUN = """
import signal
from databases import running_postgres
with running_postgres() as server:
    print((server.folder / "postmaster.pid").read_text().splitlines()[0], server.folder, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_ended_takes_its_server_along(signum: signal.Signals) -> None:
    command = [sys.executable, "-c", RUN]
    with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        number, folder = process.stdout.readline().split()
        server = os.pidfd_open(int(number))
        process.send_signal(signum)
    try:
        assert select.select([server], [], [], 30)[0], f"the server in {folder} still runs"
    finally:
        os.close(server)
