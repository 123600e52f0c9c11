"""Changes that are cut short, or that two people begin at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from github import Hub

from tinybase.errors import Conflict
from tinybase.packages.extensions import Extensions
from tinybase.packages.generations import Generations

from .conftest import flat
from .samples import own_build, visible


def command(instance: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tinybase", "-C", str(instance), "extensions", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_second_change_is_told_who_is_at_it(
    hub: Hub, extensions: Extensions, instance: Path
) -> None:
    address = hub.repository("x", flat("second-one"))
    other = Generations(instance)

    with other.locked("extensions install user/y"):
        with pytest.raises(Conflict, match=r"extensions install user/y\). Wait") as told:
            extensions.install(address)
        with pytest.raises(Conflict, match="Wait until"):
            extensions.uninstall("x")
        assert list(extensions.list()) == []

    assert told.value.code == "install_in_progress"
    assert extensions.install(address).status == "enabled"


def test_ctrl_c_leaves_nothing(hub: Hub, index: Path, instance: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    files = own_build(ran)
    files["backend.py"] += "\nimport time\ndef build_wheel(*a):\n    open("
    files["backend.py"] += f"{str(ran)!r}, 'w').close(); time.sleep(60)\n"
    address = hub.repository("x", files)
    before = visible(instance)
    running = command(instance, "install", address, "--yes")
    deadline = time.monotonic() + 30
    while not ran.exists() and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.05)

    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)

    assert ran.exists(), err
    assert running.returncode == 130, (out, err)
    assert "Traceback" not in err
    assert visible(instance) == before
