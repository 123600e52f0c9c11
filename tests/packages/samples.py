"""Projects that are installed, and what of a machine must not change meanwhile."""

from __future__ import annotations

import hashlib
import sysconfig
from pathlib import Path

from tinybase.packages.generations import Generations

WITH_FUNCTION = """
from tinybase.extensions import on_record_create
from tinybase.functions import register

@on_record_create(collection="events")
def note(event):
    pass

@register(name="{name}", auth="admin")
def run(ctx):
    return {{}}
"""

NEWER_HOST = '[extension.tinybase]\nmin_version = "99"\n'

# A build system that needs nothing: pip runs it in isolation without an index.
BACKEND = """
import os, sys, zipfile

def _write(folder, members):
    name = "own_build-2.0-py3-none-any.whl"
    info = "own_build-2.0.dist-info"
    members |= {{
        f"{{info}}/METADATA": "Metadata-Version: 2.1\\nName: own-build\\nVersion: 2.0\\n",
        f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{{info}}/entry_points.txt": {entry_points!r},
        f"{{info}}/RECORD": "",
    }}
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return name

def build_wheel(folder, settings=None, metadata=None):
    open({ran!r}, "a").write("built")
    return _write(folder, {{
        "own_build/__init__.py": open("own_build/__init__.py").read(),
        "own_build/environ.txt": "\\n".join(os.environ),
    }})

def build_editable(folder, settings=None, metadata=None):
    return _write(folder, {{"_own_build.pth": os.getcwd() + "\\n"}})
"""


def own_build(ran: Path, *, entry_points: str | None = None) -> dict[str, str]:
    """Return the files of a project that brings its own build system."""
    declared = "[tinybase.extensions]\nown-build = own_build\n"
    text = declared if entry_points is None else entry_points
    return {
        "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\n"
        "backend-path = ['.']\n[project]\nname = 'own-build'\nversion = '2.0'\n"
        "authors = [{name = 'Ann'}]\ndynamic = ['entry-points']\n",
        "backend.py": BACKEND.format(ran=str(ran), entry_points=text),
        "own_build/__init__.py": "",
    }


def host_state() -> str:
    """Return a digest of every file that is installed in the environment of the tests."""
    digest = hashlib.sha256()
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix != ".pyc" and path.is_file():
                digest.update(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return digest.hexdigest()


def visible(instance: Path) -> dict[str, str]:
    """Return everything of an instance that a failed change must leave as it was."""
    current = Generations(instance).current()
    found = {"current": str(current)}
    for path in sorted(instance.rglob("*")):
        name = str(path.relative_to(instance))
        if path.is_file() and not name.startswith("tinybase.db") and name != "extensions/lock":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
