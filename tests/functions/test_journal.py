"""Calls that lost their worker."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import insert
from uuid_utils.compat import uuid7

from tinybase.db import tables, utcnow

HERE = socket.gethostname()


@pytest.fixture
def running(database):
    """Record a running call of some process."""

    def add(host: str, *, caller="user:1", age_seconds=0):
        call_id = uuid7()
        with database.write() as work:
            work.connection.execute(
                insert(tables.function_calls).values(
                    id=call_id,
                    function_name="f",
                    status="running",
                    host=host,
                    caller=caller,
                    started_at=utcnow() - timedelta(seconds=age_seconds),
                )
            )
        return call_id

    return add


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_calls_of_processes_that_are_gone_are_closed(functions, running, dead_pid):
    lost = running(f"{HERE}:{dead_pid}")

    assert functions.close_abandoned() == 1

    call = functions.get_call(lost)
    assert (call["status"], call["error_type"]) == ("failed", "Interrupted")
    assert call["finished_at"] is not None
    assert functions.close_abandoned() == 0


def test_calls_of_living_processes_and_other_machines_are_left_alone(functions, running):
    calls = [running(f"{HERE}:{os.getppid()}"), running("elsewhere:1"), running("")]

    assert functions.close_abandoned() == 0
    assert {functions.get_call(call)["status"] for call in calls} == {"running"}


def test_an_earlier_process_with_our_number_is_gone(make_functions, running):
    lost = running(f"{HERE}:{os.getpid()}", age_seconds=5)

    functions = make_functions()

    assert functions.close_abandoned() == 1
    assert functions.get_call(lost)["status"] == "failed"


def test_calls_past_their_deadline_are_closed_wherever_they_ran(make_functions, running):
    functions = make_functions(timeout_seconds=100)
    late, in_time = running("elsewhere:1", age_seconds=161), running("elsewhere:1", age_seconds=150)

    assert functions.close_abandoned() == 1

    assert functions.get_call(late)["status"] == "failed"
    assert functions.get_call(in_time)["status"] == "running"


def test_a_lost_call_does_not_keep_its_place_beyond_its_deadline(
    make_functions, running, offer, caller
):
    functions = make_functions(timeout_seconds=100, max_concurrent_per_user=1)
    offer(lambda: 1, name="one")
    running("elsewhere:1", caller=f"user:{caller.user_id}", age_seconds=161)

    assert functions.call(caller, "one", {}).status == "succeeded"
