"""The contract package: pure, complete, and exactly as the guide shows it."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pluggy
import pytest

import tinybase_hookspecs
from tinybase_hookspecs import Reject

EVENTS = {
    "UserLoginEvent": ["user_id", "email", "is_admin"],
    "UserRegisterEvent": ["user_id", "email"],
    "RecordCreateEvent": ["collection", "record_id", "data", "owner_id"],
    "RecordUpdateEvent": ["collection", "record_id", "old_data", "new_data", "owner_id"],
    "RecordDeleteEvent": ["collection", "record_id", "data", "owner_id"],
    "FunctionCallEvent": ["function_name", "user_id", "payload"],
    "FunctionCompleteEvent": [
        "function_name",
        "user_id",
        "status",
        "duration_ms",
        "error_message",
        "error_type",
    ],
}
HOOKS = [name for name in tinybase_hookspecs.__all__ if name.startswith("tinybase_")]


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_begins_with_the_fields_of_the_guide_and_the_rest_have_defaults(name):
    parameters = list(inspect.signature(getattr(tinybase_hookspecs, name)).parameters.values())
    own = EVENTS[name]
    assert [item.name for item in parameters[: len(own)]] == own
    assert [item.name for item in parameters[len(own) :]] == [
        "event_id",
        "occurred_at",
        "request_id",
        "actor",
        "actor_id",
        "origin",
        "depth",
    ]
    for item in parameters[: len(own)]:
        assert item.kind is item.POSITIONAL_OR_KEYWORD
        assert item.default is item.empty
    for item in parameters[len(own) :]:
        assert item.kind is item.KEYWORD_ONLY
        assert item.default is not item.empty


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_can_be_built_from_its_own_fields_by_position(name):
    event = getattr(tinybase_hookspecs, name)(*EVENTS[name])
    assert [getattr(event, field) for field in EVENTS[name]] == EVENTS[name]
    assert event.occurred_at.tzinfo is not None


def test_every_hook_has_a_docstring_that_says_when_it_is_called():
    for name in HOOKS:
        text = inspect.getdoc(getattr(tinybase_hookspecs, name))
        assert text is not None
        assert text.startswith("Called ")


def test_pluggy_accepts_every_hookspec():
    manager = pluggy.PluginManager("tinybase")
    manager.add_hookspecs(tinybase_hookspecs)
    for name in HOOKS:
        assert getattr(manager.hook, name).has_spec()


def test_the_contract_imports_in_an_environment_with_only_pluggy(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    library = tmp_path / "library"
    for module in (tinybase_hookspecs, pluggy):
        folder = Path(inspect.getfile(module)).parent
        shutil.copytree(folder, library / folder.name)
    code = (
        "import sys, tinybase_hookspecs;"
        "outside = {m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names);"
        "print(*sorted(m for m in outside if not m.startswith('_')))"
    )
    result = subprocess.run(
        [python, "-I", "-c", f"import sys; sys.path.append({str(library)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert set(result.stdout.split()) <= {"pluggy", "tinybase_hookspecs", "sitecustomize"}
    assert (Path(inspect.getfile(tinybase_hookspecs)).parent / "py.typed").exists()
    assert sys.version_info >= (3, 11)


@pytest.mark.parametrize("status", [200, 302, 399, 500, 503])
def test_reject_takes_only_statuses_that_blame_the_client(status):
    with pytest.raises(ValueError, match="400 to 499"):
        Reject("no", status=status)


def test_reject_has_a_default_status_and_code():
    rejection = Reject("Out of stock")
    assert (rejection.detail, rejection.status, rejection.code) == (
        "Out of stock",
        422,
        "rejected_by_extension",
    )
