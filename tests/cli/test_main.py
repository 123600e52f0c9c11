from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from serving import COMMAND, clean_environment, tinybase

from tinybase import __version__
from tinybase.cli.main import _COMMANDS
from tinybase.cli.main import tinybase as root

from .conftest import Run


def test_the_version_is_one_line(run: Run) -> None:
    assert run("--version").out == f"tinybase {__version__}\n"
    assert run("version", "--json").json["tinybase"] == __version__


def test_no_command_shows_the_help_and_is_wrong_usage(run: Run) -> None:
    assert "Commands:" in run(code=2).err


@pytest.mark.parametrize("arguments", [["nonsense"], ["version", "--nonsense"], ["users", "show"]])
def test_wrong_usage_is_2(run: Run, arguments: list[str]) -> None:
    assert "Error: " in run(*arguments, code=2).err


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_every_command_has_help(run: Run, name: str) -> None:
    assert run(name, "--help").out.startswith(f"Usage: tinybase {name}")


def test_every_command_and_option_is_explained() -> None:
    import click

    def visit(command: click.Command, path: str) -> None:
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in ("limit", "offset"):
                assert parameter.help, f"{path} {parameter.name}"
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                visit(found, f"{path} {name}")

    visit(root, "tinybase")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["serve", "--help"], ["config"]])
def test_what_needs_no_application_does_not_load_it(arguments: list[str]) -> None:
    code = (
        "import sys; sys.argv[0] = 'tinybase'; from tinybase.cli import main\n"
        "try: main()\n"
        "finally: print([m for m in ('flask', 'sqlalchemy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_a_folder_that_is_no_instance_is_named_with_the_remedy(run: Run, tmp_path: Path) -> None:
    error = run("-C", tmp_path, "users", "list", code=1).err

    assert str(tmp_path) in error
    assert "tinybase init" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server\n", "is not valid TOML"),
        ("[server]\n[hooks]\n[server]\n", "[server] is there already, further up"),
        ("[extension.a]\n[extension.a]\n", "[extension.a] is there already, further up"),
        ("[server]\nprot = 1\n", "Did you mean server.port?"),
        ('[server]\nport = "x"\n', "must be a whole number"),
    ],
)
@pytest.mark.parametrize("command", [["users", "list"], ["serve"], ["config", "show"]])
def test_a_broken_configuration_is_one_line(
    run: Run, instance: Path, text: str, words: str, command: list[str]
) -> None:
    (instance / "tinybase.toml").write_text(text)

    error = run(*command, code=1).err

    assert words in error
    assert error.count("\n") == 1


def test_the_instance_may_be_named_by_the_environment_or_a_flag(
    run: Run, instance: Path, tmp_path: Path
) -> None:
    assert run("users", "list", "--json").code == 0
    assert run("-C", tmp_path, "users", "list", code=1).code == 1


def test_a_fault_of_ours_is_one_line_too(
    run: Run, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("tinybase.cli.context.load_config", fail)

    error = run("users", "list", code=1).err

    assert "KeyError: 'surprise'" in error
    assert "TINYBASE_SERVER_LOG_LEVEL=debug" in error


def test_a_reader_that_goes_away_is_no_complaint(prepared: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "-C", str(prepared), "config", "show", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_ctrl_c_at_a_question_is_130(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "init", str(tmp_path / "new")],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    ) as process:
        os.close(theirs)
        assert process.stderr is not None
        assert process.stderr.read(6) == b"E-mail"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert b"Traceback" not in process.stderr.read()
    os.close(ours)
    assert not (tmp_path / "new").exists()


def test_the_command_runs_as_a_module() -> None:
    assert tinybase("--version").stdout == f"tinybase {__version__}\n"


def test_completion_names_the_commands() -> None:
    done = tinybase(
        env={"_TINYBASE_COMPLETE": "bash_complete", "COMP_WORDS": "tinybase us", "COMP_CWORD": "1"}
    )

    assert done.stdout == "plain,users\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_script_for_every_shell(run: Run, shell: str) -> None:
    assert "_TINYBASE_COMPLETE" in run("completion", shell).out
