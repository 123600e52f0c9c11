"""What ``tinybase serve`` runs in each of its processes, beside the application."""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

from flask import Flask
from sqlalchemy.exc import DBAPIError

from tinybase import cores, wsgi
from tinybase.cli.leaving import Departure
from tinybase.cli.pulse import Pulse
from tinybase.errors import TinyBaseError
from tinybase.host import StartAnew

_log = logging.getLogger(__name__)

_FINISH_SECONDS = 25.0
_TICK_SECONDS = 0.25
_EAGER_TICK_SECONDS = 0.01
_PUT_OFF_SECONDS = 0.1
_UNMEANT_SECONDS = 1.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def application(
    pulse: Pulse,
    listener: socket.socket,
    of_others: Iterable[socket.socket],
    backlog: int,
    wanted_cores: Collection[int],
) -> Flask:
    """Make the application in a worker, which ends when the supervising process does.

    :param listener: is bound; it listens as soon as there is somebody to answer.
    :param of_others: the sockets of other workers, which this one must not keep open.
    :param backlog: how many connections the kernel may queue.
    :param wanted_cores: those that answer requests; none is any.
    """
    for other in of_others:
        other.close()
    # That this process was forked is no choice for those that extensions start.
    multiprocessing.set_start_method(None, force=True)
    signals = _Signals(pulse, Departure(listener))
    signals.govern()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What extensions print is seen when they print it, not when a buffer is full.
            stream.reconfigure(line_buffering=True)
    try:
        signals.app = wsgi.application(pulse.ask_for_replacement)
    except StartAnew:
        # Without any clean-up, which could wait for the thread that this is about.
        os._exit(1)
    except TinyBaseError as error:
        _log.error("This worker cannot start: %s", error.detail)
    except DBAPIError as error:
        _log.error("This worker cannot use the database: %s", error.orig)
    else:
        # granian starts its threads after this, and with them those that they start.
        cores.keep_to(wanted_cores)
        listener.listen(backlog)
        return signals.app
    sys.exit(1)


class _Signals:
    """Sees to it that granian gets one signal to stop: none too early, and no second one.

    granian sets its handlers after it has loaded the application. A signal before that
    would be lost or end the process in the middle of its start, so it is put off. If it is
    not the supervising process that wants it, an extension may have sent it, and would again
    in every worker: then it means nothing. A worker of granian 2.8 that is told twice to
    stop never ends, and twice it is whenever a terminal or a service manager tells all
    processes of a group.
    """

    def __init__(self, pulse: Pulse, departure: Departure) -> None:
        self.app: Flask | None = None
        self._pulse = pulse
        self._departure = departure
        self._granian: Any = None
        self._is_stopping = False
        self._parent = os.getppid()

    def govern(self) -> None:
        """Begin; to be called in the main thread, before the application is made."""
        for signum in _STOP_SIGNALS:
            signal.signal(signum, self._put_off)
        signal.signal(signal.SIGUSR1, self._tick)
        threading.Thread(target=self._watch, name="tinybase-signals", daemon=True).start()

    def _watch(self) -> None:
        """Wake the main thread now and then, and stop when the supervising process is gone.

        Of two signals at once another thread may take both. Python then runs the handlers
        when the main thread wakes up, but a main thread that waits for a lock sleeps on.
        """
        main = threading.main_thread().ident
        is_told = is_leaving = False
        while main is not None:
            self._pulse.beat()
            time.sleep(_TICK_SECONDS if self._granian else _EAGER_TICK_SECONDS)
            if signal.getsignal(signal.SIGTERM) != self._put_off:
                signal.pthread_kill(main, signal.SIGUSR1)
            if self._is_orphan and not is_told:
                is_told = True
                os.kill(os.getpid(), signal.SIGTERM)
            if self._pulse.must_leave and self.app is not None and not is_leaving:
                is_leaving = True
                leave = partial(self._leave, self.app)
                threading.Thread(target=leave, name="tinybase-leave", daemon=True).start()

    @property
    def _is_orphan(self) -> bool:
        return os.getppid() != self._parent

    def _put_off(self, signum: int, _: object) -> None:
        """Take up a signal that came too early, unless nobody but this process wants it."""
        if self._pulse.must_stop or self._is_orphan:
            again = threading.Timer(_PUT_OFF_SECONDS, os.kill, (os.getpid(), signum))
        else:
            again = threading.Timer(_UNMEANT_SECONDS, self._leave_unheard, (signum,))
        again.daemon = True
        again.start()

    def _leave_unheard(self, signum: int) -> None:
        # Who tells all processes of a group tells the supervising one, which then tells us.
        if not self._pulse.must_stop:
            _log.warning(
                "This worker got signal %d while it started, not from tinybase serve; an "
                "extension may have sent it. It goes on",
                signum,
            )

    def _leave(self, app: Flask) -> None:
        self._departure.see_clients_off(app)
        os.kill(os.getpid(), signal.SIGTERM)

    def _tick(self, *_: object) -> None:
        """Put ourselves before granian's handlers, as soon as it has set them."""
        if self._granian is None:
            self._granian = signal.getsignal(signal.SIGTERM)
            for signum in _STOP_SIGNALS:
                signal.signal(signum, self._stop)
            self._pulse.serves()

    def _stop(self, signum: int, frame: object) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            self._granian(signum, frame)
            deadline = threading.Timer(_FINISH_SECONDS, self._finish)
            deadline.daemon = True
            deadline.start()

    def _finish(self) -> None:
        """End the worker although requests still run, while it may yet end as it should."""
        _log.warning("Requests still ran after %g s; stopped without them", _FINISH_SECONDS)
        if self.app is not None:
            self.app.extensions[wsgi.STOP]()
        os._exit(0)
