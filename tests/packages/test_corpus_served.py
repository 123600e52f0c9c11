"""A server that finds everything at once that does not load."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from github import Hub
from serving import Server, tinybase

from tinybase.packages import build

from .conftest import flat
from .corpus import CORPUS, Case, Place, Verdict
from .corpus.case import write
from .samples import WITH_FUNCTION

ADMIN, PASSWORD = "admin@example.com", "correct horse battery staple"
LEFTOVERS = {
    "damaged": {"METADATA": b"Metadata-Version: 2.1\nName: torn\xe9\nVersion: 1\n"},
    "nameless": {"METADATA": b"Metadata-Version: 2.1\nVersion: 1\n"},
    "remains": {"top_level.txt": b"half_removed\n"},
}
"""What is left of packages, or of their metadata, after something went wrong."""


@dataclass(frozen=True)
class Site:
    """An instance whose environment has all that does not load, and what is said of each."""

    instance: Path
    packages: Path
    told: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """Return what commands on this instance need."""
        return {
            "PYTHONPATH": str(self.packages),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TINYBASE_EXTENSIONS_IMPORT_TIMEOUT_SECONDS": "1",
        }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return an environment into which pip was made to install all that does not load."""
    root = tmp_path_factory.mktemp("served")
    for name in ("packages", "index", "github", "wheels", "site"):
        (root / name).mkdir()
    place = Place(Hub(root / "github"), root / "packages", root / "index", {})
    failing = [case for case in CORPUS if case.verdict is Verdict.FAILED]
    wheels = [_wheel(case, place, root / "wheels") for case in failing]
    sound = flat("resident", WITH_FUNCTION.format(name="resident"))
    wheels.append(root / build.build_wheel(root, root=write(root / "sound", sound)))
    _pip_install(wheels, root / "site")
    for name, files in LEFTOVERS.items():
        entry = {"entry_points.txt": f"[tinybase.extensions]\nx = {name}\n".encode()}
        write(root / "site" / f"{name}-1.dist-info", {**files, **entry})
    login = ("--admin-email", ADMIN, "--admin-password", PASSWORD)
    made = tinybase("init", root / "instance", *login, cwd=root)
    assert made.returncode == 0, made.stderr
    told = {case.name: case.told for case in failing}
    told |= dict.fromkeys(LEFTOVERS, "its metadata cannot be read")
    return Site(root / "instance", root / "site", told)


def test_the_server_starts_serves_and_tells_the_truth_about_all_of_them(site: Site) -> None:
    with Server(site.instance, env=site.environment) as server:
        ready = server.request("GET", "/health/ready")
        assert (ready.status, ready.json["checks"]["extensions"]) == (200, "degraded")
        assert server.request("GET", "/health").json == {"status": "degraded"}
        token = server.login(ADMIN, PASSWORD)
        answer = server.request("GET", "/api/admin/extensions?limit=100", token=token)
        served = {item["name"]: item for item in answer.json["extensions"]}
        called = server.request("POST", "/api/functions/resident", {}, token=token)
        workers = len(server.workers)
    harmful = [name for name, item in served.items() if item["status"] == "quarantined"]
    assert {"hangs", "spins", "prints", "leaves", "crashes"} < set(harmful)
    _check_start(server, harmful, at_most=workers)
    with Server(site.instance, env=site.environment) as again:
        assert again.login(ADMIN, PASSWORD)
    _check_start(again, harmful, at_most=0)
    done = tinybase("extensions", "list", "--json", instance=site.instance, env=site.environment)
    listed = {item["name"]: item for item in json.loads(done.stdout)}

    assert called.status == 200
    assert {name: item["status"] for name, item in served.items()} == {
        name: item["status"] for name, item in listed.items()
    }
    assert served.keys() == {"resident", *site.told}
    assert served.pop("resident")["status"] == "enabled"
    for found in (served, listed):
        for name, item in found.items():
            if name != "resident":
                _check_is_off(item, site.told[name])


def _check_start(server: Server, harmful: Collection[str], *, at_most: int) -> None:
    """Check how often what harms a process was imported, and that nothing else ended one."""
    for name in harmful:
        times = server.output.count(f"importing {name} took longer than")
        assert times + server.output.count(f"running the import of {name};") <= at_most, name
    assert server.output.count("; starting another one") <= at_most * len(harmful)


def _check_is_off(item: Mapping[str, Any], told: str) -> None:
    """Check that an extension is off, for the reason that the table has, in one line."""
    reason = item["status_reason"]
    assert reason.isprintable()
    if item["status"] == "quarantined" and told != "took longer than":
        assert told.startswith(("exit code", "signal")), item
        assert "a process died while it loaded the extension" in reason
    elif item["status"] == "quarantined":
        assert told in reason
    else:
        assert item["status"] == "failed", item
        assert ("No module named" if told.startswith("add ") else told) in reason


def _wheel(case: Case, place: Place, into: Path) -> Path:
    """Return the wheel of a package of the corpus, as its author would build it."""
    address = case.package(place, case.name)
    if address.endswith(".whl"):
        return Path(address)
    return into / build.build_wheel(into, root=place.hub.folder / "user" / case.name)


def _pip_install(wheels: list[Path], target: Path) -> None:
    options = ["--no-index", "--no-deps", "--no-compile", f"--target={target}"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *options, *map(str, wheels)],
        check=True,
        env={"PIP_CONFIG_FILE": "/dev/null"},
    )
