"""The real command, and a real server, for tests that come in where users do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

COMMAND = [sys.executable, "-P", "-m", "tinybase"]
"""Without the folder of the tests in front: what was installed is tested, as users have it."""


def tinybase(
    *arguments: str | Path,
    instance: Path | None = None,
    input: str | None = None,  # noqa: A002 - subprocess's name
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end; its output is no terminal."""
    prefix = [] if instance is None else ["-C", str(instance)]
    return subprocess.run(
        [*COMMAND, *prefix, *map(str, arguments)],
        input=input if input is not None else "",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env=clean_environment(env),
    )


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without settings that would change what a test sees."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TINYBASE_")}
    return {**inherited, **(more or {})}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Answer:
    """What a server answered."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body)


class Server:
    """``tinybase serve`` in a process group of its own; stopped at the end of the block.

    :param arguments: further arguments of the command.
    :param command: another command that serves.
    :param python: another way to start the command line.
    """

    def __init__(
        self,
        instance: Path,
        *arguments: str,
        command: str = "serve",
        python: Sequence[str] = COMMAND,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._lines: list[str] = []
        self._arguments = ["-C", str(instance), command, "--port", str(self.port), *arguments]
        self._python = python
        self._env = env
        self.process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [*self._python, *self._arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean_environment(self._env),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_for(lambda: " serves " in self.output)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        finally:
            self._kill_group()
            self._reader.join(10)
            assert self.process.stdout is not None
            self.process.stdout.close()

    @property
    def output(self) -> str:
        """Return everything that was printed and logged up to now."""
        return "".join(self._lines)

    @property
    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        listing = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in listing.read_text().split()]

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        timeout: float = 30,
    ) -> Answer:
        """Ask the server something and return its answer, whatever its status."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Connection", "close")
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def login(self, email: str, password: str) -> str:
        """Sign in and return the access token."""
        answer = self.request("POST", "/api/auth/login", {"email": email, "password": password})
        token: str = answer.json["access_token"]
        return token

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Ask the server to stop, wait for it and return its exit code."""
        self.process.send_signal(signum)
        code = self.process.wait(40)
        self.join()
        return code

    def join(self) -> None:
        """Wait until everything that was printed has been read."""
        self._reader.join(10)

    def wait_for(self, condition: Any, seconds: float = 30) -> None:
        """Wait until something is the case."""
        deadline = time.monotonic() + seconds
        while not condition():
            running = self.process.poll() is None
            assert running, f"the server ended:\n{self.output}"
            assert time.monotonic() < deadline, f"waited too long:\n{self.output}"
            time.sleep(0.02)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
