"""``tinybase functions new``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tinybase.errors import BadRequest, Conflict
from tinybase.extensions.rows import claim, forget
from tinybase.functions.scaffold import write_function
from tinybase.functions.table import FunctionTable


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("greet", "greet.py"),
        ("send-mail", "send_mail.py"),
        ("_private", "private.py"),
        ("class", "function_class.py"),
        ("_1", "function_1.py"),
        ("a--b", "a__b.py"),
        ("_", "function.py"),
    ],
)
def test_a_new_function_declares_what_it_was_given(tmp_path, name, file):
    path = write_function(tmp_path / "functions", name, 'Says "hello" {now}\\', "public")

    module = _import(path)
    (row,) = claim(module.__name__)
    forget(module.__name__)
    assert path.name == file
    assert row.value.name == name
    assert row.value.description == 'Says "hello" {now}\\'
    assert row.value.auth == "public"
    FunctionTable().add("project:x", row.value)


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scaffold_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def test_an_existing_file_is_left_alone(tmp_path):
    path = write_function(tmp_path, "greet")
    path.write_text("mine")

    with pytest.raises(Conflict, match="exists already"):
        write_function(tmp_path, "greet")

    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "auth", "message"),
    [("a b", "auth", "Choose another one"), ("", "auth", "Choose"), ("a", "root", '"public"')],
)
def test_a_name_or_level_that_cannot_be_is_refused(tmp_path, name, auth, message):
    with pytest.raises(BadRequest, match=message):
        write_function(tmp_path, name, auth=auth)

    assert list(tmp_path.iterdir()) == []
