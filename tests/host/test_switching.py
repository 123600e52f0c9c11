"""Extensions are switched on and off while the process runs."""

from __future__ import annotations

import threading
import time

import pytest

from tinybase.errors import Conflict, NotFound

LIVELY = """
    from tinybase.extensions import on_shutdown, on_startup, on_user_login
    from seen import seen

    NAME = __name__

    @on_startup
    def start():
        seen.append(f"{NAME} start")

    @on_user_login
    def login(event):
        seen.append(f"{NAME} login")

    @on_shutdown
    def stop():
        seen.append(f"{NAME} stop")
"""


def login(host):
    host.pm.hook.tinybase_on_user_login(event=type("Event", (), {"event_id": 1})())


def test_disable_and_enable_are_exact_inverses(host, site, seen):
    site.add("one", LIVELY)
    host.start()
    login(host)

    host.set_enabled("one", False)
    login(host)
    assert host.extension("one").status == "disabled"

    host.set_enabled("One", True)
    login(host)
    assert host.extension("one").status == "enabled"
    assert seen == ["one start", "one login", "one stop", "one start", "one login"]


def test_a_disabled_extension_is_not_imported(make_host, site, seen):
    site.add("one", "from seen import seen; seen.append('imported')")
    make_host().desired.set_enabled("one", is_enabled=False)
    host = make_host()
    host.start()
    assert seen == []
    assert host.extension("one").status == "disabled"


def test_another_process_follows_within_a_second(make_host, site, seen):
    site.add("one", LIVELY)
    worker, other = make_host(), make_host()
    worker.start()
    other.load()
    other.set_enabled("one", False)
    worker.refresh()
    assert worker.extension("one").status == "disabled"
    assert seen == ["one start", "one stop"]


def test_the_watching_thread_notices_by_itself(make_host, site, seen, instance):
    site.add("one", LIVELY)
    worker = make_host()
    worker.start()
    stopped = threading.Event()
    original = worker._run_shutdown
    worker._run_shutdown = lambda loaded: (original(loaded), stopped.set())
    make_host().desired.set_enabled("one", is_enabled=False)
    assert stopped.wait(2)
    assert seen == ["one start", "one stop"]


def test_an_extension_that_cannot_load_is_not_enabled_and_everything_stays(host, site, seen):
    site.add("one", LIVELY)
    site.add("broken", "raise RuntimeError('boom')")
    host.desired.set_enabled("broken", is_enabled=False)
    host.start()
    with pytest.raises(Conflict, match="boom") as refused:
        host.set_enabled("broken", True)
    assert refused.value.code == "extension_load_failed"
    assert host.extension("broken").status == "disabled"
    assert host.extension("one").status == "enabled"
    assert seen == ["one start"]


def test_enabling_again_tries_a_mended_extension_anew(host, site, seen):
    site.add("one", "raise RuntimeError('boom')")
    host.start()
    assert host.extension("one").status == "failed"
    site.add("one", LIVELY)
    host.set_enabled("one", True)
    assert seen == ["one start"]


def test_an_unknown_extension_can_be_neither_enabled_nor_disabled(host):
    host.start()
    with pytest.raises(NotFound, match="ghost"):
        host.set_enabled("ghost", True)


def test_requests_in_flight_finish_on_the_snapshot_they_began_with(host, site, seen):
    site.add("one", LIVELY)
    host.start()
    with host.bound():
        thread = threading.Thread(target=host.set_enabled, args=("one", False))
        thread.start()
        while host._current.states["one"].status != "disabled":
            pass
        login(host)
    thread.join()
    login(host)
    assert seen == ["one start", "one login", "one stop"]


def test_on_shutdown_runs_in_the_reverse_order_of_on_startup(host, site, seen):
    for name in ("b", "a", "c"):
        site.add(name, LIVELY)
    host.start()
    host.stop()
    assert [line for line in seen if "start" in line] == ["a start", "b start", "c start"]
    assert [line for line in seen if "stop" in line] == ["c stop", "b stop", "a stop"]


def test_a_hanging_on_shutdown_holds_nobody_up(make_host, site, seen):
    site.add(
        "lingers",
        """
        import threading
        from tinybase.extensions import on_shutdown

        @on_shutdown
        def stop():
            threading.Event().wait()
        """,
    )
    site.add("a", LIVELY)
    host = make_host(TINYBASE_HOOKS_SHUTDOWN_SECONDS="1")
    host.start()
    assert host.extension("lingers").status == "enabled"
    host.stop()
    assert seen == ["a start", "a stop"]


def test_an_upgraded_extension_is_loaded_anew(host, site, seen):
    site.add("one", LIVELY)
    host.start()
    site.add("one", LIVELY.replace("NAME} start", "NAME} START"))
    host.desired.set_enabled("one", is_enabled=True)
    host.refresh()
    assert seen == ["one start", "one START", "one stop"]


LAZY = """
    from tinybase.extensions import on_user_login
    from seen import seen

    VERSION = {version!r}

    @on_user_login
    def login(event):
        from . import lazy
        from .inner import deep
        seen.append((VERSION, lazy.VERSION, deep.VERSION))
"""


def lazy_files(version):
    return dict.fromkeys(("lazy.py", "inner/deep.py"), f"VERSION = {version!r}") | {
        "inner/__init__.py": ""
    }


@pytest.mark.parametrize("is_used_before", [True, False])
def test_an_upgrade_is_no_mixture_of_both_versions(host, site, seen, is_used_before):
    site.add("one", LAZY.format(version="one"), files=lazy_files("one"))
    host.start()
    if is_used_before:
        login(host)
    site.add("one", LAZY.format(version="two!"), files=lazy_files("two!"))
    host.desired.set_enabled("one", is_enabled=True)
    host.refresh()
    login(host)
    assert seen == [("one",) * 3] * is_used_before + [("two!",) * 3]


@pytest.mark.parametrize("fault", ["raise RuntimeError('boom')", "import os.nothing", "def f(:"])
def test_an_upgrade_that_cannot_be_loaded_leaves_the_version_before_running(
    host, site, seen, fault
):
    site.add("one", LAZY.format(version="one"), files=lazy_files("one"))
    site.add("two", LIVELY)
    host.start()
    site.add("one", "from . import lazy\n" + fault, files=lazy_files("one"))
    host.desired.set_enabled("one", is_enabled=True)
    host.refresh()

    state = host.extension("one")
    assert state.status == "failed"
    assert "version 1.0 goes on until this process ends" in state.reason
    seen.clear()
    login(host)
    assert ("one", "one", "one") in seen

    host.set_enabled("two", False)
    host.set_enabled("two", True)
    assert host.extension("one").status == "failed"
    site.add("one", LAZY.format(version="mended"), files=lazy_files("mended"))
    host.desired.set_enabled("one", is_enabled=True)
    host.refresh()
    assert (host.extension("one").status, host.extension("one").reason) == ("enabled", None)
    seen.clear()
    login(host)
    assert ("mended",) * 3 in seen


def test_an_extension_that_is_uninstalled_is_shut_down_and_missing_until_forgotten(
    host, site, seen
):
    site.add("one", LIVELY)
    host.start()
    site.remove("one")
    host.desired.set_enabled("one", is_enabled=True)
    host.refresh()
    assert host.extension("one").status == "missing"
    assert seen == ["one start", "one stop"]
    host.desired.forget("one")
    host.refresh()
    assert host.extensions() == []


def test_states_can_be_told_without_loading_anything(make_host, site, seen):
    site.add("broken", "raise RuntimeError('boom')")
    site.add("off", LIVELY)
    site.add("on", LIVELY)
    worker = make_host()
    worker.desired.set_enabled("off", is_enabled=False)
    worker.start()

    surveyed = {state.name: state for state in make_host().extensions()}

    assert {name: state.status for name, state in surveyed.items()} == {
        "broken": "failed",
        "off": "disabled",
        "on": "enabled",
    }
    assert "boom" in surveyed["broken"].reason


def test_counters_are_summed_over_processes(make_host, site, seen):
    site.add("one", LIVELY)
    first, second = make_host(), make_host()
    first.start()
    second.start()
    for host in (first, second, second):
        login(host)
    second._metrics.publish(second.handlers(), second.requests, now=True)

    metrics = first.metrics("One")

    assert metrics["extension"] == "one"
    assert {hook["hook"]: hook["calls"] for hook in metrics["hooks"]} == {
        "tinybase_on_startup": 2,
        "tinybase_on_user_login": 3,
        "tinybase_on_shutdown": 0,
    }


def test_handlers_are_listed_in_the_order_in_which_they_are_called(host, site, seen):
    for name in ("a", "b"):
        site.add(
            name,
            """
            from tinybase.extensions import on_user_login

            @on_user_login
            def middle(event): ...

            @on_user_login(trylast=True)
            def last(event): ...

            @on_user_login(tryfirst=True)
            def first(event): ...
            """,
        )
    host.load()
    assert [turn.handler.handler for turn in host.turns()] == [
        "a:first",
        "b:first",
        "a:middle",
        "b:middle",
        "a:last",
        "b:last",
    ]


def test_a_worker_follows_while_its_counters_wait_for_other_writers(
    make_host, site, seen, monkeypatch
):
    site.add("one", LIVELY)
    worker = make_host()
    writers, waiting = threading.Event(), threading.Event()
    monkeypatch.setattr(
        worker._metrics, "publish", lambda *_, **__: (waiting.set(), writers.wait(30))
    )
    worker.start()
    assert waiting.wait(5)
    make_host().desired.set_enabled("one", is_enabled=False)
    deadline = time.monotonic() + 5
    while worker.extension("one").status == "enabled" and time.monotonic() < deadline:
        time.sleep(0.01)
    writers.set()
    assert worker.extension("one").status == "disabled"


def test_a_database_that_cannot_be_read_is_reported_once_and_the_thread_goes_on(
    make_host, site, seen, caplog, monkeypatch
):
    worker = make_host()
    worker.start()
    tries, looked = threading.Semaphore(0), worker._look

    def fail():
        tries.release()
        raise OSError("the disk is gone\nand more")

    monkeypatch.setattr(worker, "_look", fail)
    for _ in range(3):
        assert tries.acquire(timeout=5)
    monkeypatch.setattr(worker, "_look", looked)
    reports = [r.message for r in caplog.records if "in step" in r.message]
    assert reports == ["could not keep in step with other workers: OSError: the disk is gone"]


CURIOUS = """
    from tinybase.extensions import *
    from seen import seen

    @on_extension_enable
    def enabled(event): seen.append((__name__, "on", event.extension, event.version))

    @on_extension_disable
    def disabled(event): seen.append((__name__, "off", event.extension, event.version))
"""


@pytest.fixture
def curious(site):
    for name in ("one", "two"):
        site.add(name, CURIOUS)


@pytest.mark.usefixtures("curious")
def test_the_others_are_told_who_is_switched_on_and_off(host, seen):
    host.start()

    for enabled in (False, False, True, True):
        host.set_enabled("one", enabled)

    assert seen == [
        ("two", "off", "one", "1.0"),
        ("one", "on", "one", "1.0"),
        ("two", "on", "one", "1.0"),
    ]


@pytest.mark.usefixtures("curious")
def test_a_request_tells_of_a_switch_that_began_before_another_worker_switched_back(
    make_host, seen
):
    here, elsewhere = make_host(), make_host()
    for worker in (here, elsewhere):
        worker.start()

    with here.bound():
        elsewhere.set_enabled("one", False)
        here.set_enabled("one", True)

    assert [told for told in seen if told[0] == "two"] == [
        ("two", "off", "one", "1.0"),
        ("two", "on", "one", "1.0"),
    ]


@pytest.mark.usefixtures("curious")
def test_exactly_one_worker_tells_of_a_switch_on_the_command_line(make_host, seen):
    workers = [make_host(), make_host()]
    command = make_host().desired
    # While no server runs there is nobody to tell, and nothing to tell of later.
    command.set_enabled("one", is_enabled=False)
    for worker in workers:
        worker.start()
    assert seen == []

    for is_enabled in (True, False, False, True):
        command.set_enabled("one", is_enabled=is_enabled)
        for worker in workers:
            worker.refresh()

    on, off = (
        (("one", "on", "one", "1.0"), ("two", "on", "one", "1.0")),
        ("two", "off", "one", "1.0"),
    )
    assert seen == [*on, off, *on]


@pytest.mark.usefixtures("curious")
def test_no_other_worker_tells_what_the_one_that_was_asked_tells(make_host, seen):
    asked, other = make_host(), make_host()
    for worker in (asked, other):
        worker.start()

    for is_enabled in (False, True):
        asked.set_enabled("one", is_enabled)
        other.refresh()

    assert [told[:2] for told in seen] == [("two", "off"), ("one", "on"), ("two", "on")]


@pytest.mark.usefixtures("curious")
def test_what_was_switched_on_while_no_server_runs_is_shown_as_enabled(make_host):
    command = make_host()
    for is_enabled in (False, True):
        command.desired.set_enabled("one", is_enabled=is_enabled)

    state = command.extension("one")
    assert (state.status, state.reason) == ("enabled", None)
