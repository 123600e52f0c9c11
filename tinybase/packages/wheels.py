"""Wheels: written with the same bytes every time, and read without installing them."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tinybase.errors import Fault as _Fault
from tinybase.errors import Invalid

ENTRY_POINT_GROUP = "tinybase.extensions"

Member = tuple[str, bytes]

_MAX_METADATA_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class WheelFacts:
    """What a wheel says about itself.

    ``entry_points`` are those of TinyBase: name -> ``module`` or ``module:object``.
    ``packages`` are the top-level names that importing it would give Python.
    """

    name: str
    version: str
    description: str
    author: str
    license: str
    requires_python: str
    requirements: tuple[Requirement, ...]
    entry_points: dict[str, str]
    packages: frozenset[str]
    members: tuple[str, ...]


def write_wheel(folder: Path, stem: str, members: Iterable[Member]) -> Path:
    """Write a wheel that depends on nothing but its members.

    :param stem: the file name without ``.whl``; its first two parts name the dist-info
        folder, which gets the RECORD.
    """
    name, version, *_ = stem.split("-")
    record_name = f"{name}-{version}.dist-info/RECORD"
    ordered = sorted(members)
    path = folder / f"{stem}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in [*ordered, (record_name, _record(ordered, record_name))]:
            info = zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0))
            # Stored, not deflated: what zlib makes of it differs between its versions.
            info.compress_type = zipfile.ZIP_STORED
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, content)
    return path


def sha256(path: Path) -> str:
    """Return the digest of a file, as pip writes it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_wheel(path: Path) -> WheelFacts:
    """Read the metadata of a wheel.

    :raises Invalid: ``manifest_invalid``, when the file is no sound wheel.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = tuple(info.filename for info in archive.infolist())
            _check_members(path, members)
            folder = _dist_info(path, members)
            metadata = BytesParser().parsebytes(_content(archive, f"{folder}/METADATA"))
            entry_points = _entry_points(archive, f"{folder}/entry_points.txt", members)
        return _facts(path, metadata, entry_points, members)
    except (zipfile.BadZipFile, KeyError, InvalidRequirement, UnicodeDecodeError, OSError) as error:
        raise unsound(path, f"cannot be read as a wheel ({error})") from error


def unsound(path: Path, reason: str) -> Invalid:
    """Return the error for a wheel that must not be installed."""
    fault = _Fault((path.name,), f"{reason}. Ask its author for a correct one.", "wheel")
    return Invalid([fault], code="manifest_invalid")


def _facts(
    path: Path, metadata: Message, entry_points: dict[str, str], members: Sequence[str]
) -> WheelFacts:
    name, version = metadata["Name"], metadata["Version"]
    if not name or not version:
        raise unsound(path, "has no name or no version in its METADATA")
    return WheelFacts(
        name=canonicalize_name(name),
        version=version,
        description=metadata["Summary"] or "",
        author=metadata["Author"] or metadata["Author-email"] or "",
        license=_license(metadata),
        requires_python=metadata["Requires-Python"] or "",
        requirements=tuple(Requirement(text) for text in metadata.get_all("Requires-Dist", [])),
        entry_points=entry_points,
        packages=frozenset(_top_level(members)),
        members=tuple(members),
    )


def _license(metadata: Message) -> str:
    text: str = metadata["License-Expression"] or metadata["License"] or ""
    # Some projects put the whole text of their licence there.
    return text if len(text) <= 100 and "\n" not in text else ""


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MAX_METADATA_BYTES:
        raise zipfile.BadZipFile(f"{name} is too large")
    return archive.read(name)


def _check_members(path: Path, members: Sequence[str]) -> None:
    if len(set(members)) != len(members):
        raise unsound(path, "contains a file twice")
    for member in members:
        parts = PurePosixPath(member).parts
        if member.startswith("/") or "\\" in member or ".." in parts or "\0" in member:
            raise unsound(path, f"contains {member!r}, which would be written outside")


def _dist_info(path: Path, members: Sequence[str]) -> str:
    folders = {name.split("/")[0] for name in members if name.endswith(".dist-info/METADATA")}
    if len(folders) != 1:
        raise unsound(path, "has no METADATA, or two")
    return folders.pop()


def _entry_points(archive: zipfile.ZipFile, name: str, members: Sequence[str]) -> dict[str, str]:
    if name not in members:
        return {}
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    try:
        parser.read_string(_content(archive, name).decode())
    except ConfigParserError as error:
        raise zipfile.BadZipFile(f"{name}: {type(error).__name__}") from error
    return dict(parser[ENTRY_POINT_GROUP]) if ENTRY_POINT_GROUP in parser else {}


def _top_level(members: Iterable[str]) -> Iterable[str]:
    for member in members:
        first, slash, _ = member.partition("/")
        if slash and not first.endswith((".dist-info", ".data")):
            yield first
        elif not slash and first.endswith((".py", ".so", ".pyd")):
            yield first.partition(".")[0]


def _record(members: Iterable[Member], own_name: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, content in members:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow((name, f"sha256={digest}", len(content)))
    writer.writerow((own_name, "", ""))
    return text.getvalue().encode()
