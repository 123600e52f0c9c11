"""Running what nobody vouches for."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tinybase.packages import process
from tinybase.packages.process import Finished, Overdue, run_untrusted


def run(
    source: str, folder: Path, timeout: float = 20, how: Callable[..., Finished] = run_untrusted
) -> Finished:
    arguments = [sys.executable, "-c", source]
    return how(arguments, environ=os.environ, cwd=folder, timeout=timeout)


def ends(pid: str) -> bool:
    """Say whether a process is soon over; one that nobody has waited for yet is."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if "State:\tZ" in Path("/proc", pid, "status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("how", [process.run, run_untrusted])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_who_prints_without_end_fills_no_memory(
    stream: str, how: Callable[..., Finished], tmp_path: Path
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(Overdue):
        run(f"import sys\nwhile True: sys.{stream}.write('x' * 65536)", tmp_path, 1, how)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 50_000


def test_the_end_of_what_it_said_is_kept(tmp_path: Path) -> None:
    source = "import sys; print('x' * 10**6 + '\\nlast words', file=sys.stderr); sys.exit(3)"

    finished = run(source, tmp_path)

    assert (finished.returncode, finished.stdout) == (3, "")
    assert finished.stderr.splitlines()[-1] == "last words"
    assert len(finished.stderr) <= 2**16


def test_all_is_kept_but_of_very_much_only_the_end(tmp_path: Path) -> None:
    source = "print('first words' + 'x' * {} + 'last words')"

    some = run(source.format(10**6), tmp_path, how=process.run)
    much = run(source.format(2**24), tmp_path, how=process.run)

    assert some.stdout == f"first words{'x' * 10**6}last words\n"
    assert much.stdout.endswith("xlast words\n")
    assert len(much.stdout) == 2**24


@pytest.mark.parametrize("how", [process.run, run_untrusted])
def test_what_it_left_behind_is_ended(tmp_path: Path, how: Callable[..., Finished]) -> None:
    source = (
        "import subprocess, sys, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        "pathlib.Path('pid').write_text(str(child.pid))"
    )
    started = time.monotonic()

    run(source, tmp_path, 60, how)

    assert time.monotonic() - started < 30
    assert ends((tmp_path / "pid").read_text())
