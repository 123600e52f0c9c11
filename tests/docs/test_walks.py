"""The tutorials and guides do what they say, against the real command and a real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import DOCS, ROOT, blocks
from serving import tinybase
from walk import Walk


@pytest.mark.parametrize("page", ["first-backend.md", "first-extension.md"])
def test_a_tutorial_can_be_followed_from_an_empty_folder(page: str, tmp_path: Path) -> None:
    with Walk(tmp_path, instance=tmp_path / "my-app") as walk:
        walk.follow(blocks(DOCS / "tutorial" / page))


@pytest.mark.parametrize(
    "page",
    [
        "application-tokens.md",
        "functions.md",
        "private-collections.md",
        "reset-the-admin-password.md",
        "routes-and-pages.md",
        "write-an-extension.md",
    ],
)
def test_a_guide_can_be_followed_in_the_folder_of_an_instance(page: str, tmp_path: Path) -> None:
    arguments = ("--admin-email", "ada@example.com", "--admin-password", "open sesame 42")
    assert tinybase("init", tmp_path, *arguments).returncode == 0
    with Walk(tmp_path, instance=tmp_path) as walk:
        walk.follow(blocks(DOCS / "how-to" / page))


def test_the_readme_can_be_followed_in_a_clone(tmp_path: Path) -> None:
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    (tmp_path / "plugins").symlink_to(ROOT / "plugins")
    assert tinybase("init", tmp_path / "instance", "--no-admin").returncode == 0
    with Walk(tmp_path, instance=tmp_path / "instance") as walk:
        walk.follow(blocks(ROOT / "README.md"))
