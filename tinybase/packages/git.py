"""Asking git about the author's own repository."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tinybase.packages import environment
from tinybase.packages.process import Overdue, run

_SECONDS = 30.0


def ask_git(folder: Path, *arguments: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return what git prints in a folder; ``None`` where it has no answer, or is not there."""
    if shutil.which("git", path=environ.get("PATH")) is None:
        return None
    try:
        finished = run(
            ["git", "-c", "core.fsmonitor=false", *arguments],
            environ=environment.for_git(environ),
            cwd=folder,
            timeout=_SECONDS,
        )
    except Overdue:
        return None
    return finished.stdout if finished.succeeded else None
