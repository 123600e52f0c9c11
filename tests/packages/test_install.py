"""Installing and removing, with the real git and the real pip, and no network."""

from __future__ import annotations

import json
import site
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest
from github import Hub, write
from sqlalchemy import select

from tinybase._version import __version__
from tinybase.db import tables
from tinybase.errors import Conflict, NotFound
from tinybase.packages.extensions import Extensions
from tinybase.packages.plan import Plan

from .conftest import flat, make_wheel, opened
from .samples import WITH_FUNCTION, host_state, visible

Names = Callable[[], list[str]]


def test_an_extension_goes_from_an_address_to_a_set_in_force_and_back(
    hub: Hub, extensions: Extensions, instance: Path, names: Names
) -> None:
    address = hub.repository("my-ext", flat("My.Ext", WITH_FUNCTION.format(name="run")))
    commit = hub.git("my-ext", "rev-parse", "HEAD")
    host = host_state()

    installed = extensions.install(address)

    assert (installed.name, installed.version, installed.status) == ("my-ext", "1.0.0", "enabled")
    assert (installed.repo_url, installed.ref, installed.commit) == (address, "v1.0.0", commit)
    assert (installed.source, installed.managed, installed.generation) == ("github", True, 1)
    assert installed.hooks == ("tinybase_on_record_create",)
    assert installed.functions == ("run",)
    assert extensions.get("MY_ext") == installed
    current = instance / "extensions" / "current"
    (found,) = distributions(name="my-ext", path=[str(current.resolve())])
    origin = json.loads(found.read_text("direct_url.json") or "")
    assert origin["vcs_info"]["commit_id"] == commit
    lock = json.loads((instance / "extensions.lock").read_text())
    assert lock == json.loads((current / "extensions.lock").read_text())
    assert lock["tinybase"] == __version__
    assert lock["extensions"]["my-ext"]["commit"] == commit
    assert len(lock["extensions"]["my-ext"]["wheel"]["sha256"]) == 64
    assert host_state() == host

    extensions.uninstall("my.ext")

    assert names() == []
    assert json.loads((instance / "extensions.lock").read_text())["extensions"] == {}
    assert host_state() == host
    with pytest.raises(NotFound):
        extensions.uninstall("my-ext")


def test_what_is_wished_is_in_the_database(
    hub: Hub, extensions: Extensions, instance: Path
) -> None:
    def rows() -> list[tuple[str, bool]]:
        table = tables.extensions
        with opened(instance) as services, services.database.connect() as connection:
            query = select(table.c.name, table.c.is_enabled)
            return [(row.name, row.is_enabled) for row in connection.execute(query)]

    def revision() -> int:
        with opened(instance) as services:
            return services.host.desired.revision()

    start = revision()
    extensions.install(hub.repository("one", flat("one-wished")))
    assert rows() == [("one-wished", True)]
    assert revision() > start

    assert extensions.set_enabled("one_wished", False).status == "disabled"
    assert rows() == [("one-wished", False)]
    with pytest.raises(Conflict, match="already installed") as told:
        extensions.install("user/one")
    assert told.value.code == "extension_exists"
    assert extensions.set_enabled("one_wished", True).status == "enabled"

    extensions.uninstall("one-wished")
    assert rows() == []


def test_an_extension_that_was_wished_off_beforehand_stays_off(
    hub: Hub, extensions: Extensions, instance: Path
) -> None:
    with opened(instance) as services:
        services.host.desired.set_enabled("wished-off", is_enabled=False)
    assert extensions.get("wished-off").status == "missing"

    assert extensions.install(hub.repository("x", flat("wished-off"))).status == "disabled"


def test_packages_come_and_go_with_the_extensions_that_need_them(
    hub: Hub, extensions: Extensions, index: Path, instance: Path, names: Names
) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(index, "tbdep", version, "tbdeep>=1")
    make_wheel(index, "tbdeep", "1.0")
    needs = "[extension.dependencies]\ntbdep = {!r}\n"
    one = hub.repository("one", flat("one-needs", "import tbdep", more=needs.format("<2")))
    two = hub.repository("two", flat("two-needs", "import tbdep", more=needs.format("*")))
    three = hub.repository("three", flat("three-needs", "import tbdep", more=needs.format(">=2")))
    host = host_state()

    def packages() -> dict[str, list[str]]:
        lock = json.loads((instance / "extensions.lock").read_text())
        return {
            f"{name} {item['version']}": item["required_by"]
            for name, item in lock["packages"].items()
        }

    plans: list[Plan] = []
    extensions.install(one, confirm=plans.append)
    assert [(item.name, item.version) for item in plans[0].packages or ()] == [
        ("tbdeep", "1.0"),
        ("tbdep", "1.0"),
    ]
    assert packages() == {"tbdep 1.0": ["one-needs"], "tbdeep 1.0": ["one-needs"]}

    # What is there serves the second one, though the index has something newer; offline.
    for wheel in index.iterdir():
        wheel.unlink()
    extensions.install(two)
    both = ["one-needs", "two-needs"]
    assert packages() == {"tbdep 1.0": both, "tbdeep 1.0": both}

    make_wheel(index, "tbdep", "2.0", "tbdeep>=1")
    before = visible(instance)
    with pytest.raises(Conflict, match="tbdep") as told:
        extensions.install(three)
    assert told.value.code == "dependency_conflict"
    assert visible(instance) == before

    extensions.uninstall("one-needs")
    assert packages() == {"tbdep 1.0": ["two-needs"], "tbdeep 1.0": ["two-needs"]}
    extensions.install(three)
    assert set(packages()) == {"tbdep 2.0", "tbdeep 1.0"}
    assert names() == ["three-needs", "two-needs"]
    assert host_state() == host


def test_an_extension_that_another_one_needs_stays(
    hub: Hub, extensions: Extensions, names: Names
) -> None:
    extensions.install(hub.repository("base", flat("base-ext")))
    more = '[extension.dependencies]\nbase-ext = ">=1"\n'
    extensions.install(hub.repository("top", flat("top-ext", "import base_ext", more=more)))

    with pytest.raises(Conflict, match="Uninstall top-ext first"):
        extensions.uninstall("base-ext")
    assert names() == ["base-ext", "top-ext"]


def test_one_that_broke_on_its_own_does_not_keep_others_out(
    hub: Hub, extensions: Extensions, tmp_path: Path
) -> None:
    source = write(tmp_path / "source", flat("broke-later"))
    extensions.install(str(source), editable=True)
    (source / "__init__.py").write_text("raise RuntimeError('edited')")

    assert extensions.install(hub.repository("fine", flat("fine-ext"))).status == "enabled"
    assert {item.name: item.status for item in extensions.list()} == {
        "broke-later": "failed",
        "fine-ext": "enabled",
    }
    # Nothing is tried out for these two, so they cannot fail because of it.
    assert extensions.set_enabled("broke-later", False).status == "disabled"
    extensions.uninstall("broke-later")


def test_pip_cannot_be_led_astray_by_the_environment(
    hub: Hub, extensions: Extensions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "trap", {"pip.py": "raise SystemExit('trapped')"})
    monkeypatch.chdir(tmp_path / "trap")
    for name in ("PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_REQUIRE_HASHES", "PIP_NO_DEPS"):
        monkeypatch.setenv(name, "1")
    for name in ("PIP_TARGET", "PIP_PREFIX", "PYTHONPATH", "PIP_LOG"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    host = host_state()

    assert extensions.install(hub.repository("x", flat("not-astray"))).status == "enabled"
    assert not (tmp_path / "elsewhere").exists()
    assert host_state() == host
    assert not Path(site.getusersitepackages(), "not_astray").exists()
