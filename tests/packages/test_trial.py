"""Validation loads an extension as install does, and says what install says."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from github import Hub, write

from tinybase import config
from tinybase.functions.registration import check_declaration
from tinybase.packages.build import build_wheel
from tinybase.packages.validation import Finding, Report, Severity, validate
from tinybase.packages.verify import Verifier, refusal

from .conftest import Run, manifest

HEAD = """
import click
from flask import Blueprint
from tinybase.extensions import *
from tinybase_hookspecs import *
pages = Blueprint("pages", __name__)
"""

WRONG: Mapping[str, tuple[str, int | None, str]] = {
    "command": ("@command\ndef fill(): ...\n", 7, "@command stands above a click command"),
    "collection": (
        'register_collection("orders", {"fields": [{"name": "item", "minimum": 1}]})\n',
        None,
        "minimum",
    ),
    "blueprint": ('register_blueprint(pages, auth="all")\n', 7, 'auth is "public"'),
    "check": ("@health_check\ndef well(a, b): ...\n", 7, "health_check"),
    "metric": ("register_metric(5)\n", 7, "register_metric"),
    "setting": ('@register_settings\nclass S:\n    a = Setting(int, default="x")\n', 7, "'a'"),
    "hook": (
        "@hookimpl\ndef tinybase_register_commands():\n    return 5\n",
        None,
        "tinybase_register_commands: it returned a value of type int",
    ),
    "death": ("import os\nos._exit(3)\n", None, "ended the process with exit code 3"),
}
"""What is wrong with an extension, the line that install names, and some of its words."""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("wrong")
    for name, (code, _, _) in WRONG.items():
        click = '[extension.dependencies]\nclick = "*"\nflask = "*"\n'
        files = {
            "extension.toml": manifest(f"wrong-{name}", more=f'license = "MIT"\n{click}'),
            "__init__.py": HEAD + code,
            "README.md": "# Wrong\n",
            "LICENSE": "MIT\n",
            "tests/test_it.py": "",
        }
        write(folder / name, files)
    return {name: folder / name for name in WRONG}


@pytest.fixture(scope="module")
def refused(
    roots: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """Return what install says of each: all of them are tried out at once, as one generation."""
    folder, wheels = tmp_path_factory.mktemp("generation"), tmp_path_factory.mktemp("wheels")
    for root in roots.values():
        with zipfile.ZipFile(wheels / build_wheel(wheels, root=root)) as wheel:
            wheel.extractall(folder)
    verifier = Verifier(config.load(tmp_path_factory.mktemp("instance"), {}))
    states = verifier.observe(folder, {}, expected=len(roots), everything=True).states
    return {
        name: refusal(state.name, state.reason or "", state.package).detail
        for name, state in ((name, states[f"wrong-{name}"]) for name in roots)
    }


def look(root: Path) -> Report:
    return validate(root, check_declaration, load=True)


def errors(report: Report) -> list[Finding]:
    return [item for item in report.findings if item.severity is Severity.ERROR]


@pytest.mark.parametrize("kind", WRONG)
def test_validation_refuses_what_install_refuses_in_its_words(
    roots: Mapping[str, Path], refused: Mapping[str, str], kind: str
) -> None:
    _, line, told = WRONG[kind]

    (finding,) = errors(look(roots[kind]))

    assert f"{finding.message}. {finding.remedy}".rstrip() == refused[kind]
    assert told in refused[kind]
    assert finding.code == "does-not-load"
    place = ("__init__.py", line) if line else ("extension.toml", None)
    assert (finding.file, finding.line) == place


def test_what_is_read_only_is_not_run(roots: Mapping[str, Path]) -> None:
    assert errors(validate(roots["death"], check_declaration)) == []


def test_what_needs_a_package_that_is_not_here_is_not_judged(tmp_path: Path) -> None:
    needs = '[extension.dependencies]\n"not-installed-here" = "*"\n'
    files = {
        "extension.toml": manifest("lacking", more=needs),
        "__init__.py": "import not_installed_here\n",
    }
    write(tmp_path, files)

    report = look(tmp_path)

    assert errors(report) == []
    (finding,) = [item for item in report.findings if item.code == "not-tried-out"]
    assert "needs not-installed-here, which is not installed here" in finding.message


def test_the_commands_say_the_same(roots: Mapping[str, Path], hub: Hub, run: Run) -> None:
    files = {
        path.relative_to(roots["collection"]).as_posix(): path.read_text()
        for path in roots["collection"].rglob("*")
        if path.is_file()
    }
    address = hub.repository("wrong", files)

    installed = run("install", "--yes", address, code=1)
    validated = run("validate", str(roots["collection"]), code=1)

    told = next(line for line in installed.err.splitlines() if "does not load" in line)
    assert told.removeprefix("Error: ") in validated.out
