"""The build backend of flat repositories."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from github import write

from tinybase.errors import Invalid
from tinybase.packages import build
from tinybase.packages.wheels import read_wheel

from .conftest import flat, manifest

HEAVY = ("flask", "sqlalchemy", "pydantic", "marshmallow", "click")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        **flat("my-extension", more='description = "Mine"\nlicense = "MIT"\n'),
        "hooks.py": "",
        "nested/deep/module.py": "",
        "templates/a.html": "<p>",
        "README.md": "# Mine",
        "LICENSE": "MIT License",
        "tests/test_x.py": "",
        "docs/index.md": "",
        ".github/workflows/ci.yml": "",
        ".gitignore": "",
        "setup.cfg": "",
        "nested/__pycache__/x.pyc": "",
        "venv/pyvenv.cfg": "",
        "CHANGELOG.md": "",
    }
    return write(tmp_path / "source", files)


def built(root: Path, folder: Path, **options: object) -> Path:
    folder.mkdir(exist_ok=True)
    return folder / build.build_wheel(folder, root=root, **options)  # type: ignore[arg-type]


def test_the_wheel_holds_the_package_and_nothing_of_the_repository(
    root: Path, tmp_path: Path
) -> None:
    wheel = built(root, tmp_path / "out")

    assert wheel.name == "my_extension-1.0.0-py3-none-any.whl"
    info = "my_extension-1.0.0.dist-info"
    assert set(zipfile.ZipFile(wheel).namelist()) == {
        "my_extension/__init__.py",
        "my_extension/extension.toml",
        "my_extension/hooks.py",
        "my_extension/nested/deep/module.py",
        "my_extension/templates/a.html",
        f"{info}/METADATA",
        f"{info}/WHEEL",
        f"{info}/RECORD",
        f"{info}/entry_points.txt",
        f"{info}/licenses/LICENSE",
    }


def test_the_metadata_says_what_the_manifest_says(tmp_path: Path) -> None:
    more = (
        'description = "Mine"\nauthor = "Ann"\nlicense = "apache-2.0"\nkeywords = ["a", "b"]\n'
        'homepage = "https://example.com"\npython = ">=3.11"\n'
        '[extension.tinybase]\nmin_version = "0.3.0"\n[extension.dependencies]\nsix = ">=1"\n'
    )
    wheel = built(write(tmp_path / "s", flat("my-ext", more=more)), tmp_path / "out")
    with zipfile.ZipFile(wheel) as archive:
        found = email.message_from_bytes(archive.read("my_ext-1.0.0.dist-info/METADATA"))

    assert found["Name"] == "my-ext"
    assert found["Summary"] == "Mine"
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Requires-Python"] == ">=3.11"
    assert found["Project-URL"] == "Homepage, https://example.com"
    assert found.get_all("Requires-Dist") == ["tinybase>=0.3.0.dev0", "six>=1"]


def test_a_licence_that_nobody_knows_is_kept_as_text(tmp_path: Path) -> None:
    source = write(tmp_path / "s", flat("my-ext", more='license = "Ask me"'))

    assert read_wheel(built(source, tmp_path / "out")).license == "Ask me"


def test_the_wheel_announces_its_entry_point(root: Path, tmp_path: Path) -> None:
    facts = read_wheel(built(root, tmp_path / "out"))

    assert facts.entry_points == {"my-extension": "my_extension"}
    assert facts.packages == {"my_extension"}


def test_the_same_files_give_the_same_bytes(root: Path, tmp_path: Path) -> None:
    first = built(root, tmp_path / "one").read_bytes()
    for path in root.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o755)

    assert built(root, tmp_path / "two").read_bytes() == first


def test_building_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    before = sorted(root.rglob("*"))
    built(root, tmp_path / "out")

    assert sorted(root.rglob("*")) == before


def test_where_it_came_from_can_be_put_into_the_wheel(root: Path, tmp_path: Path) -> None:
    wheel = built(root, tmp_path / "out", direct_url={"url": "https://github.com/user/x"})
    with zipfile.ZipFile(wheel) as archive:
        found = archive.read("my_extension-1.0.0.dist-info/direct_url.json")

    assert found == b'{"url": "https://github.com/user/x"}'


def test_an_editable_wheel_leads_to_the_source(root: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    name = build.build_editable(tmp_path / "out", root=root)
    with zipfile.ZipFile(tmp_path / "out" / name) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        f"import site; site.addsitedir({str(tmp_path / 'site')!r})\n"
        "import my_extension.nested.deep.module as m; print(m.__file__)"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == str(root / "nested/deep/module.py")


def test_the_source_archive_can_be_built_again(root: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    name = build.build_sdist(tmp_path / "out", root=root)
    with tarfile.open(tmp_path / "out" / name) as archive:
        archive.extractall(tmp_path / "again")
    again = tmp_path / "again" / "my_extension-1.0.0"

    assert name == "my_extension-1.0.0.tar.gz"
    assert 'build-backend = "tinybase.packages.build"' in (again / "pyproject.toml").read_text()
    first = read_wheel(built(root, tmp_path / "one"))
    assert read_wheel(built(again, tmp_path / "two")) == first


def test_the_metadata_can_be_had_alone(root: Path, tmp_path: Path) -> None:
    name = build.prepare_metadata_for_build_wheel(tmp_path, root=root)

    assert (tmp_path / name / "METADATA").read_text().startswith("Metadata-Version: 2.4\n")
    assert build.get_requires_for_build_wheel() == []


@pytest.mark.parametrize(
    ("name", "target", "told"),
    [
        ("secret.txt", "/etc/passwd", "leads out"),
        ("outside", "..", "leads out"),
        ("inside", "nested", "link to a folder"),
        ("broken", "/does/not/exist", "leads out"),
    ],
)
def test_a_link_that_cannot_be_packed_is_refused(
    root: Path, tmp_path: Path, name: str, target: str, told: str
) -> None:
    (root / name).symlink_to(target)

    with pytest.raises(Invalid, match=told):
        built(root, tmp_path / "out")


def test_a_link_to_a_file_of_the_repository_is_packed_as_that_file(
    root: Path, tmp_path: Path
) -> None:
    (root / "same.py").symlink_to("hooks.py")

    assert "my_extension/same.py" in read_wheel(built(root, tmp_path / "out")).members


def test_a_special_file_is_refused(root: Path, tmp_path: Path) -> None:
    os.mkfifo(root / "pipe")

    with pytest.raises(Invalid, match="neither a file nor a folder"):
        built(root, tmp_path / "out")


def test_a_repository_without_init_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "s", {"extension.toml": manifest("my-ext")})

    with pytest.raises(Invalid, match=r"__init__.py: is missing"):
        built(source, tmp_path / "out")


def test_a_repository_that_is_far_too_large_is_refused(root: Path, tmp_path: Path) -> None:
    with (root / "data.bin").open("wb") as file:
        file.truncate(200 * 1024 * 1024)

    with pytest.raises(Invalid, match="larger than 100 MiB"):
        built(root, tmp_path / "out")


def test_the_backend_needs_no_application() -> None:
    code = (
        "import sys, tinybase.packages.build, tinybase.packages.addresses\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
