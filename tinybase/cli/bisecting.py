"""``tinybase extensions bisect``: which extension makes a command fail."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from packaging.utils import canonicalize_name

from tinybase.cli import context
from tinybase.cli.output import emit_json, json_option, note
from tinybase.errors import TinyBaseError
from tinybase.packages.generations import Generations

if TYPE_CHECKING:
    from tinybase.host.desired import Wish

_NOT_RUN = (126, 127)
"""What a shell answers when it cannot run a command or does not find it."""

Fails = Callable[[Sequence[str], int], bool]
"""Says whether the command fails with some extensions; the number is how many runs come after."""


@dataclass(frozen=True)
class Verdict:
    """What was found: the fewest extensions with which the command fails.

    Without ``culprits`` no extension is the cause; ``fails`` says whether it fails at all.
    ``is_all`` says whether it works with all the others.
    """

    culprits: tuple[str, ...]
    fails: bool
    is_all: bool
    runs: int


@click.command("bisect")
@click.option("--run", "script", metavar="COMMAND", required=True, help="A command of the shell.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="A run that takes longer is stopped, and counts as failed.",
)
@json_option
def bisect(*, script: str, timeout: float | None, as_json: bool) -> None:
    """Find the extension that makes a command fail.

    COMMAND runs again and again, each time with some of the enabled extensions: their names
    are in TINYBASE_EXTENSIONS, which every tinybase command and server follows. Its exit
    code tells: 0 is good, anything else is a failure. Where it takes several extensions
    together to make it fail, all of them are found. The instance is not changed.

    \b
    Examples:
      tinybase extensions bisect --run "tinybase functions call report"
      tinybase extensions bisect --run "pytest tests/smoke" --timeout 60
    """
    names = _enabled()
    if not names:
        raise TinyBaseError("No extension is enabled, so none is the cause.")
    trial = _Trial(script, timeout)
    verdict = find(names, trial)
    if as_json:
        emit_json(
            {
                "culprits": list(verdict.culprits),
                "fails": verdict.fails,
                "works_without_them": verdict.is_all,
                "runs": verdict.runs,
            }
        )
    else:
        click.echo(_told(verdict))
    if not verdict.culprits:
        click.get_current_context().exit(1)


def find(names: Sequence[str], fails: Fails) -> Verdict:
    """Return the fewest extensions without one of which the command does not fail.

    Each of them takes about as many runs as the number of extensions can be halved.
    """
    runs = 0

    def tried(some: Sequence[str], left: int) -> bool:
        nonlocal runs
        runs += 1
        return fails(some, left)

    usual = 2 + math.ceil(math.log2(len(names)))
    if not tried(names, usual + 1):
        return Verdict((), fails=False, is_all=True, runs=runs)
    if tried((), usual):
        return Verdict((), fails=True, is_all=False, runs=runs)
    culprits: list[str] = []
    candidates = list(names)
    while True:
        # It fails with the culprits and all candidates, and not with the culprits alone.
        low, high = 0, len(candidates)
        while high - low > 1:
            middle = (low + high) // 2
            left = 1 + math.ceil(math.log2(high - low))
            if tried([*culprits, *candidates[:middle]], left):
                high = middle
            else:
                low = middle
        culprits.append(candidates[high - 1])
        candidates = candidates[: high - 1]
        if not candidates or tried(culprits, 1):
            break
    others = [name for name in names if name not in culprits]
    is_all = not others or not tried(others, 0)
    return Verdict(tuple(sorted(culprits)), fails=True, is_all=is_all, runs=runs)


class _Trial:
    """Runs the command with some extensions."""

    def __init__(self, script: str, timeout: float | None) -> None:
        self._script = script
        self._timeout = timeout
        self._number = 0

    def __call__(self, names: Sequence[str], left: int) -> bool:
        """Say whether it fails.

        :raises TinyBaseError: when it cannot be run at all.
        """
        self._number += 1
        listed = ", ".join(names) or "no extension"
        ahead = f"about {left} more" if left else "the last one"
        note(f"Run {self._number} ({ahead}): with {listed}")
        code = _run(self._script, _environment(names), self._timeout)
        if code in _NOT_RUN:
            raise TinyBaseError(
                f"The shell could not run the command (exit code {code}). Check --run."
            )
        note("  it took too long" if code is None else f"  exit code {code}")
        return code != 0


def _environment(names: Sequence[str]) -> Mapping[str, str]:
    environ = {
        **os.environ,
        "TINYBASE_EXTENSIONS": ",".join(names) or "none",
        "TINYBASE_INSTANCE": str(context.instance()),
    }
    # The stronger of the two variables of the setting would win.
    environ.pop("TINYBASE_EXTENSIONS_LOAD", None)
    return environ


def _run(script: str, environ: Mapping[str, str], timeout: float | None) -> int | None:
    """Return the exit code of a command, or ``None`` if it took too long.

    What it prints goes to stderr. When it is too slow, or when somebody stops us, it is
    killed with everything that it started.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=_stderr(),
        env=dict(environ),
        start_new_session=True,
    )
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _stderr() -> int:
    """Return where what the command prints goes: never to stdout, which is for our answer."""
    try:
        return sys.stderr.fileno()
    except OSError:  # not a real file, as in tests
        return subprocess.DEVNULL


def _enabled() -> list[str]:
    """Return the names of the extensions that a worker would load."""
    from tinybase.packages.compatibility import extension_distributions  # noqa: PLC0415 - SQLAlchemy

    with context.services() as services:
        wishes = services.host.desired.read()
        load = services.config.extensions.load
        installed = {
            canonicalize_name(item.metadata["Name"])
            for item in extension_distributions(Generations(services.config.instance).current())
        }
    wanted = installed if "all" in load else installed & {canonicalize_name(n) for n in load}
    return sorted(name for name in wanted if _is_wanted(wishes.get(name)))


def _is_wanted(wish: Wish | None) -> bool:
    return wish is None or (wish.is_enabled and wish.quarantine_reason is None)


def _told(verdict: Verdict) -> str:
    if not verdict.fails:
        return "It works with all extensions, so there is nothing to find."
    if not verdict.culprits:
        return "It fails without any extension too, so none is the cause."
    named = " and ".join(verdict.culprits)
    told = f"{named} makes it fail"
    if len(verdict.culprits) > 1:
        told = f"{named} make it fail together, and not without one another"
    rest = "it works with all others" if verdict.is_all else "with the others it fails as well"
    return f"{told}; {rest}. Switch off with tinybase extensions disable {verdict.culprits[0]}."
