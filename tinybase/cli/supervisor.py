"""The process that starts, watches and stops the workers. It never imports an extension."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer, WorkerProcess
from watchfiles import PythonFilter

from tinybase import __version__, cores, logs
from tinybase.cli.handover import Handover
from tinybase.cli.listeners import Listeners
from tinybase.cli.pulse import Pulse
from tinybase.cli.watchdog import Watchdog
from tinybase.cli.worker import application
from tinybase.config import Config
from tinybase.errors import Unavailable
from tinybase.host.recorder import FlightRecorder
from tinybase.host.snapshot import PROJECT

_log = logging.getLogger(__name__)

_STOP_SECONDS = 30
_TICK_SECONDS = 0.1
_FAILED_STARTS = 5
_PORT_SECONDS = 2.0


class SourceFilter(PythonFilter):
    """What ``--reload`` looks at: Python files, manifests and the configuration."""

    def __init__(self) -> None:
        super().__init__(extra_extensions=(".toml",))


class Supervisor(MPServer):
    """granian's server, but it replaces workers for as long as it takes.

    granian itself gives up when a worker dies twice within six seconds. Here only workers
    that cannot start again and again end the server. A worker that stands still is ended,
    and one that has to go is replaced as :class:`Handover` says.
    """

    def __init__(self, config: Config, *, reload: Iterable[Path] = (), open_: bool) -> None:
        paths = list(reload)
        super().__init__(
            "tinybase",
            address=config.server.host,
            port=config.server.port,
            interface=Interfaces.WSGI,
            http=HTTPModes.http1,
            workers=worker_count(config),
            blocking_threads=config.server.threads,
            workers_kill_timeout=_STOP_SECONDS,
            log_level=LogLevels.debug if config.server.log_level == "debug" else LogLevels.warning,
            log_dictconfig=logs.settings(config.server.log_level, logs.file_of(config.instance)),
            reload=bool(paths),
            reload_paths=paths,
            reload_filter=SourceFilter,
            reload_ignore_paths=[config.instance / "extensions"],
            reload_ignore_worker_failure=True,
        )
        self._config = config
        self._cores = cores.usable() if config.server.pin_workers else ()
        self._open = open_
        self._failed_starts = 0
        self._recorder = FlightRecorder.of(config.instance)
        self._listeners = Listeners(config.server.host, config.server.port)
        self._watchdog = Watchdog(config.server.hang_seconds)
        self._pulses: dict[WorkerProcess, Pulse] = {}
        self._handover = Handover(self.wrks, self._pulses, self._start, self._acquit)
        self._how: tuple[Any, Any]

    # --- granian's steps, where they differ ------------------------------------------

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Start the workers, and say so as soon as one of them answers."""
        self._how = spawn_target, target_loader
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        threading.Thread(target=self._announce, name="tinybase-announce", daemon=True).start()
        if self.reload_on_changes:
            threading.Thread(target=self._look_after, name="tinybase-watch", daemon=True).start()

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop gently; whoever asks twice does not want to wait."""
        if self.interrupt_signal:
            everybody = self._everybody()
            for worker in everybody:
                worker.kill()  # type: ignore[no-untyped-call]
            self._acquit(everybody)
            os._exit(130)
        super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop the workers, each after what it has in flight and its ``on_shutdown``."""
        stopped = _alive(self._everybody())
        try:
            super().shutdown(exit_code)  # type: ignore[no-untyped-call]
        except SystemExit:
            # granian counts workers that stopped before it told them to, as they do when
            # Ctrl-C goes to the whole process group, as failures.
            if not self.interrupt_signal:
                raise
        finally:
            self._acquit(stopped)

    def serve(self, *_: object, **__: object) -> None:
        """Serve until somebody stops it."""
        # Workers share what is imported by now, and what Pulse and Listeners opened for them.
        # A later Python starts its processes in another way unless it is told.
        multiprocessing.set_start_method("fork", force=True)
        super().serve(target_loader=application, wrap_loader=False)

    def _init_shared_socket(self) -> None:
        """Leave the sockets to :class:`Listeners`."""
        self._sso = None

    def _spawn_worker(  # type: ignore[override]
        self, idx: int, target: Any, callback_loader: Callable[..., Any]
    ) -> WorkerProcess:
        pulse, listener = Pulse(), self._listeners.of(idx)
        self._shd = SocketHolder(listener.fileno(), False, self.backlog)  # type: ignore[call-arg,assignment]
        others = self._listeners.all_but(idx)
        its_cores = cores.of_worker(idx, self.workers, self._cores)
        load = partial(callback_loader, pulse, listener, others, self.backlog, its_cores)
        worker = super()._spawn_worker(idx, target, load)
        self._pulses[worker] = pulse
        return worker

    def _stop_workers(self) -> None:
        self._listeners.close()
        self.wrks[:] = self._everybody()
        self._handover.forget()
        for pulse in list(self._pulses.values()):
            pulse.tell_to_stop()
        super()._stop_workers()  # type: ignore[no-untyped-call]
        self._pulses.clear()

    def _serve_loop(self, *_: object) -> None:
        while not self.interrupt_signal:
            self.main_loop_interrupt.wait(_TICK_SECONDS)
            self.main_loop_interrupt.clear()
            if self.reload_signal:
                self.reload_signal = False
                self._handover.begin(range(self.workers))
            self._end_what_hangs()
            self._replace_the_dead()
            self._handover.step()

    def _reload(self, spawn_target: Any, target_loader: Any) -> None:
        """Start everything anew, as ``--reload`` does when a file changes."""
        self.reload_signal = False
        self.main_loop_interrupt.clear()
        self._stop_workers()
        self._spawn_workers(spawn_target, target_loader)  # type: ignore[no-untyped-call]

    # --- workers that hang, die or have to go ----------------------------------------

    def _start(self, place: int) -> WorkerProcess:
        worker = self._spawn_worker(place, *self._how)
        worker.start()  # type: ignore[no-untyped-call]
        return worker

    def _everybody(self) -> list[WorkerProcess]:
        return [*self.wrks, *self._handover.beside]

    def _look_after(self) -> None:
        """With ``--reload``, where granian's own loop runs: start anew what needs it."""
        while not self.interrupt_signal:
            time.sleep(_TICK_SECONDS)
            outdated = any(pulse.is_outdated for pulse in list(self._pulses.values()))
            if self._end_what_hangs() or outdated:
                self.reload_signal = True
                self.main_loop_interrupt.set()

    def _end_what_hangs(self) -> bool:
        """Kill the workers that stand still; say whether there were any."""
        workers = {worker.inner.pid: worker for worker in _alive(self._everybody())}
        pulses = {pid: self._pulses.get(worker) for pid, worker in workers.items()}
        hanging = self._watchdog.hanging({pid: p.beats for pid, p in pulses.items() if p})
        for pid in hanging:
            _log.error(
                "Worker %d has not moved for %d s%s; ending it.",
                workers[pid].idx + 1,
                self._config.server.hang_seconds,
                self._what_it_ran(pid),
            )
            workers[pid].inner.kill()
        return bool(hanging)

    def _replace_the_dead(self) -> None:
        self.interrupt_children.clear()
        dead = [worker for worker in self.wrks if worker.inner.exitcode is not None]
        if not dead:
            return
        successors = {worker.idx: self._handover.take(worker.idx) for worker in dead}
        for place, successor in successors.items():
            if successor is None:
                # Until somebody is there to answer, new connections are for the others.
                self._listeners.drop(place)
        self._look_at(dead)
        for worker in dead:
            self._pulses.pop(worker, None)
            self.wrks[worker.idx] = successors[worker.idx] or self._start(worker.idx)

    def _look_at(self, dead: list[WorkerProcess]) -> None:
        """Say how workers ended, and give up when they do not even start."""
        could_not_start = [self._could_not_start(worker) for worker in dead]
        self._failed_starts = self._failed_starts + 1 if any(could_not_start) else 0
        if self._failed_starts >= _FAILED_STARTS:
            _log.error("The workers cannot start; the reason is in the lines above.")
            self.shutdown(1)
        time.sleep(0.2 * self._failed_starts)

    def _could_not_start(self, worker: WorkerProcess) -> bool:
        """Say how a worker ended, and whether another one would end like that."""
        code, pid = worker.inner.exitcode, worker.inner.pid
        if code == -signal.SIGTERM:
            self._recorder.forget(pid)
        what = self._what_it_ran(pid)
        _log.warning("Worker %s %s%s; starting another one.", worker.idx + 1, _describe(code), what)
        # The next one starts without an extension that ended this one while it started.
        suspects, pulse = self._recorder.suspects_of(pid), self._pulses[worker]
        is_solved = pulse.is_outdated or any(
            item.was_starting and item.extension != PROJECT for item in suspects
        )
        return bool(code > 0 and not is_solved and not pulse.is_serving)

    def _what_it_ran(self, pid: int) -> str:
        suspects = self._recorder.suspects_of(pid)
        return f" while it was running {', '.join(map(str, suspects))}" if suspects else ""

    def _acquit(self, workers: Iterable[WorkerProcess]) -> None:
        """Blame no extension for the end of workers that were told to end."""
        for worker in workers:
            self._recorder.forget(worker.inner.pid)

    def _announce(self) -> None:
        host, port = reachable_host(self._config.server.host), self._config.server.port
        while not self.interrupt_signal:
            try:
                socket.create_connection((host, port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                break
        else:
            return
        url = self._config.server.public_url or f"http://{bracketed(host)}:{port}"
        click.echo(
            f"TinyBase {__version__} serves {self._config.instance} at {url} "
            f"({self.workers} workers, {self.blocking_threads} threads each). Ctrl-C stops it."
        )
        if self._config.api.docs:
            click.echo(f"Try the API at {url}/docs")
        if self._open:
            webbrowser.open(f"{url}/docs" if self._config.api.docs else url)


def worker_count(config: Config) -> int:
    """Return how many workers there are: as configured, else one a core, at most four."""
    return config.server.workers or min(len(cores.usable()) or os.cpu_count() or 1, 4)


def require_free_port(host: str, port: int) -> None:
    """Make sure that nobody else listens; workers would silently share the port.

    A server that was just killed gets a moment to let go of it.

    :raises Unavailable: naming the remedy.
    """
    deadline = time.monotonic() + _PORT_SECONDS
    while True:
        try:
            _listen_once(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise Unavailable(_why_not(error, host, port)) from error
            time.sleep(0.1)
        else:
            return


def reachable_host(host: str) -> str:
    """Return the address under which this machine itself reaches the server."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound


def bracketed(host: str) -> str:
    """Write a host as an address of the web does."""
    return f"[{host}]" if ":" in host else host


def _listen_once(host: str, port: int) -> None:
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, proto) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use by another program. Choose another one with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than you have. Choose one above 1023 with --port."
    return f"The server cannot listen on {host}: {error.strerror}. Choose another --host."


def _alive(workers: Iterable[WorkerProcess]) -> list[WorkerProcess]:
    return [worker for worker in workers if worker.inner.exitcode is None]


def _describe(exit_code: int) -> str:
    if exit_code < 0:
        return f"was ended by signal {-exit_code}"
    return f"ended with exit code {exit_code}"
