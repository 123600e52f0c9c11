"""The process in which extensions are tried out: ``python -m tinybase.packages.probe``.

It loads extensions exactly as a worker does, but runs none of their lifecycle hooks, and
writes what became of them to a file. Whatever an extension does to it, it is only this
process that it does it to.
"""

from __future__ import annotations

import json
import logging
import os
import pkgutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinybase import config as configuration
from tinybase.config import Config
from tinybase.host.building import SnapshotBuilder
from tinybase.host.desired import Wish
from tinybase.host.discovery import Candidate, SearchPath, find_candidates
from tinybase.host.guard import Surroundings
from tinybase.host.recorder import FlightRecorder
from tinybase.packages.observation import FunctionFacts, Observation

_FUNCTION_TABLE = "tinybase.functions.table:FunctionTable"
_CHECKS = "tinybase.checks:CHECKS"
"""What a worker checks functions and contributions with. They are named, not imported, because
they are of other rooms; here, as in a worker, the whole application is put together."""


def probe(order: dict[str, Any]) -> Observation:
    """Load what is wanted of a generation, or from a folder, and say what became of it."""
    search_path = SearchPath()
    generation = order["generation"]
    search_path.follow(Path(generation).resolve() if generation else None)
    builder = SnapshotBuilder(
        _config(order),
        Surroundings(FlightRecorder(Path(order["recordings"]))),
        pkgutil.resolve_name(_FUNCTION_TABLE),
        pkgutil.resolve_name(_CHECKS),
    )
    wishes = {name: Wish(*wish) for name, wish in order["wishes"].items()}
    folder = order["folder"]
    found = _in(Path(folder)) if folder else find_candidates(search_path.generation)
    snapshot = builder.build(found, wishes)
    functions: Any = snapshot.functions
    return Observation(
        {name: snapshot.states[name] for name in sorted(snapshot.states)},
        snapshot.arrangement.turns,
        [FunctionFacts(f.name, f.owner, f.auth, f.description) for f in functions],
        snapshot.project_failures,
        snapshot.arrangement.circles,
    )


def _in(folder: Path) -> list[Candidate]:
    # What reads the folders of authors is of no use where extensions are installed.
    from tinybase.packages.in_folder import candidate_in, lead_to  # noqa: PLC0415

    lead_to(folder)
    return [candidate_in(folder)]


def _config(order: dict[str, Any]) -> Config:
    """Read the configuration; safe mode must not decide whether an extension works."""
    config = configuration.load(order["instance"])
    if not order["everything"]:
        return config
    return replace(config, extensions=replace(config.extensions, load=("all",)))


def main() -> None:
    """Do what the one argument, a JSON document, says; end without any clean-up."""
    order = json.loads(sys.argv[1])
    logging.disable()
    observation = probe(order).as_json()
    answer = Path(order["answer"])
    unfinished = answer.with_suffix(".new")
    unfinished.write_text(json.dumps(observation), "utf-8")
    unfinished.replace(answer)
    # A thread of an extension, or an import that hangs, must not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
