"""The command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from tinybase.cli.main import tinybase

_PAGE: Mapping[str, int] = {"terminal_width": 88, "max_content_width": 88}


def commands() -> str:
    """Return the help text of every command."""
    return "\n\n".join(_walk(tinybase, None, "tinybase", level=2))


def _walk(
    command: click.Command, parent: click.Context | None, name: str, level: int
) -> Iterator[str]:
    ctx = click.Context(command, parent, info_name=name, **_PAGE)
    path = ctx.command_path
    yield f"{'#' * level} `{path}` {{ #{path.replace(' ', '-')} }}"
    yield f"```text\n{command.get_help(ctx)}\n```"
    if isinstance(command, click.Group):
        for child in command.list_commands(ctx):
            found = command.get_command(ctx, child)
            if found is not None and not found.hidden:
                yield from _walk(found, ctx, child, level=2 if parent is None else 3)
