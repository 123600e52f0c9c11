"""``@command`` and ``@pass_context``: commands of an extension."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

from tinybase.extensions.rows import note_declaration
from tinybase.extensions.signatures import HandlerError
from tinybase_hookspecs import CommandDeclaration

_C = TypeVar("_C")

OPENER: Final = "tinybase.extensions.open_context"
"""Where click's context keeps what opens a ``ctx``."""


def command(target: _C, *misplaced: object) -> _C:
    """Offer a click command, or a group of them, as ``tinybase x NAME COMMAND``.

    ::

        @command
        @click.command()
        @click.argument("path", type=click.File())
        @pass_context
        def import_orders(ctx, path):
            \"""Import orders from a file.\"""
            for line in path:
                ctx.records.create("orders", json.loads(line))

    It stands on top. The extension's code is imported when somebody uses ``tinybase x``; its
    ``on_startup`` is not called.

    :raises HandlerError: for something that is no click command.
    """
    check_command(CommandDeclaration(target))
    if misplaced:
        raise HandlerError("@command takes no arguments. Give the name to @click.command(name).")
    # The module in which the decorator is written decides to whom the command belongs.
    frame = sys._getframe(1)  # noqa: SLF001
    note_declaration("tinybase_register_commands", CommandDeclaration(target), frame)
    return target


def pass_context(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the function of a click command the ``ctx`` that functions get, as its first argument.

    It acts as the operator, and its session is committed when the command ends well. It takes
    the place of ``click.pass_context`` and stands directly above the function.
    """

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        with _opener()() as ctx:
            return function(ctx, *arguments, **options)

    return run


def check_command(declaration: CommandDeclaration) -> None:
    """Refuse a declaration that holds no click command with a name.

    :raises HandlerError: with what is wrong and the remedy.
    """
    target = declaration.command
    # Not isinstance: handlers need no click, and importing it would make all of them wait.
    if not all(callable(getattr(target, name, None)) for name in ("make_context", "invoke")):
        raise HandlerError(
            "@command stands above a click command. Write @command, below it @click.command() "
            "or @click.group(), and then the function."
        )
    if not getattr(target, "name", None):
        raise HandlerError('A click command has no name. Write @click.command("a-name").')


def _opener() -> Callable[[], AbstractContextManager[Any]]:
    import click  # noqa: PLC0415 - as above

    current = click.get_current_context(silent=True)
    opener: Callable[[], AbstractContextManager[Any]] | None = (
        current.meta.get(OPENER) if current else None
    )
    if opener is None:
        raise HandlerError("A command with @pass_context is run by tinybase x NAME COMMAND.")
    return opener
