"""``tinybase extensions new``: an extension that works, to begin with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from string import Template

from packaging.version import Version

from tinybase._version import __version__
from tinybase.errors import BadRequest, Conflict, Invalid
from tinybase.packages import manifest
from tinybase.packages.environment import HostPackages

LAYOUTS = ("flat", "packaged")
"""Modules at the top of the repository, or a package with a pyproject.toml."""

_COMMON: Mapping[str, str] = {
    ".github/workflows/test.yml": "workflow.yml",
    ".gitignore": "gitignore",
    "LICENSE": "license",
    "README.md": "readme.md",
    "tests/conftest.py": "conftest.py",
    "tests/test_{package}.py": "test_extension.py",
}
_FLAT: Mapping[str, str] = {
    "__init__.py": "init_flat.py",
    "extension.toml": "extension.toml",
    "functions.py": "functions.py",
    "hooks.py": "hooks.py",
    "tests/pytest.ini": "pytest.ini",
}
_PACKAGED: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml",
    "{package}/__init__.py": "init_packaged.py",
    "{package}/functions.py": "functions.py",
    "{package}/hooks.py": "hooks.py",
    "{package}/py.typed": "",
}
"""The files of each layout, and their templates in the folder ``templates``."""

_STEPS: Mapping[str, tuple[str, ...]] = {
    "flat": ("pip install pytest", "pytest tests"),
    "packaged": ("pip install -e '.[test]'", "pytest tests"),
}
_SETUP: Mapping[str, str] = {
    "flat": 'pip install "tinybase>={tinybase}" pytest',
    "packaged": "pip install -e .[test]",
}


@dataclass(frozen=True, slots=True)
class NewExtension:
    """An extension that shall be written.

    ``name`` is canonical and ``package`` what Python imports.
    """

    name: str
    package: str
    layout: str
    description: str
    author: str
    files: Mapping[str, str] = field(repr=False)

    def write(self, folder: Path) -> list[Path]:
        """Write all files, or none; folders are made where they are missing.

        :raises Conflict: when one of the files exists; everything is left alone.
        """
        paths = {folder / name: text for name, text in self.files.items()}
        for path in paths:
            if path.exists() or path.is_symlink():
                raise _exists(path)
        written: list[Path] = []
        try:
            for path, text in paths.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("x", encoding="utf-8", newline="\n") as file:
                    written.append(path)
                    file.write(text)
        except BaseException:
            for path in written:
                path.unlink()
            _remove_empty_folders(folder, self.files)
            raise
        return written

    @property
    def next_steps(self) -> tuple[str, ...]:
        """Return the commands that test it, in the order in which to run them."""
        return _STEPS[self.layout]


def new_extension(
    name: str, host: HostPackages, *, layout: str, description: str = "", author: str = ""
) -> NewExtension:
    """Return the files of a new extension.

    :param host: the packages whose names are taken.
    :raises BadRequest: for a name or a text that no extension can have.
    """
    description = description or "An extension of TinyBase"
    author = author or f"The authors of {name}"
    known = _checked(name, description, author)
    _refuse_taken(known, host)
    words = _words(known, layout, description, author)
    templates = {**_COMMON, **(_FLAT if layout == "flat" else _PACKAGED)}
    return NewExtension(
        name=known.name,
        package=known.package,
        layout=layout,
        description=description,
        author=author,
        files={
            path.format(package=known.package): _filled(template, words)
            for path, template in sorted(templates.items())
        },
    )


def _checked(name: str, description: str, author: str) -> manifest.Manifest:
    """Let the manifest judge what will be written into it."""
    table = {"name": name, "version": "0.1.0", "description": description, "author": author}
    try:
        return manifest.parse({"extension": table})
    except Invalid as error:
        fault = error.faults[0]
        raise BadRequest(f"The {fault.loc[-1]} {fault.msg}") from error


def _refuse_taken(known: manifest.Manifest, host: HostPackages) -> None:
    """Refuse a name under which the extension could not be installed beside TinyBase."""
    owner = known.name if known.name in host else host.owner_of(known.package)
    if owner is not None:
        raise BadRequest(
            f"The name {known.name} is taken: the package {owner} is installed in the "
            "environment of TinyBase. Choose another name."
        )


def _words(
    known: manifest.Manifest, layout: str, description: str, author: str
) -> Mapping[str, str]:
    """Return what the templates leave open."""
    sentence = description.rstrip(".") + "."
    oldest = Version(__version__).base_version
    return {
        "name": known.name,
        "package": known.package,
        "function": f"{known.package[:90]}_count",
        # The texts of JSON are texts of TOML, too.
        "description": json.dumps(description, ensure_ascii=False),
        "author": json.dumps(author, ensure_ascii=False),
        "summary": sentence,
        "title": _for_docstring(sentence),
        "holder": author,
        "year": str(datetime.now(UTC).year),
        "tinybase": oldest,
        "address": f"https://github.com/YOU/{known.name}",
        "develop": "\n".join(_STEPS[layout]),
        "setup": _SETUP[layout].format(tinybase=oldest),
    }


def _for_docstring(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text)


def _filled(template: str, words: Mapping[str, str]) -> str:
    if not template:
        return ""
    source = files("tinybase.packages").joinpath("templates", f"{template}.txt")
    return Template(source.read_text("utf-8")).substitute(words)


def _remove_empty_folders(folder: Path, names: Mapping[str, str]) -> None:
    inner = {folder / parent for name in names for parent in Path(name).parents}
    for path in sorted(inner, reverse=True):
        with suppress(OSError):
            path.rmdir()


def _exists(path: Path) -> Conflict:
    return Conflict(
        f"{path} exists already, and nothing is overwritten. Name another folder with --folder."
    )
