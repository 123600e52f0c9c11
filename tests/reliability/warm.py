"""Commands from a process that has everything imported, watched and struck at will.

Starting Python and importing TinyBase, or pip, takes most of the time of a command. Here a
process that has done so forks itself: what runs is the real command line, the real pip and
the real trial of extensions, each in a process of its own. Nothing here is for use in a
process with threads.
"""

from __future__ import annotations

import ctypes
import gc
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

import pip._internal.cli.main
import pip._internal.commands.install  # noqa: F401

import tinybase.cli.extensions
import tinybase.cli.opening
import tinybase.functions.table
import tinybase.packages.probe  # noqa: F401 - all of them are imported before anything forks
from tinybase.cli import main
from tinybase.packages import process

from .seccomp import Call, Unsupported, Watcher, be_watched

_BECOME_REAPER = 36
_PYTHON = (sys.executable, "-P", "-m")


@dataclass(frozen=True, slots=True)
class Moment:
    """A call that was seen: whether the command itself made it, and on which file."""

    own: bool
    name: str
    path: str

    def __str__(self) -> str:
        who = "the command" if self.own else "a child"
        return f"{self.name}({self.path}) of {who}"


@dataclass
class Ended:
    """How a command ended: ``code`` is negative after a signal.

    ``moments`` are its calls if they were asked for, ``calls`` how many there were, and
    ``struck`` the one at which something was done to it.
    """

    code: int
    out: str
    err: str
    calls: int = 0
    moments: list[Moment] = field(default_factory=list)
    struck: Moment | None = None


Strike = Callable[["Running", Call, int], bool]
"""What is done to a command at a call, which is told with how many calls came since the first
that this was asked about; true when that decided what becomes of the call."""

Plant = Callable[[], None]
"""Puts a bug into the process that runs the command."""


class Running:
    """A command that runs, watched, in a process of its own."""

    def __init__(
        self, arguments: Sequence[str], environ: Mapping[str, str], plant: Plant | None = None
    ) -> None:
        _get_ready_to_fork()
        self.out = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is read
        self.err = tempfile.TemporaryFile()  # noqa: SIM115
        here, there = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            _become(arguments, environ, plant, there, (self.out, self.err))
        there.close()
        with here:
            _, descriptors, _, _ = socket.recv_fds(here, 1, 1)
        self._code: int | None = None
        if not descriptors:
            self.code()
            raise Unsupported(_text_of(self.err).strip().rpartition("Unsupported: ")[2])
        self.watcher = Watcher(descriptors[0])
        self._calls = self.watcher.calls()

    def calls(self) -> Iterator[Call]:
        """Yield the calls that are still to come; each has to be answered."""
        return self._calls

    def is_own(self, call: Call) -> bool:
        """Say whether a call is of the command itself and not of a child."""
        return Path(f"/proc/{self.pid}/task/{call.thread}").exists()

    def moment(self, call: Call) -> Moment:
        """Return what a call is about."""
        return Moment(self.is_own(call), call.name, call.path())

    def kill(self, *, with_children: bool) -> None:
        """Kill the command as ``kill -9`` does, with all of its children or without them."""
        doomed = [self.pid, *(descendants(self.pid) if with_children else ())]
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.code()
        for pid in doomed[1:]:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def code(self) -> int:
        """Wait for the end of the command and return its exit code."""
        if self._code is None:
            _, status = os.waitpid(self.pid, 0)
            self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def ended(self) -> Ended:
        """Wait for the end of the command, and of what it left behind."""
        code = self.code()
        self.watcher.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        return Ended(code, _text_of(self.out), _text_of(self.err))


def run(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    *,
    strike: Strike | None = None,
    point: int = 1,
    trace: bool = False,
    plant: Plant | None = None,
) -> Ended:
    """Run a command to its end.

    :param strike: is asked about every call from number ``point`` on.
    :param trace: keep what each call was about.
    """
    running = Running(arguments, environ, plant)
    count, moments, struck = 0, [], None
    for count, call in enumerate(running.calls(), 1):
        is_due = strike is not None and count >= point
        moment = running.moment(call) if trace or (is_due and struck is None) else None
        if trace and moment is not None:
            moments.append(moment)
        if strike is not None and is_due and strike(running, call, count - point):
            struck = struck or moment
        else:
            running.watcher.let_go_on(call)
    ended = running.ended()
    ended.calls, ended.moments, ended.struck = count, moments, struck
    return ended


def descendants(pid: int) -> list[int]:
    """Return all processes that a process has started, directly or not."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found = list(children.get(pid, ()))
    for item in found:
        found += children.get(item, ())
    return found


def _get_ready_to_fork() -> None:
    """Become the parent of whatever a killed command leaves behind, and share memory with it."""
    gc.freeze()
    ctypes.CDLL(None).prctl(_BECOME_REAPER, 1, 0, 0, 0)


def _become(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    plant: Plant | None,
    there: socket.socket,
    outputs: tuple[IO[bytes], IO[bytes]],
) -> NoReturn:
    """Be the command, in a process that was just forked, to the end."""
    code = 70
    try:
        _stand_alone(environ, outputs)
        process.subprocess = _Subprocess()  # type: ignore[attr-defined]
        if plant is not None:
            plant()
        listener = be_watched()
        socket.send_fds(there, [b"x"], [listener])
        os.close(listener)
        there.close()
        main(list(arguments))
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _stand_alone(environ: Mapping[str, str], outputs: tuple[IO[bytes], IO[bytes]]) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (outputs[0].fileno(), 1), (outputs[1].fileno(), 2)):
        os.dup2(source, target)
    _begin_anew(environ)


def _begin_anew(environ: Mapping[str, str]) -> None:
    """Take the environment, and the first three descriptors, as a new process does."""
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - to the end of the process
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environ)
    tempfile.tempdir = None
    # Who runs the tests in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class _Subprocess:
    """Stands for the module: starts Python programs without starting Python."""

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(  # noqa: N802 - subprocess's name
        self, arguments: Sequence[str], *, env: Mapping[str, str], **options: Any
    ) -> subprocess.Popen[Any]:
        if tuple(arguments[: len(_PYTHON)]) != _PYTHON:
            return subprocess.Popen(arguments, env=env, **options)
        module, *rest = arguments[len(_PYTHON) :]
        # Between fork and exec, in a process that has no threads: there is no exec then.
        return subprocess.Popen(
            arguments,
            env=env,
            preexec_fn=lambda: _be_module(module, rest, env),  # noqa: PLW1509
            **options,
        )


def _be_module(module: str, arguments: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Be ``python -m MODULE``, in a process that was just forked, to the end."""
    code = 70
    try:
        os.closerange(3, 1024)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        _begin_anew(environ)
        sys.argv = [module, *arguments]
        if not hasattr(sys.modules.get(module), "__path__"):
            sys.modules.pop(module, None)  # it is imported, but not as the main module
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _text_of(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode(errors="replace")
