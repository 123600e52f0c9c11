"""The installed files: do the generation in force, the lock and the files agree?"""

from __future__ import annotations

import fcntl
import platform
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

from packaging.tags import Tag, sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from tinybase import __version__
from tinybase.cli.doctor.finding import Finding, error, info, warning
from tinybase.config import Config
from tinybase.errors import ConfigError
from tinybase.packages.compatibility import extension_distributions
from tinybase.packages.generations import Generations
from tinybase.packages.integrity import changed_files, installed
from tinybase.packages.lock import FILE_NAME, Lock, LockedWheel
from tinybase.packages.store import WheelStore

_NAMED_FILES = 3
_SYNC = "Run tinybase extensions sync."


def check(config: Config) -> Iterator[Finding]:
    """Look at what is installed for an instance."""
    generations = Generations(config.instance)
    yield from _unfinished(generations)
    link = generations.folder / "current"
    if link.is_symlink() and not link.exists():
        yield error(
            "generation_missing",
            f"The generation in force, {link.readlink()}, does not exist any more.",
            link,
            _SYNC,
        )
        return
    generation = generations.current()
    lock = Lock.read(generation / FILE_NAME) if generation else Lock()
    yield from _copy_of_lock(config.instance / FILE_NAME, lock)
    if generation is None:
        return
    yield from _made_for_others(lock, generation)
    yield from _packages(lock, generation)
    yield from _wheels(lock, WheelStore(generations.folder / "wheels"))
    yield from _installed_twice(generation)


def _unfinished(generations: Generations) -> Iterator[Finding]:
    pending = generations.folder / "pending"
    if not pending.exists():
        return
    if _is_held(generations.folder / "lock"):
        yield info("change_under_way", "The extensions are being changed right now.", pending)
    else:
        yield warning(
            "change_interrupted",
            "A process died while it changed the extensions. What was in force is.",
            pending,
            "Run tinybase extensions list, which brings it to an end.",
        )


def _is_held(lock: Path) -> bool:
    """Say whether a living process holds a lock; the lock is left as it is."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _copy_of_lock(path: Path, lock: Lock) -> Iterator[Finding]:
    try:
        copy = Lock.read(path)
    except ConfigError as fault:
        yield error("lock_damaged", fault.detail, path, "Restore it, for example from git.")
        return
    if copy == lock or not (path.exists() or lock.extensions):
        return
    different = sorted(
        name
        for name in copy.extensions.keys() | lock.extensions.keys()
        if copy.extensions.get(name) != lock.extensions.get(name)
    )
    yield error(
        "lock_differs",
        f"{FILE_NAME} does not say what is installed"
        f"{f' of {_listed(different)}' if different else ''}.",
        path,
        "To install what it says, run tinybase extensions sync; to keep what is installed, copy "
        "extensions/current/extensions.lock over it.",
    )


def _made_for_others(lock: Lock, generation: Path) -> Iterator[Finding]:
    if not lock.extensions:
        return
    supported = frozenset(sys_tags())
    foreign = [name for name, wheel in lock.wheels().items() if not _fits(wheel, supported)]
    if foreign:
        yield error(
            "lock_other_python",
            f"The extensions were installed for Python {lock.python}; this is "
            f"{platform.python_version()}, in which {_listed(sorted(foreign))} cannot work.",
            generation / FILE_NAME,
            "Remove the link extensions/current, then run tinybase extensions sync.",
        )
    if lock.tinybase != __version__:
        yield info(
            "lock_other_tinybase",
            f"The extensions were installed for TinyBase {lock.tinybase}; this is {__version__}.",
            generation / FILE_NAME,
            "Run tinybase extensions check to see whether they fit.",
        )


def _packages(lock: Lock, generation: Path) -> Iterator[Finding]:
    found = installed(generation)
    wheels = lock.wheels()
    for name in sorted(wheels.keys() - found.keys()):
        yield error(
            "package_missing",
            f"{name} {wheels[name].version} is in the lock and not installed.",
            generation,
            _SYNC,
        )
    for name in sorted(found.keys() - wheels.keys()):
        yield warning(
            "package_unlocked",
            f"{name} {found[name].version} is installed and not in the lock.",
            generation,
            "Something other than tinybase extensions put it there; remove it.",
        )
    for name in sorted(found.keys() & wheels.keys()):
        yield from _package(name, found[name], wheels[name])


def _package(name: str, found: Distribution, wheel: LockedWheel) -> Iterator[Finding]:
    where = Path(str(found.locate_file("")))
    if found.version != wheel.version:
        yield error(
            "package_version",
            f"{name} is installed in version {found.version} and locked in {wheel.version}.",
            where,
            f"Run {_uninstall(name, wheel)}, then install it again.",
        )
    if found.files is None:
        yield error("package_damaged", f"The list of {name}'s files is missing.", where, _SYNC)
        return
    changed = changed_files(found)
    if changed:
        yield error(
            "files_changed",
            f"Files of {name} are not as they were installed: {_listed(changed)}.",
            where,
            _SYNC,
        )


def _wheels(lock: Lock, store: WheelStore) -> Iterator[Finding]:
    """Look at the wheels from which the next generation will be made."""
    for name, wheel in sorted(lock.wheels().items()):
        fault = store.fault(wheel)
        if fault is not None:
            yield error(
                "wheel_missing" if fault == "missing" else "wheel_changed",
                f"The wheel of {name}, {wheel.file}, is {fault}, so the extensions cannot be "
                "changed.",
                "extensions/wheels",
                f"{_SYNC} If its source is gone too, run {_uninstall(name, wheel)}.",
            )


def _installed_twice(generation: Path) -> Iterator[Finding]:
    places: dict[str, set[str]] = {}
    for item in extension_distributions(generation):
        name = canonicalize_name(item.metadata["Name"])
        places.setdefault(name, set()).add(str(Path(str(item.locate_file(""))).resolve()))
    for twice, found in sorted(places.items()):
        if len(found) > 1:
            yield error(
                "installed_twice",
                f"{twice} is installed {len(found)} times.",
                " and ".join(sorted(found)),
                f"Keep one: tinybase extensions uninstall {twice}, or pip uninstall {twice}.",
            )


def _uninstall(name: str, wheel: LockedWheel) -> str:
    return f"tinybase extensions uninstall {wheel.required_by[0] if wheel.required_by else name}"


def _fits(wheel: LockedWheel, supported: frozenset[Tag]) -> bool:
    try:
        tags = parse_wheel_filename(wheel.file)[3]
    except InvalidWheelFilename:
        return False
    return not tags.isdisjoint(supported)


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED_FILES
    return ", ".join(names[:_NAMED_FILES]) + (f" and {more} more" if more > 0 else "")
