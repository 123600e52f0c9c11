"""``tinybase extensions plan``: what an installation would do, and what the code is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinybase.cli import context
from tinybase.cli.output import Refused, confirm, emit_json, json_option, note
from tinybase.cli.plan_screen import plan_lines
from tinybase.errors import BadRequest

if TYPE_CHECKING:
    from tinybase.packages.inspection import Inspection
    from tinybase.packages.plan import Plan

NOTICE = "Extensions execute arbitrary Python code. Only install extensions from trusted sources."


@click.command("plan")
@click.argument("address")
@click.option("--ref", help="The tag, branch or full commit of a repository.")
@click.option("-e", "--editable", is_flag=True, help="Import a local folder from where it is.")
@json_option
def plan(*, address: str, ref: str | None, editable: bool, as_json: bool) -> None:
    """Show what installing an extension would do, and what its code does.

    ADDRESS is what install takes. The source is read and not run: you see the hooks it
    implements, the functions and who may call them, the environment variables it reads,
    and each line that runs programs, opens connections, writes files and the like. The
    exit code is 1 if it cannot be installed.

    \b
    Examples:
      tinybase extensions plan https://github.com/user/tinybase-extension
      tinybase extensions plan user/tinybase-extension@v1.2.0 --json
      tinybase extensions plan ./my-extension
    """
    with context.services() as services, hint_at_folder(address):
        note(f"Reading {address}")
        found = services.extensions.plan(address, ref=ref, editable=editable)
    show(found, as_json=as_json)


def add_to(group: click.Group) -> None:
    """Add the command to a group."""
    group.add_command(plan)


def ask(found: Plan, *, yes: bool) -> None:
    """Show what is going to happen, and let somebody agree to it.

    :raises Refused: unless they do.
    """
    for line in plan_lines(found):
        note(line)
    note(f"\n{NOTICE}")
    confirm(f"Install {found.name or found.address}?", yes=yes)


def show(found: Plan, *, as_json: bool) -> None:
    """Print a plan.

    :raises Refused: after that, if it cannot be carried out.
    """
    if as_json:
        emit_json(document_of(found))
    else:
        for line in plan_lines(found):
            click.echo(line)
        note("\nNothing was changed.")
    if not found.installable:
        raise Refused(found.obstacle)


@contextmanager
def hint_at_folder(address: str) -> Iterator[None]:
    """Tell somebody who named a folder as git names a repository how to name it."""
    try:
        yield
    except BadRequest as error:
        if Path(address).exists() and not address.startswith((".", "/", "~")):
            raise BadRequest(
                f"{error.detail} For the local folder write ./{address}.", code=error.code
            ) from error
        raise


def document_of(found: Plan) -> dict[str, object]:
    """Return the object of the API, with where everything is in the source."""
    # With SQLAlchemy, which the services have imported anyway.
    from tinybase.db import utcnow  # noqa: PLC0415
    from tinybase.packages.plan import document  # noqa: PLC0415

    return {
        **document(found, utcnow()),
        "source": found.source,
        "address": found.address,
        "subdirectory": found.subdirectory,
        "editable": found.editable,
        "inspection": found.inspection and _inspection(found.inspection),
    }


def _inspection(found: Inspection) -> dict[str, object]:
    hooks = [{**asdict(item), "filters": dict(item.filters)} for item in found.hooks]
    return {**asdict(found), "hooks": hooks}
