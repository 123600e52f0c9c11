"""Another machine becomes what the lock file of this one says, or nothing changes."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from github import Hub

from tinybase.errors import ConfigError, Conflict, NotFound
from tinybase.packages.extensions import Extensions
from tinybase.packages.wheels import sha256

from .conftest import Run, flat, make_wheel, opened
from .samples import host_state, own_build, visible

NEEDS = '[extension.dependencies]\ntbdep = "*"\n'

# A build system that needs nothing. Whether it gives the same twice is up to its stamp.
BACKEND = """
import os, zipfile

def build_wheel(folder, settings=None, metadata=None):
    members = {{
        "tbdep/__init__.py": "stamp = " + repr({stamp}),
        "tbdep-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: tbdep\\nVersion: 1.0\\n",
        "tbdep-1.0.dist-info/WHEEL":
            "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "tbdep-1.0.dist-info/RECORD": "",
    }}
    with zipfile.ZipFile(os.path.join(folder, "tbdep-1.0-py3-none-any.whl"), "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return "tbdep-1.0-py3-none-any.whl"
"""


def make_archive(folder: Path, *, stamp: str = "1") -> Path:
    """Write a source archive of tbdep 1.0, with code that makes a mark in each wheel."""
    system = "requires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    files = {
        "pyproject.toml": f"[build-system]\n{system}",
        "PKG-INFO": "Metadata-Version: 2.1\nName: tbdep\nVersion: 1.0\n",
        "backend.py": BACKEND.format(stamp=stamp),
    }
    path = folder / "tbdep-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"tbdep-1.0/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def other(tmp_path: Path, empty_database: Path) -> Path:
    """Return the instance of another machine, which only has the lock file."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "tinybase.toml").write_text("", "utf-8")
    shutil.copy(empty_database, folder / "tinybase.db")
    return folder


@pytest.fixture
def there(other: Path, hub: Hub, index: Path) -> Iterator[Extensions]:
    """Return the service of the other machine."""
    with opened(other) as services:
        yield services.extensions


def change(lock: Path, **changes: Any) -> None:
    """Change what a lock file says of the first package."""
    document = json.loads(lock.read_text())
    name = next(iter(document["packages"]))
    document["packages"][name].update(changes)
    lock.write_text(json.dumps(document))


def test_another_machine_becomes_what_the_lock_says(
    hub: Hub, extensions: Extensions, there: Extensions, instance: Path, other: Path, index: Path
) -> None:
    with pytest.raises(NotFound, match=r"no extensions\.lock"):
        there.synchronisation.sync()
    make_wheel(index, "tbdep", "1.0")
    extensions.install(hub.repository("one", flat("one-synced", "import tbdep", more=NEEDS)))
    # What is newer now does not count.
    make_wheel(index, "tbdep", "2.0")
    hub.repository("one", flat("one-synced", version="9.0.0"), tag="v9.0.0")
    shutil.copy(instance / "extensions.lock", other)
    host = host_state()

    done = there.synchronisation.sync(frozen=True)

    assert [str(change) for change in done.changes] == ["+ one-synced 1.0.0", "+ tbdep 1.0"]
    assert (other / "extensions.lock").read_text() == (instance / "extensions.lock").read_text()
    assert [(item.name, item.status) for item in there.list()] == [("one-synced", "enabled")]
    assert host_state() == host
    assert there.synchronisation.sync(frozen=True).changes == ()
    # And back: what is not in the file goes.
    extensions.uninstall("one-synced")
    shutil.copy(instance / "extensions.lock", other)
    assert len(there.synchronisation.sync().changes) == 2
    assert list(there.list()) == []


def test_what_is_not_what_was_locked_is_refused(
    hub: Hub, extensions: Extensions, there: Extensions, instance: Path, other: Path, index: Path
) -> None:
    make_wheel(index, "tbdep", "1.0")
    extensions.install(hub.repository("one", flat("one-guarded", more=NEEDS)))
    (index / "tbdep-1.0-py3-none-any.whl").unlink()
    make_wheel(index, "tbdep", "1.0", package="something_else")
    shutil.copy(instance / "extensions.lock", other)
    before = visible(other)

    with pytest.raises(Conflict, match="does not have what is locked"):
        there.synchronisation.sync()
    assert visible(other) == before

    lock = other / "extensions.lock"
    for file in ("../tbdep-1.0-py3-none-any.whl", "other-1.0-py3-none-any.whl", "x"):
        change(lock, file=file)
        with pytest.raises(ConfigError, match="cannot be right"):
            there.synchronisation.sync()
    change(lock, file="tbdep-1.0-py3-none-any.whl", sha256="../..")
    with pytest.raises(ConfigError, match="cannot be right"):
        there.synchronisation.sync()
    assert not (other / "extensions" / "current").exists()


def test_a_lock_of_another_python_is_adapted_unless_frozen(
    hub: Hub, extensions: Extensions, there: Extensions, instance: Path, other: Path, index: Path
) -> None:
    make_wheel(index, "tbdep", "1.0")
    extensions.install(hub.repository("one", flat("one-moved", "import tbdep", more=NEEDS)))
    make_wheel(index, "tbdep", "2.0")
    shutil.copy(instance / "extensions.lock", other)
    change(other / "extensions.lock", file="tbdep-1.0-cp27-cp27m-win32.whl")
    before = visible(other)

    with pytest.raises(Conflict, match=r"win32\.whl is made for another machine"):
        there.synchronisation.sync(frozen=True)
    assert visible(other) == before

    done = there.synchronisation.sync()

    assert "another machine" in done.adapted[0]
    ours, theirs = (
        json.loads((folder / "extensions.lock").read_text()) for folder in (instance, other)
    )
    assert theirs["packages"] == ours["packages"]
    assert theirs["extensions"] == ours["extensions"]


def test_one_with_a_build_of_its_own_is_built_again(
    hub: Hub,
    extensions: Extensions,
    there: Extensions,
    instance: Path,
    other: Path,
    tmp_path: Path,
) -> None:
    extensions.install(hub.repository("own", own_build(tmp_path / "ran")))
    shutil.copy(instance / "extensions.lock", other)
    plans = []

    try:
        there.synchronisation.sync(frozen=True, confirm=plans.append)
    except Conflict as error:
        # Its backend writes the time into the wheel.
        assert "gives another wheel" in error.detail  # noqa: PT017
        assert there.synchronisation.sync().adapted
    assert plans[0].builds == ("own-build",)
    assert there.get("own-build").status == "enabled"


def test_a_package_that_is_only_there_as_source_is_built_from_what_was_locked(
    hub: Hub,
    extensions: Extensions,
    there: Extensions,
    instance: Path,
    other: Path,
    index: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Else pip keeps what it built.
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    archive = make_archive(index)
    extensions.install(hub.repository("one", flat("one-built", "import tbdep", more=NEEDS)))
    ours = json.loads((instance / "extensions.lock").read_text())["packages"]["tbdep"]
    assert ours["built_from"] == sha256(archive)
    shutil.copy(instance / "extensions.lock", other)
    plans = []

    there.synchronisation.sync(frozen=True, confirm=plans.append)

    assert plans[0].builds == ("tbdep",)
    assert there.get("one-built").status == "enabled"
    assert (other / "extensions.lock").read_bytes() == (instance / "extensions.lock").read_bytes()

    # Where a build gives something else, only its wheel is another one.
    shutil.rmtree(other / "extensions")
    change(other / "extensions.lock", sha256="0" * 64)
    before = visible(other)
    with pytest.raises(Conflict, match="tbdep gives another wheel when it is built here"):
        there.synchronisation.sync(frozen=True)
    assert visible(other) == before
    done = there.synchronisation.sync()
    assert done.adapted == ("tbdep gives another wheel when it is built here",)
    theirs = json.loads((other / "extensions.lock").read_text())["packages"]["tbdep"]
    assert theirs == ours

    # Another archive under the same name is not what was locked, even if it builds well.
    make_archive(index, stamp="2")
    shutil.rmtree(other / "extensions")
    with pytest.raises(Conflict, match=r"does not have what is locked.*A bundle of the other"):
        there.synchronisation.sync()
    assert not (other / "extensions" / "current").exists()


def test_what_is_damaged_is_repaired(run: Run, hub: Hub, index: Path, instance: Path) -> None:
    make_wheel(index, "tbdep", "1.0")
    files = flat("one-worn", "import tbdep", more=NEEDS) | {"data.txt": "whole"}
    run("install", hub.repository("one", files), "--yes")
    lock = (instance / "extensions.lock").read_bytes()
    current = instance / "extensions" / "current"
    (current / "one_worn" / "data.txt").write_text("spoiled")
    (current / "tbdep" / "__init__.py").unlink()
    wheels = {path.name.split("-")[0]: path for path in (current.parent / "wheels").rglob("*.whl")}
    wheels["tbdep"].unlink()
    wheels["one_worn"].write_bytes(b"spoiled")
    found = {item["code"]: item["remedy"] for item in run("doctor", "--json", code=1).json}
    for code in ("files_changed", "wheel_missing", "wheel_changed"):
        assert found[code].startswith("Run tinybase extensions sync.")

    done = run("sync", "--frozen", "--yes")

    assert done.out.splitlines() == [
        "Repaired the wheel of one-worn.",
        "Repaired the wheel of tbdep.",
        "Repaired one_worn/data.txt in the set.",
        "Repaired tbdep/__init__.py in the set.",
    ]
    assert (current / "one_worn" / "data.txt").read_text() == "whole"
    assert (instance / "extensions.lock").read_bytes() == lock
    assert "error" not in {item["severity"] for item in run("doctor", "--json").json}
