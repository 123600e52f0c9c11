"""``extensions.lock``: exactly what is installed, to be kept under version control.

Each generation has its own copy, which is the truth about it. The file at the top of the
instance is the copy of the generation in force, for people and for other machines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tinybase.errors import ConfigError
from tinybase.packages.generations import write_durably

FILE_NAME = "extensions.lock"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class LockedWheel:
    """One package, exactly. ``required_by`` are the extensions that need it."""

    version: str
    file: str
    sha256: str
    required_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockedExtension:
    """One extension: where it comes from and what exactly was installed.

    ``requested_ref`` is what the operator asked for, ``ref`` what it meant at the time.
    ``layout`` is ``flat``, ``pyproject`` or ``wheel``, ``transport`` how git reaches it.
    """

    version: str
    source: str
    address: str
    subdirectory: str | None
    requested_ref: str | None
    ref: str | None
    commit: str | None
    layout: str
    editable: bool
    wheel: LockedWheel
    description: str
    author: str
    license: str
    installed_at: str
    updated_at: str
    transport: str = "https"


@dataclass(frozen=True)
class Lock:
    """Everything that is installed, by canonical name."""

    extensions: Mapping[str, LockedExtension] = field(default_factory=dict)
    packages: Mapping[str, LockedWheel] = field(default_factory=dict)
    tinybase: str = ""
    python: str = ""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a lock file; a missing one says that nothing is installed.

        :raises ConfigError: for a file that is not as we write it.
        """
        try:
            document = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return cls()
        except ValueError as error:
            raise _damaged(path, str(error)) from error
        try:
            if document["version"] != _FORMAT:
                raise _damaged(path, f"it has the format {document['version']}")
            return cls(
                extensions={
                    name: LockedExtension(**{**item, "wheel": _wheel(item["wheel"])})
                    for name, item in document["extensions"].items()
                },
                packages={name: _wheel(item) for name, item in document["packages"].items()},
                tinybase=document["tinybase"],
                python=document["python"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise _damaged(path, f"{type(error).__name__}: {error}") from error

    def write(self, path: Path) -> None:
        """Write the lock file, the same bytes for the same content."""
        write_durably(path, self.text())

    def text(self) -> str:
        """Return the content of the file."""
        document = {"version": _FORMAT, **asdict(self)}
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def wheels(self) -> dict[str, LockedWheel]:
        """Return every wheel, of extensions and of what they need, by package name."""
        return dict(self.packages) | {name: item.wheel for name, item in self.extensions.items()}

    def without(self, name: str) -> Lock:
        """Return the lock without an extension and without what only that one needed."""
        extensions = {key: item for key, item in self.extensions.items() if key != name}
        packages = {}
        for key, item in self.packages.items():
            needed = tuple(other for other in item.required_by if other in extensions)
            if needed:
                packages[key] = replace(item, required_by=needed)
        return replace(self, extensions=extensions, packages=packages)


def _wheel(item: Mapping[str, Any]) -> LockedWheel:
    return LockedWheel(**{**item, "required_by": tuple(item["required_by"])})


def _damaged(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"{path} is damaged ({reason}). Restore it from a backup.")
