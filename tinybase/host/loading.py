"""Importing one extension without letting it harm the process."""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pluggy

import tinybase_hookspecs
from tinybase.extensions.rows import forget
from tinybase.host.guard import Surroundings
from tinybase.host.plugin import ExtensionPlugin, LoadError, make_plugin
from tinybase.host.stats import safe_text

_log = logging.getLogger(__name__)


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
    packages = {entry_point.package for entry_point in entry_points}
    try:
        provided = [_within(timeout, entry_point) for entry_point in entry_points]
        (package,) = packages  # the entry points of one distribution share their package
        objects = [item for item in provided if not isinstance(item, type(sys))]
        return make_plugin(name, package, around, objects[0] if objects else None)
    except LoadError:
        _unload_all(packages)
        raise
    except ValueError as error:
        _unload_all(packages)
        raise LoadError(
            f"{name} has entry points in several packages ({', '.join(sorted(packages))}). "
            "Keep those of one package."
        ) from error


def unload(package: str) -> None:
    """Forget a package, so that the next import starts afresh."""
    for module in [m for m in sys.modules if m == package or m.startswith(package + ".")]:
        del sys.modules[module]
    forget(package)


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


def _within(timeout: float, entry_point: EntryPoint) -> object:
    """Import what an entry point names, in a thread that can be given up."""
    outcome: list[object] = []

    def work() -> None:
        try:
            outcome.append(_import(entry_point))
        except BaseException as error:
            _log.debug("import of %s failed", entry_point.module, exc_info=True)
            outcome.append(_failure(error, entry_point))

    thread = threading.Thread(target=work, name=f"import-{entry_point.module}", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise LoadError(
            f"importing {entry_point.module} took longer than {timeout:g} s. "
            "An extension must not wait for anything while it is imported; use @on_startup."
        )
    if isinstance(outcome[0], LoadError):
        raise outcome[0]
    return outcome[0]


def _import(entry_point: EntryPoint) -> object:
    thing: object = importlib.import_module(entry_point.module)
    for attribute in filter(None, entry_point.attribute.split(".")):
        thing = getattr(thing, attribute)
    return thing


def _failure(error: BaseException, entry_point: EntryPoint) -> LoadError:
    failure = LoadError(f"{_kind(error)}: {_explain(error)} (importing {entry_point.module})")
    failure.__cause__ = error
    return failure


def _kind(error: BaseException) -> str:
    return type(error).__name__


def _explain(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.msg} in {Path(error.filename).name}, line {error.lineno}"
    if isinstance(error, SystemExit):
        return f"it tried to end the process with exit code {error.code}"
    return safe_text(error)


def _unload_all(packages: set[str]) -> None:
    for package in packages:
        unload(package)


def _uses_tinybase(path: Path) -> bool:
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return False
    return "from tinybase" in text or "import tinybase" in text


Loader = Callable[[str, Sequence[EntryPoint]], ExtensionPlugin]
