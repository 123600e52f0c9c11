"""First-party extensions go through the door that strangers go through."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .conftest import NAMES, PLUGINS

PROMISED = ("pydantic", "sqlmodel")
DOORS = ("tinybase.extensions", "tinybase.functions", "tinybase.db.models", "tinybase_hookspecs")


def modules_of(plugin: str) -> list[Path]:
    """Return the modules that are installed: neither tests nor what tools left behind."""
    root = PLUGINS / plugin
    return [
        path
        for path in root.rglob("*.py")
        if path.relative_to(root).parts[0] not in ("tests", "build", "docs")
    ]


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a module imports from elsewhere."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module)


def declared(plugin: str) -> set[str]:
    """Return the packages that an extension says it needs."""
    manifest, project = (PLUGINS / plugin / name for name in ("extension.toml", "pyproject.toml"))
    if manifest.exists():
        names = tomllib.loads(manifest.read_text())["extension"].get("dependencies", {})
    else:
        lines = tomllib.loads(project.read_text())["project"]["dependencies"]
        names = [Requirement(line).name for line in lines]
    return {canonicalize_name(name) for name in names}


def test_every_plugin_is_looked_at():
    assert sorted(path.name for path in PLUGINS.iterdir() if path.is_dir()) == sorted(NAMES)
    assert all(modules_of(name) for name in NAMES)


@pytest.mark.parametrize("plugin", NAMES)
def test_a_plugin_imports_only_what_a_stranger_may(plugin):
    own = plugin.replace("-", "_")
    for path in modules_of(plugin):
        for name in imports(path):
            top = name.partition(".")[0]
            assert (
                name in DOORS
                or top == own
                or top in PROMISED
                or top in sys.stdlib_module_names
                or (canonicalize_name(top) in declared(plugin) and top != "tinybase")
            ), f"{path.relative_to(PLUGINS)} imports {name}"
