"""Which files of a flat repository make up its package."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tinybase.errors import Fault, Invalid

MAX_FILES = 20_000
MAX_BYTES = 100 * 1024 * 1024

_NEVER_FILES = ("*.pyc", "*.pyo", "*.egg-info")
_NEVER_FOLDERS = frozenset({"__pycache__", "node_modules"})
_NOT_AT_THE_TOP = (
    "tests",
    "test",
    "docs",
    "build",
    "dist",
    "venv",
    "pyproject.toml",
    "setup.*",
    "conftest.py",
    "noxfile.py",
    "tox.ini",
    "pytest.ini",
    "Makefile",
    "PKG-INFO",
    "README*",
    "LICENSE*",
    "LICENCE*",
    "COPYING*",
    "NOTICE*",
    "CHANGELOG*",
    "CHANGES*",
    "CONTRIBUTING*",
    "SECURITY*",
)
_LICENSES = ("LICENSE*", "LICENCE*", "COPYING*", "NOTICE*")


def package_files(root: Path) -> list[tuple[str, Path]]:
    """Return the files of the package, by their name in it, in a fixed order.

    Repository matter stays out: dot files, tests, documentation, licences and the like.

    :raises Invalid: ``manifest_invalid``, for what cannot be packed: links that lead out of
        the repository, special files, names that are no text, far too much.
    """
    if not (root / "__init__.py").is_file():
        raise _refused("__init__.py", "is missing. Python imports the extension through it")
    found = sorted(_walk(root, root, PurePosixPath()), key=lambda item: item[0])
    if len(found) > MAX_FILES:
        raise _refused(".", f"has more than {MAX_FILES} files. Leave out what is not needed")
    if sum(path.stat().st_size for _, path in found) > MAX_BYTES:
        limit = MAX_BYTES // 1024 // 1024
        raise _refused(".", f"is larger than {limit} MiB. Download large data when it is needed")
    return found


def license_files(root: Path) -> list[tuple[str, Path]]:
    """Return the licence files at the top of the repository."""
    return [
        (path.name, path)
        for path in sorted(root.iterdir())
        if _matches(path.name, _LICENSES) and path.is_file() and not path.is_symlink()
    ]


def check_links(root: Path) -> None:
    """Check that no link in a source tree leads out of it.

    :raises Invalid: ``manifest_invalid``, naming the link.
    """
    for folder, folders, files in os.walk(root):
        if ".git" in folders:
            folders.remove(".git")
        for name in [*folders, *files]:
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
                raise _refused(
                    str(path.relative_to(root)),
                    "is a link that leads out of the repository. Replace it by a file",
                )


def _walk(root: Path, folder: Path, inside: PurePosixPath) -> Iterator[tuple[str, Path]]:
    for path in folder.iterdir():
        name = inside / path.name
        if _is_left_out(path, at_the_top=folder == root):
            continue
        _check(root, path, str(name))
        if path.is_dir():
            yield from _walk(root, path, name)
        else:
            yield str(name), path


def _is_left_out(path: Path, *, at_the_top: bool) -> bool:
    name = path.name
    return (
        name.startswith(".")
        or name in _NEVER_FOLDERS
        or _matches(name, _NEVER_FILES)
        or (at_the_top and _matches(name, _NOT_AT_THE_TOP))
        or (path / "pyvenv.cfg").exists()
    )


def _check(root: Path, path: Path, name: str) -> None:
    if not name.isprintable():
        raise _refused(ascii(name), "has a name that is no plain text. Rename it")
    if path.is_symlink():
        if not path.resolve().is_relative_to(root.resolve()):
            raise _refused(name, "is a link that leads out of the repository. Replace it by a file")
        if path.is_dir():
            raise _refused(name, "is a link to a folder. Replace it by the folder")
    if not path.is_dir() and not path.is_file():
        raise _refused(name, "is neither a file nor a folder. Remove it")


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _refused(name: str, reason: str) -> Invalid:
    return Invalid([Fault((name,), f"{reason}.", "layout")], code="manifest_invalid")
