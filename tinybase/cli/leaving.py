"""How a worker goes without a client noticing, while its successor already serves.

Both listen on one socket, so no connection is lost that the kernel has queued. The one who
goes takes no more of them, and answers every request that comes in over a connection it
has with ``Connection: close``. When its last client has moved, it stops.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

from flask import Flask

_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 0.05

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Departure:
    """The way out of one worker.

    :param listener: the socket on which it takes connections.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def see_clients_off(self, app: Flask) -> None:
        """Take no more connections and wait until there are none, for some seconds at most.

        What is left then are connections over which nobody has asked for anything all the
        while, and requests that still run; whoever stops the worker waits for those.
        """
        port = self._listener.getsockname()[1]
        self._stop_accepting()
        app.wsgi_app = _parting(app.wsgi_app)  # type: ignore[method-assign,assignment]
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while any(_is_client(fd, port) for fd in _descriptors()) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)

    def _stop_accepting(self) -> None:
        """Put a socket that nobody knows in the place of the one that is listened on.

        granian stops listening only when it stops altogether, and then hangs up on whoever
        has connected but not asked yet. The real socket lives on in the successor.
        """
        listened_on = _identity(self._listener.fileno())
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as decoy:
            decoy.bind(f"\0tinybase-{uuid4().hex}")
            decoy.setblocking(False)
            decoy.listen(1)
            for descriptor in _descriptors():
                if _identity(descriptor) == listened_on:
                    os.dup2(decoy.fileno(), descriptor, inheritable=False)


def _parting(application: WSGIApplication) -> WSGIApplication:
    """Return an application that sends its clients to other workers."""

    def part(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, ("Connection", "close")], *more)

        return application(environ, start)

    return part


def _descriptors() -> list[int]:
    return [int(path.name) for path in Path("/proc/self/fd").iterdir()]


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Return what is the same for all descriptors of one socket."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_client(descriptor: int, port: int) -> bool:
    """Say whether a descriptor is a connection that somebody has made to a port of ours."""
    try:
        probe = socket.socket(fileno=descriptor)
    except OSError:
        return False
    try:
        return bool(probe.getsockname()[1:2] == (port,) and probe.getpeername())
    except OSError:
        return False
    finally:
        probe.detach()
