"""A failing handler harms nobody: not the next handler, not the request, not the event."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import threading
from contextlib import contextmanager
from uuid import uuid4

import pytest

from tinybase.errors import Conflict, Rejected
from tinybase.host import caused_by, event_facts
from tinybase_hookspecs import FunctionCallEvent, RecordCreateEvent, UserLoginEvent


def create(host, collection="orders", **data):
    event = RecordCreateEvent(collection, uuid4(), data, None, **event_facts())
    host.pm.hook.tinybase_on_record_create(event=event)
    return event


def handler_stats(host, name):
    return next(stats for stats in host.handlers() if stats.handler.endswith(name))


HEAD = """
from tinybase.extensions import *
from tinybase.extensions import hookimpl
from seen import seen
"""

FAULTS = {
    "Exception": "raise ValueError('boom')",
    "an exception without a text": (
        "class Odd(Exception):\n"
        "        def __str__(self): raise ValueError\n"
        "        __repr__ = __str__\n"
        "    raise Odd"
    ),
    "BaseException": "class Odd(BaseException): pass\n    raise Odd('boom')",
    "SystemExit": "raise SystemExit(3)",
    "GeneratorExit": "raise GeneratorExit",
    "endless recursion": "fault(event)",
    "TinyBaseError": "from tinybase.errors import NotFound\n    raise NotFound('boom')",
    "Reject where nothing can be rejected": "raise Reject('no')",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_handler_is_logged_by_name_and_the_others_run(
    fault, host, site, seen, caplog
):
    site.add(
        "bad",
        HEAD
        + "@on_record_create\ndef before(event): seen.append('before')\n"
        + f"@on_record_create\ndef fault(event):\n    {FAULTS[fault]}\n"
        + "@on_record_create\ndef after(event): seen.append('after')\n",
    )
    site.add("good", HEAD + "@on_record_create\ndef other(event): seen.append('other')\n")
    host.load()

    create(host)

    assert seen == ["before", "after", "other"]
    record = next(r for r in caplog.records if r.levelno == logging.ERROR)
    assert "extension bad" in record.message
    assert "bad:fault" in record.message
    assert record.exc_info
    stats = handler_stats(host, "bad:fault")
    assert (stats.calls, stats.errors) == (1, 1)


def test_a_repeated_failure_is_logged_once_a_minute_with_the_count(
    host, site, seen, caplog, monkeypatch
):
    site.add("bad", HEAD + "@on_record_create\ndef fault(event): raise ValueError('boom')\n")
    host.load()
    now = [1000.0]
    monkeypatch.setattr("tinybase.host.guard.time.monotonic", lambda: now[0])
    for _ in range(5):
        create(host)
    assert len([r for r in caplog.records if "bad:fault" in r.message]) == 1
    now[0] += 61
    create(host)
    reports = [r.message for r in caplog.records if "bad:fault" in r.message]
    assert len(reports) == 2
    assert "4 more" in reports[1]
    assert handler_stats(host, "bad:fault").errors == 6


def test_every_handler_has_a_copy_of_the_event_of_its_own(host, site, seen):
    site.add(
        "vandal",
        HEAD + "@on_record_create\n"
        "def spoil(event):\n"
        "    event.data['items'].append('spoilt')\n"
        "    event.data.clear()\n"
        "    event.collection = 'spoilt'\n"
        "@hookimpl\n"
        "def tinybase_on_record_create(event):\n"
        "    event.data['items'].append('raw')\n",
    )
    site.add(
        "witness",
        HEAD + "@on_record_create\ndef look(event): seen.append((event.collection, event.data))\n",
    )
    host.load()
    event = create(host, items=[1, {"a": 2}])
    assert seen == [("orders", {"items": [1, {"a": 2}]})]
    assert event.data == {"items": [1, {"a": 2}]}


@pytest.mark.parametrize(
    ("given", "matching"),
    [
        ('collection="orders"', ["orders"]),
        ('collection="order*"', ["orders", "order_lines"]),
        ('collection=["notes", "order_*"]', ["order_lines", "notes"]),
        ("", ["orders", "order_lines", "notes"]),
        ("collection=None", ["orders", "order_lines", "notes"]),
    ],
)
def test_a_handler_is_called_for_the_collections_it_asks_for(given, matching, host, site, seen):
    site.add(
        "filters", HEAD + f"@on_record_create({given})\ndef f(event): seen.append(event.collection)"
    )
    host.load()
    for name in ("orders", "order_lines", "notes"):
        create(host, name)
    assert seen == matching


def test_handlers_of_one_extension_run_in_the_order_written_extensions_by_name(host, site, seen):
    body = "\n".join(
        f"@on_record_create({order})\ndef {name}(event): seen.append(NAME + ' {name}')"
        for name, order in [
            ("late", "trylast=True"),
            ("last", "trylast=True"),
            ("zebra", ""),
            ("_private", ""),
            ("apple", ""),
            ("first", "tryfirst=True"),
        ]
    )
    for name in ("b", "a"):
        site.add(name, HEAD + "NAME = __name__\n" + body)
    host.load()
    create(host)
    assert seen == [
        "a first",
        "b first",
        "a zebra",
        "a _private",
        "a apple",
        "b zebra",
        "b _private",
        "b apple",
        "a late",
        "a last",
        "b late",
        "b last",
    ]


def test_every_spelling_of_a_handler_is_called(host, site, seen):
    site.add(
        "spellings",
        HEAD
        + """
import functools

class Shop:
    def sold(self, event): seen.append("method")

    @on_record_create
    @staticmethod
    def static(event): seen.append("static")

    def __call__(self, event): seen.append("object")

def foreign(function):
    @functools.wraps(print)
    def wrapper(*arguments): return function(*arguments)
    return wrapper

on_record_create(Shop().sold)
on_record_create(Shop())
on_record_create(lambda e: seen.append("lambda"))
on_record_create(functools.partial(lambda level, event: seen.append(level), "partial"))

@on_record_create
def nothing(): seen.append("nothing")

@on_record_create
@foreign
def wrapped(event): seen.append("wrapped")

def make():
    @on_record_create
    def nested(event): seen.append("nested")
make()

@on_record_create()
async def later(event):
    import asyncio
    await asyncio.sleep(0)
    seen.append("async")

@on_record_create
def same(event): seen.append("same 1")

@on_record_create
def same(event): seen.append("same 2")

@hookimpl(specname="tinybase_on_record_create")
def raw(event): seen.append("raw")
""",
        files={"deep/__init__.py": "", "deep/nested.py": HEAD + "@on_record_create\ndef f(e): ..."},
    )
    host.load()
    create(host)
    assert seen == [
        "static",
        "method",
        "object",
        "lambda",
        "partial",
        "nothing",
        "wrapped",
        "nested",
        "async",
        "same 1",
        "same 2",
        "raw",
    ]


def test_async_handlers_share_one_loop_that_outlives_the_event(host, site, seen):
    site.add(
        "loops",
        HEAD + "import asyncio\n@on_record_create\n"
        "async def f(event): seen.append(asyncio.get_running_loop())",
    )
    host.load()
    create(host)
    create(host)
    assert seen[0] is seen[1]
    assert isinstance(seen[0], asyncio.AbstractEventLoop)


def test_an_async_handler_that_blocks_its_loop_delays_no_async_handler_of_others(host, site, seen):
    site.add(
        "blocking",
        HEAD + "import threading\nblocked = threading.Event()\nfree = threading.Event()\n"
        "@on_record_create(priority=1)\n"
        "async def f(event):\n    blocked.set()\n    free.wait(30)\n    seen.append('blocking')",
    )
    site.add(
        "other",
        HEAD + "import threading\ndone = threading.Event()\n"
        "@on_record_create\nasync def f(event): done.set()",
    )
    host.load()
    create(host)
    blocking, other = sys.modules["blocking"], sys.modules["other"]
    try:
        assert blocking.blocked.wait(10)
        assert other.done.wait(10)
        assert seen == []
    finally:
        blocking.free.set()


def test_the_loop_of_an_extension_ends_when_it_is_switched_off(host, site, seen):
    site.add(
        "loops",
        HEAD + "import asyncio, threading\n@on_record_create\nasync def f(event):\n"
        "    loop = asyncio.get_running_loop()\n"
        "    task = loop.create_task(asyncio.sleep(3600))\n"
        "    ended = threading.Event()\n"
        "    task.add_done_callback(lambda _: ended.set())\n"
        "    seen.append((loop, task, ended))",
    )
    host.load()
    create(host)
    ((loop, task, ended),) = seen
    host.set_enabled("loops", False)
    assert ended.wait(10)
    assert task.cancelled()
    host.set_enabled("loops", True)
    create(host)
    assert seen[1][0] is not loop


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt", "ValueError"])
def test_an_async_handler_that_wants_to_end_the_process_ends_only_itself(error, host, site, seen):
    site.add(
        "quits",
        HEAD + f"@on_record_create\nasync def quits(event): raise {error}\n"
        "@on_record_create\nasync def stays(event): seen.append('stays')\n",
    )
    host.load()
    # Not in the main thread, where a KeyboardInterrupt is somebody's Ctrl-C.
    requests = threading.Thread(target=lambda: [create(host), create(host)])
    requests.start()
    requests.join()
    assert seen == ["stays", "stays"]
    assert handler_stats(host, "quits:quits").errors == 2


@pytest.mark.parametrize("style", ["wrapper=True", "hookwrapper=True"])
@pytest.mark.parametrize("moment", ["before", "after", "never"])
def test_a_raw_wrapper_that_fails_is_passed_over(style, moment, host, site, seen, caplog):
    fail = "raise ValueError('boom')"
    site.add(
        "wraps",
        HEAD + f"@hookimpl({style}, specname='tinybase_on_record_create')\n"
        "def around(event):\n"
        f"    {fail if moment == 'before' else 'seen.append(1)'}\n"
        "    outcome = yield\n"
        f"    {fail if moment == 'after' else 'seen.append(3)'}\n"
        "    return outcome\n",
    )
    site.add("inner", HEAD + "@on_record_create\ndef f(event): seen.append(2)\n")
    host.load()
    create(host)
    assert seen == {"before": [2], "after": [1, 2], "never": [1, 2, 3]}[moment]
    assert handler_stats(host, "wraps:around").errors == (0 if moment == "never" else 1)


def test_reject_out_of_on_function_call_reaches_the_caller_with_the_extensions_name(
    host, site, seen
):
    site.add(
        "strict",
        HEAD + "@on_function_call(name='pay')\n"
        "def veto(event): raise Reject('Not today', status=409, code='closed')\n",
    )
    host.load()
    with pytest.raises(Rejected) as refused:
        host.pm.hook.tinybase_on_function_call(event=FunctionCallEvent("pay", None, {}))
    error = refused.value
    assert (error.detail, error.status, error.code) == ("Not today", 409, "closed")
    assert error.members == {"extension": "strict"}
    host.pm.hook.tinybase_on_function_call(event=FunctionCallEvent("other", None, {}))


def test_an_ordinary_exception_in_on_function_call_does_not_stop_the_call(host, site, seen):
    site.add("bad", HEAD + "@on_function_call\ndef f(event): raise ValueError('boom')\n")
    host.load()
    host.pm.hook.tinybase_on_function_call(event=FunctionCallEvent("pay", None, {}))
    assert handler_stats(host, "bad:f").errors == 1


def test_a_handler_gets_a_context_and_a_scope_of_its_own(host, site, seen):
    opened = []

    @contextmanager
    def scope(name="scope"):
        opened.append(f"{name} opened")
        yield f"ctx of {name}"
        opened.append(f"{name} closed")

    host.around.scope = scope
    host.around.open_context = scope
    site.add("with-context", HEAD + "@on_record_create\ndef f(event, ctx): seen.append(ctx)\n")
    host.load()
    create(host)
    assert seen == ["ctx of with_context:f"]
    assert opened == [
        "scope opened",
        "with_context:f opened",
        "with_context:f closed",
        "scope closed",
    ]


def test_a_chain_of_handlers_is_refused_at_the_depth_limit_and_the_message_shows_it(
    host, site, seen, monkeypatch
):
    module = __import__("seen")
    monkeypatch.setattr(module, "again", functools.partial(create, host), raising=False)
    site.add(
        "endless",
        HEAD + "import seen as s\n@on_record_create\n"
        "def again(event):\n"
        "    seen.append(event.depth)\n"
        "    try: s.again()\n"
        "    except Exception as error: seen.append(error); raise\n",
    )
    host.load()
    create(host)
    depths, (error,) = seen[:8], seen[8:]
    assert depths == list(range(8))
    assert isinstance(error, Conflict)
    assert "endless:again -> endless:again" in error.detail


def test_an_event_tells_who_caused_it_and_through_which_door():
    from tinybase.actors import SYSTEM

    with caused_by(actor=SYSTEM, origin="cli", request_id="r1"):
        facts = event_facts()
    assert facts == {
        "request_id": "r1",
        "actor": "system",
        "actor_id": None,
        "origin": "cli",
        "depth": 0,
    }
    event = UserLoginEvent(uuid4(), "a@b.c", is_admin=False, **facts)
    assert event.origin == "cli"


def test_one_handler_that_fails_does_not_disturb_others_in_threads(host, site, seen):
    site.add(
        "mixed",
        HEAD + "@on_record_create\ndef bad(event): raise ValueError\n"
        "@on_record_create\ndef good(event): seen.append(1)\n",
    )
    host.load()
    threads = [threading.Thread(target=lambda: [create(host) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 200
