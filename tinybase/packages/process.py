"""Running git, pip and the probe: with a deadline, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class Overdue(Exception):
    """A child process did not end in time and was killed."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A child process that has ended."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def succeeded(self) -> bool:
        """Say whether it ended with 0."""
        return self.returncode == 0


def run(
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    timeout: float,
) -> Finished:
    """Run a program to its end and return what it printed.

    It gets no input. When it is too slow, or when the caller is interrupted, it is killed
    with everything that it started.

    :raises Overdue: after ``timeout`` seconds.
    """
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environ),
        cwd=cwd,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        _kill(process)
        raise Overdue(f"{arguments[0]} took longer than {timeout:g} s") from error
    except BaseException:
        _kill(process)
        raise
    return Finished(process.returncode, stdout, stderr)


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
