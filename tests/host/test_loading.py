"""One extension must not be able to stop the others, or the server, from starting."""

from __future__ import annotations

import logging
import sys
import threading
import time

import pytest

from tinybase.errors import Conflict, Unavailable
from tinybase.host import StartAnew
from tinybase.host.recorder import IMPORT, Suspect

GOOD = """
    from tinybase.extensions import on_startup
    from seen import seen

    @on_startup
    def start():
        seen.append("good")
"""

BROKEN = {
    "ImportError": ("import a_module_that_does_not_exist", "a_module_that_does_not_exist"),
    "SyntaxError": ("def broken(:\n    pass", "line 1"),
    "SystemExit": ("import sys; sys.exit(3)", "exit code 3"),
    "RuntimeError": ("raise RuntimeError('boom at import')", "boom at import"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "unknown decorator": ("from tinybase.extensions import on_record_creat", "on_record_creat"),
    "misused decorator": (
        "from tinybase.extensions import on_record_create\n"
        "@on_record_create(colection='x')\ndef f(event): pass",
        "colection",
    ),
    "unknown hook": (
        "from tinybase.extensions import hookimpl\n"
        "@hookimpl\ndef tinybase_on_recrod_create(event): pass",
        "did you mean tinybase_on_record_create",
    ),
    "wrong arguments of a raw hookimpl": (
        "from tinybase.extensions import hookimpl\n"
        "@hookimpl\ndef tinybase_on_record_create(evnt): pass",
        "evnt",
    ),
    "an exception without a text": (
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
        "Odd",
    ),
}


FOUND_BY_TINYBASE = ["unknown hook"]


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_extension_is_failed_with_its_reason_and_the_others_run(
    case, host, site, seen, caplog
):
    source, words = BROKEN[case]
    site.add("a-bad-one", source)
    site.add("good", GOOD)

    host.start()

    state = host.extension("a-bad-one")
    assert state.status == "failed"
    assert words in state.reason
    assert "\n" not in state.reason
    assert host.extension("good").status == "enabled"
    assert seen == ["good"]
    (said,) = [r for r in caplog.records if "a-bad-one" in r.message]
    # Where nothing was raised in the extension, a traceback would be of TinyBase.
    assert bool(said.exc_info) == (case not in FOUND_BY_TINYBASE)


def test_nothing_of_a_failed_import_stays_behind(host, site, seen):
    site.add(
        "half",
        """
        from . import hooks
        raise RuntimeError("too late")
        """,
        files={"hooks.py": GOOD},
    )
    host.load()

    from tinybase.extensions.rows import claim

    assert not [name for name in sys.modules if name.split(".")[0] == "half"]
    assert claim("half") == []


HANGS = "import seen; seen.seen.append('hangs'); seen.over.wait()"


@pytest.fixture
def impatient(make_host, seen):
    """Return a function that makes a host which waits a second for an import."""
    over = sys.modules["seen"].over = threading.Event()
    yield lambda: make_host(TINYBASE_EXTENSIONS_IMPORT_TIMEOUT_SECONDS="1")
    # Or nobody in this process could import a package of that name any more.
    over.set()


def test_an_import_that_hangs_is_given_up_and_not_tried_again(impatient, site, seen):
    site.add("hangs", HANGS)
    site.add("zgood", GOOD)
    for _ in range(2):
        host = impatient()
        host.start()
        state = host.extension("hangs")
        assert state.status == "quarantined"
        assert "longer than 1 s" in state.reason
        assert "tinybase extensions enable hangs" in state.reason
        host.refresh()
        assert host.extension("hangs") == state
    assert seen == ["hangs", "good", "good"]


def test_what_is_quarantined_for_its_import_is_so_before_anything_else_is_imported(
    impatient, site, seen, monkeypatch
):
    host = impatient()
    site.add("hangs", HANGS)
    site.add("looks", "import seen; seen.seen.append(seen.wishes()['hangs'].quarantine_reason)")
    sys.modules["seen"].wishes = host.desired.read
    host.load()
    assert "longer than 1 s" in seen[1]


def test_a_process_that_somebody_replaces_ends_before_it_serves_beside_such_an_import(
    impatient, instance, site, seen
):
    site.add("hangs", HANGS)
    site.add("zgood", GOOD)
    host, asked = impatient(), []
    host.ask_for_replacement = lambda: asked.append("replacement")
    with pytest.raises(StartAnew, match="longer than 1 s"):
        host.start()
    assert (asked, seen) == (["replacement"], ["hangs"])
    # Nobody shall take it for one that died.
    assert list((instance / "extensions" / "running").iterdir()) == []


def test_where_nothing_can_be_written_an_import_that_hangs_fails_at_each_start(
    impatient, site, seen, monkeypatch, caplog
):
    def refuse(*_):
        raise Unavailable("The database is read-only.")

    site.add("hangs", HANGS)
    site.add("zgood", GOOD)
    host = impatient()
    host.ask_for_replacement = pytest.fail
    monkeypatch.setattr(host.desired, "quarantine", refuse)
    host.start()
    assert host.extension("hangs").status == "failed"
    assert "could not be quarantined: The database is read-only." in caplog.text
    assert seen == ["hangs", "good"]


def test_who_enables_what_hangs_is_refused_and_nothing_has_changed(impatient, site, seen):
    site.add("hangs", HANGS)
    host, asked = impatient(), []
    host.desired.set_enabled("hangs", is_enabled=False)
    host.ask_for_replacement = lambda: asked.append("replacement")
    host.start()
    before = host.extension("hangs")
    with pytest.raises(Conflict, match="longer than 1 s"):
        host.set_enabled("hangs", True)
    host.refresh()
    assert host.extension("hangs") == before
    assert asked == ["replacement"]


def test_an_extension_for_another_tinybase_is_incompatible_and_not_imported(host, site):
    site.add("newer", "raise RuntimeError('imported')", Requires_Dist="tinybase>=99")
    host.load()
    state = host.extension("newer")
    assert state.status == "incompatible"
    assert "99" in state.reason


def test_an_extension_for_another_python_is_incompatible(host, site):
    site.add("newer", "raise RuntimeError('imported')", Requires_Python=">=3.99")
    host.load()
    assert host.extension("newer").status == "incompatible"


def test_two_extensions_with_one_package_are_not_mixed_up(host, site):
    site.add("one", "", package="shared")
    site.add("two", "", package="shared")
    host.load()
    assert host.extension("one").status == "enabled"
    assert host.extension("two").status == "failed"
    assert "one" in host.extension("two").reason


def test_an_extension_that_is_installed_by_tinybase_and_by_pip_is_failed(host, site, instance):
    generation = instance / "extensions" / "generations" / "1"
    generation.mkdir(parents=True)
    (instance / "extensions" / "current").symlink_to("generations/1")
    site.add("twice", "")
    type(site)(generation).add("twice", "")
    host.load()
    assert host.extension("twice").status == "failed"
    assert "pip uninstall twice" in host.extension("twice").reason


def test_what_is_in_the_generation_is_loaded_and_managed(host, site, instance, seen):
    generation = instance / "extensions" / "generations" / "1"
    generation.mkdir(parents=True)
    (instance / "extensions" / "current").symlink_to("generations/1")
    type(site)(generation).add("good", GOOD)
    site.packages.add("good")
    host.start()
    assert host.extension("good").managed
    assert seen == ["good"]


def test_a_function_name_that_somebody_has_taken_fails_the_extension_as_a_whole(host, site):
    source = """
        from tinybase.extensions import hookimpl, on_startup
        from tinybase_hookspecs import FunctionDeclaration

        @hookimpl
        def tinybase_register_functions():
            return [FunctionDeclaration("mine_{0}", print), FunctionDeclaration("taken", print)]
    """
    site.add("one", source.format("one"))
    site.add("two", source.format("two"))
    host.load()
    assert host.extension("one").status == "enabled"
    assert host.extension("two").status == "failed"
    assert "belongs to one" in host.extension("two").reason
    assert host.functions.owners == {"mine_one": "one", "taken": "one"}


def test_a_module_that_nobody_imports_is_pointed_out(host, site, caplog):
    site.add("forgetful", "", files={"hooks.py": "from tinybase.extensions import on_startup"})
    host.load()
    assert "hooks.py" in caplog.text
    assert "import it in __init__.py" in caplog.text


def test_a_handler_outside_of_any_extension_is_warned_about_by_name(host, site, caplog, tmp_path):
    (tmp_path / "site" / "stray.py").write_text(
        "from tinybase.extensions import on_startup\n@on_startup\ndef lost(): pass\n"
    )
    site.packages.add("stray")
    __import__("stray")
    host.load()
    assert "stray:lost" in caplog.text
    assert "[extensions] modules" in caplog.text


def test_the_projects_own_modules_have_handlers_too(make_host, site, instance, seen):
    (instance / "shop_hooks.py").write_text(
        "from tinybase.extensions import on_startup\nfrom seen import seen\n"
        "@on_startup\ndef begin(): seen.append('project')\n"
    )
    site.packages.add("shop_hooks")
    host = make_host(TINYBASE_EXTENSIONS_MODULES="shop_hooks")
    host.start()
    assert seen == ["project"]


def test_a_broken_file_of_the_functions_folder_is_isolated(host, instance, seen, caplog):
    (instance / "functions").mkdir()
    (instance / "functions" / "bad.py").write_text("raise RuntimeError('boom')")
    (instance / "functions" / "fine.py").write_text(
        "from tinybase.extensions import on_startup\nfrom seen import seen\n"
        "@on_startup\ndef begin(): seen.append('fine')\n"
    )
    host.start()
    assert seen == ["fine"]
    assert "boom" in host.project_failures()["bad.py"]
    assert "bad.py" in caplog.text


def test_an_extension_that_killed_the_process_while_loading_is_quarantined_at_the_next_start(
    instance, leave_behind, make_host, site, seen, caplog
):
    site.add("killer", "raise RuntimeError('imported again')")
    site.add("zgood", GOOD)
    leave_behind(Suspect("killer", IMPORT))

    host = make_host()
    host.start()

    assert host.extension("killer").status == "quarantined"
    assert "tinybase extensions enable killer" in host.extension("killer").reason
    assert seen == ["good"]
    assert len(list((instance / "extensions" / "running").iterdir())) == 1


def test_an_entry_point_may_name_an_object(host, site, seen):
    site.add(
        "classy",
        """
        from tinybase.extensions import hookimpl
        from seen import seen

        class Plugin:
            @hookimpl
            def tinybase_on_startup(self):
                seen.append("object")

        plugin = Plugin()
        """,
        entry="classy:plugin",
    )
    host.start()
    assert seen == ["object"]


def test_a_raw_hookimpl_beside_decorators_runs_once(host, site, seen):
    site.add(
        "both",
        "from .hooks import *",
        files={
            "hooks.py": """
            from tinybase.extensions import hookimpl, on_startup
            from seen import seen

            @on_startup
            def decorated():
                seen.append("decorated")

            @hookimpl(specname="tinybase_on_startup")
            def raw():
                seen.append("raw")
            """
        },
    )
    host.start()
    assert sorted(seen) == ["decorated", "raw"]


def test_importing_names_of_another_extension_registers_nothing_twice(host, site, seen):
    site.add("good", GOOD)
    site.add("taker", "from good import *\nfrom good import start")
    host.start()
    assert seen == ["good"]


def test_a_failing_on_startup_is_shown_and_the_extension_stays_enabled(host, site, caplog):
    site.add(
        "sulky",
        """
        import sys
        from tinybase.extensions import on_startup

        @on_startup
        def start():
            sys.exit("not today")
        """,
    )
    host.start()
    state = host.extension("sulky")
    assert state.status == "enabled"
    assert "not today" in state.reason
    assert "sulky:start" in caplog.text


def test_an_on_startup_that_does_not_end_is_shown_until_it_does(make_host, site, seen):
    wait = sys.modules["seen"].wait = threading.Event()
    slow = GOOD.replace('"good"', "__import__('seen').wait.wait() and 'end'")
    site.add("a-slow-one", slow)
    site.add("good", GOOD)
    host = make_host(TINYBASE_HOOKS_STARTUP_SECONDS="1")
    host.start()
    assert seen == []
    slow_one, good = host.extension("a-slow-one"), host.extension("good")
    assert (slow_one.status, good.status) == ("enabled", "enabled")
    assert slow_one.reason == "on_startup has not ended in a_slow_one:start; it goes on"
    assert good.reason == "on_startup waits for a_slow_one:start of a-slow-one"

    wait.set()
    deadline = time.monotonic() + 10
    while any(item.reason for item in host.extensions()):
        assert time.monotonic() < deadline
        host.refresh()
    assert seen == ["end", "good"]


def test_safe_mode_imports_no_extension_but_the_projects_own_code(make_host, site, instance, seen):
    site.add("good", GOOD)
    (instance / "functions").mkdir()
    (instance / "functions" / "mine.py").write_text("from seen import seen; seen.append('mine')")
    host = make_host(TINYBASE_EXTENSIONS="none")
    host.start()
    assert seen == ["mine"]
    assert host.extension("good").status == "disabled"
    assert "TINYBASE_EXTENSIONS" in host.extension("good").reason


def test_a_list_of_names_loads_only_those_by_any_spelling(make_host, site, seen):
    site.add("good-one", GOOD)
    site.add("other", GOOD)
    host = make_host(TINYBASE_EXTENSIONS="Good_One")
    host.start()
    assert {state.name: state.status for state in host.extensions()} == {
        "good-one": "enabled",
        "other": "disabled",
    }


def test_strict_mode_refuses_to_start_when_an_extension_fails(make_host, site, seen):
    site.add("bad", "raise RuntimeError('boom')")
    site.add("good", GOOD)
    host = make_host(TINYBASE_EXTENSIONS_STRICT="1")
    with pytest.raises(Conflict, match="bad is failed: RuntimeError: boom"):
        host.start()
    assert seen == []


def test_strict_mode_lets_disabled_extensions_be(make_host, site, seen):
    site.add("bad", "raise RuntimeError('boom')")
    host = make_host(TINYBASE_EXTENSIONS_STRICT="1")
    host.desired.set_enabled("bad", is_enabled=False)
    host.start()
    assert host.extension("bad").status == "disabled"


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
