"""Importing one extension without letting it harm the process."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb
from types import ModuleType

import pluggy

import tinybase_hookspecs
from tinybase.errors import one_line
from tinybase.extensions.rows import forget
from tinybase.host.bounded import run_bounded
from tinybase.host.guard import Surroundings
from tinybase.host.plugin import ExtensionPlugin, LoadError, make_plugin, register
from tinybase.host.stats import safe_text


class ImportOverdue(LoadError):
    """An import took too long; its thread goes on for as long as the process lives."""


@dataclass(frozen=True)
class EntryPoint:
    """``package.module:attribute``, taken apart."""

    module: str
    attribute: str = ""

    @classmethod
    def parse(cls, value: str) -> EntryPoint:
        """Read the value of an entry point as package metadata has it."""
        module, _, attribute = value.partition(":")
        return cls(module.strip(), attribute.split("[")[0].strip())

    @property
    def package(self) -> str:
        """Return the top-level package, whose handlers belong to the extension."""
        return self.module.partition(".")[0]


def load_plugin(
    name: str, entry_points: Sequence[EntryPoint], around: Surroundings, timeout: float
) -> ExtensionPlugin:
    """Import an extension and make its plugin object.

    No lifecycle hook is called. When it fails, nothing of the extension stays behind in
    ``sys.modules`` or among the notes of the decorators.

    :param timeout: seconds that the import may take.
    :raises LoadError: for whatever went wrong, ``SystemExit`` and a hanging import included.
    """
    packages = sorted({entry_point.package for entry_point in entry_points})
    if len(packages) > 1:
        raise LoadError(
            f"its entry points are in several packages ({', '.join(packages)}). "
            "Keep those of one package."
        )
    try:
        provided = [_within(timeout, entry_point) for entry_point in entry_points]
        objects = [item for item in provided if not isinstance(item, ModuleType)]
        plugin = make_plugin(name, packages[0], around, objects[0] if objects else None)
        _check_fit(plugin)
    except LoadError:
        unload(packages[0])
        raise
    return plugin


def unload(package: str) -> None:
    """Forget a package, so that the next import starts afresh."""
    for module in [m for m in sys.modules if m == package or m.startswith(package + ".")]:
        del sys.modules[module]
    forget(package)


@contextmanager
def set_aside(packages: Collection[str]) -> Iterator[None]:
    """Forget packages while the block imports their successors; bring them back if it fails.

    No module of the old ones is found by the new ones, not even one that is imported later.
    """
    old = {
        name: module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in packages
    }
    for package in packages:
        unload(package)
    try:
        yield
    except LoadError:
        for package in packages:
            unload(package)
        sys.modules.update(old)
        raise


def new_plugin_manager() -> pluggy.PluginManager:
    """Return a plugin manager that knows the contract and nobody who implements it."""
    manager = pluggy.PluginManager("tinybase")
    manager.add_hookspecs(tinybase_hookspecs)
    return manager


def unimported_modules(package: str) -> list[str]:
    """Return the modules of a package that use TinyBase and that nobody has imported.

    Their handlers will never run, which their author should be told.
    """
    module = sys.modules.get(package)
    found = []
    for folder in getattr(module, "__path__", ()):
        for path in sorted(Path(folder).glob("*.py")):
            name = f"{package}.{path.stem}"
            if path.stem != "__init__" and name not in sys.modules and _uses_tinybase(path):
                found.append(path.name)
    return found


def _check_fit(plugin: ExtensionPlugin) -> None:
    """Let pluggy compare every implementation with the contract."""
    try:
        register(new_plugin_manager(), plugin.implementations)
    except pluggy.PluginValidationError as error:
        *_, what = str(error).splitlines()
        raise LoadError(f"a hookimpl does not fit the contract: {what}") from error


def _within(timeout: float, entry_point: EntryPoint) -> object:
    """Import what an entry point names, unless it takes too long."""
    return import_within(timeout, entry_point.module, lambda: _import(entry_point))


def import_within(timeout: float, name: str, load: Callable[[], object]) -> object:
    """Return what ``load`` returns.

    :raises LoadError: for whatever it raises.
    :raises ImportOverdue: when it takes more than ``timeout`` seconds.
    """
    outcome: list[object] = []

    def work() -> None:
        try:
            outcome.append(load())
        except BaseException as error:  # noqa: BLE001 - an import may raise anything
            outcome.append(_failure(error, name))

    if not run_bounded(work, timeout, f"import-{name}"):
        raise ImportOverdue(
            f"importing {name} took longer than {timeout:g} s. "
            "A module must not wait for anything while it is imported; use @on_startup."
        )
    if isinstance(outcome[0], LoadError):
        raise outcome[0]
    return outcome[0]


def _import(entry_point: EntryPoint) -> object:
    thing: object = importlib.import_module(entry_point.module)
    for attribute in filter(None, entry_point.attribute.split(".")):
        thing = getattr(thing, attribute)
    return thing


def _failure(error: BaseException, name: str) -> LoadError:
    where = f"importing {name}{_place(error, name.partition('.')[0])}"
    failure = LoadError(f"{type(error).__name__}: {_explain(error)} ({where})")
    failure.__cause__ = error
    return failure


def _place(error: BaseException, package: str) -> str:
    """Return the line of the package that was being carried out last, as its author knows it."""
    lines = [
        f"; {Path(frame.f_code.co_filename).name}, line {line}"
        for frame, line in walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    return lines[-1] if lines else ""


def _explain(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.msg} in {Path(error.filename).name}, line {error.lineno}"
    if isinstance(error, SystemExit):
        return f"it tried to end the process with exit code {error.code}"
    return one_line(safe_text(error))


def _uses_tinybase(path: Path) -> bool:
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return False
    return "from tinybase" in text or "import tinybase" in text
