"""An extension as its author has it: in a folder, imported from there, not installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution
from importlib.metadata._meta import SimplePath
from importlib.util import spec_from_file_location
from os import PathLike
from pathlib import Path
from types import ModuleType

from tinybase.errors import Conflict
from tinybase.host.discovery import Candidate, describe
from tinybase.host.loading import unload
from tinybase.packages import manifest
from tinybase.packages.validation.findings import Finding, Severity
from tinybase.packages.validation.handlers import CheckFunction
from tinybase.packages.validation.project import Project, files_of, read
from tinybase.packages.validation.validate import validate

_IN_THE_WAY = "incompatible"
"""A warning for whoever reads an extension, and an error for whoever wants to run it."""

_SILENT = "never-imported"


def import_from(root: Path, check_function: CheckFunction) -> ModuleType:
    """Import the package in a folder under the name that it will be installed as, once.

    :raises Conflict: ``extension_load_failed``, when that cannot be, or when some of its
        handlers would not run because nothing imports their module.
    """
    project = _read(root)
    path = _path(project)
    known = sys.modules.get(project.package)
    if known is not None and Path(known.__file__ or "").resolve() == path:
        return known
    for finding in validate(root, check_function).findings:
        if finding.code == _SILENT:
            raise _refusal(finding)
    lead_to(root)
    try:
        return importlib.import_module(project.package)
    except BaseException:
        unload(project.package)
        raise


def lead_to(root: Path) -> None:
    """Let Python import the package in a folder under the name that it will be installed as.

    :raises Conflict: ``extension_load_failed``, when there is none.
    """
    project = _read(root)
    sys.meta_path.insert(0, _Finder(project.package, _path(project)))


def candidate_in(root: Path) -> Candidate:
    """Return an extension as if it were installed.

    :raises Conflict: ``extension_load_failed``, for one that could not be.
    """
    project = _read(root)
    return describe(_InFolder(project), project.entry_points, None)


class _InFolder(Distribution):
    """The metadata that an extension will be installed with, as far as the host reads it."""

    def __init__(self, project: Project) -> None:
        self._project = project
        package = _path(project).parent
        self._files = {
            "METADATA": "\n".join(_headers(project)),
            **{
                path.name: path.read_text("utf-8-sig")
                for path in (project.root / manifest.FILE_NAME, package / manifest.FILE_NAME)
                if path.is_file()
            },
        }

    def read_text(self, filename: str) -> str | None:
        return self._files.get(filename)

    def locate_file(self, path: str | PathLike[str]) -> SimplePath:
        return self._project.root / path


def _headers(project: Project) -> Iterator[str]:
    yield "Metadata-Version: 2.4"
    yield f"Name: {project.name}"
    yield f"Version: {project.version}"
    for requirement in project.requirements or ():
        yield f"Requires-Dist: {requirement}"


def _read(root: Path) -> Project:
    project = read(root.resolve(), _refuse)
    if project is None:
        raise Conflict(f"{root} holds no extension.", code="extension_load_failed")
    return project


def _refuse(finding: Finding) -> None:
    if finding.severity is Severity.ERROR or finding.code == _IN_THE_WAY:
        raise _refusal(finding)


def _refusal(finding: Finding) -> Conflict:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    return Conflict(f"{place}: {finding.message}. {finding.remedy}", code="extension_load_failed")


def _path(project: Project) -> Path:
    return files_of(project, _refuse)[project.package]


class _Finder(MetaPathFinder):
    """Finds one package, wherever its modules are."""

    def __init__(self, package: str, path: Path) -> None:
        self._package = package
        self._path = path

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - Python's form
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname != self._package:
            return None
        folders = [str(self._path.parent)] if self._path.name == "__init__.py" else None
        return spec_from_file_location(fullname, self._path, submodule_search_locations=folders)
