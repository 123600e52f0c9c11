"""Set up TinyBase from a fresh clone and run every check: ``python3 scripts/test.py``.

It installs into ``.venv-test`` as a user would, so what is missing from the package fails
here. Arguments are those of pytest; given any, only pytest runs.
"""

from __future__ import annotations

import subprocess
import sys

import browser
import environment

CHECKS = {
    "ruff check": ["ruff", "check"],
    "ruff format": ["ruff", "format", "--check"],
    "mypy": ["mypy"],
    "import-linter": ["lint-imports"],
    "mkdocs": ["mkdocs", "build", "--strict", "--quiet", "--site-dir", ".venv-test/site"],
}
TESTS = ["pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
"""The order is that of ``tests/conftest.py``: xdist's begins with the files of most tests, and
those of few tests are the ones that take long."""


def main() -> None:
    """Run the checks, then the tests; fail when any of them does."""
    environment.require_python()
    commands = environment.make(environment.ROOT / ".venv-test")
    print("Installing TinyBase and what its tests need ...", flush=True)
    environment.install(commands, ".[docs,postgres,test]")
    browser.prepare()
    failed = [] if sys.argv[1:] else [name for name in CHECKS if not passes(CHECKS[name])]
    if not passes([*TESTS, *sys.argv[1:]]):
        failed.append("pytest")
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}.")


def passes(command: list[str]) -> bool:
    """Run a command of the environment in the repository and say whether it succeeded."""
    print(f"\n$ {' '.join(command)}", flush=True)
    program = environment.ROOT / ".venv-test" / "bin" / command[0]
    return not subprocess.run([program, *command[1:]], cwd=environment.ROOT, check=False).returncode


if __name__ == "__main__":
    main()
