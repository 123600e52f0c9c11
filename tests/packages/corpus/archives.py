"""Archives that write elsewhere, fill the disk, or are not what they say."""

from __future__ import annotations

import os
import stat
import tarfile
import unicodedata
import zipfile
from pathlib import Path

from .case import (
    HELLO,
    Case,
    Files,
    Package,
    Place,
    Wheel,
    broken_wheel,
    flat,
    folder,
    installed,
    manifest,
    refused,
    repository,
    tar_member,
    tarball,
)

_LIE = "{package}/__init__.py,sha256=AAAA,1\n"
_ABSENT = "{package}/absent.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
_OUTSIDE = "which would be written outside"
_ENTRY = "[tinybase.extensions]\nx = {package}\n"


def _with(name: str, wrong: str, told: str, member: str, content: str = "") -> Case:
    return refused(name, wrong, told, Wheel({member: content}))


def _linking(target: str) -> Wheel:
    info = zipfile.ZipInfo("linking_wheel/secret")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return Wheel(infos=((info, target.encode()),))


def _bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("bomb/zeros", "w", force_zip64=True) as member,
    ):
        for _ in range(1024):
            member.write(bytes(2**20))


def _crowd(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(100_001):
            archive.filelist.append(_copy(archive.filelist[0], f"crowd/{number}"))
        archive._didModify = True  # type: ignore[attr-defined]


def _copy(info: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    copied = zipfile.ZipInfo(name)
    copied.header_offset, copied.CRC = info.header_offset, info.CRC
    copied.file_size, copied.compress_size = info.file_size, info.compress_size
    return copied


def _many_files(root: Path) -> None:
    (root / "many").mkdir()
    for number in range(20_001):
        (root / "many" / str(number)).touch()


def _tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _linked_repository(link: str, target: str) -> Package:
    def make(place: Place, name: str) -> str:
        root = place.hub.folder / "user" / name
        root.mkdir(parents=True)
        (root / link).symlink_to(target)
        files: Files = {"extension.toml": manifest(name), "__init__.py": HELLO}
        return repository(files)(place, name)

    return make


def _bringing(dependency: str, wheel: Wheel) -> Package:
    """Return an extension that is sound, and needs a package of the index that is not."""

    def make(place: Place, name: str) -> str:
        wheel.write(place.index, dependency)
        return flat(f'[extension.dependencies]\n{dependency} = "*"')(place, name)

    return make


ARCHIVES = (
    _with("slip", "a member that leads up", _OUTSIDE, "../slipped.py"),
    _with("slip-inside", "a member that leads up further in", _OUTSIDE, "{package}/../../x.py"),
    _with("rooted", "an absolute member", _OUTSIDE, "/tmp/rooted.py"),
    _with("backslash", "a member with backslashes", _OUTSIDE, "..\\x.py"),
    _with("drive", "a member on a drive", _OUTSIDE, "C:/x.py"),
    _with("data-slip", "data that leads up", _OUTSIDE, "{package}-1.0.0.data/data/../../../x"),
    _with("long-member", "a name of 300 letters", "longer than 255", "{package}/" + "x" * 300),
    _with("case", "two names that differ in case", "differ only in", "{package}/__INIT__.py"),
    refused(
        "accents",
        "two names that look the same",
        "differ only in",
        Wheel({unicodedata.normalize(form, "{package}/é.py"): "" for form in ("NFC", "NFD")}),
    ),
    refused("linking-wheel", "a link in a wheel", "a link", _linking("/etc/passwd")),
    refused("bomb", "1 GiB of zeros", "times its size", broken_wheel(_bomb)),
    refused("crowd", "more than 100,000 files", "more than 100000 files", broken_wheel(_crowd)),
    refused(
        "not-zip",
        "no archive",
        "cannot be read as a wheel",
        broken_wheel(lambda p: p.write_text("x")),
    ),
    refused("torn-wheel", "a torn archive", "cannot be read as a wheel", broken_wheel(_tear)),
    refused("liar", "a RECORD that lies", "RECORD", Wheel(record=_LIE)),
    refused("liar-absent", "a RECORD of what is not there", "RECORD", Wheel(record=_ABSENT)),
    _with("path-file", "a path file that runs code", ".pth", "x.pth", "import os; os.abort()"),
    _with(
        "editable-file",
        "a path file that pretends to be editable",
        ".pth",
        "__editable__.x.pth",
        "import os; os.abort()",
    ),
    refused(
        "brings-path-file",
        "a dependency with such a path file",
        ".pth",
        _bringing("with-path-file", Wheel({"__editable__.x.pth": "import os; os.abort()"})),
    ),
    _with("site", "a sitecustomize", "reserved", "sitecustomize.py", "import os; os.abort()"),
    _with("user-site", "a usercustomize", "reserved", "usercustomize/__init__.py"),
    _with("over-host", "a package of the host", "flask already provides it", "flask/x.py"),
    _with("over-python", "a module of Python", "reserved", "json/__init__.py"),
    _with("over-tinybase", "the package of TinyBase", "reserved", "tinybase/evil.py"),
    _with(
        "over-tinybase-by-data",
        "the package of TinyBase, as data",
        "reserved",
        "{package}-1.0.0.data/purelib/tinybase/evil.py",
    ),
    _with(
        "over-another",
        "a file in the package of another extension",
        "resident also provides the package resident",
        "resident/evil.py",
    ),
    _with(
        "over-another-by-data",
        "the same as data",
        "resident also provides the package resident",
        "{package}-1.0.0.data/platlib/resident/evil.py",
    ),
    _with(
        "over-another-by-home",
        "the same where pip has its library",
        "resident also provides the package resident",
        "{package}-1.0.0.data/data/lib/python/resident/evil.py",
    ),
    refused(
        "brings-over-another",
        "a dependency that writes into another extension",
        "also provides the package resident",
        _bringing("writes-elsewhere", Wheel({"resident/evil.py": ""}, entry_points="")),
    ),
    refused(
        "linked-repository",
        "a link to a secret",
        "is a link that leads out",
        _linked_repository("secret", "/etc/passwd"),
    ),
    refused(
        "pipe", "a named pipe", "neither a file nor a folder", folder(lambda r: os.mkfifo(r / "p"))
    ),
    refused("many-files", "20,001 files", "more than 20000 files", folder(_many_files)),
    refused(
        "odd-file-name",
        "a line break in the name of a file",
        "no plain text",
        folder(lambda root: (root / "a\nb.py").touch()),
    ),
    refused(
        "tar-slip", "a member that leads up", "cannot be unpacked", tarball(tar_member("../../x"))
    ),
    refused("tar-rooted", "an absolute member", "cannot be unpacked", tarball(tar_member("/x"))),
    refused(
        "tar-link",
        "a link that leads out",
        "cannot be unpacked",
        tarball(tar_member("tar-link-1/x", tarfile.SYMTYPE, "/etc/passwd")),
    ),
    refused(
        "tar-hard-link",
        "a hard link that leads out",
        "cannot be unpacked",
        tarball(tar_member("tar-hard-link-1/x", tarfile.LNKTYPE, "../../../etc/passwd")),
    ),
    refused(
        "tar-device",
        "a device",
        "cannot be unpacked",
        tarball(tar_member("tar-device-1/x", tarfile.CHRTYPE)),
    ),
    refused("tar-two", "two folders", "cannot be unpacked", tarball(tar_member("other/x"))),
    installed("weights", "data that is called like a path file", Wheel({"{package}/w.pth": "x"})),
    installed(
        "scripts",
        "programs called tinybase and python, which are on nobody's path",
        Wheel(
            {
                "{package}-1.0.0.data/scripts/tinybase": "#!python\n",
                "{package}-1.0.0.data/data/bin/python": "",
            },
            entry_points=_ENTRY + "[console_scripts]\ntinybase = {package}:x\n",
        ),
    ),
)
