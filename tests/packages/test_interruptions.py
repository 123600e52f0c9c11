"""Changes that are cut short, or that two people begin at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest
from github import Hub

from tinybase.errors import Conflict
from tinybase.packages.extensions import Extensions
from tinybase.packages.generations import Generations

from .conftest import flat, opened
from .samples import own_build, visible


def command(instance: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tinybase", "-C", str(instance), "extensions", *arguments],
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


class Died(BaseException):
    """Stands for the end of the process: nothing of ours runs after it."""


def test_a_process_that_dies_after_the_switch_has_installed(
    hub: Hub, instance: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = hub.repository("x", flat("just-switched"))
    switch = Generations.switch

    def die(self: Generations, folder: Path) -> NoReturn:
        switch(self, folder)
        raise Died

    with monkeypatch.context() as patch, opened(instance) as services:
        patch.setattr(Generations, "switch", die)
        with pytest.raises(Died):
            services.extensions.install(address)
    assert (instance / "extensions" / "pending").exists()
    assert not (instance / "extensions.lock").exists()

    with opened(instance) as services:
        (found,) = services.extensions.list()

    assert (found.name, found.status) == ("just-switched", "enabled")
    assert found.installed_at is not None
    assert "just-switched" in (instance / "extensions.lock").read_text()
    assert not (instance / "extensions" / "pending").exists()


def test_a_process_that_dies_before_the_switch_has_done_nothing(
    hub: Hub, instance: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = hub.repository("x", flat("never-switched"))

    def die(*_: object) -> NoReturn:
        raise Died

    with monkeypatch.context() as patch, opened(instance) as services:
        patch.setattr(Generations, "switch", die)
        patch.setattr(Generations, "discard", die)
        with pytest.raises(Died):
            services.extensions.install(address)
    assert (instance / "extensions" / "generations" / "001").exists()

    with opened(instance) as services:
        assert list(services.extensions.list()) == []
    assert not (instance / "extensions" / "generations" / "001").exists()


@pytest.mark.parametrize("seconds", [1.0, 2.0])
def test_a_command_that_is_killed_leaves_the_state_before_or_after(
    seconds: float, hub: Hub, extensions: Extensions, instance: Path
) -> None:
    address = hub.repository("x", flat("killed-ext"))
    running = command(instance, "install", address, "--yes")
    time.sleep(seconds)
    running.kill()
    running.communicate()

    found = [(item.name, item.status) for item in extensions.list()]

    assert found in ([], [("killed-ext", "enabled")])
    lock = instance / "extensions.lock"
    locked = json.loads(lock.read_text())["extensions"] if lock.exists() else {}
    assert sorted(locked) == [name for name, _ in found]
    assert not (instance / "extensions" / "pending").exists()
    extensions.uninstall("killed-ext") if found else extensions.install(address)


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
