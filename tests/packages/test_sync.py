"""Another machine becomes what the lock file of this one says, or nothing changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from github import Hub

from tinybase.errors import ConfigError, Conflict, NotFound
from tinybase.packages.extensions import Extensions

from .conftest import flat, make_wheel, opened
from .samples import host_state, own_build, visible

NEEDS = '[extension.dependencies]\ntbdep = "*"\n'


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
