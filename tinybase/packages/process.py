"""Running git, pip and the probe: with a deadline, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_KEPT_BYTES = 2**16
_GRACE_SECONDS = 1.0


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


def run_untrusted(
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    timeout: float,
) -> Finished:
    """Run a program that may print whatever and as much as it likes.

    What it prints is dropped, but for the end of its stderr. When it ends, whatever it
    started and left behind is killed.

    :raises Overdue: after ``timeout`` seconds.
    """
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dict(environ),
        cwd=cwd,
        start_new_session=True,
    )
    assert process.stderr is not None  # noqa: S101 - it is a pipe
    said = _Tail(process.stderr)
    said.start()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise Overdue(f"{arguments[0]} took longer than {timeout:g} s") from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        said.finish()
    return Finished(process.returncode, "", said.text())


class _Tail(threading.Thread):
    """Reads a pipe to its end and keeps only the last of it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(name="tinybase-tail", daemon=True)
        self._pipe = pipe
        self._kept = b""

    def run(self) -> None:
        """Read as fast as it is written, so that the writer never waits."""
        while chunk := os.read(self._pipe.fileno(), _KEPT_BYTES):
            self._kept = (self._kept + chunk)[-_KEPT_BYTES:]

    def finish(self) -> None:
        """Wait for the end, unless somebody who got away still holds the pipe."""
        self.join(_GRACE_SECONDS)
        if not self.is_alive():
            self._pipe.close()

    def text(self) -> str:
        """Return what was kept."""
        return self._kept.decode(errors="replace")


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
