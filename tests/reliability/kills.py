"""Commands that change the set of extensions, cut short at a system call of choice.

Only calls that change a file system let one moment differ from the next for whoever comes
after: a process that is killed between two of them leaves what one killed at the second
leaves. So moments are chosen among the calls that :mod:`reliability.seccomp` names, of the
command, of pip and of the process that tries extensions out: those on files of the instance
(the sets, the link, the notes, the lock, the wheels and the database) and, more thinly, all
others (temporary folders, output, the begin and end of programs).
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinybase.packages.build import build_wheel

from .seccomp import Call
from .warm import Ended, Moment, Plant, Running, Strike, run

ONE, TWO, BROKEN = "kill-one", "kill-two", "kill-broken"
_TIMES = ("installed_at", "updated_at")
_WAITING = ("are being changed by process", "The database is busy; try again.")
_PROGRAM = """
import importlib, json, os, sys
folder, *names = sys.argv[1:]
sys.path.append(folder)
found = {}
for name in names:
    try:
        found[name] = importlib.import_module(name).version
    except ModuleNotFoundError:
        pass
    except Exception as error:
        found[name] = repr(error)
there = os.listdir(folder) if os.path.isdir(folder) else []
found["metadata"] = sorted(name for name in there if name.endswith(".dist-info"))
print(json.dumps(found))
"""


@dataclass(frozen=True)
class State:
    """What can be seen of the set that is in force.

    ``importable`` is what a fresh interpreter finds, ``listed`` the answer of the command
    and ``locked`` what the lock file says.
    """

    importable: str
    listed: str
    locked: str

    def summary(self) -> str:
        """Return what is there in one line."""
        listed = [
            " ".join(f"{item.get(key)}" for key in ("name", "version", "status", "generation"))
            for item in json.loads(self.listed)
        ]
        locked = sorted(json.loads(self.locked or "{}").get("extensions", {}))
        return f"importable {self.importable.strip()}, listed {listed}, locked {locked}"

    def without_times(self) -> State:
        """Return what does not depend on when it was done, nor on the ids of new rows."""
        listed = json.loads(self.listed)
        for item in listed:
            item.update({key: item[key] is not None for key in (*_TIMES, "id")})
        locked = json.loads(self.locked)
        for item in locked.get("extensions", {}).values():
            item.update(dict.fromkeys(_TIMES))
        return replace(self, listed=json.dumps(listed), locked=json.dumps(locked))


@dataclass(frozen=True)
class Operation:
    """A command, the instance that it starts from, and what it shows before and after.

    ``code`` is its exit code when nobody harms it, and ``moments`` are its calls.
    """

    name: str
    arguments: tuple[str, ...]
    template: Path
    before: State
    after: State
    code: int
    moments: tuple[Moment, ...]

    def points(self, count: int, *, offset: int = 0) -> list[int]:
        """Choose about so many calls: three quarters of them on files of the instance.

        They are every n-th of those, and every m-th of the others.

        :param offset: which of the first n to begin with.
        """
        chosen = _every_nth(self._inside(), count * 3 // 4, offset)
        return sorted(chosen + _every_nth(self._outside(), count - len(chosen), offset))

    def at_the_link(self) -> list[int]:
        """Return the calls of the command from the one that changes the link on."""
        own = [n for n in self._inside() if self.moments[n - 1].own]
        paths = {n: self.moments[n - 1].path for n in own}
        first = next(n for n in own if paths[n].endswith("/extensions/current"))
        last = max(n for n in own if paths[n].endswith("/extensions/lock"))
        return [n for n in own if first <= n <= last]

    def of_the_commit(self) -> list[int]:
        """Return the calls with which the command commits the change to the database."""
        return [n for n in self.at_the_link() if self.moments[n - 1].path.endswith("-wal")]

    def of_children(self) -> list[int]:
        """Return the calls of pip and its like on the files of the instance."""
        return [n for n in self._inside() if not self.moments[n - 1].own]

    def _inside(self) -> list[int]:
        return [n for n, item in enumerate(self.moments, 1) if "/instance/" in item.path]

    def _outside(self) -> list[int]:
        return sorted(set(range(1, len(self.moments) + 1)) - set(self._inside()))


@dataclass(frozen=True)
class Outcome:
    """What became of a command that was cut short.

    ``state`` is *before*, *after* or *neither*; ``problems`` says in words what is wrong.
    """

    operation: str
    at: str
    state: str
    code: int
    err: str
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.operation} at {self.at}: {self.state}; {'; '.join(self.problems)}"


class Ground:
    """Everything that operations need: extensions, instances to start from, and a copy.

    :param empty_database: a database that has its tables.
    """

    def __init__(self, folder: Path, empty_database: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.instance = folder / "instance"
        self.temporary = folder / "temporary"
        # Without programs to ask what machine this is, pip is much faster.
        self.environ = {
            **{key: value for key, value in environ.items() if not key.startswith("PIP_")},
            "PATH": str(folder / "no-programs"),
            "TMPDIR": str(self.temporary),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(folder / "index"),
        }
        self._empty = folder / "empty"
        self._empty.mkdir(parents=True)
        (self._empty / "tinybase.toml").write_text("")
        shutil.copy(empty_database, self._empty / "tinybase.db")

    # --- preparing -------------------------------------------------------------------

    def operations(self, *names: str) -> dict[str, Operation]:
        """Prepare operations: all of them, or those that are named."""
        self._release(ONE, "1.0.0")
        two = self._extension(TWO)
        broken = self._extension(BROKEN, more="raise RuntimeError('broken')\n")
        self.start(self._empty)
        self._do("install", ONE, "--yes")
        self._do("install", two, "--yes")
        both = self._keep("both")
        self._do("uninstall", TWO, "--yes")
        settled = self._keep("settled")
        self._release(ONE, "1.1.0")
        self._do("install", two, "--yes")
        self._do("update", "--yes")
        updated = self._keep("updated")
        lock = (updated / "extensions.lock").read_text()
        self.start(settled)
        (self.instance / "extensions.lock").write_text(lock)
        behind = self._keep("behind")
        known = {
            "install": (("install", two, "--yes"), settled),
            "update": (("update", "--yes"), both),
            "uninstall": (("uninstall", TWO, "--yes"), both),
            "uninstall the last": (("uninstall", ONE, "--yes"), settled),
            "rollback": (("rollback", "--yes"), updated),
            "sync": (("sync", "--yes"), behind),
            "install what does not load": (("install", broken, "--yes"), settled),
        }
        chosen = names or known
        return {name: self._operation(name, *known[name]) for name in chosen}

    def traced(self, operation: Operation, plant: Plant) -> Operation:
        """Return an operation with the calls that it makes with a bug."""
        self.start(operation.template)
        ended = self._run(operation.arguments, trace=True, plant=plant)
        return replace(operation, moments=tuple(ended.moments))

    def _operation(self, name: str, words: tuple[str, ...], template: Path) -> Operation:
        self.start(template)
        before = self.examine()
        ended = self._run(words, trace=True)
        after = self.examine()
        return Operation(name, words, template, before, after, ended.code, tuple(ended.moments))

    def _extension(self, name: str, *, version: str = "1.0.0", more: str = "") -> str:
        source = self.folder / name
        source.mkdir(exist_ok=True)
        manifest = f'[extension]\nname = "{name}"\nversion = "{version}"\n'
        (source / "extension.toml").write_text(manifest)
        (source / "__init__.py").write_text(f"version = {version!r}\n{more}")
        return str(source)

    def _release(self, name: str, version: str) -> None:
        """Put a release of an extension into the package index."""
        index = self.folder / "index"
        index.mkdir(exist_ok=True)
        build_wheel(str(index), root=self._extension(name, version=version))

    def start(self, template: Path) -> None:
        """Put a copy of an instance in the place where commands are run."""
        for folder in (self.instance, self.temporary):
            shutil.rmtree(folder, ignore_errors=True)
        self.temporary.mkdir()
        shutil.copytree(template, self.instance, symlinks=True)

    def _keep(self, name: str) -> Path:
        return shutil.copytree(self.instance, self.folder / "templates" / name, symlinks=True)

    # --- running ---------------------------------------------------------------------

    def _line(self, words: Sequence[str]) -> list[str]:
        return ["-C", str(self.instance), "extensions", *words]

    def _run(self, words: Sequence[str], **options: Any) -> Ended:
        return run(self._line(words), self.environ, **options)

    def _do(self, *words: str) -> str:
        ended = self._run(words)
        if ended.code:
            raise AssertionError(f"{words}: {ended.code} {ended.err}")
        return ended.out

    def examine(self) -> State:
        """Return what can be seen now; what is importable before any command has run."""
        importable = subprocess.run(
            [sys.executable, "-B", "-I", "-S", "-c", _PROGRAM, self.instance / "extensions/current"]
            + [name.replace("-", "_") for name in (ONE, TWO, BROKEN)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        listed = self._run(["list", "--json"])
        if listed.code:
            listed.out = json.dumps([{"error": listed.err, **dict.fromkeys((*_TIMES, "id"))}])
        lock = self.instance / "extensions.lock"
        return State(importable, listed.out, lock.read_text() if lock.exists() else "{}")

    # --- cutting short ---------------------------------------------------------------

    def kill(
        self, operation: Operation, point: int, *, go_on: bool = False, plant: Plant | None = None
    ) -> Outcome:
        """Kill a command and all that it started at a call, and say what that left.

        :param go_on: also do what an operator would do next, and say whether it works.
        """
        ended = self._struck(operation, point, _kill, plant)
        if ended.struck is None and ended.code != operation.code:
            problem = f"exit code {ended.code}: {ended.err}"
            return self._outcome(operation, point, ended, (problem,))
        outcome = self._outcome(operation, point, ended, ())
        if go_on and not outcome.problems:
            return replace(outcome, problems=tuple(self._go_on(operation, outcome.state)))
        return outcome

    def kill_twice(self, operation: Operation, point: int) -> Outcome:
        """Kill a command, and the next one while it brings that to an end."""
        ended = self._struck(operation, point, _kill)
        # Where the second dies differs from point to point; opening the database comes first.
        second = self._run(["list", "--json"], strike=_kill, point=10 + point % 30)
        outcome = self._outcome(operation, point, ended, ())
        return replace(outcome, at=f"{outcome.at}, then {second.struck or 'unharmed'}")

    def interrupt(self, operation: Operation, point: int, *, plant: Plant | None = None) -> Outcome:
        """Press Ctrl-C while a command is at a call, and say what that left."""
        ended = self._struck(operation, point, _interrupt, plant)
        problems: tuple[str, ...] = ()
        if ended.code != 130 or ended.err.count("Error") or "Traceback" in ended.err:
            problems = (f"exit code {ended.code}: {ended.err}",)
        return self._outcome(operation, point, ended, problems)

    def fill(self, operation: Operation, point: int) -> Outcome | None:
        """Let the disk be full from a call on; ``None`` if nothing needed space any more."""
        return self._failed(operation, point, _refuse_space)

    def break_disk(self, operation: Operation, point: int) -> Outcome | None:
        """Let one call that writes fail; ``None`` if it was not one that writes."""
        return self._failed(operation, point, _break_once)

    def orphan(self, operation: Operation, point: int) -> list[Outcome]:
        """Kill only the command at a call of a child of it, which lives on.

        It is examined while the child waits, once the next command is done, and once the
        child is.
        """
        self.start(operation.template)
        running = Running(self._line(operation.arguments), self.environ)
        held: Call | None = None
        for count, call in enumerate(running.calls(), 1):
            if count == point:
                running.kill(with_children=False)
                held = call
                break
            running.watcher.let_go_on(call)
        meanwhile = self._outcome(operation, point, Ended(-signal.SIGKILL, "", ""), ())
        problems = tuple(self._go_on(operation, "before"))
        if held is not None:
            running.watcher.let_go_on(held)
        for call in running.calls():
            running.watcher.let_go_on(call)
        at_last = self._outcome(operation, point, running.ended(), problems, wanted="after")
        return [meanwhile, at_last]

    def both(self, first: Operation, second: Operation, point: int, *, kill: bool) -> Outcome:
        """Run a second command to its end while the first is at a call.

        Then the first goes on, or is killed; the second is run again if it was told to wait.
        The state says what is installed then.
        """
        self.start(first.template)
        meanwhile = _Meanwhile(lambda: self._run(second.arguments), kill=kill)
        ended = self._run(first.arguments, strike=meanwhile, point=point)
        problems = [] if kill or not ended.code else [f"the first: {ended.err}"]
        if meanwhile.seen is None:
            problems.append("the second was never begun")
        elif meanwhile.seen.code:
            if not any(reason in meanwhile.seen.err for reason in _WAITING):
                problems.append(f"the second: {meanwhile.seen.err}")
            again = self._run(second.arguments)
            problems += [f"the second again: {again.err}"] if again.code else []
        found = json.loads(self.examine().listed)
        state = ", ".join(f"{item['name']} {item['version']} {item['status']}" for item in found)
        name = f"{first.name} and {second.name}"
        at = f"{first.moments[point - 1]}{', killed' if kill else ''}"
        return Outcome(name, at, state, ended.code, ended.err, tuple(problems))

    def _struck(
        self, operation: Operation, point: int, strike: Strike, plant: Plant | None = None
    ) -> Ended:
        self.start(operation.template)
        return self._run(operation.arguments, strike=strike, point=point, plant=plant)

    def _failed(self, operation: Operation, point: int, strike: Strike) -> Outcome | None:
        """Judge a command that the disk failed: refused in one line, or done all the same."""
        ended = self._struck(operation, point, strike)
        if ended.struck is None:
            return None
        told = [line for line in ended.err.splitlines() if line.startswith("Error: ")]
        problems: tuple[str, ...] = ()
        if "Traceback" in ended.err or (ended.code and (ended.code, len(told)) != (1, 1)):
            problems = (f"exit code {ended.code}: {ended.err}",)
        wanted = "before" if ended.code else "after"
        return self._outcome(operation, point, ended, problems, wanted=wanted)

    def _outcome(
        self,
        operation: Operation,
        point: int,
        ended: Ended,
        problems: tuple[str, ...],
        *,
        wanted: str | None = None,
    ) -> Outcome:
        found = self.examine()
        state = "neither"
        if found == operation.before:
            state = "before"
        elif found.without_times() == operation.after.without_times():
            state = "after"
        if state == "neither" or wanted not in (None, state):
            problems += (f"{state}, with {found.summary()}",)
        moment = ended.struck or (
            operation.moments[point - 1] if point <= len(operation.moments) else ""
        )
        return Outcome(operation.name, f"{point} {moment}", state, ended.code, ended.err, problems)

    def _go_on(self, operation: Operation, state: str) -> Iterator[str]:
        """Do again what did not happen, or undo what did; say what went wrong."""
        if state == "before":
            again = self._run(operation.arguments)
            wanted = operation.after.importable
            if again.code != operation.code:
                yield f"again: exit code {again.code}: {again.err}"
        else:
            again = self._run(["rollback", "--yes"])
            wanted = operation.before.importable
            if operation.name == "rollback":  # there is a set before the one before
                wanted = self.examine().importable
            if again.code:
                yield f"back: exit code {again.code}: {again.err}"
        found = self.examine()
        if found.importable != wanted:
            yield f"then there is {found.summary()}"


def _kill(running: Running, call: Call, later: int) -> bool:
    running.kill(with_children=True)
    return True


def _interrupt(running: Running, call: Call, later: int) -> bool:
    if later == 0:
        os.kill(running.pid, signal.SIGINT)
    return False


def _refuse_space(running: Running, call: Call, later: int) -> bool:
    if call.takes_space():
        running.watcher.fail(call, errno.ENOSPC)
        return True
    return False


def _break_once(running: Running, call: Call, later: int) -> bool:
    if later == 0 and (call.takes_space() or call.name in ("fsync", "fdatasync")):
        running.watcher.fail(call, errno.EIO)
        return True
    return False


class _Meanwhile:
    """Runs another command to its end, and may then kill the one that was struck."""

    def __init__(self, other: Callable[[], Ended], *, kill: bool) -> None:
        self._other = other
        self._kill = kill
        self.seen: Ended | None = None

    def __call__(self, running: Running, call: Call, later: int) -> bool:
        if later:
            return False
        self.seen = self._other()
        if self._kill:
            running.kill(with_children=True)
        return self._kill


def _every_nth(points: list[int], count: int, offset: int) -> list[int]:
    if count <= 0 or not points:
        return []
    stride = max(len(points) // count, 1)
    return points[offset % stride :: stride]


def _unharmed(ended: Ended, operation: Operation) -> tuple[str, ...]:
    return () if ended.code == operation.code else (f"exit code {ended.code}: {ended.err}",)
