"""The root of the command line."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from tinybase import __version__
from tinybase.cli.importing import without_collector
from tinybase.errors import Fault, Invalid, TinyBaseError, one_line

if TYPE_CHECKING:
    from tinybase.api.services import Services

INTERRUPTED = 130

_FULL = (errno.ENOSPC, errno.EDQUOT)

_PARTS_OF_A_REQUEST = (("body",), ("query",), ("path",), ("header",))

_COMMANDS: Mapping[str, str] = {
    "init": "Make an instance: configuration, database and first admin.",
    "serve": "Serve the instance over HTTP.",
    "demo": "Serve an example instance from a temporary folder, for a first look.",
    "admin": "Add administrators.",
    "users": "List, show, disable, enable and delete users.",
    "collections": "List, show, create, update and delete collections.",
    "records": "Read and write the records of a collection.",
    "functions": "Write, list and call server functions.",
    "extensions": "Install and manage extensions.",
    "x": "Run the commands that extensions bring.",
    "db": "Upgrade the database and ask for its version.",
    "doctor": "Find what is wrong with the instance, and say what to do.",
    "config": "Show the configuration in effect.",
    "completion": "Print the completion script of a shell.",
    "version": "Print the version.",
}
"""Every command: the module ``tinybase.cli.NAME`` has it under the name ``command``."""


class _Commands(click.Group):
    """Imports the module of a command when that command is asked for.

    So one command does not pay for the others, and works when another one's module fails.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        with without_collector():
            module = importlib.import_module(f"tinybase.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["--help", "-h"]})
@click.option(
    "-C",
    "--instance",
    metavar="FOLDER",
    default=".",
    envvar="TINYBASE_INSTANCE",
    type=click.Path(file_okay=False),
    help="The folder of the instance (or TINYBASE_INSTANCE). Default: the current one.",
)
@click.version_option(__version__, "--version", message="tinybase %(version)s")
def tinybase(instance: str) -> None:
    """A backend in a box, made to be extended.

    \b
    Start with:
      tinybase init my-app
      tinybase -C my-app serve
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = run(arguments)
    except KeyboardInterrupt:
        # In a moment in which click does not look out for it, such as before it parses.
        code = INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.exit(code)


def _interrupt(*_: object) -> NoReturn:
    """Let SIGTERM do what Ctrl-C does, so that nothing temporary stays behind."""
    raise KeyboardInterrupt


def run(arguments: Sequence[str] | None, services: Services | None = None) -> int:
    """Run one command and return its exit code; say in one line what went wrong.

    :param services: the application that commands of extensions use instead of a new one.
    """
    try:
        code: int = (
            tinybase.main(arguments, prog_name="tinybase", standalone_mode=False, obj=services) or 0
        )
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort as error:
        code = _say_why_aborted(error)
    except Invalid as error:
        code = _fail("; ".join(_fault_text(fault) for fault in error.faults))
    except TinyBaseError as error:
        code = _fail(error.detail)
    except OSError as error:
        code = _fail(_os_error_text(error))
    except Exception as error:
        if _wants_traceback():
            raise
        code = _fail(
            f"{type(error).__name__}: {one_line(error)}. This is a fault of TinyBase; "
            "TINYBASE_SERVER_LOG_LEVEL=debug shows where it happened."
        )
    return code


def _fail(text: str) -> int:
    click.echo(f"Error: {one_line(text)}", err=True)
    return 1


def _say_why_aborted(error: click.Abort) -> int:
    """Tell Ctrl-C, which click turns into the same exception, from an end of the input."""
    if isinstance(error.__context__, KeyboardInterrupt):
        return INTERRUPTED
    return _fail("Nothing was changed: the input ended before the question was answered.")


def _fault_text(fault: Fault) -> str:
    """Name the place of a fault without the part of a request that it would be in."""
    file = () if fault.loc[:1] in _PARTS_OF_A_REQUEST else fault.loc[:1]
    place = ".".join(str(part) for part in fault.loc[1:] or file)
    return f"{place}: {fault.msg}" if place else fault.msg


def _os_error_text(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    remedy = " Free some disk space and try again." if error.errno in _FULL else ""
    return f"{where}{error.strerror or error}.{remedy}"


def _wants_traceback() -> bool:
    return os.environ.get("TINYBASE_SERVER_LOG_LEVEL", "").lower() == "debug"
