"""``tinybase extensions``: what people see and what scripts rely on."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest
from github import Hub, write

from tinybase.cli.extensions import extensions as group

from .conftest import Run, flat


def test_one_is_installed_after_the_notice_and_a_yes(run: Run, hub: Hub) -> None:
    address = hub.repository("cli", flat("cli-ext", more='author = "Ann"\nlicense = "MIT"\n'))

    for stdin, told in (("n\n", "Nothing was changed."), ("", "nobody answered. Add --yes")):
        refused = run("install", address, stdin=stdin, code=1)
        assert told in refused.err
    assert run("list", "--json").json == []

    done = run("install", address, stdin="y\n")

    for part in ("cli-ext", "1.0.0", "Ann", "MIT", address, "v1.0.0", "nothing else"):
        assert part in done.err
    assert hub.git("cli", "rev-parse", "HEAD") in done.err
    notice = "Extensions execute arbitrary Python code. Only install extensions from trusted"
    assert notice in done.err
    assert done.out.startswith("Installed cli-ext 1.0.0 (v1.0.0, ")

    again = run("install", address, "--yes", code=1)
    assert again.err.splitlines()[-1].startswith("Error: cli-ext 1.0.0 is already installed.")

    (found,) = run("list", "--json").json
    assert list(found) == [
        *("id", "name", "version", "description", "author", "license", "repo_url", "ref"),
        *("commit", "source", "is_enabled", "status", "status_reason", "managed", "generation"),
        *("hooks", "functions", "routes", "installed_at", "updated_at", "update_available"),
    ]
    assert found["hooks"] == ["tinybase_on_startup"]
    assert found["installed_at"].endswith("Z")
    assert found.items() <= run("info", "CLI_ext", "--json").json.items()
    assert "tinybase_on_startup" in run("info", "cli.ext").out

    assert run("disable", "cli_EXT").err == "Disabled cli-ext.\n"
    assert "switched off" in run("list").out
    assert run("enable", "cli-ext", "--json").json[0]["status"] == "enabled"

    assert "Nothing was changed" in run("uninstall", "cli-ext", stdin="n\n", code=1).err
    assert run("uninstall", "cli-ext", "--yes", "--json").json == ["cli-ext"]
    assert run("list").out == (
        "There are no extensions. Install one: tinybase extensions install ADDRESS.\n"
    )


def test_a_dry_run_changes_nothing(run: Run, hub: Hub, instance: Path) -> None:
    address = hub.repository("dry", flat("dry-ext"))

    assert "dry-ext" in run("install", address, "--dry-run").out
    plan = run("install", "--dry-run", "--json", "--ref", "main", "--", address).json
    assert (plan["name"], plan["ref"], plan["packages"]) == ("dry-ext", "main", [])
    assert not (instance / "extensions.lock").exists()


def test_json_stays_alone_on_stdout(run: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "source", flat("json-ext"))

    found = run("install", "--editable", str(source), "--yes", "--json").json

    assert (found["name"], found["source"]) == ("json-ext", "folder")
    (source / "__init__.py").write_text("raise RuntimeError('later')")
    assert "later" in run("list").out
    assert run("list", "--json").json[0]["status"] == "failed"
    assert "later" in run("enable", "json-ext", code=1).err
    run("disable", "json-ext")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["install"], 2, "Missing argument"),
        (["install", "--", "--upload-pack=x"], 1, "begins with a dash"),
        (["install", "http://github.com/user/x", "--yes"], 1, "no address"),
        (["install", "user/absent", "--yes"], 1, "Check the address"),
        (["info", "absent"], 1, "Extension 'absent' not found"),
        (["enable", "absent"], 1, "not found"),
        (["disable", "absent"], 1, "not found"),
        (["uninstall", "absent", "--yes"], 1, "not found"),
        (["uninstall"], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], code: int, told: str, run: Run
) -> None:
    result = run(*arguments, code=code)

    assert told in result.err.splitlines()[-1]
    assert result.out == ""


def test_somebody_who_names_a_folder_like_a_repository_is_told_how(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "plugins" / "hello", flat("hello-ext"))
    monkeypatch.chdir(tmp_path)

    told = run("install", "plugins/hello", "--yes", code=1).err

    assert "For the local folder write ./plugins/hello." in told


def test_names_are_completed(run: Run, instance: Path, tmp_path: Path) -> None:
    run("install", str(write(tmp_path / "source", flat("complete-ext"))), "--yes")
    root = click.Context(click.Group("tinybase"))
    root.params = {"instance": str(instance)}
    context = click.Context(group.commands["info"], parent=root)
    parameter = group.commands["info"].params[0]

    assert [item.value for item in parameter.shell_complete(context, "com")] == ["complete-ext"]
    assert parameter.shell_complete(context, "x") == []
    shutil.rmtree(instance / "extensions")
    assert parameter.shell_complete(context, "") == []


@pytest.mark.parametrize("name", sorted(group.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    text = group.commands[name].help or ""

    assert f"tinybase extensions {name}" in text
