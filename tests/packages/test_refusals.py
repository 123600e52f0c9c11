"""What is not installed, and that nothing has changed afterwards."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from github import Hub, write

from tinybase.errors import Conflict
from tinybase.packages import build
from tinybase.packages.extensions import Extensions

from .conftest import flat, make_wheel

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


def test_what_changes_installed_files_while_it_is_tried_out_is_refused(
    hub: Hub, extensions: Extensions, names: Names
) -> None:
    extensions.install(hub.repository("good", flat("good-x")))
    before = names()
    for name, crime in (
        ("own", "pathlib.Path(__file__).unlink()"),
        ("others", "import good_x; pathlib.Path(good_x.__file__).write_text('')"),
    ):
        address = hub.repository(name, flat(f"{name}-x", init=f"import pathlib\n{crime}\n"))
        with pytest.raises(Conflict, match="is not as it was installed") as refused:
            extensions.install(address)
        assert refused.value.code == "extension_load_failed"
        assert names() == before


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
