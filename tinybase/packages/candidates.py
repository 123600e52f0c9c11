"""An extension on its way in: its source, what is known of it, and in the end its wheel."""

from __future__ import annotations

import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import sys_tags
from packaging.utils import (
    InvalidName,
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from tinybase import foreign_toml
from tinybase.errors import Fault, Invalid
from tinybase.packages import manifest
from tinybase.packages.addresses import FolderSource, GitSource, IndexSource, Source, WheelSource
from tinybase.packages.build import BACKEND, build_editable, build_wheel
from tinybase.packages.fetch import Checkout, fetch
from tinybase.packages.pip import Pip
from tinybase.packages.wheels import check_record, read_wheel, unsound, write_wheel

FLAT = "flat"
PYPROJECT = "pyproject"
WHEEL = "wheel"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an extension before any code of it has run; empty means unknown.

    ``requirements`` is ``None`` when only its build can tell.
    """

    name: str = ""
    version: str = ""
    description: str = ""
    author: str = ""
    license: str = ""
    requirements: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An extension on its way in.

    ``wheel`` is there from the start when building it runs no foreign code.
    """

    source: Source
    layout: str
    known: Known
    root: Path | None = None
    ref: str | None = None
    commit: str | None = None
    wheel: Path | None = None

    @property
    def runs_build_code(self) -> bool:
        """Say whether code of the extension has to run before it is installed."""
        return self.layout == PYPROJECT

    @property
    def is_editable(self) -> bool:
        """Say whether it is imported from where it is."""
        return isinstance(self.source, FolderSource) and self.source.editable


def obtain(
    source: Source,
    workshop: Path,
    *,
    protocols: tuple[str, ...],
    environ: Mapping[str, str] = os.environ,
) -> Candidate:
    """Bring what an address names and read it, without running anything of it.

    :param workshop: a temporary folder.
    :raises Invalid: ``manifest_invalid``, with everything that is wrong.
    """
    match source:
        case GitSource():
            folder = workshop / "source"
            folder.mkdir()
            checkout = fetch(source, folder, protocols=protocols, environ=environ)
            found = _read_folder(source, checkout.root, workshop, _direct_url(source, checkout))
            return replace(found, ref=checkout.ref, commit=checkout.commit)
        case FolderSource():
            return _read_folder(source, source.path, workshop, _folder_url(source))
        case WheelSource():
            wheel = workshop / source.path.name
            shutil.copyfile(source.path, wheel)
            _check_is_for_here(wheel)
            return Candidate(source, WHEEL, _of_wheel(wheel), wheel=wheel)
        case IndexSource():
            return Candidate(source, WHEEL, Known(name=source.name))


def build(candidate: Candidate, pip: Pip, workshop: Path) -> Candidate:
    """Build an extension with its own backend; this runs code of it."""
    if candidate.wheel is not None or candidate.root is None:
        return candidate
    if candidate.is_editable:
        wheel = _pack_editable(candidate.root, pip, workshop)
    else:
        into = workshop / "built"
        into.mkdir()
        # Backends leave files behind where they build.
        copy = workshop / "copy"
        shutil.copytree(candidate.root, copy, symlinks=True, ignore=_not_source)
        wheel = pip.build(copy, into)
    return replace(candidate, wheel=wheel, known=_of_wheel(wheel))


def stand_in(candidate: Candidate, folder: Path) -> Path | None:
    """Write a wheel that says what the extension says and contains nothing.

    With it the packages that will be added are known before any foreign code runs.
    Return ``None`` when that is not known yet.
    """
    known = candidate.known
    if not known.name or not known.version or known.requirements is None:
        return None
    stem = f"{known.name.replace('-', '_')}-{known.version}"
    lines = ["Metadata-Version: 2.1", f"Name: {known.name}", f"Version: {known.version}"]
    lines += [f"Requires-Dist: {' '.join(text.split())}" for text in known.requirements]
    members = [
        (f"{stem}.dist-info/METADATA", "\n".join([*lines, ""]).encode()),
        (f"{stem}.dist-info/WHEEL", b"Wheel-Version: 1.0\nTag: py3-none-any\n"),
    ]
    return write_wheel(folder, f"{stem}-py3-none-any", members)


def _read_folder(
    source: Source, root: Path, workshop: Path, direct_url: Mapping[str, Any]
) -> Candidate:
    layout = layout_of(root)
    if (root / manifest.FILE_NAME).exists():
        found = manifest.read(root)
        manifest.check_runs_here(found)
    if layout == PYPROJECT:
        return Candidate(source, layout, read_project(root), root=root)
    is_editable = isinstance(source, FolderSource) and source.editable
    make = build_editable if is_editable else build_wheel
    wheel = workshop / make(workshop, root=root, direct_url=direct_url)
    return Candidate(source, layout, _of_wheel(wheel), root=root, wheel=wheel)


def layout_of(root: Path) -> str:
    """Tell a flat repository from one that brings a build system of its own."""
    project = read_pyproject(root)
    system = project.get("build-system")
    if isinstance(system, dict) and system.get("build-backend") == BACKEND:
        return FLAT
    if "build-system" in project or "project" in project or (root / "setup.py").is_file():
        return PYPROJECT
    if (root / manifest.FILE_NAME).exists():
        return FLAT
    if read_setup_cfg(root).has_section("metadata"):
        return PYPROJECT
    raise _refused(
        "is missing, and there is no pyproject.toml either. Name the folder of an extension, "
        "for one in a repository with #subdirectory=FOLDER",
        manifest.FILE_NAME,
    )


def read_pyproject(root: Path) -> dict[str, Any]:
    """Return the content of ``pyproject.toml``; nothing when there is none."""
    path = root / "pyproject.toml"
    if not path.is_file():
        return {}
    try:
        return foreign_toml.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _refused(f"is not valid TOML: {error}", path.name) from error


def read_setup_cfg(root: Path) -> ConfigParser:
    """Return the content of ``setup.cfg``; nothing when there is none."""
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(root / "setup.cfg", encoding="utf-8")
    except (ConfigParserError, UnicodeDecodeError) as error:
        raise _refused(f"cannot be read: {type(error).__name__}", "setup.cfg") from error
    return parser


def read_project(root: Path) -> Known:
    """Read what a project with a build system of its own says without being built."""
    project = read_pyproject(root).get("project")
    if isinstance(project, dict):
        try:
            return _checked(_of_project_table(project), "pyproject.toml")
        except (AttributeError, TypeError) as error:
            raise _refused(
                "has values of the wrong type under [project]. Write them as the packaging "
                "guide of Python has them",
                "pyproject.toml",
            ) from error
    cfg = read_setup_cfg(root)
    if not cfg.has_section("metadata"):
        return Known()
    section = cfg["metadata"]
    known = Known(
        name=canonicalize_name(section.get("name", "")),
        version=_plain_version(section.get("version", "")),
        description=section.get("description", ""),
        author=section.get("author", ""),
        license=section.get("license", ""),
        requirements=_lines(cfg.get("options", "install_requires", fallback="")),
    )
    return _checked(known, "setup.cfg")


def _checked(known: Known, file: str) -> Known:
    """Return what a project says of itself, if pip would not take any of it for something else.

    The name becomes part of a file name, and the requirements become lines.
    """
    try:
        if known.name:
            canonicalize_name(known.name, validate=True)
    except InvalidName as error:
        raise _refused("has a name that no package can have. Correct it", file) from error
    for text in known.requirements or ():
        try:
            Requirement(text if text.isprintable() else "")
        except InvalidRequirement as error:
            reason = f"has {text!a}, which is no dependency that pip knows. Correct it"
            raise _refused(reason, file) from error
    return known


def _of_project_table(project: Mapping[str, Any]) -> Known:
    authors = [
        item.get("name", "") for item in project.get("authors", []) if isinstance(item, dict)
    ]
    license_ = project.get("license", "")
    dependencies: list[str] | None = project.get("dependencies", [])
    if "dependencies" in project.get("dynamic", []):
        dependencies = None
    return Known(
        name=canonicalize_name(str(project.get("name", ""))),
        version=_plain_version(str(project.get("version", ""))),
        description=str(project.get("description", "")),
        author=", ".join(filter(None, authors)),
        license=license_ if isinstance(license_, str) else str(license_.get("text", "")),
        requirements=None if dependencies is None else tuple(map(str, dependencies)),
    )


def _plain_version(text: str) -> str:
    """Return a version, or nothing where the text says where to find it."""
    try:
        return str(Version(text))
    except InvalidVersion:
        return ""


def _lines(text: str) -> tuple[str, ...] | None:
    if text.startswith("file:"):
        return None
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _of_wheel(wheel: Path) -> Known:
    facts = read_wheel(wheel)
    check_record(wheel)
    return Known(
        name=facts.name,
        version=facts.version,
        description=facts.description,
        author=facts.author,
        license=facts.license,
        requirements=tuple(map(str, facts.requirements)),
    )


def _check_is_for_here(wheel: Path) -> None:
    try:
        tags = parse_wheel_filename(wheel.name)[3]
    except InvalidWheelFilename as error:
        raise unsound(wheel, "is not named as wheels are") from error
    if tags.isdisjoint(sys_tags()):
        raise unsound(wheel, "is made for another machine or another Python")


def _pack_editable(root: Path, pip: Pip, workshop: Path) -> Path:
    """Make a wheel of what pip installs for an editable project.

    So it can go into every later generation without being built again.
    """
    target = Path(tempfile.mkdtemp(dir=workshop))
    pip.editable(root, target)
    (info,) = target.glob("*.dist-info")
    members = []
    for path in sorted(target.rglob("*")):
        name = path.relative_to(target).as_posix()
        if not path.is_file() or name.startswith("bin/") or path.name in _MADE_BY_PIP:
            continue
        if name.endswith(".pth") and "/" not in name and not name.startswith("__editable__"):
            # The name by which the host knows which path files it may follow.
            name = f"__editable__.{name}"
        members.append((name, path.read_bytes()))
    return write_wheel(workshop, f"{info.name.removesuffix('.dist-info')}-py3-none-any", members)


_MADE_BY_PIP = frozenset({"RECORD", "INSTALLER", "REQUESTED"})


def _not_source(folder: str, names: list[str]) -> set[str]:
    """Leave out what no build needs and what may be huge."""
    return {
        name
        for name in names
        if name in {"__pycache__", "node_modules", ".tox", ".nox", ".mypy_cache"}
        or Path(folder, name, "pyvenv.cfg").exists()
    }


def _direct_url(source: GitSource, checkout: Checkout) -> dict[str, Any]:
    """Say where a repository comes from, as PEP 610 has it."""
    document: dict[str, Any] = {
        "url": source.address,
        "vcs_info": {"vcs": "git", "commit_id": checkout.commit},
    }
    if checkout.ref != checkout.commit:
        document["vcs_info"]["requested_revision"] = checkout.ref
    if source.subdirectory:
        document["subdirectory"] = source.subdirectory
    return document


def _folder_url(source: FolderSource) -> dict[str, Any]:
    return {"url": source.path.as_uri(), "dir_info": {"editable": source.editable}}


def _refused(reason: str, file: str) -> Invalid:
    return Invalid([Fault((file,), f"{reason}.", "layout")], code="manifest_invalid")
