"""The reference is complete and up to date."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from pages import DOCS, ROOT

import tinybase.extensions
import tinybase_hookspecs
from tinybase import config
from tinybase.cli.main import tinybase as root
from tinybase.errors import STATUS_OF_CODE

HOOKS = [name for name in tinybase_hookspecs.__all__ if name.startswith("tinybase_")]
EVENTS = [name for name in tinybase_hookspecs.__all__ if name.endswith("Event")]
DECORATORS = [
    name
    for name in tinybase.extensions.__all__
    if f"tinybase_{name}" in HOOKS and not name.startswith("register_")
]


def read(page: str) -> str:
    return (DOCS / page).read_text("utf-8")


def test_the_generated_parts_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_heading_with_its_exact_signature(name: str) -> None:
    node = ast.parse(inspect.getsource(getattr(tinybase_hookspecs, name))).body[0]
    assert isinstance(node, ast.FunctionDef)
    assert node.returns is not None
    written = f"### `{name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}`"
    assert written in read("reference/hooks.md")


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_says_when_it_is_called(name: str) -> None:
    assert (inspect.getdoc(getattr(tinybase_hookspecs, name)) or "").startswith("Called ")


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_has_a_heading(name: str) -> None:
    assert f"## `{name}`" in read("reference/events.md")


@pytest.mark.parametrize("name", DECORATORS)
def test_every_decorator_is_in_the_reference_and_in_the_guide(name: str) -> None:
    assert f"| `@{name}` |" in read("reference/decorators.md")
    assert f"| `@{name}` |" in read("how-to/extensions.md")


@pytest.mark.parametrize("name", sorted({*tinybase.extensions.__all__} - {*DECORATORS, *EVENTS}))
def test_everything_else_that_extensions_are_written_with_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in read("reference/python-api.md")


@pytest.mark.parametrize("key", list(config.keys()), ids=lambda key: key.path)
def test_every_setting_is_documented(key: config.Key) -> None:
    section = read("reference/configuration.md").split(f"{{ #{key.section} }}")[1]
    assert f"| `{key.name}` |" in section.split("\n## ")[0]


def _paths(command: click.Command, path: str = "tinybase") -> Iterator[str]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _paths(found, f"{path} {name}")


def test_every_command_is_documented() -> None:
    page = read("reference/command-line.md")
    assert [path for path in _paths(root) if f"# `{path}` {{" not in page] == []


def test_every_error_code_is_documented_under_its_status() -> None:
    documented: dict[str, set[int]] = {}
    head, _, reserved = read("reference/errors.md").partition("## Reserved")
    for section in head.split("\n## ")[1:]:
        statuses = {int(status) for status in re.findall(r"\b\d{3}\b", section.splitlines()[0])}
        for code in re.findall(r"^\| `(\w+)` \{", section, re.M):
            documented[code] = statuses
    unused = set(re.findall(r"`(\w+)`", reserved))

    assert documented.keys() | unused == STATUS_OF_CODE.keys()
    assert not documented.keys() & unused
    wrong = [code for code, statuses in documented.items() if STATUS_OF_CODE[code] not in statuses]
    assert wrong == []


def test_only_codes_that_nothing_answers_with_are_reserved() -> None:
    reserved = read("reference/errors.md").partition("## Reserved")[2]
    sources = [path.read_text("utf-8") for path in (ROOT / "tinybase").rglob("*.py")]
    used = {code for source in sources for code in re.findall(r'"(\w+)"', source)}
    assert set(re.findall(r"`(\w+)`", reserved)) & used <= {"upload_disabled"}
