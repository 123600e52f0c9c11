"""Everything at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tinybase.host.loading import EntryPoint
from tinybase.packages import candidates, manifest
from tinybase.packages.validation import dependencies, project, repository, secrets
from tinybase.packages.validation.findings import (
    Finding,
    Report,
    Severity,
    error,
    from_sentence,
    in_order,
)
from tinybase.packages.validation.handlers import CheckFunction, Handlers, Registered
from tinybase.packages.validation.project import Project
from tinybase.packages.validation.source import Module, Sources, parse
from tinybase.packages.validation.trial import try_out


def validate(root: Path, check_function: CheckFunction, *, load: bool = False) -> Report:
    """Read the extension in a folder and report everything that is wrong with it.

    :param check_function: refuses declarations of server functions that cannot work.
    :param load: run its code, too, in a process of its own, unless reading it found errors.
    """
    root = root.resolve()
    findings: list[Finding] = []
    found = project.read(root, findings.append)
    findings += secrets.in_files(root, repository.files(root))
    if found is None:
        return Report("", "", "", in_order(findings))
    modules = parse(project.files_of(found, findings.append), root, findings.append)
    findings += _names(found)
    findings += _entry_points(found, modules)
    findings += _code(found, modules, check_function)
    findings += repository.documents(found)
    findings += repository.version(found, modules.get(found.package))
    findings += repository.tag(found)
    findings += repository.tests(found)
    if load and not any(item.severity is Severity.ERROR for item in findings):
        findings += try_out(found, modules)
    return Report(found.name, found.version, found.layout, in_order(findings))


def _names(found: Project) -> Iterator[Finding]:
    """Yield names under which it cannot be installed beside TinyBase."""
    line = found.line_of("name")
    packages = {entry_point.package for entry_point in found.entry_points}
    if len(packages) > 1:
        message = f"its entry points are in several packages ({', '.join(sorted(packages))})"
        remedy = "Keep those of one package."
        yield error(found.file, line, "entry-point", message, remedy)
    for package in sorted(packages):
        if found.layout == candidates.PYPROJECT and (fault := manifest.import_name_fault(package)):
            yield from_sentence(found.file, line, "reserved", f"its package {fault}")
        if owner := dependencies.owner_in_host(package):
            message = f"its package {package} hides the one that {owner} brings with TinyBase"
            yield error(found.file, line, "shadowed-name", message, "Choose another name.")


def _entry_points(found: Project, modules: Mapping[str, Module]) -> Iterator[Finding]:
    """Yield entry points that lead nowhere."""
    for entry_point in found.entry_points:
        module = modules.get(entry_point.module)
        line = found.line_of("entry-points")
        if module is None and entry_point.package in modules:
            message = f"the entry point names {entry_point.module}, which is not here"
            yield error(found.file, line, "entry-point", message, "Correct its name.")
        elif module is not None and not _has(module, entry_point):
            message = f"{entry_point.module} has no {entry_point.attribute}, the entry point"
            remedy = f'Name the module alone: "{entry_point.module}".'
            yield error(found.file, line, "entry-point", message, remedy)


def _has(module: Module, entry_point: EntryPoint) -> bool:
    first = entry_point.attribute.partition(".")[0]
    return not first or first in module.bound or bool(module.stars)


def _code(
    found: Project, modules: Mapping[str, Module], check_function: CheckFunction
) -> Iterator[Finding]:
    """Yield what is wrong with its modules."""
    sources = Sources(modules)
    loaded = sources.loaded(*(entry_point.module for entry_point in found.entry_points))
    functions: list[Registered] = []
    collections: list[Registered] = []
    for name, module in modules.items():
        findings: list[Finding] = []
        handlers = Handlers(module, sources, check_function, findings.append, found.name)
        handlers.look()
        yield from findings
        functions += handlers.functions
        collections += handlers.collections
        if handlers.line and loaded is not None and name not in loaded:
            yield _never_imported(found, module, handlers.line)
    yield from _taken_twice(functions)
    yield from _declared_twice(found, collections)
    yield from dependencies.undeclared(found, modules.values())
    yield from secrets.in_code(modules.values())


def _never_imported(found: Project, module: Module, line: int) -> Finding:
    message = "nothing imports this module, so nothing of it takes effect"
    inner = module.name.removeprefix(f"{found.package}.")
    parent, _, last = inner.rpartition(".")
    remedy = f"Write in __init__.py: from .{parent} import {last}."
    return error(module.file, line, "never-imported", message, remedy)


def _taken_twice(functions: list[Registered]) -> Iterator[Finding]:
    first: dict[str, Registered] = {}
    for item in functions:
        known = first.setdefault(item.name, item)
        if known is not item:
            message = f"the function {item.name} is registered in {known.file} already"
            yield error(item.file, item.line, "function", message, "Choose another name.")


def _declared_twice(found: Project, collections: list[Registered]) -> Iterator[Finding]:
    declared = {item.name for item in found.collections}
    for item in collections:
        if item.name in declared:
            message = f"the collection {item.name} is declared in {manifest.FILE_NAME} already"
            remedy = "Delete the call of register_collection."
            yield error(item.file, item.line, "collection", message, remedy)
