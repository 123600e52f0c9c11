"""The wheels of an instance, kept so that every later set can be built without a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tinybase.errors import ConfigError
from tinybase.packages.lock import LockedWheel
from tinybase.packages.wheels import sha256


class WheelStore:
    """Wheels by their digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, wheel: LockedWheel) -> Path:
        """Return where a wheel is.

        :raises ConfigError: when somebody removed or changed it.
        """
        path = self._folder / wheel.sha256 / wheel.file
        if fault := self.fault(wheel):
            raise ConfigError(f"{path} is {fault}. Run tinybase extensions sync.")
        return path

    def fault(self, wheel: LockedWheel) -> str | None:
        """Say what is wrong with a wheel: it is ``missing`` or ``damaged``."""
        path = self._folder / wheel.sha256 / wheel.file
        if not path.is_file():
            return "missing"
        return None if sha256(path) == wheel.sha256 else "damaged"

    def has(self, wheel: LockedWheel) -> bool:
        """Say whether a wheel is here, as it was when it came."""
        return self.fault(wheel) is None

    def add(self, path: Path, wheel: LockedWheel) -> None:
        """Keep a wheel, in the place of one that was damaged."""
        if self.has(wheel):
            return
        kept = self._folder / wheel.sha256 / wheel.file
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_name(f"{kept.name}.{os.getpid()}.new")
        shutil.copyfile(path, new)
        new.replace(kept)

    def link(self, wheel: LockedWheel, folder: Path) -> Path:
        """Make a wheel available in a folder, under its own name."""
        source, target = self.path(wheel), folder / wheel.file
        try:
            target.hardlink_to(source)
        except OSError:  # another file system
            shutil.copyfile(source, target)
        return target

    def keep_only(self, wheels: Iterable[LockedWheel]) -> None:
        """Remove every wheel but these."""
        wanted = {wheel.sha256 for wheel in wheels}
        if not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            if folder.name not in wanted:
                with suppress(OSError):
                    shutil.rmtree(folder)
