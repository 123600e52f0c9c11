"""Clients that keep a server busy over kept-alive connections, and count what goes wrong."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

Verdict = Callable[[int, bytes], str | None]


@dataclass(frozen=True)
class Ask:
    """One kind of request, and what may be answered: ``verdict`` returns a complaint."""

    name: str
    method: str
    path: str
    verdict: Verdict
    body: Callable[[], Any] | None = None
    token: str | None = None

    def encoded(self) -> bytes:
        """Return the bytes of one request of this kind."""
        body = b"" if self.body is None else json.dumps(self.body()).encode()
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost"]
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        if self.body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body


def expects(status: int) -> Verdict:
    """Return a verdict that complains about every other status."""
    return lambda got, body: None if got == status else f"{got}: {body[:200]!r}"


class Connection:
    """A connection that stays open until the server asks to close it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._rest = b""

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and return status and body; nothing is ever sent again."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        head = self._read_until(b"\r\n\r\n").lower()
        status = int(head.split(b" ", 2)[1])
        _, found, after = head.partition(b"content-length:")
        body = self._read(int(after.split(b"\r\n", 1)[0]) if found else 0)
        if b"connection: close" in head:
            self.close()
        return status, body

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._rest = None, b""

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._rest:
            self._receive()
        found, _, self._rest = self._rest.partition(mark)
        return found

    def _read(self, length: int) -> bytes:
        while len(self._rest) < length:
            self._receive()
        found, self._rest = self._rest[:length], self._rest[length:]
        return found

    def _receive(self) -> None:
        assert self._socket is not None
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server hung up without an answer")
        self._rest += data


class FreshConnection(Connection):
    """A connection that is opened for each request."""

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Connect, send a request, return status and body, and hang up."""
        try:
            return super().ask(request)
        finally:
            self.close()


class Load:
    """So many clients, each with a connection of its own, for as long as the block runs.

    :param pause: seconds between the requests of one client.
    """

    def __init__(
        self,
        port: int,
        asks: Sequence[Ask],
        *,
        clients: int = 4,
        pause: float = 0,
        seed: int = 1,
        connect: type[Connection] = Connection,
    ) -> None:
        self._port = port
        self._connect = connect
        self._asks = asks
        self._pause = pause
        self._seed = seed
        self._stopping = threading.Event()
        self._counts = [0] * clients
        self.answers: Counter[tuple[str, int]] = Counter()
        self.faults: list[str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(40)

    @property
    def done(self) -> int:
        """Return how many requests have been answered."""
        return sum(self._counts)

    def wait_for(self, requests: int, seconds: float = 120) -> None:
        """Wait until so many requests have been answered."""
        deadline = time.monotonic() + seconds
        while self.done < requests:
            assert time.monotonic() < deadline, f"only {self.done} of {requests} in {seconds} s"
            time.sleep(0.005)

    def _run(self, number: int) -> None:
        chosen = random.Random(self._seed * 1000 + number)
        connection = self._connect(self._port)
        while not self._stopping.is_set():
            if self._stopping.wait(self._pause):
                break
            ask = chosen.choice(self._asks)
            try:
                status, body = connection.ask(ask.encoded())
            except (OSError, ValueError, IndexError) as error:
                self.faults.append(f"{ask.name}: {type(error).__name__}: {error}")
                connection.close()
                continue
            self._counts[number] += 1
            self.answers[ask.name, status] += 1
            if complaint := ask.verdict(status, body):
                self.faults.append(f"{ask.name}: {complaint}")
        connection.close()
