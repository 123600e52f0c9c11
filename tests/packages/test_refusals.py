"""What is not installed, and that nothing has changed afterwards."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from github import Hub, write

from tinybase.errors import BadRequest, Conflict, Invalid, TinyBaseError
from tinybase.packages import build
from tinybase.packages.extensions import Extensions

from .conftest import flat, make_wheel, manifest, opened
from .samples import NEWER_HOST, WITH_FUNCTION, visible

Names = Callable[[], list[str]]


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
        ("import numpy_absent", r'numpy_absent = "\*" under \[extension.dependencies\]'),
        ("import os; os._exit(7)", "exit code 7"),
    ],
    ids=["raises", "undeclared", "dies"],
)
def test_an_extension_that_does_not_load_is_refused(
    init: str,
    told: str,
    hub: Hub,
    index: Path,
    instance: Path,
) -> None:
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
