"""A virtual environment of the repository: made when it is missing, renewed when needed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)


def require_python() -> None:
    """End with one line when this Python is too old."""
    if sys.version_info < OLDEST:
        needed = ".".join(map(str, OLDEST))
        sys.exit(f"TinyBase needs Python {needed} or newer; this is {sys.version.split()[0]}.")


def make(folder: Path) -> Path:
    """Make the environment if it is missing; return the folder of its commands."""
    if not (folder / "pyvenv.cfg").exists():
        print(f"Making {folder.name} ...", flush=True)
        try:
            venv.create(folder, with_pip=True, clear=True)
        except subprocess.CalledProcessError:
            sys.exit("Python cannot make virtual environments: install its venv package.")
    return folder / "bin"


def install(commands: Path, *requirements: str) -> None:
    """Install with pip, quietly; a failure ends with what pip says."""
    arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([commands / "python", *arguments, *requirements], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit("The installation failed; the reason is above.")


def install_once(commands: Path, *requirements: str) -> None:
    """Install unless the same was installed from the same setup.cfg before."""
    asked = " ".join(requirements).encode() + (ROOT / "setup.cfg").read_bytes()
    digest, note = hashlib.sha256(asked).hexdigest(), commands.parent / "installed.txt"
    if not note.exists() or note.read_text() != digest:
        print("Installing TinyBase and what it needs ...", flush=True)
        install(commands, *requirements)
        note.write_text(digest)
