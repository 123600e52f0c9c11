"""``extension.toml``: what an extension says about itself.

Reading it is strict, and reports everything that is wrong with it at once.
"""

from __future__ import annotations

import difflib
import keyword
import pkgutil
import platform
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tinybase import foreign_toml
from tinybase._version import __version__
from tinybase.errors import Fault, Invalid
from tinybase.extensions.rows import Order
from tinybase.manifest_collections import place_of, read_collections
from tinybase_hookspecs import CollectionDeclaration

FILE_NAME = "extension.toml"

_MAX_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_RESERVED = frozenset({"tinybase", "tinybase_hookspecs"})
_IMPORTED_AT_START = frozenset({"sitecustomize", "usercustomize"})
_TEXTS = ("description", "author", "license", "homepage", "repository", "documentation")
_KEYS = (
    "name",
    "version",
    *_TEXTS,
    "keywords",
    "python",
    "tinybase",
    "dependencies",
    "order",
    "collections",
)
_HOST_KEYS = ("min_version", "max_version")
_ORDER_KEYS = ("before", "after")
_DEPENDENCY_KEYS = ("version", "extras", "markers")
_CHECK_DEFINITION = "tinybase.collections.collections:check_definition"
"""What judges a schema when the collection is made. It is named, not imported, because it is of
another room, and few manifests need it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checked manifest.

    ``name`` is canonical (PEP 503) and ``package`` what Python imports. ``python`` and
    ``tinybase`` are the versions that the extension runs with, ``order`` says before and
    after which other extensions its handlers are called, and ``collections`` are its own, as
    far as they are declared here and not in code.
    """

    name: str
    package: str
    version: str
    description: str
    author: str
    license: str
    urls: Mapping[str, str]
    keywords: tuple[str, ...]
    python: SpecifierSet
    tinybase: SpecifierSet
    dependencies: tuple[Requirement, ...]
    order: Order
    collections: tuple[CollectionDeclaration, ...]

    @property
    def is_license_expression(self) -> bool:
        """Say whether the licence is one that SPDX knows."""
        try:
            canonicalize_license_expression(self.license)
        except InvalidLicenseExpression:
            return False
        return True


def read(root: Path) -> Manifest:
    """Read the manifest in a folder.

    :raises Invalid: ``manifest_invalid``, with every fault and its remedy.
    """
    path = root / FILE_NAME
    try:
        content = _bytes(path)
        document = foreign_toml.loads(content.decode("utf-8-sig"))
    except FileNotFoundError:
        raise _invalid(_fault((), "is missing. Put one beside __init__.py", "missing")) from None
    except UnicodeDecodeError:
        raise _invalid(_fault((), "is not UTF-8 text. Save it as UTF-8", "encoding")) from None
    except tomllib.TOMLDecodeError as error:
        raise _invalid(_fault((), f"is not valid TOML: {error}", "toml")) from None
    return parse(document)


def parse(document: Mapping[str, Any]) -> Manifest:
    """Check a manifest that has been read from TOML.

    :raises Invalid: ``manifest_invalid``, with every fault and its remedy.
    """
    reader = _Reader()
    manifest = reader.manifest(document)
    if reader.faults or manifest is None:
        raise _invalid(*reader.faults)
    return manifest


def check_runs_here(manifest: Manifest) -> None:
    """Check the versions of TinyBase and Python that the extension asks for.

    :raises Invalid: ``manifest_invalid``, naming both versions.
    """
    faults = []
    if not manifest.tinybase.contains(__version__, prereleases=True):
        faults.append(_host_fault(manifest))
    python = platform.python_version()
    if not manifest.python.contains(python, prereleases=True):
        msg = f"needs Python {manifest.python}; this is {python}. Run TinyBase with another one"
        faults.append(_fault(("extension", "python"), msg, "incompatible"))
    if faults:
        raise _invalid(*faults)


def import_name_fault(package: str) -> str | None:
    """Say what is wrong with the name of a package that Python shall import, if anything."""
    if not package.isidentifier():
        return f"gives the import name {package}, which Python cannot import. Begin with a letter"
    if keyword.iskeyword(package):
        return f"is the Python keyword {package}. Choose another name"
    if package in _RESERVED:
        return f"is reserved: {package} is TinyBase itself. Choose another name"
    if package in _IMPORTED_AT_START:
        return f"is reserved: Python imports {package} by itself. Choose another name"
    if package in sys.stdlib_module_names:
        return f"is reserved: {package} is a module of Python itself. Choose another name"
    return None


def _bytes(path: Path) -> bytes:
    if path.is_file() and path.stat().st_size > _MAX_BYTES:
        msg = f"is larger than {_MAX_BYTES // 1024} KiB. Keep data in files of their own"
        raise _invalid(_fault((), msg, "too_large"))
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise _invalid(_fault((), "is not a plain file. Make it one", "type"))
    return path.read_bytes()


def _fault(loc: tuple[str | int, ...], msg: str, kind: str) -> Fault:
    return Fault((FILE_NAME, *loc), f"{msg}.", kind)


def _invalid(*faults: Fault) -> Invalid:
    return Invalid(faults, code="manifest_invalid")


def _host_fault(manifest: Manifest) -> Fault:
    lowest = [item for item in manifest.tinybase if item.operator == ">="]
    too_old = any(not item.contains(__version__, prereleases=True) for item in lowest)
    key = "min_version" if too_old else "max_version"
    wanted = str(manifest.tinybase).replace(".dev0", "")
    remedy = "Upgrade TinyBase" if too_old else "Install a newer release of the extension"
    msg = f"needs TinyBase {wanted}; this is {__version__}. {remedy}"
    return _fault(("extension", "tinybase", key), msg, "incompatible")


class _Reader:
    """Walks through a document and notes what is wrong."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def manifest(self, document: Mapping[str, Any]) -> Manifest | None:
        """Return the manifest; ``None`` when it lacks too much to make one."""
        self._known((), set(document) - {"tool"}, ("extension",))
        table = self._table(document, "extension")
        if table is None:
            return None
        self._known(("extension",), table, _KEYS)
        name, version = self._name(table), self._version(table)
        texts = {key: self._text(table, key) for key in _TEXTS}
        manifest = Manifest(
            name=name,
            package=name.replace("-", "_"),
            version=version,
            description=texts["description"],
            author=texts["author"],
            license=texts["license"],
            urls=self._urls(texts),
            keywords=self._keywords(table),
            python=self._python(table),
            tinybase=self._host(table),
            dependencies=tuple(self._dependencies(table, name)),
            order=self._order(table, name),
            collections=self._collections(table),
        )
        return None if self.faults else manifest

    def _note(self, loc: Iterable[str | int], msg: str, kind: str = "value") -> None:
        self.faults.append(_fault(tuple(loc), msg, kind))

    def _known(self, loc: tuple[str, ...], found: Iterable[str], known: tuple[str, ...]) -> None:
        for key in sorted(set(found) - set(known)):
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]}" if near else f"Known are {', '.join(known)}"
            self._note((*loc, key), f"is not a key of the manifest. {hint}", "unknown_key")

    def _table(self, document: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
        table = document.get(key)
        if table is None:
            self._note((key,), f"is missing. Begin the manifest with [{key}]", "missing")
            return None
        if not isinstance(table, dict):
            self._note((key,), f"is a table. Write [{key}]", "type")
            return None
        return table

    def _text(self, table: Mapping[str, Any], key: str, *, required: bool = False) -> str:
        """Return a text on one line; the empty text when there is none or a bad one."""
        value = table.get(key)
        loc = ("extension", key)
        if value is None:
            if required:
                self._note(loc, f'is missing. Add {key} = "..."', "missing")
            return ""
        if not isinstance(value, str):
            self._note(loc, f'is a text. Write {key} = "..." with quotes', "type")
            return ""
        if not value.strip() and required:
            self._note(loc, "is empty. Give it a value")
        if len(value) > 2000 or not value.isprintable():
            self._note(loc, "is one line of at most 2000 characters. Shorten it")
            return ""
        return value.strip()

    def _name(self, table: Mapping[str, Any]) -> str:
        name = self._text(table, "name", required=True)
        if not name:
            return ""
        loc = ("extension", "name")
        if not _NAME.fullmatch(name):
            rule = "has letters, digits, dots, dashes and underscores, at most 100 of them"
            self._note(loc, f"{rule}, and begins and ends with a letter or digit")
            return ""
        canonical = canonicalize_name(name)
        if fault := import_name_fault(canonical.replace("-", "_")):
            self._note(loc, fault, "reserved" if "reserved" in fault else "value")
        return canonical

    def _version(self, table: Mapping[str, Any]) -> str:
        text = self._text(table, "version", required=True)
        version = self._parsed(("extension", "version"), text, Version, 'Write one like "1.0.0"')
        if version is not None and version.local:
            self._note(("extension", "version"), "has a local part. Leave out everything after +")
        return str(version or "")

    def _parsed(
        self, loc: tuple[str, ...], text: str, of: Callable[[str], Any], remedy: str
    ) -> Any | None:
        if not text:
            return None
        try:
            return of(text)
        except (InvalidVersion, InvalidSpecifier):
            self._note(loc, f"is no version that Python's packaging knows. {remedy}")
            return None

    def _urls(self, texts: Mapping[str, str]) -> dict[str, str]:
        urls = {}
        for key in ("homepage", "repository", "documentation"):
            if not texts[key]:
                continue
            if not texts[key].startswith(("https://", "http://")) or " " in texts[key]:
                self._note(("extension", key), "is an address that begins with https://")
            urls[key.capitalize()] = texts[key]
        return urls

    def _keywords(self, table: Mapping[str, Any]) -> tuple[str, ...]:
        value = table.get("keywords", [])
        if not _is_list_of_texts(value) or any("," in word for word in value):
            self._note(("extension", "keywords"), 'is a list of words. Write ["a", "b"]', "type")
            return ()
        return tuple(value)

    def _python(self, table: Mapping[str, Any]) -> SpecifierSet:
        text = self._text(table, "python")
        remedy = 'Write python = ">=3.11"'
        if re.fullmatch(r"[0-9.]+", text):
            self._note(("extension", "python"), f"is not a range. {remedy}")
            return SpecifierSet()
        found = self._parsed(("extension", "python"), text, SpecifierSet, remedy)
        return found if isinstance(found, SpecifierSet) else SpecifierSet()

    def _host(self, table: Mapping[str, Any]) -> SpecifierSet:
        if "tinybase" not in table:
            return SpecifierSet()
        loc = ("extension", "tinybase")
        host = table["tinybase"]
        if not isinstance(host, dict):
            self._note(loc, "is a table. Write [extension.tinybase] and min_version in it", "type")
            return SpecifierSet()
        self._known(loc, host, _HOST_KEYS)
        lowest = self._host_version(host, "min_version")
        highest = self._host_version(host, "max_version", wildcard=True)
        if lowest and highest and not highest.endswith(".*") and Version(lowest) > Version(highest):
            self._note((*loc, "max_version"), f"is below min_version {lowest}. Correct one of them")
        parts = [_at_least(lowest)] if lowest else []
        return SpecifierSet(",".join([*parts, _at_most(highest)] if highest else parts))

    def _host_version(
        self, host: Mapping[str, Any], key: str, *, wildcard: bool = False
    ) -> str | None:
        value = host.get(key)
        loc = ("extension", "tinybase", key)
        if value is None:
            return None
        if not isinstance(value, str):
            self._note(loc, f'is a text. Write {key} = "0.4.0" with quotes', "type")
            return None
        release = value.removesuffix(".*") if wildcard else value
        version = self._parsed(loc, release, Version, f'Write {key} = "0.4.0"')
        if not release.strip():
            self._note(loc, f'is empty. Write {key} = "0.4.0" or leave it out')
        if version is None:
            return None
        return str(version) + (".*" if release != value else "")

    def _dependencies(self, table: Mapping[str, Any], own: str) -> Iterable[Requirement]:
        value = table.get("dependencies", {})
        loc = ("extension", "dependencies")
        entries: list[tuple[str, Requirement]] = []
        if isinstance(value, dict):
            entries = [
                (key, found)
                for key, item in value.items()
                if (found := self._dependency((*loc, key), key, item))
            ]
        elif _is_list_of_texts(value):
            entries = [
                (item, found)
                for number, item in enumerate(value)
                if (found := self._requirement((*loc, number), item))
            ]
        else:
            remedy = 'Write [extension.dependencies] and lines like requests = ">=2.28"'
            self._note(loc, f"is a table. {remedy}", "type")
        return self._distinct(entries, own)

    def _distinct(self, entries: list[tuple[str, Requirement]], own: str) -> list[Requirement]:
        seen: dict[str, str] = {}
        for key, requirement in entries:
            loc = ("extension", "dependencies", key)
            name = canonicalize_name(requirement.name)
            if name == own:
                self._note(loc, "is the extension itself. Remove it")
            if name == "tinybase":
                self._note(loc, "is the host. Use min_version under [extension.tinybase]")
            if name in seen and not requirement.marker:
                self._note(loc, f"is the same package as {seen[name]}. Keep one of the two")
            seen[name] = key
        return [requirement for _, requirement in entries]

    def _dependency(self, loc: tuple[str, ...], name: str, value: object) -> Requirement | None:
        """Read one line of the dependencies: a version range, or a table with more."""
        if isinstance(value, str):
            value = {"version": value}
        if not isinstance(value, dict):
            self._note(loc, f'is a version range. Write {name} = ">=1.0" or "*"', "type")
            return None
        if "url" in value or "git" in value or "path" in value:
            self._note(loc, "comes from an address. Publish it as a package and name a version")
            return None
        self._known(loc, value, _DEPENDENCY_KEYS)
        extras, marker = value.get("extras", []), value.get("markers", "")
        if not _is_list_of_texts(extras) or not isinstance(marker, str):
            self._note(loc, "has extras (a list of texts) and markers (a text)", "type")
            return None
        versions = self._range(loc, name, value.get("version", "*"))
        if versions is None:
            return None
        extra = f"[{','.join(extras)}]" if extras else ""
        return self._requirement(loc, f"{name}{extra}{versions}{f'; {marker}' if marker else ''}")

    def _range(self, loc: tuple[str, ...], name: str, value: object) -> str | None:
        remedy = f'Write {name} = ">=1.2,<2" or "*"'
        if not isinstance(value, str):
            self._note(loc, f"is a version range in quotes. {remedy}", "type")
            return None
        text = value.strip()
        if text in {"", "*"}:
            return ""
        if re.match(r"\^|~(?!=)", text):
            self._note(loc, f"uses {text[0]}, which pip does not know. {remedy}")
            return None
        if text[0].isdigit():
            text = f"=={text}"
        try:
            return str(SpecifierSet(text))
        except InvalidSpecifier:
            self._note(loc, f"is no version range. {remedy}")
            return None

    def _order(self, table: Mapping[str, Any], own: str) -> Order:
        value, loc = table.get("order", {}), ("extension", "order")
        if not isinstance(value, dict):
            remedy = 'Write [extension.order] and lines like before = ["audit-trail"]'
            self._note(loc, f"is a table. {remedy}", "type")
            return Order()
        self._known(loc, value, _ORDER_KEYS)
        before, after = (self._extensions((*loc, key), value.get(key, [])) for key in _ORDER_KEYS)
        for key, names in (("before", before), ("after", after)):
            if own in names:
                self._note((*loc, key), f"names {own}, the extension itself. Remove it")
        for name in sorted({*before} & {*after}):
            self._note((*loc, "after"), f"names {name}, and so does before. Keep one of the two")
        return Order(before=before, after=after)

    def _extensions(self, loc: tuple[str, ...], value: object) -> tuple[str, ...]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(
            isinstance(name, str) and _NAME.fullmatch(name) for name in names
        ):
            msg = f'is a list of names of extensions. Write {loc[-1]} = ["audit-trail"]'
            self._note(loc, msg, "type")
            return ()
        return tuple(canonicalize_name(name) for name in names)

    def _collections(self, table: Mapping[str, Any]) -> tuple[CollectionDeclaration, ...]:
        found, faults = read_collections(table)
        self.faults += faults
        if not found:
            return ()
        check = pkgutil.resolve_name(_CHECK_DEFINITION)
        for index, item in enumerate(found):
            try:
                check(item.name, None, item.schema, item.options)
            except Invalid as invalid:
                self.faults += [
                    Fault(place_of(index, fault.loc), f"in {item.name}: {fault.msg}", fault.type)
                    for fault in invalid.faults
                ]
        return found

    def _requirement(self, loc: tuple[str | int, ...], text: str) -> Requirement | None:
        try:
            # A line break would be white space to the parser, and a new header to METADATA.
            requirement = Requirement(text if text.isprintable() else "")
        except InvalidRequirement:
            self._note(loc, "is no dependency that pip knows. Write its name and a version range")
            return None
        if requirement.url:
            self._note(loc, "comes from an address. Publish it as a package and name a version")
            return None
        return requirement


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _at_least(version: str) -> str:
    # A developer on 0.5.0.dev3 must be able to try an extension for 0.5.0.
    parsed = Version(version)
    return f">={version}" if parsed.is_prerelease else f">={parsed.base_version}.dev0"


def _at_most(version: str) -> str:
    """Return the upper end: the last version that works, or all below the next series."""
    if not version.endswith(".*"):
        return f"<={version}"
    release = list(Version(version.removesuffix(".*")).release)
    release[-1] += 1
    return f"<{'.'.join(map(str, release))}.dev0"
