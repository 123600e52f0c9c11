"""``tinybase functions new``."""

from __future__ import annotations

import runpy

import pytest

from tinybase.errors import BadRequest, Conflict
from tinybase.extensions.rows import forget
from tinybase.functions.scaffold import write_function


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
def test_a_new_function_works_at_once(tmp_path, host, functions, caller, name, file):
    path = write_function(tmp_path / "functions", name, 'Says "hello" {now}\\', "public")

    assert path.name == file
    names = runpy.run_path(str(path), run_name=f"scaffold_{path.stem}")
    handler = next(
        value
        for value in names.values()
        if getattr(value, "__doc__", None) and ("Answer POST" in str(value.__doc__))
    )
    forget(f"scaffold_{path.stem}")
    assert handler.__module__ == f"scaffold_{path.stem}"
    assert f'name="{name}"' in path.read_text()
    compile(path.read_text(), str(path), "exec")


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
