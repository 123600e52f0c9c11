"""``tinybase extensions history`` and what else there is to do after the installation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from tinybase.cli import context
from tinybase.cli.output import (
    confirm,
    emit_json,
    json_option,
    note,
    printable,
    table,
    yes_option,
)
from tinybase.packages.generations import Generations

if TYPE_CHECKING:
    from tinybase.packages.changes import Change
    from tinybase.packages.history import Generation, Rollback


def _complete_number(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 - click's form
    incomplete: str,
) -> list[CompletionItem]:
    """Offer the sets that are kept."""
    kept = Generations(Path(ctx.find_root().params.get("instance") or ".")).kept()
    numbers = (str(int(path.name)) for path in kept)
    return [CompletionItem(number) for number in numbers if number.startswith(incomplete)]


@click.command("history")
@json_option
def history(*, as_json: bool) -> None:
    """List the sets of extensions that are kept: the last three.

    Every change makes a new set, with a number of its own. What changed is told against the
    set that it was made from.

    \b
    Examples:
      tinybase extensions history
      tinybase extensions history --json
    """
    with context.services() as services:
        found = services.extensions.history.list()
    if as_json:
        emit_json(found)
        return
    table(
        [_generation_row(item) for item in found],
        ["Number", "In force", "When", "Command", "Changes"],
        empty="Nothing was installed yet.",
    )


@click.command("rollback")
@click.option(
    "--to",
    "number",
    metavar="N",
    type=click.IntRange(min=1),
    shell_complete=_complete_number,
    help="The number of the set, as history shows it. Default: the one before.",
)
@yes_option
@json_option
def rollback(*, number: int | None, yes: bool, as_json: bool) -> None:
    """Go back to an earlier set of extensions.

    Everything is still there, so nothing is fetched or built. What was switched on or off
    stays so. Newer sets stay too: --to leads to them again.

    \b
    Examples:
      tinybase extensions rollback
      tinybase extensions rollback --to 3
    """
    with context.services() as services:
        service = services.extensions.history
        target = service.target(number)
        if target.changes:
            note(f"Generation {target.number} in place of the current one:")
            tell_changes(target.changes)
            confirm("Go back?", yes=yes)
        done = service.roll_back(target.number, progress=note)
    if as_json:
        emit_json(done)
    else:
        click.echo(_said_of(done))


def add_to(group: click.Group) -> None:
    """Add these commands to a group."""
    group.add_command(history)
    group.add_command(rollback)


def tell_changes(changes: Iterable[Change]) -> None:
    """Show what comes, goes and changes, one a line."""
    for change in changes:
        note(f"  {printable(str(change))}")


def _generation_row(item: Generation) -> dict[str, object]:
    return {
        **asdict(item),
        "in_force": item.is_current,
        "when": datetime.fromisoformat(item.created_at),
        "command": printable(item.command),
        "changes": "; ".join(printable(str(change)) for change in item.changes),
    }


def _said_of(done: Rollback) -> str:
    if not done.changes:
        return f"Generation {done.number} is in force; nothing had to be changed."
    return f"Generation {done.number} is in force again."
