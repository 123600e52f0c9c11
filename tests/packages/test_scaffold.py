"""New extensions: their files, their names, and that nothing is ever overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from serving import clean_environment

from tinybase import __version__
from tinybase.errors import BadRequest, Conflict
from tinybase.packages import manifest
from tinybase.packages.candidates import FLAT, PYPROJECT, layout_of
from tinybase.packages.environment import HostPackages
from tinybase.packages.scaffold import LAYOUTS, NewExtension, new_extension

HOST = HostPackages(Path("/nowhere"))


def make(name: str = "my-extension", layout: str = "flat", **texts: str) -> NewExtension:
    return new_extension(name, HOST, layout=layout, **texts)


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of an extension as its author does, with warnings as errors."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "tests", "-W", "error", "-p", "no:cacheprovider"],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_tests_of_a_new_extension_pass(tmp_path, layout):
    make("My_Extension", layout).write(tmp_path / "anywhere")

    finished = run_pytest(tmp_path / "anywhere")

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "3 passed" in finished.stdout


@pytest.mark.parametrize(("layout", "kind"), [("flat", FLAT), ("packaged", PYPROJECT)])
def test_the_installer_sees_the_layout_that_was_asked_for(tmp_path, layout, kind):
    make(layout=layout).write(tmp_path)

    assert layout_of(tmp_path) == kind


def test_a_flat_extension_has_what_pytest_needs_there(tmp_path):
    make().write(tmp_path)

    assert "[pytest]" in (tmp_path / "tests" / "pytest.ini").read_text().splitlines()


@pytest.mark.parametrize("name", ["My.Ext_Foo", "my-ext-foo", "MY__EXT--FOO"])
def test_every_spelling_of_a_name_gives_the_canonical_one(name):
    made = make(name)

    assert (made.name, made.package) == ("my-ext-foo", "my_ext_foo")


def test_texts_of_the_author_survive_in_every_file(tmp_path):
    description, author = 'Says "hi" \\ to $everybody {here}', 'Ann "the Ä" O\\Neil'
    for layout in LAYOUTS:
        make(layout=layout, description=description, author=author).write(tmp_path / layout)

    flat = manifest.read(tmp_path / "flat")
    project = tomllib.loads((tmp_path / "packaged" / "pyproject.toml").read_text())["project"]
    assert (flat.description, flat.author) == (description, author)
    assert (project["description"], project["authors"]) == (description, [{"name": author}])
    assert author in (tmp_path / "flat" / "LICENSE").read_text()
    compile((tmp_path / "flat" / "__init__.py").read_text(), "__init__.py", "exec")


def test_a_new_extension_asks_for_the_tinybase_that_it_was_made_with(tmp_path):
    make().write(tmp_path)

    manifest.check_runs_here(manifest.read(tmp_path))
    assert __version__.startswith(
        tomllib.loads((tmp_path / "extension.toml").read_text())["extension"]["tinybase"][
            "min_version"
        ]
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tinybase", "reserved"),
        ("tinybase.hookspecs", "reserved"),
        ("json", "module of Python itself"),
        ("class", "Python keyword"),
        ("3d-tools", "Begin with a letter"),
        ("../evil", "letters, digits"),
        ("two words", "letters, digits"),
        ("a\nb", "one line"),
        ("", "empty"),
        ("flask", "taken: the package flask"),
        ("sqlalchemy", "taken"),
        ("re2", "taken: the package google-re2"),
    ],
)
def test_a_name_that_could_not_be_installed_is_refused(name, reason):
    with pytest.raises(BadRequest, match=reason):
        make(name)


@pytest.mark.parametrize("field", ["description", "author"])
def test_a_text_that_no_manifest_may_have_is_refused(field):
    with pytest.raises(BadRequest, match=f"The {field} is one line"):
        make(**{field: "one\ntwo"})


@pytest.mark.parametrize("taken", ["README.md", "tests/conftest.py"])
def test_nothing_is_overwritten_and_nothing_else_is_written(tmp_path, taken):
    (tmp_path / taken).parent.mkdir(exist_ok=True)
    (tmp_path / taken).write_text("mine")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(Conflict, match="exists already"):
        make().write(tmp_path)

    assert (tmp_path / taken).read_text() == "mine"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path):
    (tmp_path / "LICENSE").symlink_to(tmp_path.parent / "elsewhere")

    with pytest.raises(Conflict, match="exists already"):
        make().write(tmp_path)

    assert not (tmp_path.parent / "elsewhere").exists()


def test_what_was_there_besides_stays(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")

    make().write(tmp_path)

    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "extension.toml").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_left_as_it_was(tmp_path):
    (tmp_path / "tests").mkdir(mode=0o500)

    with pytest.raises(PermissionError):
        make().write(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["tests"]


def test_a_failure_half_way_leaves_nothing_behind(tmp_path):
    (tmp_path / "tests").write_text("a file where a folder should be")

    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        make().write(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["tests"]
