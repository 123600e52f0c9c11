"""The operator's own code: the ``functions`` folder and the modules named in the settings."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tinybase.config import Config

FUNCTIONS_FOLDER = "functions"
FUNCTIONS_PREFIX = "tinybase_functions_"
"""How the packages begin under which the files of ``functions`` folders are imported."""


@dataclass(frozen=True)
class ProjectModule:
    """One module to load; ``path`` is set for a file of the ``functions`` folder."""

    name: str
    path: Path | None = None

    @property
    def label(self) -> str:
        """Return the name that its author knows it by."""
        return self.path.name if self.path else self.name

    def load(self) -> None:
        """Import it, once in the life of the process."""
        if self.path is None:
            importlib.import_module(self.name)
        elif self.name not in sys.modules:
            _import_file(self.name, self.path)


def project_modules(config: Config) -> Iterator[ProjectModule]:
    """Yield the modules of an instance: those of the settings, then the functions by name.

    The instance folder becomes importable, behind everything else.
    """
    if config.extensions.modules and str(config.instance) not in sys.path:
        sys.path.append(str(config.instance))
    for name in config.extensions.modules:
        yield ProjectModule(name)
    folder = config.instance / FUNCTIONS_FOLDER
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("_"):
            yield ProjectModule(f"{_package(folder)}.{path.stem}", path)


def _package(folder: Path) -> str:
    """Return a package for the files of a folder, so that they can import one another.

    Its name contains a digest of the place: two instances may live in one process.
    """
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    name = f"{FUNCTIONS_PREFIX}{digest}"
    if name not in sys.modules:
        package = ModuleType(name, "The functions folder of a TinyBase instance.")
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


def _import_file(name: str, path: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} cannot be imported as a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
