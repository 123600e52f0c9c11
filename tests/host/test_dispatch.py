"""A request waits for the handlers it caused, but only for so long."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

import pytest

from tinybase.host.dispatch import Dispatcher, now_running
from tinybase.host.stats import HandlerStats


@pytest.fixture
def dispatcher():
    dispatcher = Dispatcher(wait_ms=100, threads=4)
    yield dispatcher
    dispatcher.close()


def test_a_fast_handler_is_finished_when_the_request_goes_on(dispatcher):
    seen = []
    dispatcher.run([lambda: seen.append(1), lambda: seen.append(2)])
    assert seen == [1, 2]


def test_a_slow_handler_holds_nobody_and_finishes_later(dispatcher, caplog):
    release, finished = threading.Event(), threading.Event()
    stats = HandlerStats("slow-one", "tinybase_on_record_create", "slow_one:wait")

    def slow():
        now_running(stats)
        release.wait()
        finished.set()

    started = time.monotonic()
    dispatcher.run([slow])
    assert time.monotonic() - started < 1
    assert not finished.is_set()
    assert stats.timeouts == 1
    assert "slow_one:wait is still running" in caplog.text
    release.set()
    assert finished.wait(5)
    assert dispatcher.drain(5)


def test_a_fault_between_handlers_does_not_stop_the_next_ones(dispatcher, caplog):
    seen = []

    def fault():
        raise SystemExit

    dispatcher.run([fault, lambda: seen.append("next")])
    dispatcher.run([lambda: seen.append("again")])
    assert seen == ["next", "again"]


def test_what_a_handler_causes_runs_in_its_own_thread(dispatcher):
    threads = []

    def outer():
        threads.append(threading.get_ident())
        dispatcher.run([lambda: threads.append(threading.get_ident())])

    dispatcher.run([outer])
    assert threads[0] == threads[1] != threading.get_ident()


def test_handlers_see_the_context_of_the_request(dispatcher):
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("mine")
    seen = []
    dispatcher.run([lambda: seen.append(variable.get())])
    assert seen == ["mine"]


def test_draining_tells_whether_everything_has_finished(dispatcher):
    release = threading.Event()
    dispatcher.run([release.wait])
    assert not dispatcher.drain(0.05)
    release.set()
    assert dispatcher.drain(5)


def test_many_requests_at_once_all_have_their_handlers_run(dispatcher):
    seen = []
    threads = [
        threading.Thread(
            target=lambda: [dispatcher.run([lambda: seen.append(1)]) for _ in range(50)]
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dispatcher.drain(5)
    assert len(seen) == 400
