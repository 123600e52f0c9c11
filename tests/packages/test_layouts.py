"""Everything that an address may lead to: flat or not, a folder, a wheel, an index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from github import Hub, write

from tinybase.errors import Conflict, Invalid, TinyBaseError
from tinybase.packages import build
from tinybase.packages.extensions import Extensions
from tinybase.packages.plan import Plan

from .conftest import flat, make_wheel
from .samples import own_build

Names = Callable[[], list[str]]


def test_a_project_with_its_own_build_system_is_built_after_the_question(
    hub: Hub,
    extensions: Extensions,
    instance: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CANARY", "of the operator")
    ran = tmp_path / "ran"
    address = hub.repository("own", own_build(ran))

    plan = extensions.plan(address)
    assert (plan.name, plan.version, plan.author) == ("own-build", "2.0", "Ann")
    assert plan.runs_build_code
    assert plan.packages == ()

    def refuse(shown: Plan) -> None:
        raise Conflict(f"No {shown.name}.")

    with pytest.raises(Conflict, match="No own-build"):
        extensions.install(address, confirm=refuse)
    assert not ran.exists()

    assert extensions.install(address).version == "2.0"
    assert ran.exists()
    seen = (instance / "extensions/current/own_build/environ.txt").read_text().splitlines()
    assert "PATH" in seen
    assert "CANARY" not in seen


def test_a_project_without_an_entry_point_is_refused(
    hub: Hub, extensions: Extensions, tmp_path: Path, names: Names
) -> None:
    address = hub.repository("own", own_build(tmp_path / "ran", entry_points=""))

    with pytest.raises(Conflict, match=r'project.entry-points."tinybase.extensions"'):
        extensions.install(address)
    assert names() == []


def test_a_project_that_cannot_be_built_is_refused(
    hub: Hub, extensions: Extensions, tmp_path: Path, names: Names
) -> None:
    files = own_build(tmp_path / "ran")
    files["backend.py"] = "def build_wheel(*a): raise RuntimeError('no compiler')"

    with pytest.raises(TinyBaseError, match="RuntimeError: no compiler") as refused:
        extensions.install(hub.repository("own", files))
    assert "\n" not in refused.value.detail
    assert names() == []


def test_a_folder_can_be_installed_and_is_copied(
    extensions: Extensions, tmp_path: Path, names: Names
) -> None:
    source = write(tmp_path / "source", flat("from-folder"))

    installed = extensions.install(str(source))
    (source / "__init__.py").write_text("raise RuntimeError")

    assert (installed.source, installed.repo_url) == ("folder", str(source))
    assert extensions.get("from-folder").status == "enabled"


def test_an_editable_folder_goes_along_into_later_sets(
    extensions: Extensions, tmp_path: Path
) -> None:
    extensions.install(str(write(tmp_path / "one", flat("edited-one"))), editable=True)
    extensions.install(str(write(tmp_path / "two", flat("plain-two"))))

    assert [item.status for item in extensions.list()] == ["enabled", "enabled"]


@pytest.mark.parametrize("layout", ["flat", "own build"])
def test_an_editable_folder_is_imported_from_where_it_is(
    layout: str, extensions: Extensions, tmp_path: Path, instance: Path
) -> None:
    files = flat("own-build") if layout == "flat" else own_build(tmp_path / "ran")
    source = write(tmp_path / "source", files)
    init = source / ("__init__.py" if layout == "flat" else "own_build/__init__.py")

    assert extensions.install(str(source), editable=True).status == "enabled"
    init.write_text("raise RuntimeError('edited')")

    found = extensions.get("own-build")
    assert found.status == "failed"
    assert "edited" in (found.status_reason or "")


def test_a_package_of_an_index_and_a_wheel_can_be_installed(
    extensions: Extensions, index: Path, tmp_path: Path, names: Names
) -> None:
    source = write(tmp_path / "source", flat("from-index"))
    build.build_wheel(index, root=source)
    write(source, flat("from-index", version="2.0.0"))
    newer = index / build.build_wheel(index, root=source)

    plan = extensions.plan("from-index<2")
    assert (plan.version, plan.source, plan.runs_build_code) == ("1.0.0", "index", False)
    assert extensions.install("from-index<2").version == "1.0.0"
    extensions.uninstall("from-index")
    assert extensions.install(str(newer)).source == "wheel"
    with pytest.raises(Conflict, match="index has no tb-nobody"):
        extensions.install("tb-nobody")
    assert names() == ["from-index"]


def test_a_wheel_that_would_write_outside_is_refused(
    extensions: Extensions, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "evil", "1.0", package="../evil")

    with pytest.raises(Invalid, match="written outside"):
        extensions.install(str(wheel))
