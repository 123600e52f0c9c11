"""``extensions.lock``: exactly what is installed, to be kept under version control.

Each generation has its own copy, which is the truth about it. The file at the top of the
instance is the copy of the generation in force, for people and for other machines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar, get_origin, get_type_hints

from tinybase.errors import ConfigError
from tinybase.files import write_durably

FILE_NAME = "extensions.lock"
_FORMAT = 1

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class LockedWheel:
    """One package, exactly. ``required_by`` are the extensions that need it.

    ``built_from`` is the digest of the source archive that the wheel was built from where it
    was locked, for one that the index does not have as a wheel.
    """

    version: str
    file: str
    sha256: str
    required_by: tuple[str, ...] = ()
    built_from: str | None = None


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
            return cls.parse(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except ValueError as error:
            raise ConfigError(f"{path} is damaged ({error}). Restore it from a backup.") from error

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read the content of a lock file.

        :raises ValueError: for what is not as we write it.
        """
        try:
            document = json.loads(content.decode("utf-8"))
            if document["version"] != _FORMAT:
                raise ValueError(f"it has the format {document['version']}")
            return cls(
                extensions={
                    name: _typed(LockedExtension, {**item, "wheel": _wheel(item["wheel"])})
                    for name, item in document["extensions"].items()
                },
                packages={name: _wheel(item) for name, item in document["packages"].items()},
                tinybase=document["tinybase"],
                python=document["python"],
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

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
    return _typed(LockedWheel, {**item, "required_by": tuple(item["required_by"])})


def _typed(cls: type[_Item], item: Mapping[str, Any]) -> _Item:
    """Make an object of what was read, and refuse what is of another type.

    :raises TypeError: for that, and for keys that are missing or unknown.
    """
    made = cls(**item)
    for name, wanted in get_type_hints(cls).items():
        plain = get_origin(wanted) if get_origin(wanted) is tuple else wanted
        if not isinstance(getattr(made, name), plain):
            raise TypeError(f"{name} is of the wrong type")
    return made
