"""The build backend of extensions in the flat layout (PEP 517 and PEP 660).

A flat repository holds ``extension.toml``, ``__init__.py`` and the other modules at its
top. ``tinybase extensions install`` calls the backend in its own process: no code of the
extension runs, no network is used, and the same files give the same bytes every time.

For plain pip an author adds three lines, in ``pyproject.toml``::

    [build-system]
    requires = ["tinybase"]
    build-backend = "tinybase.packages.build"
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.licenses import canonicalize_license_expression

from tinybase._version import __version__
from tinybase.packages import layout, manifest
from tinybase.packages.manifest import Manifest
from tinybase.packages.wheels import ENTRY_POINT_GROUP, Member, write_wheel

BACKEND = "tinybase.packages.build"

_TAG = "py3-none-any"

_FINDER = '''"""Lets Python import {package} from where it is being written."""

import sys
from importlib.util import spec_from_file_location


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {package!r}:
            return spec_from_file_location(
                name, {init!r}, submodule_search_locations=[{root!r}]
            )
        return None


sys.meta_path.append(Finder)
'''

_PYPROJECT = f"""[build-system]
requires = ["tinybase"]
build-backend = "{BACKEND}"
"""

Settings = Mapping[str, Any] | None


def build_wheel(
    wheel_directory: str | Path,
    config_settings: Settings = None,  # noqa: ARG001
    metadata_directory: str | None = None,  # noqa: ARG001
    *,
    root: str | Path = ".",
    direct_url: Mapping[str, Any] | None = None,
) -> str:
    """Build the wheel of the repository in ``root`` and return its file name.

    :param direct_url: where the source comes from (PEP 610), for ``pip freeze``.
    :raises Invalid: ``manifest_invalid``, with everything that is wrong.
    """
    root = Path(root)
    found = manifest.read(root)
    members = [
        (f"{found.package}/{name}", path.read_bytes()) for name, path in layout.package_files(root)
    ]
    return _write(Path(wheel_directory), root, found, members, direct_url)


def build_editable(
    wheel_directory: str | Path,
    config_settings: Settings = None,  # noqa: ARG001
    metadata_directory: str | None = None,  # noqa: ARG001
    *,
    root: str | Path = ".",
    direct_url: Mapping[str, Any] | None = None,
) -> str:
    """Build a wheel that leads Python to ``root`` itself, and return its file name."""
    root = Path(root).resolve()
    found = manifest.read(root)
    layout.package_files(root)
    finder = f"__editable___{found.package}_finder"
    source = _FINDER.format(package=found.package, init=str(root / "__init__.py"), root=str(root))
    members = [
        (f"{finder}.py", source.encode()),
        (f"__editable__.{found.package}.pth", f"import {finder}\n".encode()),
        # In other wheels it is in the package.
        (f"{_info_folder(found)}/{manifest.FILE_NAME}", (root / manifest.FILE_NAME).read_bytes()),
    ]
    return _write(Path(wheel_directory), root, found, members, direct_url)


def build_sdist(
    sdist_directory: str | Path,
    config_settings: Settings = None,  # noqa: ARG001
    *,
    root: str | Path = ".",
) -> str:
    """Build the source archive and return its file name."""
    root = Path(root)
    found = manifest.read(root)
    stem = f"{found.package}-{found.version}"
    files = {name: path.read_bytes() for name, path in layout.package_files(root)}
    files |= {name: path.read_bytes() for name, path in layout.license_files(root)}
    files |= {path.name: path.read_bytes() for path in _readmes(root)}
    files["pyproject.toml"] = _pyproject(root)
    files["PKG-INFO"] = _metadata(root, found)
    path = Path(sdist_directory) / f"{stem}.tar.gz"
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            info = tarfile.TarInfo(f"{stem}/{name}")
            info.size = len(files[name])
            archive.addfile(info, io.BytesIO(files[name]))
    return path.name


def prepare_metadata_for_build_wheel(
    metadata_directory: str | Path,
    config_settings: Settings = None,  # noqa: ARG001
    *,
    root: str | Path = ".",
) -> str:
    """Write the dist-info folder alone and return its name."""
    root = Path(root)
    found = manifest.read(root)
    for name, content in _dist_info(root, found):
        path = Path(metadata_directory) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return _info_folder(found)


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:  # noqa: ARG001
    """Return nothing: a build needs only TinyBase."""
    return []


get_requires_for_build_editable = get_requires_for_build_wheel
get_requires_for_build_sdist = get_requires_for_build_wheel


def _write(
    folder: Path,
    root: Path,
    found: Manifest,
    members: Sequence[Member],
    direct_url: Mapping[str, Any] | None,
) -> str:
    everything = [*members, *_dist_info(root, found)]
    if direct_url:
        content = json.dumps(direct_url, sort_keys=True).encode()
        everything.append((f"{_info_folder(found)}/direct_url.json", content))
    return write_wheel(folder, f"{found.package}-{found.version}-{_TAG}", everything).name


def _info_folder(found: Manifest) -> str:
    return f"{found.package}-{found.version}.dist-info"


def _dist_info(root: Path, found: Manifest) -> Iterator[Member]:
    folder = _info_folder(found)
    yield f"{folder}/METADATA", _metadata(root, found)
    wheel = f"Wheel-Version: 1.0\nGenerator: tinybase {__version__}\nRoot-Is-Purelib: true\n"
    yield f"{folder}/WHEEL", f"{wheel}Tag: {_TAG}\n".encode()
    entry_point = f"[{ENTRY_POINT_GROUP}]\n{found.name} = {found.package}\n"
    yield f"{folder}/entry_points.txt", entry_point.encode()
    for name, path in layout.license_files(root):
        yield f"{folder}/licenses/{name}", path.read_bytes()


def _metadata(root: Path, found: Manifest) -> bytes:
    lines = [f"{key}: {_one_line(value)}" for key, value in _headers(root, found) if value]
    return "\n".join([*lines, "", _readme(root)]).encode()


def _one_line(value: object) -> str:
    """Join the lines of a value: a line break would begin another header."""
    return " ".join(str(value).split())


def _headers(root: Path, found: Manifest) -> Iterator[tuple[str, object]]:
    yield "Metadata-Version", "2.4"
    yield "Name", found.name
    yield "Version", found.version
    yield "Summary", found.description
    yield "Keywords", ",".join(found.keywords)
    yield "Author", found.author
    if found.is_license_expression:
        yield "License-Expression", canonicalize_license_expression(found.license)
    else:
        yield "License", found.license
    for name, _ in layout.license_files(root):
        yield "License-File", name
    for label, url in found.urls.items():
        yield "Project-URL", f"{label}, {url}"
    yield "Requires-Python", found.python
    if found.tinybase:
        yield "Requires-Dist", f"tinybase{found.tinybase}"
    for requirement in found.dependencies:
        yield "Requires-Dist", requirement
    if _readme(root):
        yield "Description-Content-Type", "text/markdown"


def _readmes(root: Path) -> list[Path]:
    path = root / "README.md"
    return [path] if path.is_file() and not path.is_symlink() else []


def _readme(root: Path) -> str:
    return "".join(path.read_text("utf-8", errors="replace") for path in _readmes(root))


def _pyproject(root: Path) -> bytes:
    path = root / "pyproject.toml"
    return path.read_bytes() if path.is_file() else _PYPROJECT.encode()
