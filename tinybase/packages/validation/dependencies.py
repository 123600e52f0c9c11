"""Imports of packages that an extension does not declare."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tinybase.packages import candidates
from tinybase.packages.closure import applies
from tinybase.packages.import_names import distribution_of
from tinybase.packages.validation.findings import Finding, error, warning
from tinybase.packages.validation.project import Project
from tinybase.packages.validation.source import Import, Module

_PROMISED = frozenset({"pydantic", "sqlmodel"})
"""Packages that TinyBase brings, and always will, because extensions count on them."""

_ALWAYS_THERE = frozenset({"tinybase", "tinybase_hookspecs"}) | sys.stdlib_module_names


def undeclared(project: Project, modules: Iterable[Module]) -> Iterator[Finding]:
    """Yield the first import of each package that nobody says is needed."""
    if project.requirements is None:
        return
    judge = _Judge(project)
    seen: set[str] = set()
    for module in modules:
        for item in module.imports:
            top = item.module.partition(".")[0]
            if top in seen or item.guarded or item.for_types or judge.is_there(top):
                continue
            seen.add(top)
            yield judge.finding(module, item, top)


class _Judge:
    """Knows what an extension may import.

    The names of a package that is not installed here are not known, so that where there is
    one, an import that fits no declaration is not surely a fault.
    """

    def __init__(self, project: Project) -> None:
        self._own = {project.package}
        self._layout = project.layout
        requirements = project.requirements or ()
        self._declared = {canonicalize_name(item.name) for item in requirements}
        self._owners = {
            module: {canonicalize_name(name) for name in names}
            for module, names in _distributions().items()
        }
        known = set().union(*self._owners.values())
        self._has_unknown = bool(self._declared - known)

    def is_there(self, top: str) -> bool:
        """Say whether the extension may count on an import."""
        if not top or top in self._own | _ALWAYS_THERE | _PROMISED:
            return True
        names = {canonicalize_name(top), canonicalize_name(distribution_of(top))}
        is_declared = bool(self._declared & (names | self._owners.get(top, set())))
        # Such as google for google-cloud-storage.
        return is_declared or any(
            name.startswith(f"{canonicalize_name(top)}-") for name in self._declared
        )

    def finding(self, module: Module, item: Import, top: str) -> Finding:
        """Say what is wrong with an import that is not declared."""
        name = distribution_of(top)
        remedy = f'Add "{name}" to the dependencies of the package.'
        if self._layout == candidates.FLAT:
            remedy = f'Add {name} = "*" under [extension.dependencies] in extension.toml.'
        code, message = "undeclared-dependency", f"it imports {top}, which it does not declare"
        if self._owners.get(top, set()) & host_closure():
            message += "; TinyBase brings it today, but promises only pydantic and sqlmodel"
            return warning(module.file, item.line, code, message, remedy)
        make = warning if item.lazy or self._has_unknown else error
        return make(module.file, item.line, code, message, remedy)


@cache
def host_closure() -> frozenset[str]:
    """Return the packages that TinyBase itself needs here, directly or not."""
    seen: set[tuple[str, frozenset[str]]] = set()
    ahead = [("tinybase", frozenset[str]())]
    while ahead:
        name, extras = ahead.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        ahead += [
            (canonicalize_name(requirement.name), frozenset(requirement.extras))
            for requirement in _requirements(name)
            if applies(requirement, extras)
        ]
    return frozenset(name for name, _ in seen)


def _requirements(name: str) -> Iterator[Requirement]:
    try:
        yield from map(Requirement, requires(name) or ())
    except PackageNotFoundError:
        return


def owner_in_host(package: str) -> str | None:
    """Return which of the packages that TinyBase needs provides an import name."""
    owners = {canonicalize_name(name) for name in _distributions().get(package, ())}
    return min(owners & host_closure(), default=None)


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()
