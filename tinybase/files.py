"""Files that are whole or not there: made aside, and named when they are complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_file(target: Path) -> Iterator[Path]:
    """Yield an empty file beside ``target``; it is gone after the block, unless renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f".{target.name}.{os.getpid()}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield path
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def write_durably(path: Path, text: str) -> None:
    """Replace a file by one with this text, atomically, also when the power fails."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.write_text(text, encoding="utf-8")
        complete(new, path)
    finally:
        new.unlink(missing_ok=True)


def complete(path: Path, target: Path) -> None:
    """Give a file its name once its content is on the disk."""
    sync(path)
    path.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Have the content of a file, or the names in a folder, outlive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
