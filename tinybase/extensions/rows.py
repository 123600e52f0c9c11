"""The notes that decorators take while modules are imported.

A decorator registers nothing. It writes a row under the name of the module *it is written
in* and hands the author's function back unchanged. When the host loads an extension it
claims the rows of that extension's package. So it does not matter how a function is
called, whether a name is used twice or starts with an underscore, who imports whose
module, or whether a foreign decorator hid the function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import FrameType
from typing import Any

from tinybase.extensions.signatures import Arguments


@dataclass(frozen=True, eq=False)
class Place:
    """The module a row was written in, as it was when it was written."""

    module: str
    spec: ModuleSpec | None

    @classmethod
    def of(cls, frame: FrameType) -> Place:
        """Return the module that a frame executes."""
        names = frame.f_globals
        return cls(str(names.get("__name__", "__main__")), names.get("__spec__"))

    @property
    def is_current(self) -> bool:
        """Say whether the module is loaded and has not been loaded anew since."""
        return getattr(sys.modules.get(self.module), "__spec__", None) is self.spec


@dataclass(frozen=True)
class Order:
    """When a handler wants to be called, compared with the others of its hook.

    ``before`` and ``after`` are names of extensions; among those that are left a higher
    ``priority`` comes first.
    """

    priority: int = 0
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    tryfirst: bool = False
    trylast: bool = False


@dataclass(frozen=True, eq=False)
class Handler:
    """A function that wants to be called at an event.

    ``filters`` maps a field of the event to the patterns of which one must match, and
    ``fields`` names what it may change of the event's data; ``None`` is anything.
    """

    function: Callable[..., Any]
    hook: str
    decorator: str
    arguments: Arguments
    filters: Mapping[str, tuple[str, ...]]
    order: Order
    place: Place
    fields: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Return ``package.module:function``, as logs and lists show the handler."""
        return f"{self.place.module}:{describe(self.function)}"


@dataclass(frozen=True, eq=False)
class Declaration:
    """Something that a collecting hook will return to the host, such as a function."""

    value: Any
    hook: str
    place: Place


Row = Handler | Declaration

_rows: dict[str, list[Row]] = {}


def describe(function: Callable[..., Any]) -> str:
    """Return the best name that a callable has; partials and objects have none of their own."""
    inner = getattr(function, "func", function)
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    return str(name).replace("<locals>.", "")


def note(row: Row) -> None:
    """Add a row."""
    _rows.setdefault(row.place.module, []).append(row)


def note_declaration(hook: str, value: Any, frame: FrameType) -> None:
    """Add a declaration written in the module that ``frame`` executes."""
    note(Declaration(value, hook, Place.of(frame)))


def claim(package: str) -> list[Row]:
    """Return the rows of a package and its submodules, in the order they were written.

    Rows of a module that was unloaded or loaded anew in the meantime do not count.
    """
    return [row for row in _rows_of(package) if row.place.is_current]


def forget(package: str) -> None:
    """Drop the rows of a package, because its import failed or it was unloaded."""
    for module in [name for name in _rows if _belongs(name, package)]:
        del _rows[module]


def unclaimed(packages: Iterator[str] | list[str]) -> list[Handler]:
    """Return the live handlers that are written outside of all the given packages."""
    known = list(packages)
    return [
        row
        for module, rows in list(_rows.items())
        if not any(_belongs(module, package) for package in known)
        for row in rows
        if isinstance(row, Handler) and row.place.is_current
    ]


def _rows_of(package: str) -> Iterator[Row]:
    for module, rows in list(_rows.items()):
        if _belongs(module, package):
            yield from rows


def _belongs(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")
