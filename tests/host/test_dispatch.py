"""A request waits for the handlers it caused, but only for so long, and each in its own share."""

from __future__ import annotations

import re
import threading
import time
from contextvars import ContextVar
from dataclasses import replace

import pytest

from tinybase.host.dispatch import Dispatcher, collecting
from tinybase.host.shares import Limits, Share, Task
from tinybase.host.stats import HandlerStats

LIMITS = Limits(threads=2, wait_seconds=0.1, decide_seconds=0.1, hang_seconds=0.3, waiting=3)


class Call:
    """One call of a handler that is written on the spot."""

    def __init__(self, function, name="some:handler"):
        self.stats = HandlerStats("some", "tinybase_on_record_create", name)
        self.run = function
        self.was_let_go = False

    def let_go(self):
        self.was_let_go = True

    def skip(self):
        self.stats.skipped += 1


class Hanging:
    """Handlers that go on until the end of the test."""

    def __init__(self):
        self.release = threading.Event()

    def call(self, name="some:slow"):
        return Call(self.release.wait, name)


@pytest.fixture
def dispatcher():
    dispatcher = Dispatcher(wait_ms=100)
    dispatcher.limits = LIMITS
    yield dispatcher
    dispatcher.close()


@pytest.fixture
def share():
    share = Share(LIMITS)
    yield share
    share.close()


@pytest.fixture
def other():
    share = Share(LIMITS)
    yield share
    share.close()


@pytest.fixture
def hanging():
    hanging = Hanging()
    yield hanging
    hanging.release.set()


def telling(*calls):
    """Return a callback that calls a hook which so many handlers implement."""
    return lambda: [collecting().add(share, call) for share, call in calls]


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_until_hanging(share):
    until(lambda: not share.submit(Task([Call(lambda: None)], LIMITS.hang_seconds)))


def test_a_fast_handler_is_finished_when_the_request_goes_on(dispatcher, share):
    seen = []
    dispatcher.run([telling((share, Call(lambda: seen.append(1))))])
    assert seen == [1]


def test_a_slow_handler_holds_nobody_and_finishes_later(dispatcher, share, caplog):
    release, finished = threading.Event(), threading.Event()

    def slow():
        release.wait()
        finished.set()

    call = Call(slow, "slow_one:wait")
    started = time.monotonic()
    dispatcher.run([telling((share, call))])
    assert time.monotonic() - started < 1
    assert not finished.is_set()
    assert call.stats.timeouts == 1
    assert call.was_let_go
    assert "slow_one:wait is still running" in caplog.text
    release.set()
    assert finished.wait(5)
    assert dispatcher.drain(5, [share])


def test_a_handler_that_has_hardly_begun_is_not_taken_for_the_slow_one(
    dispatcher, share, other, hanging, caplog
):
    dispatcher.limits = replace(LIMITS, wait_seconds=0.5)
    slow = Call(lambda: time.sleep(0.3), "slow_one:wait")
    slow.stats.extension = "slow-one"

    dispatcher.run([telling((share, slow), (other, hanging.call("next_one:go")))])

    (report,) = caplog.messages
    found = re.fullmatch(
        r"extension some: next_one:go is still running after (\d+) ms .*; "
        r"the request waited 500 ms, (\d+) ms of it for slow-one",
        report,
    )
    assert found, report
    assert int(found[1]) < int(found[2])


def test_a_fault_between_handlers_does_not_stop_the_next_ones(dispatcher, share, caplog):
    seen = []

    def fault():
        raise LookupError

    dispatcher.run([fault, telling((share, Call(lambda: seen.append("next"))))])
    dispatcher.run([telling((share, Call(fault)), (share, Call(lambda: seen.append("again"))))])
    assert seen == ["next", "again"]
    assert "LookupError" in caplog.text


def test_handlers_run_in_their_order_and_those_of_one_extension_in_one_thread(
    dispatcher, share, other
):
    seen = []

    def note(text):
        return Call(lambda: seen.append((text, threading.get_ident())))

    dispatcher.run(
        [
            telling((share, note("a1")), (share, note("b1")), (other, note("c1"))),
            telling((share, note("a2")), (share, note("b2")), (other, note("c2"))),
        ]
    )
    assert [text for text, _ in seen] == ["a1", "b1", "a2", "b2", "c1", "c2"]
    assert len({thread for text, thread in seen if text[0] in "ab"}) == 1
    assert len({thread for _, thread in seen}) == 2


def test_an_order_that_alternates_between_extensions_is_kept(dispatcher, share, other):
    seen = []

    def note(text):
        return Call(lambda: seen.append(text))

    dispatcher.run([telling((share, note("a")), (other, note("b")), (share, note("c")))] * 2)
    assert seen == ["a", "a", "b", "b", "c", "c"]


def test_what_a_handler_causes_for_its_extension_runs_in_its_own_thread(dispatcher, share, other):
    threads = []

    def note():
        threads.append(threading.get_ident())

    def outer():
        note()
        dispatcher.run([telling((share, Call(note)), (other, Call(note)))])

    dispatcher.run([telling((share, Call(outer)))])
    assert threads[0] == threads[1] != threads[2]
    assert threading.get_ident() not in threads


def test_handlers_see_the_context_of_the_request(dispatcher, share):
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("mine")
    seen = []
    dispatcher.run([telling((share, Call(lambda: seen.append(variable.get()))))])
    assert seen == ["mine"]


def test_handlers_of_others_run_beside_one_that_hangs(dispatcher, share, other, hanging):
    ran = threading.Event()
    dispatcher.run([telling((share, hanging.call()), (other, Call(ran.set)))])
    assert ran.wait(5)


def test_handlers_of_the_same_extension_run_once_the_one_before_them_is_seen_to_hang(
    dispatcher, share, hanging
):
    ran = threading.Event()
    slow = hanging.call()
    dispatcher.run([telling((share, slow), (share, Call(ran.set)))])
    assert share.sweep() == []
    assert not ran.is_set()
    found = []
    until(lambda: found.extend(share.sweep()) or found)
    assert found == [slow]
    assert ran.wait(5)
    assert share.sweep() == []


def test_an_extension_all_of_whose_threads_hang_is_told_of_nothing_more(
    dispatcher, share, other, hanging
):
    for _ in range(LIMITS.threads):
        dispatcher.run([telling((share, hanging.call()))])
    wait_until_hanging(share)
    seen = []
    skipped = Call(lambda: seen.append("skipped"))
    dispatcher.limits = Limits(wait_seconds=60)
    dispatcher.run([telling((share, skipped), (other, Call(lambda: seen.append("other"))))])
    assert seen == ["other"]
    assert skipped.stats.skipped == 1


def test_what_has_to_wait_for_slow_handlers_holds_nobody_and_runs_after_them(
    dispatcher, share, hanging
):
    for _ in range(LIMITS.threads):
        dispatcher.run([telling((share, hanging.call()))])
    share.submit(Task([Call(lambda: None)], LIMITS.hang_seconds))
    until(lambda: share.is_slow)
    dispatcher.limits = Limits(wait_seconds=60)
    ran = threading.Event()
    dispatcher.run([telling((share, Call(ran.set)))])
    assert not ran.is_set()
    hanging.release.set()
    assert ran.wait(5)


def test_no_more_calls_wait_for_an_extension_than_it_may_have_waiting(share, hanging):
    taken = [share.submit(Task([hanging.call()], 60)) for _ in range(10)]
    assert taken == [True] * (LIMITS.threads + LIMITS.waiting) + [False] * 5


def test_a_share_for_which_there_is_no_thread_refuses_and_works_when_there_is_one(
    share, monkeypatch, caplog
):
    def exhausted(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", exhausted)
        for _ in range(LIMITS.threads + LIMITS.waiting + 1):
            assert not share.submit(Task([Call(lambda: None)], LIMITS.hang_seconds))
    assert "can't start new thread" in caplog.text

    task = Task([Call(lambda: None)], LIMITS.hang_seconds)
    assert share.submit(task)
    assert task.wait(5)


def test_a_thread_that_was_lost_comes_back_when_its_handler_ends(dispatcher, share, hanging):
    for _ in range(LIMITS.threads):
        dispatcher.run([telling((share, hanging.call()))])
    wait_until_hanging(share)
    hanging.release.set()
    assert share.drain(time.monotonic() + 5)
    seen = []
    dispatcher.run([telling((share, Call(lambda: seen.append(1))))])
    assert seen == [1]


def test_draining_waits_for_what_runs_but_not_for_what_hangs(dispatcher, share, hanging):
    dispatcher.run([telling((share, hanging.call()))])
    assert not dispatcher.drain(0.05, [share])
    assert dispatcher.drain(5, [share])


def test_the_set_of_extensions_is_in_use_until_the_last_handler_has_ended(
    dispatcher, share, other, hanging
):
    over = threading.Event()
    dispatcher.share = lambda: over.set
    dispatcher.run([telling((share, hanging.call()), (other, Call(lambda: None)))])
    assert not over.is_set()
    hanging.release.set()
    assert over.wait(5)


def test_what_is_done_aside_is_waited_for_by_nobody(dispatcher, hanging):
    dispatcher.aside(hanging.release.wait)
    assert not dispatcher.drain(0.05)
    hanging.release.set()
    assert dispatcher.drain(5)


def test_many_requests_at_once_all_have_their_handlers_run(dispatcher, share):
    seen = []
    share = Share(Limits(threads=2))
    note = Call(lambda: seen.append(1))
    threads = [
        threading.Thread(
            target=lambda: [dispatcher.run([telling((share, note))]) for _ in range(50)]
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dispatcher.drain(5, [share])
    share.close()
    assert len(seen) == 400
