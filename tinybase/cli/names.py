"""Names of extensions as arguments of commands, completed by the shell."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from tinybase.packages.generations import Generations
from tinybase.packages.lock import FILE_NAME, Lock


def _complete(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 - click's form
    incomplete: str,
) -> list[CompletionItem]:
    """Offer the names of installed extensions, read from the lock file alone."""
    current = Generations(Path(ctx.find_root().params.get("instance") or ".")).current()
    names = Lock.read(current / FILE_NAME).extensions if current else {}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


name_argument = click.argument("name", shell_complete=_complete)
names_argument = click.argument(
    "names", metavar="NAME...", nargs=-1, required=True, shell_complete=_complete
)
optional_names_argument = click.argument(
    "names", metavar="[NAME...]", nargs=-1, shell_complete=_complete
)
