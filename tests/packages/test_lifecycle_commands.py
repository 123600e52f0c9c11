"""``tinybase extensions update``, ``rollback``, ``sync`` and what is told around them."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from github import Hub

from tinybase.cli.extensions import extensions as group

from .conftest import Run, flat, make_wheel

NEEDS = '[extension.dependencies]\ntbdep = "*"\n'
RUNS = "import subprocess\ndef run():\n    subprocess.run(['ls'])\n"


def test_an_extension_is_updated_and_brought_back(
    run: Run, hub: Hub, index: Path, instance: Path
) -> None:
    make_wheel(index, "tbdep", "1.0", "tbdeep")
    make_wheel(index, "tbdeep", "1.0")
    run("install", hub.repository("cli", flat("cli-up")), "--yes")
    (newest,) = run("check-updates", "--json").json
    assert (newest["status"], newest["latest"]) == ("newest", "v1.0.0")
    hub.repository("cli", flat("cli-up", RUNS, version="1.1.0", more=NEEDS), tag="v1.1.0")

    (found,) = run("check-updates", "--json").json
    assert (found["name"], found["status"], found["latest"]) == ("cli-up", "available", "v1.1.0")
    assert "something newer of cli-up: tinybase extensions check-updates" in run("list").err
    dry = run("update", "--dry-run", "--json").json
    assert dry["updates"][0]["after"]["version"] == "1.1.0"
    refused = run("update", stdin="n\n", code=1)
    for part in ("cli-up 1.0.0 (v1.0.0, ", "-> 1.1.0 (v1.1.0, ", "add tbdep 1.0", "subprocess"):
        assert part in refused.err
    done = run("update", "CLI_up", "--yes")
    assert done.out.splitlines() == [
        "Updated cli-up 1.0.0 -> 1.1.0.",
        "Updated + tbdeep 1.0.",
        "Updated + tbdep 1.0.",
    ]

    (listed,) = run("list", "--json").json
    assert (listed["version"], listed["update_available"]) == ("1.1.0", None)
    reason = run("why", "TBdeep", "--json").json
    assert [link["name"] for link in reason["paths"][0]] == ["cli-up", "tbdep", "tbdeep"]
    assert "cli-up 1.1.0 needs tbdep, tbdep 1.0 needs tbdeep" in run("why", "tbdeep").out
    assert "where no extension can change it" in run("why", "flask").out
    assert "is not installed" in run("why", "absent", code=1).err

    assert "- tbdep 1.0" in run("rollback", stdin="n\n", code=1).err
    assert run("rollback", "--yes").out == "Generation 1 is in force again.\n"
    entries = run("history", "--json").json
    assert [(item["number"], item["is_current"]) for item in entries] == [(2, False), (1, True)]
    assert "extensions update CLI_up" in run("history").out
    assert run("rollback", "--to", "2", "--yes", "--json").json["number"] == 2
    assert "nothing had to be changed" in run("rollback", "--to", "2").out
    assert "There is no generation 9" in run("rollback", "--to", "9", code=1).err
    assert "is what extensions.lock says" in run("sync", "--frozen").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["update", "absent"], "absent is not among"),
        (["update", "--ref", "v1"], "Name exactly one"),
        (["rollback"], "no earlier generation"),
        (["sync"], "There is no extensions.lock"),
    ],
)
def test_what_cannot_be_done_is_told_with_what_to_do(
    arguments: list[str], told: str, run: Run
) -> None:
    assert told in run(*arguments, code=1).err.splitlines()[-1]


def test_numbers_and_packages_are_completed(run: Run, hub: Hub, instance: Path) -> None:
    run("install", hub.repository("x", flat("complete-it")), "--yes")
    root = click.Context(click.Group("tinybase"))
    root.params = {"instance": str(instance)}

    def completed(command: str, incomplete: str) -> list[str]:
        found = group.commands[command]
        context = click.Context(found, parent=root)
        return [item.value for item in found.params[0].shell_complete(context, incomplete)]

    assert completed("rollback", "") == ["1"]
    assert completed("why", "comp") == ["complete-it"]
    assert completed("update", "comp") == ["complete-it"]
