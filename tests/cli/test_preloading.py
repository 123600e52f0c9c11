from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tinybase.cli.preloading import preload_models
from tinybase.config import load

NEEDED = ["tinybase.functions.pydantic_models"]


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is imported from now on, instead of importing it."""
    names: list[str] = []
    monkeypatch.setattr(importlib, "import_module", names.append)
    return names


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("functions/orders.py", "from pydantic import BaseModel"),
        ("functions/orders.py", "from sqlmodel import select"),
        ("extensions/generations/001/shop/hooks.py", "import pydantic"),
    ],
)
def test_pydantic_is_imported_beforehand_where_functions_or_extensions_need_it(
    tmp_path: Path, imported: list[str], place: str, source: str
) -> None:
    write(tmp_path / place, source)
    write(tmp_path / "extensions" / "generations" / "001" / "extensions.lock", "")
    (tmp_path / "extensions" / "current").symlink_to("generations/001")

    preload_models(load(tmp_path))

    assert imported == NEEDED


def test_nothing_is_imported_beforehand_that_nobody_needs(
    tmp_path: Path, imported: list[str]
) -> None:
    write(tmp_path / "functions" / "orders.py", "from tinybase.functions import register")
    write(tmp_path / "extensions" / "generations" / "001" / "shop" / "hooks.py", "import pydantic")

    preload_models(load(tmp_path))

    assert imported == []


def test_a_file_that_is_gone_or_unreadable_keeps_nobody_from_serving(
    tmp_path: Path, imported: list[str]
) -> None:
    (tmp_path / "functions" / "folder.py").mkdir(parents=True)
    (tmp_path / "functions" / "gone.py").symlink_to("nowhere.py")
    write(tmp_path / "functions" / "orders.py", "import pydantic")

    preload_models(load(tmp_path))

    assert imported == NEEDED
