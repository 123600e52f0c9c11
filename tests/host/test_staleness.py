"""Which updates a running process can take up, and which need another one."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import pytest

from tinybase.host.staleness import outdated

NATIVE = f"speed{EXTENSION_SUFFIXES[0]}"

Import = Callable[[str], None]


def install(
    generation: Path, name: str, version: str, files: Mapping[str, str], *needs: str
) -> None:
    """Install a distribution as pip would."""
    package = name.replace("-", "_")
    rows = []
    for name_inside, text in files.items():
        file = os.path.normpath(f"{package}/{name_inside}")
        path = generation / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        rows.append(f"{file},sha256={hashlib.sha256(text.encode()).hexdigest()},")
    info = generation / f"{package}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    (info / "METADATA").write_text("\n".join([*lines, ""]))
    (info / "RECORD").write_text("\n".join([*rows, f"{info.name}/METADATA,sha256=x,", ""]))


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return tmp_path / "generations" / "001"


@pytest.fixture
def second(first: Path) -> Path:
    return first.with_name("002")


@pytest.fixture
def imported(first: Path) -> Iterator[Import]:
    """Return a function that makes a file of the first generation look imported."""
    names = []

    def note(file: str) -> None:
        module = ModuleType(f"stale_{len(names)}")
        module.__file__ = str(first / file)
        sys.modules[module.__name__] = module
        names.append(module.__name__)

    yield note
    for name in names:
        del sys.modules[name]


def test_a_library_of_another_version_needs_a_new_process_once_it_is_imported(
    first: Path, second: Path, imported: Import
) -> None:
    install(first, "some-library", "1.0", {"__init__.py": "1", "later.py": "1"})
    install(second, "some-library", "2.0", {"__init__.py": "1", "later.py": "2"})
    assert outdated(second, {}) == []

    imported("some_library/__init__.py")

    assert outdated(second, {}) == ["some-library (1.0 → 2.0)"]


def test_what_is_as_before_or_gone_needs_none(first: Path, second: Path, imported: Import) -> None:
    for name in ("same", "gone"):
        install(first, name, "1.0", {"__init__.py": "1"})
        imported(f"{name}/__init__.py")
    install(second, "same", "1.0", {"__init__.py": "1"})

    assert outdated(second, {}) == []


def test_an_extension_is_imported_anew_unless_others_hold_on_to_it(
    first: Path, second: Path, imported: Import
) -> None:
    install(first, "shop", "1.0", {"__init__.py": "1"})
    install(second, "shop", "1.1", {"__init__.py": "2"})
    imported("shop/__init__.py")
    assert outdated(second, {"shop": "shop"}) == []

    install(second, "till", "1.0", {"__init__.py": "1"}, "Shop >= 1")

    assert outdated(second, {"shop": "shop"}) == ["shop (1.0 → 1.1)"]


def test_native_code_of_an_extension_needs_a_new_process_when_it_changes(
    first: Path, second: Path, imported: Import
) -> None:
    install(first, "shop", "1.0", {"__init__.py": "1", NATIVE: "1"})
    install(second, "shop", "1.1", {"__init__.py": "2", NATIVE: "1"})
    install(second.with_name("003"), "shop", "1.2", {"__init__.py": "2", NATIVE: "2"})
    imported("shop/__init__.py")
    imported(f"shop/{NATIVE}")

    assert outdated(second, {"shop": "shop"}) == []
    assert outdated(second.with_name("003"), {"shop": "shop"}) == ["shop (1.0 → 1.2)"]


def test_what_an_extension_has_beside_its_package_is_a_library(
    first: Path, second: Path, imported: Import
) -> None:
    install(first, "shop", "1.0", {"__init__.py": "1", "../shop_core.py": "1"})
    install(second, "shop", "1.1", {"__init__.py": "2", "../shop_core.py": "2"})
    imported("shop/__init__.py")
    assert outdated(second, {"shop": "shop"}) == []

    imported("shop_core.py")

    assert outdated(second, {"shop": "shop"}) == ["shop (1.0 → 1.1)"]


def test_what_is_installed_anew_from_the_same_version_counts_by_its_content(
    first: Path, second: Path, imported: Import
) -> None:
    install(first, "from-git", "1.0", {"__init__.py": "1"})
    install(second, "from-git", "1.0", {"__init__.py": "2"})
    imported("from_git/__init__.py")

    assert outdated(second, {}) == ["from-git (1.0 → 1.0)"]
