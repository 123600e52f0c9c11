"""Set up TinyBase from a fresh clone and serve an instance: ``python3 scripts/run.py``.

The first run makes ``.venv`` and ``instance`` and shows the password of the admin that it
made. Arguments are those of ``tinybase serve``.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import environment

INSTANCE = environment.ROOT / "instance"


def main() -> None:
    """Make what is missing, then become the server."""
    environment.require_python()
    commands = environment.make(environment.ROOT / ".venv")
    environment.install_once(commands, "-e", ".")
    tinybase = str(commands / "tinybase")
    if not (INSTANCE / "tinybase.toml").exists():
        make_instance(tinybase)
    os.execv(tinybase, [tinybase, "-C", str(INSTANCE), "serve", *sys.argv[1:]])  # noqa: S606


def make_instance(tinybase: str) -> None:
    """Make the instance and an admin, whose password is shown this one time."""
    email = os.environ.get("TINYBASE_ADMIN_EMAIL", "admin@example.com")
    password = os.environ.get("TINYBASE_ADMIN_PASSWORD") or secrets.token_urlsafe(12)
    chosen = {"TINYBASE_ADMIN_EMAIL": email, "TINYBASE_ADMIN_PASSWORD": password}
    done = subprocess.run([tinybase, "init", INSTANCE], env={**os.environ, **chosen}, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    if "TINYBASE_ADMIN_PASSWORD" not in os.environ:
        print(f"\nSign in as {email} with the password {password}\n", flush=True)


if __name__ == "__main__":
    main()
