"""Wheels that somebody else has locked: their digests are right, and they are refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from github import Hub, write

from tinybase.api.services import Services
from tinybase.errors import TinyBaseError
from tinybase.packages.build import build_wheel
from tinybase.packages.bundle import write_bundle
from tinybase.packages.lock import Lock
from tinybase.packages.wheels import sha256

from .conftest import flat, opened
from .corpus import Case, Place, Verdict
from .corpus.archives import ARCHIVES
from .corpus.case import Wheel
from .samples import visible
from .test_bundle import locked

ROWS = [
    case for case in ARCHIVES if case.verdict is Verdict.REFUSED and isinstance(case.package, Wheel)
]
WAYS = (
    {"bundle": ROWS, "store": ROWS}
    if os.environ.get("TINYBASE_TEST_CORPUS") == "all"
    else {"bundle": ROWS[::2], "store": ROWS[1::6]}
)
"""Which wheels are brought which way."""

BROUGHT = {
    "a path file": (Wheel({"__editable__.x.pth": "import os; os.abort()"}), ".pth"),
    "a file of an extension": (Wheel({"resident/evil.py": ""}), "also provides the package"),
    "a record that lies": (Wheel(record="{package}/__init__.py,sha256=AAAA,1\n"), "RECORD"),
}
"""Packages that come along, and what is said of each."""

Take = Callable[[Lock, Mapping[str, Path]], object]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel of a sound extension."""
    folder = tmp_path_factory.mktemp("sets")
    (folder / "wheels").mkdir()
    build_wheel(folder / "wheels", root=write(folder / "resident", flat("resident")))
    return folder


@pytest.fixture(scope="module")
def services(workplace: Path, empty_database: Path) -> Iterator[Services]:
    """Return what belongs to an instance in which nothing is installed."""
    instance = workplace / "instance"
    instance.mkdir()
    (instance / "tinybase.toml").touch()
    shutil.copy(empty_database, instance / "tinybase.db")
    with opened(instance) as services:
        yield services


@pytest.fixture
def take(request: pytest.FixtureRequest, services: Services, workplace: Path) -> Take:
    """Return a function that makes a set the one in force, one way or the other."""

    def from_bundle(lock: Lock, wheels: Mapping[str, Path]) -> object:
        path = workplace / "set.zip"
        write_bundle(path, lock, wheels)
        return services.extensions.bundles.install(path)

    def from_store(lock: Lock, wheels: Mapping[str, Path]) -> object:
        instance = services.config.instance
        (instance / "extensions.lock").write_text(lock.text())
        for path in wheels.values():
            kept = instance / "extensions" / "wheels" / sha256(path) / path.name
            kept.parent.mkdir(parents=True)
            shutil.copy(path, kept)
        try:
            return services.extensions.synchronisation.sync(frozen=True)
        finally:
            (instance / "extensions.lock").unlink()

    return from_bundle if request.param == "bundle" else from_store


@pytest.mark.parametrize(
    ("take", "case"),
    [(way, case) for way, rows in WAYS.items() for case in rows],
    indirect=["take"],
    ids=lambda item: item if isinstance(item, str) else item.name,
)
def test_a_wheel_that_could_not_be_installed_alone_is_refused_in_a_set(
    case: Case, take: Take, services: Services, workplace: Path, tmp_path: Path
) -> None:
    wheel = Path(case.package(Place(Hub(tmp_path), tmp_path, tmp_path, {}), case.name))
    resident = next((workplace / "wheels").iterdir())
    wheels = {"resident": resident, case.name: wheel}
    lock = Lock(extensions={name: locked(path) for name, path in wheels.items()})
    check_is_refused(lambda: take(lock, wheels), case.told, services)


@pytest.mark.parametrize("take", ["bundle", "store"], indirect=True)
@pytest.mark.parametrize("kind", BROUGHT)
def test_a_package_that_comes_along_is_refused_in_a_set(
    kind: str, take: Take, services: Services, workplace: Path, tmp_path: Path
) -> None:
    package, told = BROUGHT[kind]
    wheels = {
        "resident": next((workplace / "wheels").iterdir()),
        "brought": package.write(tmp_path, "brought"),
    }
    lock = Lock(
        extensions={"resident": locked(wheels["resident"])},
        packages={"brought": locked(wheels["brought"]).wheel},
    )
    check_is_refused(lambda: take(lock, wheels), told, services)


def check_is_refused(taking: Callable[[], object], told: str, services: Services) -> None:
    """Check that a set is refused with words of the table, and that nothing has changed."""
    before = visible(services.config.instance)
    with pytest.raises(TinyBaseError) as refused:
        taking()
    assert told in refused.value.detail
    assert visible(services.config.instance) == before
