"""Loading an extension as install would, in a process of its own, to see what that refuses."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from tinybase import config
from tinybase.errors import Conflict
from tinybase.packages.import_names import distribution_of
from tinybase.packages.validation.findings import Finding, error, warning
from tinybase.packages.validation.project import Project
from tinybase.packages.validation.source import Module
from tinybase.packages.verify import Verifier, refusal


def try_out(project: Project, modules: Mapping[str, Module]) -> Iterator[Finding]:
    """Yield the reason why an extension does not load, in the words of install."""
    with tempfile.TemporaryDirectory(prefix="tinybase-validate-") as name:
        verifier = Verifier(config.load(Path(name)))
        try:
            states = verifier.observe(None, {}, everything=True, folder=project.root).states
        except Conflict as conflict:
            yield _finding(project, None, conflict.detail)
            return
    state = states.get(project.name)
    if state is None or state.status != "failed":
        return
    reason = state.reason or ""
    if absent := _absent(project, reason):
        message = f"it could not be tried out: it needs {absent}, which is not installed here"
        remedy = f"Run pip install {absent}, and validate again."
        yield warning(project.file, None, "not-tried-out", message, remedy)
        return
    told = refusal(project.name, reason, project.package, project.layout).detail
    yield _finding(project, _place(reason, modules), told)


def _absent(project: Project, reason: str) -> str:
    """Return the package that it declares and whose absence here is the reason."""
    missing = re.match(r"ModuleNotFoundError: No module named '([\w]+)", reason)
    wanted = canonicalize_name(distribution_of(missing[1])) if missing else ""
    names = [item.name for item in project.requirements or ()]
    return next((name for name in names if canonicalize_name(name) == wanted), "")


def _place(reason: str, modules: Mapping[str, Module]) -> tuple[str, int] | None:
    noted = re.search(r"; ([\w.]+), line (\d+)\)$", reason)
    files = [module.file for module in modules.values()]
    found = [file for file in files if noted and Path(file).name == noted[1]]
    return (found[0], int(noted[2])) if noted and len(found) == 1 else None


def _finding(project: Project, place: tuple[str, int] | None, told: str) -> Finding:
    """Return the sentences of install, of which the last ones say what to do."""
    message, _, remedy = told.partition(". ")
    file, line = place or (project.file, None)
    return error(file, line, "does-not-load", message.removesuffix("."), remedy)
