"""Servers that start in a few milliseconds, to be killed, watched and failed by the thousand.

A process that has everything imported forks them. What runs in each is the real application,
started as every worker starts it (:mod:`tinybase.wsgi`), on a database file of its own or one
that it shares; only granian is not there. A bug can be planted in one before it starts.

All functions here are for the process of :class:`Nursery`, which has no threads.
"""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import shutil
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, NoReturn

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from tinybase import config, wsgi
from tinybase.app import create_app

from .seccomp import Call, Unsupported, Watcher, be_watched

_DIE_WITH_PARENT = 1
_READY = "ready"

Plant = Callable[[Flask], None]
"""Puts a bug into an application, in the process that will run it."""


@dataclass(frozen=True)
class Nest:
    """An instance to serve: its folder, its settings, and what is wrong with it."""

    folder: Path
    settings: tuple[tuple[str, str], ...] = ()
    plant: Plant | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that hold in the servers."""
        return {
            "TINYBASE_RATE_LIMIT_ENABLED": "false",
            **dict(self.settings),
            "TINYBASE_INSTANCE": str(self.folder),
        }

    @property
    def output(self) -> Path:
        """Return the file of everything that the servers print and log."""
        return self.folder / "output"


@dataclass(frozen=True)
class Asked:
    """A request to make inside of a server; ``mark`` is a text that is in what it stores."""

    method: str
    path: str
    body: Any = None
    token: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Replied:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Event:
    """A call that was seen after the start, or an acknowledgement, which has no path.

    ``text`` is what an acknowledgement said, or what was written.
    """

    name: str
    path: str = ""
    text: bytes = b""


@dataclass
class Watched:
    """What a watched server did: its answers, and its calls when they were asked for."""

    replies: list[Replied] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    struck: Event | None = None


Strike = Callable[[int, Watcher, Call, int, int], bool]
"""Is told the process, the call, its number and how many answers came before it; true when it
decided what becomes of the call."""


class Nursery:
    """The process that forks servers."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def do(self, what: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a function of this module in it."""
        return self._pool.submit(what, *arguments, **options).result()

    @contextmanager
    def serving(self, nest: Nest, processes: int) -> Iterator[Flock]:
        """Serve with so many processes that share a port."""
        flock = Flock(self, nest)
        try:
            flock.start(processes)
            yield flock
        finally:
            flock.kill(flock.pids)
            self.do(os.close, flock.listener)


@contextmanager
def opened_nursery() -> Iterator[Nursery]:
    """Start the process; what it has forked ends with it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield Nursery(pool)


class Flock:
    """Servers that share a port, which stays open when they are killed."""

    def __init__(self, nursery: Nursery, nest: Nest) -> None:
        self._nursery = nursery
        self._nest = nest
        self.listener, self.port = nursery.do(listen)
        self.pids: list[int] = []

    def start(self, count: int) -> None:
        """Start so many more."""
        for _ in range(count):
            self.pids.append(self._nursery.do(serve, self._nest, self.listener))

    def kill(self, pids: Sequence[int]) -> None:
        """Kill some of them, all at once."""
        self._nursery.do(kill, list(pids))
        self.pids = [pid for pid in self.pids if pid not in pids]


def put(template: Path, folder: Path) -> None:
    """Put a copy of an instance in the place where servers run."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)


def listen() -> tuple[int, int]:
    """Open a port; return its socket and its number."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    port: int = listener.getsockname()[1]
    return listener.detach(), port


def serve(nest: Nest, listener: int) -> int:
    """Fork a server on a port; return its process id."""
    return _forked(nest, partial(_answer_on, listener))


def kill(pids: Sequence[int]) -> None:
    """Kill servers as the kernel does that is out of memory: all first, then wait."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)


def ask(nest: Nest, *asked: Asked) -> list[Replied]:
    """Start a server, let it answer some requests one after another, and end it."""
    here, there = os.pipe()
    pid = _forked(nest, partial(_reply, there, asked, 1))
    os.close(there)
    with os.fdopen(here, "rb") as pipe:
        replies = _replies(pipe.read())
    os.waitpid(pid, 0)
    return replies


def watch(
    nest: Nest,
    *asked: Asked,
    threads: int = 1,
    strike: Strike | None = None,
    keep: bool = False,
) -> Watched:
    """Do the same with a server whose system calls are watched.

    :param threads: how many of the requests are made at the same time.
    :param strike: is asked about every call after the start.
    :param keep: keep the calls.
    :raises Unsupported: where that cannot be.
    """
    here, there = os.pipe()
    mine, theirs = socket.socketpair()
    pid = _forked(nest, partial(_reply, there, asked, threads), theirs)
    os.close(there)
    theirs.close()
    with mine:
        _, descriptors, _, _ = socket.recv_fds(mine, 1, 1)
    if not descriptors:
        raise Unsupported(nest.output.read_text().strip().rpartition("Unsupported: ")[2])
    watcher = Watcher(descriptors[0])
    with os.fdopen(here, "rb") as pipe:
        os.set_blocking(here, False)
        seen = _watched(pid, watcher, strike, pipe, keep=keep)
    os.waitpid(pid, 0)
    watcher.close()
    return seen


def _watched(
    pid: int, watcher: Watcher, strike: Strike | None, pipe: IO[bytes], *, keep: bool
) -> Watched:
    seen, number, acknowledged, replies = Watched(), 0, -1, b""
    for call in watcher.calls():
        replies += pipe.read() or b""  # before it is full
        is_acknowledgement = call.name == "write" and call.path().startswith("pipe:")
        if acknowledged >= 0 and not is_acknowledgement:
            number += 1
        acknowledged += is_acknowledgement
        event = _event(call, is_acknowledgement) if keep and acknowledged >= 0 else None
        if event is not None:
            seen.events.append(event)
        is_due = strike is not None and acknowledged >= 0 and not is_acknowledgement
        if is_due and strike is not None and strike(pid, watcher, call, number, acknowledged):
            seen.struck = seen.struck or event or Event(call.name)
        else:
            watcher.let_go_on(call)
    seen.replies = _replies(replies + (pipe.read() or b""))
    return seen


def _event(call: Call, is_acknowledgement: bool) -> Event:
    if call.name not in ("write", "pwrite64"):
        return Event(call.name, call.path())
    _, address, length, *_ = call.arguments
    with suppress(OSError), Path(f"/proc/{call.thread}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        text = memory.read(length)
        return Event("ack", "", text) if is_acknowledgement else Event(call.name, call.path(), text)
    return Event(call.name, call.path())


def _replies(text: bytes) -> list[Replied]:
    # Of one that was killed, the last may be a half.
    lines = text.split(b"\n")[1:-1]
    return [Replied(**json.loads(line)["reply"]) for line in lines]


def _forked(nest: Nest, run: Callable[[Flask], None], watcher: socket.socket | None = None) -> int:
    """Fork a process that starts the application and does something with it."""
    app = _application(nest.folder, tuple(nest.environment.items()))
    pid = os.fork()
    if pid == 0:
        _be(nest, app, run, watcher)
    return pid


@cache
def _application(folder: Path, environ: tuple[tuple[str, str], ...]) -> Flask:
    """Make the application, which opens nothing until it is started."""
    return create_app(config.load(folder, dict(environ)))


def _be(
    nest: Nest, app: Flask, run: Callable[[Flask], None], watcher: socket.socket | None
) -> NoReturn:
    """Be a server, in a process that was just forked, to the end."""
    try:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        output = os.open(nest.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.environ.update(nest.environment)
        if nest.plant is not None:
            nest.plant(app)
        if watcher is not None:
            descriptor = be_watched()
            socket.send_fds(watcher, [b"x"], [descriptor])
            os.close(descriptor)
            watcher.close()
        wsgi.create_app = lambda _: app
        run(wsgi.application())
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)


def _answer_on(listener: int, app: Flask) -> None:
    server = make_server("127.0.0.1", 0, app, True, 1, _Handler, fd=listener)
    server.serve_forever()


class _Handler(WSGIRequestHandler):
    """Keeps connections open, and its mouth shut."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


def _reply(acknowledge: int, asked: Sequence[Asked], threads: int, app: Flask) -> None:
    """Answer requests, and acknowledge each in a pipe at the moment it is answered."""
    os.write(acknowledge, f"{_READY}\n".encode())
    waiting = list(reversed(asked))

    def work() -> None:
        client = app.test_client()
        while True:
            try:
                request = waiting.pop()
            except IndexError:
                return
            line = {"mark": request.mark, "reply": _made(client, request)}
            os.write(acknowledge, json.dumps(line).encode() + b"\n")

    if threads == 1:
        return work()
    several = [threading.Thread(target=work) for _ in range(threads)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    return None


def _made(client: Any, request: Asked) -> dict[str, Any]:
    answer = client.open(
        request.path,
        method=request.method,
        json=request.body,
        headers={"Authorization": f"Bearer {request.token}"},
    )
    headers = dict(answer.headers)
    return {"status": answer.status_code, "headers": headers, "body": answer.json}
