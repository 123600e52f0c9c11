"""The browser in which pages are tested: installed where that needs no question."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

_PROGRAMS = ("chromium", "chromedriver")
# Without the recommended packages there would be no letters to show.
_PACKAGES = ("chromium", "chromium-driver", "fonts-dejavu-core")


def prepare() -> None:
    """Install Chromium as root on Debian; elsewhere say what is missing, if it is."""
    if all(map(shutil.which, _PROGRAMS)):
        return
    if os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get"):
        print("Installing Chromium, in which pages are tested ...", flush=True)
        if _install() or (_apt_get("update") and _install()):
            return
    print(
        "Chromium is missing, so the tests of pages are skipped (and fail with CI=true). "
        f"Install {' and '.join(_PROGRAMS)} to run them.",
        flush=True,
    )


def _install() -> bool:
    return _apt_get("install", "--yes", "--no-install-recommends", *_PACKAGES)


def _apt_get(*arguments: str) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "--quiet", "--quiet", *arguments]
    return not subprocess.run(
        command, env=environment, stdout=subprocess.DEVNULL, check=False
    ).returncode
