"""``tinybase db``: the version of the database, backups and copies of it."""

from __future__ import annotations

import click

from tinybase.cli import context
from tinybase.cli.backups import backup, restore
from tinybase.cli.copying import copy
from tinybase.cli.output import details, emit_json, json_option, note


@click.group("db")
def command() -> None:
    """Upgrade the database, ask for its version, back it up, restore it and copy it."""


command.add_command(backup)
command.add_command(restore)
command.add_command(copy)


@command.command("upgrade")
@json_option
def upgrade(*, as_json: bool) -> None:
    """Bring the database to the version of this TinyBase.

    It happens in one transaction: a failure leaves the database as it was. Make a backup
    before all the same.
    """
    config = context.load_config()
    from tinybase.cli.database import opened  # noqa: PLC0415 - SQLAlchemy
    from tinybase.db import migrate  # noqa: PLC0415

    with opened(config) as engine:
        before = migrate.upgrade(engine)
    if as_json:
        emit_json({"before": before, "revision": migrate.HEAD})
    elif before == migrate.HEAD:
        note(f"Nothing to do: the database is at revision {migrate.HEAD}.")
    else:
        note(f"The database went from {before or 'nothing'} to revision {migrate.HEAD}.")


@command.command("current")
@json_option
def current(*, as_json: bool) -> None:
    """Show at which version the database is, and which one is needed."""
    config = context.load_config()
    from tinybase.cli.database import opened  # noqa: PLC0415 - SQLAlchemy
    from tinybase.db import migrate  # noqa: PLC0415

    with opened(config) as engine:
        found = migrate.current(engine)
    facts = {"revision": found, "needed": migrate.HEAD, "up_to_date": found == migrate.HEAD}
    if as_json:
        emit_json(facts)
    else:
        details(
            {
                "Revision": found or "none",
                "Needed": migrate.HEAD,
                "Up to date": found == migrate.HEAD,
            }
        )
