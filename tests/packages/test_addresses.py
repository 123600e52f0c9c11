"""What may be written after ``tinybase extensions install``.

What may not is in the corpus of hostile packages.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tinybase.errors import BadRequest
from tinybase.packages.addresses import (
    FolderSource,
    GitSource,
    IndexSource,
    WheelSource,
    parse,
    remote_only,
)

COMMIT = "3f9c" * 10


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://github.com/U/R", "https://github.com/U/R"),
        ("https://github.com/U/R/", "https://github.com/U/R"),
        ("https://github.com/U/R.git", "https://github.com/U/R"),
        ("https://github.com/U/R.git/", "https://github.com/U/R"),
        ("https://GitHub.COM/U/R", "https://github.com/U/R"),
        ("HTTPS://github.com/U/R", "https://github.com/U/R"),
        ("git+https://github.com/U/R", "https://github.com/U/R"),
        ("https://github.com/U/R@v1.2.0", "https://github.com/U/R@v1.2.0"),
        ("https://github.com/U/R.git@v1.2.0", "https://github.com/U/R@v1.2.0"),
        ("https://github.com/U/R@feature/x", "https://github.com/U/R@feature/x"),
        (f"https://github.com/U/R@{COMMIT}", f"https://github.com/U/R@{COMMIT}"),
        ("https://github.com/U/R/tree/main", "https://github.com/U/R@main"),
        ("https://github.com/U/R/tree/main/a/b", "https://github.com/U/R@main#subdirectory=a/b"),
        ("https://github.com/U/R/releases/tag/v1", "https://github.com/U/R@v1"),
        ("https://github.com/U/R#subdirectory=a/b", "https://github.com/U/R#subdirectory=a/b"),
        ("https://github.com/U/R@v1#subdirectory=a", "https://github.com/U/R@v1#subdirectory=a"),
        ("U/R", "https://github.com/U/R"),
        ("U/R@v1+build.5", "https://github.com/U/R@v1+build.5"),
        ("u-s-e-r/r.e_p-o", "https://github.com/u-s-e-r/r.e_p-o"),
        ("git@github.com:U/R", "https://github.com/U/R"),
        ("git@github.com:U/R.git@v1", "https://github.com/U/R@v1"),
        ("ssh://git@github.com/U/R.git", "https://github.com/U/R"),
        ("git+ssh://git@github.com/U/R", "https://github.com/U/R"),
    ],
)
def test_an_address_of_a_repository_is_rebuilt_from_its_parts(text: str, shown: str) -> None:
    source = parse(text)

    assert isinstance(source, GitSource)
    assert str(source) == shown


@pytest.mark.parametrize(
    "text", ["git@github.com:U/R", "ssh://git@github.com/U/R", "git+ssh://git@github.com/U/R"]
)
def test_an_ssh_address_stays_one(text: str) -> None:
    source = parse(text)

    assert isinstance(source, GitSource)
    assert source.url == "ssh://git@github.com/U/R"


def test_a_ref_may_be_given_beside_the_address() -> None:
    assert str(parse("U/R", ref="v1")) == "https://github.com/U/R@v1"
    assert str(parse("U/R@v1", ref="v1")) == "https://github.com/U/R@v1"


@pytest.mark.parametrize(
    ("text", "ref"), [("U/R@v1", "v2"), ("U/R", "--x"), ("U/R", ""), ("name", "v1"), (".", "v1")]
)
def test_a_ref_that_does_not_go_with_the_address_is_refused(text: str, ref: str) -> None:
    with pytest.raises(BadRequest):
        parse(text, ref=ref)


@pytest.mark.parametrize("text", ["name", "Na.me_x", "name==1.0", "name>=1,<2", "name[a,b]~=1.4"])
def test_the_name_of_a_package_may_have_versions_and_extras(text: str) -> None:
    source = parse(text)

    assert isinstance(source, IndexSource)
    assert source.name in {"name", "na-me-x"}


def test_a_path_is_recognised_by_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my folder"
    folder.mkdir()
    (tmp_path / "x-1.0-py3-none-any.whl").touch()
    monkeypatch.chdir(tmp_path)

    assert parse(str(folder)) == FolderSource(folder.resolve())
    assert parse("./my folder") == FolderSource(folder.resolve())
    assert parse("my folder", editable=True) == FolderSource(folder.resolve(), editable=True)
    assert parse(".") == FolderSource(tmp_path.resolve())
    assert isinstance(parse("./x-1.0-py3-none-any.whl"), WheelSource)


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").touch()

    with pytest.raises(BadRequest, match="neither a folder nor a wheel"):
        parse(str(tmp_path / "x.zip"))
    with pytest.raises(BadRequest, match="not a folder"):
        parse(str(tmp_path / "x.zip"), editable=True)


def test_a_client_of_the_api_may_not_name_a_path() -> None:
    with pytest.raises(BadRequest, match="over HTTP"):
        remote_only(parse(os.curdir))
    assert remote_only(parse("U/R"))
