"""Trying out a generation in a process of its own before it is put in force."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tinybase.config import Config
from tinybase.errors import Conflict, one_line
from tinybase.host.desired import Wish
from tinybase.host.recorder import FlightRecorder
from tinybase.host.snapshot import PROJECT, ExtensionState
from tinybase.packages import environment
from tinybase.packages.candidates import FLAT
from tinybase.packages.import_names import distribution_of
from tinybase.packages.observation import Observation
from tinybase.packages.process import Finished, Overdue, run_untrusted

_START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class _Death:
    """The probe did not live to answer; ``culprits`` are what it was importing."""

    culprits: tuple[str, ...]
    reason: str


class Verifier:
    """Imports and registers extensions in a child process, with a deadline."""

    def __init__(self, config: Config, environ: Mapping[str, str] = os.environ) -> None:
        self._config = config
        self._environ = environ

    def probe(
        self,
        generation: Path | None,
        wishes: Mapping[str, Wish],
        *,
        expected: int = 1,
        everything: bool = False,
    ) -> dict[str, ExtensionState]:
        """Return what becomes of each extension, by name; see :meth:`observe`."""
        return dict(
            self.observe(generation, wishes, expected=expected, everything=everything).states
        )

    def observe(
        self,
        generation: Path | None,
        wishes: Mapping[str, Wish],
        *,
        expected: int = 1,
        everything: bool = False,
        folder: Path | None = None,
    ) -> Observation:
        """Return what becomes of the extensions when a worker loads this set.

        :param expected: how many extensions there are, which decides how long it may take.
        :param everything: also load what safe mode, the setting ``extensions.load``, leaves
            out.
        :param folder: load the extension in it, which is not installed, and no other.
        :raises Conflict: ``extension_load_failed``, when nothing can be found out.
        """
        killers: dict[str, str] = {}
        while True:
            off = {name: Wish(is_enabled=False) for name in killers}
            wanted = {**wishes, **off}
            answer = self._once(generation, wanted, expected, everything=everything, folder=folder)
            if not isinstance(answer, _Death):
                dead = {
                    name: replace(answer.states[name], status="failed", reason=reason)
                    for name, reason in killers.items()
                    if name in answer.states
                }
                return replace(answer, states={**answer.states, **dead})
            new = set(answer.culprits) - killers.keys()
            if not new:
                raise Conflict(
                    f"The extensions cannot be checked: {answer.reason}.",
                    code="extension_load_failed",
                    status_reason=answer.reason,
                )
            killers |= dict.fromkeys(new, f"importing it {answer.reason}")

    def _once(
        self,
        generation: Path | None,
        wishes: Mapping[str, Wish],
        expected: int,
        *,
        everything: bool,
        folder: Path | None,
    ) -> Observation | _Death:
        with tempfile.TemporaryDirectory(prefix="tinybase-probe-") as name:
            answer = Path(name, "answer.json")
            order = {
                "instance": str(self._config.instance),
                "generation": str(generation) if generation else None,
                "wishes": {
                    key: (wish.is_enabled, wish.quarantine_reason) for key, wish in wishes.items()
                },
                "everything": everything,
                "folder": str(folder.resolve()) if folder else None,
                "recordings": name,
                "answer": str(answer),
            }
            seconds = self._config.extensions.import_timeout_seconds
            try:
                finished: Finished | None = run_untrusted(
                    [sys.executable, "-P", "-m", "tinybase.packages.probe", json.dumps(order)],
                    environ=environment.for_extensions(self._environ),
                    cwd=self._config.instance,
                    timeout=_START_SECONDS + seconds * max(expected, 1),
                )
            except Overdue:
                finished = None
            if answer.exists():
                return Observation.from_json(json.loads(answer.read_text("utf-8")))
            left = FlightRecorder(Path(name)).collect_dead()
            culprits = {suspect.extension for suspects in left for suspect in suspects}
            return _Death(tuple(culprits - {PROJECT}), _cause_of_death(finished, seconds))


def refusal(name: str, reason: str, package: str = "", layout: str = FLAT) -> Conflict:
    """Return the error for an extension that does not load, with the bare reason too."""
    told = remedy(reason, package, layout)
    return Conflict(
        f"{name} does not load: {told}.", code="extension_load_failed", status_reason=told
    )


def remedy(reason: str, package: str, layout: str) -> str:
    """Add what to do to the reason why an extension does not load.

    An import that nobody declared is the fault that authors make most.
    """
    missing = re.match(r"ModuleNotFoundError: No module named '([\w.]+)'", reason)
    if missing is None:
        return reason.rstrip(".")
    module = missing[1]
    top = module.partition(".")[0]
    if top == package:
        return f"{reason}. The repository lacks {module.replace('.', '/')}.py; add it"
    wanted = distribution_of(top)
    if layout == "flat":
        where = f'add {wanted} = "*" under [extension.dependencies] in its extension.toml'
    else:
        where = f'add "{wanted}" to the dependencies of the package'
    return f"it imports {top}, which it does not declare ({reason}); {where}"


def _cause_of_death(finished: Finished | None, seconds: int) -> str:
    if finished is None:
        return f"took longer than {seconds} s and could not be stopped"
    if finished.returncode < 0:
        return f"crashed the process (signal {-finished.returncode})"
    last = (finished.stderr.strip().splitlines() or ["no message"])[-1]
    return f"ended the process with exit code {finished.returncode} ({one_line(last)})"
