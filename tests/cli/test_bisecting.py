"""Which extension makes a command fail."""

from __future__ import annotations

import hashlib
import math
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from serving import COMMAND

from tinybase.cli.bisecting import find

from .conftest import Run

NAMES = [f"e{number}" for number in range(20)]


class Command:
    """Fails when all of some extensions are there."""

    def __init__(self, *culprits: set[str]) -> None:
        self.culprits = culprits
        self.left: list[int] = []

    def __call__(self, names: Sequence[str], left: int) -> bool:
        self.left.append(left)
        return any(culprits <= set(names) for culprits in self.culprits)


@pytest.mark.parametrize("number", range(20))
def test_one_culprit_is_found_in_few_runs(number: int) -> None:
    command = Command({NAMES[number]})

    verdict = find(NAMES, command)

    assert (verdict.culprits, verdict.is_all) == ((NAMES[number],), True)
    assert verdict.runs == len(command.left) <= 4 + math.ceil(math.log2(20))
    assert command.left == sorted(command.left, reverse=True)
    assert command.left[-1] == 0


def test_extensions_that_fail_only_together_are_all_found() -> None:
    chance = random.Random(7)
    for _ in range(100):
        culprits = set(chance.sample(NAMES, chance.randint(2, 4)))

        assert set(find(NAMES, Command(culprits)).culprits) == culprits


def test_a_second_cause_is_not_kept_quiet() -> None:
    verdict = find(NAMES, Command({"e3"}, {"e9"}))

    assert (verdict.culprits, verdict.is_all) == (("e3",), False)


def test_a_single_extension_needs_no_halving() -> None:
    verdict = find(["one"], Command({"one"}))

    assert (verdict.culprits, verdict.runs) == (("one",), 2)


def ends(pid: str) -> bool:
    """Say whether a process is soon over; one that nobody has waited for yet is."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if "State:\tZ" in Path("/proc", pid.strip(), "status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def digest(folder: Path) -> str:
    """Return a digest of everything that belongs to an instance but its open database."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("tinybase.db"):
            found.update(str(path).encode() + path.read_bytes())
    return found.hexdigest()


def test_the_command_runs_with_some_of_the_extensions(run: Run, extended: Path) -> None:
    before = digest(extended)
    script = (
        'case ",$TINYBASE_EXTENSIONS," in *,beta,*) exit 3;; esac; test -n "$TINYBASE_INSTANCE"'
    )

    result = run("extensions", "bisect", "--run", script)

    assert result.out == (
        "beta makes it fail; it works with all others. "
        "Switch off with tinybase extensions disable beta.\n"
    )
    assert "Run 1 (about 4 more): with alpha, beta\n  exit code 3\n" in result.err
    assert "(the last one)" in result.err
    assert run("extensions", "bisect", "--run", script, "--json").json == {
        "culprits": ["beta"],
        "fails": True,
        "works_without_them": True,
        "runs": 5,
    }
    assert digest(extended) == before


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("true", "nothing to find"),
        ("false", "without any extension too"),
        ("no-such-command-anywhere", "could not run the command"),
    ],
)
def test_where_no_extension_is_the_cause_that_is_said(
    run: Run, extended: Path, script: str, told: str
) -> None:
    result = run("extensions", "bisect", "--run", script, code=1)

    assert told in result.out + result.err


def test_only_what_is_enabled_is_tried(
    run: Run, extended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("extensions", "disable", "beta")
    assert "with alpha\n" in run("extensions", "bisect", "--run", "true", code=1).err

    monkeypatch.setenv("TINYBASE_EXTENSIONS", "beta")
    assert "No extension is enabled" in run("extensions", "bisect", "--run", "true", code=1).err


def test_a_run_that_hangs_is_a_failure(run: Run, extended: Path, tmp_path: Path) -> None:
    hang = f"sleep 300 & echo $! > {tmp_path}/pid; wait"
    script = f'case "$TINYBASE_EXTENSIONS" in *alpha*) {hang};; esac'

    result = run("extensions", "bisect", "--timeout", "0.5", "--run", script)

    assert result.out.startswith("alpha makes it fail")
    assert ends((tmp_path / "pid").read_text())


def test_ctrl_c_stops_the_command_too(extended: Path, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    process = subprocess.Popen(
        [*COMMAND, "extensions", "bisect", "--run", f"echo $$ > {mark}; sleep 300"],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)

    os.kill(process.pid, signal.SIGINT)

    assert process.wait(20) == 130
    assert ends(mark.read_text())
