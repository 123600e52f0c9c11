"""Wheels: written with the same bytes every time, and read without installing them."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidName,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from tinybase.errors import Fault as _Fault
from tinybase.errors import Invalid

ENTRY_POINT_GROUP = "tinybase.extensions"

Member = tuple[str, bytes]

_TORN = (
    zipfile.BadZipFile,
    zlib.error,
    csv.Error,
    KeyError,
    InvalidRequirement,
    UnicodeDecodeError,
    OSError,
    RuntimeError,  # it is encrypted, or packed in a way that nobody knows
)
_LIBRARY = "lib/python/"
"""Where pip has modules among the data of a target folder."""

_MAX_METADATA_BYTES = 4 * 1024 * 1024
_MAX_MEMBERS = 100_000
_MAX_NAME_BYTES = 255
_BOMB_BYTES = 100 * 1024 * 1024
_BOMB_RATIO = 100


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
    with _opened(path) as archive:
        members = tuple(info.filename for info in archive.infolist())
        _check_size(path, archive.infolist())
        _check_members(path, archive.infolist())
        folder = _dist_info(path, members)
        metadata = BytesParser().parsebytes(_content(archive, f"{folder}/METADATA"))
        entry_points = _entry_points(archive, f"{folder}/entry_points.txt", members)
        return _facts(path, metadata, entry_points, members)


def check_record(path: Path) -> None:
    """Check that a wheel contains what its RECORD says; files it does not list may be there.

    :raises Invalid: ``manifest_invalid``, naming the file.
    """
    with _opened(path) as archive:
        members = archive.namelist()
        record = f"{_dist_info(path, members)}/RECORD"
        listed = _content(archive, record).decode() if record in members else ""
        for row in filter(None, csv.reader(listed.splitlines())):
            name, digest = (*row, "")[:2]
            if name not in members:
                raise unsound(path, f"has a RECORD of {name!r}, which it does not contain")
            method, _, wanted = digest.partition("=")
            if digest and (method != "sha256" or _digest(archive.read(name)) != wanted):
                raise unsound(path, f"contains another {name!r} than its RECORD says")


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a wheel and turn what is wrong with it as an archive into one error."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _TORN as error:
        raise unsound(path, f"cannot be read as a wheel ({_one_line(error)})") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def unsound(path: Path, reason: str) -> Invalid:
    """Return the error for a wheel that must not be installed."""
    fault = _Fault((path.name,), f"{reason}. Ask its author for a correct one.", "wheel")
    return Invalid([fault], code="manifest_invalid")


def _facts(
    path: Path, metadata: Message, entry_points: dict[str, str], members: Sequence[str]
) -> WheelFacts:
    name, version = _identity(path, metadata)
    return WheelFacts(
        name=name,
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


def _identity(path: Path, metadata: Message) -> tuple[NormalizedName, str]:
    """Return name and version; the name of the file must say the same."""
    name, version = metadata["Name"], metadata["Version"]
    if not name or not version:
        raise unsound(path, "has no name or no version in its METADATA")
    try:
        found = canonicalize_name(name, validate=True), Version(version)
        named = parse_wheel_filename(path.name)[:2]
    except (InvalidName, InvalidVersion) as error:
        raise unsound(path, f"has a name or a version that cannot be ({error})") from error
    except InvalidWheelFilename as error:
        raise unsound(path, "is not named as wheels are") from error
    if found != named:
        raise unsound(path, f"has the name and version {found[0]} {found[1]} in its METADATA")
    return found[0], version


def _license(metadata: Message) -> str:
    text: str = metadata["License-Expression"] or metadata["License"] or ""
    # Some projects put the whole text of their licence there.
    return text if len(text) <= 100 and "\n" not in text else ""


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MAX_METADATA_BYTES:
        raise zipfile.BadZipFile(f"{name} is too large")
    return archive.read(name)


def _check_size(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse what would fill the disk; nothing of it has been unpacked by then."""
    if len(members) > _MAX_MEMBERS:
        raise unsound(path, f"contains more than {_MAX_MEMBERS} files")
    size = sum(member.file_size for member in members)
    times = size // path.stat().st_size
    if size > _BOMB_BYTES and times > _BOMB_RATIO:
        raise unsound(path, f"would unpack to {size // 2**20} MiB, {times} times its size")


def _check_members(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    if len({member.filename for member in members}) != len(members):
        raise unsound(path, "contains a file twice")
    for member in members:
        name, parts = member.filename, PurePosixPath(member.filename).parts
        if name.startswith("/") or "\\" in name or ".." in parts or re.match("[A-Za-z]:", name):
            raise unsound(path, f"contains {name!r}, which would be written outside")
        if not name.isprintable():
            raise unsound(path, f"contains {name!a}, whose name is no plain text")
        if any(len(part.encode()) > _MAX_NAME_BYTES for part in parts):
            raise unsound(path, f"contains a name that is longer than {_MAX_NAME_BYTES} bytes")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise unsound(path, f"contains {name!r}, which is a link or a special file")


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
        first, slash, _ = place(member).partition("/")
        if slash and not first.endswith(".dist-info"):
            yield first
        elif not slash and first.endswith((".py", ".so", ".pyd")):
            yield first.partition(".")[0]


def place(member: str) -> str:
    """Return where a member is installed, which for data is not where it is in the wheel."""
    folder, _, inside = member.partition("/")
    if not folder.endswith(".data"):
        return member
    kind, _, rest = inside.partition("/")
    if kind == "data" and rest.startswith(_LIBRARY):
        return rest.removeprefix(_LIBRARY)
    return rest if kind in ("purelib", "platlib") else ""


def _record(members: Iterable[Member], own_name: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, content in members:
        writer.writerow((name, f"sha256={_digest(content)}", len(content)))
    writer.writerow((own_name, "", ""))
    return text.getvalue().encode()


def _digest(content: bytes) -> str:
    """Return a digest as RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
