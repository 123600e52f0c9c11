"""What an extension says of itself, in either layout."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tinybase import foreign_toml
from tinybase.errors import Invalid
from tinybase.host.loading import EntryPoint
from tinybase.packages import candidates, layout, manifest
from tinybase.packages.validation.findings import Finding, error, from_fault, warning
from tinybase.packages.wheels import ENTRY_POINT_GROUP
from tinybase_hookspecs import CollectionDeclaration

_PYPROJECT = "pyproject.toml"
_GROUP = ("project", "entry-points", ENTRY_POINT_GROUP)
_ENTRY_POINT = re.compile(r"\s*[^\W\d]\w*(\.\w+)*\s*(:\s*\w+(\.\w+)*\s*)?(\[.*\])?\s*")


@dataclass(frozen=True, slots=True)
class Project:
    """An extension in a folder.

    ``file`` is where it says what it is; empty texts are unknown, and ``requirements`` is
    ``None`` where only its build can tell. ``collections`` are those that the manifest
    declares.
    """

    root: Path
    layout: str
    file: str
    name: str
    version: str
    license: str
    requirements: tuple[Requirement, ...] | None
    entry_points: tuple[EntryPoint, ...]
    collections: tuple[CollectionDeclaration, ...] = ()

    @property
    def package(self) -> str:
        """Return the package that it is imported as."""
        return self.entry_points[0].package if self.entry_points else ""

    def line_of(self, *keys: str) -> int | None:
        """Return the line of a key in the table in which it says what it is."""
        table = "extension" if self.file == manifest.FILE_NAME else "project"
        return line_of(self.root / self.file, (table, *keys))


def read(root: Path, note: Callable[[Finding], None]) -> Project | None:
    """Read an extension, and note what is wrong; ``None`` if there is none to read."""
    try:
        kind = candidates.layout_of(root)
    except Invalid as invalid:
        _note_faults(root, invalid, note)
        return None
    if kind == candidates.FLAT:
        return _read_flat(root, note)
    return _read_packaged(root, note)


def files_of(project: Project, note: Callable[[Finding], None]) -> Mapping[str, Path]:
    """Return the modules of its package, by their dotted names."""
    if not project.package:
        return {}
    if project.layout == candidates.FLAT:
        return _flat_files(project, note)
    found = _packaged_files(project)
    if not found:
        note(
            error(
                project.file,
                project.line_of("entry-points"),
                "entry-point",
                f"the entry point names the package {project.package}, which is not here",
                f"Put it into a folder {project.package}/ or src/{project.package}/.",
            )
        )
    return found


def line_of(path: Path, keys: Sequence[str]) -> int | None:
    """Return the line in which a TOML file sets a key, or begins the table it belongs in."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    wanted = tuple(keys)
    table: tuple[str, ...] = ()
    counts: dict[tuple[str, ...], int] = {}
    nearest = None
    for number, line in enumerate(lines, 1):
        if header := re.match(r"\s*(\[+)([^\[\]]+)\]", line):
            table = _numbered(_parts(header[2]), counts, is_one_of_many=len(header[1]) > 1)
            if table and table == wanted[: len(table)]:
                nearest = number
        elif (setting := re.match(r"\s*([\w.\"'-]+)\s*=", line)) and (
            (*table, *_parts(setting[1])) == wanted[: len(table) + len(_parts(setting[1]))]
        ):
            return number
    return nearest


def _numbered(
    table: tuple[str, ...], counts: dict[tuple[str, ...], int], *, is_one_of_many: bool
) -> tuple[str, ...]:
    """Return the way to a table, with the number of each list of tables on it.

    :param counts: how many tables of each list there were before.
    """
    found: tuple[str, ...] = ()
    for part in table:
        found = (*found, part)
        is_last = len(found) - sum(item.isdigit() for item in found) == len(table)
        if is_last and is_one_of_many:
            counts[found] = counts.get(found, 0) + 1
        if found in counts:
            found = (*found, str(counts[found] - 1))
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip(" \"'") for part in re.findall(r'"[^"]*"|\'[^\']*\'|[^.]+', dotted))


def _note_faults(root: Path, invalid: Invalid, note: Callable[[Finding], None]) -> None:
    for fault in invalid.faults:
        file, *keys = map(str, fault.loc)
        note(from_fault(fault, line_of(root / file, keys) if keys else None))


def _read_flat(root: Path, note: Callable[[Finding], None]) -> Project:
    found = _manifest(root, note)
    table = _raw_table(root)
    name = found.name if found else canonicalize_name(str(table.get("name", "")))
    package = name.replace("-", "_")
    return Project(
        root=root,
        layout=candidates.FLAT,
        file=manifest.FILE_NAME,
        name=name,
        version=found.version if found else _readable_version(table),
        license=found.license if found else str(table.get("license", "")),
        requirements=found.dependencies if found else tuple(_readable_names(table)),
        entry_points=(EntryPoint(package),) if package.isidentifier() else (),
        collections=found.collections if found else (),
    )


def _manifest(root: Path, note: Callable[[Finding], None]) -> manifest.Manifest | None:
    try:
        found = manifest.read(root)
    except Invalid as invalid:
        _note_faults(root, invalid, note)
        return None
    try:
        manifest.check_runs_here(found)
    except Invalid as invalid:
        # Not a fault of the extension: it may be meant for another machine.
        for fault in invalid.faults:
            keys = tuple(map(str, fault.loc[1:]))
            line = line_of(root / manifest.FILE_NAME, keys)
            message, _, remedy = fault.msg.partition(". ")
            note(warning(manifest.FILE_NAME, line, "incompatible", message, remedy))
    return found


def _raw_table(root: Path) -> Mapping[str, Any]:
    """Return what a faulty manifest says all the same, so that its code can be looked at."""
    try:
        document = foreign_toml.loads((root / manifest.FILE_NAME).read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}
    table = document.get("extension")
    return table if isinstance(table, dict) else {}


def _readable_version(table: Mapping[str, Any]) -> str:
    try:
        return str(Version(str(table.get("version", ""))))
    except InvalidVersion:
        return ""


def _readable_names(table: Mapping[str, Any]) -> Iterator[Requirement]:
    """Yield the packages that a faulty manifest declares, whatever their versions."""
    declared = table.get("dependencies", {})
    for text in declared if isinstance(declared, dict | list) else ():
        try:
            yield Requirement(str(text))
        except InvalidRequirement:
            continue


def _read_packaged(root: Path, note: Callable[[Finding], None]) -> Project:
    try:
        known = candidates.read_project(root)
    except Invalid as invalid:
        _note_faults(root, invalid, note)
        known = candidates.Known()
    found = None
    if (root / manifest.FILE_NAME).exists():
        found = _manifest(root, note)
        if found and known.version and found.version != known.version:
            note(
                error(
                    manifest.FILE_NAME,
                    line_of(root / manifest.FILE_NAME, ("extension", "version")),
                    "version-mismatch",
                    f"extension.version is {found.version}, and {_PYPROJECT} says {known.version}",
                    "Keep one of the two files, or write the same version into both.",
                )
            )
    file = _PYPROJECT if (root / _PYPROJECT).is_file() else _old_file(root)
    values = _entry_points(root)
    if not values:
        note(_no_entry_point(root, file, known.name))
    for value in values:
        if not _ENTRY_POINT.fullmatch(value):
            message, remedy = f"the entry point {value!r} names no module", 'Write "a_package".'
            note(error(file, line_of(root / file, _GROUP), "entry-point", message, remedy))
    package = known.name.replace("-", "_")
    if known.name and (fault := manifest.import_name_fault(package)) and not values:
        note(error(file, line_of(root / file, ("project", "name")), "reserved", fault, "Rename."))
    return Project(
        root=root,
        layout=candidates.PYPROJECT,
        file=file,
        name=known.name,
        version=known.version,
        license=known.license,
        requirements=_requirements(known.requirements, root, file, note),
        entry_points=tuple(map(EntryPoint.parse, filter(_ENTRY_POINT.fullmatch, values))),
        collections=found.collections if found else (),
    )


def _old_file(root: Path) -> str:
    return "setup.cfg" if (root / "setup.cfg").is_file() else "setup.py"


def _entry_points(root: Path) -> list[str]:
    """Return the values of its entry points as far as they can be read."""
    project = candidates.read_pyproject(root).get("project", {})
    groups = project.get("entry-points", {}) if isinstance(project, dict) else {}
    group = groups.get(ENTRY_POINT_GROUP, {}) if isinstance(groups, dict) else {}
    if group and isinstance(group, dict):
        return [str(value) for value in group.values()]
    cfg = candidates.read_setup_cfg(root)
    text = cfg.get("options.entry_points", ENTRY_POINT_GROUP, fallback="")
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    try:
        parser.read_string(f"[group]\n{text}")
    except ConfigParserError:
        return []
    return list(parser["group"].values())


def _no_entry_point(root: Path, file: str, name: str) -> Finding:
    package = name.replace("-", "_") or "my_extension"
    line = f'[project.entry-points."{ENTRY_POINT_GROUP}"] {name or "my-extension"} = "{package}"'
    message = f"it declares no entry point in the group {ENTRY_POINT_GROUP}"
    if (root / "setup.py").is_file():
        message += " that can be read without running setup.py"
        return warning(file, None, "entry-point", message, f"Declare it in {_PYPROJECT}: {line}.")
    return error(file, None, "entry-point", message, f"Add {line}.")


def _requirements(
    texts: tuple[str, ...] | None, root: Path, file: str, note: Callable[[Finding], None]
) -> tuple[Requirement, ...] | None:
    if texts is None:
        return None
    found = []
    for text in texts:
        try:
            found.append(Requirement(text))
        except InvalidRequirement:
            note(
                error(
                    file,
                    line_of(root / file, ("project", "dependencies")),
                    "dependency",
                    f"{text!r} is no dependency that pip knows",
                    'Write its name and a version range, such as "requests>=2.28".',
                )
            )
    return tuple(found)


def _flat_files(project: Project, note: Callable[[Finding], None]) -> Mapping[str, Path]:
    try:
        found = layout.package_files(project.root)
    except Invalid as invalid:
        _note_faults(project.root, invalid, note)
        return {}
    return {
        _dotted(f"{project.package}/{name}"): path for name, path in found if name.endswith(".py")
    }


def _packaged_files(project: Project) -> Mapping[str, Path]:
    for base in (project.root, project.root / "src", project.root / "lib"):
        folder = base / project.package
        if folder.is_dir():
            return {
                _dotted(path.relative_to(base).as_posix()): path
                for path in sorted(folder.rglob("*.py"))
            }
        if folder.with_suffix(".py").is_file():
            return {project.package: folder.with_suffix(".py")}
    return {}


def _dotted(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
