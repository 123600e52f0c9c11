"""What an installation would do, as the operator is shown it before it is done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlannedPackage:
    """A package that comes along."""

    name: str
    version: str
    description: str
    action: str = "add"


@dataclass(frozen=True, slots=True)
class Plan:
    """An installation, before any code of the extension has run.

    What only the extension's own build can tell is empty; ``packages`` is then ``None``.
    ``layout`` is ``flat``, ``pyproject`` or ``wheel``.
    """

    name: str
    version: str
    description: str
    author: str
    license: str
    source: str
    address: str
    subdirectory: str | None
    ref: str | None
    commit: str | None
    layout: str
    editable: bool
    runs_build_code: bool
    packages: tuple[PlannedPackage, ...] | None
