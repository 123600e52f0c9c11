"""One file with everything that the extensions of an instance are made of.

It is a zip archive: ``extensions.lock`` as it was in force, and under ``wheels/`` every wheel
that the lock names. Nothing in it is compressed or dated, so the same set gives the same
bytes, and reading it cannot give more than the file is long.

A bundle may come from anybody. It is read member by member into names that we choose, and
each wheel has to have the digest that the lock says. What is in the wheels is looked at where
every set is that somebody else put together (:func:`soundness.check_contents`).
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tinybase.errors import BadRequest, Invalid
from tinybase.files import complete
from tinybase.packages.lock import FILE_NAME, Lock, LockedWheel
from tinybase.packages.soundness import unsound
from tinybase.packages.wheels import read_wheel

_WHEELS = "wheels"
_CHUNK = 2**20
_MAX_LOCK_BYTES = 2**24
_MAX_MEMBERS = 10_000
_ENCRYPTED = 1


def write_bundle(path: Path, lock: Lock, wheels: Mapping[str, Path]) -> str:
    """Write a bundle and return its digest; the file appears when it is complete.

    :param wheels: where each wheel of the lock is, by the name of its package.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with new.open("w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(_member(FILE_NAME), lock.text())
                for name, wheel in sorted(lock.wheels().items()):
                    info = _member(f"{_WHEELS}/{wheel.file}")
                    info.file_size = wheels[name].stat().st_size
                    with wheels[name].open("rb") as source, archive.open(info, "w") as target:
                        _copy(source, target)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        complete(new, path)
    finally:
        new.unlink(missing_ok=True)
    return digest


def unpack_bundle(path: Path, folder: Path) -> Lock:
    """Put the wheels of a bundle into an empty folder and return its lock.

    :raises BadRequest: ``invalid_source``, for a file that is no sound bundle, complete and
        exactly as its own lock says.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path.stat().st_size)
            lock = _lock(archive, members)
            expected = {FILE_NAME, *(f"{_WHEELS}/{item.file}" for item in lock.wheels().values())}
            for odd in sorted(expected ^ members.keys()):
                raise _Unsound(f"{odd!r} is {'missing' if odd in expected else 'in it'}")
            for name, wheel in sorted(lock.wheels().items()):
                with archive.open(members[f"{_WHEELS}/{wheel.file}"]) as source:
                    _unpack_wheel(name, wheel, source, folder)
    except _FAULTS as error:
        raise BadRequest(
            f"{path} is no bundle that can be installed ({_reason(error)}). "
            "Make it anew with tinybase extensions bundle.",
            code="invalid_source",
        ) from error
    return lock


class _Unsound(ValueError):
    """Something in a bundle is not as we write it."""


# A damaged archive may make the library fail in all of these ways.
_FAULTS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    ArithmeticError,
    EOFError,
    Invalid,
    LookupError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


def _reason(error: Exception) -> str:
    text = error.faults[0].msg.rstrip(".") if isinstance(error, Invalid) else str(error)
    # What is quoted here comes from the file, and ends on a terminal.
    return "".join(char if char.isprintable() else "?" for char in text) or type(error).__name__


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_STORED
    info.create_system = 3
    info.external_attr = 0o100644 << 16
    return info


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return what is in an archive, unless reading it could give more than there is."""
    found = archive.infolist()
    names = {info.filename: info for info in found}
    if len(found) > _MAX_MEMBERS or len(names) != len(found):
        raise _Unsound("it contains a file twice, or far too many")
    for info in found:
        if info.header_offset < 0:
            raise _Unsound("its beginning is missing")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
            raise _Unsound(f"{info.filename!r} is compressed or encrypted")
    if sum(info.file_size for info in found) > size:
        raise _Unsound("its files overlap")
    return names


def _lock(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]) -> Lock:
    info = members.get(FILE_NAME)
    if info is None or info.file_size > _MAX_LOCK_BYTES:
        raise _Unsound(f"it has no {FILE_NAME}")
    lock = Lock.parse(archive.read(info))
    if name := unsound(lock):
        raise _Unsound(f"what its {FILE_NAME} says of {name!r} cannot be right")
    for name, item in lock.extensions.items():
        if item.editable:
            raise _Unsound(f"{name} is editable, so its files are on another machine")
    return lock


def _unpack_wheel(name: str, wheel: LockedWheel, source: IO[bytes], folder: Path) -> None:
    path = folder / wheel.file
    with path.open("xb") as target:
        if _copy(source, target) != wheel.sha256:
            raise _Unsound(f"{wheel.file} is not what was locked")
    facts = read_wheel(path)
    if (facts.name, facts.version) != (name, wheel.version):
        raise _Unsound(f"{wheel.file} contains {facts.name} {facts.version}")


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    """Copy a file and return the digest of what was copied."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()
