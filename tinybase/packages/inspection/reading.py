"""Reading the files of an extension, none of which is imported."""

from __future__ import annotations

import ast
import os
import threading
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from tinybase.manifest_collections import FILE_NAME as _MANIFEST
from tinybase.packages import layout
from tinybase.packages.inspection.constants import Constants, Read
from tinybase.packages.inspection.findings import (
    BYTECODE,
    NATIVE_CODE,
    Command,
    Finding,
    Implementation,
    Inspection,
    Offer,
    OwnCollection,
    OwnSetting,
    Power,
    Route,
    Unread,
    Use,
    Variable,
)
from tinybase.packages.inspection.names import Module
from tinybase.packages.inspection.offers import Offers
from tinybase.packages.inspection.own import in_manifest
from tinybase.packages.inspection.uses import Uses
from tinybase.packages.inspection.variables import Variables

MAX_FILE: Final = 1024 * 1024
MAX_TOTAL: Final = 8 * 1024 * 1024
MAX_FILES: Final = 5_000

_SOURCE: Final = (".py", ".pyw")
_NATIVE: Final = (".so", ".pyd", ".dll", ".dylib")
_BYTECODE: Final = (".pyc", ".pyo")
_PATH_FILE: Final = ".pth"
_READ: Final = frozenset({*_SOURCE, *_NATIVE, *_BYTECODE, _PATH_FILE, _MANIFEST})
_NOT_INSTALLED: Final = frozenset(
    {"tests", "test", "docs", "doc", "examples", "benchmarks", "build", "dist"}
)

_Finding = (
    Implementation | Offer | Route | Command | OwnCollection | OwnSetting | Variable | Use | Unread
)
_T = TypeVar("_T", bound=Finding)

# The filters of warnings belong to the whole process.
_quiet = threading.Lock()


@dataclass(frozen=True, slots=True)
class _File:
    """A file of an extension, by its name in it.

    ``content`` is what it starts with, at most one byte longer than what is read, or
    ``None`` if it cannot be had.
    """

    name: str
    content: bytes | None


def inspect_wheel(path: Path) -> Inspection:
    """Inspect all the code in a wheel."""
    with zipfile.ZipFile(path) as archive:
        names = [item.filename for item in archive.infolist() if not item.is_dir()]
        own = frozenset(_top_level(name) for name in names)
        there = frozenset(names)
        constants = Constants(own, lambda n: _unpacked(archive, n) if n in there else None)
        return _inspect(_wheel_files(archive, sorted(names)), own, constants)


def inspect_flat(root: Path, package: str) -> Inspection:
    """Inspect the files of a flat repository that are its package.

    :param package: the name that it is imported as.
    """
    paths = layout.package_files(root)
    own = frozenset({package})
    return _inspect(_files(paths), own, Constants(own, _reader(paths)))


def inspect_project(root: Path) -> Inspection:
    """Inspect a source tree with a build system of its own, and what builds it.

    Tests, documentation and the like at the top are left out.
    """
    paths = sorted(_walk(root), key=lambda item: item[0])
    own = frozenset(_top_level(name.removeprefix("src/")) for name, _ in paths)
    return _inspect(_files(paths), own, Constants(own, _reader(paths)))


def _inspect(files: Iterable[_File], own: frozenset[str], constants: Constants) -> Inspection:
    with _quiet, warnings.catch_warnings():
        # What the compiler has to say about foreign code is for its author.
        warnings.simplefilter("ignore")
        found = list(_findings(files, own, constants))
    return Inspection(
        hooks=_sorted(item for item in found if isinstance(item, Implementation)),
        functions=_sorted(item for item in found if isinstance(item, Offer)),
        routes=_sorted(item for item in found if isinstance(item, Route)),
        commands=_sorted(item for item in found if isinstance(item, Command)),
        collections=_sorted(item for item in found if isinstance(item, OwnCollection)),
        settings=_sorted(item for item in found if isinstance(item, OwnSetting)),
        environment=_sorted(item for item in found if isinstance(item, Variable)),
        uses=_sorted(item for item in found if isinstance(item, Use)),
        unread=_sorted(item for item in found if isinstance(item, Unread)),
    )


def _sorted(items: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(sorted(set(items), key=lambda item: (item.file, item.line, repr(item))))


def _findings(
    files: Iterable[_File], own: frozenset[str], constants: Constants
) -> Iterator[_Finding]:
    total = 0
    for number, file in enumerate(files):
        total += len(file.content or b"")
        if number >= MAX_FILES or total > MAX_TOTAL:
            yield Unread(file.name, 0, "there is too much code; it and what follows was left out")
            return
        yield from _in_file(file, own, constants)


def _in_file(file: _File, own: frozenset[str], constants: Constants) -> Iterator[_Finding]:
    kind = _kind(file.name)
    if file.content is None:
        yield Unread(file.name, 0, "it cannot be unpacked")
    elif kind in _NATIVE:
        yield Use(file.name, 0, Power.NATIVE, NATIVE_CODE)
    elif kind in _BYTECODE:
        # Python may run it instead of the source beside it.
        yield Use(file.name, 0, Power.NATIVE, BYTECODE)
    elif kind == _PATH_FILE:
        for line, text in enumerate(file.content.splitlines(), start=1):
            if text.startswith((b"import ", b"import\t")):
                yield Use(file.name, line, Power.CODE, "code in a path file")
    elif len(file.content) > MAX_FILE:
        yield Unread(file.name, 0, f"it is larger than {MAX_FILE // 1024} KiB")
    elif kind == _MANIFEST:
        yield from in_manifest(file.name, file.content)
    else:
        yield from _in_source(file.name, file.content, own, constants)


def _in_source(
    name: str, source: bytes, own: frozenset[str], constants: Constants
) -> Iterator[_Finding]:
    try:
        module = Module(ast.parse(source))
        # All or nothing: what was found before a fault would look like everything.
        yield from [
            *Offers(module, name, constants).find(),
            *Variables(module, name).find(),
            *Uses(module, name, own).find(),
        ]
    except SyntaxError as error:
        yield Unread(name, error.lineno or 0, _plain(error.msg))
    except (RecursionError, MemoryError):
        yield Unread(name, 0, "it is nested too deeply")
    except ValueError as error:
        yield Unread(name, 0, _plain(str(error)))


def _plain(text: str) -> str:
    """Return the message of a parser as one short line; it may quote the code."""
    return " ".join(text.split())[:200]


def _kind(name: str) -> str:
    """Return the ending that decides how a file is treated, or nothing."""
    lower = name.lower()
    if lower.rpartition("/")[2] == _MANIFEST:
        return _MANIFEST
    if ".so." in lower.rpartition("/")[2]:
        return ".so"
    ending = lower[lower.rfind(".") :] if "." in lower else ""
    return ending if ending in _READ else ""


def _wheel_files(archive: zipfile.ZipFile, names: Iterable[str]) -> Iterator[_File]:
    for name in filter(_kind, names):
        yield _File(name, _unpacked(archive, name))


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes | None:
    try:
        with archive.open(name) as file:
            return file.read(MAX_FILE + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError):
        # Encrypted, compressed in a way that Python lacks, or broken.
        return None


def _reader(paths: Iterable[tuple[str, Path]]) -> Read:
    there = dict(paths)

    def read(name: str) -> bytes | None:
        if name not in there:
            return None
        with there[name].open("rb") as file:
            return file.read(MAX_FILE)

    return read


def _files(paths: Iterable[tuple[str, Path]]) -> Iterator[_File]:
    for name, path in paths:
        if _kind(name):
            with path.open("rb") as file:
                yield _File(name, file.read(MAX_FILE + 1))


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        left_out = _NOT_INSTALLED if here == root else frozenset()
        folders[:] = [
            name
            for name in folders
            if name not in left_out
            and not name.startswith(".")
            and name not in ("__pycache__", "node_modules")
            and not (here / name / "pyvenv.cfg").exists()
        ]
        for name in files:
            path = here / name
            if path.is_file() and path.resolve().is_relative_to(root.resolve()):
                yield path.relative_to(root).as_posix(), path


def _top_level(name: str) -> str:
    return name.partition("/")[0].partition(".")[0]
