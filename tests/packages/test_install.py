"""Installing and removing, with the real git and the real pip, and no network."""

from __future__ import annotations

import hashlib
import json
import site
import sysconfig
import zipfile
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest
from github import Hub, write
from sqlalchemy import select

from tinybase._version import __version__
from tinybase.db.models import Extension
from tinybase.errors import BadRequest, Conflict, Invalid, NotFound, TinyBaseError
from tinybase.packages import build
from tinybase.packages.extensions import Extensions
from tinybase.packages.generations import Generations
from tinybase.packages.plan import Plan

from .conftest import flat, make_wheel, manifest, opened

Names = Callable[[], list[str]]

WITH_FUNCTION = """
from tinybase.extensions import on_record_create
from tinybase.functions import register

@on_record_create(collection="events")
def note(event):
    pass

@register(name="{name}", auth="admin")
def run(ctx):
    return {{}}
"""

NEWER_HOST = '[extension.tinybase]\nmin_version = "99"\n'

# A build system that needs nothing: pip runs it in isolation without an index.
BACKEND = """
import os, sys, zipfile

def _write(folder, members):
    name = "own_build-2.0-py3-none-any.whl"
    info = "own_build-2.0.dist-info"
    members |= {{
        f"{{info}}/METADATA": "Metadata-Version: 2.1\\nName: own-build\\nVersion: 2.0\\n",
        f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{{info}}/entry_points.txt": {entry_points!r},
        f"{{info}}/RECORD": "",
    }}
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return name

def build_wheel(folder, settings=None, metadata=None):
    open({ran!r}, "a").write("built")
    return _write(folder, {{
        "own_build/__init__.py": open("own_build/__init__.py").read(),
        "own_build/environ.txt": "\\n".join(os.environ),
    }})

def build_editable(folder, settings=None, metadata=None):
    return _write(folder, {{"_own_build.pth": os.getcwd() + "\\n"}})
"""


def own_build(ran: Path, *, entry_points: str | None = None) -> dict[str, str]:
    """Return the files of a project that brings its own build system."""
    declared = "[tinybase.extensions]\nown-build = own_build\n"
    text = declared if entry_points is None else entry_points
    return {
        "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\n"
        "backend-path = ['.']\n[project]\nname = 'own-build'\nversion = '2.0'\n"
        "authors = [{name = 'Ann'}]\ndynamic = ['entry-points']\n",
        "backend.py": BACKEND.format(ran=str(ran), entry_points=text),
        "own_build/__init__.py": "",
    }


def host_state() -> str:
    """Return a digest of every file that is installed in the environment of the tests."""
    digest = hashlib.sha256()
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix != ".pyc" and path.is_file():
                digest.update(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return digest.hexdigest()


def visible(instance: Path) -> dict[str, str]:
    """Return everything of an instance that a failed change must leave as it was."""
    current = Generations(instance).current()
    found = {"current": str(current)}
    for path in sorted(instance.rglob("*")):
        name = str(path.relative_to(instance))
        if path.is_file() and not name.startswith("tinybase.db") and name != "extensions/lock":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


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
        table = Extension.__table__
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
    assert extensions.get("one-wished").status == "disabled"
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
    extensions.uninstall("two-needs")
    extensions.uninstall("three-needs")
    assert (packages(), names()) == ({}, [])
    assert host_state() == host


def test_what_the_host_provides_cannot_be_changed(
    hub: Hub, extensions: Extensions, index: Path, instance: Path, names: Names
) -> None:
    make_wheel(index, "tbold", "1.0", "flask<3")
    make_wheel(index, "flask", "2.3.3")
    direct = hub.repository(
        "direct", flat("old-direct", more='[extension.dependencies]\nFlask = "<3"')
    )
    deep = hub.repository("deep", flat("old-deep", more='[extension.dependencies]\ntbold = "*"'))
    absent = hub.repository(
        "absent", flat("absent-x", more='[extension.dependencies]\ntbabsent = "*"')
    )

    with pytest.raises(Conflict, match=r"needs Flask<3, and this TinyBase runs with Flask 3") as a:
        extensions.install(direct)
    with pytest.raises(Conflict, match=r"flask 3\S+, which no extension may change") as b:
        extensions.install(deep)
    with pytest.raises(Conflict, match="index has no tbabsent") as c:
        extensions.install(absent)

    assert {error.value.code for error in (a, b, c)} == {"dependency_conflict"}
    assert all("\n" not in error.value.detail for error in (a, b, c))
    assert names() == []


@pytest.mark.parametrize(
    ("init", "told"),
    [
        ("raise RuntimeError('boom at import')", "RuntimeError: boom at import"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "exit code 3"),
        ("import os; os._exit(7)", "exit code 7"),
        (
            "import numpy_absent",
            r'numpy_absent = "\*" under \[extension.dependencies\]',
        ),
        ("from . import absent_module", "absent_module"),
        (
            "from tinybase.extensions import on_record_create\n"
            "@on_record_create(colection='x')\ndef f(event): pass",
            "colection",
        ),
        ("import time; time.sleep(60)", "longer than 1 s"),
    ],
    ids=["raises", "syntax", "exits", "dies", "undeclared", "lacks a file", "misuse", "hangs"],
)
def test_an_extension_that_does_not_load_is_refused(
    init: str,
    told: str,
    hub: Hub,
    index: Path,
    instance: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TINYBASE_EXTENSIONS_IMPORT_TIMEOUT_SECONDS", "1")
    address = hub.repository("broken", flat("broken-ext", init))
    before = visible(instance)

    with opened(instance) as services, pytest.raises(Conflict, match=told) as refused:
        services.extensions.install(address)

    assert refused.value.code == "extension_load_failed"
    assert "\n" not in refused.value.detail
    assert visible(instance) == before


def test_two_extensions_cannot_have_one_function_or_one_package(
    hub: Hub, extensions: Extensions, instance: Path, tmp_path: Path
) -> None:
    extensions.install(hub.repository("a", flat("a-first", WITH_FUNCTION.format(name="twice"))))
    before = visible(instance)

    with pytest.raises(Conflict, match=r"twice.*a-first|a-first.*twice"):
        extensions.install(hub.repository("b", flat("b-next", WITH_FUNCTION.format(name="twice"))))
    wheel = make_wheel(tmp_path, "other", "1.0", package="a_first")
    with pytest.raises(Conflict, match="no extension of TinyBase"):
        extensions.install(str(wheel))

    assert visible(instance) == before


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("flask", "extension_exists", "already installed in the environment"),
        ("yaml", "extension_load_failed", "pyyaml already provides it"),
        ("tinybase", "manifest_invalid", "reserved"),
        ("json", "manifest_invalid", "reserved"),
    ],
)
def test_a_name_that_is_taken_is_refused(
    name: str, code: str, told: str, hub: Hub, extensions: Extensions
) -> None:
    with pytest.raises(TinyBaseError, match=told) as refused:
        extensions.install(hub.repository("x", flat(name)))

    assert refused.value.code == code


def test_what_is_no_extension_is_refused(hub: Hub, extensions: Extensions) -> None:
    with pytest.raises(Invalid, match=r"extension.toml: is missing"):
        extensions.install(hub.repository("empty", {"README.md": ""}))
    with pytest.raises(Invalid, match="needs TinyBase >=99"):
        extensions.install(hub.repository("new", flat("too-new", more=NEWER_HOST)))
    with pytest.raises(Invalid, match=r"__init__.py: is missing"):
        extensions.install(hub.repository("bare", {"extension.toml": manifest("bare-ext")}))
    with pytest.raises(BadRequest):
        extensions.install("http://github.com/user/x")


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
    # It goes along into later sets, as it is.
    init.write_text("")
    other = write(tmp_path / "other", flat("other-ext"))
    extensions.install(str(other))
    assert [item.status for item in extensions.list()] == ["enabled", "enabled"]


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
    (source / "__init__.py").write_text("import os; os._exit(1)")

    assert extensions.install(hub.repository("fine", flat("fine-ext"))).status == "enabled"
    assert {item.name: item.status for item in extensions.list()} == {
        "broke-later": "failed",
        "fine-ext": "enabled",
    }
    assert extensions.set_enabled("broke-later", False).status == "disabled"
    with pytest.raises(Conflict, match="cannot be enabled"):
        extensions.set_enabled("broke-later", True)
    assert extensions.get("broke-later").status == "disabled"
    extensions.uninstall("broke-later")


def test_an_extension_of_the_environment_is_listed_and_can_be_switched(
    extensions: Extensions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "source", flat("by-pip"))
    wheel = tmp_path / build.build_wheel(tmp_path, root=source)
    folder = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))

    (found,) = extensions.list()
    assert (found.name, found.status, found.managed) == ("by-pip", "enabled", False)
    assert (found.source, found.repo_url, found.generation) == ("pip", "", None)
    with pytest.raises(Conflict, match="pip uninstall by-pip") as refused:
        extensions.uninstall("by-pip")
    assert refused.value.code == "not_managed"
    with pytest.raises(Conflict, match="already installed in the environment"):
        extensions.install(str(source))
    assert extensions.set_enabled("by-pip", False).status == "disabled"
    assert extensions.get("by-pip").status == "disabled"


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
