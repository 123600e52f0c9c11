"""``tinybase x``: the commands that extensions bring."""

from __future__ import annotations

import inspect
import logging
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from tinybase import logs
from tinybase.cli import context
from tinybase.cli.output import Refused, table
from tinybase.errors import TinyBaseError, one_line
from tinybase.extensions.commands import OPENER
from tinybase.host.stats import safe_text

if TYPE_CHECKING:
    from tinybase.api.services import Services

_ENDINGS = (SystemExit, KeyboardInterrupt)
_HOOK = "tinybase_register_commands"
_SERVICES = "tinybase.cli.x.services"
_TRACEBACK = "tinybase.cli.x.traceback"


class _Extensions(click.Group):
    """One group for each extension that has commands; using it imports the extensions."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        # Whoever walks through all commands, to describe them, has no instance.
        has_instance = "instance" in ctx.find_root().params
        return sorted(_commands(_services(ctx))) if has_instance else []

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the extensions that have commands; say nothing where that cannot be found out."""
        try:
            return super().shell_complete(ctx, incomplete)
        except (TinyBaseError, OSError):
            return []

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        try:
            return self._get_command(ctx, cmd_name)
        except (TinyBaseError, OSError, Refused):
            if ctx.resilient_parsing:
                return None
            raise

    def _get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        services = _services(ctx)
        found = _commands(services)
        name = cmd_name if cmd_name in found else services.host.extension(cmd_name).name
        if name not in found:
            raise Refused(_why_none(services, name))
        commands = found[name]
        described = f"Commands of the extension {name}."
        return _OneExtension(name, services, commands=commands, help=described)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Leave the extensions out of the help, which imports none of them."""


class _OneExtension(click.Group):
    """The commands of one extension; a failure of one is told with both names."""

    def __init__(self, name: str, services: Services, **options: Any) -> None:
        super().__init__(name, **options)
        self._services = services

        self._running = ""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        found = super().resolve_command(ctx, args)
        self._running = found[0] or ""
        opener = partial(self._services.host.around.open_context, f"x {self.name} {found[0]}")
        ctx.meta[OPENER] = opener
        return found

    def invoke(self, ctx: click.Context) -> Any:
        try:
            # What a command returns means nothing to click, and is no exit code.
            _refuse_coroutine(super().invoke(ctx))
        except (click.ClickException, click.Abort, click.exceptions.Exit, *_ENDINGS):
            raise
        except BaseException as error:
            raise _failure(self.name or "", self._running, error) from error


@click.group("x", cls=_Extensions, invoke_without_command=True)
@click.option(
    "--traceback",
    "show_traceback",
    is_flag=True,
    help="Show where a command of an extension failed.",
)
@click.pass_context
def command(ctx: click.Context, *, show_traceback: bool) -> None:
    """Run the commands that extensions bring.

    Without a name: list the extensions that have some. The extensions are imported for this,
    but their on_startup is not called.

    \b
    Examples:
      tinybase x
      tinybase x payments --help
      tinybase x payments import-orders orders.jsonl
    """
    ctx.find_root().meta[_TRACEBACK] = show_traceback
    if ctx.invoked_subcommand is None:
        rows = [
            {"extension": name, "command": item.name, "description": item.get_short_help_str(200)}
            for name, commands in sorted(_commands(_services(ctx)).items())
            for item in commands
        ]
        columns = ["Extension", "Command", "Description"]
        table(rows, columns, empty="No extension has commands.")


def _services(ctx: click.Context) -> Services:
    """Return the services of this run, which last until its end."""
    root = ctx.find_root()
    if _SERVICES not in root.meta:
        with root.scope(cleanup=False):  # which completion has not entered
            services = root.obj or root.with_resource(context.services(load=True))
        root.with_resource(services.host.bound())
        root.meta[_SERVICES] = services
    found: Services = root.meta[_SERVICES]
    return found


def _commands(services: Services) -> dict[str, list[click.Command]]:
    """Return the commands by the extension that has them; the operator's own are ``project``."""
    found: dict[str, list[click.Command]] = {}
    for owner, declaration in services.host.contributions.of(_HOOK):
        found.setdefault(owner.partition(":")[0], []).append(declaration.command)
    return found


def _why_none(services: Services, name: str) -> str:
    state = services.host.extension(name)
    if state.status == "enabled":
        return f"{name} has no commands. tinybase x lists the extensions that have some."
    reason = (state.reason or "").rstrip(".")
    return f"{name} is {state.status}, so its commands cannot be run: {reason}."


def _refuse_coroutine(returned: object) -> None:
    if inspect.iscoroutine(returned):
        returned.close()
        raise TypeError("commands are not awaited; call asyncio.run() in a function without async")


def _failure(extension: str, name: str, error: BaseException) -> Refused:
    """Say in one line which command of which extension failed; the rest goes to the log."""
    if isinstance(error, TinyBaseError):
        told = one_line(error.detail).rstrip(".")
    else:
        told = one_line(f"{type(error).__name__}: {safe_text(error)}").rstrip(".: ")
    line = f"The command {name} of the extension {extension} failed: {told}."
    if click.get_current_context().find_root().meta[_TRACEBACK]:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        return Refused(line)
    _log_failure(extension, name, error)
    again = context.own_command(f"x --traceback {extension} {name}")
    return Refused(f"{line} {again} shows where; so does tinybase extensions logs {extension}.")


def _log_failure(extension: str, name: str, error: BaseException) -> None:
    """Write the traceback to the log of the server, where tinybase extensions logs finds it."""
    handler = logs.LogFile(logs.file_of(context.instance()))
    handler.setFormatter(logs.LineFormatter())
    record = logging.LogRecord(
        "tinybase.cli.x",
        logging.ERROR,
        __file__,
        0,
        "extension %s: the command %s failed",
        (extension, name),
        (type(error), error, error.__traceback__),
    )
    handler.handle(record)
    handler.close()
