"""What is demanded of the commands of extensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tinybase.extensions.commands import check_command
from tinybase.extensions.signatures import HandlerError
from tinybase.host.contributions import Contribution
from tinybase_hookspecs import CommandDeclaration

HOOK: Final = "tinybase_register_commands"


def check(owner: str, declaration: CommandDeclaration, others: Sequence[Contribution]) -> None:
    """Refuse what is no command, and a name that the extension has used already.

    :raises HandlerError: with what is wrong and the remedy.
    """
    check_command(declaration)
    name = declaration.command.name
    if any(who == owner and other.command.name == name for who, other in others):
        raise HandlerError(f"the command {name!r} is declared twice. Rename one of them.")
