"""What is imported once for all workers, beside the application: they share its memory."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tinybase.config import Config
from tinybase.host.discovery import current_generation
from tinybase.host.project import FUNCTIONS_FOLDER

_IN_USE_OF_IT = (b"pydantic", b"sqlmodel")


def preload_models(config: Config) -> None:
    """Import pydantic if an instance needs it, as each of its workers would have to.

    Functions and extensions are read and not imported: their code runs in workers only. A
    wrong guess costs a worker, or this process, nothing but that import.
    """
    if any(_needs_pydantic(path) for path in _sources(config.instance)):
        # No model is made by it, so pydantic does not look for plugins, which are foreign code.
        importlib.import_module("tinybase.functions.pydantic_models")


def _sources(instance: Path) -> Iterator[Path]:
    """Yield the functions of an instance, and the files right in its installed packages."""
    yield from (instance / FUNCTIONS_FOLDER).glob("*.py")
    generation = current_generation(instance)
    if generation is not None:
        yield from generation.glob("*/*.py")


def _needs_pydantic(path: Path) -> bool:
    with suppress(OSError):  # removed meanwhile, or not ours to read: the workers tell
        source = path.read_bytes()
        return any(name in source for name in _IN_USE_OF_IT)
    return False
