"""Processes, as rows name them that must not wait for one that is gone."""

from __future__ import annotations

import os
import socket


def this_process() -> str:
    """Return the name of this process: its machine and its number there."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_here(name: str) -> bool:
    """Say whether a process belongs to this machine."""
    return name.rpartition(":")[0] == socket.gethostname()


def is_gone(name: str) -> bool:
    """Say whether a process of this machine has ended; about others nothing is known."""
    pid = name.rpartition(":")[2]
    if not is_here(name) or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
