"""What belongs to a repository besides the code: README, licence, version, tags, tests."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from packaging.version import InvalidVersion, Version

from tinybase.packages import candidates
from tinybase.packages.git import ask_git
from tinybase.packages.validation.findings import Finding, error, warning
from tinybase.packages.validation.project import Project
from tinybase.packages.validation.source import Module

_LEFT_BY_TOOLS = frozenset({"__pycache__", "node_modules", "build", "dist", "venv"})


def files(root: Path) -> list[Path]:
    """Return the files that are or would be published: what git ignores stays out."""
    listed = ask_git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    if listed is not None:
        paths = [root / name for name in sorted(set(listed.split("\0"))) if name]
        return [path for path in paths if path.is_file()]
    return sorted(_walk(root))


def documents(project: Project) -> Iterator[Finding]:
    """Yield what users expect to find beside the code, and miss."""
    root = project.root
    if not any(root.glob("README*")):
        remedy = "Say what it does, what to set, and which data it reads and writes."
        yield warning("README.md", None, "readme", "there is no README", remedy)
    if not any(path for form in ("LICEN[CS]E*", "COPYING*") for path in root.glob(form)):
        remedy = "Without one nobody may use it. Add the text of one, for example of MIT."
        yield warning("LICENSE", None, "license", "there is no licence", remedy)
    if not project.license:
        line = project.line_of()
        remedy = 'Add license = "MIT", or the one you have chosen.'
        yield warning(project.file, line, "license", "it does not name its licence", remedy)


def version(project: Project, entry: Module | None) -> Iterator[Finding]:
    """Yield a ``__version__`` that differs from the version of the extension."""
    if entry is None or not project.version:
        return
    for node in entry.tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id="__version__")], value=ast.Constant(value=str(value))
            ):
                if _version(value) != _version(project.version):
                    message = f"__version__ is {value}, and {project.file} says {project.version}"
                    remedy = "Write the same version into both."
                    yield error(entry.file, node.lineno, "version-mismatch", message, remedy)


def tag(project: Project) -> Iterator[Finding]:
    """Yield a version that differs from the tag of the commit, where there is one."""
    top = ask_git(project.root, "rev-parse", "--show-toplevel")
    if not project.version or top is None or Path(top.strip()) != project.root.resolve():
        return  # tags of a larger repository may be about something else
    tags = (ask_git(project.root, "tag", "--points-at", "HEAD") or "").split()
    releases = {name: found for name in tags if (found := _version(name))}
    if releases and _version(project.version) not in releases.values():
        name = max(releases, key=lambda item: releases[item])
        message = f"the commit has the tag {name}, and the version is {project.version}"
        remedy = f'Write version = "{releases[name]}", or tag the commit v{project.version}.'
        yield error(project.file, project.line_of("version"), "tag-mismatch", message, remedy)


def tests(project: Project) -> Iterator[Finding]:
    """Yield tests that pytest cannot run where they are."""
    folder = project.root / "tests"
    if project.layout != candidates.FLAT or not any(folder.glob("test_*.py")):
        return
    if not (folder / "pytest.ini").exists():
        message = "pytest takes the repository for a package of its own and cannot import it"
        remedy = "Make a file tests/pytest.ini with the line [pytest], and run pytest tests."
        yield warning("tests/pytest.ini", None, "tests", message, remedy)


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if name not in _LEFT_BY_TOOLS
            and not Path(folder, name, "pyvenv.cfg").exists()
            and (not name.startswith(".") or name == ".github")
        ]
        yield from (Path(folder, name) for name in names)
