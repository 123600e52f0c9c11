"""What is left of a process that died, and who is blamed for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from tinybase.host.recorder import IMPORT, FlightRecorder, Suspect

HANDLER = Suspect("one", "tinybase_on_record_create", "one.hooks:handle")
OTHER = Suspect("two", "tinybase_on_user_login", "two:look")
STARTUP = Suspect("one", "tinybase_on_startup", "one:start")


def died_in(folder, *code: str) -> None:
    """Run lines in a process that then ends without any clean-up."""
    lines = [
        "import os, pathlib",
        "from tinybase.host.recorder import *",
        f"recorder = FlightRecorder(pathlib.Path({str(folder)!r}))",
        *code,
        "os._exit(1)",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False)


def test_what_a_dead_process_was_running_is_found_once(tmp_path):
    died_in(tmp_path, f"recorder.enter(encode({HANDLER!r}))")
    recorder = FlightRecorder(tmp_path)
    assert recorder.collect_dead() == [[HANDLER]]
    assert recorder.collect_dead() == []
    assert list(tmp_path.iterdir()) == []


def test_what_has_ended_is_not_found(tmp_path):
    died_in(tmp_path, f"recorder.leave(recorder.enter(encode({HANDLER!r})))")
    assert FlightRecorder(tmp_path).collect_dead() == []


def test_only_the_innermost_of_handlers_that_cause_one_another_is_found(tmp_path):
    died_in(tmp_path, f"recorder.enter(encode({HANDLER!r}))", f"recorder.enter(encode({OTHER!r}))")
    assert FlightRecorder(tmp_path).collect_dead() == [[OTHER]]


def test_all_of_the_handlers_in_different_threads_are_found(tmp_path):
    died_in(
        tmp_path,
        "import threading",
        f"for one in ({HANDLER!r}, {OTHER!r}):",
        "    t = threading.Thread(target=recorder.enter, args=(encode(one),)); t.start(); t.join()",
    )
    (suspects,) = FlightRecorder(tmp_path).collect_dead()
    assert set(suspects) == {HANDLER, OTHER}


def test_a_living_process_is_left_alone(tmp_path):
    living = FlightRecorder(tmp_path)
    with living.during(HANDLER):
        assert FlightRecorder(tmp_path).collect_dead() == []
        assert FlightRecorder(tmp_path).suspects_of(os.getpid()) == [HANDLER]
    living.close()


def test_a_process_that_ends_as_it_should_leaves_nothing(tmp_path):
    recorder = FlightRecorder(tmp_path)
    recorder.enter(b"".ljust(254, b"x"))
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_nothing_is_recorded(tmp_path):
    (tmp_path / "file").touch()
    for folder in (None, tmp_path / "file" / "folder"):
        recorder = FlightRecorder(folder)
        with recorder.during(HANDLER):
            pass
        assert recorder.collect_dead() == []


def test_more_handlers_than_there_is_room_for_run_all_the_same(tmp_path):
    recorder = FlightRecorder(tmp_path)
    entered = [recorder.enter(b"".ljust(254, b"x")) for _ in range(200)]
    assert entered[-1] is None
    for item in entered:
        recorder.leave(item)
    assert recorder.enter(b"".ljust(254, b"x")) is not None
    recorder.close()


def deaths(make_host, leave_behind, *processes):
    """Let processes die one after another; return the status of extensions after each."""
    statuses = []
    for suspects in processes:
        leave_behind(*suspects)
        host = make_host()
        host.load()
        statuses.append({state.name: state.status for state in host.extensions()})
        host.stop()
    return statuses


def test_the_third_death_within_an_hour_quarantines(make_host, site, leave_behind):
    site.add("one", "")
    statuses = deaths(make_host, leave_behind, [HANDLER], [HANDLER], [HANDLER])
    assert [status["one"] for status in statuses] == ["enabled", "enabled", "quarantined"]
    host = make_host()
    assert "died 3× in one.hooks:handle (on_record_create)" in host.extension("one").reason


@pytest.mark.parametrize("suspect", [STARTUP, Suspect("one", IMPORT)])
def test_a_death_while_starting_quarantines_at_once(make_host, site, leave_behind, suspect):
    site.add("one", "")
    (status,) = deaths(make_host, leave_behind, [suspect])
    assert status["one"] == "quarantined"


def test_who_starts_while_another_process_blames_waits_for_what_comes_of_it(
    make_host, site, leave_behind
):
    site.add("one", "")
    leave_behind(Suspect("one", IMPORT))
    first, second = make_host(), make_host()
    blames, may_go_on = threading.Event(), threading.Event()
    quarantine = first.desired.quarantine

    def slowly(*arguments):
        blames.set()
        may_go_on.wait(10)
        quarantine(*arguments)

    first.desired.quarantine = slowly
    threads = [threading.Thread(target=host.load) for host in (first, second)]
    threads[0].start()
    assert blames.wait(10)
    threads[1].start()
    threads[1].join(0.2)
    assert threads[1].is_alive()
    may_go_on.set()
    for thread in threads:
        thread.join(10)
    assert second.extension("one").status == "quarantined"


def test_who_only_ran_beside_the_guilty_one_stays(make_host, site, leave_behind):
    site.add("one", "")
    site.add("two", "")
    *_, last = deaths(make_host, leave_behind, [HANDLER], [HANDLER, OTHER], [HANDLER, OTHER])
    assert last == {"one": "quarantined", "two": "enabled"}


def test_who_is_only_loaded_beside_the_guilty_one_stays(make_host, site, leave_behind):
    site.add("one", "")
    site.add("two", "")
    beside = [HANDLER, Suspect("two", IMPORT)]
    first, *_, last = deaths(make_host, leave_behind, beside, beside, [HANDLER])
    assert first == {"one": "enabled", "two": "enabled"}
    assert last == {"one": "quarantined", "two": "enabled"}


def test_after_it_was_enabled_again_the_count_starts_afresh(make_host, site, leave_behind):
    site.add("one", "")
    deaths(make_host, leave_behind, [HANDLER], [HANDLER], [HANDLER])
    host = make_host()
    host.start()
    assert host.set_enabled("one", True).status == "enabled"
    (status,) = deaths(make_host, leave_behind, [HANDLER])
    assert status["one"] == "enabled"


def test_deaths_in_the_operators_own_code_are_told_and_switch_nothing_off(
    make_host, site, leave_behind, caplog
):
    site.add("one", "")
    own = Suspect("project", "tinybase_on_record_create", "shop:handle")
    *_, last = deaths(make_host, leave_behind, [own], [own], [own])
    assert last == {"one": "enabled"}
    assert "shop:handle of project (on_record_create)" in caplog.text
