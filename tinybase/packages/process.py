"""Running git, pip and the probe: with a deadline, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_CHUNK_BYTES = 2**16
_KEPT_BYTES = 2**24
"""More than git says of the largest repository."""
_KEPT_BYTES_OF_OTHERS = 2**16
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
    """Run a program to its end and return what it printed: of very much, only the end.

    It gets no input. When it is too slow, or when the caller is interrupted, it is killed;
    so is whatever it started and left behind.

    :raises Overdue: after ``timeout`` seconds.
    """
    return _run(arguments, environ, cwd, timeout, stdout=subprocess.PIPE, kept=_KEPT_BYTES)


def run_untrusted(
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    timeout: float,
) -> Finished:
    """Run a program as :func:`run` does, but drop what it prints, save the end of its stderr."""
    return _run(
        arguments, environ, cwd, timeout, stdout=subprocess.DEVNULL, kept=_KEPT_BYTES_OF_OTHERS
    )


def _run(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    cwd: Path,
    timeout: float,
    *,
    stdout: int,
    kept: int,
) -> Finished:
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=dict(environ),
        cwd=cwd,
        start_new_session=True,
    )
    printed, complained = _Tail(process.stdout, kept), _Tail(process.stderr, kept)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise Overdue(f"{arguments[0]} took longer than {timeout:g} s") from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        printed.finish()
        complained.finish()
    return Finished(process.returncode, printed.text(), complained.text())


class _Tail:
    """Reads a pipe as fast as it is written, and keeps only the last of it.

    :param pipe: no pipe at all has nothing to read.
    """

    def __init__(self, pipe: IO[bytes] | None, kept: int) -> None:
        self._pipe = pipe
        self._kept = kept
        self._chunks: deque[bytes] = deque()
        self._thread = threading.Thread(target=self._read, name="tinybase-tail", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        size = 0
        while self._pipe is not None and (chunk := os.read(self._pipe.fileno(), _CHUNK_BYTES)):
            self._chunks.append(chunk)
            size += len(chunk)
            while size - len(self._chunks[0]) >= self._kept:
                size -= len(self._chunks.popleft())

    def finish(self) -> None:
        """Wait for the end, unless somebody who got away still holds the pipe."""
        self._thread.join(_GRACE_SECONDS)
        if self._pipe is not None and not self._thread.is_alive():
            self._pipe.close()

    def text(self) -> str:
        """Return what was kept."""
        return b"".join(list(self._chunks))[-self._kept :].decode(errors="replace")
