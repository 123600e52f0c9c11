"""The sockets on which the workers take connections: one for each place of a worker."""

from __future__ import annotations

import socket


class Listeners:
    """Opens them in the supervising process, so that they outlive a worker.

    All are bound to one address, and the kernel deals new connections out to those that
    listen. A worker and its successor have the same one: what is queued when the first
    goes is taken by the second. A socket is bound here and listens once a worker is ready,
    so nobody waits in the queue of one that is only starting.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._open: dict[int, socket.socket] = {}

    def of(self, place: int) -> socket.socket:
        """Return the socket of a place, new if there is none."""
        if place not in self._open:
            self._open[place] = self._bind()
        return self._open[place]

    def all_but(self, place: int) -> list[socket.socket]:
        """Return the sockets of the other places."""
        return [item for number, item in self._open.items() if number != place]

    def drop(self, place: int) -> None:
        """Let go of the socket of a worker that died; the others get the new connections."""
        if place in self._open:
            self._open.pop(place).close()

    def close(self) -> None:
        """Let go of all; those that workers still have go on listening."""
        for place in list(self._open):
            self.drop(place)

    def _bind(self) -> socket.socket:
        family, kind, proto, _, address = socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Connections inherit it: an answer in two pieces must not wait for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setblocking(False)
        listener.bind(address)
        return listener
