"""A handler that fails too often is called no more, in no worker, until somebody enables it."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

import pytest

from tinybase.host import event_facts
from tinybase_hookspecs import RecordCreateEvent

HEAD = """
from tinybase.extensions import *
import seen as s
from seen import seen
"""
FAILING = HEAD + (
    "@on_record_create\n"
    "def fault(event):\n    seen.append('called')\n    raise ValueError('boom')\n"
    "@on_record_create\ndef fine(event): pass\n"
)
TWICE = {"TINYBASE_HOOKS_QUARANTINE_AFTER": "2"}


def tell(host):
    host.pm.hook.tinybase_on_record_create(
        event=RecordCreateEvent("orders", uuid4(), {}, None, **event_facts())
    )


def quarantined(host):
    return {item.handler: item.quarantine for item in host.handlers() if item.quarantine}


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def quarantining(make_host, site, seen):
    """Return a worker in which a handler has failed as often as it may."""
    site.add("bad", FAILING)
    site.add("good", HEAD + "@on_record_create\ndef other(event): seen.append('other')\n")
    host = make_host(**TWICE)
    host.start()
    for _ in range(3):
        tell(host)
    assert seen == ["called", "other", "called", "other", "other"]
    return host


def test_other_workers_take_it_over_and_lists_say_which_handler_it_is(quarantining, make_host):
    other = make_host(**TWICE)
    other.load()
    until(lambda: other.refresh() or quarantined(other))
    assert quarantined(other) == {
        "bad:fault": "bad:fault failed 2× within a minute, the last time: ValueError: boom"
    }
    state = other.extension("bad")
    assert (state.status, state.is_ill) == ("enabled", True)
    assert state.reason == (
        "a handler is quarantined: bad:fault failed 2× within a minute, the last time: "
        "ValueError: boom. Update it, then run tinybase extensions enable bad."
    )
    assert other.extension("good").reason is None


def test_enabling_the_extension_lifts_it_everywhere_and_counts_anew(quarantining, make_host, seen):
    other = make_host(**TWICE)
    other.load()
    until(lambda: other.refresh() or quarantined(other))
    assert other.set_enabled("bad", enabled=True).reason is None
    assert quarantined(other) == {}
    until(lambda: quarantining.extension("bad").reason is None)
    assert quarantined(quarantining) == {}
    seen.clear()
    tell(quarantining)
    tell(other)
    assert seen.count("called") == 2
    assert quarantined(quarantining) == quarantined(other) == {}


def test_a_handler_that_hangs_again_and_again_is_quarantined(make_host, site, seen, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(__import__("seen"), "release", release, raising=False)
    site.add("bad", HEAD + "@on_record_create\ndef hang(event): s.release.wait()\n")
    host = make_host(**TWICE, TINYBASE_HOOKS_HANG_SECONDS="1", TINYBASE_HOOKS_WAIT_MS="50")
    host.start()
    try:
        tell(host)
        tell(host)
        until(lambda: quarantined(host))
        assert "it hung for more than 1 s" in quarantined(host)["bad:hang"]
        tell(host)
        (handler,) = host.handlers()
        assert handler.skipped == 1
    finally:
        release.set()


def test_code_of_the_operator_is_never_taken_away(make_host, instance, seen):
    (instance / "unsteady.py").write_text(FAILING)
    host = make_host(**TWICE, TINYBASE_EXTENSIONS_MODULES="unsteady")
    host.load()
    for _ in range(5):
        tell(host)
    assert seen == ["called"] * 5
    assert quarantined(host) == {}
