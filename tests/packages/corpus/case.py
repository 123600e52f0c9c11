"""One package, or address, that is wrong, and what has to come of it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from github import Hub

Content = str | bytes
Files = Mapping[str, Content]

HELLO = "from tinybase.extensions import on_startup\n\n@on_startup\ndef hello():\n    pass\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
COMMIT = "c0ffee" + "0" * 34


class Verdict(StrEnum):
    """What comes of a package; unless it is installed, everything is as it was before."""

    REFUSED = "refused"
    """No code of it has been imported."""
    FAILED = "failed"
    """It was tried out and does not load. A server that finds it goes on without it."""
    INSTALLED = "installed"
    """It does no harm, or none that can be told from what it is for."""


@dataclass(frozen=True)
class Place:
    """Where the packages of the corpus are made: the script's only input.

    :param github: what GitHub answers over https, for those without git.
    """

    hub: Hub
    folder: Path
    index: Path
    github: dict[str, bytes]

    def clear(self) -> None:
        """Remove the packages that were made, but for those of the index."""
        for folder in (self.folder, self.hub.folder):
            shutil.rmtree(folder)
            folder.mkdir()


Package = Callable[[Place, str], str]
"""Makes a package under a name and returns its address."""


@dataclass(frozen=True)
class Case:
    """A row of the table.

    :param told: words of the line that says what is wrong and what to do.
    """

    name: str
    wrong: str
    verdict: Verdict
    told: str
    package: Package


def refused(name: str, wrong: str, told: str, package: Package) -> Case:
    """Return a row for what is refused."""
    return Case(name, wrong, Verdict.REFUSED, told, package)


def failed(name: str, wrong: str, told: str, package: Package) -> Case:
    """Return a row for what does not load."""
    return Case(name, wrong, Verdict.FAILED, told, package)


def installed(name: str, wrong: str, package: Package) -> Case:
    """Return a row for what is installed all the same."""
    return Case(name, wrong, Verdict.INSTALLED, "", package)


def manifest(name: str, more: str = "") -> str:
    """Return a manifest without a fault."""
    return f'[extension]\nname = "{name}"\nversion = "1.0.0"\n{more}\n'


def write(folder: Path, files: Files) -> Path:
    """Write files, text or not, into a folder and return it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def repository(files: Files) -> Package:
    """Return a package that is a repository on GitHub."""

    def make(place: Place, name: str) -> str:
        write(place.hub.folder / "user" / name, files)
        place.hub.git(name, "init", "--quiet", "--initial-branch=main")
        return place.hub.repository(name, {})

    return make


def flat(more: str = "", *, init: str = HELLO, files: Files | None = None) -> Package:
    """Return a repository in the flat layout with a manifest that has ``more``."""

    def make(place: Place, name: str) -> str:
        own = {"extension.toml": manifest(name, more), "__init__.py": init}
        return repository({**own, **(files or {})})(place, name)

    return make


def folder(change: Callable[[Path], object]) -> Package:
    """Return a local folder of a sound extension after ``change`` was done to it."""

    def make(place: Place, name: str) -> str:
        root = place.folder / name
        write(root, {"extension.toml": manifest(name), "__init__.py": HELLO})
        change(root)
        return str(root)

    return make


@dataclass(frozen=True)
class Wheel:
    """A wheel with what is to be wrong with it; the rest is as it should be."""

    members: Files | None = None
    metadata: str = ""
    entry_points: str | None = None
    record: str | None = None
    headers: str | None = None
    file: str = "{package}-1.0.0-py3-none-any.whl"
    infos: tuple[tuple[zipfile.ZipInfo, bytes], ...] = ()

    def __call__(self, place: Place, name: str) -> str:
        """Write the wheel and return its path."""
        return str(self.write(place.folder, name))

    def write(self, place: Path, name: str) -> Path:
        """Write the wheel of a name into a folder."""
        package = name.replace("-", "_")
        info = f"{package}-1.0.0.dist-info"
        headers = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n"
        entry_points = f"[tinybase.extensions]\n{name} = {package}\n"
        members: dict[str, Content] = {
            f"{package}/__init__.py": HELLO,
            f"{info}/METADATA": (headers if self.headers is None else self.headers) + self.metadata,
            f"{info}/WHEEL": WHEEL,
            f"{info}/entry_points.txt": (
                entry_points if self.entry_points is None else self.entry_points
            ).format(package=package),
        }
        for member, content in (self.members or {}).items():
            members[member.format(package=package, info=info)] = content
        path = place / self.file.format(package=package)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in members.items():
                archive.writestr(member, content)
            for zip_info, content in self.infos:
                archive.writestr(zip_info, content)
            record = _record(members, info) if self.record is None else self.record
            archive.writestr(f"{info}/RECORD", record.format(package=package, info=info))
        return path


def broken_wheel(spoil: Callable[[Path], object]) -> Package:
    """Return a wheel after ``spoil`` was done to its file."""

    def make(place: Place, name: str) -> str:
        path = Wheel().write(place.folder, name)
        spoil(path)
        return str(path)

    return make


def tarball(*members: tarfile.TarInfo) -> Package:
    """Return a repository that is brought as an archive, because there is no git."""

    def make(place: Place, name: str) -> str:
        base = f"https://github.com/archived/{name}"
        own = {"extension.toml": manifest(name), "__init__.py": HELLO}
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            for file, text in own.items():
                info = tarfile.TarInfo(f"{name}-1/{file}")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
            for member in members:
                archive.addfile(member, io.BytesIO(b"x" * member.size))
        line = f"{COMMIT} HEAD\0symref=HEAD:refs/heads/main\n"
        place.github[f"{base}.git/info/refs?service=git-upload-pack"] = (
            f"{len(line) + 4:04x}{line}0000".encode()
        )
        place.github[f"{base}/archive/{COMMIT}.tar.gz"] = data.getvalue()
        return base

    return make


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """Return a member of a tarball that is not what it should be."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def address(text: str) -> Package:
    """Return no package at all, only what somebody may write after ``install``."""
    return lambda place, name: text


def _record(members: Mapping[str, Content], info: str) -> str:
    text = io.StringIO()
    rows: Iterable[tuple[str, str, object]] = (
        (name, f"sha256={_digest(content)}", len(content)) for name, content in members.items()
    )
    csv.writer(text, lineterminator="\n").writerows([*rows, (f"{info}/RECORD", "", "")])
    return text.getvalue()


def _digest(content: Content) -> str:
    data = content.encode() if isinstance(content, str) else content
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
