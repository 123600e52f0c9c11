"""What the processes of a server use: their CPU time and their memory."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 60.0
_STOP_SECONDS = 40.0


class Server:
    """A server in a process group of its own."""

    def __init__(
        self, command: Sequence[str], *, port: int, health: str, log: Path, env: Mapping[str, str]
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._health = self.url + health
        self._log = log
        began = time.perf_counter()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=env,
                start_new_session=True,
            )
        self._wait_for_answer()
        self.start_seconds = time.perf_counter() - began

    def stop(self) -> None:
        """Stop it gently, and by force if that takes too long."""
        self._signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def pause(self) -> None:
        """Hold all of its processes, so that they take nothing from whom is measured."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let its processes go on."""
        self._signal(signal.SIGCONT)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let a server that is paused run for the length of the block."""
        self.resume()
        try:
            yield
        finally:
            self.pause()

    def cpu_seconds(self) -> float:
        """Return the CPU time that all of its processes have used."""
        return sum(map(_cpu_seconds, self._pids()))

    def memory(self) -> int:
        """Return the memory of all of its processes in bytes; shared pages count once."""
        return sum(map(_proportional_set_size, self._pids()))

    def _pids(self) -> list[int]:
        group = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if os.getpgid(int(entry.name)) == self._process.pid:
                        group.append(int(entry.name))
        return group

    def _signal(self, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signum)

    def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(self._health, timeout=5):  # noqa: S310 - our own
                    return
            except (urllib.error.URLError, ConnectionError) as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._signal(signal.SIGKILL)
                    raise RuntimeError(
                        f"The server does not start: {error}. See {self._log}."
                    ) from error
                time.sleep(0.005)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cpu_seconds(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # The name of the program, in parentheses, may have spaces.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _proportional_set_size(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
