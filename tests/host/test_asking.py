"""Handlers that a request asks: it waits a bounded time, and refuses what was not answered."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

import pytest

from tinybase.errors import Rejected, TinyBaseError
from tinybase.host import event_facts
from tinybase_hookspecs import BeforeRecordCreateEvent, FunctionCallEvent, RecordCreateEvent

HEAD = """
from tinybase.extensions import *
from tinybase.extensions import hookimpl
import seen as s
from seen import seen
"""
SECOND = {"TINYBASE_HOOKS_DECIDE_SECONDS": "1", "TINYBASE_HOOKS_HANG_SECONDS": "1"}


@pytest.fixture
def release(monkeypatch, seen):
    """Return what ends the handlers that hang on it."""
    event = threading.Event()
    monkeypatch.setattr(__import__("seen"), "release", event, raising=False)
    yield event
    event.set()


@pytest.fixture
def host(make_host):
    return make_host(**SECOND, TINYBASE_HOOKS_THREADS_PER_EXTENSION="2")


def ask(host, **data):
    """Ask whether a record may be created; return the data that is to be stored."""
    event = BeforeRecordCreateEvent("orders", uuid4(), data, None, **event_facts())
    host.pm.hook.tinybase_before_record_create(event=event)
    return event.data


def tell(host):
    host.pm.hook.tinybase_on_record_create(
        event=RecordCreateEvent("orders", uuid4(), {}, None, **event_facts())
    )


def stats_of(host, name):
    return next(stats for stats in host.handlers() if stats.handler.endswith(name))


def refusal(host, **data):
    with pytest.raises(TinyBaseError) as refused:
        ask(host, **data)
    return refused.value


def test_a_request_waits_for_a_handler_that_hangs_only_so_long_and_is_refused(
    host, site, seen, release, caplog
):
    site.add("bad", HEAD + "@before_record_create\ndef hang(event): s.release.wait()\n")
    host.load()
    started = time.monotonic()
    error = refusal(host)
    assert 1 <= time.monotonic() - started < 3
    assert error.code == "extension_error"
    assert error.members == {"extension": "bad"}
    assert "did not answer in before_record_create within 1 s" in error.detail
    assert "extension bad: bad:hang did not answer" in caplog.text
    assert stats_of(host, "bad:hang").timeouts == 1


def test_an_extension_all_of_whose_threads_hang_is_not_waited_for_and_others_answer(
    host, site, seen, release
):
    site.add(
        "bad",
        HEAD + "@before_record_create\n"
        "def hang(event):\n    if event.data.get('hang'): s.release.wait()\n"
        "@on_record_create\ndef told(event): seen.append('told')\n",
    )
    site.add("good", HEAD + "@before_record_create\ndef add(event): event.data['by'] = 'good'\n")
    host.load()
    for _ in range(2):
        refusal(host, hang=True)
    started = time.monotonic()
    error = refusal(host)
    assert time.monotonic() - started < 0.5
    assert "all of its 2 threads hang" in error.detail
    # What it is told afterwards has threads of its own.
    tell(host)
    assert seen == ["told"]
    release.set()
    deadline = time.monotonic() + 5
    while True:
        try:
            assert ask(host) == {"by": "good"}
        except TinyBaseError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        else:
            break


def test_what_a_handler_that_is_too_late_changes_or_rejects_changes_nothing(
    host, site, seen, release
):
    site.add(
        "bad",
        HEAD + "@before_record_create\n"
        "def late(event):\n"
        "    s.release.wait()\n"
        "    event.data['late'] = True\n"
        "    seen.append('late')\n"
        "    raise Reject('too late')\n",
    )
    host.load()
    event = BeforeRecordCreateEvent("orders", uuid4(), {}, None, **event_facts())
    with pytest.raises(TinyBaseError):
        host.pm.hook.tinybase_before_record_create(event=event)
    release.set()
    deadline = time.monotonic() + 5
    while stats_of(host, "bad:late").calls == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert seen == ["late"]
    assert event.data == {}


def test_a_call_of_a_function_goes_on_without_a_handler_that_hangs(host, site, seen, release):
    site.add("bad", HEAD + "@on_function_call\ndef hang(event): s.release.wait()\n")
    site.add("good", HEAD + "@on_function_call\ndef note(event): seen.append(1)\n")
    host.load()
    host.pm.hook.tinybase_on_function_call(event=FunctionCallEvent("pay", None, {}))
    assert seen == [1]
    assert stats_of(host, "bad:hang").timeouts == 1


ODD = {
    "no JSON": ("event.data['at'] = object()", "a value of the type object into event.data"),
    "a key that is no text": ("event.data[1] = 2", "the key 1 into event.data"),
    "a mapping of its own": (
        "from collections import UserDict\n    class Odd(UserDict):\n"
        "        def __iter__(self): raise ValueError('boom')\n    return Odd(a=1)",
        "boom",
    ),
    "itself": ("event.data['self'] = event.data", "recursion"),
    "a coroutine": ("async def f(): raise ValueError('boom')\n    return f()", "boom"),
    "a generator": ("return (n for n in range(3))", "it returned generator"),
    "no mapping": ("return 3", "it returned int"),
    "SystemExit": ("raise SystemExit", "SystemExit"),
}


@pytest.mark.parametrize("fault", ODD)
def test_a_handler_that_makes_something_odd_of_the_data_is_refused_by_name(
    fault, host, site, seen, caplog
):
    how, what = ODD[fault]
    site.add("bad", HEAD + f"@before_record_create\ndef odd(event):\n    {how}\n")
    host.load()
    error = refusal(host)
    assert error.code == "extension_error"
    assert error.members == {"extension": "bad"}
    assert "bad:odd failed" in caplog.text
    assert what in caplog.text


def test_a_handler_that_a_handler_asks_for_in_its_transaction_needs_no_other_thread(
    host, site, seen, monkeypatch
):
    module = __import__("seen")
    monkeypatch.setattr(module, "again", lambda: ask(host), raising=False)
    site.add(
        "deep",
        HEAD + "@before_record_create\n"
        "def again(event):\n"
        "    seen.append(event.depth)\n"
        "    if event.depth < 5: s.again()\n",
    )
    host.load()
    ask(host)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_a_chain_across_extensions_and_threads_is_refused_at_the_depth_limit(
    make_host, site, seen, monkeypatch
):
    host = make_host(TINYBASE_HOOKS_DECIDE_SECONDS="20", TINYBASE_HOOKS_THREADS_PER_EXTENSION="8")
    module = __import__("seen")
    monkeypatch.setattr(module, "ask", lambda: ask(host), raising=False)
    for name in ("one", "two"):
        site.add(
            name,
            HEAD + "@before_record_create\n"
            f"def f(event):\n    if event.depth % 2 == {name == 'two':d}: s.ask()\n",
        )
    host.load()
    error = refusal(host)
    assert error.status == 409
    assert "one:f -> two:f -> one:f -> two:f" in error.detail


STYLES = ["wrapper=True", "hookwrapper=True"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("how", "code"),
    [("raise Reject('no', code='closed')", "closed"), ("raise ValueError", "extension_error")],
)
def test_a_raw_wrapper_may_reject_and_fails_closed(style, moment, how, code, host, site, seen):
    site.add(
        "wraps",
        HEAD + f"@hookimpl({style}, specname='tinybase_before_record_create')\n"
        "def around(event):\n"
        f"    {how if moment == 'before' else 'pass'}\n"
        "    outcome = yield\n"
        f"    {how if moment == 'after' else 'pass'}\n"
        "    return outcome\n",
    )
    site.add("inner", HEAD + "@before_record_create\ndef f(event): seen.append(2)\n")
    host.load()
    error = refusal(host)
    assert (error.code, error.members) == (code, {"extension": "wraps"})
    assert seen == ([] if moment == "before" else [2])


@pytest.mark.parametrize("style", STYLES)
def test_a_raw_wrapper_changes_the_data_for_those_inside_and_after_them(style, host, site, seen):
    site.add(
        "wraps",
        HEAD + f"@hookimpl({style}, specname='tinybase_before_record_create')\n"
        "def around(event):\n"
        "    event.data['n'] += 1\n"
        "    outcome = yield\n"
        "    event.data['n'] *= 10\n"
        "    return outcome\n",
    )
    site.add("inner", HEAD + "@before_record_create\ndef f(event): event.data['n'] += 1\n")
    host.load()
    assert ask(host, n=1) == {"n": 30}


@pytest.mark.parametrize("style", STYLES)
def test_a_raw_wrapper_cannot_make_a_refusal_of_another_undone(style, host, site, seen):
    site.add(
        "wraps",
        HEAD + f"@hookimpl({style}, specname='tinybase_before_record_create')\n"
        "def around(event):\n"
        "    try:\n        outcome = yield\n"
        "        if not isinstance(outcome, list): outcome.force_result([])\n"
        "    except Exception as error:\n        seen.append(type(error).__name__)\n"
        "    return []\n",
    )
    site.add("inner", HEAD + "@before_record_create\ndef f(event): raise Reject('no', code='c')\n")
    host.load()
    with pytest.raises(Rejected) as refused:
        ask(host)
    assert refused.value.members == {"extension": "inner"}
    assert seen == (["Rejected"] if style == "wrapper=True" else [])


def test_a_raw_wrapper_that_hangs_is_refused_too(host, site, seen, release):
    site.add(
        "wraps",
        HEAD + "@hookimpl(wrapper=True, specname='tinybase_before_record_create')\n"
        "def around(event):\n    s.release.wait()\n    return (yield)\n",
    )
    host.load()
    assert "did not answer" in refusal(host).detail


def test_a_raw_wrapper_surrounds_what_is_told_after_a_commit(host, site, seen):
    site.add(
        "wraps",
        HEAD + "@hookimpl(wrapper=True, specname='tinybase_on_record_create')\n"
        "def around(event):\n    seen.append(1)\n    yield\n    seen.append(3)\n",
    )
    site.add("inner", HEAD + "@on_record_create\ndef f(event): seen.append(2)\n")
    host.load()
    host._dispatcher.run([lambda: tell(host), lambda: tell(host)])
    assert seen == [1, 2, 3, 1, 2, 3]


def test_a_handler_that_fails_often_enough_is_called_no_more_where_the_operator_says_so(
    make_host, site, seen
):
    host = make_host(TINYBASE_HOOKS_QUARANTINE_AFTER="3")
    site.add(
        "bad",
        HEAD
        + "@on_record_create\ndef fault(event):\n    seen.append(1)\n    raise ValueError('boom')\n"
        "@on_record_create\ndef fine(event): seen.append('fine')\n"
        "@before_record_create\ndef check(event): raise ValueError('boom')\n",
    )
    host.load()
    for _ in range(5):
        tell(host)
        refusal(host)
    assert seen == [1, "fine"] * 3 + ["fine"] * 2
    stats = stats_of(host, "bad:fault")
    assert (stats.calls, stats.errors, stats.skipped) == (3, 3, 2)
    assert stats.quarantine == (
        "bad:fault failed 3× within a minute, the last time: ValueError: boom"
    )
    # What decides is not passed over: nothing happens unasked.
    assert "is quarantined: bad:check failed 3×" in refusal(host).detail
    assert stats_of(host, "bad:check").calls == 3


def test_without_that_setting_a_handler_is_called_however_often_it_fails(host, site, seen):
    site.add("bad", HEAD + "@on_record_create\ndef fault(event): raise ValueError('boom')\n")
    host.load()
    for _ in range(30):
        tell(host)
    assert stats_of(host, "bad:fault").errors == 30
