"""The sockets on which workers take connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from serving import free_port

from tinybase.cli.listeners import Listeners


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    listeners = Listeners("127.0.0.1", free_port())
    yield listeners
    listeners.close()


def connect(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=5)


def test_a_place_keeps_its_socket_until_its_worker_dies(listeners: Listeners) -> None:
    first = listeners.of(0)
    assert listeners.of(0) is first
    assert listeners.all_but(1) == [first]

    listeners.drop(0)

    assert first.fileno() == -1
    assert listeners.of(0) is not first


def test_nobody_is_queued_for_a_worker_that_is_only_starting(listeners: Listeners) -> None:
    ready, starting = listeners.of(0), listeners.of(1)
    ready.listen(100)
    for _ in range(20):
        with connect(ready):
            ready.accept()[0].close()
    with pytest.raises(OSError, match="Invalid argument"):
        starting.accept()


def test_what_is_queued_waits_for_the_successor(listeners: Listeners) -> None:
    listener = listeners.of(0)
    listener.listen(100)
    successor = listener.dup()
    with connect(listener) as client:
        listener.close()
        with successor, successor.accept()[0] as served:
            assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            served.sendall(b"hello")
        assert client.recv(5) == b"hello"
