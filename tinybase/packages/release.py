"""``tinybase extensions build``: the wheel that an operator gets, for its author to look at."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinybase.packages import build, candidates
from tinybase.packages.addresses import FolderSource
from tinybase.packages.candidates import Candidate, Known
from tinybase.packages.checks import check_wheel
from tinybase.packages.environment import HostPackages
from tinybase.packages.pip import Pip
from tinybase.packages.wheels import read_wheel, sha256


@dataclass(frozen=True, slots=True)
class Release:
    """A wheel that was built.

    ``contents`` are the names of its files.
    """

    name: str
    version: str
    layout: str
    file: str
    sha256: str
    size: int
    contents: tuple[str, ...]


def build_release(root: Path, out: Path, progress: Callable[[str], None]) -> Release:
    """Build the wheel of the extension in a folder; a wheel of the same name is replaced.

    A flat repository is built here and runs no code of its own. Any other is built by pip.

    :raises Invalid: ``manifest_invalid``, with everything that is wrong.
    :raises Conflict: ``extension_load_failed``, for a wheel that nobody could install.
    """
    layout = candidates.layout_of(root)
    with tempfile.TemporaryDirectory(prefix="tinybase-build-") as name:
        workshop = Path(name)
        if layout == candidates.FLAT:
            made = workshop / build.build_wheel(workshop, root=root)
        else:
            progress(f"Building {root} with pip ...")
            made = _by_pip(root, workshop)
        facts = read_wheel(made)
        host = HostPackages(root)
        if facts.name not in host:  # where it is installed, its names are taken by itself
            check_wheel(facts.name, facts, host, {})
        out.mkdir(parents=True, exist_ok=True)
        _put(made, out / made.name)
    wheel = out / made.name
    return Release(
        name=facts.name,
        version=facts.version,
        layout=layout,
        file=str(wheel),
        sha256=sha256(wheel),
        size=wheel.stat().st_size,
        contents=facts.members,
    )


def _by_pip(root: Path, workshop: Path) -> Path:
    folder = workshop / "pip"
    folder.mkdir()
    source = Candidate(FolderSource(root), candidates.PYPROJECT, Known(), root=root)
    built = candidates.build(source, Pip(folder), workshop).wheel
    assert built is not None  # noqa: S101 - a build returns a wheel or raises
    return built


def _put(wheel: Path, target: Path) -> None:
    """Put a whole file in place of what may be there, or nothing."""
    unfinished = target.with_suffix(".unfinished")
    shutil.copyfile(wheel, unfinished)
    unfinished.replace(target)
