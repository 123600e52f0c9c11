"""Old sets are removed, but never one that a living process still imports from."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tinybase.host.discovery import SearchPath
from tinybase.packages.generations import KEEP, Generations

# What a worker does, without the server around it: it imports a part of an extension late.
WORKER = """
import importlib, sys
from tinybase import config
from tinybase.app import create_app

host = create_app(config.load(sys.argv[1])).extensions["tinybase"].host
host.start()
for line in sys.stdin:
    host.refresh()
    try:
        print(importlib.import_module(line.strip()).__file__, flush=True)
    except ImportError as error:
        print(error, flush=True)
"""


def add(generations: Generations, *packages: str) -> Path:
    """Put a set in force with an extension for each name, whose ``later`` nobody imports."""
    with generations.building({}) as folder:
        for name in packages:
            (folder / name).mkdir()
            (folder / name / "__init__.py").touch()
            (folder / name / "later.py").touch()
            info = folder / f"{name}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[tinybase.extensions]\nmain = {name}\n")
            (info / "RECORD").write_text(f"{name}/__init__.py,,\n")
        generations.switch(folder)
    generations.finish()
    return folder


@contextmanager
def worker(instance: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a worker; it answers a name with where it imported that from."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(instance)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str], module: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{module}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def numbers(generations: Generations) -> list[int]:
    return [int(path.name) for path in generations.kept()]


def test_a_set_stays_as_long_as_a_worker_has_modules_from_it(instance: Path) -> None:
    generations = Generations(instance)
    first = add(generations, "long_lived")
    with worker(instance) as process:
        assert ask(process, "long_lived") == str(first / "long_lived" / "__init__.py")
        for _ in range(KEEP + 1):
            add(generations, "long_lived", "short_lived")
            ask(process, "long_lived")

        # What it has not imported yet is where the rest of the extension came from.
        assert ask(process, "long_lived.later") == str(first / "long_lived" / "later.py")
        assert numbers(generations) == [1, 2, 3, 4, 5]

        process.send_signal(signal.SIGKILL)
        process.wait()

    add(generations, "long_lived")
    assert numbers(generations) == [4, 5, 6]


def test_a_set_that_a_worker_has_left_is_removed(instance: Path) -> None:
    generations = Generations(instance)
    add(generations)
    with worker(instance) as process:
        ask(process, "absent")
        for _ in range(KEEP + 2):
            add(generations)
            ask(process, "absent")
        assert numbers(generations) == [4, 5, 6]


def test_a_worker_that_comes_late_takes_what_is_in_force(
    instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generations = Generations(instance)
    old = add(generations)
    for _ in range(KEEP):
        add(generations)
    assert not old.exists()
    looks = iter([old])
    current = generations.current()
    monkeypatch.setattr(
        "tinybase.host.discovery.current_generation", lambda instance: next(looks, current)
    )
    path = SearchPath()
    monkeypatch.setattr(sys, "path", list(sys.path))

    path.follow_current(instance)

    assert path.generation == current
    path.close()


def test_what_was_half_removed_is_no_set_and_goes(instance: Path) -> None:
    generations = Generations(instance)
    add(generations)
    half = generations.folder / "generations" / "removed-007"
    half.mkdir()
    assert numbers(generations) == [1]

    add(generations)

    assert not half.exists()
