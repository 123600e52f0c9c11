"""What the commands of extensions do wrong: it costs that run of ``tinybase x`` and nothing else.

``TINYBASE_TEST_FAULTS=all`` is every fault.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from serving import tinybase

from .conftest import Site
from .culprits import culprit_on_command
from .faults import FAULTS, RETURNED, Outcome
from .ledger import is_sound

EVERYTHING = os.environ.get("TINYBASE_TEST_FAULTS") == "all"
CHOSEN = ("base-exception", "unprintable", "coroutine", "generator")

EXIT_CODES = {
    "system-exit": 3,
    "coroutine": 1,
    "keyboard-interrupt": 130,
    "exit": 1,
    "segmentation-fault": -signal.SIGSEGV,
    "out-of-memory": -signal.SIGKILL,
    "termination": 130,
}
"""Those that say themselves how the command ends."""


def exit_code_of(fault: str) -> int:
    """Return how a command has to end that commits a fault."""
    outcome = FAULTS[fault][0] if fault in FAULTS else Outcome.NOTHING
    return EXIT_CODES.get(fault, int(outcome in (Outcome.FAILURE, Outcome.ENDLESS)))


@pytest.fixture
def faulty(site: Site, tmp_path: Path) -> Site:
    """Return an instance with an extension whose command commits faults."""
    site.add("culprit", culprit_on_command())
    (tmp_path / "ran").touch()
    return site


@pytest.mark.parametrize("fault", [*FAULTS, *RETURNED] if EVERYTHING else CHOSEN)
def test_what_a_command_does_ends_its_own_run_with_a_word_and_nothing_else(
    fault: str, faulty: Site, tmp_path: Path
) -> None:
    environment = {**faulty.environment, "FAULTS_FOLDER": str(tmp_path)}
    ran = tinybase("x", "culprit", "commit", fault, instance=faulty.instance, env=environment)
    assert (tmp_path / "ran").read_text().splitlines()[:1] == [f"culprit {fault}"]
    assert ran.returncode == exit_code_of(fault), ran.stderr
    assert "Traceback" not in ran.stderr
    if ran.returncode == 1 and fault != "exit":
        assert "The command commit of the extension culprit failed: " in ran.stderr
    assert is_sound(faulty.instance / "tinybase.db")
